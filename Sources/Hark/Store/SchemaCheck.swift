internal import HarkMigrations
internal import PQ

/// Whether this build and the schema of the database fit.
enum SchemaCheck {
    /// - Throws: `HarkError` `schemaTooOld` when the database lacks a migration that this build needs, `schemaTooNew` when it has a breaking one that
    ///   this build does not know; `PostgresError` when the database cannot be asked.
    static func check(_ connection: Connection) async throws {
        let applied = try await Migrator(connection).applied()
        let missing = Migration.all.filter { migration in !applied.contains { $0.name == migration.name } }
        if applied.isEmpty {
            throw HarkError(.schemaTooOld, "this database has no hark schema", remedy: "Run `hark migrate` with a role that may create it.")
        }
        if let first = missing.first {
            throw HarkError(
                .schemaTooOld, "the schema is older than this hark \(HarkVersion.current): migration \(first.name) is missing",
                remedy: "Run `hark migrate` first, then start the workers.")
        }
        if let breaking = Migrator.unknownBreaking(applied, known: Migration.all) {
            throw HarkError(
                .schemaTooNew, "the schema is newer than this hark \(HarkVersion.current): it has the breaking migration \(breaking)",
                remedy: "Install the hark that came with it, or a later one.")
        }
    }
}

/// The version of this build.
public enum HarkVersion {
    public static let current = "0.1.0"
}
