@testable import Hark

/// Everything around a brain, simulated: a database with its tasks, two connections that break, functions that take their
/// time, and clients that insert. One seed decides everything, so a failure can be replayed.
///
/// The database here obeys the contract that the SQL obeys (claims are exclusive, writes are fenced, a bell rings only
/// for an armed worker); whether the SQL does is tested elsewhere, on a real server.
struct SimulatedWorld {
    struct Row {
        var queue: String
        var priority: Int
        var position: Int64
        var runAt: Duration
        var state = "ready"
        var token: Int64?
        var attempt = 0
        var outcomes = 0
        var cancelRequested = false
    }

    struct Violation: Error, CustomStringConvertible { var description: String }

    private enum Happening {
        case event(WorkerEvent)
        /// A round trip on the work connection of that number.
        case arrive(Trip, TripFailure?, line: Int)
        case arm(Set<String>), await(until: Duration), disarm
        case connect(Link)
        case insert
        /// Of a row whose insert has decided long before whether to ring.
        case commit(Int64, Row, rings: Bool)
        /// A stranger gives back the SLEEP lock.
        case giveBack(String)
        case configure([String: Int])
        case resume(slept: Duration)
        case breakLink(Link)
        case function(Claim, Outcome)
        case left
        case wake(Int)
    }

    private(set) var now = Duration.seconds(1_000)
    private(set) var rows: [Int64: Row] = [:]
    private(set) var brain: WorkerState
    private(set) var ended = false
    private(set) var started = 0
    private var random: SplitMix64
    private var agenda: [(at: Duration, order: Int, what: Happening)] = []
    private var (order, positions) = (0, Int64(0))
    private var up: [Link: Bool] = [.signal: false, .work: false]
    private var asleep = false
    private var bellsInFlight = 0
    /// What the next bell would make the brain send, as it says itself.
    private var rehearsed: (queue: String, until: Duration, trip: String)?
    /// How many hold SLEEP shared, by queue, where the worker has it, could not have it, and waits for it.
    private var silent: [String: Int] = [:]
    private var (armed, blocked, waiting): (Set<String>, Set<String>, Set<String>) = ([], [], [])
    /// What the brain has written, as the database took it; and what it has heard of that.
    private var taken: [Claim: Write.Verb] = [:]
    private var (givenUp, draining) = (false, false)
    private var runningNow: [Claim: String] = [:]
    private var (confirmed, deaf): (Set<Claim>, Set<Claim>) = ([], [])
    /// Of the settings in force, and the most that there ever were.
    private var slots: [String: Int], most: [String: Int]
    private var settings = WorkerState.Settings()
    /// The work connections so far, the trips under way on the last one, and when the last of them arrives.
    private var (line, wakes) = (0, 0)
    private var (underWay, lastArrival): ([Trip], Duration) = ([], .zero)
    /// How many trips were sent behind, or beside, another; how many bells brought about what was rehearsed.
    private(set) var ahead = 0, rehearsals = 0
    let faults: Bool, calm: Bool, busy: Bool

    /// - Parameters:
    ///   - faults: connections break, round trips fail, functions are deaf.
    ///   - calm: the last thing that happens is an insert; everything must be found and finished.
    ///   - busy: tasks come in crowds, functions are quick, and there are many slots.
    init(seed: UInt64, faults: Bool, calm: Bool = false, busy: Bool = false) {
        random = SplitMix64(seed: seed)
        (self.faults, self.calm, self.busy) = (faults, calm, busy)
        slots = ["a": Int.random(in: 1...(busy ? 12 : 4), using: &random), "b": Int.random(in: 1...3, using: &random)]
        most = slots
        settings.queues = Self.queues(slots)
        settings.functions = ["f"]
        settings.modules = ["m"]
        settings.retry = RetryPolicy(base: .milliseconds(100), cap: .seconds(3))
        settings.batch = Int.random(in: 1...6, using: &random)
        settings.aheadFrom = Int.random(in: 1...3, using: &random)
        brain = WorkerState(settings, seed: random.next())
    }

