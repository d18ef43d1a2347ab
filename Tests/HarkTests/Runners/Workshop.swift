import Glibc
import Hark

/// Commands and a directory of files for one test.
final class Workshop: Sendable {
    let directory: String

    init() {
        var template = Array("/tmp/hark-test-XXXXXX".utf8CString)
        template.withUnsafeMutableBufferPointer { _ = mkdtemp($0.baseAddress!) }
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        for file in files { unlink("\(directory)/\(file)") }
        rmdir(directory)
    }

    var files: [String] { Self.files(in: directory) }

    static func threads() -> [String] { files(in: "/proc/self/task") }

    static func files(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var files: [String] = []
        while let entry = readdir(stream) {
            files.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return files.filter { $0 != "." && $0 != ".." }
    }

    func write(_ file: String, _ text: String, mode: mode_t = 0o755) {
        let fd = open("\(directory)/\(file)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
        close(fd)
    }

    static func text(of path: String) -> String {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return "" }
        defer { close(fd) }
        let count = read(fd, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}

/// A runner whose functions are lines of shell.
func shell(_ scripts: [String: String], _ change: (inout ExecutableSettings) -> Void = { _ in }) throws -> ExecutableRunner {
    var settings = ExecutableSettings(commands: scripts.mapValues { ["/bin/sh", "-c", $0] })
    change(&settings)
    return try ExecutableRunner(settings)
}

/// The outcome of one line of shell.
func outcome(ofShell script: String, _ args: String = "[]", _ outlet: CollectingOutlet = CollectingOutlet()) async throws -> Outcome? {
    await outcome(try shell(["it": script]), claimed("it", args), outlet)
}

/// Whether a process of that id exists and has not ended.
func lives(_ pid: pid_t) -> Bool {
    let stat = Workshop.text(of: "/proc/\(pid)/stat")
    guard let paren = stat.lastIndex(of: ")"), let state = stat[paren...].dropFirst(2).first else { return false }
    return state != "Z" && state != "X"
}
