@testable import Hark
import Testing

@Suite("The brain, one rule at a time")
struct WorkerStateTests {
    @Test("an idle worker makes one round trip for each poll interval and nothing else")
    func idle() {
        var hands = Hands()
        hands.run(for: .seconds(10))
        hands.forget()
        hands.run(for: .seconds(60))
        // A poll comes after 80 to 95 % of its interval, with the beat in it.
        #expect((12...16).contains(hands.trips.count), "\(hands.trips.count)")
        #expect(hands.trips.allSatisfy { $0.upkeep && $0.beat != nil })
        // The proof of the listener goes with a poll as well.
        #expect(hands.trips.count { $0.proof != nil } == 2)
        let others = hands.actions.filter { if case .trip = $0 { false } else { true } }
        #expect(others.isEmpty, "\(others)")
    }

    @Test("as long as somebody keeps the worker from sleeping it tries ever less often, and says that it polls")
    func blocked() {
        var hands = Hands()
        hands.isBlocked = true
        hands.run(for: .seconds(60))
        #expect((10...25).contains(hands.waits), "\(hands.waits)")
        #expect(hands.trips.count { $0.look != nil } < 60, "\(hands.trips.count)")
        #expect(hands.listeners == ["listening", "polling"])
        #expect(!hands.isAsleep)
        // The next try is at most a poll interval away.
        hands.isBlocked = false
        hands.run(for: .seconds(6))
        #expect(hands.listeners == ["listening", "polling", "listening"])
        #expect(hands.isAsleep)
    }

    @Test("a commit that takes its time is waited for, and is not worth a word")
    func slowCommit() {
        var hands = Hands()
        hands.isBlocked = true
        hands.run(for: .milliseconds(500))
        #expect((2...4).contains(hands.waits), "\(hands.waits)")
        // It looks after each, and hears what rings in other buckets as ever.
        #expect(hands.trips.count { $0.look != nil } >= hands.waits)
        #expect(!hands.doorbell.contains("wakes"))
        hands.isBlocked = false
        hands.run(for: .milliseconds(600))
        #expect(hands.listeners == ["listening"])
        #expect(hands.isAsleep)
    }

    @Test("who is rung for one task at a time stays armed; who finds two at once, or gets more than half full, wakes up")
    func staysArmed() {
        var hands = Hands(slots: 4)
        hands.run(for: .milliseconds(20))
        hands.forget()
        for id in 1...3 as ClosedRange<Int64> {
            hands.ready = [id]
            hands.tell(.bell(queue: "default"))
            hands.run(for: .milliseconds(20))
            hands.tell(.finished(hands.running.filter { $0.id == id }.map { ($0.claim, .completed(result: nil)) }))
            hands.run(for: .milliseconds(20))
        }
        #expect(hands.doorbell.isEmpty, "\(hands.doorbell)")
        #expect(hands.isAsleep)
        for id in 4...6 as ClosedRange<Int64> {
            #expect(!hands.doorbell.contains("wakes as a guard") && !hands.doorbell.contains("wakes"))
            hands.ready = [id]
            hands.tell(.bell(queue: "default"))
            hands.run(for: .milliseconds(20))
        }
        #expect(hands.doorbell.prefix(2) == ["wakes", "hands over"], "\(hands.doorbell)")
        hands.tell(.finished(hands.running.filter { $0.id > 3 }.map { ($0.claim, .completed(result: nil)) }))
        hands.run(for: .milliseconds(20))
        hands.forget()
        hands.ready = [7, 8]
        hands.tell(.bell(queue: "default"))
        hands.run(for: .milliseconds(20))
        #expect(hands.doorbell.first == "wakes as a guard", "\(hands.doorbell)")
    }

    @Test("after a crowd of tasks a worker looks once more, a millisecond later, before it lies down")
    func looksAgain() {
        var hands = Hands()
        hands.run(for: .milliseconds(20))
        hands.forget()
        hands.ready = [1, 2]
        hands.tell(.bell(queue: "default"))
        hands.run(for: .milliseconds(20))
        #expect(hands.doorbell == ["wakes as a guard", "arms as a guard"])
        // What it was rung for, whether there is more, whether there is still nothing, and the last one, armed.
        #expect(hands.trips.count { $0.look != nil } == 4)
    }

