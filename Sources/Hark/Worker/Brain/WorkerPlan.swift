/// The second half of the brain: given all that is known, what to do next. Both run after every event.
extension WorkerState {
    mutating func planWork(_ now: Duration) -> [WorkerAction] {
        guard phase != .ended else { return [] }
        planStops(now)
        allot()
        if let moment = lookAgainAt, now >= moment {
            lookAgainAt = nil
            for index in queues.indices where queues[index].isIdle { queues[index].want(.full) }
        }
        planTrip(now)
        return takeActions()
    }

    mutating func planRest(_ now: Duration) -> [WorkerAction] {
        guard phase != .ended else { return [] }
        planSignal(now)
        planPassingOn(now)
        planLeaving(now)
        return takeActions()
    }

    private mutating func planStops(_ now: Duration) {
        let (timedOut, deaf) = leases.overdue(at: now)
        for lease in timedOut { stop(lease, .timeout, now) }
        for lease in deaf { abandon(lease, now) }
        if case .draining(let deadline) = phase, now >= deadline {
            for lease in leases.open { stop(lease, .shutdown, now) }
        }
    }

    /// Functions that share few interpreters are claimed as these can begin them, whatever the slots: what waits here
    /// could run elsewhere.
    private mutating func allot() {
        guard !settings.modules.isEmpty else {
            for index in queues.indices { queues[index].allowance = nil }
            return
        }
        let left = max(capacity - leases.pooled, 0)
        // Of a queue that nobody knows one task is taken to see what it has, unless there can be nothing else.
        let trial = settings.functions.isEmpty ? left : max(left, 1)
        for index in queues.indices {
            switch queues[index].isPooled {
            case true?: queues[index].allowance = left
            case false?: queues[index].allowance = nil
            case nil: queues[index].allowance = trial
            }
        }
    }

    private mutating func planTrip(_ now: Duration) {
        guard work.isUp else { return }
        if let sent = trips.first?.sent {
            if now >= sent + settings.tripTimeout {
                actions.append(.drop(.work, reason: "no answer for \(settings.tripTimeout.components.seconds) s"))
                work.isUp = false
            } else if mayGoAhead(now) {
                planAhead(now)
            }
            return
        }
        guard worker != nil, now >= tripsFrom, phase != .leaving else { return }
        var next = newTrip()
        let alone: Bool
        (next.writes, next.held, alone) = mustBeProven ? ([], [], false) : outbox.take(for: next.number, at: now, atMost: settings.batch)
        if now >= nextBeat { next.beat = currentBeat }
        if !doubted.isEmpty {
            next.askCancelled = doubted.filter { leases.byClaim[$0]?.stopped == nil && leases.byClaim[$0] != nil }
            doubted = []
        }
        // A write that may be at fault goes with nothing else that may be.
        if case .working = phase, !alone { planClaim(&next, now) }
        guard !next.isEmpty else { return }
        trips.append((next, now))
        actions.append(.trip(next))
    }

    private mutating func newTrip() -> Trip {
        lastTrip += 1
        return Trip(number: lastTrip)
    }

    /// Whether a second trip shall go beside the first: when at least half of what we have in hand is done, and there is
    /// nothing to say or ask but outcomes and more of the same. Two batches in turn keep server and functions busy; the answer
    /// to the first is not needed to claim on, because a mark only says where not to look.
    private func mayGoAhead(_ now: Duration) -> Bool {
        guard trips.count == 1, trips[0].trip.isPlain, phase == .working, !isUnproven, outbox.isPlain else { return false }
        guard outbox.waiting.count >= max(settings.aheadFrom, leases.count), now >= tripsFrom else { return false }
        guard now < min(nextBeat, nextUpkeep), doubted.isEmpty, rescues.isEmpty else { return false }
        return !queues.contains { $0.wanted == .full } && queues.contains { $0.goesOn(at: now) }
    }

    private mutating func planAhead(_ now: Duration) {
        var next = newTrip()
        next.writes = outbox.take(for: next.number, at: now, atMost: settings.batch).writes
        let asked = queues.indices.filter { queues[$0].goesOn(at: now) }.map { queues[$0].look() }
        next.look = Look(queues: asked, token: Int64(random.next() >> 1))
        trips.append((next, now))
        actions.append(.trip(next))
    }

    /// Only while a proof is on its way: a worker that drains makes none.
    private var mustBeProven: Bool { isUnproven && phase == .working }

    private mutating func planClaim(_ next: inout Trip, _ now: Duration) {
        if now >= nextUpkeep {
            next.upkeep = true
            next.beat = currentBeat
            if now >= nextSweep {
                next.sweep = true
                nextSweep = now + settings.sweepInterval
            }
            if now < straysUntil { next.known = leases.byClaim.keys + outbox.claims }
            next.askCancelled = leases.open.filter { $0.stopped == nil }.map(\.claim)
            if isReserve || standsBy, case .armed(let names) = doorbell { next.askGuarded = (names.sorted(), standsBy) }
            // Spread, and always ahead of the beat, which then needs no round trip of its own.
            nextUpkeep = now + (earlyUpkeeps.isEmpty ? settings.pollInterval * Double.random(in: 0.8...0.95, using: &random) : earlyUpkeeps.removeFirst())
            for index in queues.indices { queues[index].want(.full) }
            if signal.isUp, proofSent == nil, now >= nextProof {
                let nonce = random.next()
                next.proof = nonce
                proofSent = (nonce, now + settings.tripTimeout + settings.proofTimeout)
            }
        }
        for index in queues.indices { queues[index].comeDue(at: now) }
        if isUnproven { return }
        if !rescues.isEmpty {
            next.rescue = rescues
            rescues = []
            for index in queues.indices { queues[index].want(.full) }
        }
        var (asked, mustLast): ([QueueLook], Bool) = ([], false)
        for index in queues.indices where queues[index].wantsLook {
            asked.append(queues[index].look())
            mustLast = mustLast || queues[index].settings.durableClaims
        }
        guard !asked.isEmpty else { return }
        next.look = Look(queues: asked, token: Int64(random.next() >> 1))
        next.mayBeLost = !mustLast && next.writes.isEmpty && next.rescue.isEmpty && !next.upkeep
    }

