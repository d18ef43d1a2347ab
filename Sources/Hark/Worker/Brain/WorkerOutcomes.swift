/// How attempts end, in the brain: what a runner says becomes a write, and who does not end is stopped, and then given up.
extension WorkerState {
    mutating func finished(_ claim: Claim, _ outcome: Outcome, _ now: Duration) {
        guard let lease = leases.end(claim) else { return }
        if let index = queues.firstIndex(where: { $0.settings.name == lease.queue }) {
            queues[index].running -= 1
            if queues[index].isOver { removeQueuesThatAreOver() }
        }
        guard !lease.abandoned else { return }
        let verb = verb(for: outcome, of: lease)
        outbox.add(Write(claim: claim, verb: verb))
        actions.append(.report(.finished(claim, function: lease.function, queue: lease.queue, attempt: lease.attempt, verb, ran: now - lease.started)))
    }

    mutating func verb(for outcome: Outcome, of lease: Leases.Lease) -> Write.Verb {
        switch outcome {
        case .completed(let result): .complete(result: result)
        case .errored(let error): again(after: nil, error, lease)
        case .retry(let after, let error): again(after: after, error, lease)
        case .failed(let error): .fail(error)
        case .snoozed(let delay): .snooze(delay: delay)
        case .cancelled(let error): .cancel(error)
        case .released: .release
        }
    }

    mutating func again(after delay: Duration?, _ error: AttemptError, _ lease: Leases.Lease) -> Write.Verb {
        // Somebody wanted it cancelled; that it went wrong while it was being stopped changes nothing.
        if lease.stopped == .cancelled { return .cancel(AttemptError(.cancelled, error.message, detail: error.detail)) }
        guard lease.attempt < lease.maxAttempts else { return .fail(error) }
        return .retry(delay: delay ?? settings.retry.delay(afterAttempt: lease.attempt, using: &random), error)
    }

    mutating func stop(_ lease: Leases.Lease, _ reason: StopReason, _ now: Duration) {
        // Twice the grace: the runner's own SIGKILL comes after one.
        guard leases.stop(lease.claim, reason, giveUp: now + settings.stopGrace * 2) else { return }
        actions.append(.stop(lease.claim, reason))
    }

    /// A function that did not end when it was asked to: its outcome is written without it. Its slot stays taken.
    mutating func abandon(_ lease: Leases.Lease, _ now: Duration) {
        let outcome: Outcome =
            switch lease.stopped {
            case .timeout: .errored(AttemptError(.timeout, "ran into its timeout and did not stop when it was asked to"))
            case .cancelled: .cancelled(AttemptError(.cancelled, "was cancelled and did not stop when it was asked to"))
            default: .released
            }
        outbox.add(Write(claim: lease.claim, verb: verb(for: outcome, of: lease)))
        leases.abandon(lease.claim)
        actions.append(.report(.deaf(lease.claim, function: lease.function, queue: lease.queue, attempt: lease.attempt)))
    }

    mutating func setListener(_ new: Listener) {
        guard !new.sameAs(listener) else { return }
        listener = new
        actions.append(.report(.listener(new)))
    }
}
