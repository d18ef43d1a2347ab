import Testing

@testable import Hark

@Suite("The brain, tried with random events")
struct WorkerStateRandomTests {
    static let seeds: [UInt64] = {
        var random = SystemRandomNumberGenerator()
        return (0..<40).map { _ in random.next() } + Array(0..<20)
    }()

    @Test("nothing waits while the worker sleeps, and every task is finished", arguments: seeds)
    func calm(seed: UInt64) throws {
        var world = SimulatedWorld(seed: seed, faults: false, calm: true)
        do { try world.run(inserts: 60, drainAfter: nil) } catch { Issue.record("seed \(seed): \(error)") }
        // Values, not the world: a failed expectation prints what it was given.
        let (unfinished, started) = (world.unfinished.count, world.started)
        #expect(unfinished == 0, "seed \(seed)")
        #expect(started == 60, "seed \(seed)")
    }

    @Test("with broken connections, deadlocks, locked rows and deaf functions every task still gets exactly one outcome", arguments: seeds)
    func faulty(seed: UInt64) throws {
        var world = SimulatedWorld(seed: seed, faults: true)
        do { try world.run(inserts: 80, drainAfter: nil) } catch { Issue.record("seed \(seed): \(error)") }
    }

    @Test("a drain claims nothing more and leaves no task running", arguments: seeds)
    func drain(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var world = SimulatedWorld(seed: seed, faults: false)
        do { try world.run(inserts: 60, drainAfter: .milliseconds(Int.random(in: 0...15_000, using: &random))) } catch { Issue.record("seed \(seed): \(error)") }
        let (ended, running) = (world.ended, world.rows.values.filter { $0.state == "running" }.count)
        #expect(ended, "seed \(seed)")
        #expect(running == 0, "seed \(seed)")
    }

    @Test("a drain ends although connections break", arguments: seeds)
    func faultyDrain(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var world = SimulatedWorld(seed: seed, faults: true)
        do { try world.run(inserts: 60, drainAfter: .milliseconds(Int.random(in: 0...15_000, using: &random))) } catch { Issue.record("seed \(seed): \(error)") }
        let ended = world.ended
        #expect(ended, "seed \(seed)")
    }
}
