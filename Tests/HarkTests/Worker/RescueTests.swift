@testable import Hark
import PQ
import TestSupport
import Testing

@Suite("Rescue and fencing")
struct RescueTests {
    @Test("a worker that was given up for dead changes nothing when it comes back, and registers anew")
    func zombie() async throws {
        let proxy = try await TestServer.shared.proxy()
        try await withDatabase { database, client in
            let gate = Gate()
            let zombie = TestWorker(await proxy.conninfo(for: database.conninfo), name: "zombie") {
                $0.add("who") { (_: TaskContext) in
                    await gate.pass()
                    return "zombie"
                }
            }
            try await TestWorker.with(zombie) { zombie in
                let id = try await client.enqueue("who")
                try await zombie.started(id)
                let number = try #require(try await client.execute("select id from hark.workers").first?.int32(0))
                await proxy.refuse()
                await proxy.cut()
                try await zombie.listener("disconnected")
                // Its sessions take a moment to end.
                try await client.eventually("its lock is free", "select hark.worker_lock_is_free(\(number))")
                // Somebody on its machine has seen that its process is gone.
                let rescued = try await client.execute(SQL.rescue, [.int32Array([number]), .boolArray([true])])
                #expect(try rescued.first?.string(2) == "ready")
                let heir = TestWorker(database.conninfo, name: "heir") { $0.add("who") { (_: TaskContext) in "heir" } }
                try await TestWorker.with(heir) { try await $0.written(id) }
                try await proxy.accept()
                try await zombie.told.wait("it registers anew") { $0.count { if case .joined = $0 { true } else { false } } == 2 }
                // With two sessions, like any worker.
                try await zombie.listener("listening")
                try await client.eventually("it has two sessions", "select count(*) = 2 from pg_stat_activity where application_name = 'hark zombie' and datname = current_database()")
                gate.open()
                try await zombie.told.wait("its outcome is too late") { $0.contains { if case .late(let claim) = $0 { claim.id == id } else { false } } }
                let row = try #require(try await client.execute("select state, result #>> '{}', attempt, errors -> 0 ->> 'kind', errors -> 0 ->> 'worker' from hark.tasks where id = $1", [.int64(id)]).first)
                #expect(try row.string(0) == "completed")
                #expect(try row.string(1) == "heir")
                #expect(try row.int(2) == 2)
                #expect(try row.string(3) == "lost")
                #expect(try row.string(4) == "zombie")
            }
        }
        await proxy.stop()
    }

