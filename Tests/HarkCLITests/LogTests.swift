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
        let log = TaskLog(logger, about: { "on default (10 slots)" }) { _ in verbosity }
        for event in events { log.take(event) }
        return written.lines
    }

    private final class Written: Sendable {
        private let state = Mutex<[String]>([])
        var lines: [String] { state.withLock { $0 } }
        func add(_ line: String) { state.withLock { $0.append(line) } }
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
        #expect(lines(.failures, [.blocked(task, why: nil), .blocked(task, why: nil)]).count == 1)
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

    @Test("the status line says how the worker is, in the words of the guide")
    func status() throws {
        let guide = try Page.text("Documentation/Service.md")
        var status = WorkerStatus(slots: 10)
        func expect(_ line: String, at now: Duration = .zero) {
            #expect(status.line(at: now) == line)
            let words = line.prefix { $0 != "(" && $0 != "," && !$0.isNumber }.trimmed
            #expect(guide.contains("`\(words)"), "the guide does not explain “\(words)”")
        }
        expect("starting: waiting for the database")
        status.take(.waiting(for: "signal", reason: "refused", retryIn: .zero))
        expect("starting: waiting for the database (refused)")
        status.take(.listener(.listening(since: .zero)))
        expect("starting: looking for tasks")
        status.take(.ready)
        status.take(.started(task))
        expect("listening, 1 of 10 running, 0 done")
        status.take(finished(.fail(AttemptError(.error, "gave up"))))
        expect("listening, 0 of 10 running, 1 done, last error: resize (error)")
        status.take(.listener(.polling(since: .zero, why: "the bell is off")))
        expect("polling (the bell is off), 0 of 10 running, 1 done, last error: resize (error)")
        status.take(.refused(reason: "read-only"))
        expect("degraded: the database refuses writes (read-only), 0 of 10 running, 1 done, last error: resize (error)")
        status.take(.accepted)
        status.take(.listener(.disconnected(since: .zero, why: "gone")))
        status.take(.waiting(for: "work", reason: "gone", retryIn: .zero))
        expect("degraded: waiting for the database (gone), 0 of 10 running, 1 done, last error: resize (error)")
        status.notReloaded = "hark.toml:3: no"
        #expect(status.line(at: .zero).hasSuffix(", not reloaded: hark.toml:3: no"))
        #expect(guide.contains("`not reloaded: "))
        status.notReloaded = nil
        status.take(.started(task))
        status.take(.draining(running: 1, until: .seconds(100)))
        expect("draining, 1 task may run for 30 s more", at: .seconds(70))
        expect("stopping 1 task", at: .seconds(101))
        status.take(finished(.complete(result: nil)))
        expect("stopping", at: .seconds(101))
    }

    @Test("every kind of record has a number of its own, and a text in the catalogue")
    func catalogue() throws {
        let numbers = RecordKind.allCases.map(\.messageID)
        #expect(Set(numbers).count == numbers.count)
        #expect(numbers.allSatisfy { $0.count == 32 && $0.allSatisfy { $0.isHexDigit && !$0.isUppercase } })
        let catalogue = try Page.text("systemd/hark.catalog")
        #expect(catalogue.split(separator: "\n").filter { $0.hasPrefix("-- ") }.map { String($0.dropFirst(3)) } == numbers)
        #expect(catalogue.split(separator: "\n").filter { $0.hasPrefix("Subject: ") }.count == numbers.count)
    }
}

extension StringProtocol {
    fileprivate var trimmed: String { String(self.reversed().drop { $0 == " " }.reversed()) }
}
