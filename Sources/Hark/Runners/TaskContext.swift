public import Logging

/// What a function is told about the task that it runs.
public struct TaskContext: Sendable {
    private let task: ClaimedTask
    private let outlet: any RunnerOutlet

    init(_ task: ClaimedTask, _ outlet: any RunnerOutlet) {
        self.task = task
        self.outlet = outlet
    }

    /// The fence of this attempt, for a function that completes its task inside its own transaction.
    public var claim: Claim { task.claim }
    /// `hark.tasks.id`.
    public var id: Int64 { task.id }
    /// The name that the function was registered under.
    public var function: String { task.function }
    public var queue: String { task.queue }
    /// 1 for the first attempt.
    public var attempt: Int { task.attempt }
    public var maxAttempts: Int { task.maxAttempts }
    /// How long the attempt may run; nil means as long as it likes.
    public var timeout: Duration? { task.timeout }

    /// The worker's log, with `task_id`, `function`, `queue` and `attempt` on every line.
    public var logger: Logger { outlet.logger.about(task) }

    /// Says that the function is alive: its timeout starts anew.
    public func alive() { outlet.alive(task.claim) }

    /// Asks that the timeout shall not come before `extra` from now.
    public func extend(by extra: Duration) { outlet.extend(task.claim, by: extra) }
}

extension Logger {
    /// This logger, with the fields of one attempt on every line.
    func about(_ task: ClaimedTask) -> Logger {
        var logger = self
        logger[metadataKey: "task_id"] = "\(task.id)"
        logger[metadataKey: "function"] = "\(task.function)"
        logger[metadataKey: "queue"] = "\(task.queue)"
        logger[metadataKey: "attempt"] = "\(task.attempt)"
        return logger
    }
}