    private mutating func planSignal(_ now: Duration) {
        guard signal.isUp else { return }
        if let proofSent, now >= proofSent.deadline {
            self.proofSent = nil
            actions.append(.drop(.signal, reason: "the listener did not hear a notification that was sent to it"))
            signal.isUp = false
            return
        }
        // The work connection is stuck behind a lock, or away: say over the other one that we live.
        if now >= nextBeat + .seconds(2) {
            nextBeat = now + beatInterval
            actions.append(.beat(currentBeat))
        }
        planHandOver(now)
        if case .working = phase { planDoorbell(now) } else if case .armed = doorbell { disarm(now) }
        planHandOver(now)
    }

    private mutating func planLeaving(_ now: Duration) {
        // Asleep is what it went; since then it may have been told to look again, and the look may be under way.
        if settings.untilEmpty, asleep || cannotSleep(now), phase == .working, trips.isEmpty, leases.isEmpty, outbox.isEmpty,
            queues.allSatisfy({ $0.isIdle && $0.nextDue == nil })
        {
            phase = .draining(deadline: now)
        }
        guard case .draining(let deadline) = phase else { return }
        let done = leases.open.isEmpty && outbox.isEmpty && trips.isEmpty
        // With the database away there is nobody to write to: rescue will give back what we leave.
        let hopeless = lastMoments(after: deadline).contains { now >= $0.moment && (!work.isUp || $0.evenIfUp) }
        guard done || hopeless else { return }
        if !outbox.isEmpty { actions.append(.report(.trouble("\(outbox.count) outcomes could not be written; other workers will run these tasks again"))) }
        phase = .leaving
        actions.append(.leave)
    }

    /// Somebody else holds the doorbell's locks, and for so long that what he may be about to commit is not waited for.
    private func cannotSleep(_ now: Duration) -> Bool { armFrom > now || blocked.map { now >= $0.since + Blocked.longCommit } ?? false }

    /// When a draining worker gives up on what is not written yet: soon without a connection; with one, after as long as an answer may take.
    private func lastMoments(after deadline: Duration) -> [(moment: Duration, evenIfUp: Bool)] {
        let soon = deadline + settings.stopGrace * 3
        return [(soon, false), (soon + settings.tripTimeout, true)]
    }

    /// While our session lock is free we live by our beats alone, and 5 s without one is death.
    var beatInterval: Duration { signal.isUp ? settings.beatInterval : min(settings.beatInterval, .seconds(2)) }

    private var currentBeat: Beat {
        let state = if case .working = phase { "working" } else { "draining" }
        return Beat(state: state, listener: listener.word, running: leases.count)
    }

    /// Whether nothing that was to be done by now is still to be done: what a watchdog wants to know. Generous, because a
    /// machine may be slow, and a worker in doubt must not be killed.
    func isOnTime(at now: Duration) -> Bool { nextWake.map { now <= $0 + .seconds(10) } ?? true }

    // MARK: - When to wake without an event

    /// The moment of the next `tick`; nil to sleep until something happens.
    var nextWake: Duration? {
        var moments: [Duration] = []
        if let earliest = leases.earliest { moments.append(earliest) }
        if case .draining(let deadline) = phase {
            if leases.open.contains(where: { $0.stopped == nil || $0.stopped == .timeout }) { moments.append(deadline) }
            moments += lastMoments(after: deadline).filter { $0.evenIfUp || !work.isUp }.map(\.moment)
        }
        if work.isUp, let sent = trips.first?.sent { moments.append(sent + settings.tripTimeout) }
        if work.isUp, trips.isEmpty, worker != nil, phase != .leaving, phase != .ended {
            var trips = [nextBeat]
            if let due = outbox.nextDue, !mustBeProven { trips.append(due) }
            if phase == .working {
                trips.append(nextUpkeep)
                trips += queues.compactMap { $0.room > 0 ? $0.nextDue : nil }
                if !isUnproven, queues.contains(where: \.wantsLook) || !rescues.isEmpty { trips.append(tripsFrom) }
            }
            if !doubted.isEmpty {
                trips.append(tripsFrom)
            }
            moments += trips.map { max($0, tripsFrom) }
        }
        if signal.isUp {
            moments.append(nextBeat + .seconds(2))
            if let deadline = proofSent?.deadline { moments.append(deadline) }
            if case .armed = doorbell, let askAt = blocked?.askAt { moments.append(askAt) }
            if phase == .working, let lookAgainAt { moments.append(lookAgainAt) }
            if let sent = trips.first?.sent, sent + Self.longTrip > clock { moments.append(sent + Self.longTrip) }
            if phase == .working, doorbell == .off, work.isUp, armFrom > clock { moments.append(armFrom) }
        }
        return moments.min()
    }
}
