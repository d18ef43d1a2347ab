/// The brain of a worker: events in, actions out, nothing else.
///
/// It has never heard of libpq, of clocks, of threads or of systemd; time comes with each event, chance from a seed. So
/// every interleaving of a claim, a lost connection, a drain and a late outcome is a sequence of calls, and the tests
/// try millions of them.
///
/// It works in turns. An event changes what is known; then `planWork` (1, 2) and `planRest` look at the whole and say what to do next:
///
/// 1. *Stops*: functions past their timeout, or deaf to an earlier stop.
/// 2. *Trip*: one round trip on the work connection is under way. The next one takes everything that there is
///    to say at that moment: all outcomes, the claim, upkeep. Batching needs no waiting that way. When there is much to do,
///    a second one goes beside the first, so that the server need not wait for us. Their answers may come in any order.
/// 3. *Arm*: when no look is wanted or under way, and there is room, the worker arms its doorbell. Having armed, it makes one
///    more full look; only when that found nothing does it sleep. The proof that no task can slip through is in `migrations/0003_create_doorbell.sql`.
/// 4. *Pass on*: only one sleeper is rung. When that is us and we are full, or get full, others are rung for what may be left.
/// 5. *Leave*: a draining worker that has nothing left removes its row and ends.
///
/// `nextWake` is the moment at which something is to be done without an event from outside: the exact time of the next
/// scheduled task, the poll, a timeout. So the worker never sleeps past a due task, and never wakes for nothing.
struct WorkerState {
    struct Settings: Sendable {
        var queues: [QueueSettings] = [QueueSettings(name: "default")]
        var functions: Set<String> = []
        /// Where functions come from that share few interpreters. Which these are stays open: they are imported by name.
        var modules: Modules = []
        var pollInterval = Duration.seconds(5)
        /// From SIGTERM to SIGKILL for an executable; how long a Swift function may take to notice its cancellation.
        var stopGrace = Duration.seconds(5)
        var retry = RetryPolicy()
        /// A listener that has been silent for this long is asked to prove itself.
        var proofInterval = Duration.seconds(30)
        /// How long that may take.
        var proofTimeout = Duration.seconds(5)
        /// A round trip without an answer for this long is given up with its connection.
        var tripTimeout = Duration.seconds(30)
        /// End when nothing is ready, scheduled or running here any more.
        var untilEmpty = false
        /// At most so many outcomes in one round trip.
        var batch = 1_000
        /// From how many waiting outcomes on a second round trip is worth its commit.
        var aheadFrom = 100

        /// The row in `hark.workers` says that we live. Within the grace of 5 s after which a free session lock counts as death.
        var beatInterval: Duration { min(pollInterval, .seconds(5)) }
        /// What is rare, and not cheap to look for: once a minute.
        var sweepInterval: Duration { pollInterval * 12 }
        var slots: Int { queues.reduce(0) { $0 + $1.slots } }

        func isPooled(_ function: String) -> Bool { modules.cover(function) && !functions.contains(function) }
    }

    enum Phase: Equatable { case working, draining(deadline: Duration), leaving, ended }
    enum Doorbell: Equatable { case off, arming(Set<String>), armed(Set<String>), disarming }

    var settings: Settings
    var phase = Phase.working
    var worker: Int32?
    var listener = Listener.disconnected(since: .zero, why: "not connected yet")
    var queues: [QueueState]
    var leases = Leases()
    var outbox = Outbox()
    /// Every claim whose outcome the database has not taken yet, by task: never two of one task.
    var claims: [Int64: Claim] = [:]

    var random: SplitMix64
    var signal = LinkState()
    var work = LinkState()
    var doorbell = Doorbell.off
    /// Under way, in the order of sending; `sent`: when the server could begin with it, as far as we know.
    var trips: [(trip: Trip, sent: Duration)] = []
    var lastTrip = 0

