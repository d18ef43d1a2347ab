import Hark
import Logging
import PQ
import Testing

@Suite("The runner of Swift functions")
struct SwiftRunnerTests {
    struct Email: Codable, Sendable {
        var to: String
        var copies: Int?
    }

    struct Broken: Error, CustomStringConvertible { let description: String }

    @Test("a function is given its arguments one by one and its result comes back as JSON")
    func typed() async {
        var functions = Functions()
        functions.add("interesting_calculation") { (_: TaskContext, a: Int, b: Int) in a * b }
        functions.add("greet") { (context: TaskContext, name: String, loud: Bool?) async throws -> [String: String] in
            ["hello": loud == true ? name.uppercased() : name, "function": context.function]
        }
        #expect(await outcome(SwiftRunner(functions), claimed("interesting_calculation", "[3, 14]"))?.text == "42")
        let greeting = await outcome(SwiftRunner(functions), claimed("greet", #"["ada", true]"#))?.text
        #expect(greeting?.contains(#""hello":"ADA""#) == true)
    }

    @Test("a function may take one value, take nothing, and give nothing back")
    func shapes() async {
        var functions = Functions()
        functions.add("send", taking: Email.self) { _, email in "\(email.to) x\(email.copies ?? 1)" }
        functions.add("quiet", taking: Email.self) { _, _ in }
        functions.add("tick") { (_: TaskContext) in }
        functions.add("count") { (_: TaskContext, _: Int) in }
        functions.addRaw("echo") { _, bytes in bytes }
        let runner = { SwiftRunner(functions) }
        #expect(await outcome(runner(), claimed("send", #"{"to": "a@b/c"}"#))?.text == #""a@b/c x1""#)
        #expect(await outcome(runner(), claimed("quiet", #"{"to": "a"}"#)) == .completed(result: nil))
        #expect(await outcome(runner(), claimed("tick", "[]")) == .completed(result: nil))
        #expect(await outcome(runner(), claimed("tick", "{}")) == .completed(result: nil))
        #expect(await outcome(runner(), claimed("count", "[1]")) == .completed(result: nil))
        #expect(await outcome(runner(), claimed("echo", #"{"a": [1]}"#))?.text == #"{"a": [1]}"#)
    }

    @Test(
        "arguments that do not fit fail the task for good and say where",
        arguments: [
            (#"[3, "x"]"#, "arguments do not fit f: expected Int at index 1, found a string"),
            (#"[3]"#, "arguments do not fit f: expected 2 in a list, found 1"),
            (#"[3, 4, 5]"#, "arguments do not fit f: expected 2 in a list, found 3"),
            (#"[null, 4]"#, "arguments do not fit f: expected Int at index 0, found null"),
            (#"{"a": 1}"#, "arguments do not fit f: expected a list, found an object"),
        ])
    func misfits(_ args: String, _ message: String) async {
        var functions = Functions()
        functions.add("f") { (_: TaskContext, a: Int, b: Int) in a + b }
        #expect(await outcome(SwiftRunner(functions), claimed("f", args)) == .failed(AttemptError(.error, message)))
    }

    @Test("an object that lacks a member or has a wrong one says which")
    func misfitObjects() async {
        var functions = Functions()
        functions.add("send", taking: Email.self) { _, email in email.to }
        let missing = await outcome(SwiftRunner(functions), claimed("send", "{}"))
        #expect(missing == .failed(AttemptError(.error, #"arguments do not fit send: "to" is missing"#)))
        let wrong = await outcome(SwiftRunner(functions), claimed("send", #"{"to": [true]}"#))
        #expect(wrong == .failed(AttemptError(.error, "arguments do not fit send: expected String at to, found a list")))
    }

    @Test("what a function throws is its outcome")
    func thrown() async {
        var functions = Functions()
        functions.addRaw("retry") { _, _ in throw Verdict.retry(after: .seconds(9), reason: "busy") }
        functions.addRaw("fail") { _, _ in throw Verdict.fail(reason: "no such user") }
        functions.addRaw("cancel") { _, _ in throw Verdict.cancel(reason: "not wanted") }
        functions.addRaw("snooze") { _, _ in throw Verdict.snooze(.seconds(60)) }
        functions.addRaw("break") { _, _ in throw Broken(description: "the disk is full") }
        functions.add("nan") { (_: TaskContext) in Double.nan }
        let runner = { SwiftRunner(functions) }
        #expect(await outcome(runner(), claimed("retry")) == .retry(after: .seconds(9), AttemptError(.error, "busy")))
        #expect(await outcome(runner(), claimed("fail")) == .failed(AttemptError(.error, "no such user")))
        #expect(await outcome(runner(), claimed("cancel")) == .cancelled(AttemptError(.cancelled, "not wanted")))
        #expect(await outcome(runner(), claimed("snooze")) == .snoozed(.seconds(60)))
        #expect(await outcome(runner(), claimed("break")) == .errored(AttemptError(.error, "the disk is full")))
        guard case .failed = await outcome(runner(), claimed("nan")) else {
            Issue.record("a result that is no JSON must fail the task")
            return
        }
    }

    @Test("cancelling one function leaves the others alone, and its slot is replaced")
    func cancelOne() async {
        let gate = Gate()
        let never = Gate()
        var functions = Functions()
        functions.addRaw("wait") { context, _ in
            context.alive()
            await withTaskCancellationHandler { await gate.pass() } onCancel: {}
            try Task.checkCancellation()
            return Array("1".utf8)
        }
        functions.addRaw("wait for cancellation") { context, _ in
            context.alive()
            await withTaskCancellationHandler { await never.pass() } onCancel: { never.open() }
            try Task.checkCancellation()
            return nil
        }
        let runner = SwiftRunner(functions)
        let outlet = CollectingOutlet()
        let others = (0..<20).map { _ in claimed("wait") }
        let victim = claimed("wait for cancellation", timeout: .seconds(30))
        await running(runner, outlet) {
            runner.start(others + [victim])
            #expect(await outlet.until { $0.alive.count == 21 })
            runner.stop(victim.claim, .timeout, grace: .zero)
            runner.stop(victim.claim, .cancelled, grace: .zero)
            #expect(await outlet.until { $0.count == 1 })
            gate.open()
            #expect(await outlet.until { $0.count == 21 })
            let more = (0..<50).map { _ in claimed("wait") }
            runner.start(more)
            #expect(await outlet.until { $0.count == 71 })
        }
        #expect(outlet.outcome(of: victim.claim)
            == .errored(AttemptError(.timeout, "ran longer than its timeout of 30 s and was stopped")))
        #expect(others.allSatisfy { outlet.outcome(of: $0.claim)?.text == "1" })
    }

    @Test("the reason of a stop decides the outcome", arguments: [StopReason.cancelled, .shutdown, .lost])
    func reasons(_ reason: StopReason) async {
        let never = Gate()
        var functions = Functions()
        functions.addRaw("wait") { context, _ in
            context.alive()
            await withTaskCancellationHandler { await never.pass() } onCancel: { never.open() }
            throw Broken(description: "the connection was cancelled")
        }
        let runner = SwiftRunner(functions)
        let outlet = CollectingOutlet()
        let task = claimed("wait")
        await running(runner, outlet) {
            runner.start([task])
            #expect(await outlet.until { !$0.alive.isEmpty })
            runner.stop(task.claim, reason, grace: .zero)
        }
        let expected: Outcome = reason == .cancelled ? .cancelled(AttemptError(.cancelled, "was cancelled while it ran")) : .released
        #expect(outlet.outcome(of: task.claim) == expected)
    }

    @Test("a task that is stopped before it begins does not begin")
    func stoppedEarly() async {
        var functions = Functions()
        functions.addRaw("never") { context, _ in
            context.alive()
            return nil
        }
        let runner = SwiftRunner(functions)
        let outlet = CollectingOutlet()
        let task = claimed("never")
        runner.start([task])
        runner.stop(task.claim, .shutdown, grace: .zero)
        await running(runner, outlet) {}
        #expect(outlet.outcomes.map(\.outcome) == [.released])
        #expect(outlet.alive.isEmpty)
    }

    @Test("every one of 20,000 quick tasks has exactly one outcome, and few slots ran them")
    func many() async {
        var functions = Functions()
        functions.addRaw("noop") { _, _ in nil }
        let runner = SwiftRunner(functions)
        let outlet = CollectingOutlet()
        let tasks = (0..<20_000).map { _ in claimed("noop") }
        await running(runner, outlet) {
            for start in stride(from: 0, to: tasks.count, by: 500) { runner.start(Array(tasks[start..<start + 500])) }
        }
        #expect(outlet.outcomes.count == tasks.count)
        #expect(Set(outlet.outcomes.map(\.claim)) == Set(tasks.map(\.claim)))
    }

    @Test("a thousand functions that wait run at the same time")
    func wide() async {
        let gate = Gate()
        var functions = Functions()
        functions.addRaw("wait") { context, _ in
            context.alive()
            await gate.pass()
            return nil
        }
        let runner = SwiftRunner(functions)
        let outlet = CollectingOutlet()
        await running(runner, outlet) {
            runner.start((0..<1000).map { _ in claimed("wait") })
            #expect(await outlet.until { $0.alive.count == 1000 })
            gate.open()
        }
        #expect(outlet.outcomes.count == 1000)
    }

    @Test("cancelling the runner gives back what runs")
    func cancelled() async {
        let never = Gate()
        var functions = Functions()
        functions.addRaw("wait") { context, _ in
            context.alive()
            await withTaskCancellationHandler { await never.pass() } onCancel: { never.open() }
            try Task.checkCancellation()
            return nil
        }
        let runner = SwiftRunner(functions)
        let outlet = CollectingOutlet()
        let run = Task { await runner.run(outlet) }
        runner.start([claimed("wait")])
        #expect(await outlet.until { !$0.alive.isEmpty })
        run.cancel()
        await run.value
        #expect(outlet.outcomes.map(\.outcome) == [.released])
    }

    @Test("a function logs with the fields of its task")
    func logs() async {
        var functions = Functions()
        functions.addRaw("say") { context, _ in
            context.logger.notice("hello")
            context.extend(by: .seconds(5))
            return nil
        }
        let outlet = CollectingOutlet()
        let task = claimed("say", queue: "mail", attempt: 3)
        _ = await outcome(SwiftRunner(functions), task, outlet)
        #expect(outlet.lines.first?.text == "hello")
        #expect(outlet.lines.first?.metadata == ["task_id": "\(task.id)", "function": "say", "queue": "mail", "attempt": "3"])
        #expect(outlet.extended == [.seconds(5)])
    }
}
