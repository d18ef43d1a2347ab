@testable import Hark
import PQ
import TestSupport
import Testing

// A worker's statements must cost the same on every table, whatever the statistics say of it: they are stale by nature,
// since the table fills and empties within seconds. Each trap that once took a plan elsewhere cost 10 to 100 times. So
// every statement has one plan, and here it is written down; the tables are empty, full, and full while the statistics
// still say empty.

@Suite("Plans of the hot statements")
struct PlanTests {
    struct Expected: Sendable, CustomTestStringConvertible {
        let statement: String
        /// All tables that it touches, and how. What is not here must not be there.
        let accesses: Set<String>
        /// By index: what stands in its condition, so that the scan begins and ends where it should.
        var conditions: [String: [String]] = [:]
        /// Indexes small by nature, which are read as a whole, in whatever manner.
        var whole: Set<String> = []

        var testDescription: String { statement }

        init(_ statement: String, _ accesses: Set<String>, _ conditions: [String: [String]] = [:], whole: Set<String> = []) {
            self.statement = statement
            self.accesses = accesses
            self.conditions = conditions
            self.whole = whole
        }
    }

    /// Outcomes find their rows through the primary key and by nothing else.
    static let mine = ["tasks_pkey": ["(id = "]]

    static let expected: [Expected] = [
        Expected(
            "claim", ["update tasks", "tasks by tasks_ready", "tasks by Tid Scan", "workers by workers_pkey"],
            ["tasks_ready": ["(queue = ", "(priority = ", "(\"position\" >= "]]),
        Expected("claim_lane", ["update tasks", "tasks by tasks_ready", "tasks by Tid Scan"], ["tasks_ready": ["(queue = ", "(priority = ", "(\"position\" >= "]]),
        Expected("complete", ["insert tasks_finished", "delete tasks", "tasks by tasks_pkey", "tasks by Tid Scan"], mine),
        Expected("fail", ["insert tasks_finished", "delete tasks", "tasks by tasks_pkey", "tasks by Tid Scan", "workers by workers_pkey"], mine),
        Expected("cancel", ["insert tasks_finished", "delete tasks", "tasks by tasks_pkey", "tasks by Tid Scan", "workers by workers_pkey"], mine),
        Expected("retry", ["update tasks", "tasks by tasks_pkey", "tasks by Tid Scan", "workers by workers_pkey"], mine),
        Expected("snooze", ["update tasks", "tasks by tasks_pkey", "tasks by Tid Scan"], mine),
        Expected("release", ["update tasks", "tasks by tasks_pkey", "tasks by Tid Scan"], mine),
        Expected("block", ["update tasks", "tasks by tasks_pkey", "tasks by Tid Scan", "workers by workers_pkey"], mine),
        Expected("held", ["tasks by tasks_pkey"], mine),
        Expected("cancel_requests", ["tasks by tasks_pkey"], mine),
        Expected("lanes", ["tasks by tasks_ready"], ["tasks_ready": ["(queue = "]]),
        Expected(
            "promote", ["update tasks", "tasks by tasks_scheduled", "tasks by Tid Scan"],
            ["tasks_scheduled": ["(queue = ", "(run_at <= "]]),
        Expected("next_due", ["tasks by tasks_scheduled"], ["tasks_scheduled": ["(queue = "]]),
        Expected("pass_on", ["tasks by tasks_ready", "tasks by tasks_scheduled"], ["tasks_ready": ["(queue = "], "tasks_scheduled": ["(queue = ", "(run_at < "]]),
        Expected("unblock", ["update tasks", "tasks by tasks_blocked", "tasks by Tid Scan"], ["tasks_blocked": ["(queue = "]]),
        Expected("expire_blocked", ["update tasks", "tasks by Tid Scan"], whole: ["tasks_blocked"]),
        Expected("strays", ["update tasks", "tasks by Tid Scan"], whole: ["tasks_running"]),
        Expected("orphans", ["workers by workers_pkey"], whole: ["tasks_running"]),
        Expected("unregister", ["delete workers", "workers by workers_pkey"], whole: ["tasks_running"]),
        Expected("beat", ["update workers", "workers by workers_pkey"], ["workers_pkey": ["(id = "]]),
        Expected("suspects", ["workers by workers_pkey"]),
        Expected("enqueue", ["insert tasks", "tasks by tasks_unique_key"], ["tasks_unique_key": ["(unique_key = "]]),
    ]

    @Test("the plans are the same on empty tables")
    func empty() async throws {
        try await withDatabase { database, client in
            try await check(database, "empty, never analyzed")
            try await client.script("analyze hark.tasks; analyze hark.tasks_finished; analyze hark.workers")
            try await check(database, "empty, analyzed")
        }
    }

    @Test("the plans are the same with 100,000 tasks ready, and when they are gone")
    func ready() async throws {
        try await withDatabase { database, client in
            try await client.script("insert into hark.tasks (function) select 'noop' from generate_series(1, 100000)")
            try await check(database, "100,000 ready")
            try await client.script("analyze hark.tasks")
            try await check(database, "100,000 ready, analyzed")
            try await client.script("delete from hark.tasks")
            try await check(database, "all gone, but the statistics say 100,000")
        }
    }

