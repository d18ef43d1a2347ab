internal import Glibc
internal import HarkMigrations
internal import PQ

/// The signal connection of a worker: who we are in `hark.workers`, LISTEN, and the doorbell's locks.
///
/// Everything that must die with the worker hangs on this session: its registration lock, its SLEEP locks, its LISTENs.
/// It comes up in an order that leaves no gap: schema checked, row and lock taken, LISTEN to what is meant for us alone, and then a
/// notification to itself that must come back. Only after that does the worker count as listening, and make its first claim.
struct SignalLink: Sendable {
    enum Message: Sendable {
        case bell(queue: String)
        case cancel(task: Int64)
        case proof(nonce: UInt64)

        init?(_ notification: PQ.Notification) {
            if notification.channel.hasPrefix("hark_bell_") {
                self = .bell(queue: notification.payload)
                return
            }
            let words = notification.payload.split(separator: " ", maxSplits: 1)
            switch (words.first, words.count) {
            case ("bell", 2): self = .bell(queue: String(words[1]))
            case ("cancel", 2): if let id = Int64(words[1]) { self = .cancel(task: id) } else { return nil }
            case ("proof", 2): if let nonce = UInt64(words[1]) { self = .proof(nonce: nonce) } else { return nil }
            default: return nil
            }
        }
    }

    let connection: Connection
    let worker: Int32
    /// All of the worker's.
    let queues: [String]
    /// Our row was gone: somebody has taken us for dead, and our claims with it.
    let renewed: Bool

    /// - Throws: `HarkError` when waiting would not help, `PostgresError` otherwise.
    static func open(
        _ options: WorkerOptions, previously: Int32?, functions: Set<String>, on loop: EventLoop,
        heard: @escaping @Sendable (Message) -> Void, closed: @escaping @Sendable (ObjectIdentifier, String) -> Void
    ) async throws -> SignalLink {
        let proof = Proof()
        let connection = try await Connection.connect(
            (options.signalDatabase ?? options.database).asWorker(named: options.name), on: loop, timeout: .seconds(10),
            options: ConnectionOptions(setup: SessionSetup.signal),
            onNotification: { notification in
                guard let message = Message(notification) else { return }
                if case .proof(let nonce) = message, proof.came(nonce) { return }
                heard(message)
            },
            onClosed: { error in
                proof.failed(error)
                if let id = proof.connection { closed(id, "\(error)") }
            })
        // A server that takes the connection and then says nothing is given up like one that takes none.
        let limit = options.patience.tripTimeout
        let tooLate = Mutex(false)
        let timer = loop.at(EventLoop.now + limit) {
            tooLate.withLock { $0 = true }
            Task { await connection.close() }
        }
        defer { timer.cancel() }
        do {
            try await SchemaCheck.check(connection)
            let (worker, renewed) = try await register(connection, options, previously)
            _ = try await connection.execute("listen \(Channel.control(worker))")
            try await proof.run(on: connection, channel: Channel.control(worker))
            proof.connection = ObjectIdentifier(connection)
            guard await connection.isOpen else { throw PostgresError(message: "the connection was closed while it was being set up") }
            return SignalLink(connection: connection, worker: worker, queues: options.queues.map(\.name), renewed: renewed)
        } catch {
            await connection.close()
            if tooLate.withLock({ $0 }) { throw PostgresError(message: "the server took the connection, but has not answered for \(limit.components.seconds) s") }
            throw HarkError.ifFinal(error) ?? error
        }
    }

    private static func register(_ connection: Connection, _ options: WorkerOptions, _ previously: Int32?) async throws -> (Int32, renewed: Bool) {
        let queues = Parameter.textArray(options.queues.map(\.name))
        let slots = Parameter.int32(Int32(options.queues.reduce(0) { $0 + $1.slots }))
        if let previously {
            let rows = try await connection.execute(SQL.rejoin, [.int32(previously), queues, slots])
            if let row = rows.first, try row.bool("alive") {
                // Our old session may still hold the lock, and we are seen to live by it until it goes. Then we must have it.
                guard try row.bool("locked") else { throw PostgresError(message: "the server has not noticed yet that our old session is gone") }
                return (previously, false)
            }
        }
        // The row is seen by others only when we hold its lock.
        try await connection.script("begin")
        let process = ProcessIdentity.current
        let rows = try await connection.execute(
            SQL.register,
            [
                .text(options.name), .text(hostname()), .int32(process.pid), .int64(process.started), .text(process.bootID), .text(process.pidNamespace),
                .text(HarkVersion.current), options.incarnation.map { .text($0) } ?? .null, queues, slots,
            ])
        guard let row = rows.first else { throw PostgresError(message: "the registration of this worker returned no row") }
        let worker = try row.int32(0)
        guard try row.bool("locked") else {
            try await connection.script("rollback")
            throw PostgresError(message: "another session holds the lock of worker \(worker), which was to be ours; who that is stands in pg_locks")
        }
        try await connection.script("commit")
        return (worker, previously != nil)
    }

