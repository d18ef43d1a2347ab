internal import FoundationEssentials
public import PQ

/// What clients do with tasks: enqueue, list, show, wait, retry, cancel, and see how all is doing.
///
/// The command line is made of it, and a Swift program enqueues with it. Any other language writes
/// `insert into hark.tasks (function, args) values (...)`, which is all that `enqueue` does.
///
/// Every method throws `HarkError` when the database has no schema (`schemaTooOld`), the role may not (`notPermitted`) or the
/// values are refused (`refused`, with the rule that they break), and `PostgresError` otherwise.
public struct Client: Sendable {
    public let connection: Connection

    /// - Parameter connection: stays the caller's; a transaction that is open on it is used, not ended.
    public init(_ connection: Connection) { self.connection = connection }

    // MARK: Enqueue

    public struct EnqueueOptions: Sendable {
        /// When a task may start.
        public enum Start: Sendable {
            case now
            case after(Duration)
            /// As PostgreSQL reads it: `2026-01-31 09:00+01`, `tomorrow 09:00`; without a zone, in that of the session.
            case at(String)
        }

        /// nil: `default`.
        public var queue: String?
        /// -10 to 10, lower first.
        public var priority: Int?
        public var start = Start.now
        /// At most one unfinished task has it.
        public var uniqueKey: String?
        /// 1 to 1,000. nil: as the worker is configured.
        public var maxAttempts: Int?
        /// nil: as the worker is configured.
        public var timeout: Duration?

        public init(
            queue: String? = nil, priority: Int? = nil, start: Start = .now, uniqueKey: String? = nil, maxAttempts: Int? = nil,
            timeout: Duration? = nil
        ) {
            self.queue = queue
            self.priority = priority
            self.start = start
            self.uniqueKey = uniqueKey
            self.maxAttempts = maxAttempts
            self.timeout = timeout
        }
    }

    public struct Enqueued: Sendable {
        public var id: Int64
        /// False: there is an unfinished task with the unique key already; `id` is that one's, and nothing was inserted.
        public var isNew: Bool
    }

    /// Inserts one task.
    /// - Parameter args: JSON text, a list or an object of at most 1 MiB; nil means an empty list.
    public func enqueue(_ function: String, json args: [UInt8]?, _ options: EnqueueOptions = EnqueueOptions()) async throws -> Enqueued {
        var delay: Double?
        var moment: String?
        switch options.start {
        case .now: break
        case .after(let wait): delay = wait.seconds
        case .at(let text): moment = text
        }
        let parameters: [Parameter] = [
            .text(function), args.map { .json($0) } ?? .null, .text(options.queue), .int16(options.priority), .float8(delay), .text(moment),
            .text(options.uniqueKey), .int16(options.maxAttempts), .float8(options.timeout?.seconds),
        ]
        // No row: the holder of the unique key finished between two looks of the statement. It will not do so for ever.
        for _ in 1...10 {
            if let row = try await rows(SQL.enqueue, parameters).first { return Enqueued(id: try row.int64(0), isNew: try row.bool(1)) }
        }
        throw PostgresError(message: "the unique key changes hands all the time; try again", isConnectionLost: false)
    }

    /// Inserts one task.
    /// - Parameter args: a list (`[3, 14]`) or something with named members; encoded as JSON, dates as ISO 8601.
    public func enqueue(_ function: String, _ args: some Encodable, _ options: EnqueueOptions = EnqueueOptions()) async throws -> Enqueued {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        return try await enqueue(function, json: Array(try encoder.encode(args)), options)
    }

    // MARK: Look

    /// Newest first.
    /// - Parameters:
    ///   - limit: how many at most.
    ///   - before: only ids below this one: the next page.
    /// - Returns: the tasks, and the time by the server's clock in seconds since 1970.
    public func list(_ filter: TaskFilter = TaskFilter(), limit: Int = 20, before: Int64? = nil) async throws -> (tasks: [QueuedTask], now: Double) {
        let answers = try await named {
            try await connection.pipeline([[
                Query(SQL.list, filter.parameters + [.int32(Int32(clamping: limit)), .int64(before)]),
                Query("select extract(epoch from clock_timestamp())::float8"),
            ]])
        }
        let rows = try named { try answers[0][0].get() }
        return (try rows.map(QueuedTask.init), try answers[0][1].get().first?.double(0) ?? 0)
    }

    /// Everything about one task as a JSON object, the fields in the order in which people read them; nil: there is no such task.
    public func show(_ id: Int64) async throws -> String? { try await rows(SQL.show, [.int64(id)]).first?.string(0) }

    /// nil: there is no such task (any more).
    public func outcome(_ id: Int64) async throws -> TaskOutcome? {
        guard let row = try await rows(SQL.outcome, [.int64(id)]).first else { return nil }
        return TaskOutcome(
            state: try TaskState(row, "state"), result: try row.optionalBytes("result"), error: try row.optionalString("error"),
            kind: try row.optionalString("kind").flatMap(AttemptError.Kind.init))
    }

    /// Waits until a task has finished: asks again after 20 ms, then ever more seldom, at last once a second.
    /// - Returns: nil when there is no such task.
    /// - Throws: `CancellationError`: cancel the waiting Swift task to give up.
    public func wait(_ id: Int64) async throws -> TaskOutcome? {
        var pause = Duration.milliseconds(20)
        while let outcome = try await outcome(id) {
            if outcome.state.isFinished { return outcome }
            try await connection.loop.sleep(until: EventLoop.now + pause)
            pause = min(pause * 1.5, .seconds(1))
        }
        return nil
    }

