@testable import Hark
import Testing

@Suite("Who runs which Python task")
struct PoolStateTests {
    private let second = Duration.seconds(1)

    private func pool(_ interpreters: Int = 2) -> PoolState {
        PoolState(PoolState.Settings(interpreters: interpreters, grace: .seconds(5), resultLimit: 1000))
    }

    /// A pool whose interpreters 1... are ready.
    private func ready(_ interpreters: Int = 2) -> PoolState {
        var pool = pool(interpreters)
        _ = pool.up(now: .zero)
        for id in 1...interpreters { _ = pool.ready(id, now: .zero) }
        return pool
    }

    private func done(_ task: ClaimedTask, _ kind: Frame.Kind = .done, _ flags: Frame.Flags = [], nanoseconds: Int64 = 1_000, payload: [UInt8] = []) -> Frame {
        Frame(kind: kind, flags: flags, task: task.id, number: nanoseconds, payload: payload[...])
    }

    private func words(_ message: String) -> [UInt8] { [UInt8(message.utf8.count), 0, 0, 0] + Array(message.utf8) }

    /// `f` has run often and is known to be short.
    private func taught(_ interpreters: Int = 1) -> PoolState {
        var pool = ready(interpreters)
        for _ in 0..<3 {
            let task = claimed("f")
            _ = pool.start([task], now: .zero)
            _ = pool.replied(1, [done(task)], now: .zero)
        }
        return pool
    }

    @Test("interpreters are asked for once there is a fork server, and tasks wait for them")
    func beginning() {
        var pool = pool()
        let task = claimed("f")
        #expect(pool.start([task], now: .zero).described == ["capacity 0"])
        #expect(pool.up(now: .zero).described == ["fork 1", "fork 2", "capacity 2"])
        #expect(pool.ready(2, now: .zero).described == ["send 2 \(task.id)"])
    }

    @Test("a function that is not known to be short is never handed ahead")
    func unknown() {
        var pool = ready(1)
        let tasks = [claimed("f"), claimed("f")]
        #expect(pool.start(tasks, now: .zero).described == ["send 1 \(tasks[0].id)"])
        #expect(pool.replied(1, [done(tasks[0])], now: .zero).described.prefix(2) == ["finish \(tasks[0].id) completed", "send 1 \(tasks[1].id)"])
    }

    @Test("short ones are handed ahead, in one write")
    func ahead() {
        var pool = taught()
        let tasks = (0..<5).map { _ in claimed("f") }
        #expect(pool.start(tasks, now: .zero).described == ["send 1 " + tasks.map { "\($0.id)" }.joined(separator: " ")])
    }

    @Test("what is handed ahead is bounded: by number, by time, by bytes")
    func bounds() throws {
        var pool = taught()
        let many = (0..<1_000).map { _ in claimed("f") }
        guard case .send(_, let first)? = pool.start(many, now: .zero).first else { throw Missing() }
        #expect(first.count == Pace.mostHanded)
        var large = taught()
        let text = "[\"" + String(repeating: "x", count: 40 << 10) + "\"]"
        guard case .send(_, let second)? = large.start([claimed("f", text), claimed("f", text)], now: .zero).first else { throw Missing() }
        #expect(second.count == 1)
    }

    private struct Missing: Error {}

    @Test("when a short function is long for once, the rest is asked back and goes to whoever has time")
    func recall() {
        var pool = taught(2)
        let tasks = (0..<4).map { _ in claimed("f") }
        // One after the other to the same interpreter, since the other one runs something long.
        _ = pool.start([claimed("long")], now: .zero)
        _ = pool.start(tasks, now: .zero)
        #expect(pool.nextWake == .milliseconds(50))
        #expect(pool.tick(now: .milliseconds(50)).described == ["recall 2"])
        #expect(pool.tick(now: .milliseconds(60)).described == [])
        // Until it answers it is reminded.
        #expect(pool.nextWake == .milliseconds(100))
        #expect(pool.tick(now: .milliseconds(100)).described == ["nudge 2"])
        #expect(pool.nextWake == .milliseconds(200))
        // They wait, as both interpreters are busy.
        #expect(pool.recalled(2, tasks.dropFirst().map(\.id), now: .milliseconds(110)).described == [])
        #expect(pool.replied(2, [done(tasks[0])], now: second).described.contains("send 2 " + tasks.dropFirst().map { "\($0.id)" }.joined(separator: " ")))
    }

