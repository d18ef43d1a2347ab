@testable import Hark
import HarkCluster
import PQ
import TestSupport
import Testing

@Suite("When connections and servers go away")
struct ReconnectTests {
    @Test("a worker whose two sessions are ended by the administrator comes back and runs what came meanwhile")
    func terminated() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.script("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hark test' and datname = current_database()")
                let id = try await client.enqueue("noop")
                try await worker.written(id)
                try await worker.asleep(times: 2)
                #expect(try await client.value("select count(*)::text from hark.workers") == "1")
                let next = try await client.enqueue("noop")
                try await worker.written(next)
            }
        }
    }

    @Test("a worker whose old session the server still holds for alive waits for its lock, and is the same worker then")
    func oldSession() async throws {
        let proxy = try await TestServer.shared.proxy()
        try await withDatabase { database, client in
            let worker = TestWorker(database.conninfo, signal: await proxy.conninfo(for: database.conninfo))
            try await TestWorker.with(worker) { worker in
                try await worker.asleep()
                let before = try await client.value("select id::text from hark.workers")
                await proxy.abandonServers()
                try await worker.told.wait("it is told to wait for its old session") {
                    $0.contains { if case .waiting(_, let reason, _) = $0 { reason.contains("old session") } else { false } }
                }
                #expect(worker.told.all.count { if case .joined = $0 { true } else { false } } == 1)
                await proxy.cut()
                try await worker.told.wait("it joins again") { $0.count { if case .joined = $0 { true } else { false } } == 2 }
                try await worker.listener("listening")
                #expect(try await client.value("select string_agg(id::text, ' ') from hark.workers") == before)
                let id = try await client.enqueue("noop")
                try await worker.written(id)
            }
        }
        await proxy.stop()
    }

    @Test("an outcome is kept over an outage and written after it, once")
    func outage() async throws {
        let proxy = try await TestServer.shared.proxy()
        try await withDatabase { database, client in
            let gate = Gate()
            let worker = TestWorker(await proxy.conninfo(for: database.conninfo)) {
                $0.add("wait") { (_: TaskContext) in
                    await gate.pass()
                    return "done"
                }
            }
            try await TestWorker.with(worker) { worker in
                let id = try await client.enqueue("wait")
                try await worker.started(id)
                await proxy.refuse()
                await proxy.cut()
                try await worker.listener("disconnected")
                gate.open()
                try await worker.told.wait("the function has ended") { $0.contains { if case .finished = $0 { true } else { false } } }
                #expect(try await client.state(of: id) == "running")
                try await proxy.accept()
                try await worker.written(id)
                #expect(try await client.value("select state || ' ' || attempt || ' ' || (result #>> '{}') from hark.tasks where id = $1", [.int64(id)]) == "completed 1 done")
                #expect(worker.startedTasks == [id])
            }
        }
        await proxy.stop()
    }

    @Test("a listener that hears nothing any more is found out, and the worker says that it polls until it listens again")
    func halfOpen() async throws {
        let proxy = try await TestServer.shared.proxy()
        try await withDatabase { database, client in
            let patience = WorkerOptions.Patience(proofInterval: .milliseconds(200), proofTimeout: .milliseconds(200), tripTimeout: .seconds(30))
            // Only the signal connection goes through the proxy.
            let worker = TestWorker(database.conninfo, signal: await proxy.conninfo(for: database.conninfo), poll: .milliseconds(100), patience: patience)
            try await TestWorker.with(worker) { worker in
                try await worker.asleep()
                await proxy.stall()
                try await worker.listener("polling")
                let id = try await client.enqueue("noop")
                try await worker.written(id)
                await proxy.resume()
                try await worker.listener("listening")
            }
        }
        await proxy.stop()
    }

    @Test("a round trip without an answer is given up with its connection")
    func stalledWork() async throws {
        let proxy = try await TestServer.shared.proxy()
        try await withDatabase { database, client in
            let patience = WorkerOptions.Patience(tripTimeout: .milliseconds(300))
            let worker = TestWorker(await proxy.conninfo(for: database.conninfo), signal: database.conninfo, poll: .milliseconds(100), patience: patience)
            try await TestWorker.with(worker) { worker in
                try await worker.asleep()
                await proxy.stall()
                try await worker.listener("disconnected")
                await proxy.cut()
                await proxy.resume()
                let id = try await client.enqueue("noop")
                try await worker.written(id)
            }
        }
        await proxy.stop()
    }

    @Test("a claim whose answer was lost is given back and run")
    func stray() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                // As if a claim of this worker had been committed and its answer lost: the row runs, nobody knows.
                let id = try await client.enqueue("noop", "[]", "run_at", "now() + interval '1 hour'")
                try await client.script("set hark.worker = on")
                _ = try await client.execute(
                    "update only hark.tasks set state = 'running', attempt = 1, max_attempts = 10, token = 7, worker_id = (select id from hark.workers) where id = $1", [.int64(id)])
                let row = try #require(try await client.execute("select id from hark.workers").first)
                let given = try await client.execute(SQL.strays, [.int32(try row.int32(0)), .int64Array([]), .int64Array([])])
                #expect(given.count == 1)
                try await worker.written(id)
                #expect(try await client.value("select attempt::text from hark.tasks where id = $1", [.int64(id)]) == "1")
            }
        }
    }

    @Test("a beat that fails takes nothing with it that was committed beside it")
    func failedBeat() async throws {
        try await withDatabase { database, client in
            let work = try await database.connect(options: ConnectionOptions(setup: SessionSetup.work + ["set lock_timeout = '50ms'"]))
            let me = try #require(try await client.execute("insert into hark.workers (name) values ('me') returning id").first?.int32(0))
            let id = try await client.enqueue("noop")
            try await client.script("begin; select from hark.workers for update")
            let store = Store(
                connection: work,
                worker: Store.Worker(id: me, queues: ["default"], functions: ["noop"], functionPolicies: Array("{}".utf8), queuePolicies: Array("{}".utf8)),
                isPooled: false)
            let look = Look(queues: [QueueLook(queue: "default", full: true, room: 5, lanes: [Lane(priority: 0, mark: 0)])], token: 5)
            let trip = Trip(beat: Beat(state: "working", listener: "listening", running: 0), look: look)
            let result = try await store.perform(trip)
            #expect(result.stillRegistered == nil)
            #expect(result.claimed.map(\.id) == [id])
            try await client.script("rollback")
            await work.close()
        }
    }

    @Test("a worker waits for a server that stops and starts again, and loses nothing")
    func restart() async throws {
        let cluster = try await TestServer.own()
        let info = try Conninfo(cluster.conninfo())
        let client = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
        _ = try await Migrator(client).migrate()
        let gate = Gate()
        let worker = TestWorker(info) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
        try await TestWorker.with(worker) { worker in
            let id = try await client.enqueue("wait")
            try await worker.started(id)
            try await cluster.stop(.immediate)
            try await worker.listener("disconnected")
            gate.open()
            try await cluster.start()
            try await worker.written(id)
            let again = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
            #expect(try await again.value("select state || ' ' || attempt from hark.tasks where id = $1", [.int64(id)]) == "completed 1")
            await again.close()
        }
        await client.close()
        await cluster.end()
    }

    /// After a restart every lock is free and the last beat is old: it looks as if everybody were dead. What counts as
    /// heard of then is the start of the server.
    @Test("after a restart of the server nobody is given up for dead before everybody had five seconds to come back")
    func restartTogether() async throws {
        let cluster = try await TestServer.own()
        let info = try Conninfo(cluster.conninfo())
        let proxy = try await Proxy(to: cluster.socketDirectory)
        let client = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
        _ = try await Migrator(client).migrate()
        let gate = Gate()
        let add: (inout Functions) -> Void = { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
        try await TestWorker.with(TestWorker(await proxy.conninfo(for: info), name: "away", more: add)) { away in
            let id = try await client.enqueue("wait")
            try await away.started(id)
            try await TestWorker.with(TestWorker(info, name: "back", poll: .milliseconds(100), more: add)) { back in
                try await back.asleep()
                await proxy.refuse()
                try await cluster.stop(.immediate)
                try await away.listener("disconnected")
                try await cluster.start()
                let again = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
                // As if the server had been down for an hour.
                try await again.script("update hark.workers set beat_at = now() - interval '1 hour' where name = 'away'")
                try await back.started(id)
                #expect(try await again.value("select ((errors -> 0 ->> 'at')::timestamptz - pg_postmaster_start_time() >= interval '5 seconds')::text from hark.tasks") == "true")
                #expect(try await again.value("select errors -> 0 ->> 'worker' from hark.tasks") == "away")
                try await proxy.accept()
                gate.open()
                try await back.written(id)
                await again.close()
            }
        }
        await client.close()
        await proxy.stop()
        await cluster.end()
    }

    @Test("a worker that starts before its database waits for it")
    func early() async throws {
        let cluster = try await TestServer.own()
        let info = try Conninfo(cluster.conninfo())
        let client = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
        _ = try await Migrator(client).migrate()
        await client.close()
        try await cluster.stop()
        try await TestWorker.with(TestWorker(info)) { worker in
            try await worker.told.wait("it says what it waits for") { $0.contains { if case .waiting = $0 { true } else { false } } }
            try await cluster.start()
            try await worker.asleep()
        }
        await cluster.end()
    }
}
