@testable import Hark
import Logging
import PQ
import Testing

@Suite("The hand-over to the slots")
struct SlotPoolTests {
    @Test("functions that return at once are run by a handful of slots, whatever the batch")
    func few() async {
        let pool = SlotPool()
        let outlet = CollectingOutlet()
        let run = Task { await pool.run(outlet) { _, _ in .completed(result: nil) } }
        for round in 1...20 {
            pool.submit((0..<500).map { _ in claimed("noop") })
            #expect(await outlet.until { $0.count == round * 500 })
        }
        #expect(pool.count < 10)
        pool.close()
        await run.value
        #expect(pool.count == 0)
    }

    @Test("a limited pool never has more slots, also when some are stopped, and runs everything")
    func limited() async {
        let pool = SlotPool(limit: 3)
        let outlet = CollectingOutlet()
        let most = Mutex((now: 0, most: 0))
        let gate = Gate()
        let run = Task {
            await pool.run(outlet) { _, _ in
                most.withLock { most in
                    most.now += 1
                    most.most = max(most.most, most.now)
                }
                // Everybody who can get here is here before the first goes on.
                if most.withLock({ $0.now == 3 }) { gate.open() }
                await gate.pass()
                most.withLock { $0.now -= 1 }
                return .completed(result: nil)
            }
        }
        let tasks = (0..<200).map { _ in claimed("short") }
        pool.submit(tasks)
        for task in tasks where task.id % 10 == 0 { pool.cancel(task.claim, .cancelled) }
        #expect(await outlet.until { $0.count == 200 })
        #expect(most.withLock(\.most) == 3)
        #expect(pool.count <= 3)
        pool.close()
        await run.value
    }

    @Test("a pool that is closed before anything was handed over ends")
    func empty() async {
        let pool = SlotPool()
        pool.close()
        await pool.run(CollectingOutlet()) { _, _ in .released }
    }

    @Test("what was handed over before the pool ran, or closed, is run", arguments: [false, true])
    func early(_ closing: Bool) async {
        let pool = SlotPool()
        let outlet = CollectingOutlet()
        pool.submit((0..<100).map { _ in claimed("noop") })
        if closing { pool.close() }
        let run = Task { await pool.run(outlet) { _, _ in .completed(result: nil) } }
        #expect(await outlet.until { $0.count == 100 })
        pool.close()
        await run.value
    }
}
