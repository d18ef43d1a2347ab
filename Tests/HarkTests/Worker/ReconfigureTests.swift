@testable import Hark
import PQ
import TestSupport
import Testing

@Suite("Another configuration while it works")
struct ReconfigureTests {
    private func options(_ database: TestDatabase, _ queues: [QueueSettings]) -> WorkerOptions {
        // The name and the poll are what TestWorker gives: the poll is a minute away.
        WorkerOptions(database: database.conninfo, name: "ignored", queues: queues, pollInterval: .seconds(60))
    }

    @Test("what runs goes on with the runner that has it, and can still be cancelled there; new tasks go to the new one")
    func runners() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let worker = TestWorker(database.conninfo) {
                $0.add("who") { (_: TaskContext) in
                    await gate.pass()
                    return "old"
                }
                $0.add("stay") { (_: TaskContext) in try await Task.sleep(for: .seconds(3_600)) }
            }
            try await TestWorker.with(worker) { worker in
                let (old, stays) = (try await client.enqueue("who"), try await client.enqueue("stay"))
                try await worker.started(old)
                try await worker.started(stays)
                var functions = Functions()
                functions.add("who") { (_: TaskContext) in "new" }
                await worker.worker.reconfigure(options(database, [QueueSettings(name: "default")]), runners: [SwiftRunner(functions)])
                let new = try await client.enqueue("who")
                try await worker.written(new)
                try await client.script("update hark.tasks set state = 'cancelled' where id = \(stays)")
                try await worker.written(stays)
                gate.open()
                try await worker.written(old)
                #expect(try await client.value("select string_agg(state || coalesce(' ' || (result #>> '{}'), ''), ', ' order by id) from hark.tasks") == "completed old, cancelled, completed new")
                // A function that is not there any more waits, blocked, as ever.
                let gone = try await client.enqueue("stay")
                try await client.eventually("it is blocked", "select state = 'blocked' from hark.tasks where id = \(gone)")
            }
        }
    }

    @Test("a queue that comes is worked, one that goes claims no more and finishes what it has, and hark.workers tells both")
    func queues() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            var functions = Functions()
            functions.add("wait") { (_: TaskContext) in await gate.pass() }
            functions.addRaw("noop") { _, _ in nil }
            let runner = SwiftRunner(functions)
            let worker = TestWorker(database.conninfo) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            try await TestWorker.with(worker) { worker in
                let held = try await client.enqueue("wait")
                try await worker.started(held)
                await worker.worker.reconfigure(options(database, [QueueSettings(name: "other", slots: 3)]), runners: [runner])
                let there = try await client.enqueue("noop", "[]", "queue", "'other'")
                let left = try await client.enqueue("noop")
                try await worker.written(there)
                try await client.eventually("its row", "select queues = '{other}' and slots = 3 and name = 'test' from hark.workers")
                gate.open()
                try await worker.written(held)
                let later = try await client.enqueue("noop", "[]", "queue", "'other'")
                try await worker.written(later)
                #expect(try await client.state(of: left) == "ready")
                // A worker that is the same one throughout: nobody took it for dead.
                #expect(try await client.value("select max(id) || ' ' || count(*) from hark.workers") == "1 1")
                await worker.worker.reconfigure(options(database, [QueueSettings(name: "default", slots: 1)]), runners: [runner])
                try await worker.written(left)
            }
        }
    }

    /// The connection that is being made would listen for the queues of before.
    @Test("it listens for the new queue also when it was connecting at that moment")
    func whileConnecting() async throws {
        let proxy = try await TestServer.shared.proxy()
        var functions = Functions()
        functions.addRaw("noop") { _, _ in nil }
        let runner = SwiftRunner(functions)
        try await withDatabase { database, client in
            await proxy.stall()
            try await TestWorker.with(TestWorker(database.conninfo, signal: await proxy.conninfo(for: database.conninfo))) { worker in
                try await client.eventually("its work connection is up", "select count(*) = 1 from pg_stat_activity where datname = current_database() and application_name = 'hark test'")
                await worker.worker.reconfigure(options(database, [QueueSettings(name: "new")]), runners: [runner])
                await proxy.resume()
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let id = try await client.enqueue("noop", "[]", "queue", "'new'")
                try await worker.written(id)
            }
        }
        await proxy.stop()
    }
}
