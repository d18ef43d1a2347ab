import FoundationEssentials
import Glibc
import HarkCluster
import PQ
import Subprocess
import SystemPackage
import TestSupport
import Testing

/// The built `hark`, run as a person or a service manager runs it.
enum HarkProcess {
    struct Result {
        var code: Int32
        var out: String
        var err: String

        /// stdout without the newline at its end.
        var line: String { String(out.dropLast(out.hasSuffix("\n") ? 1 : 0)) }
    }

    /// Beside the test bundle.
    static let path: String = {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/hark"
    }()

    /// Nothing of the machine's own settings but the way to its programs, and what the sanitizers are told.
    private static func variables(_ more: [String: String]) -> Subprocess.Environment {
        var all = ["PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC"].merging(more) { $1 }
        for name in ["TSAN_OPTIONS", "ASAN_OPTIONS", "LSAN_OPTIONS"] { if let value = getenv(name) { all[name] = String(cString: value) } }
        return .custom(Dictionary(uniqueKeysWithValues: all.map { (.init(stringLiteral: $0.key), $0.value) }))
    }

    /// Runs a verb to its end.
    static func run(_ arguments: String..., environment: [String: String] = [:]) async throws -> Result {
        try await run(arguments, environment: environment)
    }

    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Result {
        let path = FilePath(path)
        let variables = variables(environment)
        return try await withDeadline(60, "hark \(arguments.joined(separator: " "))") {
            let result = try await Subprocess.run(
                .path(path), arguments: Arguments(arguments), environment: variables, output: .string(limit: 1 << 22), error: .string(limit: 1 << 22))
            return Result(code: code(result.terminationStatus), out: result.standardOutput, err: result.standardError)
        }
    }

    /// One that goes on running, with what it writes to stderr.
    struct Running: Sendable {
        let pid: pid_t
        let lines: Events<String>

        @discardableResult
        func line(_ text: String) async throws -> String {
            let all = try await lines.wait("a line with “\(text)”") { $0.contains { $0.contains(text) } }
            return all.first { $0.contains(text) } ?? ""
        }

        func send(_ signal: CInt) { kill(pid, signal) }
    }

    /// Starts `hark`, does `body`, and waits for its end: `body` has to see to that. When it throws, the process is killed.
    /// - Returns: the exit code; 128 and the number for a signal.
    static func start(_ arguments: [String], environment: [String: String] = [:], body: @escaping @Sendable (Running) async throws -> Void) async throws -> Int32 {
        let path = FilePath(path)
        let variables = variables(environment)
        return try await withDeadline(120, "the end of hark \(arguments.joined(separator: " "))") {
            let result = try await Subprocess.run(
                .path(path), arguments: Arguments(arguments), environment: variables, input: .none, output: .discarded, error: .sequence
            ) { execution in
                let running = Running(pid: execution.processIdentifier.value, lines: Events())
                async let reading: Void = {
                    for try await line in execution.standardError.strings() { running.lines.add(line) }
                }()
                do {
                    try await body(running)
                } catch {
                    running.send(SIGKILL)
                    throw error
                }
                try await reading
            }
            return code(result.terminationStatus)
        }
    }

    private static func code(_ status: TerminationStatus) -> Int32 {
        switch status {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }
}

/// A migrated database of its own for one test, and a directory with functions.
struct Bench: Sendable {
    let database: TestDatabase
    let url: String
    /// Executables: `echo` gives its arguments back, `give-up` fails for good, `stay` runs until it is stopped.
    let functions: String

    var environment: [String: String] { ["HARK_DATABASE": url] }

    static func with(migrated: Bool = true, _ body: @Sendable (Bench) async throws -> Void) async throws {
        let database = migrated ? try await TestServer.shared.migrated() : try await TestServer.shared.database()
        let functions = try makeFunctions()
        defer { removeTree(functions) }
        let bench = Bench(database: database, url: try await TestServer.shared.cluster().url(database: database.name), functions: functions)
        try await body(bench)
        try await database.drop()
    }

    func hark(_ arguments: String..., environment more: [String: String] = [:]) async throws -> HarkProcess.Result {
        try await HarkProcess.run(arguments, environment: environment.merging(more) { $1 })
    }

    /// A worker with these functions.
    func work(_ arguments: String..., environment more: [String: String] = [:], body: @escaping @Sendable (HarkProcess.Running) async throws -> Void) async throws -> Int32 {
        let all = ["work", "--functions", functions] + arguments
        return try await HarkProcess.start(all, environment: environment.merging(more) { $1 }, body: body)
    }

    func sql(_ text: String) async throws -> String? {
        let connection = try await database.connect()
        let row = try await connection.execute(text).first
        await connection.close()
        return try row?.optionalString(0)
    }

    /// The processes that run `stay` for this bench, whoever started them: their working directory is this bench's own.
    func leftovers() throws -> [pid_t] { try processes(in: functions) }

    /// The processes whose working directory this is.
    func processes(in directory: String) throws -> [pid_t] {
        let pids = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }
        return pids.filter { (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/cwd")) == directory }
    }

    static func makeFunctions() throws -> String {
        let directory = TestServer.temporaryPath("functions")
        try #require(mkdir(directory, 0o755) == 0)
        for (name, text) in [
            ("echo.sh", "#!/bin/sh\nexec cat\n"), ("give-up", "#!/bin/sh\nprintf 'it is \\033[31mred\\n' >&2\nexit 65\n"),
            ("stay.sh", "#!/bin/sh\ncd \"${0%/*}\"\necho staying >&2\nexec sleep 600\n"),
        ] {
            try write(text, to: "\(directory)/\(name)", mode: 0o755)
        }
        return directory
    }

    static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws {
        let file = try #require(fopen(path, "we"))
        fputs(text, file)
        fclose(file)
        try #require(chmod(path, mode) == 0)
    }

    static func removeTree(_ path: String) {
        guard let directory = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." {
                if unlink("\(path)/\(name)") != 0 { removeTree("\(path)/\(name)") }
            }
        }
        closedir(directory)
        rmdir(path)
    }
}