    @Test("the plans are the same when one lane has nearly everything, a worker runs 1,000, and the statistics say that all is empty")
    func skewed() async throws {
        try await withDatabase { database, client in
            try await client.script(
                """
                set hark.worker = on;
                alter table hark.tasks set (autovacuum_enabled = off);
                alter table hark.tasks_finished set (autovacuum_enabled = off);
                insert into hark.workers (name) select 'w' || i from generate_series(1, 50) i;
                analyze hark.tasks; analyze hark.tasks_finished; analyze hark.workers;
                insert into hark.tasks (function, queue) select 'noop', 'big' from generate_series(1, 50000);
                insert into hark.tasks (function, queue, priority) select 'noop', 'queue ' || i % 20, i % 10 from generate_series(1, 1000) i;
                insert into hark.tasks (function, queue, state, worker_id, token, attempt)
                  select 'noop', 'big', 'running', 1, 5, 1 from generate_series(1, 1000);
                insert into hark.tasks (function, queue, run_at) select 'noop', 'big', now() + interval '1 hour' from generate_series(1, 50000);
                insert into hark.tasks_finished (id, position, state, queue, function, finished_at)
                  select 1000000 + i, i, 'completed', 'big', 'noop', now() from generate_series(1, 50000) i
                """)
            try await check(database, "skewed, the statistics say empty")
            try await client.script("analyze hark.tasks; analyze hark.tasks_finished; analyze hark.workers")
            try await check(database, "skewed, analyzed")
        }
    }

    @Test("a claim does not read what was claimed before its mark, even while somebody holds an old snapshot")
    func marks() async throws {
        try await withDatabase { database, client in
            try await client.script(
                """
                insert into hark.workers (name) values ('w');
                insert into hark.tasks (function) select 'noop' from generate_series(1, 20000)
                """)
            let old = try await database.connect()
            try await old.script("begin isolation level repeatable read; select count(*) from hark.tasks")
            let worker = try await database.connect(options: ConnectionOptions(setup: SessionSetup.work))
            for token in 1...20 {
                let claimed = try await worker.execute(SQL.claim, claim(of: 1_000, token: Int64(token), above: 0))
                let ids = try claimed.map { try $0.int64(0) }
                let written = try await worker.execute(
                    SQL.complete,
                    [.int64Array(ids), .int64Array(ids.map { _ in Int64(token) }), .jsonbArray(ids.map { _ in nil })])
                #expect(written.count == 1_000)
            }
            let mark = try #require(try await client.execute("select last_value from hark.tasks_position_seq").first?.int64(0))
            try await client.enqueue("noop")
            #expect(try await blocks(worker, above: mark) < 40)
            #expect(try await blocks(worker, above: 0) > 40, "without a mark it reads all of them, or this test proves nothing")
            await old.close()
        }
    }

    /// How many blocks a claim of one task reads. The claim is undone.
    private func blocks(_ worker: Connection, above mark: Int64) async throws -> Int {
        try await worker.script("begin; prepare counted as\n\(SQL.claim.sql)")
        let explained = try await worker.execute(
            "explain (analyze, buffers, timing off, summary off) execute counted('{default}', '{1}', '{1}', '{1}', '{0}', '{\(mark)}', 1, 99, null, null)")
        try await worker.script("deallocate counted; rollback")
        let first = try explained.map { try $0.string(0) }.first { $0.contains("Buffers:") } ?? ""
        // "Buffers: shared hit=12 read=1 dirtied=1"
        return first.split(separator: " ").reduce(0) { sum, word in
            word.hasPrefix("hit=") || word.hasPrefix("read=") ? sum + (Int(word.drop { $0 != "=" }.dropFirst()) ?? 0) : sum
        }
    }

    private func claim(of room: Int32, token: Int64, above mark: Int64) -> [Parameter] {
        [
            .textArray(["default"]), .int32Array([room]), .int32Array([1]), .int32Array([1]), .int16Array([0]), .int64Array([mark]),
            .int32(1), .int64(token), .null, .null,
        ]
    }

    /// Compares the plans of a worker's session with what is written above.
    private func check(_ database: TestDatabase, _ tables: String) async throws {
        let worker = try await database.connect(options: ConnectionOptions(setup: SessionSetup.work))
        for expected in Self.expected {
            let plan = try await worker.plan(of: SQL.statement(expected.statement))
            let whole = Set(expected.whole.flatMap { ["tasks by \($0)", "bitmap of \($0)"] })
            #expect(plan.accesses.subtracting(whole) == expected.accesses, "\(expected.statement), \(tables)")
            #expect(expected.whole.isEmpty || !plan.accesses.isDisjoint(with: whole), "\(expected.statement), \(tables)")
            if expected.whole.isEmpty { #expect(plan.sortsOfTasks.isEmpty, "\(expected.statement) sorts, \(tables)") }
            for (index, words) in expected.conditions {
                for node in plan.nodes where node.index == index {
                    for word in words { #expect(node.condition?.contains(word) == true, "\(expected.statement): \(node.condition ?? "no condition"), \(tables)") }
                }
            }
        }
        await worker.close()
    }
}
