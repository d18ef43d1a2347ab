import PQ
import TestSupport
import Testing

@testable import HarkCLI

@Suite("The verbs, on a real server")
struct VerbTests {
    @Test("migrate brings an empty database up to date, once, and says how it stands")
    func migrate() async throws {
        try await Bench.with(migrated: false) { bench in
            let early = try await bench.hark("list")
            #expect(early.code == 78)
            #expect(early.err.contains("Run `hark migrate`"))
            let missing = try await bench.hark("migrate", "--status")
            #expect(missing.code == 1)
            #expect(missing.out.contains("missing"))
            let first = try await bench.hark("migrate")
            #expect(first.code == 0)
            #expect(first.out.contains("applied 0001_create_tasks"))
            let second = try await bench.hark("migrate")
            #expect(second.code == 0)
            #expect(second.line == "The schema is up to date.")
            let status = try await bench.hark("migrate", "--status", "--json")
            #expect(status.code == 0)
            #expect(try JSON(status.out).elements.allSatisfy { $0["applied"] == .bool(true) })
        }
    }

    @Test("a migrate that has to wait says for whom, and goes on when it may")
    func migrateWaits() async throws {
        try await Bench.with(migrated: false) { bench in
            let other = try await bench.database.connect()
            _ = try await other.execute("select pg_advisory_lock(7311041209552301)")
            let code = try await HarkProcess.start(["migrate"], environment: bench.environment) { migrate in
                try await migrate.line("waiting for process \(other.backendPid) (hark) of the server, which holds the lock of migrations")
                await other.close()
            }
            #expect(code == 0)
            #expect(try await bench.hark("migrate", "--status").code == 0)
        }
    }

    @Test("migrate --sql needs no database and prints what psql can run")
    func migrateSQL() async throws {
        let result = try await HarkProcess.run("migrate", "--sql", environment: ["HARK_DATABASE": "host=/nowhere"])
        #expect(result.code == 0)
        #expect(result.out.contains("create schema hark;"))
    }