    @Test("an interpreter that dies costs the task that it ran, and no other")
    func death() {
        var pool = taught()
        let tasks = (0..<3).map { _ in claimed("f") }
        _ = pool.start(tasks, now: .zero)
        _ = pool.replied(1, [done(tasks[0])], now: .zero)
        #expect(pool.died(1, AttemptError(.crash, "was ended by SIGSEGV"), now: .zero).described == ["finish \(tasks[1].id) crash", "fork 2"])
        #expect(pool.ready(2, now: .zero).described == ["send 2 \(tasks[2].id)"])
    }

    @Test("a stop reaches what waits at once, what runs by an interrupt and then by force, and what was handed ahead by a recall")
    func stops() {
        var pool = taught()
        let tasks = (0..<3).map { _ in claimed("f") } + [claimed("long")]
        _ = pool.start(tasks, now: .zero)
        #expect(pool.stop(tasks[3].claim, .cancelled, grace: second, now: .zero).described == ["finish \(tasks[3].id) cancelled"])
        #expect(pool.stop(tasks[0].claim, .timeout, grace: second, now: .zero).described == ["interrupt 1 \(tasks[0].id)"])
        #expect(pool.stop(tasks[2].claim, .cancelled, grace: second, now: .zero).described == ["recall 1"])
        #expect(pool.recalled(1, [tasks[1].id, tasks[2].id], now: .zero).described == ["finish \(tasks[2].id) cancelled"])
        #expect(pool.nextWake == .milliseconds(50))
        #expect(pool.tick(now: .milliseconds(50)).described == ["nudge 1"])
        #expect(pool.tick(now: second).described == ["kill 1"])
        #expect(pool.died(1, AttemptError(.crash, "x"), now: second).described == ["finish \(tasks[0].id) timeout", "fork 2"])
    }

    @Test("a function that was done before the stop reached it is taken at its word")
    func tooLate() {
        var pool = ready(1)
        let task = claimed("f")
        _ = pool.start([task], now: .zero)
        _ = pool.stop(task.claim, .timeout, grace: second, now: .zero)
        #expect(pool.replied(1, [done(task)], now: .zero).described.first == "finish \(task.id) completed")
        let other = claimed("f")
        _ = pool.start([other], now: .zero)
        _ = pool.stop(other.claim, .cancelled, grace: second, now: .zero)
        let actions = pool.replied(1, [done(other, .done, [.interrupted, .retire])], now: .zero).described
        #expect(actions.prefix(2) == ["finish \(other.id) cancelled", "end 1"])
    }

    @Test("an interpreter that retires gives back what it was handed, and is replaced")
    func retires() {
        var pool = taught()
        let tasks = (0..<3).map { _ in claimed("f") }
        _ = pool.start(tasks, now: .zero)
        #expect(pool.replied(1, [done(tasks[0], .done, .retire)], now: .zero).described == ["finish \(tasks[0].id) completed", "end 1", "fork 2"])
        #expect(pool.ready(2, now: .zero).described == ["send 2 \(tasks[1].id) \(tasks[2].id)"])
    }

