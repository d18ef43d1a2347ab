@testable import Hark
import HarkMigrations
import PQ
import TestSupport
import Testing

// Words and numbers that stand both in the schema and in Swift. The schema is the truth; these tests are what keeps the
// copies true.

@Suite("What Swift repeats of the schema")
struct MirrorTests {
    /// All SQL that ships, comments left out.
    static let sql: String = {
        let statements = EmbedTests.statements.map { SQL.statement($0).sql }
        let lines = (Migration.all.map(\.sql) + statements).joined(separator: "\n").split(separator: "\n")
        return lines.filter { !$0.hasPrefix("--") }.joined(separator: "\n")
    }()

    @Test("the kinds of error that SQL writes are those that Swift knows")
    func kinds() {
        // jsonb_build_object('kind', 'lost', ...) and '{"kind": "cancelled", ...}'
        let written = Self.sql.matches(of: /'kind', '(\w+)'|"kind": "(\w+)"/).compactMap { $0.1 ?? $0.2 }.map(String.init)
        #expect(written.contains("lost") && written.contains("cancelled") && written.contains("error"))
        for kind in written { #expect(AttemptError.Kind(rawValue: kind) != nil, "\(kind)") }
    }

    @Test("the states that SQL speaks of are the seven of a task and the three of a worker")
    func states() async throws {
        try await withDatabase { _, client in
            let ofTask = try await ruleWords(client)
            let ofWorker = try await words("state must be starting, working or draining", client)
            #expect(ofTask == ["ready", "running", "scheduled", "blocked", "completed", "failed", "cancelled"])
            #expect(ofWorker == ["starting", "working", "draining"])
            // state = 'ready', state <> 'running', state in ('scheduled', 'ready')
            let spoken = Self.sql.matches(of: /state (?:=|<>|in) \(?((?:'\w+'(?:, )?)+)/).flatMap { $0.1.matches(of: /\w+/).map { String($0.0) } }
            #expect(Set(ofTask).isSubset(of: spoken), "the search above finds nothing any more")
            for word in spoken { #expect((ofTask + ofWorker).contains(word), "\(word)") }
        }
    }

    @Test("what a worker says of its own state is what its row may say")
    func workerStates() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let worker = TestWorker(database.conninfo, poll: .milliseconds(100)) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            let id = try await client.enqueue("wait")
            try await worker.started(id)
            try await client.eventually("its row says so", "select state = 'working' and running = 1 and listener = 'listening' from hark.workers")
            worker.worker.drain()
            try await client.eventually("its row says so", "select state = 'draining' from hark.workers")
            gate.open()
            try await worker.end()
            let troubles = worker.told.all.filter { if case .trouble = $0 { true } else { false } }
            #expect(troubles.isEmpty)
        }
    }

    @Test("the bell and the control channel that the schema notifies are those that a worker listens on")
    func channels() async throws {
        try await withDatabase { database, client in
            let heard = Events<PQ.Notification>()
            let listener = try await database.connect(onNotification: { heard.add($0) })
            let bucket = try #require(try await client.execute(Statement(name: "", sql: "select hark.bucket('mail')", binary: true)).first?.int(0))
            #expect((0...255).contains(bucket))
            try await listener.script("listen \(Channel.control(7))")
            _ = try await listener.execute(SQL.arm, [.int32(7), .textArray(["mail"]), .bool(true), .bool(false)])
            try await client.script("insert into hark.tasks (function, queue) values ('f', 'mail'), ('f', 'other'), ('f', 'mail')")
            try await client.script(
                """
                insert into hark.workers (id, name, queues) overriding system value values (7, 'seventh', '{mail}');
                select hark.ring('mail', 1, 8)
                """)
            try await client.script(
                """
                set hark.worker = on;
                insert into hark.tasks (function, state, worker_id, token) values ('f', 'running', 7, 1);
                set hark.worker = off;
                update hark.tasks set state = 'cancelled' where state = 'running'
                """)
            try await heard.wait(count: 3, "two bells and a request")
            #expect(heard.all.map { "\($0.channel) \($0.payload)" } == ["\(Channel.bell(bucket)) mail", "\(Channel.control(7)) bell mail", "\(Channel.control(7)) cancel 4"])
            let read = heard.all.map { SignalLink.Message($0).map { "\($0)" } }
            #expect(read == [#"bell(queue: "mail")"#, #"bell(queue: "mail")"#, "cancel(task: 4)"])
            await listener.close()
        }
    }

    @Test("numbers: 10 attempts unless somebody says otherwise, results as large as arguments, the last 50 errors")
    func numbers() async throws {
        try await withDatabase { database, client in
            let worker = try await database.connect(options: ConnectionOptions(setup: SessionSetup.work))
            try await client.script("insert into hark.workers (name) values ('w'); insert into hark.tasks (function) values ('f')")
            let claimed = try await worker.execute(
                SQL.claim,
                [
                    .textArray(["default"]), .int32Array([1]), .int32Array([1]), .int32Array([1]), .int16Array([0]), .int64Array([0]), .int32(1), .int64(5),
                    .json(WorkerOptions(database: database.conninfo).functionPolicies), .json(WorkerOptions(database: database.conninfo).queuePolicies),
                ])
            let task = try ClaimedTask(try #require(claimed.first), token: 5)
            let plain = ClaimedTask(claim: task.claim, queue: "q", function: "f", args: [])
            #expect(task.maxAttempts == 10 && plain.maxAttempts == 10)
            #expect(task.attempt == plain.attempt)
            #expect(task.priority == plain.priority)
            #expect(task.timeout == plain.timeout)

            let largest = try await client.value("select substring(prosrc from 'octet_length[^0-9]*([0-9]+)') from pg_proc where proname = 'obey_rules'")
            #expect(largest == "\(WorkerOptions(database: database.conninfo).resultLimit)")

            let kept = try await client.execute(
                """
                with recursive e (n, errors) as (
                  select 0, null::jsonb union all
                  select n + 1, hark.add_error(errors, jsonb_build_object('kind', 'error', 'message', n), n, 'w') from e where n < 60
                ) select jsonb_array_length(errors), errors -> 0 ->> 'message', errors -> -1 ->> 'message' from e where n = 60
                """)
            #expect(try kept.first?.int(0) == 50)
            #expect(try kept.first?.string(1) == "10")
            #expect(try kept.first?.string(2) == "59")
            await worker.close()
        }
    }

    @Test("the claim of one lane takes what any claim takes, and nothing once the worker's row may be gone")
    func oneLane() async throws {
        try await withDatabase { database, client in
            let worker = try await database.connect(options: ConnectionOptions(setup: SessionSetup.work))
            try await client.script(
                """
                insert into hark.workers (name) values ('w');
                insert into hark.tasks (function, args) select 'f', '[1]' from generate_series(1, 2);
                insert into hark.tasks (function, max_attempts, timeout) values ('f', 3, '5 seconds');
                insert into hark.tasks (function, priority) values ('f', 1);
                insert into hark.tasks (function, queue) values ('f', 'other')
                """)
            let beat = try #require(try await worker.execute(SQL.beat, [.int32(1), .text("working"), .text("listening"), .int32(0)]).first)
            let sureUntil = try beat.double("sure_until")
            #expect(try await client.value("select (to_timestamp(\(sureUntil)) - beat_at between hark.grace() - interval '1 ms' and hark.grace() + interval '1 ms')::text from hark.workers") == "true")
            func lane(from mark: Int64 = 0, room: Int32 = 10, until: Double) async throws -> [ClaimedTask] {
                try await worker.execute(SQL.claimLane, [.text("default"), .int16(0), .int64(mark), .int32(room), .int32(1), .int64(5), .float8(until)])
                    .map { try ClaimedTask($0, token: 5) }
            }
            let late = try await lane(until: sureUntil - 3_600)
            #expect(late.isEmpty)
            let one = try await lane(room: 1, until: sureUntil + 3_600)
            #expect(one.map(\.id) == [1])
            let behind = try await lane(from: 3, until: sureUntil + 3_600)
            #expect(behind.map(\.id) == [3] && behind[0].maxAttempts == 3 && behind[0].timeout == .seconds(5))
            let any = try await worker.execute(
                SQL.claim,
                [.textArray(["default"]), .int32Array([10]), .int32Array([1]), .int32Array([1]), .int16Array([0]), .int64Array([0]), .int32(1), .int64(5), .null, .null]
            ).map { try ClaimedTask($0, token: 5) }
            // The same but for what is each task's own.
            #expect(any.map(\.id) == [2] && any[0].maxAttempts == one[0].maxAttempts && any[0].attempt == one[0].attempt && any[0].timeout == one[0].timeout)
            #expect(any[0].args == one[0].args && any[0].queue == one[0].queue && any[0].priority == one[0].priority && any[0].function == one[0].function)
            #expect(try await client.value("select bool_and(worker_id = 1 and token = 5 and started_at is not null)::text from hark.tasks where state = 'running'") == "true")
            await worker.close()
        }
    }

    @Test("a worker beats at least as often as the grace after which it may count as dead")
    func beats() async throws {
        try await withDatabase { _, client in
            let times = try #require(try await client.execute("select extract(epoch from hark.grace())::float8, extract(epoch from hark.lost_after())::float8").first)
            let beat = WorkerState.Settings().beatInterval.seconds
            #expect(beat <= (try times.double(0)))
            #expect(beat * 3 <= (try times.double(1)))
        }
    }

    @Test("the lock classes of workers and of the bell are different numbers of our own")
    func classes() async throws {
        try await withDatabase { _, client in
            let classes = try await client.execute("select unnest(array[hark.sleep_class(), hark.sleeper_class(), hark.standby_class(), hark.guard_class(), hark.reserve_class(), hark.worker_class()])").map { try $0.int(0) }
            #expect(Set(classes).count == 6)
            #expect(classes.allSatisfy { $0 > 1_000_000 })
        }
    }

    /// The states that a task may have by its rule, in order.
    private func ruleWords(_ client: Connection) async throws -> [String] {
        let listed = try await client.value("select substring(prosrc from 'task.state not in .(.*?). then') from pg_proc where proname = 'obey_rules'") ?? ""
        return listed.matches(of: /\w+/).map { String($0.0) }
    }

    /// The words between quotes in a constraint, in order.
    private func words(_ constraint: String, _ client: Connection) async throws -> [String] {
        let text = try await client.value("select pg_get_constraintdef(oid) from pg_constraint where conname = '\(constraint)'") ?? ""
        return text.matches(of: /'(\w+)'/).map { String($0.1) }
    }
}
