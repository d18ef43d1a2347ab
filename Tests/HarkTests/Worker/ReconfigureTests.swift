import Hark
import PQ
import TestSupport
import Testing

@Suite("A worker that is given another configuration")
struct ReconfigureTests {
    @Test("it claims from the new queue, no more from the old one, and is rung for the new one")
    func queues() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let worker = TestWorker(database.conninfo) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            try await TestWorker.with(worker) { worker in
                let running = try await client.enqueue("wait")
                try await worker.started(running)
                await worker.worker.reconfigure(options(database.conninfo, "new"), runners: [runner()])
                try await worker.told.wait("it registers for the new queue") { $0.count { if case .joined = $0 { true } else { false } } == 2 }
                #expect(try await client.value("select string_agg(id || ' ' || array_to_string(queues, ' '), ', ') from hark.workers") == "1 new")
                let left = try await client.enqueue("noop")
                try await worker.told.wait("it sleeps again") { all in
                    all.suffix(from: all.lastIndex { if case .joined = $0 { true } else { false } } ?? 0).contains { if case .asleep = $0 { true } else { false } }
                }
                let id = try await client.enqueue("noop", "[]", "queue", "'new'")
                try await worker.written(id)
                #expect(try await client.state(of: left) == "ready")
                // What ran goes on with the runner that it began with.
                gate.open()
                try await worker.written(running)
                #expect(try await client.state(of: running) == "completed")
            }
        }
    }

    /// The connection that is being made would listen for the queues of before.
    @Test("it listens for the new queue also when it was connecting at that moment")
    func whileConnecting() async throws {
        let proxy = try await TestServer.shared.proxy()
        try await withDatabase { database, client in
            await proxy.stall()
            try await TestWorker.with(TestWorker(database.conninfo, signal: await proxy.conninfo(for: database.conninfo))) { worker in
                try await client.eventually("its work connection is up", "select count(*) = 1 from pg_stat_activity where datname = current_database() and application_name = 'hark test'")
                await worker.worker.reconfigure(options(database.conninfo, "new"), runners: [runner()])
                await proxy.resume()
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let id = try await client.enqueue("noop", "[]", "queue", "'new'")
                try await worker.written(id)
            }
        }
        await proxy.stop()
    }

    private func options(_ database: Conninfo, _ queue: String) -> WorkerOptions {
        WorkerOptions(database: database, name: "test", queues: [QueueSettings(name: queue)], pollInterval: .seconds(60))
    }

    private func runner() -> SwiftRunner {
        var functions = Functions()
        functions.addRaw("noop") { _, _ in nil }
        return SwiftRunner(functions)
    }
}