    @Test("a worker that is to end when nothing is left looks once more after each outcome: the bell for what the function has enqueued may be on its way")
    func untilEmpty() {
        var hands = Hands(untilEmpty: true)
        hands.ready = [1]
        hands.run(for: .milliseconds(40))
        #expect(hands.running.map(\.id) == [1] && hands.isAsleep)
        hands.forget()
        hands.ready = [2]
        hands.tell(.finished(hands.running.map { ($0.claim, .completed(result: nil)) }))
        hands.run(for: .milliseconds(40))
        #expect(hands.running.map(\.id) == [1, 2])
        #expect(!hands.hasLeft)
        hands.tell(.finished(hands.running.suffix(1).map { ($0.claim, .completed(result: nil)) }))
        hands.run(for: .milliseconds(40))
        #expect(hands.hasLeft)
    }

    @Test("outcomes and the next claim share one round trip")
    func oneTrip() {
        var hands = Hands(slots: 2)
        hands.ready = [1, 2, 3, 4]
        hands.run(for: .milliseconds(20))
        #expect(hands.running.map(\.id) == [1, 2])
        hands.forget()
        hands.tell(.finished(hands.running.map { ($0.claim, .completed(result: nil)) }))
        #expect(hands.trips.count == 1)
        #expect(hands.trips.first?.writes.map(\.claim.id) == [1, 2])
        #expect(hands.trips.first?.look?.queues.map(\.room) == [2])
        hands.run(for: .milliseconds(20))
        #expect(hands.running.map(\.id) == [1, 2, 3, 4])
    }

    @Test("a claim that a crash of the server may undo goes alone, and only for a queue that allows it", arguments: [true, false])
    func claimThatMayBeLost(durable: Bool) {
        var hands = Hands(slots: 2, durableClaims: durable)
        hands.run(for: .milliseconds(20))
        hands.forget()
        hands.ready = [1, 2, 3]
        hands.tell(.bell(queue: "default"))
        #expect(hands.trips.map(\.mayBeLost) == [!durable])
        hands.run(for: .milliseconds(20))
        hands.forget()
        // With an outcome beside it, it must last in any case; and so must a poll, which may rescue.
        hands.tell(.finished(hands.running.map { ($0.claim, .completed(result: nil)) }))
        #expect(hands.trips.map(\.mayBeLost) == [false])
        hands.forget()
        hands.ready = []
        hands.run(for: .seconds(60))
        let (polls, relaxed) = (hands.trips.filter(\.upkeep), hands.trips.filter(\.mayBeLost))
        #expect(!polls.isEmpty && polls.allSatisfy { !$0.mayBeLost })
        #expect(relaxed.allSatisfy { $0.writes.isEmpty })
    }

    @Test("a function that says that it is alive has its whole timeout again; one that asks for more has that")
    func alive() {
        var hands = Hands()
        hands.timeout = .seconds(10)
        hands.ready = [1]
        hands.run(for: .milliseconds(20))
        let began = hands.now
        let claim = hands.running[0].claim
        hands.run(until: began + .seconds(8))
        hands.tell(.alive(claim))
        hands.run(until: began + .seconds(17))
        #expect(hands.stops.isEmpty)
        hands.tell(.extended(claim, by: .seconds(30)))
        // Shorter than what it has: nothing is taken away.
        hands.tell(.extended(claim, by: .seconds(1)))
        hands.run(until: began + .seconds(46))
        #expect(hands.stops.isEmpty)
        hands.run(until: began + .seconds(48))
        #expect(hands.stops == [.timeout])
        // Too late.
        hands.tell(.alive(claim))
        hands.run(for: .seconds(8))
        #expect(!hands.abandoned)
        hands.run(for: .seconds(2))
        #expect(hands.abandoned)
    }

    @Test("polls of workers that started together part")
    func spread() {
        let polls = (0..<20).map { (seed: UInt64) -> [Duration] in
            var hands = Hands(seed: seed)
            hands.run(for: .seconds(30))
            return hands.sent.filter(\.trip.upkeep).map(\.at)
        }
        for times in polls {
            // Those after the looks of the beginning.
            let waits = zip(times.dropFirst(5), times.dropFirst(4)).map { $0 - $1 }
            #expect(waits.count >= 5)
            #expect(waits.allSatisfy { $0 >= .milliseconds(3_999) && $0 <= .milliseconds(4_751) }, "\(waits)")
        }
        #expect(Set(polls.compactMap(\.last)).count == 20)
    }

