/// The tasks that this worker has claimed and whose outcome is not in the outbox yet.
struct Leases {
    struct Lease {
        let claim: Claim
        let queue: String
        let function: String
        let attempt: Int
        let maxAttempts: Int
        let timeout: Duration?
        let started: Duration
        /// Waits for one of the interpreters before it runs, and its timeout with it.
        var isPooled: Bool
        /// When it runs into its timeout.
        var deadline: Duration?
        var stopped: StopReason?
        /// When we stop waiting for a function that was asked to stop.
        var giveUp: Duration?
        /// Its outcome was written without it; the slot stays taken until the function returns.
        var abandoned = false
    }

    private(set) var byClaim: [Claim: Lease] = [:]
    /// How many of them share the interpreters.
    private(set) var pooled = 0
    /// Never later than the first deadline; may be early.
    private(set) var earliest: Duration?

    var isEmpty: Bool { byClaim.isEmpty }
    var count: Int { byClaim.count }
    /// Those whose outcome the database still waits for, in the order of their tasks.
    var open: [Lease] { byClaim.values.filter { !$0.abandoned }.sorted { $0.claim.id < $1.claim.id } }

    /// - Parameter isPooled: its timeout begins when its runner first says that it is `alive`.
    mutating func begin(_ task: ClaimedTask, isPooled: Bool = false, at now: Duration) {
        let deadline = isPooled ? nil : task.timeout.map { now + $0 }
        if isPooled { pooled += 1 }
        byClaim[task.claim] = Lease(
            claim: task.claim, queue: task.queue, function: task.function, attempt: task.attempt, maxAttempts: task.maxAttempts,
            timeout: task.timeout, started: now, isPooled: isPooled, deadline: deadline)
        notice(deadline)
    }

    /// None of them shares the interpreters that there are from now on.
    mutating func forgetPool() {
        for claim in byClaim.keys { byClaim[claim]?.isPooled = false }
        pooled = 0
    }

    mutating func end(_ claim: Claim) -> Lease? {
        let lease = byClaim.removeValue(forKey: claim)
        if lease?.isPooled == true { pooled -= 1 }
        return lease
    }

    /// The function has begun, or has said that it is alive: the whole timeout again.
    mutating func alive(_ claim: Claim, at now: Duration) {
        guard let timeout = byClaim[claim]?.timeout, byClaim[claim]?.stopped == nil else { return }
        byClaim[claim]?.deadline = now + timeout
        notice(now + timeout)
    }

    /// Not before `extra` from now; never sooner than without.
    mutating func extend(_ claim: Claim, by extra: Duration, at now: Duration) {
        guard let deadline = byClaim[claim]?.deadline, byClaim[claim]?.stopped == nil else { return }
        byClaim[claim]?.deadline = max(deadline, now + extra)
    }

    /// Marks a task as asked to stop. False if it was asked already for a reason that weighs as much.
    mutating func stop(_ claim: Claim, _ reason: StopReason, giveUp: Duration) -> Bool {
        guard let lease = byClaim[claim], !lease.abandoned else { return false }
        if let stopped = lease.stopped, stopped != .timeout || reason == .timeout { return false }
        byClaim[claim]?.stopped = reason
        byClaim[claim]?.deadline = nil
        byClaim[claim]?.giveUp = giveUp
        notice(giveUp)
        return true
    }

    mutating func abandon(_ claim: Claim) {
        byClaim[claim]?.abandoned = true
        byClaim[claim]?.giveUp = nil
    }

    /// Those past their timeout, and those that did not stop when asked.
    mutating func overdue(at now: Duration) -> (timedOut: [Lease], deaf: [Lease]) {
        guard let earliest, earliest <= now else { return ([], []) }
        self.earliest = nil
        var timedOut: [Lease] = []
        var deaf: [Lease] = []
        for lease in byClaim.values {
            if let deadline = lease.deadline, deadline <= now { timedOut.append(lease) } else { notice(lease.deadline) }
            if let giveUp = lease.giveUp, giveUp <= now { deaf.append(lease) } else { notice(lease.giveUp) }
        }
        return (timedOut.sorted { $0.claim.id < $1.claim.id }, deaf.sorted { $0.claim.id < $1.claim.id })
    }

    private mutating func notice(_ moment: Duration?) {
        guard let moment else { return }
        earliest = min(earliest ?? moment, moment)
    }
}
