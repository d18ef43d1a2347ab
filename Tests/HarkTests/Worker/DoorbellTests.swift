import Hark
import PQ
import TestSupport
import Testing

/// The races of `migrations/0003_create_doorbell.sql`. All workers here poll once a minute, so a task that starts within
/// seconds was heard of by the bell (or by the timer), not found by the poll.
@Suite("The doorbell")
struct DoorbellTests {
    @Test("an insert wakes a sleeping worker")
    func insert() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let id = try await client.enqueue("add", "[3, 14]")
                try await worker.written(id)
                #expect(try await client.value("select result::text from hark.tasks where id = $1", [.int64(id)]) == "17")
            }
        }
    }

    @Test("a task that was inserted before the worker began to sleep, and committed after, is started at its commit")
    func uncommitted() async throws {
        try await withDatabase { database, client in
            let inserter = try await database.connect()
            try await inserter.script("begin")
            let id = try await inserter.enqueue("noop")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                try await inserter.script("commit")
                try await worker.started(id)
            }
        }
    }

    @Test("an inserter under REPEATABLE READ, with a snapshot from before the worker slept, wakes it")
    func repeatableRead() async throws {
        try await withDatabase { database, client in
            let inserter = try await database.connect()
            try await inserter.script("begin isolation level repeatable read; select 1")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let id = try await inserter.enqueue("noop")
                try await inserter.script("commit")
                try await worker.started(id)
            }
        }
    }

    @Test("a rollback wakes nobody, and what comes after it does")
    func rollback() async throws {
        try await withDatabase { database, client in
            let queues = [QueueSettings(name: "undone"), QueueSettings(name: "done")]
            try await TestWorker.with(TestWorker(database.conninfo, queues: queues)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let (bells, observer) = try await listening(on: database)
                try await client.script("begin; insert into hark.tasks (function, queue) values ('noop', 'undone'); rollback")
                let id = try await client.enqueue("noop", "[]", "queue", "'done'")
                try await worker.started(id)
                // Bells come in the order of the commits, so one of the rollback would be the first.
                try await bells.wait(count: 1, "the bell of the second insert")
                #expect(bells.all.map(\.payload) == ["done"])
                #expect(worker.startedTasks == [id])
                await observer.close()
            }
        }
    }

    @Test("COPY and a multi-row INSERT wake the workers of every queue they touch")
    func bulk() async throws {
        try await withDatabase { database, client in
            let queues = [QueueSettings(name: "a"), QueueSettings(name: "b")]
            try await TestWorker.with(TestWorker(database.conninfo, queues: queues)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                _ = try await client.copyIn("copy hark.tasks (function, queue) from stdin", Array("noop\ta\nnoop\tb\nnoop\ta\n".utf8))
                try await worker.told.wait("three tasks are written") { $0.outcomes(3) }
                try await client.script("insert into hark.tasks (function, queue) values ('noop', 'b'), ('noop', 'a')")
                try await worker.told.wait("two more are written") { $0.outcomes(5) }
            }
        }
    }

    @Test("an insert that conflicts and inserts nothing wakes nobody; the first of its key does")
    func conflict() async throws {
        try await withDatabase { database, client in
            let first = try await client.enqueue("noop", "[]", "unique_key, run_at", "'k', now() + interval '1 hour'")
            let queues = [QueueSettings(name: "default"), QueueSettings(name: "next")]
            try await TestWorker.with(TestWorker(database.conninfo, queues: queues)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let (bells, observer) = try await listening(on: database)
                let nothing = try await client.execute(
                    "insert into hark.tasks (function, unique_key) values ('noop', 'k') on conflict (unique_key) where unique_key is not null do nothing returning id")
                #expect(nothing.isEmpty)
                let id = try await client.enqueue("noop", "[]", "unique_key, queue", "'other', 'next'")
                try await worker.started(id)
                try await bells.wait(count: 1, "the bell of the second insert")
                #expect(bells.all.map(\.payload) == ["next"])
                #expect(try await client.state(of: first) == "scheduled")
                await observer.close()
            }
        }
    }

    @Test("setting a finished task ready by hand runs it again at once")
    func revive() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let id = try await client.enqueue("noop")
                try await worker.written(id)
                try await worker.asleep(times: 2)
                _ = try await client.execute("update hark.tasks set state = 'ready' where id = $1", [.int64(id)])
                try await worker.started(id, attempts: 2)
            }
        }
    }

    @Test("a transaction that stays open after its insert makes nobody poll")
    func longTransaction() async throws {
        try await withDatabase { database, client in
            let inserter = try await database.connect()
            try await inserter.script("begin; insert into hark.tasks (function) values ('noop')")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                // The worker sleeps although the transaction is open: it holds nothing that would keep it awake.
                let awake = try await client.value(
                    "select count(*)::text from pg_stat_activity where datname = current_database() and application_name = 'hark test' and state <> 'idle'")
                #expect(awake == "0")
                let held = try await client.value("select string_agg(mode, ', ') from pg_locks where locktype = 'advisory' and classid = hark.sleep_class()::bigint::oid and database = (select oid from pg_database where datname = current_database())")
                #expect(held == "ExclusiveLock")
                try await inserter.script("commit")
                try await worker.told.wait("the task starts") { $0.outcomes(1) }
            }
        }
    }

    @Test("a session that holds the bell's locks for itself blocks no insert, and the worker says that it polls")
    func hostile() async throws {
        try await withDatabase { database, client in
            let hostile = try await database.connect()
            try await hostile.script(
                "select pg_advisory_lock_shared(hark.sleep_class(), b), pg_advisory_lock(hark.sleeper_class(), hark.sleeper(1, b)) from generate_series(0, 255) b")
            try await TestWorker.with(TestWorker(database.conninfo, poll: .milliseconds(300))) { worker in
                try await worker.listener("polling")
                let id = try await client.enqueue("noop")
                try await worker.started(id)
                await hostile.close()
                try await worker.listener("listening")
            }
        }
    }

    /// Its bell is answered at the INSERT and not at the commit, so it holds SLEEP shared as long as it is open.
    @Test("while a transaction with immediate constraints is open a worker polls and says so; what it commits is found, and then the worker sleeps")
    func immediate() async throws {
        try await withDatabase { database, client in
            let inserter = try await database.connect()
            try await inserter.script("begin; set constraints all immediate")
            let id = try await inserter.enqueue("noop")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.listener("polling")
                #expect(worker.sleeps == 0)
                // What comes meanwhile is found long before a poll.
                try await worker.written(try await client.enqueue("noop"))
                try await inserter.script("commit")
                try await worker.written(id)
                try await worker.asleep()
                let listeners = worker.told.all.compactMap { if case .listener(let listener) = $0 { listener.word } else { nil } }
                #expect(listeners == ["listening", "polling", "listening"])
            }
        }
    }

    @Test("who keeps a worker from sleeping in one queue takes nothing from the others: what comes there rings and is run at once")
    func blockedInOne() async throws {
        try await withDatabase { database, client in
            let inserter = try await database.connect()
            try await inserter.script("begin; set constraints all immediate")
            let id = try await inserter.enqueue("noop")
            let queues = [QueueSettings(name: "default"), QueueSettings(name: "other")]
            try await TestWorker.with(TestWorker(database.conninfo, queues: queues)) { worker in
                try await worker.listener("polling")
                let (bells, observer) = try await listening(on: database)
                for count in 1...3 {
                    try await worker.written(try await client.enqueue("noop", "[]", "queue", "'other'"))
                    try await bells.wait(count: count, "bell \(count)")
                }
                #expect(bells.all.map(\.payload) == ["other", "other", "other"])
                await observer.close()
                try await inserter.script("commit")
                try await worker.written(id)
                try await worker.asleep()
            }
        }
    }

    @Test("a stranger that holds SLEEP shared, so that no worker can have it, makes workers poll; one that is to end when nothing is left ends nevertheless")
    func stranger() async throws {
        try await withDatabase { database, client in
            let stranger = try await database.connect()
            try await stranger.script("select pg_advisory_lock_shared(hark.sleep_class(), hark.bucket('default'))")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.listener("polling")
                let id = try await client.enqueue("noop")
                try await worker.written(id)
                try await TestWorker(database.conninfo, name: "short", untilEmpty: true).end()
                await stranger.close()
                try await worker.listener("listening")
                try await worker.asleep()
            }
        }
    }

    @Test("a worker that cannot arm its doorbell ends, too, when nothing is left")
    func unarmed() async throws {
        try await withDatabase { database, client in
            let hostile = try await database.connect()
            try await hostile.script("select pg_advisory_lock(hark.sleeper_class(), hark.sleeper(1, hark.bucket('default')))")
            let id = try await client.enqueue("noop")
            try await TestWorker(database.conninfo, untilEmpty: true).end()
            #expect(try await client.state(of: id) == "completed")
            await hostile.close()
        }
    }

    @Test("a worker that begins to sleep while a commit is under way waits for it, and finds what it brings long before a poll")
    func underWay() async throws {
        try await withDatabase { database, client in
            // Waits at its commit, after the bell, as one does whose disk is slow.
            try await client.script(
                """
                create function wait_for_us() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(4711); return null; end $$;
                create constraint trigger zz_slow after insert on hark.tasks deferrable initially deferred for each row
                  when (NEW.function = 'slow') execute function wait_for_us();
                """)
            let (holder, inserter) = (try await database.connect(), try await database.connect())
            let isUnderWay = "select count(*) = 1 from pg_locks where locktype = 'advisory' and not granted and objid = 4711"
            for round in 1...10 {
                try await holder.script("begin; select pg_advisory_xact_lock(4711)")
                let inserted = Task { try await inserter.execute("insert into hark.tasks (function) values ('slow') returning id").map { try $0.int64(0) } }
                try await client.eventually("insert \(round) is at its commit", isUnderWay)
                try await TestWorker.with(TestWorker(database.conninfo) { $0.addRaw("slow") { _, _ in nil } }) { worker in
                    try await client.eventually("it waits for SLEEP", "select count(*) = 1 from pg_locks where locktype = 'advisory' and not granted and classid = hark.sleep_class()::oid")
                    try await holder.script("commit")
                    let ids = try await inserted.value
                    try await worker.written(try #require(ids.first))
                    try await worker.asleep()
                }
            }
        }
    }

    @Test("a SLEEP lock that a session left behind makes inserts ring, and the worker hears them")
    func leftBehind() async throws {
        try await withDatabase { database, client in
            let forgetful = try await database.connect()
            try await forgetful.script("select pg_advisory_lock(hark.sleep_class(), hark.bucket('default'))")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                for _ in 0..<20 {
                    let id = try await client.enqueue("noop")
                    try await worker.started(id)
                }
            }
            await forgetful.close()
        }
    }

    @Test("with the bell switched off the poll finds the task")
    func off() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo, poll: .milliseconds(400))) { worker in
                try await worker.asleep()
                try await client.script("set hark.bell = off")
                let id = try await client.enqueue("noop")
                try await worker.started(id)
            }
        }
    }

    @Test("with the bell switched off a transaction can be prepared, and its task is found")
    func twoPhase() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo, poll: .milliseconds(400))) { worker in
                try await worker.asleep()
                try await client.script("begin; set local hark.bell = off; insert into hark.tasks (function) values ('noop'); prepare transaction 'hark-test'")
                try await client.script("commit prepared 'hark-test'")
                try await worker.told.wait("the task starts") { $0.outcomes(1) }
            }
        }
    }

    @Test("while somebody sleeps, what is ready or due within a minute rings, and nothing else; while nobody does every insert keeps SLEEP to its commit, and nothing rings")
    func whatRings() async throws {
        let inserts = [
            ("('noop', 'ready', now(), null)", true), ("('noop', 'ready', now() + interval '50 seconds', null)", true),
            ("('noop', 'ready', now() + interval '1 hour', null)", false), ("('noop', 'blocked', now(), 'function')", false),
        ]
        try await withDatabase { database, client in
            let heard = Events<String>()
            let sleeper = try await database.connect(onNotification: { heard.add($0.payload) })
            let bucket = try #require(try await client.value("select hark.bucket('default')::text"))
            try await sleeper.script("listen hark_bell_\(bucket)")
            for isAsleep in [true, false] {
                try await sleeper.script("select pg_advisory_\(isAsleep ? "lock" : "unlock")(hark.sleep_class(), hark.bucket('default'))")
                for bell in ["on", "off"] {
                    for (insert, rings) in inserts {
                        let before = heard.all.count
                        try await client.script(
                            """
                            begin; set local hark.bell = \(bell); set constraints all immediate;
                            insert into hark.tasks (function, state, run_at, blocked_by) values \(insert)
                            """)
                        let holds = try await client.value("select (count(*) = 1)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and classid = hark.sleep_class()::oid and mode = 'ShareLock'")
                        #expect(holds == "\(!isAsleep)", "\(insert), bell \(bell)")
                        try await client.script("commit; notify hark_bell_\(bucket), 'end'")
                        try await heard.wait("the end of \(insert)") { $0.dropFirst(before).contains("end") }
                        let expected = rings && isAsleep && bell == "on" ? ["default", "end"] : ["end"]
                        #expect(Array(heard.all.dropFirst(before)) == expected, "\(insert), bell \(bell), asleep \(isAsleep)")
                    }
                }
            }
            await sleeper.close()
        }
    }

    @Test("a task due in a second, inserted while all workers sleep, starts when it is due")
    func nearFuture() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let id = try await client.enqueue("noop", "[]", "run_at", "now() + interval '1 second'")
                try await worker.written(id)
                #expect(try await client.value("select (started_at >= run_at)::text from hark.tasks where id = $1", [.int64(id)]) == "true")
            }
        }
    }

    @Test("a task due in a few seconds was there before the worker: it starts when it is due, not at the poll")
    func timer() async throws {
        try await withDatabase { database, client in
            let id = try await client.enqueue("noop", "[]", "run_at", "now() + interval '1500 ms'")
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.written(id)
                #expect(try await client.value("select (started_at >= run_at)::text from hark.tasks where id = $1", [.int64(id)]) == "true")
            }
        }
    }

    /// The sleeper knows nothing of the tasks: their inserts do not ring, and it looks by itself once a minute. So it hears
    /// of them by the bell of their promotion, or not at all.
    @Test("what one worker promotes and has no slots for is run by another that sleeps")
    func promotion() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let add: (inout Functions) -> Void = { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            try await TestWorker.with(TestWorker(database.conninfo, name: "sleeper", more: add)) { sleeper in
                try await sleeper.asleep()
                try await client.earlyLooksAreOver()
                try await client.script("set hark.bell = off")
                try await client.script("insert into hark.tasks (function, run_at) select 'wait', now() + interval '1 second' from generate_series(1, 3)")
                let promoter = TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 1)], name: "promoter", more: add)
                try await TestWorker.with(promoter) { _ in
                    try await sleeper.told.wait("it runs what the other has no slots for") { $0.started >= 2 }
                    // The third is run by whoever comes first: the promoter's first look only asks for priorities.
                    try await client.eventually("all of them run", "select count(*) = 3 from hark.tasks where state = 'running'")
                    gate.open()
                }
                try await client.eventually("all of them were run once", "select count(*) = 3 from hark.tasks where state = 'completed' and attempt = 1")
            }
        }
    }

    @Test("two queues whose names share a bell both get their tasks")
    func collision() async throws {
        try await withDatabase { database, client in
            guard
                let row = try await client.execute(
                    "select a, b from (select 'q' || i as a from generate_series(1, 300) i) x join (select 'q' || i as b from generate_series(1, 300) i) y on a < b and hark.bucket(a) = hark.bucket(b) limit 1"
                ).first
            else { return #expect(Bool(false), "no two of 300 queues share a bucket") }
            let (a, b) = (try row.string(0), try row.string(1))
            try await TestWorker.with(TestWorker(database.conninfo, queues: [QueueSettings(name: a), QueueSettings(name: b)])) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                let first = try await client.enqueue("noop", "[]", "queue", "'\(a)'")
                let second = try await client.enqueue("noop", "[]", "queue", "'\(b)'")
                try await worker.started(first)
                try await worker.started(second)
            }
        }
    }
}

extension Connection {
    /// A worker that has just started looks five times within 1.6 s, whether it hears of something or not. Each look has a beat.
    func earlyLooksAreOver() async throws {
        try await eventually("the looks of a worker that has just started are over", "select beat_at >= started_at + interval '1500 ms' from hark.workers")
    }
}

/// Everything that rings, on a bucket's channel or for the first worker, for a test to look at.
private func listening(on database: TestDatabase) async throws -> (Events<PQ.Notification>, Connection) {
    let bells = Events<PQ.Notification>()
    let observer = try await database.connect(onNotification: { if !$0.payload.hasPrefix("proof") { bells.add($0) } })
    _ = try await observer.execute("listen hark_worker_1")
    for bucket in 0..<256 { _ = try await observer.execute("listen hark_bell_\(bucket)") }
    return (bells, observer)
}

extension [TelemetryEvent] {
    /// How many tasks were begun.
    var started: Int { count { if case .started = $0 { true } else { false } } }

    /// At least so many outcomes have reached the database.
    func outcomes(_ count: Int) -> Bool {
        reduce(0) { if case .written(let writes) = $1 { $0 + writes.count } else { $0 } } >= count
    }
}
