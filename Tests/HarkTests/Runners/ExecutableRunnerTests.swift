import Glibc
import Hark
import Logging
import PQ
import Testing

@Suite("The runner of executables")
struct ExecutableRunnerTests {
    // MARK: What comes out

    @Test(
        "what is printed is the result: JSON as it is, else text, else nothing",
        arguments: [
            (#"printf '{"a": [1, 2.5e3]}'"#, #"{"a": [1, 2.5e3]}"#),
            ("echo hello", #""hello""#),
            ("printf 'two\\nlines \"quoted\"\\n'", #""two\nlines \"quoted\"""#),
            ("cat", "[1, 2]"),
            ("printf '\\377ok'", "\"\u{FFFD}ok\""),
            ("printf 'a\\000b'", #""a\ufffdb""#),
            (#"printf '{"a": "x\\u0000y"}'"#, #"{"a": "x\ufffdy"}"#),
            (#"printf '"\\ud800"'"#, #""\"\\ud800\"""#),
            ("printf 01", #""01""#),
        ])
    func results(_ script: String, _ result: String) async throws {
        #expect(try await outcome(ofShell: script, "[1, 2]")?.text == result)
    }

    @Test("nothing printed, or only white space, is no result", arguments: ["true", "echo", "printf ' \\n '"])
    func noResult(_ script: String) async throws {
        #expect(try await outcome(ofShell: script) == .completed(result: nil))
    }

    @Test("replaced NUL characters are told to the log")
    func mended() async throws {
        let outlet = CollectingOutlet()
        _ = try await outcome(ofShell: "printf 'a\\000b'", "[]", outlet)
        #expect(outlet.lines.contains { $0.level == .warning && $0.text.contains("NUL") })
    }

    @Test("a child that floods stdout is stopped and its task fails")
    func flood() async throws {
        let outcome = try await outcome(ofShell: "echo before >&2; exec yes")
        #expect(outcome == .failed(AttemptError(.error, "printed more than 1 MiB on stdout and was stopped", detail: "before")))
    }

    @Test("a child that floods stdout and ignores SIGTERM is killed")
    func stubbornFlood() async throws {
        let runner = try shell(["it": "trap '' TERM; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done"]) {
            $0.outputLimit = 1000
            $0.grace = .milliseconds(50)
        }
        let error = await outcome(runner, claimed("it"))?.error
        #expect(error?.message == "printed more than 1000 bytes on stdout and was stopped")
    }

    @Test("exactly the limit is not too much")
    func atTheLimit() async throws {
        let outcome = try await outcome(ofShell: "head -c 1048576 /dev/zero | tr '\\0' a")
        #expect(outcome?.text?.utf8.count == 1_048_576 + 2)
    }

    @Test(
        "the exit code says what becomes of the task",
        arguments: [
            ("echo why >&2; exit 75", Outcome.retry(after: nil, AttemptError(.error, "asked to be run again (exit code 75)", detail: "why"))),
            ("echo bad >&2; exit 65", .failed(AttemptError(.error, "gave up for good (exit code 65)", detail: "bad"))),
            ("echo one; exit 3", .errored(AttemptError(.error, "exited with code 3"))),
            ("kill -SEGV $$", .errored(AttemptError(.crash, "was ended by SIGSEGV"))),
            ("kill -KILL $$", .errored(AttemptError(.crash, "was ended by SIGKILL"))),
        ])
    func exits(_ script: String, _ expected: Outcome) async throws {
        #expect(try await outcome(ofShell: script) == expected)
    }

    @Test("stderr goes to the log line by line, with the fields of the task")
    func stderr() async throws {
        let outlet = CollectingOutlet()
        let task = claimed("it", queue: "mail", attempt: 2)
        let runner = try shell(["it": "echo one >&2; printf 'two\\r\\nthree' >&2; exit 1"])
        let error = await outcome(runner, task, outlet)?.error
        #expect(outlet.lines.map(\.text) == ["one", "two", "three"])
        #expect(outlet.lines[0].metadata == ["task_id": "\(task.id)", "function": "it", "queue": "mail", "attempt": "2"])
        #expect(error?.detail == "one\ntwo\nthree")
    }

    @Test("only the end of a long stderr is kept with the error, and a long line comes in pieces")
    func longStderr() async throws {
        let outlet = CollectingOutlet()
        let script = "i=0; while [ $i -lt 200 ]; do echo line $i >&2; i=$((i+1)); done; head -c 20000 /dev/zero | tr '\\0' x >&2; exit 1"
        let detail = try await outcome(ofShell: script, "[]", outlet)?.error?.detail ?? ""
        #expect(outlet.lines.count == 203)
        #expect(outlet.lines.suffix(3).map(\.text.utf8.count) == [8192, 8192, 20000 - 16384])
        #expect(detail.utf8.count <= 8192 && detail.hasSuffix("xxx"))
        let short = try await outcome(ofShell: "i=0; while [ $i -lt 200 ]; do echo line $i >&2; i=$((i+1)); done; exit 1")
        #expect(short?.error?.detail?.split(separator: "\n").map(String.init) == (150..<200).map { "line \($0)" })
    }

    // MARK: What goes in

    @Test("a child that closes stdin at once, with a megabyte of arguments, does no harm")
    func closedStdin() async throws {
        let args = "[\"" + String(repeating: "a", count: 1 << 20) + "\"]"
        #expect(try await outcome(ofShell: "exec <&-; echo ok", args)?.text == #""ok""#)
        #expect(try await outcome(ofShell: "wc -c", args)?.text == "\(args.utf8.count)\n")
    }

    @Test("the environment is clean but for what the configuration and the task add")
    func environment() async throws {
        let runner = try shell(["it": "/usr/bin/env -u PWD -u SHLVL -u _ | sort"]) { $0.environment = ["APP": "yes"] }
        let task = claimed("it", timeout: .seconds(30), queue: "mail", attempt: 4)
        let text = await outcome(runner, task)?.text ?? ""
        let lines = text.dropFirst().dropLast().replacing("\\n", with: "\n").split(separator: "\n").map(String.init)
        let names = lines.map { String($0.prefix { $0 != "=" }) }
        let allowed: Set = ["PATH", "HOME", "LANG", "TZ", "APP", "NOTIFY_SOCKET", "WATCHDOG_USEC", "HARK_TASK_ID", "HARK_TOKEN",
            "HARK_ATTEMPT", "HARK_QUEUE", "HARK_FUNCTION", "HARK_WORKER"]
        #expect(Set(names).isSubset(of: allowed), "\(names)")
        for line in ["APP=yes", "HARK_TASK_ID=\(task.id)", "HARK_TOKEN=\(task.claim.token)", "HARK_ATTEMPT=4", "HARK_QUEUE=mail",
            "HARK_FUNCTION=it", "WATCHDOG_USEC=30000000"] {
            #expect(lines.contains(line))
        }
    }

    @Test("a child starts in the configured directory, and is told when there is none")
    func workingDirectory() async throws {
        let runner = try shell(["it": "pwd"]) { $0.workingDirectory = "/usr/lib" }
        #expect(await outcome(runner, claimed("it"))?.text == #""/usr/lib""#)
        let lost = try shell(["it": "pwd"]) { $0.workingDirectory = "/nowhere" }
        #expect(await outcome(lost, claimed("it"))?.error?.message == "cannot start: the working directory /nowhere does not exist")
    }

    @Test("a child has no descriptors of the worker's")
    func descriptors() async throws {
        let script = "i=0; while [ $i -lt 200 ]; do [ -e /proc/self/fd/$i ] && printf '%s ' $i; i=$((i+1)); done"
        #expect(try await outcome(ofShell: script)?.text == #""0 1 2 ""#)
    }

    // MARK: What can be started

    @Test("each executable file of the directory is a function named after it")
    func directory() async throws {
        let shop = Workshop()
        shop.write("resize_image.sh", "#!/bin/sh\necho resized\n")
        shop.write("v1.2.py", "#!/bin/sh\n")
        shop.write("notes.txt", "not a program", mode: 0o644)
        shop.write(".hidden", "#!/bin/sh\n")
        let runner = try ExecutableRunner(ExecutableSettings(directory: shop.directory))
        #expect(runner.functions == ["resize_image", "v1.2"])
        shop.write("later", "#!/bin/sh\n")
        #expect(runner.functions == ["resize_image", "v1.2"])
        #expect(try ExecutableRunner(ExecutableSettings(directory: shop.directory)).functions == ["resize_image", "v1.2", "later"])
        #expect(await outcome(runner, claimed("resize_image"))?.text == #""resized""#)
    }

    @Test("two programs for one name are refused")
    func twice() throws {
        let shop = Workshop()
        shop.write("a.sh", "#!/bin/sh\n")
        shop.write("a.py", "#!/bin/sh\n")
        let error = #expect(throws: ExecutableSettingsError.self) { try ExecutableRunner(ExecutableSettings(directory: shop.directory)) }
        #expect(error?.description == "\(shop.directory) has two files for the function a, a.py and a.sh: rename or remove one")
        #expect(throws: ExecutableSettingsError.self) {
            try ExecutableRunner(ExecutableSettings(directory: shop.directory, commands: ["a": ["/bin/true"]]))
        }
        #expect(throws: ExecutableSettingsError.self) { try ExecutableRunner(ExecutableSettings(directory: "/nowhere")) }
        #expect(throws: ExecutableSettingsError.self) { try ExecutableRunner(ExecutableSettings(commands: ["b": []])) }
    }

    @Test("what cannot be started says why")
    func unstartable() async throws {
        let shop = Workshop()
        shop.write("plain", "echo\n", mode: 0o644)
        shop.write("lost", "#!/no/such/interpreter -x\n")
        shop.write("text", "this is no program\n")
        let runner = { try ExecutableRunner(ExecutableSettings(commands: [
            "missing": ["\(shop.directory)/missing"], "plain": ["\(shop.directory)/plain"], "lost": ["\(shop.directory)/lost"],
            "text": ["\(shop.directory)/text"], "unknown": ["no-such-program"], "folder": [shop.directory],
        ])) }
        let messages = [
            "missing": "cannot start: there is no program \(shop.directory)/missing",
            "plain": "cannot start: \(shop.directory)/plain is not executable (chmod +x)",
            "lost": "cannot start: \(shop.directory)/lost asks for the interpreter /no/such/interpreter, which does not exist here",
            "unknown": "cannot start: there is no program no-such-program in PATH",
            "folder": "cannot start: \(shop.directory) is not a file",
        ]
        for (name, message) in messages {
            #expect(await outcome(try runner(), claimed(name)) == .errored(AttemptError(.error, message)))
        }
        let text = await outcome(try runner(), claimed("text"))?.error?.message
        #expect(text?.contains("a script without a #! line") == true)
        #expect(await outcome(try runner(), claimed("elsewhere"))?.error?.message == "there is no function elsewhere in this worker")
    }

    @Test("a program named without a slash is found in PATH, and its arguments are passed as they are")
    func path() async throws {
        let runner = try ExecutableRunner(ExecutableSettings(commands: ["it": ["printf", "%s|", "$HOME", "a b", "*"]]))
        #expect(await outcome(runner, claimed("it"))?.text == #""$HOME|a b|*|""#)
    }

    // MARK: While it runs

    @Test("keep-alives and extensions arrive from the child's notify socket")
    func notify() async throws {
        let outlet = CollectingOutlet()
        let script = """
            import os, socket, sys
            name = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.sendto(b"READY=1\\nWATCHDOG=1\\nSTATUS=half way", name)
            s.sendto(b"EXTEND_TIMEOUT_USEC=2500000", name)
            s.sendto(b"EXTEND_TIMEOUT_USEC=nonsense\\n\\xff\\x00", name)
            r, w = os.pipe()
            s.connect(name)
            socket.send_fds(s, [b"BARRIER=1"], [w])
            os.close(w)
            os.read(r, 1)
            """
        let runner = try ExecutableRunner(ExecutableSettings(commands: ["it": ["python3", "-c", script]]))
        let task = claimed("it")
        let result = await outcome(runner, task, outlet)
        #expect(result == .completed(result: nil))
        #expect(outlet.alive == [task.claim])
        #expect(outlet.extended == [.milliseconds(2500)])
    }

    @Test(
        "a child that is asked to stop gets SIGTERM, and its task the outcome of the reason",
        arguments: [
            (StopReason.timeout, Outcome.errored(AttemptError(.timeout, "ran longer than its timeout of 30 s and was stopped"))),
            (.cancelled, .cancelled(AttemptError(.cancelled, "was cancelled while it ran"))),
            (.shutdown, .released), (.lost, .released),
        ])
    func stop(_ reason: StopReason, _ expected: Outcome) async throws {
        let runner = try shell(["it": "trap 'echo term >&2; exit 0' TERM; echo up >&2; while :; do sleep 0.05; done"])
        let outlet = CollectingOutlet()
        let task = claimed("it", timeout: .seconds(30))
        await running(runner, outlet) {
            runner.start([task])
            #expect(await outlet.until { $0.lines.contains { $0.text == "up" } })
            runner.stop(task.claim, reason, grace: .seconds(50))
            #expect(await outlet.until { !$0.outcomes.isEmpty })
            runner.stop(task.claim, .cancelled, grace: .zero)
        }
        #expect(outlet.outcomes.count == 1 && outlet.lines.contains { $0.text == "term" })
        let ended = outlet.outcome(of: task.claim)
        #expect(ended?.error?.message == expected.error?.message && ended?.error?.kind == expected.error?.kind)
        if expected == .released { #expect(ended == .released) }
    }

    @Test("a child that ignores SIGTERM is killed after the grace, with all it has started")
    func stubborn() async throws {
        let script = "trap '' TERM; setsid sleep 1000 & echo $! >&2; sleep 1000 & echo $! >&2; echo up >&2; while :; do sleep 1000; done"
        let runner = try shell(["it": script])
        let outlet = CollectingOutlet()
        let task = claimed("it", timeout: .seconds(1))
        await running(runner, outlet) {
            runner.start([task])
            #expect(await outlet.until { $0.lines.count == 3 })
            runner.stop(task.claim, .timeout, grace: .milliseconds(50))
        }
        #expect(outlet.outcome(of: task.claim)?.error?.kind == .timeout)
        let pids = outlet.lines.compactMap { pid_t($0.text) }
        #expect(pids.count == 2)
        for pid in pids { #expect(!lives(pid)) }
    }

    @Test("a second stop can only hasten the end")
    func hasten() async throws {
        let runner = try shell(["it": "trap '' TERM; echo up >&2; while :; do sleep 1000; done"])
        let outlet = CollectingOutlet()
        let task = claimed("it")
        await running(runner, outlet) {
            runner.start([task])
            #expect(await outlet.until { !$0.lines.isEmpty })
            runner.stop(task.claim, .shutdown, grace: .seconds(3600))
            runner.stop(task.claim, .cancelled, grace: .zero)
        }
        #expect(outlet.outcomes.map(\.outcome) == [.released])
    }

    @Test("a child that is stopped before it has begun does not begin")
    func stoppedEarly() async throws {
        let shop = Workshop()
        let runner = try shell(["it": "touch \(shop.directory)/begun"])
        let outlet = CollectingOutlet()
        let task = claimed("it")
        runner.start([task])
        runner.stop(task.claim, .shutdown, grace: .zero)
        await running(runner, outlet) {}
        #expect(outlet.outcomes.map(\.outcome) == [.released])
        #expect(shop.files.isEmpty)
    }

    @Test("cancelling the runner stops all children, by force if need be, and gives back what they ran")
    func cancelled() async throws {
        let runner = try shell([
            "mild": "trap 'exit 0' TERM; echo $$ >&2; while :; do sleep 0.05; done", "stubborn": "trap '' TERM; echo $$ >&2; while :; do sleep 1000; done",
        ]) { $0.grace = .milliseconds(100) }
        let outlet = CollectingOutlet()
        let run = Task { await runner.run(outlet) }
        runner.start([claimed("mild"), claimed("stubborn"), claimed("mild")])
        #expect(await outlet.until { $0.lines.count == 3 })
        run.cancel()
        await run.value
        #expect(outlet.outcomes.map(\.outcome) == [.released, .released, .released])
        let pids = outlet.lines.compactMap { pid_t($0.text) }
        #expect(pids.count == 3)
        for pid in pids { #expect(!lives(pid)) }
    }

    @Test("what stays in the process group dies with its task")
    func group() async throws {
        let outlet = CollectingOutlet()
        let outcome = try await outcome(ofShell: "sleep 1000 & echo $!", "[]", outlet)
        let pid = try #require(outcome?.text.flatMap { pid_t($0.filter(\.isNumber)) })
        #expect(!lives(pid))
    }

    @Test("every one of 500 quick tasks has exactly one outcome")
    func many() async throws {
        let runner = try ExecutableRunner(ExecutableSettings(commands: ["yes": ["/bin/echo", "1"], "no": ["/bin/false"]]))
        let outlet = CollectingOutlet()
        let tasks = (0..<500).map { claimed($0 % 5 == 0 ? "no" : "yes") }
        await running(runner, outlet) {
            for start in stride(from: 0, to: tasks.count, by: 10) {
                runner.start(Array(tasks[start..<start + 10]))
                #expect(await outlet.until { $0.count == start + 10 })
            }
        }
        #expect(outlet.outcomes.count == 500 && Set(outlet.outcomes.map(\.claim)).count == 500)
        for task in tasks {
            let expected: Outcome = task.function == "yes" ? .completed(result: Array("1\n".utf8))
                : .errored(AttemptError(.error, "exited with code 1"))
            #expect(outlet.outcome(of: task.claim) == expected)
        }
    }
}
