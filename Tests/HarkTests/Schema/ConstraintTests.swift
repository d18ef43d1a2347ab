import PQ
import TestSupport
import Testing

@Suite("What an INSERT is refused for, and what is filled in")
struct ConstraintTests {
    @Test("each rule refuses with its own sentence as the name of the constraint")
    func checks() async throws {
        try await withDatabase { database, _ in
            // As a worker, so that the rules are met and not the guards.
            let client = try await asWorker(database)
            let refused: [(String, String)] = [
                ("(function, state) values ('f', 'pending')", "state must be one of Hark's seven states"),
                ("(function, queue) values ('f', '')", "queue must have 1 to 100 characters"),
                ("(function, queue) values ('f', repeat('ü', 101))", "queue must have 1 to 100 characters"),
                ("(function) values ('')", "function must have 1 to 100 characters"),
                ("(function) values (repeat('f', 101))", "function must have 1 to 100 characters"),
                ("(function, args) values ('f', '1')", "args must be a JSON list or object"),
                ("(function, args) values ('f', '\"text\"')", "args must be a JSON list or object"),
                ("(function, args) values ('f', 'null')", "args must be a JSON list or object"),
                ("(function, args) select 'f', jsonb_agg(random()::text) from generate_series(1, 60000)", "args must take at most 1 MiB"),
                ("(function, args) select 'f', ('[' || string_agg('1e131071', ',') || ']')::jsonb from generate_series(1, 9)", "args must take at most 1 MiB"),
                ("(function, args) select 'f', s.a from (select jsonb_build_array(repeat('x', 2000000)) a) s", "args must take at most 1 MiB"),
                ("(function, timeout) values ('f', '1000000 years')", "timeout must be longer than zero and at most a year"),
                ("(function, priority) values ('f', 11)", "priority must be between -10 and 10"),
                ("(function, priority) values ('f', -11)", "priority must be between -10 and 10"),
                ("(function, run_at) values ('f', 'infinity')", "run_at must be a finite time"),
                ("(function, run_at) values ('f', '-infinity')", "run_at must be a finite time"),
                ("(function, attempt) values ('f', -1)", "attempt must not be negative"),
                ("(function, max_attempts) values ('f', 0)", "max_attempts must be between 1 and 1000"),
                ("(function, max_attempts) values ('f', 1001)", "max_attempts must be between 1 and 1000"),
                ("(function, timeout) values ('f', '0 s')", "timeout must be longer than zero and at most a year"),
                ("(function, timeout) values ('f', '-1 s')", "timeout must be longer than zero and at most a year"),
                ("(function, unique_key) values ('f', '')", "unique_key must have 1 to 500 characters"),
                ("(function, unique_key) values ('f', repeat('k', 501))", "unique_key must have 1 to 500 characters"),
                ("(function, state) values ('f', 'blocked')", "blocked_by is set exactly while a task is blocked"),
                ("(function, blocked_by) values ('f', 'function')", "blocked_by is set exactly while a task is blocked"),
                ("(function, state) values ('f', 'running')", "a running task has a worker_id and a token"),
                ("(function, state, worker_id) values ('f', 'running', 1)", "a running task has a worker_id and a token"),
                ("(function, state, token) values ('f', 'running', 1)", "a running task has a worker_id and a token"),
                ("(function, state) values ('f', 'completed')", "finished_at is set exactly when a task is finished"),
                ("(function, finished_at) values ('f', now())", "finished_at is set exactly when a task is finished"),
            ]
            for (values, name) in refused {
                let refusal = try await client.refusal("insert into hark.tasks \(values)")
                #expect(refusal?.sqlState == "23514", "\(values)")
                #expect(refusal?.constraint == name, "\(values)")
            }
            let named = try await client.execute(
                """
                select replace(m[1], '''''', '''') from pg_proc, regexp_matches(prosrc, 'then ''((?:[^'']|'''')+)''', 'g') m where proname = 'obey_rules'
                """
            ).map { try $0.string(0) }
            #expect(Set(named) == Set(refused.map(\.1)), "a rule without a test, or a test without a rule")
            #expect(try await client.refusal("insert into hark.workers (name, state) values ('w', 'idle')")?.constraint == "state must be starting, working or draining")
            #expect(try await client.value("select count(*)::text from hark.tasks") == "0")
            await client.close()
        }
    }

    @Test("no search path leads the rules astray", arguments: ["set search_path = astray, pg_catalog", "select set_config('search_path', 'astray, PG_CATALOG', false)"])
    func searchPath(set: String) async throws {
        try await withDatabase { _, client in
            try await client.script(
                """
                create schema astray;
                create function astray.char_length(text) returns integer language sql as 'select 1';
                \(set)
                """)
            #expect(try await client.refusal("insert into hark.tasks (function) values ('')")?.constraint == "function must have 1 to 100 characters")
        }
    }

    @Test("no type of one's own leads the rules astray", arguments: [0, 5])
    func types(priority: Int) async throws {
        try await withDatabase { _, client in
            // With those, a row that breaks a rule was cut short for the look, and a rule that was broken could not be named.
            try await client.script(
                """
                create domain pg_temp.text as varchar(1);
                do $$ begin perform hark.obey_rules(null::hark.tasks); end $$
                """)
            let refusal = try await client.refusal("insert into hark.tasks (function, priority, args) values ('f', \(priority), jsonb_build_array(repeat('x', 1100000)))")
            #expect(refusal?.constraint == "args must take at most 1 MiB")
        }
    }

