import Glibc
import TestSupport
import Testing

@testable import HarkCLI

/// One after the other: each has several processes, and two cores are few.
@Suite("hark work with Python functions", .serialized)
struct PythonTests {
    @Test("the function of the recipe is run, unchanged; what is printed is told with its task")
    func run() async throws {
        let project = try PythonProject("def interesting_calculation(a, b):\n    print('calculating')\n    return a ** b\n")
        defer { project.remove() }
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "app.interesting_calculation", "[3, 14]")
            let code = try await bench.work("--config", project.file, "--until-empty") { worker in
                try await worker.line("Python 3.")
                try await worker.line("task 1 app.interesting_calculation | calculating")
                try await worker.line("task 1 app.interesting_calculation: completed")
            }
            #expect(code == 0)
            #expect(try await bench.sql("select state || ' ' || result from hark.tasks where id = 1") == "completed 4782969")
            // No process of it is left.
            #expect(try bench.processes(in: project.directory) == [])
        }
    }

    @Test("a function outside the modules is refused: blocked, with the reason in its errors; a worker that has its module takes it")
    func refused() async throws {
        let project = try PythonProject("def f():\n    return 1\n")
        defer { project.remove() }
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "os.system", #"["touch /tmp/never"]"#)
            _ = try await bench.hark("enqueue", "app._private")
            let code = try await bench.work("--config", project.file, "--until-empty") { worker in
                try await worker.line("os.system may not be run by this worker: its modules are app ([python] modules)")
                try await worker.line("task 2 app._private: failed")
            }
            #expect(code == 0)
            #expect(
                try await bench.sql("select concat_ws(' ', state, blocked_by, attempt, errors -> 0 ->> 'message') from hark.tasks where id = 1")
                    == "blocked function 0 os.system may not be run by this worker: its modules are app ([python] modules)")
            #expect(try await bench.hark("show", "1").out.contains("its modules are app"))
            _ = try await bench.sql("update hark.tasks set function = 'app.f', args = '[]' where id = 1 returning ''")
            let again = try await bench.work("--config", project.file, "--until-empty") { _ in }
            #expect(again == 0)
            #expect(try await bench.sql("select concat_ws(' ', state, attempt, result) from hark.tasks where id = 1") == "completed 1 1")
        }
    }

    @Test("SIGHUP brings new code; what runs ends with the old")
    func reload() async throws {
        let project = try PythonProject("import time, os\n\ndef version():\n    return 1\n\ndef wait(path):\n    print('waiting')\n    while not os.path.exists(path):\n        time.sleep(0.01)\n    return version()\n")
        defer { project.remove() }
        let door = "\(project.directory)/door"
        try await Bench.with { bench in
            let code = try await bench.work("--config", project.file) { worker in
                try await worker.line("listening")
                _ = try await bench.hark("enqueue", "app.wait", "[\"\(door)\"]")
                try await worker.line("task 1 app.wait | waiting")
                try project.write("def version():\n    return 2\n")
                worker.send(SIGHUP)
                try await worker.line("configuration reloaded")
                let new = try await bench.hark("enqueue", "app.version", "--wait")
                #expect(new.line.split(separator: "\n").last == "2")
                try Bench.write("", to: door)
                #expect(try await bench.hark("wait", "1").line == "1")
                worker.send(SIGTERM)
            }
            #expect(code == 0)
        }
    }

    @Test("a project that cannot be loaded is told with its traceback, once; nothing is claimed for it, other functions run, and all goes on when it is mended")
    func broken() async throws {
        let project = try PythonProject("import no_such_module\n", more: "preload = [\"app\"]\n[queues.scripts]\nslots = 3\n")
        defer { project.remove() }
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "app.f")
            let code = try await bench.work("--config", project.file) { worker in
                try await worker.line("Python cannot load the project: ModuleNotFoundError: No module named 'no_such_module'")
                try await worker.line("app.py\", line 1, in <module>")
                try await worker.line("Python functions wait: the project cannot be loaded")
                #expect(try await bench.hark("enqueue", "echo", "[1]", "--queue", "scripts", "--wait").code == 0)
                #expect(try await bench.sql("select concat_ws(' ', state, attempt) from hark.tasks where id = 1") == "ready 0")
                try project.write("def f():\n    return 'mended'\n")
                try await worker.line("Python functions run")
                #expect(try await bench.hark("wait", "1").line == #""mended""#)
                worker.send(SIGTERM)
            }
            #expect(code == 0)
        }
    }

    @Test("doctor tries whether Python loads the project, and shows the traceback if not")
    func doctor() async throws {
        let project = try PythonProject("def f():\n    pass\n", more: "preload = [\"app\"]\n")
        defer { project.remove() }
        try await Bench.with { bench in
            let good = try await bench.hark("doctor", "--config", project.file)
            #expect(good.out.contains("Python 3.") && good.out.contains("is ready: 2 interpreters for app"), "\(good.out)")
            try project.write("def f(:\n")
            let bad = try await bench.hark("doctor", "--config", project.file)
            #expect(bad.code == 1)
            #expect(bad.out.contains("the project cannot be loaded: SyntaxError") && bad.out.contains("app.py"), "\(bad.out)")
            #expect(try bench.processes(in: project.directory) == [])
        }
    }

    @Test("a worker without the interpreter that its configuration names does not start, and says what is wrong")
    func noInterpreter() async throws {
        let file = TestServer.temporaryPath("configuration")
        defer { unlink(file) }
        for (lines, message) in [
            ("modules = [\"app\"]\ninterpreter = \"/nowhere/bin/python\"", ":1: [python]: there is no interpreter /nowhere/bin/python"),
            ("modules = [\"app\"]\ndirectory = \"/nowhere\"", ":1: [python]: the directory /nowhere cannot be entered"),
        ] {
            try Bench.write("[python]\n\(lines)\n", to: file)
            let result = try await HarkProcess.run("work", "--config", file)
            #expect(result.code == 78)
            #expect(result.err.contains(message), "\(result.err)")
        }
    }
}

/// A project with one module, and a configuration for it.
struct PythonProject: Sendable {
    let directory: String
    let file: String

    init(_ code: String, more: String = "") throws {
        directory = TestServer.temporaryPath("project")
        file = "\(directory)/hark.toml"
        try #require(mkdir(directory, 0o755) == 0)
        try write(code)
        try Bench.write("[queues.default]\nslots = 50\n\n[python]\ninterpreter = \"/usr/bin/python3\"\ndirectory = \"\(directory)\"\nmodules = [\"app\"]\n\(more)", to: file)
    }

    func write(_ code: String) throws { try Bench.write(code, to: "\(directory)/app.py") }
    func remove() { Bench.removeTree(directory) }
}
