@testable import Hark
import PQ
import TestSupport
import Testing

/// Several workers that sleep on one queue: one is rung, and sees to it that what it cannot do itself is done. All of them poll
/// once a minute, so a task that nobody was rung for would not start within a test.
@Suite("Many sleepers, one bell")
struct SleepersTests {
    @Test("each insert wakes one of five sleepers, and the others sleep on")
    func one() async throws {
        try await withSleepers(5) { workers, bells, client in
            let slept = workers[0].sleeps
            for round in 1...10 {
                try await workers[0].written(try await client.enqueue("noop"))
                try await workers[0].asleep(times: slept + round)
                #expect(workers[0].sleeps == slept + round)
            }
            let bell = "\(Channel.bell(try await bucket(of: "default", client))) default"
            #expect(bells.all.map { "\($0.channel) \($0.payload)" } == Array(repeating: bell, count: 10))
        }
    }

    @Test("a transaction with more tasks than the worker that is rung has slots for wakes others, one after the other")
    func passedOn() async throws {
        let gate = Gate()
        try await withSleepers(4, slots: 2, more: { $0.add("wait") { (_: TaskContext) in await gate.pass() } }) { workers, bells, client in
            try await client.script("insert into hark.tasks (function) select 'wait' from generate_series(1, 7)")
            try await client.eventually("all of them run", "select count(*) = 7 and count(distinct worker_id) = 4 from hark.tasks where state = 'running'")
            gate.open()
        }
    }

    @Test("a worker that is rung for a task of the near future and drains before it is due passes that on")
    func scheduled() async throws {
        try await withSleepers(3) { workers, bells, client in
            let id = try await client.enqueue("noop", "[]", "run_at", "now() + interval '2 seconds'")
            try await bells.wait(count: 1, "somebody is rung for it")
            let rung = try await client.execute(
                "select w.name from pg_locks sleep join pg_locks alive using (pid, database) join hark.workers w on w.id = alive.objid::int8 where sleep.classid::int8 = hark.sleep_class() and alive.classid::int8 = hark.worker_class() and database = (select oid from pg_database where datname = current_database())")
            let name = try #require(try rung.first?.string(0))
            try await workers.first { $0.name == name }?.drain()
            try await workers[0].written(id)
            #expect(try await client.value("select (started_at >= run_at)::text from hark.tasks where id = $1", [.int64(id)]) == "true")
        }
    }

