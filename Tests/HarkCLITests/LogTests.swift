import Hark
import Logging
import PQ
import Testing

@testable import HarkCLI

@Suite("The log of a worker")
struct LogTests {
    /// What a worker with this verbosity logs for these events.
    private func lines(_ verbosity: Configuration.TaskLog, _ events: [TelemetryEvent]) -> [String] {
        let written = Written()
        let logger = Logger(label: "test") { _ in LineLogHandler(terminal: .plain, clock: LineLogHandler.Clock.none) { written.add($0) } }
        let log = TaskLog(logger, about: "on default (10 slots)", status: { written.status($0) }) { _ in verbosity }
        for event in events { log.take(event) }
        return written.lines
    }

    private final class Written: Sendable {
        private let state = Mutex<(lines: [String], status: [String])>(([], []))
        var lines: [String] { state.withLock { $0.lines } }
        var statuses: [String] { state.withLock { $0.status } }
        func add(_ line: String) { state.withLock { $0.lines.append(line) } }
        func status(_ line: String) { state.withLock { $0.status.append(line) } }
    }

    private let task = ClaimedTask(claim: Claim(id: 42, token: 1), queue: "default", function: "resize", args: [])

    private func finished(_ verb: Write.Verb, attempt: Int = 1) -> TelemetryEvent {
        .finished(Claim(id: 42, token: 1), function: "resize", queue: "default", attempt: attempt, verb, ran: .milliseconds(12))
    }

    @Test("`all` writes start and outcome of each attempt")
    func all() {
        let events: [TelemetryEvent] = [.started(task), finished(.complete(result: nil)), finished(.retry(delay: .seconds(6), AttemptError(.error, "exited with code 3")), attempt: 2)]
        #expect(lines(.all, events) == [
            "task 42 resize: started", "task 42 resize: completed in 12 ms", "warning: task 42 resize #2: exited with code 3; next attempt in 6 s",
        ])
    }

    @Test("`failures` writes only what went wrong")
    func failures() {
        let events: [TelemetryEvent] = [.started(task), finished(.complete(result: nil)), finished(.fail(AttemptError(.error, "gave up")))]
        #expect(lines(.failures, events) == ["error: task 42 resize: failed: gave up"])
    }

    @Test("a database that is away is reported once for each reason, not for each try")
    func waiting() {
        let refused = TelemetryEvent.waiting(for: "signal", reason: "refused", retryIn: .zero)
        let starting = TelemetryEvent.waiting(for: "work", reason: "starting up", retryIn: .zero)
        let events = [refused, refused, starting, starting, .joined(worker: 3), .listener(.listening(since: .zero)), .joined(worker: 3), refused]
        #expect(lines(.all, events) == [
            "warning: waiting for the database: refused; trying again until it is there",
            "warning: waiting for the database: starting up; trying again until it is there",
            "worker 3 works on default (10 slots)", "listening", "warning: waiting for the database: refused; trying again until it is there",
        ])
    }

    @Test("a function that is missing is named once, however many tasks want it")
    func blocked() {
        #expect(lines(.failures, [.blocked(task), .blocked(task)]).count == 1)
    }

    @Test("a function that does not end is named with its queue and attempt")
    func deaf() {
        #expect(lines(.failures, [.deaf(Claim(id: 42, token: 1), function: "resize", queue: "images", attempt: 2)])
            == ["warning: task 42 resize #2: does not end although it was asked to; its slot stays taken"])
    }

    @Test("what a function says is told from what is said of it, and cannot touch the terminal")
    func said() {
        let handler = LineLogHandler(terminal: .plain, clock: LineLogHandler.Clock.none)
        let metadata: Logger.Metadata = ["task_id": "42", "function": "re\u{1B}size", "queue": "default", "attempt": "1"]
        #expect(handler.line(level: .info, "\u{1B}[2Jhello\tthere", metadata) == "task 42 re␛size | ␛[2Jhello    there")
        #expect(handler.line(level: .error, "odd", ["code": "3"]) == "error: odd code=3")
    }

    @Test("the status line says how the worker is")
    func status() {
        var status = WorkerStatus()
        #expect(status.statusLine == "waiting for the database")
        status.take(.waiting(for: "signal", reason: "refused", retryIn: .zero))
        #expect(status.statusLine == "waiting for the database: refused")
        status.take(.listener(.listening(since: .zero)))
        status.take(.started(task))
        #expect(status.statusLine == "listening, 1 running, 0 done")
        status.take(finished(.fail(AttemptError(.error, "gave up"))))
        #expect(status.statusLine == "listening, 0 running, 1 done, last error: resize: gave up")
        status.take(.draining(running: 0))
        #expect(status.statusLine == "draining 0 tasks")
    }
}
