import FoundationEssentials
import Hark
import HarkMigrations
import Testing

@testable import HarkCLI

/// What the documentation says that can be compared with the code. Its commands are run by scripts/check-docs.
@Suite("Documentation")
struct DocumentationTests {
    @Test("every link leads to a file and a heading that are there")
    func links() throws {
        for page in try Page.all() {
            for link in page.links where !link.contains("://") {
                let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                let path = parts[0].isEmpty ? page.path : page.folder + parts[0]
                guard FileManager.default.fileExists(atPath: Page.root + path) else {
                    Issue.record("\(page.path) links to \(link), which is not there")
                    continue
                }
                if parts.count > 1 { #expect(try Page(path).anchors.contains(parts[1]), "\(page.path) links to \(link)") }
            }
        }
    }

    @Test("every test that Guarantees.md names is there")
    func guarantees() throws {
        let tests = try Page.files(in: "Tests", ending: ".swift").map { try Page.text($0) }.joined()
        let named = try Page("Documentation/Guarantees.md").text.split(separator: "“").dropFirst().compactMap { $0.split(separator: "”").first }
        #expect(named.count > 20)
        for name in named { #expect(tests.contains("\"\(name)\""), "there is no test “\(name)”") }
    }

    @Test("every error code, setting, verb and column has its place")
    func complete() throws {
        let errors = try Page("Documentation/Errors.md")
        let codes = try Page.text("Sources/Hark/Model/HarkError.swift").split(separator: "Code(name: \"").dropFirst().compactMap { $0.split(separator: "\"").first }
        #expect(codes.count >= 8)
        for code in codes { #expect(errors.anchors.contains(String(code)), "Errors.md lacks \(code)") }

        let configuration = try Page("Documentation/Configuration.md")
        for key in Configuration.keys { #expect(configuration.anchors.contains(key), "Configuration.md lacks \(key)") }
        for key in Configuration.queueKeys + Configuration.functionKeys { #expect(configuration.text.contains("| `\(key)` |"), "Configuration.md lacks \(key)") }

        let commands = try Page("Documentation/CommandLine.md")
        let verbs = try Page.files(in: "Sources/HarkCLI/Verbs", ending: ".swift").flatMap { file in
            try Page.text(file).split(separator: "commandName: \"").dropFirst().compactMap { $0.split(separator: "\"").first }
        }
        #expect(verbs.count >= 12)
        for verb in verbs { #expect(commands.anchors.contains(String(verb)), "CommandLine.md lacks \(verb)") }

        let enqueueing = try Page("Documentation/Enqueueing.md").text
        let table = try #require(Migration.all[0].sql.split(separator: "create table hark.tasks (").dropFirst().first?.split(separator: "\n)").first)
        let columns = table.split(separator: "\n").compactMap { $0.split(separator: " ").first }.filter { $0.first?.isLetter == true }
        #expect(columns.count == 21)
        for column in columns { #expect(enqueueing.contains("`\(column)`"), "Enqueueing.md lacks \(column)") }
    }

    @Test("the pauses in Retries.md are those of the policy")
    func retries() throws {
        let row = try #require(try Page("Documentation/Retries.md").text.split(separator: "\n").first { $0.hasPrefix("| pause") })
        let cells = row.split(separator: "|").dropFirst().map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
        var random = SystemRandomNumberGenerator()
        let policy = RetryPolicy(jitter: 0)
        for (index, cell) in cells.enumerated() {
            let seconds = policy.delay(afterAttempt: index + 1, using: &random).inSeconds
            let units: [(String, Double)] = [("min", 60), ("h", 3_600), ("s", 1)]
            let unit = try #require(units.first { cell.hasSuffix($0.0) })
            let value = try #require(Double(cell.dropLast(unit.0.count)))
            #expect(abs(value * unit.1 - seconds) < seconds * 0.02, "after attempt \(index + 1): \(cell)")
        }
        #expect(cells.count == 9)
    }

    @Test("the Swift of the documentation is code that compiles")
    func swift() throws {
        let compiled = Set(try Page.text("Tests/HarkCLITests/DocumentedCode.swift").split(separator: "\n").map { Page.trimmed(String($0)) })
        var blocks = 0
        for page in try Page.all() {
            for block in page.blocks("swift") {
                blocks += 1
                for line in block where !line.isEmpty {
                    let isCompiled = compiled.contains(Page.trimmed(line))
                    #expect(isCompiled, "\(page.path): \(line)")
                }
            }
        }
        #expect(blocks >= 2)
    }

    @Test("the configuration files of the documentation can be used")
    func toml() throws {
        for page in try Page.all() {
            for block in page.blocks("toml") {
                let file = try ConfigurationFile(path: page.path, text: block.joined(separator: "\n"))
                _ = try Configuration(SettingReader(flags: [:], environment: [:], file: file), queues: [], hostname: "machine")
            }
        }
    }

    @Test("the README stays short")
    func short() throws {
        #expect(try Page("README.md").text.split(separator: "\n", omittingEmptySubsequences: false).count < 250)
    }
}

/// One Markdown file.
struct Page {
    static let root = String(#filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }) + "/"

    let path: String
    let text: String

    init(_ path: String) throws {
        self.path = path
        text = try Self.text(path)
    }

    static func all() throws -> [Page] {
        let names = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "migrations/README.md"] + (try files(in: "Documentation", ending: ".md"))
        return try names.map { try Page($0) }
    }

    static func files(in folder: String, ending: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: root + folder).filter { $0.hasSuffix(ending) }.sorted().map { "\(folder)/\($0)" }
    }

    static func text(_ path: String) throws -> String { try String(contentsOfFile: root + path, encoding: .utf8) }

    /// Without the white space before and after.
    static func trimmed(_ line: String) -> String {
        String(String(line.drop(while: \.isWhitespace).reversed()).drop(while: \.isWhitespace).reversed())
    }

    /// Links count from here.
    var folder: String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "" }

    /// The lines of each block of a language.
    func blocks(_ language: String) -> [[String]] {
        var blocks: [[String]] = []
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```\(language)" {
                isInside = true
                blocks.append([])
            } else if line == "```" {
                isInside = false
            } else if isInside {
                blocks[blocks.count - 1].append(String(line))
            }
        }
        return blocks
    }

    /// The targets of [words](target).
    var links: [String] { text.split(separator: "](").dropFirst().compactMap { $0.split(separator: ")").first.map(String.init) } }

    /// What can stand behind a #: headings as GitHub names them, and names given by hand.
    var anchors: Set<String> {
        var anchors = Set(text.split(separator: "<a name=\"").dropFirst().compactMap { $0.split(separator: "\"").first.map(String.init) })
        for line in text.split(separator: "\n") where line.hasPrefix("#") {
            let words = line.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
            anchors.insert(String(words.compactMap { $0 == " " ? "-" : $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : nil }))
        }
        return anchors
    }
}
