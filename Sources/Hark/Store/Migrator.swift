public import HarkMigrations
public import PQ

/// Brings the schema of a database up to date.
///
/// Whoever comes first takes an advisory lock; everybody else waits for it, however long, and then finds nothing left to
/// do. Anybody may hold that lock without migrating, so who has waited for a while says for whom. Each
/// migration and its row in `hark.migrations` are one transaction, so a failure in the middle leaves the database at the last good one.
///
/// The checksum of each file is kept. A file that was applied with psql has none at first; the next `migrate` fills it
/// in. If a file and its checksum differ, somebody has edited history, and we stop rather than guess.
public struct Migrator: Sendable {
    public struct Applied: Sendable {
        public let name: String
        public let isCompatible: Bool
        /// nil: applied with psql alone.
        public let checksum: String?
        /// As the database prints it; nil only if it was set so.
        public let appliedAt: String?
    }

    /// "hark" and "migrate" in a number of our own.
    static let lock: Int64 = 7_311_041_209_552_301

    private let connection: Connection
    private let known: [Migration]
    /// After how long of waiting it says for whom.
    private let patience: Duration

    public init(_ connection: Connection, known: [Migration] = Migration.all) { self.init(connection, known: known, patience: .seconds(3)) }

    init(_ connection: Connection, known: [Migration] = Migration.all, patience: Duration) {
        self.connection = connection
        self.known = known
        self.patience = patience
    }

    /// What the database has, in order; empty when there is no schema.
    public func applied() async throws -> [Applied] {
        let there = try await connection.execute("select to_regclass('hark.migrations') is not null")
        guard try there.first?.bool(0) == true else { return [] }
        var applied: [Applied] = []
        for row in try await connection.execute("select name, compatible, checksum, applied_at::text from hark.migrations order by name") {
            applied.append(Applied(name: try row.string(0), isCompatible: try row.bool(1), checksum: try row.optionalString(2), appliedAt: try row.optionalString(3)))
        }
        return applied
    }

    /// Applies what is missing.
    /// - Parameter waiting: told, after a few seconds and whenever it changes, who holds the lock that this waits for.
    /// - Returns: the names of the migrations that were applied now.
    /// - Throws: `HarkError` `schemaTooNew` or `schemaChanged` before anything was done; `PostgresError` with the
    ///   failing migration's name when one fails, which is then rolled back.
    public func migrate(waiting: (String) -> Void = { _ in }) async throws -> [String] {
        try await takeLock(waiting)
        do {
            let done = try await migrateAlone()
            _ = try await connection.execute("select pg_advisory_unlock($1)", [.int64(Self.lock)])
            return done
        } catch {
            _ = try? await connection.execute("select pg_advisory_unlock($1)", [.int64(Self.lock)])
            throw error
        }
    }

    private func takeLock(_ waiting: (String) -> Void) async throws {
        var said: String?
        _ = try await connection.execute("select set_config('lock_timeout', $1, false)", [.text("\(Int(patience.seconds * 1000))ms")])
        while true {
            do {
                _ = try await connection.execute("select pg_advisory_lock($1)", [.int64(Self.lock)])
                break
            } catch let error as PostgresError where error.sqlState == "55P03" {
                guard let holder = try await connection.execute(SQL.migrating, [.int64(Self.lock)]).first else { continue }
                let application = try holder.optionalString("application").map { " (\($0))" } ?? ""
                let text = "waiting for process \(try holder.int32(0))\(application) of the server, which holds the lock of migrations"
                if text != said { waiting(text) }
                said = text
            }
        }
        try await connection.script("reset lock_timeout")
    }

    private func migrateAlone() async throws -> [String] {
        let applied = try await applied()
        if let name = Self.unknownBreaking(applied, known: known) {
            throw HarkError(.schemaTooNew, "the schema has the breaking migration \(name), which this hark \(HarkVersion.current) does not know", remedy: "Use the hark that came with it, or a later one.")
        }
        for done in applied { if let migration = known.first(where: { $0.name == done.name }) { try await verify(migration, done) } }
        let missing = known.filter { migration in !applied.contains { $0.name == migration.name } }
        for migration in missing { try await apply(migration) }
        return missing.map(\.name)
    }

    private func verify(_ migration: Migration, _ applied: Applied) async throws {
        guard let checksum = applied.checksum else { return try await record(migration) }
        let rows = try await connection.execute("select encode(sha256(convert_to($1, 'UTF8')), 'hex')", [.text(migration.sql)])
        guard try rows.first?.string(0) == checksum else {
            throw HarkError(
                .schemaChanged, "migration \(migration.name) in the database is not the one in this hark \(HarkVersion.current)",
                remedy: "A migration is never edited after its release: find out which of the two was changed.")
        }
    }

    private func apply(_ migration: Migration) async throws {
        try await connection.script("begin")
        do {
            try await connection.script(migration.sql)
            try await record(migration)
            try await connection.script("commit")
        } catch {
            try? await connection.script("rollback")
            guard var error = error as? PostgresError else { throw error }
            error.message = "migration \(migration.name): \(error.message)"
            throw error
        }
    }

    private func record(_ migration: Migration) async throws {
        let rows = try await connection.execute(
            "update hark.migrations set checksum = encode(sha256(convert_to($2, 'UTF8')), 'hex') where name = $1 returning name",
            [.text(migration.name), .text(migration.sql)])
        if rows.isEmpty { throw HarkError(.schemaChanged, "migration \(migration.name) did not write its row into hark.migrations") }
    }

    /// The name of a migration in the database that this build does not know and cannot work with.
    static func unknownBreaking(_ applied: [Applied], known: [Migration]) -> String? {
        applied.first { done in !done.isCompatible && !known.contains { $0.name == done.name } }?.name
    }

    /// Everything as SQL that psql can run: `hark migrate --sql`.
    public static func plainSQL(_ migrations: [Migration] = Migration.all) -> String {
        migrations.map { "-- \($0.name)\nbegin;\n\($0.sql)\ncommit;\n" }.joined(separator: "\n")
    }
}
