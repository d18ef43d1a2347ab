internal import Hark
internal import Logging
internal import PQ
internal import Systemd

/// Turns the telemetry of a worker into log lines: one for each change of its own state, and what was asked for of its tasks.
///
/// Everything comes on the worker's loop, one event at a time; that is why this may be a class without a lock.
final class TaskLog {
    private let logger: Logger
    /// Which attempts of this function the log tells of.
    private let verbosity: (String) -> Configuration.TaskLog
    private let about: () -> String
    private var worker: Int32?
    private var lastWait: String?
    private var strangers: Set<String> = []
    private var isDraining = false

    /// - Parameter about: what the worker does, for its first line: `on default (10 slots)`.
    init(_ logger: Logger, about: @escaping () -> String, verbosity: @escaping (String) -> Configuration.TaskLog) {
        self.logger = logger
        self.about = about
        self.verbosity = verbosity
    }

    func take(_ event: TelemetryEvent) {
        switch event {
        case .joined(let id):
            if id != worker { say(.joined, .info, "worker \(id) works \(about())") }
            worker = id
        case .listener(let listener): tell(listener)
        case .waiting(_, let reason, _):
            guard reason != lastWait else { break }
            lastWait = reason
            say(.waiting, .warning, "waiting for the database: \(PostgresError(message: reason).withoutAdvice); trying again until it is there")
        case .draining(let running, _):
            guard !isDraining else { break }
            isDraining = true
            say(.draining, .info, running == 0 ? "stopping" : "stopping; \(running) \(running == 1 ? "task still runs" : "tasks still run")")
        case .trouble(let text): say(.trouble, .warning, text)
        case .rescued(let task, let from, let state):
            say(.rescued, .info, "lost by worker \(from), which died; it is \(state) now", task: task)
        case .started(let task):
            if verbosity(task.function) == .all { say(.started, .info, "started", task.id, task.function, task.queue, task.attempt) }
        case .finished(let claim, let function, let queue, let attempt, let verb, let ran):
            tell(verb, ran, function) { [self] kind, level, text in say(kind, level, text, claim.id, function, queue, attempt) }
        case .blocked(let task, let why):
            if strangers.insert(task.function).inserted {
                say(.blocked, .warning, "\(why ?? "no function \(task.function) here"): its tasks wait, blocked, for a worker that has it", task.id, task.function, task.queue, task.attempt)
            }
        case .late(let claim):
            say(.late, .warning, "its outcome came too late, it belongs to another worker by now; nothing was changed", task: claim.id)
        case .deaf(let claim, let function, let queue, let attempt):
            say(.deaf, .warning, "does not end although it was asked to; its slot stays taken", claim.id, function, queue, attempt)
        case .refused(let reason): say(.refused, .error, "the database refuses what a worker has to do: \(reason); trying again until it does not")
        case .lacking(let why?): say(.lacking, .error, "Python functions wait: \(why)")
        case .lacking(nil): say(.lacking, .info, "Python functions run")
        case .accepted: say(.accepted, .info, "the database accepts again what a worker has to do")
        case .written, .asleep, .ready: break
        }
    }

    private func tell(_ listener: Listener) {
        switch listener {
        case .listening:
            lastWait = nil
            say(.listening, .info, "listening")
        case .polling(_, let why):
            lastWait = nil
            say(.polling, .warning, "polling, for now: \(why)")
        // `waiting` says so with the reason.
        case .disconnected: break
        }
    }

    private func tell(_ verb: Write.Verb, _ ran: Duration, _ function: String, _ say: (RecordKind, Logger.Level, String) -> Void) {
        let took = Moment.duration(ran.inSeconds)
        let all = verbosity(function) == .all
        switch verb {
        case .complete: if all { say(.completed, .info, "completed in \(took)") }
        case .retry(let delay, let error): say(.retried, .warning, "\(error.message); next attempt in \(Moment.duration(delay.inSeconds))")
        case .fail(let error): say(.failed, .error, "failed: \(error.message)")
        case .cancel(let error): say(.cancelled, .info, "cancelled after \(took): \(error.message)")
        case .snooze(let delay): if all { say(.snoozed, .info, "snoozes for \(Moment.duration(delay.inSeconds))") }
        case .release: if all { say(.released, .info, "given back after \(took)") }
        case .block: break
        }
    }

    // MARK: Records

    /// About the worker, or a task that it does not run.
    private func say(_ kind: RecordKind, _ level: Logger.Level, _ text: String, task: Int64? = nil) {
        var metadata = Self.metadata(kind)
        if let task { metadata["task_id"] = "\(task)" }
        logger.log(level: level, "\(text)", metadata: metadata)
    }

    /// About an attempt.
    private func say(_ kind: RecordKind, _ level: Logger.Level, _ text: String, _ id: Int64, _ function: String, _ queue: String, _ attempt: Int) {
        let attempt: Logger.Metadata = ["task_id": "\(id)", "function": "\(function)", "queue": "\(queue)", "attempt": "\(attempt)"]
        logger.log(level: level, "\(text)", metadata: attempt.merging(Self.metadata(kind)) { $1 })
    }

    static func metadata(_ kind: RecordKind) -> Logger.Metadata {
        [LineLogHandler.eventKey: "\(kind.rawValue)", JournalLogHandler.messageIDKey: "\(kind.messageID)"]
    }
}
