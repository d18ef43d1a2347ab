/// The doorbell: who sleeps for which queues, as a guard, as a reserve or standing by, and what is passed on. The proof that no task can
/// slip through is in `migrations/0003_create_doorbell.sql`.
extension WorkerState {
    // MARK: - What an event changes

    mutating func armed(isReserve: Bool, standsBy: Bool, blocked buckets: [Int32], _ now: Duration) {
        guard case .arming(let names) = doorbell else { return }
        doorbell = .armed(names)
        (self.isReserve, self.standsBy) = (isReserve, standsBy)
        owesGuard = owesGuard && names.count < queues.count
        foundSinceArmed = 0
        // Who was blocked for long may still be.
        if case .polling(_, let why) = listener, work.isUp, buckets.isEmpty || why != Blocked.reason { setListener(.listening(since: now)) }
        // What a reserve would find its guard will.
        if isReserve {
            blocked = nil
            if !settings.untilEmpty { for index in queues.indices { queues[index].leaveTimeToGuard(at: now) } }
            return
        }
        // Who was called while it lay down to stand by looks again, whether somebody is there.
        if !standsBy { mustTakeOver = false }
        for index in queues.indices where names.contains(queues[index].settings.name) { queues[index].want(.full) }
        blocked = buckets.isEmpty ? nil : Blocked(buckets: buckets, since: blocked?.since ?? now, askAt: now)
    }

    mutating func awaited(_ answer: Awaited, _ now: Duration) {
        guard case .armed(let names) = doorbell, var still = blocked else { return }
        for index in queues.indices where names.contains(queues[index].settings.name) { queues[index].want(.full) }
        switch answer {
        case .had: blocked = nil
        case .taken: mustTakeOver = true
        case .blocked:
            still.wasBlocked(until: now, poll: settings.pollInterval)
            blocked = still
        }
        guard work.isUp else { return }
        if answer == .had {
            if case .polling(_, Blocked.reason) = listener { setListener(.listening(since: now)) }
        } else if now >= still.since + Blocked.longCommit {
            setListener(.polling(since: now, why: Blocked.reason))
        }
    }

    // MARK: - What to do next

    /// The round trip that the bell of this queue will make us take, if it is the next that we hear and comes before `nextWake`: what
    /// the two have to say then is found out on a copy now. Nil unless we sleep, or when it would be more than one plain claim.
    func rehearsal(ofBell queue: String, now: Duration) -> Trip? {
        guard asleep, trips.isEmpty else { return nil }
        var twin = self
        let actions = twin.hear(.bell(queue: queue), now: now) + twin.planWork(now)
        guard actions.count == 1, case .trip(let trip) = actions[0], trip.isPlain, trip.look != nil else { return nil }
        return trip
    }

    /// Goes through what the answer to this round trip will be, a task, and changes nothing.
    func rehearseAnswer(to number: Int, now: Duration) {
        guard let queue = trips.last?.trip.look?.queues.first?.queue, let function = settings.functions.first else { return }
        let task = ClaimedTask(claim: Claim(id: -1, token: 0), queue: queue, function: function, args: [])
        var (twin, result) = (self, TripResult())
        result.claimed = [task]
        _ = twin.hear(.tripped(trip: number, result), now: now)
        _ = twin.planWork(now)
    }

    mutating func planHandOver(_ now: Duration) {
        let isAble = isAble(now)
        if isGuard && !(isAble && hasRoomForAll) || owesGuard && !(isAble && queues.allSatisfy { $0.free > 0 }) { handOver() }
    }

    mutating func handOver(_ queues: [String]? = nil) {
        actions.append(.handOver(queues: queues ?? self.queues.map(\.settings.name), guards: isGuard))
        (isGuard, owesGuard) = (false, false)
    }

    /// Whether we can claim what we are rung for, as far as we know.
    func isAble(_ now: Duration) -> Bool {
        phase == .working && work.isUp && tripFailures == 0 && !isUnproven && trips.allSatisfy { now < $0.sent + Self.longTrip }
    }

    /// A round trip that takes longer waits for something.
    static let longTrip = Duration.seconds(1)

    /// At least half of the slots of each queue are free: a guard with less lets others take part.
    private var hasRoomForAll: Bool { queues.allSatisfy { $0.free > 0 && $0.running * 2 <= $0.settings.slots } }