    mutating func run(inserts: Int, drainAfter: Duration?) throws {
        let crowds = (0..<4).map { _ in Int.random(in: 0...20_000, using: &random) }
        for _ in 0..<inserts {
            let moment = Int.random(in: 0...20_000, using: &random)
            plan(.milliseconds(busy ? crowds[moment % crowds.count] : moment), .insert)
        }
        if faults {
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                plan(.milliseconds(Int.random(in: 0...25_000, using: &random)), .breakLink(Bool.random(using: &random) ? .work : .signal))
            }
        }
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            // Up to a minute: then the worker polls meanwhile.
            let (queue, hold) = (Bool.random(using: &random) ? "a" : "b", Duration.milliseconds(Int.random(in: 1...60_000, using: &random)))
            silent[queue, default: 0] += 1
            plan(hold, .giveBack(queue))
        }
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let choice = ["a": Int.random(in: 0...5, using: &random), "b": Int.random(in: 0...4, using: &random)]
            plan(.milliseconds(Int.random(in: 0...25_000, using: &random)), .configure(choice))
        }
        plan(.seconds(26), .configure(slots))
        // Interpreters come, have room for more or fewer, go, and are there at the end.
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            plan(.milliseconds(Int.random(in: 0...25_000, using: &random)), .event(.capacity(Int.random(in: 0...3, using: &random), lacking: nil)))
        }
        plan(.seconds(26), .event(.capacity(2, lacking: nil)))
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            plan(.milliseconds(Int.random(in: 0...25_000, using: &random)), .resume(slept: .milliseconds(Int.random(in: 500...60_000, using: &random))))
        }
        if let drainAfter { plan(drainAfter, .event(.drain(timeout: .seconds(Int.random(in: 0...8, using: &random))))) }
        try obey(brain.start(now: now))
        scheduleWake()
        var steps = 0
        while let next = agenda.indices.min(by: { (agenda[$0].at, agenda[$0].order) < (agenda[$1].at, agenda[$1].order) }) {
            steps += 1
            if steps > 200_000 { throw Violation(description: "spins at \(now)") }
            let happening = agenda.remove(at: next)
            now = max(now, happening.at)
            try happen(happening.what)
            try check()
            if ended { break }
            if drainAfter == nil, agenda.allSatisfy({ if case .wake = $0.what { true } else { false } }), isDone { break }
            if now > .seconds(5_000) { throw Violation(description: "is not done after 4,000 s: \(unfinished)") }
        }
    }

    /// Every task has come to an end, and the worker knows.
    var isDone: Bool { rows.values.allSatisfy { $0.state == "finished" } && brain.outbox.isEmpty }
    var unfinished: [Int64: Row] { rows.filter { $0.value.state != "finished" } }

    /// The rows by id: a dictionary's own order is another one in each process, and a seed could not be replayed.
    private var inOrder: [(key: Int64, value: Row)] { rows.sorted { $0.key < $1.key } }

    // MARK: - What happens

    private mutating func plan(_ after: Duration, _ what: Happening) {
        order += 1
        agenda.append((now + after, order, what))
    }

    private mutating func latency() -> Duration { .microseconds(Int.random(in: 50...3_000, using: &random)) }

    private mutating func tell(_ event: WorkerEvent) throws {
        let actions = brain.handle(event, now: now)
        if let (queue, until, trip) = rehearsed, case .bell(queue) = event, now < until {
            let wanted = actions.compactMap { if case .trip(let trip) = $0 { "\(trip)" } else { nil } }
            guard wanted == [trip] else { throw Violation(description: "rehearsed \(trip) for a bell, and then wanted \(wanted)") }
            rehearsals += 1
        }
        let next = brain.queues.randomElement(using: &random)?.settings.name ?? ""
        rehearsed = brain.rehearsal(ofBell: next, now: now).map { (next, brain.nextWake ?? .seconds(Int64.max), "\($0)") }
        try obey(actions)
        scheduleWake()
    }

    private mutating func scheduleWake() {
        wakes += 1
        agenda.removeAll { if case .wake = $0.what { true } else { false } }
        if let wake = brain.nextWake { plan(max(wake - now, .zero), .wake(wakes)) }
    }

    private mutating func happen(_ what: Happening) throws {
        switch what {
        case .event(let event):
            if case .bell = event { bellsInFlight -= 1 }
            if case .drain = event { draining = true }
            if case .disconnected(let link, _) = event, up[link] == true { return }
            try tell(event)
        case .wake(let number): if number == wakes { try tell(.tick) }
        case .connect(let link):
            if faults, Int.random(in: 0...3, using: &random) == 0 { return try tell(.connectFailed(link, reason: "refused")) }
            up[link] = true
            guard link == .signal else {
                (line, underWay) = (line + 1, [])
                return try tell(.workConnected)
            }
            let renewed = givenUp
            givenUp = false
            try tell(.joined(worker: 1, renewed: renewed))
        case .breakLink(let link):
            guard up[link] == true else { return }
            up[link] = false
            if link == .signal { loseLocks() }
            plan(latency(), .event(.disconnected(link, reason: "cut")))
        case .insert: insert()
        case .commit(let id, let row, let rings):
            rows[id] = row
            if rings { deliverBell(row.queue) } else { silent[row.queue, default: 0] -= 1 }
        case .giveBack(let queue): silent[queue, default: 0] -= 1
        case .configure(let new):
            slots = new
            most.merge(new, uniquingKeysWith: max)
            settings.queues = Self.queues(new)
            try tell(.configured(settings))
        case .resume(let slept): try resume(slept)
        case .arrive(let trip, let failure, let line):
            // What was under way on a connection that is gone is nobody's.
            guard line == self.line else { return }
            underWay.removeAll { $0.number == trip.number }
            try arrive(trip, failure)
        case .arm(let queues):
            guard up[.signal] == true else { return }
            armed = queues.filter { silent[$0] ?? 0 == 0 }
            (waiting, blocked) = ([], queues.subtracting(armed))
            try tell(.armed(isReserve: false, standsBy: Int.random(in: 0...4, using: &random) == 0, blocked: blocked.isEmpty ? [] : [1]))
        case .await(let deadline):
            waiting = blocked
            if blocked.allSatisfy({ silent[$0] ?? 0 == 0 }) {
                (armed, waiting, blocked) = (armed.union(blocked), [], [])
                try tell(.awaited(.had))
            } else if now < deadline {
                plan(.milliseconds(1), .await(until: deadline))
            } else {
                waiting = []
                try tell(.awaited(Int.random(in: 0...4, using: &random) == 0 ? .taken : .blocked))
            }
        case .disarm:
            guard up[.signal] == true else { return }
            loseLocks()
            try tell(.disarmed)
        case .function(let claim, let outcome):
            guard runningNow.removeValue(forKey: claim) != nil else { return }
            try tell(.finished([(claim, outcome)]))
        case .left: try tell(.left)
        }
    }

    private mutating func insert() {
        positions += 1
        let queue = Bool.random(using: &random) ? "a" : "b"
        let future = Int.random(in: 0...5, using: &random) == 0
        let runAt = future ? now + .milliseconds(Int.random(in: 1...9_000, using: &random)) : now
        let priority = Int.random(in: 0...4, using: &random) == 0 ? Int.random(in: -10...10, using: &random) : 0
        let row = Row(queue: queue, priority: priority, position: positions, runAt: runAt, state: future ? "scheduled" : "ready")
        if Int.random(in: 0...3, using: &random) == 0 {
            // Decides now and commits later: immediate constraints, or a prepared transaction.
            let rings = rings(queue)
            if !rings { silent[queue, default: 0] += 1 }
            return plan(.milliseconds(Int.random(in: 0...5_000, using: &random)), .commit(positions, row, rings: rings))
        }
        rows[positions] = row
        if rings(queue) { deliverBell(queue) }
    }

    /// The clocks of everybody else have gone on, and with faults they may have taken us for dead.
    private mutating func resume(_ slept: Duration) throws {
        for (id, row) in rows where row.state == "scheduled" { rows[id]?.runAt = row.runAt - slept }
        if faults, !givenUp, Bool.random(using: &random) { giveUp() }
        try tell(.resumed(after: slept))
    }

    private mutating func loseLocks() {
        (armed, blocked, waiting, asleep) = ([], [], [], false)
        agenda.removeAll { if case .await = $0.what { true } else { false } }
    }

    private func rings(_ queue: String) -> Bool { armed.union(waiting).contains(queue) && up[.signal] == true }

    /// To whoever listens then.
    private mutating func deliverBell(_ queue: String) {
        guard armed.union(blocked).contains(queue), up[.signal] == true else { return }
        bellsInFlight += 1
        plan(latency(), .event(.bell(queue: queue)))
    }

    private mutating func arrive(_ trip: Trip, _ failure: TripFailure?) throws {
        guard up[.work] == true else { return try tell(.tripFailed(trip: trip.number, .connectionLost("cut"))) }
        if let failure {
            if case .connectionLost = failure {
                up[.work] = false
                // The server may have committed before the line was cut.
                if Bool.random(using: &random) { _ = try perform(trip) }
                plan(latency(), .event(.disconnected(.work, reason: "cut")))
            }
            asleep = false
            return try tell(.tripFailed(trip: trip.number, failure))
        }
        let result = try perform(trip)
        // Our own notification comes back, unless the listener has gone deaf.
        if let nonce = trip.proof, up[.signal] == true, !faults || Int.random(in: 0...4, using: &random) != 0 {
            plan(latency(), .event(.proof(nonce: nonce)))
        }
        confirmed.formUnion(result.written)
        try tell(.tripped(trip: trip.number, result))
    }

    /// The database's side of a round trip.
    private mutating func perform(_ trip: Trip) throws -> TripResult {
        var result = TripResult()
        if trip.beat != nil {
            // Now and then somebody has taken us for dead: our claims are other people's, and our row is gone until we register anew.
            if faults, !givenUp, Int.random(in: 0...40, using: &random) == 0 { giveUp() }
            result.stillRegistered = Int.random(in: 0...40, using: &random) == 0 && faults ? nil : !givenUp
        }
        result.held = Set(trip.held.filter { rows[$0.id]?.token == $0.token })
        for write in trip.writes {
            if let before = taken[write.claim], before != write.verb {
                throw Violation(description: "task \(write.claim.id) was written as \(before), and then as \(write.verb) for the same claim")
            }
            guard rows[write.claim.id]?.token == write.claim.token else { continue }
            // Somebody holds the row locked: not written this time.
            if faults, Int.random(in: 0...9, using: &random) == 0 { continue }
            result.written.insert(write.claim)
            taken[write.claim] = write.verb
            settle(write)
        }
        if let known = trip.known {
            for (id, row) in inOrder where row.state == "running" && !known.contains(where: { $0.id == id && $0.token == row.token }) {
                settle(Write(claim: Claim(id: id, token: row.token ?? 0), verb: .release))
            }
        }
        // Nothing is claimed for a worker without a row.
        guard let look = trip.look, !givenUp else { return result }
        for asked in look.queues {
            if asked.full {
                for (id, row) in inOrder where row.queue == asked.queue && row.state == "scheduled" && row.runAt <= now {
                    positions += 1
                    rows[id]?.state = "ready"
                    rows[id]?.position = positions
                }
                result.lanes[asked.queue] = Set(rows.values.filter { $0.queue == asked.queue && $0.state == "ready" }.map(\.priority)).sorted()
            }
            var room = asked.room
            for lane in asked.lanes {
                let found = rows.filter {
                    $0.value.queue == asked.queue && $0.value.state == "ready" && $0.value.priority == lane.priority && $0.value.position >= lane.mark
                }.sorted { $0.value.position < $1.value.position }.prefix(room)
                room -= found.count
                for (id, row) in found {
                    rows[id]?.state = "running"
                    rows[id]?.token = look.token
                    rows[id]?.attempt += 1
                    result.claimed.append(
                        ClaimedTask(
                            claim: Claim(id: id, token: look.token), queue: row.queue, function: id % 50 == 0 && !calm ? "unknown" : id % 3 == 0 ? "m.f" : "f", args: [],
                            priority: row.priority, position: row.position, attempt: row.attempt + 1,
                            timeout: id % 7 == 0 ? .seconds(2) : nil))
                }
            }
        }
        for asked in look.full {
            result.nextDue[asked.queue] = rows.values.filter { $0.state == "scheduled" && $0.queue == asked.queue }.map { $0.runAt - now }.min()
        }
        return result
    }

    private mutating func giveUp() {
        givenUp = true
        for (id, row) in inOrder where row.state == "running" { settle(Write(claim: Claim(id: id, token: row.token ?? 0), verb: .release)) }
    }

    private mutating func settle(_ write: Write) {
        let id = write.claim.id
        rows[id]?.token = nil
        switch write.verb {
        case .complete, .fail, .cancel, .block:
            rows[id]?.state = "finished"
            rows[id]?.outcomes += 1
        case .release:
            positions += 1
            rows[id]?.state = "ready"
            rows[id]?.position = positions
            if let queue = rows[id]?.queue, rings(queue) { deliverBell(queue) }
        case .retry(let delay, _), .snooze(let delay):
            rows[id]?.state = "scheduled"
            rows[id]?.runAt = now + delay
            if let queue = rows[id]?.queue, rings(queue) { deliverBell(queue) }
        }
    }

    // MARK: - What the brain says

    private mutating func obey(_ actions: [WorkerAction]) throws {
        for action in actions {
            if ended { throw Violation(description: "does something after its end: \(action)") }
            switch action {
            case .connect(let link, let after):
                if up[link] == true || agenda.contains(where: { if case .connect(link) = $0.what { true } else { false } }) {
                    throw Violation(description: "connects \(link) twice")
                }
                plan(after + latency(), .connect(link))
            case .drop(let link, _):
                up[link] = false
                if link == .signal { loseLocks() }
                plan(latency(), .event(.disconnected(link, reason: "dropped")))
            case .trip(let trip):
                if draining, trip.look != nil { throw Violation(description: "claims after the drain began") }
                try check(trip)
                if !underWay.isEmpty { ahead += 1 }
                underWay.append(trip)
                // Behind the other on its connection, or on one beside it.
                let arrival = Bool.random(using: &random) ? now + latency() : max(now + latency(), lastArrival)
                lastArrival = max(arrival, lastArrival)
                plan(arrival - now, .arrive(trip, trip.writes.isEmpty && trip.look == nil ? nil : fault(), line: line))
            case .arm(let queues, _, _): plan(latency(), .arm(Set(queues)))
            case .awaitSleep(_, let patience): plan(latency(), .await(until: now + patience))
            case .disarm:
                asleep = false
                plan(latency(), .disarm)
            case .beat, .passOn, .handOver, .report(.trouble), .report(.late): break
            case .run(let tasks): for task in tasks { begin(task) }
            case .stop(let claim, let reason): stop(claim, reason)
            case .leave: plan(latency(), .left)
            case .report(.asleep): asleep = true
            case .report(.listener(.polling)), .report(.listener(.disconnected)): asleep = false
            case .report: break
            case .end: ended = true
            }
        }
    }

    private mutating func fault() -> TripFailure? {
        guard faults else { return nil }
        switch Int.random(in: 0...30, using: &random) {
        case 0: return .connectionLost("cut")
        case 1: return .retryable("deadlock")
        case 2: return .other("syntax")
        default: return nil
        }
    }

    private mutating func begin(_ task: ClaimedTask) {
        started += 1
        runningNow[task.claim] = task.queue
        // One that waits for an interpreter has time until it begins.
        if task.function == "m.f" { plan(latency(), .event(.alive(task.claim))) }
        if faults, Int.random(in: 0...40, using: &random) == 0 {
            deaf.insert(task.claim)
            return plan(.seconds(60), .function(task.claim, .completed(result: nil)))
        }
        let outcomes: [Outcome] = [
            .completed(result: nil), .completed(result: nil), .completed(result: nil), .errored(AttemptError(.error, "x")),
            .retry(after: .milliseconds(300), AttemptError(.error, "y")), .snoozed(.milliseconds(200)), .failed(AttemptError(.error, "z")),
        ]
        let most = busy ? 5 : calm ? 400 : 4_000
        plan(.milliseconds(Int.random(in: 0...most, using: &random)), .function(task.claim, calm ? .completed(result: nil) : outcomes.randomElement(using: &random) ?? .released))
    }

    private mutating func stop(_ claim: Claim, _ reason: StopReason) {
        guard runningNow[claim] != nil, !deaf.contains(claim) else { return }
        let outcome: Outcome =
            switch reason {
            case .timeout: .errored(AttemptError(.timeout, "t"))
            case .cancelled: .cancelled(AttemptError(.cancelled, "c"))
            case .shutdown, .lost: .released
            }
        plan(.milliseconds(Int.random(in: 0...300, using: &random)), .function(claim, outcome))
    }

    // MARK: - What must always hold

    private static func queues(_ slots: [String: Int]) -> [QueueSettings] {
        slots.sorted { $0.key < $1.key }.filter { $0.value > 0 }.map { QueueSettings(name: $0.key, slots: $0.value) }
    }

    /// What is asked of the database fits the settings in force, and what it has confirmed is not said again.
    private func check(_ trip: Trip) throws {
        for asked in trip.look?.queues ?? [] {
            let askedBefore = underWay.flatMap { $0.look?.queues ?? [] }.filter { $0.queue == asked.queue }.reduce(0) { $0 + $1.room }
            let room = max((slots[asked.queue] ?? 0) - runningNow.values.filter { $0 == asked.queue }.count - askedBefore, 0)
            if asked.room > room { throw Violation(description: "claims \(asked.room) of \(asked.queue), which has room for \(room)") }
        }
        if let again = trip.writes.first(where: { confirmed.contains($0.claim) }) { throw Violation(description: "writes \(again) again, which was confirmed") }
        if Set(trip.writes.map(\.claim)).count < trip.writes.count { throw Violation(description: "writes a claim twice in one trip") }
    }

    private func check() throws {
        for (queue, most) in most {
            let running = runningNow.values.filter { $0 == queue }.count
            if running > most { throw Violation(description: "\(running) tasks of \(queue) run in \(most) slots") }
        }
        if let twice = rows.first(where: { $0.value.outcomes > 1 }) { throw Violation(description: "task \(twice.key) has \(twice.value.outcomes) outcomes") }
        // Asleep, with nothing on its way: then there is nothing that could be claimed.
        let working = agenda.contains { if case .arrive = $0.what { true } else { false } }
        guard asleep, !working, bellsInFlight == 0, up[.signal] == true, up[.work] == true, brain.tripsFrom <= now else { return }
        // Without a row in hark.workers nothing is claimed; the next beat tells.
        guard !givenUp else { return }
        // After a suspend it waits for its own notification.
        guard !brain.isUnproven else { return }
        for (id, row) in inOrder where row.state == "ready" || (row.state == "scheduled" && row.runAt < now) {
            let running = runningNow.values.filter { $0 == row.queue }.count
            // The interpreters may be busy, or away.
            guard brain.queues.first(where: { $0.settings.name == row.queue })?.allowance != 0 else { continue }
            if running < slots[row.queue] ?? 0, brain.nextWake ?? .seconds(9_999) > now {
                throw Violation(description: "sleeps at \(now) until \(String(describing: brain.nextWake)) while task \(id) waits: \(row)")
            }
        }
    }
}
