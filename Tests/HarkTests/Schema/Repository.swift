import FoundationEssentials
import Glibc
import PQ
import TestSupport

/// The files of this repository, as they lie on disk.
enum Repository {
    static let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")

    static func text(_ path: String) throws -> String { try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) }

    /// The names in a folder that end in `suffix`, in order.
    static func names(in folder: String, ending suffix: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)").filter { $0.hasSuffix(suffix) }.sorted()
    }

    /// All Swift files below a folder, as one text.
    static func swift(below folder: String) throws -> String {
        let paths = try FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(folder)").filter { $0.hasSuffix(".swift") }
        return try paths.map { try text("\(folder)/\($0)") }.joined(separator: "\n")
    }
}

extension TestDatabase {
    /// Runs one of PostgreSQL's own clients (psql, pg_dump) against this database.
    /// - Parameter input: a file on its standard input.
    /// - Returns: whether it ended with 0, and what it wrote to either output.
    func run(_ program: String, _ arguments: [String], input: String = "/dev/null") async throws -> (isSuccess: Bool, output: String) {
        let address = "host=\(conninfo["host"] ?? "") user=\(conninfo["user"] ?? "") dbname=\(name)"
        let words = [program, "-d", address] + arguments
        let command = words.map { "'\($0)'" }.joined(separator: " ")
        // The exit code comes as a last line of text.
        let script = "PATH=/usr/lib/postgresql/\(try await majorVersion())/bin:$PATH; \(command) < '\(input)' 2>&1; code=$?; echo; echo $code"
        guard let pipe = popen(script, "re") else { throw PostgresError(message: "\(program) cannot be started") }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, pipe), count > 0 { bytes += buffer.prefix(count) }
        pclose(pipe)
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        let code = lines.popLast()
        if lines.last?.isEmpty == true { lines.removeLast() }
        return (code == "0", lines.joined(separator: "\n"))
    }

    /// The server's: 15.
    func majorVersion() async throws -> Int {
        let connection = try await connect()
        defer { Task { await connection.close() } }
        return connection.serverVersion / 10_000
    }

    /// The schema `hark` of this database as pg_dump writes it, without what differs from one minor version to the next.
    func dump() async throws -> String {
        let (isSuccess, output) = try await run("pg_dump", ["--schema-only", "--schema=hark", "--no-owner"])
        guard isSuccess else { throw PostgresError(message: "pg_dump: \(output)") }
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            !["-- Dumped ", "\\restrict ", "\\unrestrict "].contains { line.hasPrefix($0) }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Connection {
    /// What PostgreSQL said to a statement that it refused; nil when it did not.
    func refusal(_ sql: String, _ parameters: [Parameter] = []) async throws -> PostgresError? {
        do {
            _ = try await execute(sql, parameters)
            return nil
        } catch let error as PostgresError {
            if error.isConnectionLost { throw error }
            return error
        }
    }

    /// What it said to several statements together.
    func refusal(script sql: String) async throws -> PostgresError? {
        do {
            try await script(sql)
            return nil
        } catch let error as PostgresError {
            if error.isConnectionLost { throw error }
            return error
        }
    }
}

/// A connection whose changes are a worker's: the guards let everything pass.
func asWorker(_ database: TestDatabase) async throws -> Connection {
    try await database.connect(options: ConnectionOptions(setup: ["set hark.worker = on"]))
}
