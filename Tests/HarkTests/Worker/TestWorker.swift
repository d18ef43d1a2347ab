@testable import Hark
import Logging
import PQ
import TestSupport

/// A worker in this process, on a loop of its own, with a record of all that it tells.
final class TestWorker: Sendable {
    let name: String
    let worker: Worker
    let told: Events<TelemetryEvent>
    private let running: Task<Void, any Error>

    /// Starts it at once. Its functions are `add` (two integers), `noop`, and what `more` adds. Several may tell one record.
    init(
        _ database: Conninfo, signal: Conninfo? = nil, queues: [QueueSettings] = [QueueSettings(name: "default")], name: String = "test",
        poll: Duration = .seconds(60), drain: Duration = .seconds(30), grace: Duration = .seconds(5), retry: RetryPolicy = RetryPolicy(),
        policies: [String: FunctionPolicy] = [:], unknownGrace: Duration? = nil, untilEmpty: Bool = false, patience: WorkerOptions.Patience = .init(), told: Events<TelemetryEvent> = Events(),
        more: (inout Functions) -> Void = { _ in }
    ) {
        var functions = Functions()
        functions.add("add") { (_: TaskContext, a: Int, b: Int) in a + b }
        functions.addRaw("noop") { _, _ in nil }
        more(&functions)
        self.told = told
        // A poll of a minute: what a test sees within seconds was not found by polling.
        var options = WorkerOptions(
            database: database, signalDatabase: signal, name: name, queues: queues, pollInterval: poll, stopGrace: grace, drainTimeout: drain,
            retry: retry, functions: policies, unknownFunctionGrace: unknownGrace, untilEmpty: untilEmpty)
        options.patience = patience
        let worker = Worker(options, runners: [SwiftRunner(functions)], loop: EventLoop(name: name), logger: Logger(label: name) { _ in SwiftLogNoOpLogHandler() }) {
            told.add($0)
        }
        self.name = name
        self.worker = worker
        running = Task { try await worker.run() }
    }

    /// Waits until it has done all that it could see and gone to sleep, after `since` earlier times.
    func asleep(times: Int = 1) async throws {
        try await told.wait("the worker sleeps") { $0.count { if case .asleep = $0 { true } else { false } } >= times }
    }

    var sleeps: Int { told.all.count { if case .asleep = $0 { true } else { false } } }

    /// Waits until it has begun this task (`attempt` times).
    func started(_ id: Int64, attempts: Int = 1, seconds: Int = 30) async throws {
        try await told.wait("task \(id) starts", seconds: seconds) {
            $0.count { if case .started(let task) = $0 { task.id == id } else { false } } >= attempts
        }
    }

    /// Waits until the database has an outcome of this task.
    func written(_ id: Int64, seconds: Int = 30) async throws {
        try await told.wait("the outcome of task \(id) is written", seconds: seconds) {
            $0.contains { if case .written(let writes) = $0 { writes.contains { $0.claim.id == id } } else { false } }
        }
    }

    func listener(_ word: String) async throws {
        try await told.wait("the listener is \(word)") {
            if case .listener(let last)? = $0.last(where: { if case .listener = $0 { true } else { false } }) { last.word == word } else { false }
        }
    }

    var startedTasks: [Int64] {
        told.all.compactMap { if case .started(let task) = $0 { task.id } else { nil } }
    }

    /// How many round trips of its connections found nothing, and so on, cannot be seen from here; that it ends can.
    func end() async throws { try await withDeadline(60, "the worker ends") { try await self.running.value } }

    func drain() async throws {
        worker.drain()
        try await end()
    }
}

extension TestWorker {
    /// A worker for the length of `body`, drained at its end.
    static func with(_ worker: TestWorker, _ body: (TestWorker) async throws -> Void) async throws {
        do { try await body(worker) } catch {
            worker.worker.abandon()
            throw error
        }
        try await worker.drain()
    }
}

extension Connection {
    /// The first column of the first row as text.
    func value(_ sql: String, _ parameters: [Parameter] = []) async throws -> String? {
        try await execute(sql, parameters).first?.optionalString(0)
    }

    @discardableResult
    func enqueue(_ function: String, _ args: String = "[]", _ columns: String = "", _ values: String = "") async throws -> Int64 {
        let sql = "insert into hark.tasks (function, args\(columns.isEmpty ? "" : ", " + columns)) values ($1, $2::text::jsonb\(values.isEmpty ? "" : ", " + values)) returning id"
        guard let id = try await execute(sql, [.text(function), .text(args)]).first?.int64(0) else { throw PostgresError(message: "no id") }
        return id
    }

    func state(of id: Int64) async throws -> String? { try await value("select state from hark.tasks where id = $1", [.int64(id)]) }
}

/// A migrated database and a connection to it, dropped at the end.
func withDatabase(_ body: (TestDatabase, Connection) async throws -> Void) async throws {
    let database = try await TestServer.shared.migrated()
    let connection = try await database.connect()
    do { try await body(database, connection) } catch {
        try? await database.drop()
        throw error
    }
    await connection.close()
    try await database.drop()
}
