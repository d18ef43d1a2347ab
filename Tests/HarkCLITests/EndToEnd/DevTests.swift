import Glibc
import PQ
import TestSupport
import Testing

@testable import HarkCLI

@Suite("hark dev")
struct DevTests {
    private func with(_ body: (_ directory: String, _ functions: String) async throws -> Void) async throws {
        let directory = TestServer.temporaryPath("dev")
        let functions = try Bench.makeFunctions()
        defer {
            Bench.removeTree(functions)
            Bench.removeTree(directory)
        }
        try await body(directory, functions)
    }

    private func url(_ running: HarkProcess.Running) async throws -> String {
        let line = try await running.line("export HARK_DATABASE=")
        return String(try #require(line.split(separator: "'").dropFirst().first))
    }

    @Test("it starts a database, runs tasks, stops on Ctrl-C, and finds its data again after kill -9")
    func life() async throws {
        try await with { directory, functions in
            let arguments = ["dev", "--directory", directory, "--functions", functions]
            let killed = try await HarkProcess.start(arguments) { dev in
                try await dev.line("listening")
                let url = try await url(dev)
                let result = try await HarkProcess.run("enqueue", "echo", "[1]", "--wait", environment: ["HARK_DATABASE": url])
                #expect(result.line == "1\n[1]")
                try await dev.line("task 1 echo: completed")
                dev.send(SIGKILL)
            }
            #expect(killed == 128 + SIGKILL)
            let stopped = try await HarkProcess.start(arguments) { dev in
                try await dev.line("listening")
                let url = try await url(dev)
                #expect(try await HarkProcess.run("wait", "1", environment: ["HARK_DATABASE": url]).line == "[1]")
                dev.send(SIGINT)
            }
            #expect(stopped == 0)
            #expect(try await HarkProcess.start(arguments + ["--until-empty"]) { _ in } == 0)
        }
    }

    @Test("a port in the environment is another server's and does not confuse it")
    func otherPort() async throws {
        try await with { directory, functions in
            let code = try await HarkProcess.start(
                ["dev", "--directory", directory, "--functions", functions, "--until-empty"],
                environment: ["PGPORT": "6543", "PGHOST": "/nowhere", "HARK_DATABASE": "host=/nowhere"]
            ) { _ in }
            #expect(code == 0)
        }
    }
}
