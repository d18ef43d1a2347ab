import CHarkFiles
@testable import Hark
import HarkMigrations
import PQ
import TestSupport
import Testing

@Suite("Files that ship inside the binary")
struct EmbedTests {
    static let python = ForkServer.parts.sorted().map { "Runners/Python/interpreter/\($0).py" }
    static let statements = (try? Repository.names(in: "Sources/Hark/Store/SQL", ending: ".sql").map { String($0.dropLast(4)) }) ?? []

    @Test("they are the files of the folders, word for word; if not, run scripts/embed")
    func complete() throws {
        var count = 0
        let files = UnsafeBufferPointer(start: hark_files(&count), count: count)
        #expect(try Repository.names(in: "Sources/Hark/Runners/Python/interpreter", ending: ".py") == ForkServer.parts.sorted().map { "\($0).py" })
        let embedded = files.map { String(cString: $0.name) }
        let migrations = try Repository.names(in: "migrations", ending: ".sql").map { "migrations/\($0)" }
        #expect(embedded == migrations + Self.statements.map { "Store/SQL/\($0).sql" } + Self.python)
        for file in files {
            let name = String(cString: file.name)
            let text = String(decoding: UnsafeBufferPointer(start: file.bytes, count: file.size), as: UTF8.self)
            #expect(try text == Repository.text(!name.hasPrefix("migrations/") ? "Sources/Hark/\(name)" : name), "\(name)")
        }
        #expect(!Migration.all.isEmpty && !Migration.grants.isEmpty)
    }

    @Test("each migration says in its first line whether it breaks older workers, and writes that into its row")
    func firstLines() async throws {
        try await withDatabase { _, client in
            let rows = try await client.execute("select name, compatible from hark.migrations order by name")
            #expect(try rows.map { try $0.string(0) } == Migration.all.map(\.name))
            #expect(try rows.map { try $0.bool(1) } == Migration.all.map(\.isCompatible))
            for migration in Migration.all {
                let first = migration.sql.prefix { $0 != "\n" }
                #expect(first == "-- hark: breaking" || first == "-- hark: compatible", "\(migration.name)")
            }
        }
    }

    @Test("each statement can be prepared against the schema, and its header explains each of its parameters")
    func prepare() async throws {
        try await withDatabase { _, client in
            for name in Self.statements {
                let text = try Repository.text("Sources/Hark/Store/SQL/\(name).sql")
                let lines = text.split(separator: "\n")
                let header = lines.prefix { $0.hasPrefix("--") }.joined(separator: "\n")
                #expect(header.count > 40, "\(name) has no header")
                #expect(!lines.contains { !$0.hasPrefix("--") && $0.contains(";") }, "\(name): one statement, without a semicolon")
                let refusal = try await client.refusal(script: "deallocate all; prepare it as\n\(text)")
                #expect(refusal == nil, "\(name)")
                let rows = try await client.execute("select cardinality(parameter_types) from pg_prepared_statements where name = 'it'")
                for number in 0..<(try rows.first?.int(0) ?? 0) {
                    #expect(header.contains("$\(number + 1) "), "\(name) does not explain $\(number + 1)")
                }
            }
        }
    }

    @Test("each statement has a name in Swift, and each name is used")
    func used() throws {
        let swift = try Repository.swift(below: "Sources")
        for file in Self.statements {
            let camel = file.split(separator: "_").enumerated().map { $0.offset == 0 ? String($0.element) : $0.element.prefix(1).uppercased() + $0.element.dropFirst() }.joined()
            let (isNamed, isUsed) = (swift.contains("static let \(camel) = statement(\"\(file)\")"), swift.contains("SQL.\(camel)"))
            #expect(isNamed, "\(file).sql has no name in Swift")
            #expect(isUsed, "SQL.\(camel) is used nowhere")
        }
    }
}