    var nextUpkeep = Duration.zero
    /// A worker that takes the place of a killed one: the server may need a moment to notice that the old session is gone.
    var earlyUpkeeps: [Duration] = [.milliseconds(50), .milliseconds(150), .milliseconds(400), .milliseconds(1_000)]
    var nextBeat = Duration.zero
    var nextSweep = Duration.zero
    var nextProof = Duration.zero
    var proofSent: (nonce: UInt64, deadline: Duration)?
    /// After a suspend: others may have taken us for dead meanwhile, so nothing is written before the listener has heard again.
    var isUnproven = false
    /// The signal connection is made anew because of a new configuration: nothing to report, unless it does not come back.
    var isRelistening = false
    /// The first claim with room was answered, and `ready` was said.
    var isReady = false
    /// What the database refuses, when that has been reported.
    var refusal: String?
    /// How many functions of modules may be in hand; none before their runner has said so.
    var capacity = 0
    var lacking: String?
    var rescues: [(worker: Int32, processGone: Bool)] = []
    /// Until then, after a failed round trip, none is made.
    var tripsFrom = Duration.zero
    var tripFailures = 0
    /// Running tasks of which somebody says that they are to be cancelled.
    var doubted: Set<Claim> = []
    /// A claim may have been committed without our hearing of it: once we are connected again, and for a while, since the
    /// old session may still be at it, ask for running rows that we know nothing of.
    var claimWasLost = false
    var straysUntil = Duration.zero
    /// After an arm that failed: when to try again.
    var armFrom = Duration.zero
    /// Armed, but for the buckets in which somebody is about to commit without having rung, or so we hope.
    var blocked: Blocked?
    /// A look has brought more than one task since we last found nothing; then, when to look once more before we arm.
    var wasBusy = false
    var lookAgainAt: Duration?
    /// The most tasks that one look has brought since it armed.
    var foundSinceArmed = 0
    /// Awake with room, and seeing to all of our queues, so that others may let them be.
    var isGuard = false
    /// Asleep while somebody else guards our queues.
    var isReserve = false
    /// Asleep while somebody else hears the inserts of a bucket of ours.
    var standsBy = false
    /// A reserve, or one that stands by, was rung, or has found that nobody is there any more for whom it sleeps on.
    var mustTakeOver = false
    /// Was to take over, and is too full to guard yet.
    var owesGuard = false
    /// What was ours before the signal connection was made anew with other queues.
    var leftQueues: [String] = []
    /// Rings that we cannot answer, by queue.
    var owed: Set<String> = []
    /// Nothing left to begin that it can see: said once, when it comes true.
    var asleep = false
    /// The moment of the last event.
    var clock = Duration.zero
    var actions: [WorkerAction] = []

    init(_ settings: Settings, seed: UInt64) {
        self.settings = settings
        queues = settings.queues.map(QueueState.init)
        random = SplitMix64(seed: seed)
    }

    /// The first actions of a worker.
    mutating func start(now: Duration) -> [WorkerAction] {
        listener = .disconnected(since: now, why: "not connected yet")
        return [.connect(.signal, after: .zero), .connect(.work, after: .zero)]
    }

    mutating func handle(_ event: WorkerEvent, now: Duration) -> [WorkerAction] {
        hear(event, now: now) + planWork(now) + planRest(now)
    }

    /// `handle` in three parts, for hands that do what one says before they ask for the next: a function begins, and a claim is sent,
    /// before the rest is thought of.
    mutating func hear(_ event: WorkerEvent, now: Duration) -> [WorkerAction] {
        clock = now
        if phase != .ended { note(event, now) }
        return takeActions()
    }

    mutating func takeActions() -> [WorkerAction] {
        defer { actions = [] }
        return actions
    }

    // MARK: - What an event changes

