import FoundationEssentials
@testable import Hark
import PQ
import TestSupport
import Testing

// People and workers at the same rows at the same time.
//
// A worker takes rows in the order of its batch, with SKIP LOCKED, and never waits for one. So whoever holds a row, in
// whatever order he takes a second, can neither hold up the worker's other outcomes nor get into a deadlock with it. Among
// themselves people can still deadlock, like everywhere: here only those who touch one row at a time, and those who touch
// several in one order (the reverse of a batch).

@Suite("Changes by hand while workers work")
struct MeddlingTests {
    @Test("2,000 tasks that are cancelled, moved and deleted while two workers run them: each ends exactly once, and no session gets 40001 or 40P01")
    func meddle() async throws {
        try await withDatabase { database, client in
            let total = 2_000
            let seed = UInt64.random(in: .min ... .max)
            let shared = Shared()
            let workers = (1...2).map { number in
                TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 50)], name: "w\(number)") {
                    $0.add("count") { (context: TaskContext) in
                        await shared.run(context.id)
                    }
                }
            }
            for worker in workers { try await worker.asleep() }
            let pids = try await sessions(client)
            #expect(pids.count == 4)
            try await client.script("insert into hark.tasks (function) select 'count' from generate_series(1, \(total))")

            let meddlers = (0..<4).map { number in
                Task { try await Self.meddle(database, seed: seed &+ UInt64(number), severalAtOnce: number < 2, until: shared) }
            }
            defer { shared.end() }
            // As long as there is progress: how fast two thousand go on a machine that runs all tests at once says nothing.
            var left = total
            while left > 0 {
                try await client.eventually("fewer than \(left) tasks are left (seed \(seed))", "select count(*) < \(left) from only hark.tasks")
                left = try #require(Int(try await client.value("select count(*)::text from only hark.tasks") ?? ""))
            }
            shared.end()
            var deleted = 0
            for meddler in meddlers { deleted += try await meddler.value }
            for worker in workers { try await worker.drain() }

            let ends = try #require(try await client.execute(
                "select count(*), count(*) filter (where state = 'completed'), count(*) filter (where state = 'cancelled' and started_at is null), count(distinct id) from hark.tasks").first)
            let (finished, completed, neverRun) = (try ends.int(0), try ends.int(1), try ends.int(2))
            #expect(finished + deleted == total, "seed \(seed)")
            #expect(try ends.int(3) == finished)
            #expect(deleted > 0 && neverRun > 0 && completed > 0, "nothing was meddled with: \(deleted) deleted, \(neverRun) cancelled, \(completed) completed")
            let counts = shared.counts
            #expect(counts.values.allSatisfy { $0 == 1 }, "some ran twice (seed \(seed))")
            // What is on record as having run did run. Only a cancel can come between the claim and the function's first step.
            let ran = try await client.execute("select id from hark.tasks where started_at is not null and state <> 'cancelled'").map { try $0.int64(0) }
            #expect(Set(ran).isSubset(of: counts.keys))
            let never = try await client.execute("select id from hark.tasks where started_at is null").map { try $0.int64(0) }
            #expect(Set(never).isDisjoint(with: counts.keys))
            #expect(try await client.value("select count(*)::text from hark.tasks where attempt <> 1 and started_at is not null") == "0")
            #expect(workers.allSatisfy { !$0.told.all.contains { if case .late = $0 { true } else if case .trouble = $0 { true } else { false } } })
            #expect(try Self.errors(of: pids, in: database) == [])
        }
    }

    /// Changes random tasks until told to stop.
    /// - Returns: how many it has deleted.
    private static func meddle(_ database: TestDatabase, seed: UInt64, severalAtOnce: Bool, until shared: Shared) async throws -> Int {
        var random = SplitMix64(seed: seed)
        let connection = try await database.connect()
        var deleted = 0
        func change(_ id: Int64) async throws -> Int {
            let sql =
                switch Int.random(in: 0..<5, using: &random) {
                case 0: "update hark.tasks set state = 'cancelled' where id = $1"
                case 1: "update hark.tasks set priority = \(Int.random(in: -2...2, using: &random)) where id = $1"
                case 2: "update hark.tasks set run_at = now() + interval '20 milliseconds' where id = $1"
                case 3: "select from hark.tasks where id = $1 for update"
                default: "delete from hark.tasks where id = $1"
                }
            let rows = try await connection.execute(sql, [.int64(id)])
            return sql.hasPrefix("delete") ? rows.affected : 0
        }
        while !shared.isOver {
            // Several at once are such as run, in the reverse order of a batch.
            let some = try await connection.execute(
                "select id from only hark.tasks order by ($1 and state = 'running') desc, random() limit $2", [.bool(severalAtOnce), .int32(severalAtOnce ? 3 : 1)])
            let ids = try some.map { try $0.int64(0) }.sorted(by: >)
            var gone = 0
            do {
                if severalAtOnce { try await connection.script("begin") }
                for id in ids { gone += try await change(id) }
                if severalAtOnce { try await connection.script("commit") }
                deleted += gone
            } catch let error as PostgresError where error.sqlState == "55000" {
                // A task that runs cannot be deleted, and a finished one not cancelled.
                if severalAtOnce { try await connection.script("rollback") }
            }
            shared.give(turns: 3)
        }
        await connection.close()
        return deleted
    }

    /// The sessions of the workers in this database.
    private func sessions(_ client: Connection) async throws -> [Int] {
        try await client.execute("select pid from pg_stat_activity where datname = current_database() and application_name like 'hark %'").map { try $0.int(0) }
    }

    /// What the server's log has of errors in these sessions.
    private static func errors(of pids: [Int], in database: TestDatabase) throws -> [Substring] {
        let log = try String(contentsOfFile: "\(database.conninfo["host"] ?? "")/server.log", encoding: .utf8)
        return log.split(separator: "\n").filter { line in
            pids.contains { line.contains("[\($0)]") } && (line.contains("ERROR:") || line.contains("FATAL:"))
        }
    }

    @Test("the outcome of a task whose row somebody holds is written when the lock goes; its neighbours' at once, and the next claims are not held up")
    func held() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let worker = TestWorker(database.conninfo) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            try await TestWorker.with(worker) { worker in
                let ids = try await client.execute("insert into hark.tasks (function) select 'wait' from generate_series(1, 3) returning id").map { try $0.int64(0) }
                for id in ids { try await worker.started(id) }
                let pids = try await sessions(client)
                let holder = try await database.connect()
                try await holder.script("begin; update hark.tasks set priority = 1 where id = \(ids[1])")
                gate.open()
                try await worker.written(ids[0])
                try await worker.written(ids[2])
                let next = try await client.enqueue("add", "[1, 2]")
                try await worker.written(next)
                #expect(try await client.state(of: ids[1]) == "running")
                // He goes on to a row that the worker has just written, the order in which deadlocks are made.
                try await holder.script("update hark.tasks set priority = 1 where id = \(ids[0]); commit")
                try await worker.written(ids[1])
                #expect(try await client.value("select state || ' ' || priority || ' ' || attempt from hark.tasks where id = $1", [.int64(ids[1])]) == "completed 1 1")
                // Had it waited for him, the server would have broken that off with an error (lock_timeout).
                #expect(try Self.errors(of: pids, in: database) == [])
                await holder.close()
            }
        }
    }

    @Test("a claim passes over a ready task that somebody holds, and takes it when the lock goes")
    func heldReady() async throws {
        try await withDatabase { database, client in
            let held = try await client.enqueue("noop")
            let holder = try await database.connect()
            try await holder.script("begin; update hark.tasks set priority = 0 where id = \(held)")
            try await TestWorker.with(TestWorker(database.conninfo, poll: .milliseconds(200))) { worker in
                let free = try await client.enqueue("noop")
                try await worker.written(free)
                #expect(worker.startedTasks == [free])
                try await holder.script("commit")
                try await worker.written(held)
            }
            await holder.close()
        }
    }
}

/// What the functions and the meddlers of a test share. A function ends when it gets one of the turns that the meddlers
/// give with each change, so that neither side is done before the other has begun.
private final class Shared: Sendable {
    private struct State {
        var runs: [Int64: Int] = [:]
        var turns = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var isOver = false
    }
    private let state = Mutex(State())

    /// How often each task ran.
    var counts: [Int64: Int] { state.withLock { $0.runs } }
    var isOver: Bool { state.withLock { $0.isOver } }

    func run(_ id: Int64) async {
        await withCheckedContinuation { continuation in
            let goesOn = state.withLock { state in
                state.runs[id, default: 0] += 1
                if state.turns > 0 || state.isOver {
                    state.turns -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if goesOn { continuation.resume() }
        }
    }

    func give(turns: Int) {
        let next = state.withLock { state in
            let next = Array(state.waiting.prefix(turns))
            state.waiting.removeFirst(next.count)
            state.turns += turns - next.count
            return next
        }
        for one in next { one.resume() }
    }

    func end() {
        let rest = state.withLock { state in
            state.isOver = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in rest { one.resume() }
    }
}