    @Test("for a sleeper that has not been heard of for ten seconds another one hears the bell")
    func frozen() async throws {
        try await withDatabase { database, client in
            let guardian = try await database.connect()
            let frozen = try await enter("frozen", heard: "- interval '11 seconds'", guardian)
            _ = try await guardian.execute(SQL.arm, [.int32(frozen), .textArray(["default"]), .bool(true), .bool(false)])
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                try await worker.asleep()
                try await client.eventually("the looks of a worker that has just started are over", "select bool_or(beat_at >= started_at + interval '1500 ms') from hark.workers")
                for _ in 0..<20 { try await worker.written(try await client.enqueue("noop")) }
            }
            await guardian.close()
        }
    }

    @Test("a wait for SLEEP that brings only a part keeps it, and all is given back; of two that wait, one is told that the other was first")
    func waits() async throws {
        try await withDatabase { database, client in
            let queues = ["default", "more"]
            let buckets = Parameter.int32Array(try await [bucket(of: "default", client), bucket(of: "more", client)].sorted().map { Int32($0) })
            let (holder, early, late) = (try await database.connect(), try await database.connect(), try await database.connect())
            let own = try await enter("early", queues: "{default,more}", heard: "+ interval '1 hour'", early)
            try await holder.script("begin; select pg_advisory_xact_lock_shared(hark.sleep_class(), hark.bucket(q)) from unnest('{default,more}'::text[]) q")
            let armed = try await early.execute(SQL.arm, [.int32(own), .textArray(queues), .bool(true), .bool(false)]).first
            #expect(try armed?.string("blocked").split(separator: " ").count == 2)
            // The second bucket alone is held now, so the first wait gets the first.
            try await holder.script("commit; begin")
            _ = try await holder.execute("select pg_advisory_xact_lock_shared(hark.sleep_class(), ($1::int4[])[2])", [buckets])
            for answer in ["blocked", "blocked"] {
                #expect(try await early.execute(SQL.awaitSleep, [buckets, .int32(20)]).first?.string("answer") == answer)
            }
            try await holder.script("commit")
            #expect(try await early.execute(SQL.awaitSleep, [buckets, .int32(20)]).first?.string("answer") == "had")
            #expect(try await late.execute(SQL.awaitSleep, [buckets, .int32(20)]).first?.string("answer") == "taken")
            _ = try await early.execute(SQL.disarm, [.int32(own), .textArray(queues), .bool(true)])
            #expect(try await locks("sleep", client) == "0")
            for session in [holder, early, late] { await session.close() }
        }
    }

    @Test("of two that sleep for a queue one hears an insert, and the other when that one is awake")
    func hears() async throws {
        try await withDatabase { database, client in
            let heard = [Events<PQ.Notification>(), Events<PQ.Notification>()]
            var sessions: [Connection] = []
            for (number, queues) in [["default", "more"], ["default", "own"]].enumerated() {
                let session = try await database.connect(onNotification: { [heard = heard[number]] in heard.add($0) })
                let id = try await enter("sleeper \(number)", queues: "{\(queues.joined(separator: ","))}", heard: "+ interval '1 hour'", session)
                #expect(id == number + 1)
                try await session.script("listen \(Channel.control(id))")
                let row = try await session.execute(SQL.arm, [.int32(id), .textArray(queues), .bool(true), .bool(false)]).first
                #expect(try row?.bool("is_reserve") == false)
                #expect(try row?.bool("stands_by") == (number == 1))
                sessions.append(session)
            }
            let bell = "\(Channel.bell(try await bucket(of: "default", client))) default"
            try await client.enqueue("noop")
            try await heard[0].wait(count: 1, "the first one hears it")
            // A session hears what has been sent before it answers.
            try await sessions[1].script("select 1")
            #expect(heard[1].all.isEmpty)

            _ = try await sessions[0].execute(SQL.disarm, [.int32(1), .textArray(["default", "more"]), .bool(true)])
            try await heard[1].wait(count: 1, "the other one is called")
            _ = try await sessions[1].execute(SQL.disarm, [.int32(2), .textArray(["default", "own"]), .bool(true)])
            _ = try await sessions[1].execute(SQL.arm, [.int32(2), .textArray(["default", "own"]), .bool(true), .bool(true)])
            try await client.enqueue("noop")
            try await heard[1].wait(count: 2, "it hears the second insert")
            try await sessions[0].script("select 1")
            #expect(heard.map { $0.all.map { "\($0.channel) \($0.payload)" } } == [[bell], ["\(Channel.control(2)) bell default", bell]])
            for session in sessions { await session.close() }
        }
    }

    @Test("who becomes a reserve, fills up or leaves calls those who stand by where nobody has SLEEP", arguments: ["arm", "hand_over", "disarm"])
    func callsOn(_ way: String) async throws {
        try await withDatabase { database, client in
            let heard = Events<PQ.Notification>()
            let standing = try await database.connect(onNotification: { heard.add($0) })
            let id = try await enter("standing by", queues: "{default,own}", heard: "+ interval '1 hour'", standing)
            try await standing.script(
                """
                listen \(Channel.control(id));
                select pg_advisory_lock_shared(hark.standby_class(), hark.bucket('default')), pg_advisory_lock(hark.sleeper_class(), hark.sleeper(\(id), hark.bucket('default')))
                """)
            let (awake, caller) = (try await database.connect(), try await database.connect())
            let guardian = try await enter("guard", heard: "+ interval '1 hour'", awake)
            _ = try await awake.execute(SQL.disarm, [.int32(guardian), .textArray(["default"]), .bool(true)])
            let own = try await enter("caller", heard: "+ interval '1 hour'", caller)
            switch way {
            case "arm":
                let row = try await caller.execute(SQL.arm, [.int32(own), .textArray(["default"]), .bool(true), .bool(false)]).first
                #expect(try row?.bool("is_reserve") == true)
            case "hand_over": _ = try await caller.execute(SQL.handOver, [.int32(own), .textArray(["default"]), .bool(false)])
            default: _ = try await caller.execute(SQL.disarm, [.int32(own), .textArray(["default"]), .bool(false)])
            }
            try await standing.script("select 1")
            #expect(heard.all.map { "\($0.channel) \($0.payload)" } == ["\(Channel.control(id)) bell default"])
            for session in [standing, awake, caller] { await session.close() }
        }
    }

    @Test("whose queues are not all another one's stands by, and starts what that one has left when it wakes up")
    func standsBy() async throws {
        try await withDatabase { database, client in
            let other = try await database.connect()
            let id = try await enter("other", queues: "{default,more}", heard: "+ interval '1 hour'", other)
            _ = try await other.execute(SQL.arm, [.int32(id), .textArray(["default", "more"]), .bool(true), .bool(false)])
            let queues = [QueueSettings(name: "default"), QueueSettings(name: "own")]
            try await TestWorker.with(TestWorker(database.conninfo, queues: queues)) { worker in
                try await worker.asleep()
                try await client.earlyLooksAreOver()
                try await worker.written(try await client.enqueue("noop", "[]", "queue", "'own'"))
                try await worker.asleep(times: 2)

                // Which the other one hears, and leaves alone.
                let left = try await client.enqueue("noop")
                _ = try await other.execute(SQL.disarm, [.int32(id), .textArray(["default", "more"]), .bool(true)])
                try await worker.written(left)
                try await client.eventually("it sleeps for both queues itself", "select count(*) = 2 from pg_locks where locktype = 'advisory' and classid::int8 = hark.sleep_class() and granted and database = (select oid from pg_database where datname = current_database())")
                try await worker.written(try await client.enqueue("noop"))
            }
            await other.close()
        }
    }

    @Test("who stands by for a worker that is killed hears the bell from its next poll on")
    func holderKilled() async throws {
        try await withDatabase { database, client in
            let other = try await database.connect()
            let id = try await enter("other", queues: "{default,more}", heard: "+ interval '1 hour'", other)
            _ = try await other.execute(SQL.arm, [.int32(id), .textArray(["default", "more"]), .bool(true), .bool(false)])
            let queues = [QueueSettings(name: "default"), QueueSettings(name: "own")]
            try await TestWorker.with(TestWorker(database.conninfo, queues: queues, poll: .milliseconds(500))) { worker in
                try await worker.asleep()
                #expect(try await locks("standby", client) == "1")
                await other.close()
                try await worker.asleep(times: 2)
                #expect(try await locks("standby", client) == "0")
                #expect(try await locks("sleep", client) == "2")
            }
        }
    }

    @Test("a ring for a queue whose worker stands by in the bucket is passed on to it")
    func foreign() async throws {
        try await withDatabase { database, client in
            let row = try #require(
                try await client.execute(
                    "select a, b from (select 'q' || i as a from generate_series(1, 300) i) x join (select 'q' || i as b from generate_series(1, 300) i) y on a < b and hark.bucket(a) = hark.bucket(b) limit 1"
                ).first)
            let (a, b) = (try row.string(0), try row.string(1))
            try await TestWorker.with(TestWorker(database.conninfo, queues: [QueueSettings(name: a)])) { first in
                try await first.asleep()
                try await TestWorker.with(TestWorker(database.conninfo, queues: [QueueSettings(name: b)])) { second in
                    try await second.asleep()
                    try await client.earlyLooksAreOver()
                    for _ in 1...3 {
                        try await second.written(try await client.enqueue("noop", "[]", "queue", "'\(b)'"))
                        try await first.written(try await client.enqueue("noop", "[]", "queue", "'\(a)'"))
                    }
                }
            }
        }
    }

    @Test("who is called and fills up calls the next that stands by", arguments: 1...3)
    func calledAndFull(_ together: Int) async throws {
        let gate = Gate()
        let sets = ["x", "y", "z"].map { [QueueSettings(name: "default", slots: 1), QueueSettings(name: $0, slots: 1)] }
        try await withDatabase { database, client in
            try await withIdle(sets, database, client, more: { $0.add("wait") { (_: TaskContext) in await gate.pass() } }) { _ in
                var count = 0
                while count < 3 {
                    for _ in 0..<min(together, 3 - count) {
                        try await client.enqueue("wait")
                        count += 1
                    }
                    try await client.eventually("\(count) run", "select count(*) = \(count) from hark.tasks where state = 'running'")
                }
                gate.open()
            }
        }
    }

    @Test("workers that share some queues, and some buckets, miss nothing between them")
    func mixed() async throws {
        try await withDatabase { database, client in
            let stranger = try #require(
                try await client.value("select 'q' || i from generate_series(1, 5000) i where hark.bucket('q' || i) = hark.bucket('default') limit 1"))
            let sets = [["default", "a"], ["default", "b"], ["default"], [stranger], ["a", "b", stranger], ["default"]]
            try await withIdle(sets.map { $0.map { QueueSettings(name: $0, slots: 2) } }, database, client) { _ in
                var random = SplitMix64(seed: 5)
                for _ in 1...150 {
                    for _ in 1...(Int.random(in: 0...9, using: &random) == 0 ? 5 : 1) {
                        try await client.enqueue("noop", "[]", "queue", "'\(["default", "a", "b", stranger].randomElement(using: &random)!)'")
                    }
                    // The last one for a while is what is missed if anything is.
                    if Bool.random(using: &random) {
                        try await client.eventually("all of them are done", "select not exists (select from hark.tasks where state <> 'completed')")
                    }
                    try await Task.sleep(for: .microseconds(Int.random(in: 0...15_000, using: &random)))
                }
                try await client.eventually("all of them are done", "select not exists (select from hark.tasks where state <> 'completed')")
            }
        }
    }

    @Test("a guard that is awake keeps the time for tasks that nobody was rung for")
    func guardKeepsTime() async throws {
        let gate = Gate()
        try await withSleepers(2, more: { $0.add("wait") { (_: TaskContext) in await gate.pass() } }) { workers, bells, client in
            // Whoever is rung is awake from here on, and the other one, elder or not, is its reserve.
            for _ in 1...2 {
                let slept = workers[0].sleeps
                try await workers[0].written(try await client.enqueue("noop"))
                try await workers[0].asleep(times: slept + 1)
            }
            let id = try await client.enqueue("noop", "[]", "run_at", "now() + interval '1500 ms'")
            try await workers[0].written(id)
            #expect(try await client.value("select (started_at >= run_at)::text from hark.tasks where id = $1", [.int64(id)]) == "true")
            gate.open()
        }
    }

    @Test("while a guard is awake the others sleep as reserves, and inserts do not ring; one that fills up wakes a reserve")
    func guarded() async throws {
        let gate = Gate()
        try await withSleepers(3, slots: 2, more: { $0.add("wait") { (_: TaskContext) in await gate.pass() } }) { workers, bells, client in
            let (one, two) = (try await locks("sleep", client), try await locks("reserve", client))
            #expect(one == "1" && two == "2")
            for count in 1...6 {
                try await client.enqueue("wait")
                try await client.eventually("it runs", "select count(*) = \(count) from hark.tasks where state = 'running'")
            }
            gate.open()
        }
    }

    @Test("when the guard is killed a reserve takes its place at its next poll")
    func guardKilled() async throws {
        try await withDatabase { database, client in
            let guardian = try await database.connect()
            let dead = try await enter("guard", heard: "+ interval '1 hour'", guardian)
            _ = try await guardian.execute(SQL.arm, [.int32(dead), .textArray(["default"]), .bool(true), .bool(false)])
            try await TestWorker.with(TestWorker(database.conninfo, poll: .milliseconds(500))) { worker in
                try await worker.asleep()
                #expect(try await locks("reserve", client) == "1")
                await guardian.close()
                try await worker.asleep(times: 2)
                #expect(try await locks("reserve", client) == "0")
                try await worker.written(try await client.enqueue("noop"))
            }
        }
    }

    @Test("a worker that leaves rings another one for what it may have been rung for")
    func leaves() async throws {
        try await withSleepers(1) { workers, bells, client in
            let id = try await enter("other", heard: "+ interval '1 hour'", client)
            // Asleep, but no reserve, nor standing by: nobody hands over to it.
            try await client.script("select pg_advisory_lock(hark.sleeper_class(), hark.sleeper(\(id), hark.bucket('default')))")
            try await client.script("set hark.bell = off; insert into hark.tasks (function) values ('noop')")
            try await workers[0].drain()
            try await bells.wait(count: 1, "the other one is rung")
            #expect(bells.all.map { "\($0.channel) \($0.payload)" } == ["\(Channel.control(id)) bell default"])
        }
    }

    @Test("who has a ring passed on to him is not who passes it on; nobody is rung when nothing is left")
    func passes() async throws {
        try await withSleepers(3) { workers, bells, client in
            let ids = try await client.execute("select id from hark.workers order by id").map { try $0.int32(0) }
            let passOn = { try await client.execute(SQL.passOn, [.textArray(["default"]), .int32(ids[0])]).first?.int32(0) }
            let nothing = try await passOn()
            #expect(nothing == 0)
            try await client.script("set hark.bell = off; insert into hark.tasks (function) values ('noop')")
            let something = try await passOn()
            #expect(something == 1)
            try await client.eventually("the task is done", "select state = 'completed' from hark.tasks")
            try await bells.wait(count: 2, "two are rung")
            #expect(Set(bells.all.map(\.channel)) == ["hark_worker_\(ids[1])", "hark_worker_\(ids[2])"])
        }
    }
}

