import Hark
import PQ
import TestSupport
import Testing

@Suite("What becomes of a task")
struct OutcomeTests {
    @Test("a function that throws is retried with an error on record for each attempt, then fails")
    func retries() async throws {
        try await withDatabase { database, client in
            let worker = TestWorker(database.conninfo, retry: RetryPolicy(base: .milliseconds(30), factor: 1)) {
                $0.add("boom") { (context: TaskContext) in throw Boom(attempt: context.attempt) }
            }
            try await TestWorker.with(worker) { worker in
                let id = try await client.enqueue("boom", "[]", "max_attempts", "3")
                try await worker.started(id, attempts: 3)
                try await worker.told.wait("three outcomes") { $0.outcomes(3) }
                let row = try #require(try await client.execute("select state, attempt, errors::text, jsonb_array_length(errors), finished_at is not null, worker_id is not null from hark.tasks where id = $1", [.int64(id)]).first)
                #expect(try row.string(0) == "failed")
                #expect(try row.int(1) == 3)
                #expect(try row.int(3) == 3)
                #expect(try row.string(2).contains("\"kind\": \"error\""))
                #expect(try row.string(2).contains("\"worker\": \"test\""))
                #expect(try row.bool(4))
            }
        }
    }

    struct Boom: Error { let attempt: Int }

    @Test("a queue without durable claims does not wait for the disk when it only claims; every outcome is on disk, and so is all of another queue")
    func durability() async throws {
        try await withDatabase { database, client in
            try await client.script(
                """
                create table public.commits (queue text, state text, waits text);
                create function note_commit() returns trigger language plpgsql as $$
                  begin insert into public.commits values (NEW.queue, NEW.state, current_setting('synchronous_commit')); return null; end $$;
                create trigger note_commit after update on hark.tasks for each row execute function note_commit();
                create trigger note_commit after insert on hark.tasks_finished for each row execute function note_commit();
                """)
            let queues = [QueueSettings(name: "default"), QueueSettings(name: "fast", durableClaims: false)]
            for queue in queues {
                try await TestWorker.with(TestWorker(database.conninfo, queues: [queue])) { worker in
                    try await worker.asleep()
                    // A claim that goes with a poll is durable.
                    try await client.earlyLooksAreOver()
                    try await worker.written(try await client.enqueue("noop", "[]", "queue", "'\(queue.name)'"))
                }
            }
            let commits = try await client.execute("select distinct queue || ' ' || state || ' ' || waits from public.commits order by 1").map { try $0.string(0) }
            #expect(commits == ["default completed on", "default running on", "fast completed on", "fast running off"])
        }
    }

    @Test("the start of a task is told before its runner is given it, since what a function says does not come over the loop")
    func order() async throws {
        try await withDatabase { database, client in
            let (said, loop) = (Events<String>(), EventLoop(name: "order"))
            var functions = Functions()
            functions.addRaw("noop") { _, _ in nil }
            let runner = WatchedRunner(SwiftRunner(functions)) { said.add("given to the runner") }
            let worker = Worker(WorkerOptions(database: database.conninfo, untilEmpty: true), runners: [runner], loop: loop) {
                if case .started = $0 { said.add("started") }
            }
            try await client.enqueue("noop")
            try await withDeadline(60, "the worker ends") { try await worker.run() }
            #expect(said.all == ["started", "given to the runner"])
            loop.stop()
        }
    }

    /// Tells when it is given tasks.
    private final class WatchedRunner: Runner {
        private let runner: SwiftRunner
        private let watch: @Sendable () -> Void
        let functions: Set<String>

        init(_ runner: SwiftRunner, _ watch: @escaping @Sendable () -> Void) {
            (self.runner, self.watch, functions) = (runner, watch, runner.functions)
        }

