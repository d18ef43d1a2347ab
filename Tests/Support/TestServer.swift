internal import CLinux
public import HarkCluster
internal import HarkMigrations
public import PQ

/// The PostgreSQL of the test process: started when the first test needs it, gone (with its directory) when the process
/// is, however that ends.
public actor TestServer {
    public static let shared = TestServer()

    private struct Running: Sendable {
        let cluster: PrivateCluster
        /// Makes and drops databases, one after the other.
        let maintenance: Connection
    }
    private var running: Task<Running, any Error>?
    private var template: Task<Void, any Error>?
    private var made = 0

    /// Nothing here has to survive a crash of the machine.
    public static let settings = [
        "fsync": "off", "full_page_writes": "off", "max_connections": "300", "wal_level": "minimal", "max_wal_senders": "0",
        "max_prepared_transactions": "20",
    ]

    /// A server for a test that stops, kills or reconfigures it. The test calls `end` when it is done.
    public static func own(settings: [String: String] = [:]) async throws -> PrivateCluster {
        let cluster = try await PrivateCluster(
            in: temporaryPath("own"), settings: Self.settings.merging(settings) { $1 }, removing: true)
        return cluster
    }

    /// A path for files of a test, short enough for sockets; nothing is there yet.
    public static func temporaryPath(_ purpose: String) -> String {
        var random: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &random) { linux_random($0.baseAddress, $0.count) }
        return "/tmp/hark-test-\(purpose)-\(String(random, radix: 36))"
    }

    /// The shared server's cluster.
    public func cluster() async throws -> PrivateCluster { try await start().cluster }

    /// How to reach a database of the shared server; by default one that all tests share.
    public func conninfo(database: String = "postgres") async throws -> Conninfo {
        try await Conninfo(start().cluster.conninfo(database: database))
    }

    /// A proxy in front of the shared server. The test stops it.
    public func proxy(over kind: Proxy.Kind = .unix) async throws -> Proxy {
        try await Proxy(to: start().cluster.socketDirectory, over: kind)
    }

    /// A new database, empty or a copy of `template`.
    public func database(template: String = "template0") async throws -> TestDatabase {
        let running = try await start()
        made += 1
        let name = "test_\(made)"
        _ = try await running.maintenance.execute("create database \(name) template \(template)")
        return TestDatabase(name: name, conninfo: try Conninfo(running.cluster.conninfo(database: name)), server: self)
    }

    /// A new database in which all migrations were applied.
    public func migrated() async throws -> TestDatabase {
        if template == nil { template = Task { try await self.makeTemplate() } }
        try await template?.value
        return try await database(template: "hark_template")
    }

    func drop(_ name: String) async throws {
        _ = try await start().maintenance.execute("drop database if exists \(name) with (force)")
    }

    private func makeTemplate() async throws {
        let running = try await start()
        let name = "hark_template"
        _ = try await running.maintenance.execute("create database \(name) template template0")
        let connection = try await Connection.connect(
            Conninfo(running.cluster.conninfo(database: name)), on: testLoop, timeout: .seconds(30))
        for migration in Migration.all { try await connection.script(migration.sql) }
        await connection.close()
        // Nobody, autovacuum included, may be connected while it is copied. Its last session may still be on its way out.
        _ = try await running.maintenance.execute("alter database \(name) with is_template true allow_connections false")
    }

    private func start() async throws -> Running {
        if let running { return try await running.value }
        let task = Task {
            let cluster = try await PrivateCluster(in: Self.temporaryPath("server"), settings: Self.settings, removing: true)
            let maintenance = try await Connection.connect(Conninfo(cluster.conninfo()), on: testLoop, timeout: .seconds(30))
            return Running(cluster: cluster, maintenance: maintenance)
        }
        running = task
        return try await task.value
    }
}

/// A database for one test.
public struct TestDatabase: Sendable {
    public let name: String
    public let conninfo: Conninfo
    fileprivate let server: TestServer

    /// A connection to it.
    public func connect(
        on loop: EventLoop = testLoop, options: ConnectionOptions = .init(),
        onNotification: @escaping @Sendable (PQ.Notification) -> Void = { _ in },
        onClosed: @escaping @Sendable (PostgresError) -> Void = { _ in }
    ) async throws -> Connection {
        try await Connection.connect(
            conninfo, on: loop, timeout: .seconds(30), options: options, onNotification: onNotification, onClosed: onClosed)
    }

    /// Drops it, with whoever is connected. A database that is not dropped goes with the server.
    public func drop() async throws { try await server.drop(name) }
}
