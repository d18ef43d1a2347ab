internal import PQ

/// What `hark doctor` looks at besides workers and queues. Facts only; what they mean is said by whoever shows them.
public struct Health: Sendable {
    /// A trigger of the tables that does not fire.
    public struct Trigger: Sendable {
        public var name: String
        public var table: String
        /// disabled, or replica.
        public var state: String
    }

    /// A session, or a prepared transaction, that holds locks of the doorbell and should not.
    public struct LockHolder: Sendable {
        /// It holds SLEEP exclusively without being a worker; else shared for more than a second.
        public var isExclusive: Bool
        /// 0 for a prepared transaction.
        public var pid: Int32
        /// The name of the prepared transaction.
        public var prepared: String?
        public var locks: Int
        public var application: String?
        public var state: String?
        /// Seconds since its transaction, or else its session began.
        public var age: Double
    }

    /// Tasks that wait in vain.
    public struct Waiting: Sendable {
        public var queue: String
        /// nil: of any function.
        public var function: String?
        public var tasks: Int64
        /// Seconds since the eldest was due.
        public var oldest: Double
    }

    /// The server's own name for its version: `15.18 (Debian 15.18-0+deb12u1)`.
    public var version: String
    /// The server process that answered: not the one connected to when a pooler stands between.
    public var pid: Int32
    public var isInRecovery: Bool
    /// The server's clock, seconds since 1970.
    public var now: Double
    public var role: String
    public var database: String
    public var mayRead: Bool
    public var mayEnqueue: Bool
    public var mayWork: Bool
    public var idleTriggers: [Trigger]
    public var lockHolders: [LockHolder]
    public var blockedByFunction: [Waiting]
    public var overdue: [Waiting]
}

extension Client {
    /// - Throws: `HarkError` `schemaTooOld` or `schemaTooNew` when the schema and this build do not fit; `PostgresError`.
    public func checkSchema() async throws { try await SchemaCheck.check(connection) }

    /// Asks the server how it is; changes nothing.
    public func health() async throws -> Health {
        let answers = try await connection.pipeline(
            [SQL.doctorSession, SQL.doctorTriggers, SQL.doctorLocks, SQL.doctorBlocked, SQL.doctorOverdue].map { [Query($0)] })
        let rows = try answers.map { try $0[0].get() }
        guard let session = rows[0].first else { throw PostgresError(message: "the server did not answer") }
        return Health(
            version: try session.string("version"), pid: Int32(clamping: try session.int64("pid")), isInRecovery: try session.bool("in_recovery"),
            now: try session.double("now"), role: try session.string("role"), database: try session.string("database"),
            mayRead: try session.bool("may_read"), mayEnqueue: try session.bool("may_enqueue"), mayWork: try session.bool("may_work"),
            idleTriggers: try rows[1].map { Health.Trigger(name: try $0.string("name"), table: try $0.string("table_name"), state: try $0.string("state")) },
            lockHolders: try rows[2].map(Health.LockHolder.init),
            blockedByFunction: try rows[3].map {
                Health.Waiting(queue: try $0.string("queue"), function: try $0.string("function"), tasks: try $0.int64("tasks"), oldest: try $0.double("oldest"))
            },
            overdue: try rows[4].map { Health.Waiting(queue: try $0.string("queue"), function: nil, tasks: try $0.int64("tasks"), oldest: try $0.double("oldest")) })
    }
}

extension Health.LockHolder {
    init(_ row: Row) throws {
        self.init(
            isExclusive: try row.string("mode") == "exclusive", pid: Int32(clamping: try row.int64("pid")), prepared: try row.optionalString("prepared"), locks: try row.int("locks"),
            application: try row.optionalString("application"), state: try row.optionalString("state"), age: try row.optionalDouble("age") ?? 0)
    }
}
