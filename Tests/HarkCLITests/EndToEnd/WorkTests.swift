import Glibc
import HarkCluster
import PQ
import TestSupport
import Testing

@testable import HarkCLI

@Suite("hark work, as a process")
struct WorkTests {
    @Test("a worker runs what is there until nothing is left, and wait tells how each ended")
    func untilEmpty() async throws {
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "echo", "[3, 14]")
            _ = try await bench.hark("enqueue", "give-up")
            let code = try await bench.work("--until-empty") { worker in
                try await worker.line("task 1 echo: completed")
                try await worker.line("task 2 give-up | it is ␛[31mred")
                try await worker.line("task 2 give-up: failed")
            }
            #expect(code == 0)
            let good = try await bench.hark("wait", "1")
            #expect(good.code == 0)
            #expect(good.line == "[3, 14]")
            let bad = try await bench.hark("wait", "2")
            #expect(bad.code == 1)
            #expect(bad.out.isEmpty)
            #expect(bad.err.contains("task 2 failed: gave up for good"))
            let listed = try await bench.hark("list", "--state", "failed")
            #expect(listed.out.contains("give-up"))
            let page = try await bench.hark("show", "2")
            #expect(page.out.contains("      it is ␛[31mred"))
            let stats = try JSON(try await bench.hark("stats", "--json").out).elements
            #expect(stats.first?["completed_hour"]?.int == 1)
            #expect(stats.first?["failed_hour"]?.int == 1)
            #expect(try JSON(try await bench.hark("workers", "--json").out).elements.isEmpty)
        }
    }

    @Test("enqueue --wait prints the result after the id; SIGTERM ends an idle worker with 0")
    func waiting() async throws {
        try await Bench.with { bench in
            let code = try await bench.work { worker in
                try await worker.line("listening")
                let result = try await bench.hark("enqueue", "echo", #"{"a": 1}"#, "--wait")
                #expect(result.code == 0)
                #expect(result.out == "1\n{\"a\": 1}\n")
                #expect(try await bench.hark("enqueue", "give-up", "--wait").code == 1)
                let workers = try JSON(try await bench.hark("workers", "--json").out).elements
                #expect(workers.map { $0["pid"]?.int } == [Int64(worker.pid)])
                #expect(workers.first?["queues"]?.line == #"["default"]"#)
                #expect(try await bench.hark("workers").out.contains("listening"))
                worker.send(SIGTERM)
            }
            #expect(code == 0)
        }
    }

    @Test("wait gives up with 75 when --timeout has passed")
    func timeout() async throws {
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "echo")
            let result = try await bench.hark("wait", "1", "--timeout", "50ms")
            #expect(result.code == 75)
            #expect(result.err.contains("has not finished within 50ms"))
        }
    }

    @Test("the first SIGTERM lets a task run, the second stops it and gives it back")
    func twoSignals() async throws {
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "stay")
            // Longer than the test may take: only the second signal can end it.
            let code = try await bench.work(environment: ["HARK_DRAIN_TIMEOUT": "1h"]) { worker in
                try await worker.line("task 1 stay | staying")
                worker.send(SIGTERM)
                try await worker.line("stopping; 1 task still runs")
                worker.send(SIGTERM)
            }
            #expect(code == 0)
            let task = try JSON(try await bench.hark("show", "1", "--json").out)
            #expect(task["state"]?.string == "ready")
            #expect(task["attempt"]?.int == 0)
        }
    }

    @Test("cancel stops a running task")
    func cancelRunning() async throws {
        try await Bench.with { bench in
            _ = try await bench.hark("enqueue", "stay")
            let code = try await bench.work { worker in
                try await worker.line("task 1 stay | staying")
                #expect(try await bench.hark("cancel", "1").line == "1  requested")
                let result = try await bench.hark("wait", "1")
                #expect(result.code == 1)
                #expect(result.err.contains("task 1 was cancelled"))
                worker.send(SIGINT)
            }
            #expect(code == 0)
        }
    }

    @Test("bad programs of every kind fail with a readable error, and their neighbours are run")
    func badPrograms() async throws {
        try await Bench.with { bench in
            let directory = bench.functions
            for (name, text) in [
                ("one", "echo 'the disk is full' >&2; exit 1"), ("flood", "exec yes"), ("garbage", "printf '\\377\\000{]'"), ("shut", "exec <&-; echo done"),
                ("stubborn", "trap '' TERM; while :; do sleep 0.1; done"),
            ] {
                try Bench.write("#!/bin/sh\n\(text)\n", to: "\(directory)/\(name)", mode: 0o755)
            }
            try Bench.write("#!/no/such/interpreter\n", to: "\(directory)/lost", mode: 0o755)
            try Bench.write("#!/bin/sh\n", to: "\(directory)/plain", mode: 0o644)
            try Bench.write("[functions.plain]\ncommand = [\"\(directory)/plain\"]\n", to: "\(directory)/hark.toml")
            _ = try await bench.sql(
                """
                insert into hark.tasks (function, args, max_attempts, timeout)
                select f, jsonb_build_array(n), 1, case f when 'stubborn' then interval '300 ms' end
                from unnest(array['one', 'echo', 'flood', 'echo', 'garbage', 'echo', 'shut', 'stubborn', 'echo', 'lost', 'echo', 'plain', 'echo']) with ordinality x (f, n)
                """)
            let code = try await bench.work("--config", "\(directory)/hark.toml", "--until-empty", environment: ["HARK_STOP_GRACE": "3s"]) { _ in }
            #expect(code == 0)
            let ends = try await bench.sql(
                "select string_agg(concat_ws(' | ', function, state, errors -> 0 ->> 'message', errors -> 0 ->> 'detail', result #>> '{}'), E'\\n' order by id) from hark.tasks where function <> 'echo'")
            #expect(ends == """
                one | failed | exited with code 1 | the disk is full
                flood | failed | printed more than 1 MiB on stdout and was stopped
                garbage | completed | \u{FFFD}\u{FFFD}{]
                shut | completed | done
                stubborn | failed | ran longer than its timeout of 0.3 s and was stopped
                lost | failed | cannot start: \(directory)/lost asks for the interpreter /no/such/interpreter, which does not exist here
                plain | failed | cannot start: \(directory)/plain is not executable (chmod +x)
                """)
            #expect(try await bench.sql("select count(*)::text from hark.tasks where function = 'echo' and state = 'completed' and result = args") == "6")
        }
    }

    @Test("a worker without functions says so and ends with 78")
    func noFunctions() async throws {
        let result = try await HarkProcess.run("work", environment: ["HARK_DATABASE": "host=/nowhere"])
        #expect(result.code == 78)
        #expect(result.err.contains("this worker has no functions"))
        #expect(result.err.contains("--functions DIR"))
    }

    @Test("a configuration that cannot be used ends with 78, file and line")
    func badConfiguration() async throws {
        let path = TestServer.temporaryPath("configuration")
        try Bench.write("name = \"a\"\npol_interval = \"5s\"\n", to: path)
        defer { unlink(path) }
        let result = try await HarkProcess.run("work", "--config", path)
        #expect(result.code == 78)
        #expect(result.err == "hark: \(path):2: there is no setting pol_interval; did you mean poll_interval?\n")
        #expect(try await HarkProcess.run("work", "--config", "\(path).toml").code == 78)
        #expect(try await HarkProcess.run("work", environment: ["HARK_POLL_INTERVAL": "5"]).err.contains("HARK_POLL_INTERVAL=5 is not a duration"))
        let directory = try await HarkProcess.run("work", "--functions", "\(path).d")
        #expect(directory.code == 78)
        #expect(directory.err.contains("\(path).d"))
    }

    @Test("a database without the schema ends a worker with 78")
    func noSchema() async throws {
        try await Bench.with(migrated: false) { bench in
            let result = try await bench.hark("work", "--functions", bench.functions)
            #expect(result.code == 78)
            #expect(result.err.contains("Run `hark migrate`"))
        }
    }

    @Test("a worker waits for a database that is not there yet, says so once, and goes on")
    func waitsForDatabase() async throws {
        let cluster = try await TestServer.own()
        let url = cluster.url(database: "postgres")
        #expect(try await HarkProcess.run("migrate", environment: ["HARK_DATABASE": url]).code == 0)
        try await cluster.stop()
        let functions = try Bench.makeFunctions()
        defer { Bench.removeTree(functions) }
        let code = try await HarkProcess.start(["work", "--functions", functions], environment: ["HARK_DATABASE": url]) { worker in
            try await worker.line("waiting for the database")
            try await cluster.start()
            try await worker.line("listening")
            worker.send(SIGTERM)
            try await worker.line("stopping")
            #expect(worker.lines.all.filter { $0.contains("waiting for the database") && $0.contains("No such file") }.count == 1)
        }
        #expect(code == 0)
        await cluster.end()
    }

    @Test("functions of the configuration have their own directory and environment, also by slots and queues of their own")
    func configuredFunctions() async throws {
        try await Bench.with { bench in
            let path = "\(bench.functions)/hark.toml"
            try Bench.write(
                """
                task_log = "failures"
                [queues.special]
                slots = 1
                [functions."where.am.i"]
                command = ["sh", "-c", "printf '[\\"%s\\", \\"%s\\"]' \\"$PWD\\" \\"$LEVEL\\""]
                directory = "/"
                environment = { LEVEL = "9" }
                max_attempts = 1
                """, to: path)
            _ = try await bench.hark("enqueue", "where.am.i", "--queue", "special")
            let code = try await bench.work("--config", path, "--until-empty") { worker in
                try await worker.line("works on special (1 slot)")
            }
            #expect(code == 0)
            #expect(try await bench.hark("wait", "1").line == #"["/", "9"]"#)
            let task = try JSON(try await bench.hark("show", "1", "--json").out)
            #expect(task["max_attempts"]?.int == 1)
        }
    }
}
