import Dispatch
import Synchronization
import Testing

@testable import Hark

@Suite("The brain, tried with random events")
struct WorkerStateRandomTests {
    static let seeds: [UInt64] = {
        var random = SystemRandomNumberGenerator()
        return (0..<40).map { _ in random.next() } + Array(0..<20)
    }()

    @Test("nothing waits while the worker sleeps, and every task is finished; a bell brings about what was rehearsed for it")
    func calm() async {
        let rehearsals = Mutex(0)
        await forEachSeed { seed in
            var world = SimulatedWorld(seed: seed, faults: false, calm: true)
            try world.run(inserts: 60, drainAfter: nil)
            try check(world.unfinished.count, 0, "tasks are unfinished")
            try check(world.started, 60, "were started")
            rehearsals.withLock { [count = world.rehearsals] in $0 += count }
        }
        let count = rehearsals.withLock { $0 }
        #expect(count > 100)
    }

    @Test("with broken connections, deadlocks, locked rows and deaf functions every task still gets exactly one outcome")
    func faulty() async {
        await forEachSeed { seed in
            var world = SimulatedWorld(seed: seed, faults: true)
            try world.run(inserts: 80, drainAfter: nil)
            try check(world.unfinished.count, 0, "tasks are unfinished")
            try check(world.ended ? 1 : 0, 0, "workers have ended")
        }
    }

    @Test("a busy worker sends a second round trip behind the first, and still every task gets exactly one outcome", arguments: [false, true])
    func busy(faults: Bool) async {
        let ahead = Mutex(0)
        await forEachSeed(Self.seeds.suffix(25)) { seed in
            var world = SimulatedWorld(seed: seed, faults: faults, busy: true)
            try world.run(inserts: 80, drainAfter: nil)
            try check(world.unfinished.count, 0, "tasks are unfinished")
            ahead.withLock { [count = world.ahead] in $0 += count }
        }
        let count = ahead.withLock { $0 }
        #expect(count > 20)
    }

    @Test("a drain claims nothing more and leaves no task running")
    func drain() async {
        await forEachSeed { seed in
            var random = SplitMix64(seed: seed)
            var world = SimulatedWorld(seed: seed, faults: false)
            try world.run(inserts: 60, drainAfter: .milliseconds(Int.random(in: 0...15_000, using: &random)))
            try check(world.ended ? 1 : 0, 1, "workers have ended")
            try check(world.rows.values.filter { $0.state == "running" }.count, 0, "tasks run")
        }
    }

    @Test("a drain ends although connections break")
    func faultyDrain() async {
        await forEachSeed { seed in
            var random = SplitMix64(seed: seed)
            var world = SimulatedWorld(seed: seed, faults: true)
            try world.run(inserts: 60, drainAfter: .milliseconds(Int.random(in: 0...15_000, using: &random)))
            try check(world.ended ? 1 : 0, 1, "workers have ended")
        }
    }

    /// On a thread of its own: the other tests of this process wait for events on the two threads that Swift has here, and each
    /// of these worlds computes for a while.
    private func forEachSeed(_ seeds: some Sequence<UInt64> & Sendable = Self.seeds, _ body: @escaping @Sendable (UInt64) throws -> Void) async {
        let thread = DispatchQueue(label: "worlds")
        for seed in seeds {
            let error: (any Error)? = await withCheckedContinuation { continuation in
                thread.async {
                    do {
                        try body(seed)
                        continuation.resume(returning: nil)
                    } catch {
                        continuation.resume(returning: error)
                    }
                }
            }
            if let error { Issue.record("seed \(seed): \(error)") }
        }
    }

    /// An expectation would not know, on that thread, which test it is of.
    private func check(_ found: Int, _ expected: Int, _ what: String) throws {
        if found != expected { throw SimulatedWorld.Violation(description: "\(found) \(what), and not \(expected)") }
    }
}