    @Test("an outcome waits until the leftovers of its function are gone")
    func leftovers() {
        var pool = ready(1)
        let first = claimed("f")
        _ = pool.start([first], now: .zero)
        // Nothing begins in the interpreter before it is asked for what it was handed ahead.
        #expect(pool.replied(1, [done(first, .done, .spawned)], now: .zero).described.first == "recall 1")
        #expect(pool.recalled(1, [], now: .zero).described == ["tidy 1"])
        let second = claimed("f")
        #expect(pool.start([second], now: .zero).described == [])
        #expect(pool.tidied(1, now: .zero).described == ["finish \(first.id) completed", "send 1 \(second.id)"])
        #expect(pool.replied(1, [done(second, .done, .children)], now: .zero).described == ["kill 1", "fork 2"])
        #expect(pool.died(1, AttemptError(.crash, "x"), now: .zero).described == ["finish \(second.id) completed"])
    }

    @Test("a function that starts processes is never handed ahead")
    func spawns() {
        var pool = taught()
        let first = claimed("f")
        _ = pool.start([first], now: .zero)
        _ = pool.replied(1, [done(first, .done, .spawned)], now: .zero)
        _ = pool.recalled(1, [], now: .zero)
        _ = pool.tidied(1, now: .zero)
        let tasks = [claimed("f"), claimed("f")]
        #expect(pool.start(tasks, now: .zero).described == ["send 1 \(tasks[0].id)"])
    }

    @Test("an interpreter that answers for another task is ended, and its front gets the blame")
    func rubbish() {
        var pool = ready(1)
        let task = claimed("f")
        _ = pool.start([task], now: .zero)
        #expect(pool.replied(1, [done(claimed("g"))], now: .zero).described == ["kill 1", "fork 2"])
        #expect(pool.died(1, AttemptError(.crash, "x"), now: .zero).described == ["finish \(task.id) crash"])
    }

    @Test("without a fork server nothing more is claimed; what runs goes on")
    func serverGone() {
        var pool = ready(2)
        let task = claimed("f")
        _ = pool.start([task], now: .zero)
        #expect(pool.down(now: .zero).described == ["end 2", "capacity 0"])
        #expect(pool.replied(1, [done(task)], now: .zero).described == ["finish \(task.id) completed", "end 1"])
        _ = pool.died(1, AttemptError(.crash, "x"), now: .zero)
        _ = pool.died(2, AttemptError(.crash, "x"), now: .zero)
        #expect(pool.up(now: .zero).described.prefix(2) == ["fork 3", "fork 4"])
    }

    @Test("interpreters that die before they are ready are asked for less and less often")
    func stillborn() {
        var pool = pool(1)
        _ = pool.up(now: .zero)
        #expect(pool.died(1, AttemptError(.crash, "x"), now: .zero).described == [])
        #expect(pool.nextWake == .milliseconds(200))
        #expect(pool.tick(now: .milliseconds(200)).described == ["fork 2"])
        _ = pool.died(2, AttemptError(.crash, "x"), now: .milliseconds(200))
        #expect(pool.nextWake == .milliseconds(600))
        _ = pool.tick(now: .milliseconds(600))
        // From the third on nothing is claimed for them.
        #expect(pool.died(3, AttemptError(.crash, "x"), now: .milliseconds(600)).described == ["capacity 0"])
        _ = pool.tick(now: .seconds(2))
        #expect(pool.ready(4, now: .seconds(2)).described == ["capacity 1"])
    }

    @Test("an interpreter that is not ready within a minute is killed")
    func neverReady() {
        var pool = pool(1)
        _ = pool.up(now: .zero)
        #expect(pool.nextWake == .seconds(60))
        #expect(pool.tick(now: .seconds(60)).described == ["kill 1"])
    }

    @Test("one interpreter that cannot be started does not idle those that can")
    func able() {
        var pool = pool(2)
        _ = pool.up(now: .zero)
        _ = pool.ready(1, now: .zero)
        for (id, moment) in [(2, 1), (3, 2), (4, 4)] {
            _ = pool.died(id, AttemptError(.crash, "x"), now: .seconds(moment))
            _ = pool.tick(now: .seconds(moment + 1))
        }
        let task = claimed("f")
        #expect(pool.start([task], now: .seconds(9)).described.contains("send 1 \(task.id)"))
        #expect(pool.up(now: .seconds(9)).described.contains("capacity 0") == false)
    }

