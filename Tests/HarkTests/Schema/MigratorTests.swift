import FoundationEssentials
import Glibc
@testable import Hark
import HarkMigrations
import PQ
import TestSupport
import Testing

@Suite("Migrations")
struct MigratorTests {
    static let names = Migration.all.map(\.name)

    @Test("an empty database gets every migration once, with its checksum; a second run finds nothing to do")
    func fresh() async throws {
        try await withEmptyDatabase { _, client in
            let migrator = Migrator(client)
            #expect(try await migrator.applied().isEmpty)
            #expect(try await migrator.migrate() == Self.names)
            #expect(try await migrator.migrate() == [])
            let applied = try await migrator.applied()
            #expect(applied.map(\.name) == Self.names)
            #expect(applied.allSatisfy { $0.checksum?.count == 64 && $0.appliedAt != nil })
            #expect(applied.map(\.isCompatible) == Migration.all.map(\.isCompatible))
        }
    }

    @Test("eight migrators at once on an empty database apply each migration once, and all succeed")
    func race() async throws {
        try await withEmptyDatabase { database, client in
            let done = try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        let connection = try await database.connect()
                        defer { Task { await connection.close() } }
                        return try await Migrator(connection).migrate()
                    }
                }
                return try await group.reduce(into: [String]()) { $0 += $1 }
            }
            #expect(done == Self.names)
            #expect(try await Migrator(client).applied().count == Self.names.count)
        }
    }

    @Test("who holds the lock of migrations is named, and waited for")
    func held() async throws {
        try await withEmptyDatabase { database, client in
            let stranger = try await Connection.connect(database.conninfo.with("application_name", "somebody"), on: testLoop, timeout: .seconds(30))
            _ = try await stranger.execute("select pg_advisory_lock($1)", [.int64(Migrator.lock)])
            let said = Events<String>()
            let migrating = Task {
                let names = try await Migrator(client, patience: .milliseconds(50)).migrate { said.add($0) }
                return try await (names, client.value("show lock_timeout"))
            }
            try await said.wait(count: 1, "it says whom it waits for")
            #expect(said.all == ["waiting for process \(stranger.backendPid) (somebody) of the server, which holds the lock of migrations"])
            await stranger.close()
            let (names, timeout) = try await migrating.value
            #expect(names == Self.names)
            #expect(timeout == "0")
        }
    }

    @Test("a later migration is applied to a database that has the earlier ones, and its tasks stay")
    func upgrade() async throws {
        try await withEmptyDatabase { _, client in
            _ = try await Migrator(client).migrate()
            let id = try await client.enqueue("noop")
            let next = fixture("9000_next", "compatible", "alter table hark.tasks add column extra text")
            #expect(try await Migrator(client, known: Migration.all + [next]).migrate() == ["9000_next"])
            #expect(try await client.value("select state || coalesce(extra, '') from hark.tasks where id = $1", [.int64(id)]) == "ready")
            #expect(try await Migrator(client).applied().last?.isCompatible == true)
        }
    }

    @Test("a migration that fails half-way is undone as a whole and names itself; those before it stay, and the next try goes on")
    func failure() async throws {
        try await withEmptyDatabase { database, client in
            let good = fixture("9000_good", "compatible", "create table hark.good ()")
            let bad = fixture("9001_bad", "compatible", "create table hark.half (); insert into hark.tasks (function) values ('half'); select 1 / 0")
            let error = await #expect(throws: PostgresError.self) { try await Migrator(client, known: Migration.all + [good, bad]).migrate() }
            #expect(error?.sqlState == "22012")
            #expect(error?.message.hasPrefix("migration 9001_bad: ") == true)
            #expect(try await client.value("select concat_ws(' ', to_regclass('hark.half'), to_regclass('hark.good'), (select count(*) from hark.tasks))") == "hark.good 0")
            let mended = fixture("9001_bad", "compatible", "create table hark.half ()")
            let other = try await database.connect()
            #expect(try await Migrator(other, known: Migration.all + [good, mended]).migrate() == ["9001_bad"])
            await other.close()
        }
    }

    @Test("a migration that does not write its own row is refused and undone")
    func withoutRow() async throws {
        try await withEmptyDatabase { _, client in
            let forgetful = Migration(name: "9000_forgetful", sql: "-- hark: compatible\ncreate table hark.forgotten ();")
            let error = await #expect(throws: HarkError.self) { try await Migrator(client, known: Migration.all + [forgetful]).migrate() }
            #expect(error?.code == .schemaChanged)
            #expect(error?.message.contains("9000_forgetful") == true)
            let left = try await client.value("select to_regclass('hark.forgotten')::text")
            #expect(left == nil)
        }
    }

    @Test("a file that is not the one that was applied stops everything, with its name")
    func changed() async throws {
        try await withEmptyDatabase { _, client in
            _ = try await Migrator(client).migrate()
            var known = Migration.all
            known[1] = Migration(name: known[1].name, sql: known[1].sql + "-- a harmless word\n")
            known.append(fixture("9000_next", "compatible", "create table hark.next ()"))
            let error = await #expect(throws: HarkError.self) { try await Migrator(client, known: known).migrate() }
            #expect(error?.code == .schemaChanged)
            #expect(error?.message.contains(known[1].name) == true)
            #expect(error?.remedy != nil)
            #expect(try await Migrator(client).applied().count == Self.names.count)
        }
    }

    @Test("what was applied as plain SQL has no checksum until the next migrate fills it in, and is watched from then on")
    func plain() async throws {
        try await withEmptyDatabase { _, client in
            for migration in Migration.all { try await client.script(migration.sql) }
            #expect(try await Migrator(client).applied().allSatisfy { $0.checksum == nil })
            try await SchemaCheck.check(client)
            #expect(try await Migrator(client).migrate() == [])
            let sums = try await Migrator(client).applied().compactMap(\.checksum)
            #expect(Set(sums).count == Self.names.count)
            #expect(try await client.value("select encode(sha256(convert_to($1, 'UTF8')), 'hex')", [.text(Migration.all[0].sql)]) == sums[0])
        }
    }

    @Test("`hark migrate --sql` runs in psql, stops at the first error, and yields the very same schema")
    func psql() async throws {
        try await withEmptyDatabase { database, client in
            let file = TestServer.temporaryPath("migrations")
            try Migrator.plainSQL().write(toFile: file, atomically: true, encoding: .utf8)
            defer { unlink(file) }
            let first = try await database.run("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1"], input: file)
            #expect(first.isSuccess, "\(first.output)")
            #expect(first.output == "", "psql has something to remark")
            let ours = try await TestServer.shared.migrated()
            #expect(try await database.dump() == ours.dump())
            try await ours.drop()
            try await SchemaCheck.check(client)

            let second = try await database.run("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1"], input: file)
            #expect(!second.isSuccess, "a second run must not pass for a success")
            #expect(try await Migrator(client).applied().count == Self.names.count)
        }
    }

    @Test("after an unknown breaking migration neither workers nor migrate go on; after an unknown compatible one both do")
    func unknown() async throws {
        try await withDatabase { database, client in
            try await client.script("insert into hark.migrations (name, compatible) values ('9000_from_the_future', true)")
            #expect(try await Migrator(client).migrate() == [])
            try await TestWorker.with(TestWorker(database.conninfo)) { try await $0.written(try await client.enqueue("noop")) }

            try await client.script("update hark.migrations set compatible = false where name = '9000_from_the_future'")
            let errors = [
                await #expect(throws: HarkError.self) { try await Migrator(client).migrate() },
                await #expect(throws: HarkError.self) { try await TestWorker(database.conninfo).end() },
            ]
            for error in errors {
                #expect(error?.code == .schemaTooNew)
                #expect(error?.message.contains("9000_from_the_future") == true)
                #expect(error?.remedy != nil)
            }
        }
    }

    @Test("a worker on a database without the schema, or with an older one, ends and says what to run")
    func tooOld() async throws {
        try await withEmptyDatabase { database, client in
            func refusal() async -> HarkError? { await #expect(throws: HarkError.self) { try await TestWorker(database.conninfo).end() } }
            let none = await refusal()
            #expect(none?.code == .schemaTooOld)
            #expect(none?.remedy?.contains("hark migrate") == true)

            _ = try await Migrator(client, known: Migration.all.dropLast()).migrate()
            let old = await refusal()
            #expect(old?.code == .schemaTooOld)
            #expect(old?.message.contains(Self.names.last ?? "?") == true)
            #expect(old?.remedy?.contains("hark migrate") == true)

            #expect(try await Migrator(client).migrate() == [Self.names.last])
            try await TestWorker.with(TestWorker(database.conninfo)) { try await $0.written(try await client.enqueue("noop")) }
        }
    }

    @Test("the owner of a database, who is not a superuser, may migrate it")
    func owner() async throws {
        try await withEmptyDatabase { database, client in
            let role = "owner_of_\(database.name)"
            try await client.script("create role \(role) login")
            try await client.script("alter database \(database.name) owner to \(role)")
            let connection = try await Connection.connect(database.conninfo.with("user", role), on: testLoop, timeout: .seconds(30))
            #expect(try await Migrator(connection).migrate() == Self.names)
            await connection.close()
            try await TestWorker.with(TestWorker(database.conninfo.with("user", role))) { try await $0.written(try await client.enqueue("noop")) }
            try await client.script("alter database \(database.name) owner to postgres; reassign owned by \(role) to postgres; drop owned by \(role); drop role \(role)")
        }
    }

    /// A migration of a later version.
    private func fixture(_ name: String, _ kind: String, _ sql: String) -> Migration {
        Migration(name: name, sql: "-- hark: \(kind)\n\(sql);\ninsert into hark.migrations (name, compatible) values ('\(name)', \(kind == "compatible"));\n")
    }

    private func withEmptyDatabase(_ body: (TestDatabase, Connection) async throws -> Void) async throws {
        let database = try await TestServer.shared.database()
        let connection = try await database.connect()
        do { try await body(database, connection) } catch {
            try? await database.drop()
            throw error
        }
        await connection.close()
        try await database.drop()
    }
}