/// So many workers that sleep on the queue `default` and tell one record, and everything that rings for them from then on.
private func withSleepers(
    _ count: Int, slots: Int = 10, more: @escaping (inout Functions) -> Void = { _ in },
    _ body: ([TestWorker], Events<PQ.Notification>, Connection) async throws -> Void
) async throws {
    try await withDatabase { database, client in
        try await withIdle(Array(repeating: [QueueSettings(name: "default", slots: slots)], count: count), database, client, more: more) { workers in
            // They went to sleep before they knew of each other, so some stand by that will be reserves. Two tasks at once wake one up.
            while try await locks("reserve", client) != "\(count - 1)" {
                for row in try await client.execute("insert into hark.tasks (function) values ('noop'), ('noop') returning id") { try await workers[0].written(try row.int64(0)) }
                try await client.eventually("all sleep", "select count(distinct pid) = \(count) from pg_locks where locktype = 'advisory' and classid::int8 in (hark.sleeper_class(), hark.reserve_class()) and granted and database = (select oid from pg_database where datname = current_database())")
            }
            let bells = Events<PQ.Notification>()
            let observer = try await database.connect(onNotification: { if !$0.payload.hasPrefix("proof") { bells.add($0) } })
            // And one more than there are, for a test that enters another.
            let channels = (1...Int32(count) + 1).map { Channel.control($0) }
            try await observer.script((channels + [Channel.bell(try await bucket(of: "default", client))]).map { "listen \($0)" }.joined(separator: "; "))
            try await body(workers, bells, client)
            await observer.close()
        }
    }
}