    @Test("what waits in too long a line goes back to the database")
    func crowded() {
        var pool = ready(1)
        let tasks = (0..<4).map { _ in claimed("f") }
        _ = pool.start(tasks, now: .zero)
        #expect(pool.nextWake == .seconds(5))
        // One runs, and one may wait.
        #expect(pool.tick(now: .seconds(5)).described == ["finish \(tasks[2].id) released", "finish \(tasks[3].id) released"])
        // With the fork server the last hope is gone.
        #expect(pool.down(now: .seconds(6)).described == ["capacity 0"])
        #expect(pool.tick(now: .seconds(11)).described == ["finish \(tasks[1].id) released"])
    }

    @Test("a stop is not forgotten when its task comes back unbegun")
    func stoppedBeforeBegin() {
        var pool = taught()
        let tasks = (0..<2).map { _ in claimed("f") }
        _ = pool.start(tasks, now: .zero)
        _ = pool.stop(tasks[1].claim, .cancelled, grace: second, now: .zero)
        _ = pool.stop(tasks[0].claim, .timeout, grace: second, now: .zero)
        #expect(pool.recalled(1, tasks.map(\.id), now: .zero).described.prefix(2) == ["finish \(tasks[0].id) timeout", "finish \(tasks[1].id) cancelled"])
    }

    @Test("what a function says becomes its outcome")
    func outcomes() throws {
        var pool = ready(1)
        func outcome(_ kind: Frame.Kind, _ number: Int64 = 0, _ payload: [UInt8] = []) throws -> Outcome {
            let task = claimed("f")
            _ = pool.start([task], now: .zero)
            guard case .finish(_, let outcome)? = pool.replied(1, [done(task, kind, nanoseconds: number, payload: payload)], now: .zero).first else { throw Missing() }
            return outcome
        }
        #expect(try outcome(.done) == .completed(result: nil))
        #expect(try outcome(.done, 1, Array("[1]".utf8)) == .completed(result: Array("[1]".utf8)))
        #expect(try outcome(.error, 1, words("no") + Array("why".utf8)) == .errored(AttemptError(.error, "no", detail: "why")))
        #expect(try outcome(.fail, 1, words("no")) == .failed(AttemptError(.error, "no")))
        #expect(try outcome(.retry, 2_000_000_000, words("later")) == .retry(after: .seconds(2), AttemptError(.error, "later")))
        #expect(try outcome(.retry, -1, words("later")) == .retry(after: nil, AttemptError(.error, "later")))
        #expect(try outcome(.snooze, 3_000_000_000) == .snoozed(.seconds(3)))
        #expect(try outcome(.cancel, 0, words("off")) == .cancelled(AttemptError(.cancelled, "off")))
        #expect(try outcome(.tooLarge, 50_000_000) == .failed(AttemptError(.error, "the result has 50000000 bytes, more than the 1000 that are stored; store it elsewhere and return where")))
    }

    @Test("frames are cut from bytes as they come, and rubbish is known for what it is")
    func frames() throws {
        var reader = FrameReader()
        let one: [UInt8] = [20, 0, 0, 0, 1, 0] + [7, 0, 0, 0, 0, 0, 0, 0] + [9, 0, 0, 0, 0, 0, 0, 0] + Array("[]".utf8)
        for byte in one.dropLast() {
            [byte].withUnsafeBytes { reader.append($0) }
            #expect(try reader.next() == nil)
        }
        (one.suffix(1) + one).withUnsafeBytes { reader.append($0) }
        for _ in 0..<2 {
            let frame = try #require(try reader.next())
            #expect(frame.kind == .done && frame.task == 7 && frame.number == 9 && Array(frame.payload) == Array("[]".utf8))
        }
        #expect(try reader.next() == nil)
        Array("hello, world".utf8).withUnsafeBytes { reader.append($0) }
        #expect(throws: FrameReader.Rubbish.self) { try reader.next() }
    }

    // MARK: - By chance

