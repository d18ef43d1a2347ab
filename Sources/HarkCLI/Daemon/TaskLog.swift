internal import Hark
internal import Logging
internal import PQ

/// Turns the telemetry of a worker into log lines: one for each change of its own state, and what was asked for of its tasks.
///
/// Everything comes on the worker's loop, one event at a time; that is why this may be a class without a lock.
final class TaskLog {
    private let logger: Logger
    /// Which attempts of this function the log tells of.
    private let verbosity: (String) -> Configuration.TaskLog
    private let about: String
    private var status = WorkerStatus()
    private var lastWait: String?
    private var strangers: Set<String> = []
    /// What STATUS= is to say, each time it changes.
    private let showStatus: (String) -> Void
    private var shown = ""

    /// - Parameter about: what the worker does, for its first line: `default (10 slots); 3 functions`.
    init(_ logger: Logger, about: String, status: @escaping (String) -> Void, verbosity: @escaping (String) -> Configuration.TaskLog) {
        self.logger = logger
        self.about = about
        self.showStatus = status
        self.verbosity = verbosity
    }

    func take(_ event: TelemetryEvent) {
        let worker = status.worker
        status.take(event)
        switch event {
        case .joined(let id): if id != worker { logger.info("worker \(id) works \(about)") }
        case .listener(let listener): tell(listener)
        case .waiting(_, let reason, _):
            guard reason != lastWait else { break }
            lastWait = reason
            logger.warning("waiting for the database: \(PostgresError(message: reason).withoutAdvice); trying again until it is there")
        case .draining(let running):
            logger.info("\(running == 0 ? "stopping" : "stopping; \(running) \(running == 1 ? "task still runs" : "tasks still run")")")
        case .trouble(let text): logger.warning("\(text)")
        case .rescued(let task, let from, let state):
            logger.info("task \(task) was lost by worker \(from), which died; it is \(state) now")
        case .started(let task): if verbosity(task.function) == .all { logger.info("started", metadata: metadata(task)) }
        case .finished(let claim, let function, let queue, let attempt, let verb, let ran):
            tell(verb, ran, function, metadata(claim.id, function, queue, attempt))
        case .blocked(let task):
            if strangers.insert(task.function).inserted {
                logger.warning("no function \(task.function) here: its tasks wait, blocked, for a worker that has it", metadata: metadata(task))
            }
        case .late(let claim): logger.warning("task \(claim.id): its outcome came too late, it belongs to another worker by now; nothing was changed")
        case .deaf(let claim, let function, let queue, let attempt):
            logger.warning("does not end although it was asked to; its slot stays taken", metadata: metadata(claim.id, function, queue, attempt))
        case .refused(let reason): logger.error("the database refuses what a worker has to do: \(reason); trying again until it does not")
        case .accepted: logger.info("the database accepts again what a worker has to do")
        case .written, .asleep, .ready: break
        }
        let line = status.statusLine
        if line != shown {
            shown = line
            showStatus(line)
        }
    }

    private func tell(_ listener: Listener) {
        switch listener {
        case .listening:
            lastWait = nil
            logger.info("listening")
        case .polling(_, let why):
            lastWait = nil
            logger.warning("polling, for now: \(why)")
        // `waiting` says so with the reason.
        case .disconnected: break
        }
    }

    private func tell(_ verb: Write.Verb, _ ran: Duration, _ function: String, _ metadata: Logger.Metadata) {
        let took = Moment.duration(ran.inSeconds)
        let all = verbosity(function) == .all
        switch verb {
        case .complete: if all { logger.info("completed in \(took)", metadata: metadata) }
        case .retry(let delay, let error):
            logger.warning("\(error.message); next attempt in \(Moment.duration(delay.inSeconds))", metadata: metadata)
        case .fail(let error): logger.error("failed: \(error.message)", metadata: metadata)
        case .cancel(let error): logger.info("cancelled after \(took): \(error.message)", metadata: metadata)
        case .snooze(let delay): if all { logger.info("snoozes for \(Moment.duration(delay.inSeconds))", metadata: metadata) }
        case .release: if all { logger.info("given back after \(took)", metadata: metadata) }
        case .block: break
        }
    }

    private func metadata(_ task: ClaimedTask) -> Logger.Metadata { metadata(task.id, task.function, task.queue, task.attempt) }

    private func metadata(_ id: Int64, _ function: String, _ queue: String, _ attempt: Int) -> Logger.Metadata {
        ["task_id": "\(id)", "function": "\(function)", "queue": "\(queue)", "attempt": "\(attempt)", "\(LineLogHandler.eventKey)": "outcome"]
    }
}