    @Test("a lost connection is made anew after 50 ms, then after twice as long each time, at most 5 s, and up to a half less")
    func lost() {
        var random = SplitMix64(seed: 1)
        for _ in 0..<100 {
            var link = LinkState()
            for most in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
                let wait = link.lost(&random)
                #expect(wait >= .milliseconds(most) / 2 && wait <= .milliseconds(most))
                #expect(link.isConnecting && !link.isUp)
            }
            link.connected()
            #expect(link.lost(&random) <= .milliseconds(50))
        }
        var link = LinkState()
        #expect(Set((0..<8).map { _ in link = LinkState(); return link.lost(&random) }).count == 8)
    }

    @Test("the pause after an attempt is within its jitter, also at the cap")
    func jitter() {
        var random = SplitMix64(seed: 2)
        let policy = RetryPolicy()
        for (attempt, seconds) in [(0, 2.0), (1, 2), (2, 6), (5, 162), (9, 13_122), (10, 21_600), (1_000, 21_600)] {
            let delays = (0..<200).map { _ in policy.delay(afterAttempt: attempt, using: &random).seconds }
            #expect(delays.allSatisfy { $0 >= seconds * 0.8 - 0.001 && $0 <= seconds * 1.2 + 0.001 }, "after attempt \(attempt)")
            #expect((delays.min() ?? 0) < seconds * 0.85 && (delays.max() ?? 0) > seconds * 1.15, "after attempt \(attempt)")
        }
        #expect(RetryPolicy(jitter: 0).delay(afterAttempt: 3, using: &random) == .seconds(18))
    }

    @Test("functions of modules are claimed as their interpreters can begin them, whatever the slots; others as there are slots")
    func capacity() {
        var world = Hands(slots: 50, modules: ["m"])
        (world.function, world.ready) = ("m.f", Array(0...100))
        world.run(for: .seconds(2))
        #expect(world.running.isEmpty, "no interpreter has said that it is there")
        // One was taken, to see what the queue has, and given back.
        #expect(world.trips.flatMap(\.writes).map(\.verb) == [.release])
        world.tell(.capacity(2, lacking: nil))
        world.run(for: .seconds(1))
        #expect(world.running.map(\.id) == [1, 2])
        world.tell(.capacity(8, lacking: nil))
        world.run(for: .seconds(1))
        #expect(world.running.map(\.id) == Array(1...8))
        world.tell(.finished([(world.running[0].claim, .completed(result: nil))]))
        world.run(for: .seconds(1))
        #expect(world.running.map(\.id) == Array(1...9))
        // Those of a new configuration are free, whatever still runs in the old ones.
        world.tell(.newPool)
        world.tell(.capacity(2, lacking: nil))
        world.run(for: .seconds(1))
        #expect(world.running.map(\.id) == Array(1...11))

        // What runs elsewhere waits for no interpreter.
        var other = Hands(slots: 50, modules: ["m"])
        other.ready = Array(1...100)
        other.run(for: .seconds(1))
        #expect(other.running.count == 50)
        // And a name that nobody has changes nothing.
        world.function = "typo"
        world.tell(.finished([(world.running[10].claim, .completed(result: nil))]))
        world.run(for: .seconds(1))
        world.function = "m.f"
        world.run(for: .seconds(10))
        #expect(world.running.count <= 13)
    }

    @Test("the timeout of a function of a module begins with the function, not with the claim")
    func pooledTimeout() {
        var world = Hands(modules: ["m"])
        (world.function, world.ready, world.timeout) = ("m.f", [1], .seconds(2))
        world.tell(.capacity(1, lacking: nil))
        world.run(for: .seconds(10))
        #expect(world.running.count == 1 && world.stops.isEmpty)
        world.tell(.alive(world.running[0].claim))
        world.run(for: .milliseconds(1_900))
        #expect(world.stops.isEmpty)
        world.run(for: .milliseconds(200))
        #expect(world.stops == [.timeout])
    }

    @Test("who is rung and gets full passes the ring on, once; who finds all that there is does not")
    func passesOn() {
        var hands = Hands(slots: 2)
        hands.run(for: .seconds(2))
        hands.ready = [1]
        hands.tell(.bell(queue: "default"))
        hands.run(for: .milliseconds(100))
        hands.tell(.finished(hands.running.map { ($0.claim, .completed(result: nil)) }))
        hands.run(for: .seconds(5))
        #expect(hands.running.map(\.id) == [1])
        #expect(hands.passed.isEmpty)

        hands.ready = [2, 3, 4]
        hands.tell(.bell(queue: "default"))
        hands.run(for: .seconds(5))
        #expect(hands.running.map(\.id) == [1, 2, 3])
        #expect(hands.passed == ["default"])
        hands.forget()
        hands.tell(.bell(queue: "default"))
        #expect(hands.passed == ["default"], "at once, because it is full")
    }

    @Test("a ring for another queue in one bucket with ours is passed on")
    func foreignRing() {
        var hands = Hands()
        hands.run(for: .seconds(2))
        hands.tell(.bell(queue: "other"))
        #expect(hands.passed == ["other"])
    }

    @Test("a worker that cannot claim does not sleep for others, and passes on what it is rung for", arguments: [true, false])
    func unable(drains: Bool) {
        var hands = Hands(connects: false)
        hands.run(for: .seconds(2))
        hands.tell(drains ? .drain(timeout: .seconds(30)) : .disconnected(.work, reason: "cut"))
        #expect(hands.actions.contains { if case .disarm = $0 { true } else { false } })
        hands.tell(.bell(queue: "default"))
        #expect(hands.passed == ["default"])
    }

    @Test("who sleeps on others and is rung, or finds that they are gone, wakes up and goes to sleep anew", arguments: [true, false], [true, false])
    func takesOver(isRung: Bool, standsBy: Bool) {
        var hands = Hands()
        (hands.isReserve, hands.standsBy) = (!standsBy, standsBy)
        hands.run(for: .seconds(2))
        #expect(hands.isAsleep)
        hands.forget()
        (hands.isReserve, hands.standsBy, hands.isGuarded) = (false, false, isRung)
        if isRung { hands.tell(.bell(queue: "default")) }
        hands.run(for: .seconds(6))
        #expect(hands.doorbell == ["wakes as a guard", "arms as a guard"])
        #expect(hands.isAsleep)
    }

    /// The guard gave up between the two: the notification overtakes the answer, since libpq hands out notifications first.
    @Test("who is called before it hears that it sleeps on others takes over", arguments: [true, false])
    func calledEarly(standsBy: Bool) {
        var hands = Hands()
        (hands.isReserve, hands.standsBy) = (!standsBy, standsBy)
        while hands.doorbell.isEmpty { hands.run(for: .milliseconds(1)) }
        hands.tell(.bell(queue: "default"))
        hands.run(for: .milliseconds(1))
        (hands.isReserve, hands.standsBy) = (false, false)
        hands.run(for: .seconds(1))
        #expect(hands.doorbell == ["arms", "wakes as a guard", "arms as a guard"])
    }

    @Test("a guard that is more than half full, or leaves, hands over; so does one that leaves asleep")
    func handsOver() {
        var hands = Hands(slots: 4)
        hands.run(for: .seconds(2))
        hands.forget()
        hands.ready = [1, 2]
        hands.tell(.bell(queue: "default"))
        hands.run(for: .seconds(1))
        #expect(hands.doorbell == ["wakes as a guard", "arms as a guard"])
        hands.forget()
        hands.ready = [3]
        hands.tell(.bell(queue: "default"))
        hands.run(for: .seconds(1))
        #expect(hands.doorbell == ["wakes", "hands over", "arms"])
        hands.forget()
        hands.tell(.drain(timeout: .seconds(30)))
        #expect(hands.doorbell == ["wakes", "hands over"])
    }

    @Test("the locks of a sleeper go with its session, so when it is back it tells those who relied on it")
    func isBack() {
        var hands = Hands(connects: false)
        hands.run(for: .seconds(2))
        #expect(hands.isAsleep)
        hands.forget()
        hands.tell(.disconnected(.signal, reason: "cut"))
        #expect(hands.doorbell.isEmpty)
        hands.tell(.joined(worker: 1, renewed: false))
        #expect(hands.doorbell.first == "hands over")
    }

    @Test("a worker that is full when a task will be due within a minute passes that on, once")
    func passesOnTime() {
        var hands = Hands(slots: 1)
        hands.run(for: .seconds(2))
        hands.due = hands.now + .seconds(90)
        hands.run(for: .seconds(10))
        hands.ready = [1]
        hands.run(for: .seconds(10))
        #expect(hands.running.map(\.id) == [1])
        #expect(hands.passed.isEmpty)
        hands.run(for: .seconds(20))
        #expect(hands.passed == ["default"])
    }
}