    /// It has found what makes it wake up, and inserts need not ring any more: more than one task at a time, or too many to be a guard, or
    /// any while it leaves the bell to others. Who is rung for one task after the other stays armed: going to sleep anew for each costs the
    /// server more than all of these bells.
    private var isBusy: Bool { foundSinceArmed > 1 || foundSinceArmed == 1 && (isReserve || standsBy || !hasRoomForAll) }

    mutating func planDoorbell(_ now: Duration) {
        let idle = Set(queues.lazy.filter(\.isIdle).map(\.settings.name))
        let settled = trips.allSatisfy { $0.trip.look == nil } && !queues.contains(where: \.wantsLook)
        switch doorbell {
        case .off:
            guard isAble(now), settled, !idle.isEmpty, now >= armFrom, lookAgainAt == nil else { break }
            // When tasks come in crowds the next one is near, and while we lie down and sleep all who insert ring and wait for each other.
            if wasBusy {
                wasBusy = false
                lookAgainAt = now + .milliseconds(1)
                break
            }
            doorbell = .arming(idle)
            actions.append(.arm(queues: idle.sorted(), whole: idle.count == queues.count, guards: isGuard))
            isGuard = false
        case .armed(let names):
            // Who holds SLEEP is rung in the place of others, so we hold it only while we can run what comes.
            let full = queues.contains { names.contains($0.settings.name) && $0.free == 0 }
            if full || isBusy || mustTakeOver || !isAble(now) || (settled && idle != names) {
                disarm(now)
            } else if let askAt = blocked?.askAt, now >= askAt, let (buckets, patience) = blocked?.ask() {
                actions.append(.awaitSleep(buckets: buckets, patience: patience))
            } else if settled, blocked == nil, !asleep {
                asleep = true
                actions.append(.report(.asleep))
            }
        case .arming, .disarming: break
        }
    }

    mutating func disarm(_ now: Duration) {
        guard case .armed(let names) = doorbell else { return }
        let guarded = !isReserve && names.count == queues.count
        isGuard = isAble(now) && hasRoomForAll
        // At more than half full it takes over only when it goes to sleep again; else all reserves would be called one after the other.
        owesGuard = mustTakeOver && !isGuard
        doorbell = .disarming
        // Who goes to sleep again at once may still meet the same one.
        blocked = mustTakeOver ? blocked : nil
        (asleep, isReserve, standsBy, mustTakeOver) = (false, false, false, false)
        actions.append(.disarm(guards: isGuard))
        if guarded, !isGuard { handOver() }
    }

    /// After the doorbell: who still sleeps would be rung again.
    mutating func planPassingOn(_ now: Duration) {
        let isAble = isAble(now)
        for index in queues.indices where queues[index].mustPassOn(isAble: isAble, at: now) { owed.insert(queues[index].settings.name) }
        guard !owed.isEmpty, signal.isUp else { return }
        defer { owed = [] }
        actions.append(.passOn(queues: owed.sorted()))
    }
}

/// The buckets of an armed worker in which somebody holds SLEEP shared: what he has inserted does not ring.
///
/// A commit holds it for as long as the disk takes. So at first one wait follows the other, each longer than the last, since who waits
/// is seen by those who insert, and they ring. But a transaction with `set constraints all immediate`, a prepared one or a stranger may
/// hold it for hours, and the signal connection hears nothing while it waits: then the waits become short, and as rare as the polls. What
/// is inserted into these buckets meanwhile is found by the look after each wait, or by a poll.
struct Blocked {
    let buckets: [Int32]
    let since: Duration
    /// Nil while a wait is under way.
    private(set) var askAt: Duration?
    private var patience = Duration.milliseconds(100)
    private var pause = Duration.milliseconds(5)

    /// Who keeps us from sleeping for so long is not about to commit.
    static let longCommit = Duration.seconds(1)
    static let reason = "somebody has held the doorbell's SLEEP lock for more than a second; hark doctor says who"

    init(buckets: [Int32], since: Duration, askAt: Duration) { (self.buckets, self.since, self.askAt) = (buckets, since, askAt) }

    mutating func ask() -> (buckets: [Int32], patience: Duration) {
        askAt = nil
        return (buckets, patience)
    }

    mutating func wasBlocked(until now: Duration, poll: Duration) {
        if now < since + Self.longCommit {
            patience = min(patience * 2, .milliseconds(400))
        } else {
            (patience, pause) = (.milliseconds(100), min(max(pause * 2, .seconds(1)), poll))
        }
        askAt = now + pause
    }
}
