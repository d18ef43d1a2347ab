import FoundationEssentials
import Glibc
import TestSupport
import Testing

// What the migrations add up to, as one file that people can read and reviews can compare: `schema.sql`. It was written by
// PostgreSQL 15; other versions of pg_dump write the same schema in other words.

@Suite("The schema as a whole")
struct DumpTests {
    static let file = "Tests/HarkTests/Schema/schema.sql"

    @Test(
        "the migrations yield the schema that is committed",
        .enabled("NOT COMPARED: schema.sql is in the words of PostgreSQL 15, and this server has another version") { try await TestServer.shared.database().majorVersion() == 15 })
    func committed() async throws {
        let database = try await TestServer.shared.migrated()
        let dump = try await database.dump()
        try await database.drop()
        if getenv("HARK_WRITE_SCHEMA") != nil { try dump.write(toFile: "\(Repository.root)/\(Self.file)", atomically: true, encoding: .utf8) }
        let committed = (try? Repository.text(Self.file)) ?? ""
        guard dump != committed else { return }
        let (new, old) = (dump.split(separator: "\n"), committed.split(separator: "\n"))
        let differing = new.difference(from: old).prefix(20).map { change in
            switch change {
            case .insert(_, let line, _): "+ \(line)"
            case .remove(_, let line, _): "- \(line)"
            }
        }
        Issue.record(
            """
            The migrations do not yield \(Self.file). If that is meant, run HARK_WRITE_SCHEMA=1 swift test --filter DumpTests, and commit the file.
            \(differing.joined(separator: "\n"))
            """)
    }
}