    public func stats() async throws -> [QueueStats] {
        try await rows(SQL.stats, []).map { row in
            func finished(_ name: String) throws -> QueueStats.Finished {
                QueueStats.Finished(minute: try row.int64("\(name)_minute"), hour: try row.int64("\(name)_hour"))
            }
            return QueueStats(
                queue: try row.string("queue"), ready: try row.int64("ready"), scheduled: try row.int64("scheduled"), blocked: try row.int64("blocked"),
                running: try row.int64("running"), oldestReady: try row.optionalDouble("oldest_ready"), completed: try finished("completed"),
                failed: try finished("failed"), cancelled: try finished("cancelled"))
        }
    }

    public func workers() async throws -> [WorkerInfo] {
        try await rows(SQL.workers, []).map { row in
            WorkerInfo(
                id: Int32(clamping: try row.int64("id")), name: try row.string("name"), state: try row.string("state"),
                listener: try row.optionalString("listener"), queues: try JSONDecoder().decode([String].self, from: Data(row.bytes("queues"))),
                slots: try row.int("slots"), running: try row.int("running"), hostname: try row.optionalString("hostname"),
                pid: try row.optionalInt64("pid").map { Int32(clamping: $0) }, version: try row.optionalString("version"),
                incarnation: try row.optionalString("incarnation"), startedAt: try row.double("started_at"), beatAge: try row.double("beat_age"),
                isConnected: try row.bool("connected"), isDead: try row.bool("dead"))
        }
    }

    // MARK: Change

    /// Runs tasks (again) now: finished ones are revived with attempt 0, waiting ones brought forward, running ones left.
    public func retry(_ ids: [Int64]) async throws -> [TaskChange] { try await change(SQL.retryTasks, ids) }

    /// Cancels what waits, and asks the workers to stop what runs.
    public func cancel(_ ids: [Int64]) async throws -> [TaskChange] { try await change(SQL.cancelTasks, ids) }

    /// The ids of tasks, oldest first, for a change of many.
    /// - Parameter after: only ids above this one: the next batch.
    public func ids(_ filter: TaskFilter, limit: Int = 1_000, after: Int64? = nil) async throws -> [Int64] {
        try await rows(SQL.idsByFilter, filter.parameters + [.int32(Int32(clamping: limit)), .int64(after)]).map { try $0.int64(0) }
    }

    private func change(_ statement: Statement, _ ids: [Int64]) async throws -> [TaskChange] {
        try await rows(statement, [.int64Array(ids)]).map { row in
            TaskChange(id: try row.int64(0), result: TaskChange.Result(rawValue: try row.string(1)) ?? .skipped, note: try row.optionalString(2))
        }
    }

    // MARK: Errors

    private func rows(_ statement: Statement, _ parameters: [Parameter]) async throws -> Rows {
        try await named { try await connection.execute(statement, parameters) }
    }

    private func named<T>(_ body: () async throws -> T) async throws -> T {
        do { return try await body() } catch let error as PostgresError { throw HarkError.named(error) ?? error }
    }

    private func named<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch let error as PostgresError { throw HarkError.named(error) ?? error }
    }
}

extension HarkError {
    /// What PostgreSQL said, in the words of Hark; nil when it has nothing to do with tasks.
    static func named(_ error: PostgresError) -> HarkError? {
        switch error.sqlState {
        case "3F000", "42P01", "42883":
            HarkError(.schemaTooOld, "this database has no hark schema, or an older one (\(error.message))", remedy: "Run `hark migrate` with a role that may create it.")
        case "42501":
            HarkError(.notPermitted, error.message, remedy: "Grant the role what it needs: see migrations/grants.sql.")
        // The constraints of hark.tasks have sentences for names.
        case "23514": HarkError(.refused, error.constraint ?? error.message)
        case let state? where state.hasPrefix("22"): HarkError(.refused, error.message, remedy: error.detail)
        default: nil
        }
    }
}

extension TaskFilter {
    /// The first four parameters of `list.sql` and `ids_by_filter.sql`.
    var parameters: [Parameter] {
        [.text(queue), .text(function), states.map { .textArray($0.map(\.rawValue)) } ?? .null, .float8(olderThan?.seconds)]
    }
}

extension QueuedTask {
    /// A row of `list.sql`.
    init(_ row: Row) throws {
        self.init(
            id: try row.int64("id"), state: try TaskState(row, "state"), queue: try row.string("queue"), function: try row.string("function"),
            args: try row.bytes("args"), priority: try row.int("priority"), runAt: try row.double("run_at"), attempt: try row.int("attempt"),
            maxAttempts: try row.optionalInt("max_attempts"), uniqueKey: try row.optionalString("unique_key"),
            blockedBy: try row.optionalString("blocked_by"), createdAt: try row.double("created_at"), startedAt: try row.optionalDouble("started_at"),
            finishedAt: try row.optionalDouble("finished_at"), cancelRequestedAt: try row.optionalDouble("cancel_requested_at"),
            worker: try row.optionalString("worker"), error: try row.optionalString("error"))
    }
}

extension TaskState {
    init(_ row: Row, _ column: String) throws {
        let word = try row.string(column)
        guard let state = TaskState(rawValue: word) else { throw PostgresError(message: "the state \(word) is not known to this hark") }
        self = state
    }
}

extension Parameter {
    fileprivate static func text(_ value: String?) -> Parameter { value.map { .text($0) } ?? .null }
    fileprivate static func float8(_ value: Double?) -> Parameter { value.map { .float8($0) } ?? .null }
    fileprivate static func int64(_ value: Int64?) -> Parameter { value.map { .int64($0) } ?? .null }
    /// Out of range goes to the nearest, which the table's own rule then refuses in its own words.
    fileprivate static func int16(_ value: Int?) -> Parameter { value.map { .int16(Int16(clamping: $0)) } ?? .null }
}
