/// What a Swift function may say about its task other than "done": thrown, it ends the attempt.
public enum Verdict: Error, Sendable, Equatable {
    /// Run me again: after `after`, or after the ordinary backoff when nil. Counts as an attempt.
    case retry(after: Duration? = nil, reason: String)
    /// No further attempt is of use: the task becomes `failed`.
    case fail(reason: String)
    /// The task is not to be run any more: it becomes `cancelled`.
    case cancel(reason: String)
    /// Run me in a while; this attempt is given back.
    case snooze(Duration)

    var outcome: Outcome {
        switch self {
        case .retry(let after, let reason): .retry(after: after, AttemptError(.error, reason))
        case .fail(let reason): .failed(AttemptError(.error, reason))
        case .cancel(let reason): .cancelled(AttemptError(.cancelled, reason))
        case .snooze(let time): .snoozed(time)
        }
    }
}

extension StopReason {
    /// The outcome of an attempt that was stopped for this reason before it was done.
    func outcome(of task: ClaimedTask, detail: String? = nil) -> Outcome {
        switch self {
        case .timeout:
            let limit = task.timeout.map { " of \($0.words)" } ?? ""
            return .errored(AttemptError(.timeout, "ran longer than its timeout\(limit) and was stopped", detail: detail))
        case .cancelled:
            return .cancelled(AttemptError(.cancelled, "was cancelled while it ran", detail: detail))
        case .shutdown, .lost:
            return .released
        }
    }
}

extension Duration {
    /// For a sentence: "30 s", "0.25 s".
    var words: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        guard milliseconds % 1000 != 0 else { return "\(milliseconds / 1000) s" }
        return "\(Double(milliseconds) / 1000) s"
    }
}
