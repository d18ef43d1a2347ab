import Glibc
import PQ
import TestSupport
import Testing

@testable import HarkCLI

@Suite("After kill -9")
struct KillTests {
    @Test("after kill -9 what ran is ended, and all twenty tasks run again at once, before any poll")
    func killed() async throws {
        try await whileNobodyElseBuriesWorkers {
            try await Bench.with { bench in
                _ = try await bench.sql("insert into hark.tasks (function) select 'stay' from generate_series(1, 20)")
                // The only poll is a minute away, and the grace of a worker that nobody can ask five seconds.
                let environment = ["HARK_POLL_INTERVAL": "1m"]
                let first = try await bench.work("--queue", "default=20", environment: environment) { worker in
                    for task in 1...20 { try await worker.line("task \(task) stay | staying") }
                    worker.send(SIGKILL)
                }
                #expect(first == 128 + SIGKILL)
                #expect(try bench.leftovers().count == 20)
                let second = try await bench.work("--queue", "default=20", environment: environment) { worker in
                    try await worker.line("20 processes of a worker that died here still ran, and were killed")
                    for task in 1...20 { try await worker.line("task \(task) stay #2 | staying") }
                    #expect(try bench.leftovers().count == 20, "not two of one task at a time")
                    // The first poll comes after 0.8 of its interval. How many seconds it is in truth says the benchmark workers.recovery.
                    let soon = "select count(*)::text from hark.tasks t join hark.workers w on w.id = t.worker_id where t.attempt = 2 and t.started_at < w.started_at + interval '48 seconds'"
                    #expect(try await bench.sql(soon) == "20", "all of them start before the second worker polls")
                    worker.send(SIGTERM)
                    // Two signals at once may arrive as one.
                    try await worker.line("stopping; 20 tasks still run")
                    worker.send(SIGTERM)
                }
                #expect(second == 0)
                #expect(try bench.leftovers().isEmpty)
            }
        }
    }

    @Test("after kill -9 of the worker nothing of Python goes on, and the tasks run again")
    func python() async throws {
        try await whileNobodyElseBuriesWorkers {
            let project = try PythonProject("import time\n\ndef stay():\n    print('staying')\n    time.sleep(600)\n", more: "interpreters = 3\n")
            defer { project.remove() }
            try await Bench.with { bench in
                for _ in 0..<3 { _ = try await bench.hark("enqueue", "app.stay") }
                let killed = try await bench.work("--config", project.file) { worker in
                    for id in 1...3 { try await worker.line("task \(id) app.stay | staying") }
                    worker.send(SIGKILL)
                }
                #expect(killed == 128 + SIGKILL)
                let code = try await bench.work("--config", project.file, environment: ["HARK_DRAIN_TIMEOUT": "0s"]) { worker in
                    for id in 1...3 { try await worker.line("task \(id) app.stay #2 | staying") }
                    // One fork server and three interpreters: those of this worker.
                    #expect(try bench.processes(in: project.directory).count == 4)
                    worker.send(SIGTERM)
                }
                #expect(code == 0)
                #expect(try await bench.sql("select string_agg(state || ' ' || attempt, ', ') from hark.tasks") == "ready 1, ready 1, ready 1")
                #expect(try bench.processes(in: project.directory) == [])
            }
        }
    }

    @Test("it starts a database, runs tasks, stops on Ctrl-C, and finds its data again after kill -9")
    func life() async throws {
        try await whileNobodyElseBuriesWorkers {
            try await Dev.with { directory, functions in
                let arguments = ["dev", "--directory", directory, "--functions", functions]
                let killed = try await HarkProcess.start(arguments) { dev in
                    try await dev.line("listening")
                    let url = try await Dev.url(dev)
                    let result = try await HarkProcess.run("enqueue", "echo", "[1]", "--wait", environment: ["HARK_DATABASE": url])
                    #expect(result.line == "1\n[1]")
                    try await dev.line("task 1 echo: completed")
                    dev.send(SIGKILL)
                }
                #expect(killed == 128 + SIGKILL)
                let stopped = try await HarkProcess.start(arguments) { dev in
                    try await dev.line("listening")
                    let url = try await Dev.url(dev)
                    #expect(try await HarkProcess.run("wait", "1", environment: ["HARK_DATABASE": url]).line == "[1]")
                    dev.send(SIGINT)
                }
                #expect(stopped == 0)
                #expect(try await HarkProcess.start(arguments + ["--until-empty"]) { _ in } == 0)
            }
        }
    }
}