/// Hands that do at once what the brain says, beside a database in which all goes well.
private struct Hands: CustomTestStringConvertible {
    var testDescription: String { "hands at \(now)" }
    private(set) var now = Duration.seconds(1_000)
    private(set) var sent: [(at: Duration, trip: Trip)] = []
    private(set) var actions: [WorkerAction] = []
    private(set) var running: [ClaimedTask] = []
    /// Somebody else guards the queue, or hears its bell.
    var isReserve = false
    var standsBy = false
    var isGuarded = true
    /// Somebody holds SLEEP shared.
    var isBlocked = false
    /// The tasks that are there to be claimed.
    var ready: [Int64] = []
    var timeout: Duration?
    /// When the next scheduled one is due.
    var due: Duration?
    /// What they name.
    var function = "f"
    /// A connection that was lost is made anew.
    private let connects: Bool
    private var brain: WorkerState
    /// What the brain will hear, in the order of the moments.
    private var answers: [(at: Duration, event: WorkerEvent)] = []

    init(slots: Int = 10, durableClaims: Bool = true, modules: Modules = [], untilEmpty: Bool = false, connects: Bool = true, seed: UInt64 = 7) {
        self.connects = connects
        var settings = WorkerState.Settings()
        settings.modules = modules
        settings.untilEmpty = untilEmpty
        settings.queues = [QueueSettings(name: "default", slots: slots, durableClaims: durableClaims)]
        settings.functions = ["f"]
        brain = WorkerState(settings, seed: seed)
        obey(brain.start(now: now))
    }

