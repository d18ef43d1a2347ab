import Hark
import PQ
import TestSupport
import Testing

@Suite("A worker that ends when nothing is left")
struct UntilEmptyTests {
    /// The worker sleeps while the function runs, and is to end when nothing runs: what it gives back itself it must look
    /// for before it ends, as the bell for it may still be on its way.
    @Test("a worker that ends when nothing is left waits for what it has itself put off")
    func putOff() async throws {
        try await withDatabase { database, client in
            let asleep = Events<Bool>()
            let id = try await client.enqueue("second_time")
            let worker = TestWorker(database.conninfo, retry: RetryPolicy(base: .milliseconds(100)), untilEmpty: true) {
                $0.add("second_time") { (context: TaskContext) in
                    try await asleep.wait("the worker sleeps") { !$0.isEmpty }
                    if context.attempt == 1 { throw Verdict.retry(reason: "not yet") }
                }
            }
            try await worker.asleep()
            asleep.add(true)
            try await worker.end()
            #expect(try await client.state(of: id) == "completed")
        }
    }

    @Test("a worker that ends when nothing is left ends with blocked tasks, but not before scheduled ones have run")
    func scheduled() async throws {
        try await withDatabase { database, client in
            let blocked = try await client.enqueue("unheard_of")
            let soon = try await client.enqueue("noop", "[]", "run_at", "now() + interval '300 milliseconds'")
            let worker = TestWorker(database.conninfo, untilEmpty: true)
            try await worker.end()
            #expect(try await client.state(of: blocked) == "blocked")
            #expect(try await client.state(of: soon) == "completed")
        }
    }
}