    mutating func note(_ event: WorkerEvent, _ now: Duration) {
        switch event {
        case .joined(let worker, let renewed): joined(worker, renewed: renewed, now)
        case .workConnected:
            work.connected()
            tripsFrom = now
            nextUpkeep = now
            if claimWasLost {
                claimWasLost = false
                straysUntil = now + .seconds(120)
            }
            if worker != nil { setListener(signal.isUp ? .listening(since: now) : .polling(since: now, why: "the signal connection is down")) }
        case .disconnected(let link, let reason):
            // What was lost while we were connecting anew is an older connection.
            if !(link == .signal ? signal : work).isConnecting { disconnected(link, reason, now) }
        case .connectFailed(let link, let reason): disconnected(link, reason, now)
        case .bell(let queue):
            heardListener(now)
            guard let index = queues.firstIndex(where: { $0.settings.name == queue }) else {
                // Another queue in one bucket with one of ours.
                owed.insert(queue)
                break
            }
            queues[index].want(.narrow)
            queues[index].ring(at: now)
            if case .arming = doorbell { mustTakeOver = true }
            if isReserve || standsBy { mustTakeOver = true }
        case .cancelRequested(let task):
            heardListener(now)
            // Anybody may send a notification, and it may be late: the row knows whether it is so.
            for lease in leases.open where lease.claim.id == task { doubted.insert(lease.claim) }
        case .proof(let nonce):
            if proofSent?.nonce == nonce {
                isUnproven = false
                heardListener(now)
            }
        case .armed(let isReserve, let standsBy, let buckets): armed(isReserve: isReserve, standsBy: standsBy, blocked: buckets, now)
        case .awaited(let answer): awaited(answer, now)
        case .armFailed(let reason):
            guard case .arming = doorbell else { return }
            doorbell = .off
            armFrom = now + settings.pollInterval
            handOver()
            setListener(.polling(since: now, why: reason))
        case .disarmed: if doorbell == .disarming { doorbell = .off }
        case .tripped(let trip, let result): tripped(trip, result, now)
        case .tripFailed(let trip, let failure): tripFailed(trip, failure, now)
        case .finished(let outcomes): for (claim, outcome) in outcomes { finished(claim, outcome, now) }
        case .alive(let claim): leases.alive(claim, at: now)
        case .extended(let claim, let extra): leases.extend(claim, by: min(extra, .seconds(366 * 86_400)), at: now)
        case .capacity(let count, let why):
            capacity = count
            if why != lacking {
                lacking = why
                actions.append(.report(.lacking(why)))
            }
        case .newPool:
            (capacity, lacking) = (0, nil)
            leases.forgetPool()
        case .tick: break
        case .resumed(let slept): resumed(slept, now)
        case .configured(let new): configured(new, now)
        case .drain(let timeout):
            guard case .working = phase else { break }
            phase = .draining(deadline: now + timeout)
            actions.append(.report(.draining(running: leases.count, until: now + timeout)))
        case .abandon:
            guard phase != .leaving else { break }
            if case .draining(let deadline) = phase, deadline <= now { break }
            phase = .draining(deadline: now)
            actions.append(.report(.draining(running: leases.count, until: now)))
        case .left:
            phase = .ended
            actions.append(.end)
        }
    }

    mutating func joined(_ id: Int32, renewed: Bool, _ now: Duration) {
        let wasThere = worker != nil
        worker = id
        signal.connected()
        doorbell = .off
        blocked = nil
        armFrom = now
        proofSent = nil
        isUnproven = false
        nextProof = now + settings.proofInterval
        nextUpkeep = now
        nextBeat = now
        // What we were rung for meanwhile we have not heard.
        for index in queues.indices {
            queues[index].want(.full)
            if wasThere { queues[index].ring(at: now) }
        }
        (isGuard, isReserve, standsBy, mustTakeOver) = (false, false, false, false)
        // The locks went with the old session, and nobody was told.
        if wasThere { handOver(Set(leftQueues + queues.map(\.settings.name)).sorted()) }
        leftQueues = []
        if renewed { for lease in leases.open { stop(lease, .lost, now) } }
        setListener(work.isUp ? .listening(since: now) : listener)
    }

    mutating func disconnected(_ link: Link, _ reason: String, _ now: Duration) {
        switch link {
        case .signal:
            doorbell = .off
            (asleep, isGuard, isReserve, standsBy, mustTakeOver, owesGuard) = (false, false, false, false, false, false)
            blocked = nil
            proofSent = nil
            let isQuiet = isRelistening
            isRelistening = false
            reconnect(.signal, reason, after: signal.lost(&random), quietly: isQuiet)
            // Our lock is free now, and the grace counts from the last beat: beat on the other connection.
            nextBeat = now
            if work.isUp, !isQuiet { setListener(.polling(since: now, why: reason)) }
        case .work:
            reconnect(.work, reason, after: work.lost(&random))
            while let trip = trips.first?.trip { tripFailed(trip.number, .connectionLost(reason), now) }
            setListener(.disconnected(since: now, why: reason))
        }
    }

    mutating func reconnect(_ link: Link, _ reason: String, after wait: Duration, quietly: Bool = false) {
        actions.append(.connect(link, after: wait))
        if quietly { return }
        actions.append(.report(.waiting(for: link.rawValue, reason: reason, retryIn: wait)))
    }

    mutating func resumed(_ slept: Duration, _ now: Duration) {
        actions.append(.report(.trouble("the machine was suspended for \(slept.components.seconds) s; asking the database what has happened meanwhile")))
        nextBeat = now
        nextUpkeep = now
        nextProof = now
        proofSent = nil
        isUnproven = true
    }

