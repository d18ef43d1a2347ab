@testable import Hark
import HarkCluster
import HarkMigrations
import PQ
import TestSupport
import Testing

// Roles belong to the whole server and the tests of this suite to databases of their own: so each test has a login of its
// own, and they run one after the other.

@Suite("Grants", .serialized)
struct GrantTests {
    @Test("the script can be run again at any time")
    func twice() async throws {
        try await withGrants { _, client in
            let before = try await client.value("select string_agg(relacl::text, ' ' order by relname) from pg_class where relnamespace = 'hark'::regnamespace")
            try await client.script(Migration.grants)
            #expect(try await client.value("select string_agg(relacl::text, ' ' order by relname) from pg_class where relnamespace = 'hark'::regnamespace") == before)
            #expect(before?.contains("hark_enqueuer") == true || before?.contains("hark_viewer") == true)
            #expect(try await client.value("select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname ~ '^hark_' and not rolcanlogin and not rolsuper and not rolcreaterole") == "hark_enqueuer hark_owner hark_viewer hark_worker")
        }
    }

    @Test("hark_owner, made first as Operating.md says, owns everything that a member of it migrates")
    func owner() async throws {
        let cluster = try await TestServer.own()
        let info = try Conninfo(cluster.conninfo())
        let admin = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
        for line in ["create role deploy login", "create role hark_owner nologin", "grant create on database postgres to hark_owner", "grant hark_owner to deploy"] {
            try await admin.script(line)
        }
        // What PGOPTIONS says.
        let deploy = try await Connection.connect(info.with("user", "deploy").with("options", "-c role=hark_owner"), on: testLoop, timeout: .seconds(30))
        #expect(try await Migrator(deploy).migrate() == MigratorTests.names)
        try await admin.script(Migration.grants)
        #expect(try await admin.value("select nspowner::regrole::text from pg_namespace where nspname = 'hark'") == "hark_owner")
        #expect(try await admin.value("select string_agg(distinct relowner::regrole::text, ' ') from pg_class where relnamespace = 'hark'::regnamespace") == "hark_owner")
        try await admin.script("create role runner login; grant hark_worker to runner")
        try await TestWorker.with(TestWorker(info.with("user", "runner"))) { try await $0.written(try await admin.enqueue("noop")) }
        await deploy.close()
        await admin.close()
        await cluster.end()
    }

    @Test("an enqueuer may set every public column, has the id returned, and may leave a duplicate out")
    func enqueue() async throws {
        try await withGrants { database, client in
            let app = try await login("test_app", "hark_enqueuer", database, client)
            let inserted = try await app.execute(
                """
                insert into hark.tasks (queue, function, args, priority, run_at, max_attempts, timeout, unique_key)
                values ('mail', 'send', '["a"]', -1, now() + '1 hour', 3, '30 s', 'k'), (default, 'send', default, default, default, default, default, null)
                returning id
                """)
            #expect(try inserted.map { try $0.int(0) } == [1, 2])
            let again = try await app.execute(
                "insert into hark.tasks (function, unique_key) values ('send', 'k'), ('send', 'other') on conflict (unique_key) where unique_key is not null do nothing returning id")
            #expect(again.count == 1)
            #expect(try await app.refusal("insert into hark.tasks (function, unique_key) values ('send', 'k')")?.sqlState == "23505")
            #expect(try await client.value("select string_agg(state || ' ' || queue, ', ' order by id) from hark.tasks") == "scheduled mail, ready default, ready default")
            await app.close()
        }
    }

    @Test("an enqueuer may COPY the columns that it may set")
    func copy() async throws {
        try await withGrants { database, client in
            let app = try await login("test_copier", "hark_enqueuer", database, client)
            #expect(try await app.copyIn("copy hark.tasks (function, args, unique_key) from stdin", Array("a\t[1]\tk1\nb\t{\"x\": 2}\t\\N\n".utf8)) == 2)
            #expect(try await client.value("select string_agg(function || args, ' ' order by id) from hark.tasks") == #"a[1] b{"x": 2}"#)
            await #expect(throws: PostgresError.self) { try await app.copyIn("copy hark.tasks (function, state) from stdin", Array("a\tready\n".utf8)) }
            await app.close()
        }
    }

