internal import Glibc
internal import TOMLKit

/// The configuration file: TOML, read into a tree of JSON values, which knows the line of each key.
struct ConfigurationFile {
    let path: String
    let root: JSON
    private let lines: [[String]: Int]

    /// - Throws: `SettingProblem` when it cannot be read or is not TOML.
    init(path: String) throws(SettingProblem) {
        guard let text = readText(path) else {
            throw SettingProblem(origin: .file(path, line: nil), message: "the configuration file cannot be read: \(String(cString: strerror(errno)))")
        }
        try self.init(path: path, text: text)
    }

    init(path: String, text: String) throws(SettingProblem) {
        self.path = path
        lines = Self.lines(of: text)
        do {
            let table = try TOMLTable(string: text)
            root = try JSON(table.convert(to: .json, options: [.quoteDateAndTimes, .quoteInfinitesAndNaNs, .allowUnicodeStrings]))
        } catch let error as TOMLParseError {
            let line = error.source.begin.line
            let hint = Self.lacksQuotes(text, line) ? "; a text has to be in double quotes" : ""
            throw SettingProblem(origin: .file(path, line: line), message: "this is not TOML: \(error.description)\(hint)")
        } catch {
            throw SettingProblem(origin: .file(path, line: nil), message: "this is not TOML: \(error)")
        }
    }

    /// Whether the value in this line is a bare word, a path or a duration: the mistake that people make.
    private static func lacksQuotes(_ text: String, _ number: Int) -> Bool {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.indices.contains(number - 1), let equals = lines[number - 1].firstIndex(of: "=") else { return false }
        let value = lines[number - 1][equals...].dropFirst().drop { $0 == " " || $0 == "\t" }
        return value.first.map { !"\"'[{".contains($0) } ?? false && value.contains { $0.isLetter || $0 == "/" }
    }

    func origin(of key: [String]) -> Origin { .file(path, line: lines[key]) }

    subscript(key: [String]) -> JSON? {
        var value: JSON? = root
        for name in key { value = value?[name] }
        return value
    }

    /// Where each key and each [table] stands. Only as good as a look at single lines can be; it serves the messages, not the values.
    private static func lines(of text: String) -> [[String]: Int] {
        var found: [[String]: Int] = [:]
        var table: [String] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.drop { $0 == " " || $0 == "\t" }
            var key: [String]
            if line.hasPrefix("["), !line.hasPrefix("[[") {
                table = names(line.dropFirst(), until: "]")
                key = table
            } else {
                key = table + names(line, until: "=")
                if key.count == table.count { continue }
            }
            if found[key] == nil { found[key] = index + 1 }
            // The table of a dotted key begins where its first key stands.
            while key.count > 1 {
                key.removeLast()
                if found[key] == nil { found[key] = index + 1 }
            }
        }
        return found
    }

    /// The names of a dotted key, with or without quotes; none when the line has no `end`.
    private static func names(_ line: Substring, until end: Character) -> [String] {
        var names: [String] = []
        var name = ""
        var quote: Character?
        for character in line {
            if let open = quote {
                if character == open { quote = nil } else { name.append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == "." || character == end {
                names.append(name)
                name = ""
                if character == end { return names }
            } else if character == "#" {
                return []
            } else if character != " " && character != "\t" {
                name.append(character)
            }
        }
        return []
    }
}

/// A whole file as text; nil, with errno, when it cannot be read.
func readText(_ path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return ferror(file) == 0 ? String(decoding: bytes, as: UTF8.self) : nil
}