        func run(_ outlet: any RunnerOutlet) async { await runner.run(outlet) }
        func start(_ tasks: [ClaimedTask]) {
            watch()
            runner.start(tasks)
        }
        func stop(_ claim: Claim, _ reason: StopReason, grace: Duration) { runner.stop(claim, reason, grace: grace) }
        func shutDown() { runner.shutDown() }
    }

    @Test("a function may ask for another attempt, for later, for failure, for cancellation")
    func verdicts() async throws {
        try await withDatabase { database, client in
            let worker = TestWorker(database.conninfo) {
                $0.add("again") { (context: TaskContext) in if context.attempt == 1 { throw Verdict.retry(after: .milliseconds(20), reason: "not yet") } }
                $0.add("later") { (context: TaskContext) in
                    if await seen.first(context.id) { throw Verdict.snooze(.milliseconds(20)) }
                }
                $0.add("never") { (_: TaskContext) in throw Verdict.fail(reason: "no use") }
                $0.add("stop") { (_: TaskContext) in throw Verdict.cancel(reason: "not needed") }
            }
            try await TestWorker.with(worker) { worker in
                let again = try await client.enqueue("again")
                let later = try await client.enqueue("later")
                let never = try await client.enqueue("never")
                let stop = try await client.enqueue("stop")
                try await worker.told.wait("six outcomes") { $0.outcomes(6) }
                #expect(try await outcome(client, again) == "completed 2 error")
                // The attempt was given back.
                #expect(try await outcome(client, later) == "completed 1 none")
                #expect(try await outcome(client, never) == "failed 1 error")
                #expect(try await outcome(client, stop) == "cancelled 1 cancelled")
            }
        }
    }

    private func outcome(_ client: Connection, _ id: Int64) async throws -> String? {
        try await client.value("select state || ' ' || attempt || ' ' || coalesce(errors -> -1 ->> 'kind', 'none') from hark.tasks where id = $1", [.int64(id)])
    }

    @Test("a function that nobody here has leaves the task blocked, with the attempt given back, until a worker has it")
    func unknown() async throws {
        try await withDatabase { database, client in
            let first = TestWorker(database.conninfo, name: "first")
            let id = try await client.enqueue("add_two", "[1, 2]")
            try await first.written(id)
            #expect(try await client.value("select state || ' ' || blocked_by || ' ' || attempt from hark.tasks where id = $1", [.int64(id)]) == "blocked function 0")
            try await first.drain()
            let second = TestWorker(database.conninfo, name: "second") { $0.add("add_two") { (_: TaskContext, a: Int, b: Int) in a + b } }
            try await TestWorker.with(second) { try await $0.written(id) }
            #expect(try await client.state(of: id) == "completed")
        }
    }

    @Test("after its grace a task that no worker can run fails and says so")
    func unknownForTooLong() async throws {
        try await withDatabase { database, client in
            let id = try await client.enqueue("nobody")
            let worker = TestWorker(database.conninfo, poll: .milliseconds(100), unknownGrace: .milliseconds(1))
            try await TestWorker.with(worker) { worker in
                try await worker.written(id)
                try await client.eventually("the task fails", "select state = 'failed' from hark.tasks where id = \(id)")
                #expect(try await client.value("select errors -> 0 ->> 'message' from hark.tasks where id = $1", [.int64(id)])?.contains("no worker") == true)
            }
        }
    }