    @Test("a worker whose lock a stranger holds says so, leaves no row behind, and registers with the next number")
    func takenLock() async throws {
        try await withDatabase { database, client in
            _ = try await client.execute("select pg_advisory_lock(hark.worker_class(), 1)")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.told.wait("it says so") {
                    $0.contains { if case .waiting(_, let reason, _) = $0 { reason.contains("holds the lock of worker 1") } else { false } }
                }
                try await worker.asleep()
                #expect(try await client.value("select string_agg(id::text, ' ') from hark.workers") == "2")
            }
        }
    }

    @Test("a worker that nobody can ask any more is rescued by another after the grace, not before")
    func grace() async throws {
        try await withDatabase { database, client in
            try await client.script("set hark.worker = on")
            // A dead worker of another machine: a row, no lock, last heard of 3 s ago.
            let dead = try #require(
                try await client.execute("insert into hark.workers (name, boot_id, pid_namespace, pid, pid_start, beat_at) values ('far', 'another boot', 'x', 1, 1, now() - interval '3 seconds') returning id, beat_at::text").first)
            _ = try await client.execute(
                "insert into hark.tasks (function, state, worker_id, token, attempt, max_attempts) values ('noop', 'running', $1, 5, 1, 10)", [.int32(try dead.int32(0))])
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.told.wait("the task is rescued") { $0.contains { if case .rescued = $0 { true } else { false } } }
                try await worker.told.wait("and run") { $0.outcomes(1) }
                let late = try await client.value("select (started_at >= $1::text::timestamptz + interval '5 seconds')::text from hark.tasks", [.text(try dead.string(1))])
                #expect(late == "true")
                #expect(try await client.value("select count(*)::text from hark.workers") == "1")
            }
        }
    }

    @Test("a worker that is connected but silent keeps its tasks for 30 seconds, and loses them then")
    func silent() async throws {
        try await withDatabase { database, client in
            // A stopped process (SIGSTOP) looks like this: the session and its lock are there, and nobody beats.
            try await client.script("set hark.worker = on")
            let silent = try #require(
                try await client.execute("insert into hark.workers (name, boot_id, pid_namespace, pid, pid_start, beat_at) values ('far', 'another boot', 'x', 1, 1, now() - interval '28 seconds') returning id").first?.int32(0))
            _ = try await client.execute("select pg_advisory_lock(hark.worker_class(), $1)", [.int32(silent)])
            _ = try await client.execute(
                "insert into hark.tasks (function, state, worker_id, token, attempt, max_attempts) values ('noop', 'running', $1, 5, 1, 10)", [.int32(silent)])
            let heard = try await client.value("select hark.last_heard_of(w)::text from hark.workers w where id = $1", [.int32(silent)])
            // Who holds its lock is no suspect before the time is up, so it is the polls that find out.
            try await TestWorker.with(TestWorker(database.conninfo, poll: .seconds(1))) { worker in
                try await worker.told.wait("the task is rescued", seconds: 60) { $0.contains { if case .rescued = $0 { true } else { false } } }
                try await worker.told.wait("and run") { $0.outcomes(1) }
                let silence = "select (started_at - $1::text::timestamptz >= interval '30 seconds')::text from hark.tasks where function = 'noop'"
                #expect(try await client.value(silence, [.text(heard ?? "")]) == "true")
                #expect(try await client.value("select count(*)::text from hark.workers") == "1")
            }
        }
    }

    @Test("tasks that run for a worker which has no row are rescued by the next worker that starts")
    func orphan() async throws {
        try await withDatabase { database, client in
            try await client.script("set hark.worker = on")
            try await client.script("insert into hark.tasks (function, state, worker_id, token, attempt, max_attempts) values ('noop', 'running', 4711, 5, 1, 10)")
            try await whileNobodyElseBuriesWorkers {
                try await TestWorker.with(TestWorker(database.conninfo)) { try await $0.told.wait("the orphan is run") { $0.outcomes(1) } }
            }
        }
    }

    @Test("a task that loses its worker four times is quarantined; cancelled and exhausted ones are finished")
    func quarantine() async throws {
        try await withDatabase { database, client in
            try await client.script("set hark.worker = on")
            try await client.script(
                """
                insert into hark.tasks (function, state, worker_id, token, attempt, max_attempts, errors, cancel_requested_at) values
                  ('killer', 'running', 99, 5, 4, 10, '[{"kind": "lost"}, {"kind": "lost"}, {"kind": "lost"}]', null),
                  ('twice', 'running', 99, 5, 2, 10, '[{"kind": "lost"}]', null),
                  ('last', 'running', 99, 5, 3, 3, null, null),
                  ('unwanted', 'running', 99, 5, 1, 10, null, now())
                """)
            _ = try await client.execute(SQL.rescue, [.int32Array([99]), .boolArray([true])])
            let states = try await client.value("select string_agg(function || ' ' || state, ', ' order by id) from hark.tasks")
            #expect(states == "killer failed, twice scheduled, last failed, unwanted cancelled")
            #expect(try await client.value("select errors -> -1 ->> 'message' from hark.tasks where function = 'killer'")?.contains("quarantined") == true)
        }
    }

    @Test("draining waits for what runs, and releases what does not end in time with the attempt given back")
    func drain() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let patient = TestWorker(database.conninfo) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            let first = try await client.enqueue("wait")
            try await patient.started(first)
            patient.worker.drain()
            try await patient.told.wait("it drains") { $0.contains { if case .draining = $0 { true } else { false } } }
            let second = try await client.enqueue("noop")
            gate.open()
            try await patient.end()
            #expect(try await client.state(of: first) == "completed")
            #expect(try await client.state(of: second) == "ready")
            #expect(try await client.value("select count(*)::text from hark.workers") == "0")

            let hasty = TestWorker(database.conninfo, drain: .milliseconds(50)) { $0.add("slow") { (_: TaskContext) in try await Task.sleep(for: .seconds(3600)) } }
            let third = try await client.enqueue("slow")
            try await hasty.started(third)
            try await hasty.drain()
            #expect(try await client.value("select state || ' ' || attempt from hark.tasks where id = $1", [.int64(third)]) == "ready 0")
        }
    }
}
