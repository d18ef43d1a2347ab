import Hark
import PQ
import TestSupport
import Testing

/// A worker with much to do has two round trips under way, on two connections.
@Suite("The second work connection")
struct WorkLinkTests {
    @Test("under load a worker has a third session, and without it two again")
    func comesAndGoes() async throws {
        try await withDatabase { database, client in
            try await client.script("insert into hark.tasks (function) select 'noop' from generate_series(1, 20000)")
            try await TestWorker.with(TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 1_000)])) { worker in
                try await client.eventually("there is a third session", "select count(*) = 3 from (\(sessions)) s")
                try await client.eventually("all tasks are done", "select count(*) = 20000 from hark.tasks where state = 'completed'")
                try await client.eventually("it is closed", "select count(*) = 2 from (\(sessions)) s")
                try await worker.asleep()
                try await worker.written(try await client.enqueue("noop"))
                #expect(Set(worker.startedTasks).count == worker.startedTasks.count)
            }
        }
    }

    @Test("when one of the two work connections is cut under load no task is lost, and none runs twice", arguments: [true, false])
    func cut(isSecond: Bool) async throws {
        try await withDatabase { database, client in
            try await client.script("insert into hark.tasks (function) select 'noop' from generate_series(1, 30000)")
            try await TestWorker.with(TestWorker(database.conninfo, queues: [QueueSettings(name: "default", slots: 1_000)])) { worker in
                for _ in 1...3 {
                    try await client.eventually("there are three sessions, or nothing is left to do", "select count(*) = 3 or not exists (select from only hark.tasks) from (\(sessions)) s")
                    // The signal connection came first as a rule; it is told by its LISTENs and locks.
                    _ = try await client.execute(
                        "select pg_terminate_backend(pid) from (\(sessions)) s where not exists (select from pg_locks l where l.pid = s.pid and l.locktype = 'advisory') order by backend_start \(isSecond ? "desc" : "asc") limit 1")
                }
                try await client.eventually("all of them are done", "select count(*) = 30000 from hark.tasks where state = 'completed' and attempt = 1")
                #expect(worker.startedTasks.count == 30_000)
                #expect(Set(worker.startedTasks).count == 30_000)
            }
        }
    }
}

private let sessions = "select pid, backend_start from pg_stat_activity where datname = current_database() and application_name = 'hark test'"
