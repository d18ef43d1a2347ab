@testable import Hark
import PQ
import TestSupport
import Testing

@Suite("Changes by hand")
struct HandChangeTests {
    /// A change that somebody makes in psql to a task that is in some state.
    struct Change: Sendable, CustomTestStringConvertible {
        let from: String
        let set: String
        /// What the row says afterwards: an SQL condition. nil: the change is refused.
        let then: String?
        /// What the refusal says.
        var refusal = ""

        var testDescription: String { "\(from): set \(set)" }
    }

    /// A task in each of the states, with what belongs to it.
    static let rows = [
        "ready": "insert into hark.tasks (function) values ('f')",
        "scheduled": "insert into hark.tasks (function, run_at) values ('f', now() + '1 hour')",
        "blocked": "insert into hark.tasks (function, state, blocked_by) values ('f', 'blocked', 'function')",
        "running": "insert into hark.tasks (function, state, worker_id, token, attempt, started_at) values ('f', 'running', 7, 5, 1, now())",
        "completed":
            "insert into hark.tasks (function, state, finished_at, worker_id, token, attempt, started_at, result) values ('f', 'completed', now(), 7, 5, 3, now(), '1')",
        "failed":
            "insert into hark.tasks (function, state, finished_at, worker_id, token, attempt, errors, max_attempts) values ('f', 'failed', now(), 7, 5, 3, '[{}]', 3)",
        "cancelled": "insert into hark.tasks (function, state, finished_at, cancel_requested_at) values ('f', 'cancelled', now(), now())",
    ]

    static let anew =
        "attempt = 0 and position > 1 and result is null and errors is null and finished_at is null and worker_id is null and token is null and started_at is null and cancel_requested_at is null"

    static let allowed: [Change] = [
        Change(from: "ready", set: "state = 'cancelled'", then: "state = 'cancelled' and finished_at is not null and errors -> 0 ->> 'message' like 'cancelled by % before it ran'"),
        Change(from: "ready", set: "run_at = now() + '1 hour'", then: "state = 'scheduled' and run_at > now()"),
        Change(from: "ready", set: "state = 'scheduled', run_at = now() + '1 hour'", then: "state = 'scheduled' and run_at > now()"),
        Change(from: "ready", set: "queue = 'slow'", then: "state = 'ready' and queue = 'slow' and position > 1"),
        Change(from: "ready", set: "priority = -5", then: "state = 'ready' and priority = -5 and position > 1"),
        Change(from: "ready", set: "state = 'ready'", then: "state = 'ready' and position = 1"),
        Change(from: "scheduled", set: "state = 'cancelled'", then: "state = 'cancelled' and finished_at is not null"),
        Change(from: "scheduled", set: "state = 'ready'", then: "state = 'ready' and run_at <= now() and position > 1"),
        Change(from: "scheduled", set: "run_at = now()", then: "state = 'ready' and position > 1"),
        Change(from: "scheduled", set: "run_at = now() + '2 hours'", then: "state = 'scheduled' and run_at > now() + '90 minutes'"),
        Change(from: "scheduled", set: "queue = 'slow'", then: "state = 'scheduled' and queue = 'slow'"),
        Change(from: "blocked", set: "state = 'cancelled'", then: "state = 'cancelled' and blocked_by is null"),
        Change(from: "blocked", set: "state = 'ready'", then: "state = 'ready' and blocked_by is null and position > 1"),
        Change(from: "blocked", set: "state = 'scheduled', run_at = now() + '1 hour'", then: "state = 'scheduled' and blocked_by is null"),
        Change(from: "blocked", set: "priority = 3", then: "state = 'blocked' and priority = 3"),
        Change(from: "running", set: "state = 'cancelled'", then: "state = 'running' and cancel_requested_at is not null and finished_at is null and token = 5"),
        Change(from: "running", set: "state = 'cancelled', finished_at = now()", then: "state = 'running' and finished_at is null"),
        Change(from: "running", set: "priority = 3, queue = 'slow'", then: "state = 'running' and priority = 3 and position = 1 and token = 5"),
        Change(from: "completed", set: "state = 'ready'", then: "state = 'ready' and \(anew)"),
        Change(from: "failed", set: "state = 'ready'", then: "state = 'ready' and max_attempts = 3 and \(anew)"),
        Change(from: "cancelled", set: "state = 'ready'", then: "state = 'ready' and \(anew)"),
        Change(from: "failed", set: "state = 'scheduled', run_at = now() + '1 hour'", then: "state = 'scheduled' and run_at > now() and \(anew)"),
        Change(from: "failed", set: "state = 'ready', run_at = now() + '1 hour'", then: "state = 'scheduled' and run_at > now() and \(anew)"),
        Change(from: "failed", set: "priority = 3", then: "state = 'failed' and priority = 3"),
    ]