    @Test("enqueue prints the id; show and list know the task by it")
    func enqueue() async throws {
        try await Bench.with { bench in
            let id = try await bench.hark(
                "enqueue", "resize", #"{"image": 7}"#, "--queue", "images", "--priority=-3", "--in", "5m", "--unique-key", "k", "--max-attempts", "3", "--timeout", "30s")
            #expect(id.code == 0)
            let number = try #require(Int64(id.line))
            let task = try JSON(try await bench.hark("show", id.line, "--json").out)
            #expect(task["id"]?.int == number)
            #expect(task["state"]?.string == "scheduled")
            #expect(task["queue"]?.string == "images")
            #expect(task["priority"]?.int == -3)
            #expect(task["args"]?.line == #"{"image": 7}"#)
            #expect(task["max_attempts"]?.int == 3)
            #expect(task["timeout"]?.double == 30)
            #expect(task["run_at"]?.string?.hasSuffix("Z") == true)
            let listed = try JSON(try await bench.hark("list", "--queue", "images", "--json").out).elements
            #expect(listed.map { $0["id"]?.int } == [number])
            let page = try await bench.hark("show", id.line)
            #expect(page.out.contains("Task \(number)  resize  scheduled"))
            #expect(page.out.contains("unique key    k"))
            let twin = try await bench.hark("enqueue", "resize", "--unique-key", "k")
            #expect(twin.code == 0)
            #expect(twin.line == id.line)
            #expect(twin.err.contains("unfinished task with this unique key"))
        }
    }

    @Test("--at takes a time as PostgreSQL reads it")
    func at() async throws {
        try await Bench.with { bench in
            let id = try await bench.hark("enqueue", "f", "--at", "2100-01-31 09:00+01")
            #expect(try JSON(try await bench.hark("show", id.line, "--json").out)["run_at"]?.string == "2100-01-31T08:00:00.000000Z")
            let wrong = try await bench.hark("enqueue", "f", "--at", "soonish")
            #expect(wrong.code == 64)
            #expect(wrong.err.contains("--at soonish: PostgreSQL cannot read this as a time"))
        }
    }

    @Test("bad input is a usage error with a sentence, before the database is asked", arguments: [
        (["enqueue", "f", "{a: 1}"], "not JSON"), (["enqueue", "f", "3"], "must be a JSON list or object"), (["enqueue", "f", "--priority", "11"], "between -10 and 10"),
        (["enqueue", "f", "--in", "soon"], "is not a duration"), (["enqueue", "f", "--in", "1s", "--at", "now"], "exclude each other"), (["enqueue"], "Missing expected argument"),
        (["enqueue", "f", "--timeout", "0s"], "longer than zero"), (["enqueue", "f", "--max-attempts", "0"], "between 1 and 1000"), (["list", "--state", "runing"], "Did you mean running?"),
        (["list", "--limit", "0"], "between 1 and"), (["show", "x"], "'x' is invalid"), (["retry"], "Give the ids of tasks"), (["cancel", "1", "--queue", "q"], "not both"),
        (["liist"], "did you mean hark list?"), (["help", "liist"], "did you mean hark list?"), (["work", "--queue", "mail=none"], "slots are a number"), (["migrate", "--sql", "--status"], "exclude each other"),
        (["list", "--database", "postgresql://u:pass%zz@h"], "database address can not be read"),
    ])
    func usage(arguments: [String], message: String) async throws {
        let result = try await HarkProcess.run(arguments, environment: ["HARK_DATABASE": "host=/nowhere"])
        #expect(result.code == 64)
        #expect(result.err.contains(message), "\(result.err)")
        #expect(!result.err.contains("pass%zz"))
    }

    @Test("a database that cannot be reached is one sentence and 69", arguments: [
        "list", "stats", "workers", "migrate", "enqueue f", "enqueue f --wait", "show 1", "wait 1", "retry 1", "cancel 1",
    ])
    func unreachable(command: String) async throws {
        let result = try await HarkProcess.run(command.split(separator: " ").map(String.init) + ["--database", "host=/nowhere password=secret"])
        #expect(result.code == 69)
        #expect(result.err.split(separator: "\n").count == 1)
        #expect(result.err.contains("cannot be reached"))
        #expect(!result.err.contains("secret"))
    }

    @Test("a server that says no has been reached, and is quoted")
    func refused() async throws {
        try await Bench.with { bench in
            let result = try await bench.hark("list", "--database", bench.url.replacing(bench.database.name, with: "nowhere"))
            #expect(result.code == 69)
            #expect(result.err.contains("refused the connection"))
            #expect(result.err.contains("does not exist"))
        }
    }

    @Test("show, wait, retry and cancel of a task that is not there end with 1")
    func unknown() async throws {
        try await Bench.with { bench in
            for verb in ["show", "wait"] {
                let result = try await bench.hark(verb, "4711")
                #expect(result.code == 1)
                #expect(result.err.contains("there is no task 4711"))
            }
            for verb in ["retry", "cancel"] {
                let result = try await bench.hark(verb, "4711")
                #expect(result.code == 1)
                #expect(result.line == "4711  skipped: not found")
            }
        }
    }

    @Test("cancel and retry change tasks by id and by filter")
    func change() async throws {
        try await Bench.with { bench in
            for _ in 1...3 { _ = try await bench.hark("enqueue", "f", "--queue", "a") }
            _ = try await bench.hark("enqueue", "f", "--queue", "b")
            #expect(try await bench.hark("cancel", "1").line == "1  cancelled")
            let rest = try await bench.hark("cancel", "--queue", "a", "--json")
            #expect(try JSON(rest.out).elements.map { $0["id"]?.int } == [2, 3])
            #expect(try await bench.hark("cancel", "1").code == 1)
            let none = try await bench.hark("retry", "--queue", "a")
            #expect(none.code == 0)
            #expect(none.err.contains("no such tasks"))
            let revived = try await bench.hark("retry", "--queue", "a", "--state", "cancelled")
            #expect(revived.out.split(separator: "\n") == ["1  ready", "2  ready", "3  ready"])
            #expect(try JSON(try await bench.hark("list", "--state", "ready", "--json").out).elements.count == 4)
        }
    }

    @Test("a change of many is a number, and the exceptions")
    func changeMany() async throws {
        try await Bench.with { bench in
            _ = try await bench.sql("insert into hark.tasks (function) select 'f' from generate_series(1, 2500)")
            let result = try await bench.hark("cancel", "--function", "f")
            #expect(result.code == 0)
            #expect(result.line == "2500 cancelled")
        }
    }

    @Test("names that hold escape sequences reach no terminal")
    func escapes() async throws {
        try await Bench.with { bench in
            _ = try await bench.sql("insert into hark.tasks (function, args) values (E'evil\\x1b]0;x\\x07', '[\"\\u001b[2J\"]')")
            for result in [try await bench.hark("list"), try await bench.hark("show", "1"), try await bench.hark("list", "--json"), try await bench.hark("show", "1", "--json")] {
                #expect(result.code == 0)
                #expect(result.out.contains("evil"))
                #expect(!result.out.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
            }
        }
    }

    @Test("completions and help are there for every verb")
    func help() async throws {
        #expect(try await HarkProcess.run("--version").line == "0.1.0")
        for shell in ["bash", "zsh", "fish"] { #expect(try await HarkProcess.run("--generate-completion-script", shell).out.contains("enqueue")) }
        for verb in ["dev", "migrate", "work", "enqueue", "list", "show", "wait", "retry", "cancel", "workers", "stats", "doctor"] {
            let result = try await HarkProcess.run(verb, "--help")
            #expect(result.code == 0)
            #expect(result.out.contains("USAGE: hark \(verb)"))
        }
    }
}