    /// Queues that are not wanted any more claim nothing, and go when the last of their tasks has ended.
    mutating func configured(_ new: Settings, _ now: Duration) {
        let isAnotherWorker = new.queues.map(\.name).sorted() != settings.queues.map(\.name).sorted() || new.slots != settings.slots
        let old = settings
        settings = new
        for index in queues.indices {
            let name = queues[index].settings.name
            queues[index].settings = new.queues.first { $0.name == name } ?? QueueSettings(name: name, slots: 0)
            queues[index].want(.full)
        }
        let known = Set(queues.map(\.settings.name))
        queues += new.queues.filter { !known.contains($0.name) }.map(QueueState.init)
        removeQueuesThatAreOver()
        nextUpkeep = now
        // Our row in hark.workers, the LISTENs and the locks of the doorbell are made with the signal connection.
        if isAnotherWorker { leftQueues += old.queues.map(\.name) }
        if isAnotherWorker, signal.isUp, phase != .leaving {
            signal.isUp = false
            isRelistening = true
            actions.append(.drop(.signal, reason: "the configuration has changed"))
        }
    }

    mutating func heardListener(_ now: Duration) {
        // What came before the suspend may be read after it.
        guard !isUnproven else { return }
        proofSent = nil
        nextProof = now + settings.proofInterval
    }

    // MARK: - Round trips

    private mutating func takeTrip(_ number: Int, _ now: Duration) -> (trip: Trip, sent: Duration)? {
        guard let index = trips.firstIndex(where: { $0.trip.number == number }) else { return nil }
        let answered = trips.remove(at: index)
        if index == 0, !trips.isEmpty { trips[0].sent = now }
        return answered
    }

    mutating func tripped(_ trip: Int, _ result: TripResult, _ now: Duration) {
        guard let (asked, sent) = takeTrip(trip, now) else { return }
        tripFailures = 0
        if refusal != nil {
            refusal = nil
            actions.append(.report(.accepted))
        }
        let (written, late) = asked.writes.isEmpty ? ([], []) : outbox.settle(trip, written: result.written, held: result.held, at: now)
        if !written.isEmpty { actions.append(.report(.written(written))) }
        for write in late { actions.append(.report(.late(write.claim))) }
        for write in written { forget(write.claim) }
        for write in late { forget(write.claim) }
        if settings.untilEmpty, !written.isEmpty {
            // There may be more for us now than we saw when we went to sleep, and the bell for it may still be on its way: of what we gave
            // back, and of what the function has enqueued.
            for index in queues.indices { queues[index].want(.full) }
        }

        if asked.beat != nil { nextBeat = now + (result.stillRegistered == nil ? .seconds(1) : beatInterval) }
        if result.stillRegistered == false, signal.isUp {
            signal.isUp = false
            actions.append(.drop(.signal, reason: "this worker was given up for dead"))
        }
        if let nonce = asked.proof { proofSent = proofSent.map { _ in (nonce, now + settings.proofTimeout) } }
        if isReserve || standsBy, !result.isGuarded { mustTakeOver = true }
        noteSuspects(result.suspects, now)
        for rescued in result.rescued { actions.append(.report(.rescued(task: rescued.task, from: rescued.worker, state: rescued.state))) }
        for claim in result.cancelRequested { if let lease = leases.byClaim[claim] { stop(lease, .cancelled, now) } }

        if let look = asked.look {
            looked(look, result, took: now - sent, now)
            if queues.contains(where: \.isOver) { removeQueuesThatAreOver() }
            if !isReady, signal.isUp, look.queues.contains(where: { $0.room > 0 }) {
                isReady = true
                actions.append(.report(.ready))
            }
        }
    }

    mutating func looked(_ look: Look, _ result: TripResult, took: Duration, _ now: Duration) {
        let found = Dictionary(grouping: result.claimed, by: \.queue)
        for asked in look.queues {
            guard let index = queues.firstIndex(where: { $0.settings.name == asked.queue }) else { continue }
            queues[index].looked(
                asked, found: found[asked.queue] ?? [], existing: result.lanes[asked.queue] ?? [],
                nextDue: result.nextDue[asked.queue], mayPromoteMore: result.mayPromoteMore, took: took, at: now)
            if isReserve, !settings.untilEmpty { queues[index].leaveTimeToGuard(at: now) }
        }
        for (queue, tasks) in found {
            if let index = queues.firstIndex(where: { $0.settings.name == queue }) {
                if tasks.contains(where: { settings.isPooled($0.function) }) {
                    queues[index].isPooled = true
                } else if tasks.contains(where: { settings.functions.contains($0.function) }) {
                    queues[index].isPooled = false
                }
            }
        }
        if !result.claimed.isEmpty {
            foundSinceArmed = max(foundSinceArmed, result.claimed.count)
            wasBusy = wasBusy || result.claimed.count > 1
            asleep = false
        }
        begin(result.claimed, now)
    }