    var trips: [Trip] { sent.map(\.trip) }
    var waits: Int { actions.count { if case .awaitSleep = $0 { true } else { false } } }
    var isAsleep: Bool { actions.contains { if case .report(.asleep) = $0 { true } else { false } } }
    var hasLeft: Bool { actions.contains { if case .leave = $0 { true } else { false } } }
    var abandoned: Bool { actions.contains { if case .report(.deaf) = $0 { true } else { false } } }
    var stops: [StopReason] { actions.compactMap { if case .stop(_, let reason) = $0 { reason } else { nil } } }
    var doorbell: [String] {
        actions.compactMap {
            switch $0 {
            case .arm(_, _, let guards): guards ? "arms as a guard" : "arms"
            case .disarm(let guards): guards ? "wakes as a guard" : "wakes"
            case .handOver: "hands over"
            default: nil
            }
        }
    }
    var passed: [String] {
        actions.compactMap { if case .passOn(let queues) = $0 { queues.joined(separator: " ") } else { nil } }
    }
    var listeners: [String] { actions.compactMap { if case .report(.listener(let listener)) = $0 { listener.word } else { nil } } }

    mutating func forget() { (sent, actions) = ([], []) }

    mutating func tell(_ event: WorkerEvent) { obey(brain.handle(event, now: now)) }

    mutating func run(for duration: Duration) { run(until: now + duration) }

    mutating func run(until end: Duration) {
        while true {
            let answer = answers.min { $0.at < $1.at }?.at
            guard let next = [answer, brain.nextWake.map { max($0, now) }].compactMap(\.self).min(), next <= end else { break }
            now = next
            if let index = answers.firstIndex(where: { $0.at <= now }) { tell(answers.remove(at: index).event) } else { tell(.tick) }
        }
        now = end
    }

    private mutating func obey(_ actions: [WorkerAction]) {
        self.actions += actions
        for action in actions {
            switch action {
            case .connect(.signal, _): answer(.joined(worker: 1, renewed: false))
            case .connect(.work, _) where connects || sent.isEmpty: answer(.workConnected)
            case .arm: answer(.armed(isReserve: isReserve, standsBy: standsBy, blocked: isBlocked ? [7] : []))
            case .awaitSleep(_, let patience): isBlocked ? answer(.awaited(.blocked), after: patience) : answer(.awaited(.had))
            case .disarm: answer(.disarmed)
            case .trip(let trip):
                sent.append((now, trip))
                answer(.tripped(trip: trip.number, result(of: trip)))
                if let nonce = trip.proof { answer(.proof(nonce: nonce)) }
            case .run(let tasks): running += tasks
            default: break
            }
        }
    }

    private mutating func answer(_ event: WorkerEvent, after delay: Duration = .milliseconds(1)) {
        let moment = now + delay
        answers.insert((moment, event), at: answers.firstIndex { $0.at > moment } ?? answers.count)
    }

    private mutating func result(of trip: Trip) -> TripResult {
        var result = TripResult(stillRegistered: trip.beat == nil ? nil : true, written: Set(trip.writes.map(\.claim)))
        result.isGuarded = isGuarded
        for asked in trip.look?.queues ?? [] {
            if asked.full {
                result.lanes[asked.queue] = ready.isEmpty ? [] : [0]
                result.nextDue[asked.queue] = due.map { $0 - now }
            }
            for id in ready.prefix(asked.room) {
                result.claimed.append(
                    ClaimedTask(claim: Claim(id: id, token: trip.look?.token ?? 0), queue: asked.queue, function: function, args: [], position: id, timeout: timeout))
            }
            ready.removeFirst(min(ready.count, asked.room))
        }
        return result
    }
}
