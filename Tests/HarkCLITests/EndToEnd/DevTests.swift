import Glibc
import PQ
import Subprocess
import SystemPackage
import TestSupport
import Testing

@testable import HarkCLI

@Suite("hark dev")
struct DevTests {
    @Test("a directory whose path is too long for a socket does, and the psql command that is printed works")
    func longPath() async throws {
        try await Dev.with { directory, functions in
            let deep = "\(directory)/\(String(repeating: "a", count: 100))"
            try #require(mkdir(directory, 0o755) == 0)
            let code = try await HarkProcess.start(["dev", "--directory", deep, "--functions", functions]) { dev in
                try await dev.line("listening")
                let line = try await dev.line("psql '")
                let address = try #require(line.split(separator: "'").dropFirst().first)
                #expect(address.utf8.count < 100)
                let command = try #require(line.firstRange(of: "psql '").map { String(line[$0.lowerBound...]) })
                let result = try await Subprocess.run(
                    .path("/bin/sh"), arguments: ["-c", "\(command) -XAtc 'select count(*) from hark.workers'"],
                    output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
                #expect(result.standardOutput == "1\n", "\(result.standardError)")
                dev.send(SIGINT)
            }
            #expect(code == 0)
        }
    }

    @Test("a port in the environment is another server's and does not confuse it")
    func otherPort() async throws {
        try await Dev.with { directory, functions in
            let code = try await HarkProcess.start(
                ["dev", "--directory", directory, "--functions", functions, "--until-empty"],
                environment: ["PGPORT": "6543", "PGHOST": "/nowhere", "HARK_DATABASE": "host=/nowhere"]
            ) { _ in }
            #expect(code == 0)
        }
    }
}

enum Dev {
    /// Directories for one `hark dev`: its own, and one with functions.
    static func with(_ body: (_ directory: String, _ functions: String) async throws -> Void) async throws {
        let directory = TestServer.temporaryPath("dev")
        let functions = try Bench.makeFunctions()
        defer {
            Bench.removeTree(functions)
            Bench.removeTree(directory)
        }
        try await body(directory, functions)
    }

    static func url(_ running: HarkProcess.Running) async throws -> String {
        let line = try await running.line("export HARK_DATABASE=")
        return String(try #require(line.split(separator: "'").dropFirst().first))
    }
}
