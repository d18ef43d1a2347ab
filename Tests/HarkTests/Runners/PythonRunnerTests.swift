import Glibc
@testable import Hark
import Testing

/// One after the other: each has several processes, and two cores are few.
@Suite("The runner of Python functions", .serialized)
struct PythonRunnerTests {
    // MARK: What comes out

    @Test(
        "what a function returns is the result",
        arguments: [
            ("probe.ordinary.add", "[3, 14]", "17"),
            ("probe.ordinary.add", #"{"a": 1, "b": 2}"#, "3"),
            ("probe.ordinary.greet", #"["ada"]"#, #""ada""#),
            ("probe.ordinary.greet", #"{"*": ["ada"], "loud": true}"#, #""ADA""#),
            ("probe.ordinary.echo", #"[null, 1.5, {"x": []}]"#, #"{"args":[null,1.5,{"x":[]}],"kwargs":{}}"#),
            ("probe.ordinary.later", "[7]", "7"),
            ("probe.ordinary.listed", "{}", #""in __all__""#),
            ("probe.ordinary.where", "[]", "\"\(Snake.directory)\""),
        ])
    func results(_ function: String, _ args: String, _ result: String) async throws {
        #expect(await Snake.outcome(function, args).text == result)
    }

    @Test("None is no result")
    func none() async throws {
        #expect(await Snake.outcome("probe.ordinary.nothing") == .completed(result: nil))
    }

    @Test("what JSON cannot hold becomes text, as a Django user expects, and the log says so")
    func everything() async throws {
        let outlet = CollectingOutlet()
        let text = await Snake.outcome("probe.ordinary.everything", outlet).text ?? ""
        for part in [
            #""when":"2026-11-25T12:30:00"#, #""day":"2026-11-25""#, #""price":"3.50""#, #""id":"12345678-1234-5678-1234-567812345678""#,
            #""thing":"a thing""#, #""set":[1]"#, #""[1, 2]":"key""#, #""nan":"NaN""#, "\"nul\":\"a\u{FFFD}b\"", "\"half\":\"\u{FFFD}\"",
        ] { #expect(text.contains(part), "\(part) in \(text)") }
        #expect(outlet.lines.contains { $0.text.contains("Thing") && $0.text.contains("text") })
        #expect(await Snake.outcome("probe.ordinary.circular").text == #""[[...]]""#)
    }

    @Test("a result of 50 MB stays with its interpreter, and fails the task for good")
    func large() async throws {
        let outcome = await Snake.outcome("probe.ordinary.bytes_of", "[52428800]")
        #expect(outcome == .failed(AttemptError(.error, "the result has 52428802 bytes, more than the 1048576 that are stored; store it elsewhere and return where")))
        #expect(await Snake.outcome("probe.ordinary.bytes_of", "[1048574]").text?.utf8.count == 1_048_576)
    }

    @Test("what is printed goes to the log, with the fields of the task")
    func prints() async throws {
        let outlet = CollectingOutlet()
        let task = claimed("probe.ordinary.talk", queue: "mail", attempt: 3)
        _ = await Snake.outcome(task, outlet)
        let lines = outlet.lines.filter { $0.metadata["task_id"] == "\(task.id)" }
        #expect(Set(lines.map(\.text)) == ["one", "two", "three", "and no end"])
        #expect(lines.allSatisfy { $0.metadata == ["task_id": "\(task.id)", "function": task.function, "queue": "mail", "attempt": "3"] })
    }

    @Test("a function may say what is to become of its task, without anything to import")
    func verdicts() async throws {
        func says(_ words: String) async -> Outcome { await Snake.outcome("probe.naughty.says", words).withoutDetail }
        #expect(await says(#"["retry", 90, "busy"]"#) == .retry(after: .seconds(90), AttemptError(.error, "busy")))
        #expect(await says(#"["retry", null, "busy"]"#) == .retry(after: nil, AttemptError(.error, "busy")))
        #expect(await says(#"["fail", "no such customer"]"#) == .failed(AttemptError(.error, "no such customer")))
        #expect(await says(#"["cancel", "not wanted"]"#) == .cancelled(AttemptError(.cancelled, "not wanted")))
        #expect(await says(#"["snooze", 60]"#) == .snoozed(.seconds(60)))
    }

    // MARK: What may be run

    @Test(
        "only public functions of an allowed module itself are run",
        arguments: [
            ("os.system", "os.system may not be run: this worker's modules are probe ([python] modules)"),
            ("probe.ordinary._private", "_private"),
            ("probe.ordinary.__init__", "__init__"),
            ("probe.ordinary.getcwd", "getcwd"),
            ("probe.ordinary.os", "os"),
            ("probe.ordinary.not_callable", "not_callable"),
            ("probe.ordinary.Klass", "Klass"),
            ("probe.naughty.ctypes.string_at", "ctypes"),
        ])
    func refused(_ function: String, _ word: String) async throws {
        let outcome = await Snake.outcome(function)
        guard case .failed(let error) = outcome else {
            // Below a module that is no package there is no module: that may yet come.
            guard function == "probe.naughty.ctypes.string_at", case .errored(let error) = outcome else { Issue.record("\(outcome)"); return }
            #expect(error.message.contains("ctypes"))
            return
        }
        #expect(error.message.contains(word), "\(error.message)")
    }

    @Test("a module or function that is not there, or cannot be imported, may come with the next deploy: an error, tried again")
    func missing() async throws {
        let outcomes = await Snake.outcomes([claimed("probe.nowhere.f"), claimed("probe.ordinary.nope"), claimed("probe.broken.f")])
        #expect(outcomes[0].withoutDetail == .errored(AttemptError(.error, "there is no module probe.nowhere")))
        #expect(outcomes[1].withoutDetail == .errored(AttemptError(.error, "probe.ordinary has no function nope")))
        guard case .errored(let error) = outcomes[2] else { Issue.record("\(outcomes[2])"); return }
        #expect(error.message == "cannot import probe.broken: ModuleNotFoundError: No module named 'a_module_that_is_not_there'")
        #expect(error.detail?.contains("broken.py\", line 1") == true)
    }

    @Test("arguments that do not fit fail for good; a TypeError from within is an error like others")
    func arguments() async throws {
        let outcomes = await Snake.outcomes([
            claimed("probe.ordinary.add", "[3]"), claimed("probe.ordinary.add", #"{"a": 1, "c": 2}"#), claimed("probe.naughty.raises_type_error"),
        ])
        #expect(outcomes[0].withoutDetail == .failed(AttemptError(.error, "arguments do not fit probe.ordinary.add(a, b): missing a required argument: 'b'")))
        #expect(outcomes[1].error?.message.contains("arguments do not fit probe.ordinary.add(a, b)") == true)
        guard case .errored(let error) = outcomes[2] else { Issue.record("\(outcomes[2])"); return }
        #expect(error.message == "TypeError: object of type 'int' has no len()")
        #expect(error.detail?.contains("raises_type_error") == true && error.detail?.contains("<hark>") == false)
    }

    // MARK: What goes wrong

    @Test("an exception is an error, with its type, its message and the traceback")
    func raises() async throws {
        let error = try #require(await Snake.outcome("probe.naughty.raises", #"["it broke"]"#).error)
        #expect(error.kind == .error)
        #expect(error.message == "probe.naughty.Trouble: it broke" || error.message == "Trouble: it broke")
        #expect(error.detail?.hasPrefix("Traceback") == true && error.detail?.contains("naughty.py") == true)
        #expect(await Snake.outcome("probe.naughty.exits", "[0]").error?.message.contains("SystemExit") == true)
    }

    @Test(
        "what ends an interpreter costs its own task, and nobody else anything",
        arguments: [
            ("probe.naughty.ends_process", "[7]", "ended its interpreter with exit code 7"),
            ("probe.naughty.ends_process", "[0]", "ended its interpreter with exit code 0"),
            ("probe.naughty.crashes", "[]", "its interpreter was ended by SIGSEGV"),
            ("probe.naughty.closes_all", "[]", "closed the connection between its interpreter and the worker"),
            ("probe.naughty.writes_everywhere", "[]", "wrote to the connection between its interpreter and the worker; the interpreter was ended"),
        ])
    func ends(_ function: String, _ args: String, _ message: String) async throws {
        let neighbours = (0..<10).map { claimed("probe.ordinary.add", "[\($0), 1]") }
        let culprit = claimed(function, args)
        let outcomes = await Snake.outcomes(neighbours.prefix(5) + [culprit] + neighbours.suffix(5)) { $0.interpreters = 1 }
        guard case .errored(let error) = outcomes[5] else { Issue.record("\(outcomes[5])"); return }
        #expect(error.kind == .crash && error.message == message)
        #expect((outcomes.prefix(5) + outcomes.suffix(5)).map(\.text) == (1...10).map { "\($0)" })
    }

    @Test("the traceback of a crash is kept with its error")
    func crashDetail() async throws {
        #expect(await Snake.outcome("probe.naughty.crashes").error?.detail?.contains("Segmentation fault") == true)
    }

    @Test("endless recursion and too much memory are ordinary errors")
    func bounds() async throws {
        #expect(await Snake.outcome("probe.naughty.recurses").error?.message.hasPrefix("RecursionError") == true)
        let outcomes = await Snake.outcomes([claimed("probe.naughty.takes_memory", "[4000]"), claimed("probe.ordinary.add", "[1, 1]")]) {
            $0.interpreters = 1
            $0.memoryLimit = 256 << 20
        }
        #expect(outcomes[0].error?.message.hasPrefix("MemoryError") == true)
        #expect(outcomes[1].text == "2")
    }

    @Test("one that is killed from outside, as for want of memory, is an honest error")
    func killed() async throws {
        let outlet = CollectingOutlet()
        let task = claimed("probe.naughty.waits_for", #"["/nowhere"]"#)
        try await running(Snake.runner(), outlet) { runner in
            runner.start([claimed("probe.ordinary.pid")])
            #expect(await outlet.until { $0.count == 1 })
            runner.start([task])
            #expect(await outlet.until { $0.lines.contains { $0.text == "waiting" } })
            // The only interpreter is the one that said its number.
            kill(pid_t(outlet.outcomes[0].outcome.text ?? "") ?? -1, SIGKILL)
            #expect(await outlet.until { $0.count == 2 })
        }
        #expect(outlet.outcome(of: task.claim)?.error?.message == "its interpreter was ended by SIGKILL: out of memory, or killed by somebody")
    }

    // MARK: Being stopped

    @Test(
        "a stop reaches the function, or ends its interpreter",
        arguments: ["sleeps", "spins", "sleeps_async", "swallows", "spins_in_c"], [StopReason.timeout, .cancelled, .shutdown])
    func stops(_ function: String, _ reason: StopReason) async throws {
        let outlet = CollectingOutlet()
        let task = claimed("probe.naughty.\(function)", function.hasPrefix("sleeps") ? "[600]" : "[]", timeout: .seconds(60))
        let neighbour = claimed("probe.ordinary.add", "[1, 1]")
        try await running(Snake.runner(), outlet) { runner in
            runner.start([task, neighbour])
            // It begins when it is said to live.
            #expect(await outlet.until { $0.alive.contains(task.claim) })
            runner.stop(task.claim, reason, grace: .milliseconds(200))
            #expect(await outlet.until { $0.count == 2 })
        }
        let outcome = try #require(outlet.outcome(of: task.claim))
        switch reason {
        case .timeout: #expect(outcome.error?.kind == .timeout)
        case .cancelled: #expect(outcome.error?.kind == .cancelled)
        default: #expect(outcome == .released)
        }
        #expect(outlet.outcome(of: neighbour.claim)?.text == "2")
    }

    @Test("a cancelled async function may clean up")
    func cleansUp() async throws {
        let outlet = CollectingOutlet()
        let task = claimed("probe.naughty.sleeps_async", "[600]", timeout: .seconds(60))
        try await running(Snake.runner(), outlet) { runner in
            runner.start([task])
            #expect(await outlet.until { $0.lines.contains { $0.text == "began" } })
            runner.stop(task.claim, .cancelled, grace: .seconds(30))
            #expect(await outlet.until { $0.count == 1 })
        }
        #expect(outlet.lines.contains { $0.text == "cleaned up" && $0.metadata["task_id"] == "\(task.id)" })
    }

    @Test("when the runner is cancelled, what runs is stopped and everything is released")
    func cancelled() async throws {
        let outlet = CollectingOutlet()
        let runner = Snake.runner { $0.grace = .milliseconds(200) }
        let life = Task { await runner.run(outlet) }
        let tasks = [claimed("probe.naughty.sleeps", "[600]", timeout: .seconds(60))] + (0..<3).map { _ in claimed("probe.naughty.sleeps", "[600]") }
        runner.start(tasks)
        #expect(await outlet.until { $0.alive.contains(tasks[0].claim) })
        life.cancel()
        await life.value
        #expect(tasks.map { outlet.outcome(of: $0.claim) } == Array(repeating: .released, count: 4))
    }

    // MARK: What a function leaves behind

    @Test("a function that closes its standard descriptors completes, and its interpreter is replaced")
    func closesLow() async throws {
        let outlet = CollectingOutlet()
        let outcomes = await Snake.outcomes(
            [claimed("probe.ordinary.pid"), claimed("probe.naughty.closes_low"), claimed("probe.ordinary.pid"), claimed("probe.ordinary.talk")], outlet)
        #expect(outcomes[1] == .completed(result: nil))
        #expect(outcomes[0].text != outcomes[2].text)
        #expect(outlet.lines.contains { $0.text == "three" })
    }

    @Test("a function that forks is run once, whatever its child does")
    func forks() async throws {
        let outlet = CollectingOutlet()
        let outcomes = await Snake.outcomes([claimed("probe.naughty.forks"), claimed("probe.ordinary.add", "[1, 1]")], outlet)
        #expect(outcomes.map(\.text) == [#""once""#, "2"])
        #expect(outlet.count == 2)
    }

    @Test("a child that a Python function leaves behind is ended before its outcome is told")
    func leavesChild() async throws {
        #expect(await Snake.outcome("probe.naughty.leaves_child").text == #""left""#)
        #expect(Snake.processes(of: ["sleep", "7100"]) == [])
    }

    @Test("a child that outlives its interpreter is ended, and holds nobody up")
    func outlives() async throws {
        let outcomes = await Snake.outcomes([claimed("probe.naughty.dies_before_its_child"), claimed("probe.ordinary.add", "[1, 1]")])
        #expect(outcomes.map(\.withoutDetail) == [.errored(AttemptError(.crash, "ended its interpreter with exit code 3")), .completed(result: Array("2".utf8))])
        #expect(Snake.processes(of: ["sleep", "7300"]) == [])
    }

    @Test("a program that the function waits for costs its interpreter nothing")
    func program() async throws {
        let outcomes = await Snake.outcomes([claimed("probe.ordinary.pid"), claimed("probe.naughty.runs_program"), claimed("probe.ordinary.pid")])
        #expect(outcomes[1].text == #""hello""#)
        #expect(outcomes[0].text == outcomes[2].text)
    }

    @Test("signal handlers, timers and the working directory are as they were for the next task")
    func restores() async throws {
        let outcomes = await Snake.outcomes([
            claimed("probe.naughty.installs_handlers"), claimed("probe.naughty.handlers"), claimed("probe.naughty.changes_directory"), claimed("probe.ordinary.where"),
        ])
        #expect(outcomes[1].text == "[true,true,0.0]")
        #expect(outcomes[3].text == "\"\(Snake.directory)\"")
    }

    @Test("a thread that goes on after its function is told to the log, and ends with its interpreter")
    func thread() async throws {
        let outlet = CollectingOutlet()
        let outcomes = await Snake.outcomes([claimed("probe.naughty.leaves_thread"), claimed("probe.ordinary.add", "[1, 1]")], outlet) { $0.grace = .milliseconds(300) }
        #expect(outcomes.map(\.text) == [#""left""#, "2"])
        #expect(outlet.lines.contains { $0.text.contains("threads") })
    }

    // MARK: Interpreters

    @Test("an interpreter keeps what was imported, and is replaced after as many tasks as it may run")
    func replaced() async throws {
        let counted = { (0..<4).map { _ in claimed("probe.ordinary.counted") } }
        #expect(await Snake.outcomes(counted()).map(\.text) == ["1", "2", "3", "4"])
        #expect(await Snake.outcomes(counted()) { $0.tasksPerInterpreter = 2 }.map(\.text) == ["1", "2", "1", "2"])
    }

    @Test("one that has grown too large is replaced")
    func grown() async throws {
        let outcomes = await Snake.outcomes([claimed("probe.ordinary.pid"), claimed("probe.ordinary.bytes_of", "[60000000]"), claimed("probe.ordinary.pid")]) {
            $0.memoryLimit = 16 << 20
        }
        #expect(outcomes[0].text != outcomes[2].text)
    }

    @Test("the environment is clean but for what the configuration adds")
    func environment() async throws {
        setenv("HARK_TEST_SECRET", "1", 1)
        let outcomes = await Snake.outcomes([claimed("probe.ordinary.environment", #"["HARK_TEST_SECRET"]"#), claimed("probe.ordinary.environment", #"["APP"]"#)]) {
            $0.environment = ["APP": "yes"]
        }
        #expect(outcomes == [.completed(result: nil), .completed(result: Array(#""yes""#.utf8))])
    }

    @Test("without an interpreter, with a directory that is not there or a module that cannot be imported, nothing is claimed and the reason is told")
    func lacking() async throws {
        for (change, word) in [
            ({ $0.interpreter = "/nowhere/python" }, "there is no program /nowhere/python"), ({ $0.directory = "/nowhere" }, "the working directory /nowhere does not exist"),
            ({ $0.preload = ["probe.broken"] }, "No module named 'a_module_that_is_not_there'"), ({ $0.interpreter = "/bin/false" }, "ended with exit code 1"),
        ] as [((inout PythonSettings) -> Void, String)] {
            let outlet = CollectingOutlet()
            try await running(Snake.runner(change), outlet) { _ in
                #expect(await outlet.until { $0.capacity.lacking?.contains(word) == true }, "\(outlet.capacity)")
            }
            #expect(outlet.capacity.count == 0)
        }
    }

    @Test("many tasks of several interpreters: each is run once")
    func many() async throws {
        let tasks = (0..<700).map { claimed("probe.ordinary.add", "[\($0), 0]") }
        #expect(await Snake.outcomes(tasks) { $0.interpreters = 3 }.map(\.text) == (0..<700).map { "\($0)" })
    }

    @Test("what was handed ahead of one that takes long is run by another")
    func recalled() async throws {
        let outlet = CollectingOutlet()
        let door = "/tmp/hark-door-\(UInt32.random(in: .min ... .max))"
        defer { unlink(door) }
        let quick = (0..<200).map { claimed("probe.ordinary.add", "[\($0), 0]") }
        let slow = claimed("probe.naughty.waits_for", "[\"\(door)\"]")
        let short = (0..<4).map { _ in claimed("probe.naughty.waits_for", #"["/"]"#) }
        try await running(Snake.runner { $0.interpreters = 2 }, outlet) { runner in
            // Known to be short from here on.
            runner.start(short + quick)
            #expect(await outlet.until { $0.count == 204 })
            runner.start([slow] + quick.map { claimed($0.function, "[1, 1]") })
            #expect(await outlet.until { $0.count == 404 })
            #expect(outlet.outcome(of: slow.claim) == nil)
            close(open(door, O_CREAT | O_WRONLY, 0o600))
            #expect(await outlet.until { $0.count == 405 })
        }
    }
}