    @Test("whatever happens, each task has one outcome and none is begun twice", arguments: seeds)
    func chance(_ seed: UInt64) throws {
        var world = PoolWorld(seed: seed)
        try world.run()
    }

    private static var seeds: [UInt64] { (0..<200).map { _ in UInt64.random(in: .min ... .max) } }
}

/// Interpreters as the protocol has them, with everything that can happen to them. Times are steps.
private struct PoolWorld {
    struct Violation: Error, CustomStringConvertible { var description: String }

    private struct Process {
        var line: [ClaimedTask] = []
        var isReady = false
        var isDead = false
        var saidGoodbye = false
        var hasRetired = false
        var isBegun = false
        var isPaused = false
        var interrupt: Int64?
    }

    private var random: SplitMix64
    private var pool: PoolState
    private var processes: [Int: Process] = [:]
    private var begun: [Claim: Int] = [:]
    private var outcomes: [Claim: Int] = [:]
    private var given: [ClaimedTask] = []
    private var now = Duration.zero
    private var isClosed = false
    private var isUp = false
    private var tidying: [Int] = []
    private var recalls: [Int] = []

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
        pool = PoolState(PoolState.Settings(interpreters: Int.random(in: 1...4, using: &random), grace: .milliseconds(200), resultLimit: 1000))
    }

    private mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }

    mutating func run() throws {
        for step in 0..<20_000 {
            now += .milliseconds(Int.random(in: 0...30, using: &random))
            if step < 200 { try disturb() } else { try calm(step) }
            try advance()
            if isClosed { break }
        }
        guard isClosed else { throw Violation(description: "not closed at the end: \(given.count - outcomes.count) tasks lack an outcome") }
        for task in given where outcomes[task.claim] != 1 { throw Violation(description: "task \(task.id) has \(outcomes[task.claim] ?? 0) outcomes") }
    }

    private mutating func disturb() throws {
        if !isUp, chance(3) { isUp = true; try obey(pool.up(now: now)) } else if isUp, chance(60) { isUp = false; try obey(pool.down(now: now)) }
        if chance(3) {
            let tasks = (0..<Int.random(in: 1...8, using: &random)).map { _ in claimed(Bool.random(using: &random) ? "short" : "long", timeout: chance(2) ? .seconds(1) : nil) }
            given += tasks
            try obey(pool.start(tasks, now: now))
        }
        if chance(8), let task = given.randomElement(using: &random) {
            let reason: StopReason = chance(2) ? .timeout : .cancelled
            try obey(pool.stop(task.claim, reason, grace: .milliseconds(Int.random(in: 0...100, using: &random)), now: now))
        }
    }

    /// Nothing bad happens any more, and everything is to come to an end.
    private mutating func calm(_ step: Int) throws {
        if !isUp { isUp = true; try obey(pool.up(now: now)) }
        if step == 200 { try obey(chance(3) ? pool.stopAll(now: now) : pool.close(now: now)) }
        now += .seconds(1)
    }

    private mutating func advance() throws {
        try obey(pool.tick(now: now))
        for id in tidying where chance(2) { tidying.removeAll { $0 == id }; try obey(pool.tidied(id, now: now)) }
        for id in recalls where chance(2) {
            recalls.removeAll { $0 == id }
            guard let process = processes[id], !process.isDead, !process.hasRetired else { continue }
            processes[id]?.isPaused = false
            let back = process.isBegun ? Array(process.line.dropFirst()) : process.line
            processes[id]?.line.removeAll { task in back.contains { $0.id == task.id } }
            try obey(pool.recalled(id, back.map(\.id), now: now))
        }
        for id in processes.keys.sorted() {
            guard let process = processes[id] else { continue }
            if process.isDead || now < .seconds(12) && chance(40) {
                processes[id] = nil
                tidying.removeAll { $0 == id }
                try obey(pool.died(id, AttemptError(.crash, "died"), now: now))
            } else if !process.isReady {
                processes[id]?.isReady = true
                try obey(pool.ready(id, now: now))
            } else if process.line.isEmpty || process.hasRetired {
                if process.saidGoodbye { processes[id]?.isDead = true }
            } else if process.isPaused {
                continue
            } else if !process.isBegun {
                try begin(id)
            } else if chance(process.line[0].function == "short" ? 1 : 4) || process.interrupt == process.line[0].id {
                try reply(id)
            }
        }
    }

    private mutating func begin(_ id: Int) throws {
        guard let task = processes[id]?.line.first else { return }
        processes[id]?.isBegun = true
        begun[task.claim, default: 0] += 1
        if begun[task.claim] != 1 { throw Violation(description: "task \(task.id) has begun twice") }
        if outcomes[task.claim] != nil { throw Violation(description: "task \(task.id) begins after its outcome") }
    }

    /// Several may be answered before the worker looks.
    private mutating func reply(_ id: Int) throws {
        var frames: [Frame] = []
        repeat {
            guard let task = processes[id]?.line.first else { break }
            if processes[id]?.isBegun == false { try begin(id) }
            let wasInterrupted = processes[id]?.interrupt == task.id
            var flags: Frame.Flags = wasInterrupted ? [.interrupted, .retire] : []
            if chance(20) { flags.insert(.retire) }
            if chance(20) { flags.insert(.spawned) }
            if chance(30) { flags.formUnion([.children, .retire]) }
            frames.append(Frame(kind: chance(5) ? .error : .done, flags: flags, task: task.id, number: task.function == "short" ? 10_000 : 400_000_000, payload: [][...]))
            processes[id]?.line.removeFirst()
            processes[id]?.isBegun = false
            if flags.contains(.retire) { processes[id]?.hasRetired = true }
            if flags.contains(.spawned) { processes[id]?.isPaused = true }
        } while processes[id]?.hasRetired == false && processes[id]?.isPaused == false && processes[id]?.line.first?.function == "short" && chance(2)
        try obey(pool.replied(id, frames, now: now))
    }

    private mutating func obey(_ actions: [PoolState.Action]) throws {
        for action in actions {
            switch action {
            case .fork(let id): processes[id] = Process()
            case .send(let id, let tasks): if processes[id]?.isDead == false { processes[id]?.line += tasks }
            case .interrupt(let id, let claim): if !chance(3) { processes[id]?.interrupt = claim.id }
            case .recall(let id):
                guard processes[id] != nil else { continue }
                recalls.append(id)
            case .end(let id): processes[id]?.saidGoodbye = true
            case .kill(let id): processes[id]?.isDead = true
            case .tidy(let id): tidying.append(id)
            case .finish(let claim, _):
                outcomes[claim, default: 0] += 1
                if outcomes[claim] != 1 { throw Violation(description: "task \(claim.id) has two outcomes") }
            case .began, .capacity, .nudge: break
            case .close: isClosed = true
            }
        }
    }
}

extension [PoolState.Action] {
    /// For comparison: one word, an interpreter, tasks.
    fileprivate var described: [String] {
        map { action in
            switch action {
            case .fork(let id): "fork \(id)"
            case .send(let id, let tasks): "send \(id) " + tasks.map { "\($0.id)" }.joined(separator: " ")
            case .interrupt(let id, let claim): "interrupt \(id) \(claim.id)"
            case .recall(let id): "recall \(id)"
            case .nudge(let id): "nudge \(id)"
            case .end(let id): "end \(id)"
            case .kill(let id): "kill \(id)"
            case .tidy(let id): "tidy \(id)"
            case .began(let claim): "began \(claim.id)"
            case .capacity(let count): "capacity \(count)"
            case .close: "close"
            case .finish(let claim, let outcome):
                switch outcome {
                case .completed: "finish \(claim.id) completed"
                case .released: "finish \(claim.id) released"
                case .cancelled: "finish \(claim.id) cancelled"
                default: "finish \(claim.id) \(outcome.error?.kind.rawValue ?? "?")"
                }
            }
        }
    }
}
