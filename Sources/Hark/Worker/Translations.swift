internal import PQ

// What the hands tell the brain, in the brain's words.

extension WorkerState.Settings {
    init(_ options: WorkerOptions, functions: Set<String>, modules: Modules) {
        queues = options.queues
        self.functions = functions
        self.modules = modules
        // The bell rings for tasks that are due within a minute; a longer sleep would be too long for later ones.
        pollInterval = min(max(options.pollInterval, .milliseconds(10)), .seconds(60))
        stopGrace = options.stopGrace
        retry = options.retry
        untilEmpty = options.untilEmpty
        proofInterval = options.patience.proofInterval
        proofTimeout = options.patience.proofTimeout
        tripTimeout = options.patience.tripTimeout
    }
}

extension Outcome {
    /// A result that is too large to store is a failure for good: the function has run, and would only do it again.
    func bounded(by limit: Int) -> Outcome {
        guard case .completed(let result?) = self, result.count > limit else { return self }
        return .tooLarge(result.count, limit)
    }

    static func tooLarge(_ size: Int, _ limit: Int) -> Outcome {
        .failed(AttemptError(.error, "the result has \(size) bytes, more than the \(limit) that are stored; store it elsewhere and return where"))
    }
}

extension TripFailure {
    init(_ error: PostgresError) {
        // Only the statements that write an outcome carry data of our own that the database could refuse.
        let isOutcome = [SQL.complete, SQL.retry, SQL.snooze, SQL.fail, SQL.cancel].contains { $0.name == error.statement }
        if error.isConnectionLost {
            self = .connectionLost(error.description)
        } else if isOutcome, error.isDataException || error.sqlState?.hasPrefix("54") == true {
            self = .badData(error.message)
        } else if error.isRetryable {
            self = .retryable(error.description)
        } else {
            self = .other(error.description)
        }
    }
}
