/// What an attempt ended with, as a runner says it. A runner never throws: an error is an outcome.
///
/// The brain turns it into one of the writes (complete, retry, snooze, fail, cancel, release): `errored` becomes a retry
/// while attempts are left and a failure after that.
public enum Outcome: Sendable, Equatable {
    /// The function is done. `result` is JSON text, or nil for no result.
    case completed(result: [UInt8]?)
    /// The function asked for another attempt; `after` nil means the ordinary backoff. Counts as an attempt.
    case retry(after: Duration?, AttemptError)
    /// The attempt went wrong: retried with backoff while attempts are left, else failed.
    case errored(AttemptError)
    /// No further attempt is of use.
    case failed(AttemptError)
    /// The function asked to be run later; the attempt is given back.
    case snoozed(Duration)
    /// The task is not to be run (any more).
    case cancelled(AttemptError)
    /// The attempt did not happen or was broken off by the worker itself; the attempt is given back.
    case released
}

/// One entry of `hark.tasks.errors`: why an attempt did not complete.
public struct AttemptError: Sendable, Equatable {
    /// The kinds of error that a task can have: the values of `errors[].kind`.
    public enum Kind: String, Sendable, CaseIterable {
        /// The function said so, or threw, or exited with a code other than 0.
        case error
        /// It ran longer than its timeout and was stopped.
        case timeout
        /// Its process ended by a signal, or its interpreter broke.
        case crash
        /// Its worker died or was cut off while it ran.
        case lost
        /// Somebody cancelled it.
        case cancelled
    }

    public var kind: Kind
    /// One readable sentence, at most 4,000 characters.
    public var message: String
    /// A traceback or the tail of stderr, at most 16,000 characters.
    public var detail: String?

    public init(_ kind: Kind, _ message: String, detail: String? = nil) {
        self.kind = kind
        self.message = message
        self.detail = detail
    }
}
