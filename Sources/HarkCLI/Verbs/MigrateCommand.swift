internal import ArgumentParser
internal import Hark
internal import HarkMigrations
internal import PQ

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Bring the schema of the database up to date.",
        discussion: "Safe to run at any time, also several at once. The roles of migrations/grants.sql are optional and not part of it.")

    @Flag(help: "Show what is applied and what is missing; change nothing. Exits with 1 if something is missing.")
    var status = false

    @Flag(help: "Print the migrations as SQL for psql; needs no database.")
    var sql = false

    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func validate() throws {
        if status, sql { throw ValidationError("--status and --sql exclude each other.") }
        if listing.json, !status { throw ValidationError("--json goes with --status.") }
    }

    func run() async throws {
        if sql { return say(Migrator.plainSQL()) }
        try await options.withClient { client in
            let migrator = Migrator(client.connection)
            if status { return try report(try await migrator.applied()) }
            do {
                let names = try await migrator.migrate { note("hark: \(Harmless.line($0))") }
                for name in names { say("applied \(name)") }
                if names.isEmpty { say("The schema is up to date.") }
            } catch let error as PostgresError where error.sqlState == "42501" {
                throw HarkError(.notPermitted, error.message, remedy: "Migrate with the owner of the database, or with the role hark_owner.")
            }
        }
    }

    private func report(_ applied: [Migrator.Applied]) throws {
        let names = Set(Migration.all.map(\.name)).union(applied.map(\.name)).sorted()
        var table = Table([.left("MIGRATION"), .left("STATE"), .left("APPLIED AT")])
        var entries: [JSON] = []
        var isMissing = false
        for name in names {
            let done = applied.first { $0.name == name }
            let known = Migration.all.contains { $0.name == name }
            let state = done == nil ? "missing" : known ? "applied" : "not known to this hark"
            isMissing = isMissing || done == nil
            table.add([Table.Cell(name), Table.Cell(state, done == nil ? .red : known ? .green : .yellow), Table.Cell(done?.appliedAt ?? "")])
            entries.append(.object(["name": .string(name), "applied": .bool(done != nil), "known": .bool(known), "applied_at": .text(done?.appliedAt)]))
        }
        say(listing.json ? JSON.listing(entries) : table.render(on: .stdout))
        if isMissing { throw Failure(Exit.failed) }
    }
}