    @Test("an enqueuer rings the bell of a sleeping worker, whose role may run tasks of every kind from end to end")
    func endToEnd() async throws {
        try await withGrants { database, client in
            let app = try await login("test_shop", "hark_enqueuer", database, client)
            await (try await login("test_runner", "hark_worker", database, client)).close()
            let worker = TestWorker(database.conninfo.with("user", "test_runner"), retry: RetryPolicy(base: .milliseconds(10))) {
                $0.add("again") { (context: TaskContext) in if context.attempt == 1 { throw Verdict.retry(after: .milliseconds(10), reason: "not yet") } }
                $0.add("later") { (context: TaskContext) in if try await client.claimFirst(context.id) { throw Verdict.snooze(.milliseconds(10)) } }
                $0.add("never") { (_: TaskContext) in throw Verdict.fail(reason: "no use") }
                $0.add("stop") { (_: TaskContext) in throw Verdict.cancel(reason: "not needed") }
            }
            try await client.script("create table seen (id bigint primary key)")
            try await TestWorker.with(worker) { worker in
                try await worker.asleep()
                try await app.script(
                    """
                    insert into hark.tasks (function, args) values ('add', '[3, 14]'), ('again', '[]'), ('later', '[]'), ('never', '[]'), ('stop', '[]'), ('unknown', '[]');
                    insert into hark.tasks (function, run_at) values ('noop', now() + '50 ms')
                    """)
                try await worker.told.wait("nine outcomes") { $0.outcomes(9) }
                let states = try await client.value("select string_agg(function || ' ' || state, ', ' order by id) from hark.tasks")
                #expect(states == "add completed, again completed, later completed, never failed, stop cancelled, unknown blocked, noop completed")
            }
            #expect(try await client.value("select count(*)::text from hark.workers") == "0")
            await app.close()
        }
    }

    @Test("a worker's role rescues the tasks of the dead")
    func rescue() async throws {
        try await withGrants { database, client in
            try await client.script(
                """
                set hark.worker = on;
                insert into hark.workers (name, beat_at) values ('dead', now() - interval '1 hour');
                insert into hark.tasks (function, state, worker_id, token, attempt, max_attempts) values ('noop', 'running', 1, 5, 1, 10)
                """)
            let worker = try await login("test_rescuer", "hark_worker", database, client)
            #expect(try await worker.execute(SQL.rescue, [.int32Array([1]), .boolArray([true])]).first?.string(2) == "ready")
            #expect(try await client.value("select count(*)::text from hark.workers") == "0")
            await worker.close()
        }
    }

    @Test("an enqueuer can forge nothing and read nothing")
    func forge() async throws {
        let forbidden = [
            "insert into hark.tasks (function, state) values ('f', 'completed')", "insert into hark.tasks (function, attempt) values ('f', 5)",
            "insert into hark.tasks (id, function) overriding system value values (7, 'f')", "insert into hark.tasks (function, worker_id) values ('f', 1)",
            "insert into hark.tasks (function, token) values ('f', 1)", "insert into hark.tasks (function, result) values ('f', '1')",
            "insert into hark.tasks (function, position) overriding system value values ('f', 1)", "insert into hark.tasks (function, created_at) values ('f', now())",
            "insert into hark.tasks (function, state) values ('f', default)", "insert into hark.tasks (function) values ('f') returning *",
            "insert into hark.tasks_finished (id, function, finished_at) values (7, 'f', now())",
            "select args from hark.tasks", "select * from hark.tasks", "select result from hark.tasks_finished", "select * from hark.workers", "select * from hark.migrations",
            "update hark.tasks set priority = 1", "update hark.tasks set state = 'cancelled'", "delete from hark.tasks", "truncate hark.tasks",
            "select * from hark.retry('{1}')", "select * from hark.cancel('{1}')", "do $$ begin lock table hark.tasks; end $$", "alter table hark.tasks disable trigger all",
            "create table hark.mine (x int)", "create table mine (like hark.tasks); create trigger t after insert on mine for each row execute function hark.carry_to_finished()",
        ]
        try await withGrants { database, client in
            // A place where he may make tables and functions of his own.
            try await client.script("create schema app; grant all on schema app to public")
            try await client.enqueue("secret")
            let app = try await login("test_forger", "hark_enqueuer", database, client)
            try await app.script("set search_path = app")
            for sql in forbidden {
                let refusal = try await app.refusal(script: sql)
                // Any other code would mean that the statement itself is at fault.
                #expect(refusal?.sqlState == "42501", "\(sql): \(refusal.map { "\($0)" } ?? "allowed")")
            }
            await app.close()
        }
    }

