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
            for round in 1...10 {
                try await workers[0].written(try await client.enqueue("noop"))
                try await workers[0].asleep(times: 5 + round)
                #expect(workers[0].sleeps == 5 + round)
            }
            #expect(bells.all.count == 10)
            #expect(bells.all.allSatisfy { $0.channel.hasPrefix("hark_worker_") && $0.payload == "bell default" })
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
            let rung = try await client.execute("select name from hark.workers where 'hark_worker_' || id = $1", [.text(bells.all[0].channel)])
            let name = try #require(try rung.first?.string(0))
            try await workers.first { $0.name == name }?.drain()
            try await workers[0].written(id)
            #expect(try await client.value("select (started_at >= run_at)::text from hark.tasks where id = $1", [.int64(id)]) == "true")
        }
    }

    @Test("a sleeper that has not been heard of for ten seconds is not rung")
    func frozen() async throws {
        try await withSleepers(1) { workers, bells, client in
            let frozen = try #require(
                try await client.execute("insert into hark.workers (name, queues, beat_at) values ('frozen', '{default}', now() - interval '11 seconds') returning id").first?.int32(0))
            _ = try await client.execute(SQL.arm, [.int32(frozen), .textArray(["default"]), .bool(true), .bool(false)])
            for _ in 0..<20 { try await workers[0].written(try await client.enqueue("noop")) }
            #expect(bells.all.allSatisfy { $0.channel != "hark_worker_\(frozen)" })
        }
    }

    @Test("when whoever sleeps cannot be found, everybody is rung")
    func everybody() async throws {
        try await withSleepers(2) { workers, bells, client in
            // As it is between the two locks of a worker that arms.
            try await client.script("update hark.workers set queues = '{}'")
            try await workers[0].written(try await client.enqueue("noop"))
            #expect(bells.all.map(\.channel) == [Channel.bell(Int(try await bucket(of: "default", client)))])
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
            let sleepers = { try await client.value("select count(distinct pid)::text from pg_locks where locktype = 'advisory' and classid::int8 = hark.sleep_class() and granted and database = (select oid from pg_database where datname = current_database())") }
            // They slept before they knew of each other, so there may be more than one at first.
            for _ in 1...3 {
                let slept = workers[0].sleeps
                try await workers[0].written(try await client.enqueue("noop"))
                try await workers[0].asleep(times: slept + 1)
            }
            let one = try await sleepers()
            #expect(one == "1")
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
            let dead = try #require(try await guardian.execute("insert into hark.workers (name, queues, beat_at) values ('guard', '{default}', now() + interval '1 hour') returning id").first?.int32(0))
            _ = try await guardian.execute(SQL.arm, [.int32(dead), .textArray(["default"]), .bool(true), .bool(false)])
            try await TestWorker.with(TestWorker(database.conninfo, poll: .milliseconds(500))) { worker in
                try await worker.asleep()
                let reserves = "select count(*) = $1::text::int from pg_locks where locktype = 'advisory' and classid::int8 = hark.reserve_class() and granted and database = (select oid from pg_database where datname = current_database())"
                #expect(try await client.execute(reserves, [.text("1")]).first?.bool(0) == true)
                await guardian.close()
                try await worker.asleep(times: 2)
                #expect(try await client.execute(reserves, [.text("0")]).first?.bool(0) == true)
                try await worker.written(try await client.enqueue("noop"))
            }
        }
    }

    @Test("a worker that leaves rings another one for what it may have been rung for")
    func leaves() async throws {
        try await withSleepers(1) { workers, bells, client in
            let other = try await client.execute("insert into hark.workers (name, queues, beat_at) values ('other', '{default}', now() + interval '1 hour') returning id").first?.int32(0)
            let id = try #require(other)
            // Asleep on its own, and no reserve: nobody hands over to it.
            _ = try await client.execute(SQL.arm, [.int32(id), .textArray(["default"]), .bool(false), .bool(false)])
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
            let passOn = { try await client.execute(SQL.passOn, [.textArray(["default"]), .int32(ids[0]), .bool(false)]).first?.int32(0) }
            let nothing = try await passOn()
            #expect(nothing == 0)
            try await client.script("set hark.bell = off; insert into hark.tasks (function) values ('noop')")
            let something = try await passOn()
            #expect(something == 1)
            try await client.eventually("the task is done", "select state = 'completed' from hark.tasks")
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
        let told = Events<TelemetryEvent>()
        let workers = (0..<count).map {
            TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: slots)], name: "sleeper \($0)", told: told, more: more)
        }
        do {
            try await workers[0].asleep(times: count)
            try await client.eventually("the looks of workers that have just started are over", "select bool_and(beat_at >= started_at + interval '1500 ms') from hark.workers")
            let bells = Events<PQ.Notification>()
            let observer = try await database.connect(onNotification: { if !$0.payload.hasPrefix("proof") { bells.add($0) } })
            // And one more than there are, for a test that enters another.
            let channels = (1...Int32(count) + 1).map { Channel.control($0) }
            try await observer.script((channels + [Channel.bell(Int(try await bucket(of: "default", client)))]).map { "listen \($0)" }.joined(separator: "; "))
            try await body(workers, bells, client)
            await observer.close()
        } catch {
            for worker in workers { worker.worker.abandon() }
            throw error
        }
        // One of them may have ended before.
        for worker in workers { try await worker.drain() }
    }
}

private func bucket(of queue: String, _ connection: Connection) async throws -> Int32 {
    try #require(try await connection.execute(SQL.buckets, [.textArray([queue])]).first?.int32(1))
}
