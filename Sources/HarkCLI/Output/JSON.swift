/// JSON as a value that keeps the order of members and the digits of numbers, which a decoder for types would not.
enum JSON: Equatable {
    case null
    case bool(Bool)
    /// As it was written.
    case number(String)
    case string(String)
    case array([JSON])
    case object([Member])

    struct Member: Equatable {
        var name: String
        var value: JSON
    }

    init(_ text: some StringProtocol) throws(JSONProblem) {
        var parser = JSONParser(Array(text.utf8))
        self = try parser.document()
    }

    /// UTF-8 text.
    init(_ bytes: [UInt8]) throws(JSONProblem) {
        var parser = JSONParser(bytes)
        self = try parser.document()
    }

    subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var string: String? { if case .string(let text) = self { text } else { nil } }
    var int: Int64? { if case .number(let text) = self { Int64(text) } else { nil } }
    var double: Double? { if case .number(let text) = self { Double(text) } else { nil } }
    var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }

    // MARK: Making

    static func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    static func number(_ value: (some BinaryInteger)?) -> JSON { value.map { .number("\($0)") } ?? .null }
    static func number(_ value: Double?) -> JSON { value.map { $0.isFinite ? .number("\($0)") : .null } ?? .null }
    static func object(_ members: KeyValuePairs<String, JSON>) -> JSON { .object(members.map { Member(name: $0.key, value: $0.value) }) }

    // MARK: Writing

    /// On one line, as PostgreSQL writes jsonb: `{"a": [1, 2]}`.
    var line: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let text): text
        case .string(let text): Self.quoted(text)
        case .array(let elements): "[" + elements.map(\.line).joined(separator: ", ") + "]"
        case .object(let members): "{" + members.map { "\(Self.quoted($0.name)): \($0.value.line)" }.joined(separator: ", ") + "}"
        }
    }

    /// On several lines, two blanks for each level; what fits on a line of 80 stays on one.
    func pretty(indent: String = "") -> String {
        let short = line
        if Terminal.columns(short) + indent.count <= 80 { return short }
        let inner = indent + "  "
        switch self {
        case .array(let elements) where !elements.isEmpty:
            return "[\n" + elements.map { inner + $0.pretty(indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members) where !members.isEmpty:
            return "{\n" + members.map { "\(inner)\(Self.quoted($0.name)): \($0.value.pretty(indent: inner))" }.joined(separator: ",\n") + "\n\(indent)}"
        default: return short
        }
    }

    /// What a listing prints with `--json`: an array with one line for each element.
    static func listing(_ elements: [JSON]) -> String {
        elements.isEmpty ? "[]" : "[\n" + elements.map { "  " + $0.line }.joined(separator: ",\n") + "\n]"
    }

    /// Whatever a terminal could take for a command is escaped too.
    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case "\r": out += "\\r"
            case _ where Harmless.isHarmful(scalar):
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

/// Why a text is not JSON.
struct JSONProblem: Error, Equatable, CustomStringConvertible {
    var description: String
}
