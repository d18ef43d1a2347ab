/// Everything about a worker that is worth telling: the one stream that feeds the log, the journal, `STATUS=` and metrics.
public enum TelemetryEvent: Sendable {
    /// Registered and able to claim. Comes again after each reconnect.
    case joined(worker: Int32)
    case listener(Listener)
    /// The listener is proven and a claim was answered, for the first time: from now on tasks are run.
    case ready
    /// The database answers, but refuses what a worker has to do there (it is read-only, or its disk is full). Tried again until it is `accepted`.
    case refused(reason: String)
    case accepted
    /// A task was claimed and is about to run.
    case started(ClaimedTask)
    /// A function has ended; its outcome is on its way to the database.
    case finished(Claim, function: String, queue: String, attempt: Int, Write.Verb, ran: Duration)
    /// The database has these outcomes.
    case written([Write])
    /// This outcome came too late: the claim was no longer ours, and nothing was changed.
    case late(Claim)
    /// No runner here has this function: the task waits, blocked by function.
    case blocked(ClaimedTask, why: String?)
    /// Why functions of modules cannot be run at this moment; nil when they can again.
    case lacking(String?)
    /// A function did not end when it was asked to; its slot stays taken.
    case deaf(Claim, function: String, queue: String, attempt: Int)
    /// A task of a dead worker was given back (`ready`, `scheduled`), or finished (`failed`, `cancelled`).
    case rescued(task: Int64, from: Int32, state: String)
    /// What still runs at this moment (on the loop's clock) is stopped. Comes again when that is brought forward.
    case draining(running: Int, until: Duration)
    /// A connection could not be made or was lost; tried again after `retryIn`.
    case waiting(for: String, reason: String, retryIn: Duration)
    /// Something that an operator should read.
    case trouble(String)
    /// An attempt to look for work found nothing and the worker went to sleep: everything that it could see was done.
    case asleep
}

/// Called on the worker's loop, in order; must return at once.
public typealias TelemetrySink = @Sendable (TelemetryEvent) -> Void