    @Test("a finished task that is inserted gets its number, goes to history, frees its key, and meets no other of that number")
    func finished() async throws {
        try await withDatabase { _, client in
            let insert = "insert into hark.tasks (id, function, state, finished_at, unique_key) overriding system value values (1000, 'f', 'completed', now(), 'k')"
            #expect(try await client.value("\(insert) returning id::text") == "1000")
            try await client.script("insert into hark.tasks (function, unique_key) values ('f', 'k')")
            #expect(try await client.value("select string_agg(tableoid::regclass || ' ' || state, ', ' order by id) from hark.tasks") == "hark.tasks ready, hark.tasks_finished completed")
            #expect(try await client.refusal(insert)?.sqlState == "23505")
            #expect(try await client.refusal(insert.replacing("1000", with: "1"))?.sqlState == "23505")
        }
    }

    @Test("the limits themselves are allowed, and characters are counted, not bytes")
    func limits() async throws {
        try await withDatabase { _, client in
            try await client.script(
                """
                insert into hark.tasks (queue, function, priority, max_attempts, timeout, unique_key, args) values
                  (repeat('ü', 100), repeat('ü', 100), -10, 1, '1 microsecond', repeat('ü', 500), '{}'),
                  ('q', 'f', 10, 1000, '1 year', 'k', (select jsonb_agg(repeat('x', 1000) || i) from generate_series(1, 1030) i))
                """)
            #expect(try await client.value("select count(*)::text from hark.tasks") == "2")
        }
    }

    @Test("a NULL where an ORM means “not set” gets the default")
    func nulls() async throws {
        try await withDatabase { _, client in
            try await client.script(
                """
                insert into hark.tasks (function, queue, args, priority, run_at, max_attempts, timeout, unique_key)
                values ('f', null, null, null, null, null, null, null)
                """)
            #expect(
                try await client.value("select concat_ws(' ', state, queue, args, priority, run_at = created_at, attempt, max_attempts is null, timeout is null) from hark.tasks")
                    == "ready default [] 0 t 0 t t")
            // What has no default, and what is not the client's to set.
            for column in ["function", "state", "attempt", "created_at"] {
                #expect(try await client.refusal("insert into hark.tasks (\(column == "function" ? "" : "function, ")\(column)) values (\(column == "function" ? "" : "'f', ")null)")?.sqlState == "23502", "\(column)")
            }
        }
    }

    @Test("a task of the future waits as scheduled, one of the past is ready")
    func future() async throws {
        try await withDatabase { _, client in
            try await client.script("insert into hark.tasks (function, run_at) values ('f', now() + '1 s'), ('f', now() - interval '1 day'), ('f', now())")
            #expect(try await client.value("select string_agg(state, ' ' order by id) from hark.tasks") == "scheduled ready ready")
        }
    }

    @Test("what PostgreSQL itself refuses")
    func nonsense() async throws {
        try await withDatabase { _, client in
            let refused: [(sql: String, parameters: [Parameter], state: String)] = [
                ("(function, args) values ('f', '[1,')", [], "22P02"),
                ("(function, args) values ('f', $1)", [.json(Array("{no".utf8))], "22P02"),
                (#"(function, args) values ('f', '["a\u0000b"]')"#, [], "22P05"),
                ("(function) values ($1)", [.text("a\0b")], "22021"),
                ("(function, kind) values ('f', 'x')", [], "42703"),
                ("(function, priority) values ('f', 'high')", [], "22P02"),
                ("(function, run_at) values ('f', 'soon')", [], "22007"),
                ("(id, function) values (1, 'f')", [], "428C9"),
            ]
            for (sql, parameters, state) in refused {
                let refusal = try await client.refusal("insert into hark.tasks \(sql)", parameters)
                #expect(refusal?.sqlState == state, "\(sql)")
            }
            #expect(try await client.value("select count(*)::text from hark.tasks") == "0")
        }
    }

    @Test("a unique_key is taken until its task has finished, and is taken by one of many who want it at once")
    func uniqueKey() async throws {
        try await withDatabase { database, client in
            let clients = try await withThrowingTaskGroup { group in
                for _ in 0..<8 { group.addTask { try await database.connect() } }
                return try await group.reduce(into: [Connection]()) { $0.append($1) }
            }
            let won = try await withThrowingTaskGroup { group in
                for client in clients {
                    group.addTask {
                        try await client.execute(
                            "insert into hark.tasks (function, unique_key) values ('f', 'k') on conflict (unique_key) where unique_key is not null do nothing returning id").count
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(won == 1)
            #expect(try await client.refusal("insert into hark.tasks (function, unique_key) values ('f', 'k')")?.constraint == "tasks_unique_key")
            try await client.script("update hark.tasks set state = 'cancelled'")
            try await client.script("insert into hark.tasks (function, unique_key) values ('f', 'k')")
            // Coming back, the finished one finds its key taken, and stays where it is.
            #expect(try await client.refusal("update hark.tasks set state = 'ready' where state = 'cancelled'")?.constraint == "tasks_unique_key")
            #expect(try await client.value("select string_agg(state, ' ' order by id) from hark.tasks") == "cancelled ready")
            for client in clients { await client.close() }
        }
    }
}