/// Workers with these queues that have nothing to do, and tell one record. When the body ends they are drained, but for those that have
/// ended before.
private func withIdle(
    _ sets: [[QueueSettings]], _ database: TestDatabase, _ client: Connection, more: @escaping (inout Functions) -> Void = { _ in },
    _ body: ([TestWorker]) async throws -> Void
) async throws {
    let told = Events<TelemetryEvent>()
    let workers = sets.enumerated().map { TestWorker(database.conninfo, queues: $0.element, name: "worker \($0.offset)", told: told, more: more) }
    do {
        try await workers[0].asleep(times: workers.count)
        try await client.eventually("the looks of workers that have just started are over", "select bool_and(beat_at >= started_at + interval '1500 ms') from hark.workers")
        try await body(workers)
    } catch {
        for worker in workers { worker.worker.abandon() }
        throw error
    }
    for worker in workers { try await worker.drain() }
}

private func bucket(of queue: String, _ connection: Connection) async throws -> Int {
    try #require(Int(try await connection.value("select hark.bucket('\(queue)')::text") ?? ""))
}

/// A worker that is a row and, if the session arms, its locks.
private func enter(_ name: String, queues: String = "{default}", heard: String, _ session: Connection) async throws -> Int32 {
    try #require(
        try await session.execute(
            """
            with w as (insert into hark.workers (name, queues, beat_at) values ('\(name)', '\(queues)', now() \(heard)) returning id)
            select id::text, pg_try_advisory_lock(hark.worker_class(), id)::text from w
            """).first.flatMap { Int32(try $0.string(0)) })
}

/// How many sessions and buckets hold one of the doorbell's locks.
private func locks(_ kind: String, _ connection: Connection) async throws -> String? {
    try await connection.value(
        "select count(*)::text from pg_locks where locktype = 'advisory' and classid::int8 = hark.\(kind)_class() and granted and database = (select oid from pg_database where datname = current_database())")
}