    @Test("a viewer reads everything and changes nothing")
    func view() async throws {
        try await withGrants { database, client in
            try await client.enqueue("noop")
            let viewer = try await login("test_viewer", "hark_viewer", database, client)
            for table in ["tasks", "tasks_finished", "workers", "migrations"] { _ = try await viewer.execute("select * from hark.\(table)") }
            for statement in [SQL.stats, SQL.workers] { _ = try await viewer.execute(statement) }
            #expect(try await viewer.execute(SQL.show, [.int64(1)]).count == 1)
            for sql in [
                "insert into hark.tasks (function) values ('f')", "update hark.tasks set state = 'cancelled'", "delete from hark.tasks",
                "select * from hark.cancel('{1}')", "update hark.workers set state = 'draining'", "delete from hark.migrations", "select from hark.tasks for update",
            ] {
                #expect(try await viewer.refusal(sql)?.sqlState == "42501", "\(sql)")
            }
            #expect(try await client.state(of: 1) == "ready")
            await viewer.close()
        }
    }

    @Test("who may update nothing but the state can cancel a task and run it again: the crossing of the row is not theirs to be allowed")
    func stateOnly() async throws {
        try await withGrants { database, client in
            try await client.enqueue("noop")
            let operatorRole = try await login("test_operator", "hark_viewer", database, client)
            try await client.script("grant update (state) on hark.tasks to test_operator")
            try await operatorRole.script("update hark.tasks set state = 'cancelled' where id = 1")
            #expect(try await client.state(of: 1) == "cancelled")
            try await operatorRole.script("update hark.tasks set state = 'ready' where id = 1")
            #expect(try await client.state(of: 1) == "ready")
            #expect(try await operatorRole.refusal("delete from hark.tasks where id = 1")?.sqlState == "42501")
            await operatorRole.close()
        }
    }

    @Test("a worker whose role may not work ends at once, and says which grant it lacks")
    func notPermitted() async throws {
        try await withGrants { database, client in
            for (name, role) in [("test_nobody", ""), ("test_looker", "hark_viewer"), ("test_sender", "hark_enqueuer")] {
                await (try await login(name, role, database, client)).close()
                let worker = TestWorker(database.conninfo.with("user", name))
                let error = await #expect(throws: HarkError.self, "\(name)") { try await worker.end() }
                #expect(error?.code == .notPermitted, "\(name)")
                #expect(error?.remedy?.contains("hark_worker") == true, "\(name)")
                #expect(error?.message.contains("permission denied") == true, "\(name)")
            }
        }
    }

    /// A connection of a role that has `role` and nothing else.
    private func login(_ name: String, _ role: String, _ database: TestDatabase, _ client: Connection) async throws -> Connection {
        try await client.script(
            """
            do $$ begin if not exists (select from pg_roles where rolname = '\(name)') then create role \(name) login; end if; end $$;
            \(role.isEmpty ? "" : "grant \(role) to \(name)")
            """)
        return try await Connection.connect(database.conninfo.with("user", name), on: testLoop, timeout: .seconds(30))
    }

    /// A migrated database to which the grants script was applied.
    private func withGrants(_ body: (TestDatabase, Connection) async throws -> Void) async throws {
        try await withDatabase { database, client in
            try await client.script(Migration.grants)
            try await body(database, client)
        }
    }
}

extension Connection {
    /// True for the first who asks for this task.
    fileprivate func claimFirst(_ id: Int64) async throws -> Bool {
        try await execute("insert into seen values ($1) on conflict do nothing", [.int64(id)]).affected == 1
    }
}