    @Test("a result that jsonb refuses fails its task with the reason, and its neighbours are written")
    func unstorable() async throws {
        try await withDatabase { database, client in
            let worker = TestWorker(database.conninfo) {
                $0.addRaw("nul") { _, _ in Array(#""a\u0000b""#.utf8) }
                $0.addRaw("garbage") { _, _ in Array("{no json".utf8) }
                $0.addRaw("deep") { _, _ in Array(String(repeating: "[", count: 20_000).utf8) + Array(String(repeating: "]", count: 20_000).utf8) }
                $0.addRaw("big") { _, _ in Array("\"\(String(repeating: "x", count: 10_000_000))\"".utf8) }
            }
            try await TestWorker.with(worker) { worker in
                let id = try await client.value(
                    "with i as (insert into hark.tasks (function, args) values ('nul', '[]'), ('add', '[1,2]'), ('garbage', '[]'), ('add', '[3,4]'), ('deep', '[]'), ('big', '[]'), ('add', '[5,6]') returning id) select min(id)::text from i")
                let first = try #require(id.flatMap { Int64($0) })
                try await worker.told.wait("seven outcomes") { $0.outcomes(7) }
                let states = try await client.value("select string_agg(state, ' ' order by id) from hark.tasks")
                #expect(states == "failed completed failed completed failed failed completed")
                for (offset, words) in [(0, "cannot be stored"), (2, "cannot be stored"), (4, "cannot be stored"), (5, "10000002 bytes")] {
                    let message = try await client.value("select errors -> -1 ->> 'message' from hark.tasks where id = $1", [.int64(first + Int64(offset))])
                    #expect(message?.contains(words) == true, "\(message ?? "none")")
                }
            }
        }
    }

    @Test("bad arguments fail at once with a sentence, and too large ones are refused by the INSERT")
    func badArguments() async throws {
        try await withDatabase { database, client in
            try await TestWorker.with(TestWorker(database.conninfo)) { worker in
                let id = try await client.enqueue("add", #"[1, "two"]"#)
                try await worker.written(id)
                #expect(try await client.state(of: id) == "failed")
                let message = try await client.value("select errors -> 0 ->> 'message' from hark.tasks where id = $1", [.int64(id)])
                #expect(message?.contains("add") == true && message?.contains("Int") == true, "\(message ?? "none")")
            }
            let error = await #expect(throws: PostgresError.self) {
                try await client.execute("insert into hark.tasks (function, args) values ('add', to_jsonb(array[repeat('x', 10000000)]))")
            }
            #expect(error?.constraint == "args must take at most 1 MiB")
        }
    }

    @Test("a task that runs into its timeout is stopped, and is tried again")
    func timeout() async throws {
        try await withDatabase { database, client in
            let worker = TestWorker(database.conninfo, retry: RetryPolicy(base: .milliseconds(10)), policies: ["slow": FunctionPolicy(maxAttempts: 2, timeout: .milliseconds(50))]) {
                $0.add("slow") { (_: TaskContext) in try await Task.sleep(for: .seconds(3600)) }
            }
            try await TestWorker.with(worker) { worker in
                let id = try await client.enqueue("slow")
                try await worker.told.wait("two outcomes") { $0.outcomes(2) }
                let row = try #require(try await client.execute("select state, max_attempts, extract(epoch from timeout)::float8, errors -> 1 ->> 'kind' from hark.tasks where id = $1", [.int64(id)]).first)
                #expect(try row.string(0) == "failed")
                #expect(try row.int(1) == 2)
                #expect(try row.double(2) == 0.05)
                #expect(try row.string(3) == "timeout")
            }
        }
    }

    /// All three are claimed at one moment and have the same timeout, so that what becomes of one tells when.
    @Test("a function that says that it is alive, or asks for more time, outlives its timeout")
    func alive() async throws {
        try await withDatabase { database, client in
            let over = Gate()
            let stopped = Events<Void>()
            // Longer than Swift's threads may all be taken by other tests: to be unable to say that one is alive is to be mute.
            let policy = FunctionPolicy(maxAttempts: 1, timeout: .seconds(20))
            let worker = TestWorker(database.conninfo, policies: ["mute": policy, "lively": policy, "patient": policy]) {
                $0.add("mute") { (_: TaskContext) in
                    defer {
                        stopped.add(())
                        over.open()
                    }
                    try await Task.sleep(for: .seconds(3600))
                }
                $0.add("lively") { (context: TaskContext) in
                    while stopped.all.isEmpty {
                        context.alive()
                        try await Task.sleep(for: .milliseconds(10))
                    }
                }
                $0.add("patient") { (context: TaskContext) in
                    context.extend(by: .seconds(3600))
                    await over.pass()
                    try Task.checkCancellation()
                }
            }
            try await TestWorker.with(worker) { worker in
                try await client.script("insert into hark.tasks (function) values ('mute'), ('lively'), ('patient')")
                // The other two end only when the first has been stopped.
                try await worker.told.wait("three outcomes", seconds: 120) { $0.outcomes(3) }
                #expect(try await client.value("select string_agg(concat_ws(' ', function, state, errors -> 0 ->> 'kind'), ', ' order by id) from hark.tasks")
                    == "mute failed timeout, lively completed, patient completed")
            }
        }
    }

    @Test("a function that does not notice that it is cancelled keeps its slot and loses its say")
    func deaf() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let entered = Events<Void>()
            let worker = TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 1)], grace: .milliseconds(20)) {
                $0.add("deaf") { (_: TaskContext) in
                    entered.add(())
                    await gate.pass()
                }
            }
            try await TestWorker.with(worker) { worker in
                let id = try await client.enqueue("deaf")
                try await entered.wait(count: 1, "the function begins")
                _ = try await client.execute("update hark.tasks set state = 'cancelled' where id = $1", [.int64(id)])
                try await worker.written(id)
                #expect(try await client.state(of: id) == "cancelled")
                let next = try await client.enqueue("noop")
                #expect(try await client.state(of: next) == "ready")
                gate.open()
                try await worker.written(next)
                #expect(try await client.state(of: id) == "cancelled")
            }
        }
    }

    @Test("cancelling a waiting task by hand finishes it; cancelling a running one reaches the function")
    func cancel() async throws {
        try await withDatabase { database, client in
            let worker = TestWorker(database.conninfo) {
                $0.add("slow") { (_: TaskContext) in try await Task.sleep(for: .seconds(3600)) }
            }
            try await TestWorker.with(worker) { worker in
                let waiting = try await client.enqueue("noop", "[]", "run_at", "now() + interval '1 hour'")
                _ = try await client.execute("update hark.tasks set state = 'cancelled' where id = $1", [.int64(waiting)])
                #expect(try await client.state(of: waiting) == "cancelled")

                let running = try await client.enqueue("slow", "[]", "unique_key", "'k'")
                try await worker.started(running)
                _ = try await client.execute("update hark.tasks set state = 'cancelled' where id = $1", [.int64(running)])
                // Until the outcome is written it runs, and its key is taken.
                try await worker.written(running)
                #expect(try await client.state(of: running) == "cancelled")
                _ = try await client.enqueue("noop", "[]", "unique_key", "'k'")
            }
        }
    }

    @Test("a notification alone cancels nothing: the row has to say so")
    func forgedCancel() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let worker = TestWorker(database.conninfo) { $0.add("wait") { (_: TaskContext) in await gate.pass() } }
            try await TestWorker.with(worker) { worker in
                let id = try await client.enqueue("wait")
                try await worker.started(id)
                _ = try await client.execute("select pg_notify('hark_worker_' || id, $1) from hark.workers", [.text("cancel \(id)")])
                // Heard and answered by the time that something enqueued later has run.
                let later = try await client.enqueue("noop")
                try await worker.written(later)
                gate.open()
                try await worker.written(id)
                #expect(try await client.state(of: id) == "completed")
            }
        }
    }

    @Test("a drain ends although a function is deaf to its cancellation; its task is given back")
    func deafAtDrain() async throws {
        try await withDatabase { database, client in
            let gate = Gate()
            let entered = Events<Void>()
            let worker = TestWorker(database.conninfo, drain: .milliseconds(20), grace: .milliseconds(20)) {
                $0.add("deaf") { (_: TaskContext) in
                    entered.add(())
                    await gate.pass()
                }
            }
            let id = try await client.enqueue("deaf")
            try await entered.wait(count: 1, "the function begins")
            try await worker.drain()
            #expect(try await client.value("select state || ' ' || attempt from hark.tasks where id = $1", [.int64(id)]) == "ready 0")
            gate.open()
        }
    }

    @Test("a Swift function never runs on the thread of the worker's loop")
    func notOnTheLoop() async throws {
        try await withDatabase { database, client in
            let loop = EventLoop(name: "its own")
            let seen = Events<Bool>()
            var functions = Functions()
            functions.add("look") { (_: TaskContext) in
                seen.add(loop.isCurrent)
                await Task.yield()
                seen.add(loop.isCurrent)
            }
            let worker = Worker(WorkerOptions(database: database.conninfo, untilEmpty: true), runners: [SwiftRunner(functions)], loop: loop)
            try await client.script("insert into hark.tasks (function) select 'look' from generate_series(1, 50)")
            try await withDeadline(60, "the worker ends") { try await worker.run() }
            #expect(seen.all == Array(repeating: false, count: 100))
            // The question can be answered with yes.
            loop.run { seen.add(loop.isCurrent) }
            #expect(try await seen.wait(count: 101, "the loop answers").last == true)
            loop.stop()
        }
    }

    /// Exact to the microsecond, as no other clock could make it.
    @Test("a delay that a client or a function asks for is counted by the server's clock")
    func delays() async throws {
        try await withDatabase { database, client in
            let id = try await Client(client).enqueue("noop", json: nil, Client.EnqueueOptions(start: .after(.seconds(3600)))).id
            #expect(try await client.value("select (run_at - created_at)::text from hark.tasks where id = $1", [.int64(id)]) == "01:00:00")
            let worker = TestWorker(database.conninfo) { $0.add("later") { (_: TaskContext) in throw Verdict.retry(after: .seconds(7200), reason: "not now") } }
            try await TestWorker.with(worker) { worker in
                let id = try await client.enqueue("later")
                try await worker.written(id)
                #expect(try await client.value("select (run_at - (errors -> 0 ->> 'at')::timestamptz)::text from hark.tasks where id = $1", [.int64(id)]) == "02:00:00")
            }
        }
    }

    @Test("priorities come first, lower first; within one the order of insertion")
    func priorities() async throws {
        try await withDatabase { database, client in
            try await client.script(
                "insert into hark.tasks (function, priority) values ('noop', 0), ('noop', 10), ('noop', -10), ('noop', 0), ('noop', -10), ('noop', 5)")
            try await TestWorker.with(TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 1)])) { worker in
                try await worker.told.wait("six outcomes") { $0.outcomes(6) }
                #expect(worker.startedTasks == [3, 5, 1, 4, 6, 2])
            }
        }
    }

    @Test("eight workers run each of 10,000 tasks exactly once")
    func eightWorkers() async throws {
        try await withDatabase { database, client in
            try await client.script("insert into hark.tasks (function) select 'noop' from generate_series(1, 10000)")
            let workers = (1...8).map { TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 20)], name: "w\($0)", untilEmpty: true) }
            for worker in workers { try await worker.end() }
            let started = workers.flatMap(\.startedTasks)
            #expect(started.count == 10_000)
            #expect(Set(started).count == 10_000)
            #expect(try await client.value("select count(*)::text from hark.tasks_finished where state = 'completed' and attempt = 1") == "10000")
        }
    }
}

/// Which tasks were seen before.
actor Seen {
    private var ids: Set<Int64> = []
    func first(_ id: Int64) -> Bool { ids.insert(id).inserted }
}

private let seen = Seen()

extension Connection {
    /// Asks until the answer is true; the database has no way to tell us.
    func eventually(_ what: String, _ sql: String) async throws {
        try await withDeadline(30, what) {
            while try await self.execute(sql).first?.optionalBool(0) != true { await Task.yield() }
        }
    }
}