    static let refused: [Change] = {
        var all: [Change] = []
        func refuse(_ from: String, _ states: [String?], _ sentence: String) {
            for state in states where state != from {
                let set = "state = " + (state.map { "'\($0)'" } ?? "null")
                all.append(Change(from: from, set: set, then: nil, refusal: "task 1 \(sentence) \(state ?? "null")"))
            }
        }
        refuse("running", ["ready", "scheduled", "blocked", "completed", "failed", nil], "is running: only its worker may make it")
        for from in ["ready", "scheduled", "blocked"] {
            refuse(from, ["running", "completed", "failed", "nonsense", nil], "is \(from): it cannot be made")
        }
        refuse("scheduled", ["blocked"], "is scheduled: it cannot be made")
        for from in ["completed", "failed", "cancelled"] {
            refuse(from, ["running", "blocked", "completed", "cancelled", "nonsense", nil], "has finished as \(from): it cannot be made")
        }
        refuse("completed", ["scheduled"], "has finished as completed: it cannot be made")
        for from in ["ready", "blocked"] {
            all.append(Change(from: from, set: "state = 'scheduled'", then: nil, refusal: "task 1 cannot be scheduled for "))
        }
        return all
    }()

    @Test("what people may change by hand has the effect that it says")
    func allow() async throws {
        try await withDatabase { database, client in
            for change in Self.allowed {
                try await put(change.from, into: database)
                let refusal = try await client.refusal("update hark.tasks set \(change.set) where id = 1")
                #expect(refusal == nil, "\(change.testDescription)")
                // One row, on the right side of the line between live and finished.
                #expect(try await client.value("select count(*)::text from hark.tasks") == "1", "\(change.testDescription)")
                #expect(
                    try await client.value("select (tableoid = 'hark.tasks_finished'::regclass) = (state in ('completed', 'failed', 'cancelled')) from hark.tasks") == "t",
                    "\(change.testDescription)")
                let row = try await client.value("select to_jsonb(t)::text from hark.tasks t")
                #expect(try await client.value("select \(change.then ?? "") from hark.tasks") == "t", "\(change.testDescription): \(row ?? "no row")")
            }
        }
    }

    @Test("every other change of state is refused with a sentence and a hint, and changes nothing")
    func refuse() async throws {
        try await withDatabase { database, client in
            for change in Self.refused {
                try await put(change.from, into: database)
                let before = try await client.value("select to_jsonb(t)::text from hark.tasks t")
                let refusal = try #require(try await client.refusal("update hark.tasks set \(change.set) where id = 1"), "\(change.testDescription)")
                #expect(refusal.sqlState == "55000", "\(change.testDescription)")
                #expect(refusal.message.hasPrefix(change.refusal), "\(change.testDescription): \(refusal.message)")
                #expect(refusal.hint?.isEmpty == false, "\(change.testDescription)")
                #expect(try await client.value("select to_jsonb(t)::text from hark.tasks t") == before, "\(change.testDescription)")
            }
        }
    }

    @Test("a task can be deleted by hand unless it runs")
    func delete() async throws {
        try await withDatabase { database, client in
            for state in Self.rows.keys.sorted() {
                try await put(state, into: database)
                let refusal = try await client.refusal("delete from hark.tasks where id = 1")
                #expect((refusal != nil) == (state == "running"), "\(state)")
                #expect(try await client.value("select count(*)::text from hark.tasks") == (state == "running" ? "1" : "0"), "\(state)")
                if let refusal {
                    #expect(refusal.sqlState == "55000")
                    #expect(refusal.message == "task 1 is running and cannot be deleted")
                    #expect(refusal.hint?.contains("'cancelled'") == true)
                }
            }
        }
    }

    @Test("a request to cancel a running task is told to its worker; asking again keeps the first moment")
    func request() async throws {
        try await withDatabase { database, client in
            try await put("running", into: database)
            let heard = Events<String>()
            let worker = try await database.connect(onNotification: { heard.add("\($0.channel) \($0.payload)") })
            try await worker.script("listen \(Channel.control(7))")
            try await client.script("update hark.tasks set state = 'cancelled' where id = 1")
            try await heard.wait(count: 1, "the control notification")
            #expect(heard.all == ["hark_worker_7 cancel 1"])
            let first = try await client.value("select cancel_requested_at::text from hark.tasks")
            try await client.script("update hark.tasks set state = 'cancelled' where id = 1")
            #expect(try await client.value("select cancel_requested_at::text from hark.tasks") == first)
            await worker.close()
        }
    }

    @Test("a task that is given back after its cancellation was asked for is finished, and keeps who had it")
    func givenBack() async throws {
        try await withDatabase { database, client in
            let worker = try await asWorker(database)
            for verb in ["retry", "snooze", "release", "block"] {
                try await put("running", into: database)
                try await client.script("update hark.tasks set state = 'cancelled' where id = 1")
                let more: [Parameter] =
                    switch verb {
                    case "retry": [.float8Array([60]), .jsonbArray([Array(#"{"kind": "error", "message": "no"}"#.utf8)])]
                    case "snooze": [.float8Array([60])]
                    case "block": [.jsonbArray([nil])]
                    default: []
                    }
                let written = try await worker.execute(SQL.statement(verb), [.int64Array([1]), .int64Array([5])] + more)
                #expect(try written.first?.string("state") == "cancelled", "\(verb)")
                let row = try await client.value(
                    "select concat_ws(' ', tableoid::regclass, state, worker_id, token, errors -> -1 ->> 'kind', finished_at is not null) from hark.tasks")
                #expect(row == "hark.tasks_finished cancelled 7 5 cancelled t", "\(verb)")
            }
            await worker.close()
        }
    }

    @Test("hark.retry and hark.cancel say of each task what became of it, wait for nobody and fail for none")
    func inBulk() async throws {
        try await withDatabase { database, client in
            let worker = try await asWorker(database)
            for state in ["ready", "scheduled", "blocked", "running", "completed", "failed"] { try await worker.script(Self.rows[state] ?? "") }
            try await worker.script(
                """
                insert into hark.tasks (function, state, finished_at, unique_key) values ('f', 'failed', now(), 'k');
                insert into hark.tasks (function, unique_key) values ('f', 'k');
                insert into hark.tasks (function) values ('held')
                """)
            let holder = try await database.connect()
            try await holder.script("begin; select from hark.tasks where function = 'held' for update")
            let retried = try await client.execute(SQL.statement("retry_tasks"), [.int64Array(Array(1...10))])
            #expect(
                try retried.map { "\(try $0.int64(0)) \(try $0.string(1)) \(try $0.optionalString(2) ?? "-")" } == [
                    "1 ready was ready already", "2 ready -", "3 ready -", "4 skipped running", "5 ready -", "6 ready -",
                    "7 skipped another unfinished task has its unique_key 'k'", "8 ready was ready already", "9 skipped locked by another transaction", "10 skipped not found",
                ])
            let cancelled = try await client.execute(SQL.statement("cancel_tasks"), [.int64Array([10, 9, 7, 4, 1])])
            #expect(
                try cancelled.map { "\(try $0.int64(0)) \(try $0.string(1)) \(try $0.optionalString(2) ?? "-")" } == [
                    "1 cancelled -", "4 requested -", "7 skipped already finished as failed", "9 skipped locked by another transaction", "10 skipped not found",
                ])
            await holder.close()
            await worker.close()
        }
    }

    /// Makes `hark.tasks` hold this one row, with id and position 1.
    private func put(_ state: String, into database: TestDatabase) async throws {
        let worker = try await asWorker(database)
        try await worker.script(
            """
            truncate hark.tasks, hark.tasks_finished;
            select setval(pg_get_serial_sequence('hark.tasks', 'id'), 1, false), setval('hark.tasks_position_seq', 1, false);
            \(Self.rows[state] ?? "")
            """)
        await worker.close()
    }
}
