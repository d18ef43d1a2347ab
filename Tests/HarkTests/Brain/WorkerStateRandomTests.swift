import Testing

@testable import Hark

@Suite("The brain, tried with random events")
struct WorkerStateRandomTests {
    static let seeds: [UInt64] = {
        var random = SystemRandomNumberGenerator()
        return (0..<40).map { _ in random.next() } + Array(0..<20)
    }()

    @Test("nothing waits while the worker sleeps, and every task is finished")
    func calm() async {
        await forEachSeed { seed in
            var world = SimulatedWorld(seed: seed, faults: false, calm: true)
            try world.run(inserts: 60, drainAfter: nil)
            // Values, not the world: a failed expectation prints what it was given.
            let (unfinished, started) = (world.unfinished.count, world.started)
            #expect(unfinished == 0, "seed \(seed)")
            #expect(started == 60, "seed \(seed)")
        }
    }

    @Test("with broken connections, deadlocks, locked rows and deaf functions every task still gets exactly one outcome")
    func faulty() async {
        await forEachSeed { seed in
            var world = SimulatedWorld(seed: seed, faults: true)
            try world.run(inserts: 80, drainAfter: nil)
            let (unfinished, ended) = (world.unfinished.count, world.ended)
            #expect(unfinished == 0, "seed \(seed)")
            #expect(!ended, "seed \(seed)")
        }
    }

    @Test("a drain claims nothing more and leaves no task running")
    func drain() async {
        await forEachSeed { seed in
            var random = SplitMix64(seed: seed)
            var world = SimulatedWorld(seed: seed, faults: false)
            try world.run(inserts: 60, drainAfter: .milliseconds(Int.random(in: 0...15_000, using: &random)))
            let (ended, running) = (world.ended, world.rows.values.filter { $0.state == "running" }.count)
            #expect(ended, "seed \(seed)")
            #expect(running == 0, "seed \(seed)")
        }
    }

    @Test("a drain ends although connections break")
    func faultyDrain() async {
        await forEachSeed { seed in
            var random = SplitMix64(seed: seed)
            var world = SimulatedWorld(seed: seed, faults: true)
            try world.run(inserts: 60, drainAfter: .milliseconds(Int.random(in: 0...15_000, using: &random)))
            let ended = world.ended
            #expect(ended, "seed \(seed)")
        }
    }

    /// One after the other, giving way in between: the other tests of this process wait for events on the same two threads.
    private func forEachSeed(_ body: (UInt64) throws -> Void) async {
        for seed in Self.seeds {
            do { try body(seed) } catch { Issue.record("seed \(seed): \(error)") }
            await Task.yield()
        }
    }
}