    nonisolated(nonsending) func arm(_ queues: [String], whole: Bool, guards: Bool) async throws -> (isReserve: Bool, standsBy: Bool, blocked: [Int32]) {
        do {
            let row = try await connection.execute(SQL.arm, [.int32(worker), .textArray(queues), .bool(whole), .bool(guards)]).first
            return (try row?.bool(0) ?? false, try row?.bool(1) ?? false, try row?.string(2).split(separator: " ").compactMap { Int32($0) } ?? [])
        } catch {
            // Half of the locks may be ours already.
            try? await disarm(guards: false)
            throw error
        }
    }

    nonisolated(nonsending) func awaitSleep(_ buckets: [Int32], patience: Duration) async throws -> Awaited {
        let milliseconds = Int32(clamping: Int64(patience.seconds * 1_000))
        let row = try await connection.execute(SQL.awaitSleep, [.int32Array(buckets), .int32(milliseconds)]).first
        return try row.flatMap { Awaited(rawValue: try $0.string(0)) } ?? .blocked
    }

    nonisolated(nonsending) func disarm(guards: Bool) async throws {
        _ = try await connection.execute(SQL.disarm, [.int32(worker), .textArray(queues), .bool(guards)])
    }

    nonisolated(nonsending) func handOver(_ queues: [String], guards: Bool) async throws {
        _ = try await connection.execute(SQL.handOver, [.int32(worker), .textArray(queues), .bool(guards)])
    }

    nonisolated(nonsending) func passOn(_ queues: [String]) async throws {
        _ = try await connection.execute(SQL.passOn, [.textArray(queues), .int32(worker)])
    }

    nonisolated(nonsending) func beat(_ beat: Beat) async throws { _ = try await connection.pipeline([[Store.beat(beat, of: worker)]]) }

    nonisolated(nonsending) func leave() async throws {
        try? await passOn(queues)
        _ = try await connection.execute(SQL.unregister, [.int32(worker)])
    }
}

/// What the sessions of a worker are set to.
enum SessionSetup {
    /// Dead peers are noticed from the server's side too, so that their locks do not outlive them by hours. Plans must not depend on
    /// statistics.
    private static let common = [
        "set hark.worker = on", "set search_path = pg_catalog", "set default_transaction_isolation = 'read committed'", "set tcp_keepalives_idle = 10",
        "set tcp_keepalives_interval = 5", "set tcp_keepalives_count = 3", "set tcp_user_timeout = 15000", "set jit = off",
        "set enable_seqscan = off", "set plan_cache_mode = force_generic_plan",
        // PostgreSQL 14 and later; the session of an idle worker is meant to be idle.
        "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'",
    ]
    /// The locks that a worker waits for are only ever held for microseconds by others, or, that of NOTIFY, through a few commits; whoever
    /// holds one for longer is not one of us.
    static let signal = common + ["set lock_timeout = '1s'"]
    /// A claim must not wait for ever behind an ALTER TABLE.
    static let work = common + ["set lock_timeout = '20s'"]
}

extension Conninfo {
    func asWorker(named name: String) -> Conninfo {
        withDefault("application_name", "hark \(name)").withDefault("keepalives_idle", "10").withDefault("keepalives_interval", "5")
            .withDefault("keepalives_count", "3").withDefault("tcp_user_timeout", "15000")
    }
}

extension HarkError {
    /// The errors that no waiting cures.
    static func ifFinal(_ error: any Error) -> HarkError? {
        if let error = error as? HarkError { return error }
        guard let error = error as? PostgresError else { return nil }
        switch error.sqlState {
        case "42501":
            return HarkError(.notPermitted, "the database role may not work: \(error.message)", remedy: "Grant it the role hark_worker (migrations/grants.sql), or use the owner of the schema.")
        default: return nil
        }
    }
}

private func hostname() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