    /// But not while a look is under way that may bring tasks of them.
    mutating func removeQueuesThatAreOver() {
        let asked = Set(trips.flatMap { $0.trip.look?.queues ?? [] }.map(\.queue))
        queues.removeAll { $0.isOver && !asked.contains($0.settings.name) }
    }

    mutating func forget(_ claim: Claim) {
        if claims[claim.id] == claim { claims[claim.id] = nil }
    }

    mutating func begin(_ claimed: [ClaimedTask], _ now: Duration) {
        for task in claimed {
            if let older = claims.updateValue(task.claim, forKey: task.id) { disown(older, now) }
        }
        guard case .working = phase else {
            for task in claimed { outbox.add(Write(claim: task.claim, verb: .release)) }
            return
        }
        var runnable: [ClaimedTask] = []
        runnable.reserveCapacity(claimed.count)
        for task in claimed {
            let isPooled = settings.isPooled(task.function)
            guard isPooled || settings.functions.contains(task.function) else {
                let why = settings.modules.refusal(of: task.function)
                outbox.add(Write(claim: task.claim, verb: .block(why.map { AttemptError(.error, $0) })))
                actions.append(.report(.blocked(task, why: why)))
                continue
            }
            if isPooled, capacity == 0 {
                outbox.add(Write(claim: task.claim, verb: .release))
                if let index = queues.firstIndex(where: { $0.settings.name == task.queue }) { queues[index].expect(task.priority) }
                continue
            }
            leases.begin(task, isPooled: isPooled, at: now)
            if let index = queues.firstIndex(where: { $0.settings.name == task.queue }) { queues[index].running += 1 }
            runnable.append(task)
        }
        if !runnable.isEmpty { actions.append(.run(runnable)) }
    }

    mutating func tripFailed(_ trip: Int, _ failure: TripFailure, _ now: Duration) {
        guard let (asked, _) = takeTrip(trip, now) else { return }
        asleep = false
        if !asked.writes.isEmpty { outbox.giveBack(trip, failure, at: now) }
        for look in asked.look?.queues ?? [] {
            guard let index = queues.firstIndex(where: { $0.settings.name == look.queue }) else { continue }
            queues[index].answered(look)
            queues[index].want(.full)
        }
        if asked.upkeep { nextUpkeep = now }
        if asked.proof != nil { proofSent = nil }
        rescues += asked.rescue
        tripFailures += 1
        switch failure {
        case .connectionLost:
            work.isUp = false
            if asked.look != nil || asked.known != nil { claimWasLost = true }
        case .badData: break
        case .retryable(let reason):
            tripsFrom = now + min(.milliseconds(10) * Double(1 << min(tripFailures, 7)), .seconds(1))
            // Once or twice is the price of working side by side.
            if tripFailures >= 5 { refused(reason) }
        case .other(let reason):
            tripsFrom = now + min(.milliseconds(100) * Double(1 << min(tripFailures, 6)), settings.pollInterval)
            refused(reason)
        }
    }

    private mutating func refused(_ reason: String) {
        guard reason != refusal else { return }
        refusal = reason
        actions.append(.report(.refused(reason: reason)))
    }

    mutating func noteSuspects(_ suspects: [Suspect], _ now: Duration) {
        for suspect in suspects {
            if suspect.processGone || suspect.graceLeft <= .zero {
                rescues.append((suspect.worker, suspect.processGone))
            } else {
                nextUpkeep = min(nextUpkeep, now + suspect.graceLeft + .milliseconds(10))
            }
        }
    }

    /// We were taken for dead, and have now claimed anew what was ours before: the older attempt can not end any more.
    mutating func disown(_ claim: Claim, _ now: Duration) {
        outbox.drop(claim)
        actions.append(.report(.late(claim)))
        guard let lease = leases.byClaim[claim] else { return }
        if !lease.abandoned { stop(lease, .lost, now) }
        leases.abandon(claim)
    }
}
