/// Reads JSON (RFC 8259).
struct JSONParser {
    private let bytes: [UInt8]
    private var at = 0
    /// PostgreSQL refuses deeper ones as well, at about 6,000.
    private static let deepest = 500

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONProblem) -> JSON {
        let value = try value(depth: 0)
        skipBlanks()
        guard at == bytes.count else { throw problem("there is something after the end of the value") }
        return value
    }

    private func problem(_ what: String) -> JSONProblem { JSONProblem(description: "\(what), at character \(at + 1)") }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    /// Takes this byte if it comes next.
    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: scalar) else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONProblem) -> JSON {
        guard depth < Self.deepest else { throw problem("it is nested more than \(Self.deepest) deep") }
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte): return try number()
        case nil: throw problem("it ends where a value should be")
        default: throw problem("a value should be here (texts need double quotes)")
        }
    }

    private mutating func word(_ text: String, _ value: JSON) throws(JSONProblem) -> JSON {
        guard bytes[at...].starts(with: text.utf8) else { throw problem("a value should be here (texts need double quotes)") }
        at += text.utf8.count
        return value
    }

    private mutating func digits() throws(JSONProblem) {
        let first = at
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
        if at == first { throw problem("a digit should be here") }
    }

    private mutating func number() throws(JSONProblem) -> JSON {
        let first = at
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("-") { _ = take("+") }
            try digits()
        }
        return .number(String(decoding: bytes[first..<at], as: UTF8.self))
    }

    private mutating func array(_ depth: Int) throws(JSONProblem) -> JSON {
        at += 1
        var elements: [JSON] = []
        skipBlanks()
        if take("]") { return .array([]) }
        repeat {
            elements.append(try value(depth: depth + 1))
            skipBlanks()
        } while take(",")
        guard take("]") else { throw problem("a comma or ] should be here") }
        return .array(elements)
    }

    private mutating func object(_ depth: Int) throws(JSONProblem) -> JSON {
        at += 1
        var members: [JSON.Member] = []
        skipBlanks()
        if take("}") { return .object([JSON.Member]()) }
        repeat {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw problem("a name in double quotes should be here") }
            let name = try string()
            skipBlanks()
            guard take(":") else { throw problem("a colon should be here") }
            members.append(JSON.Member(name: name, value: try value(depth: depth + 1)))
            skipBlanks()
        } while take(",")
        guard take("}") else { throw problem("a comma or } should be here") }
        return .object(members)
    }

    private mutating func string() throws(JSONProblem) -> String {
        at += 1
        var out: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return String(decoding: out, as: UTF8.self)
            case UInt8(ascii: "\\"):
                at += 1
                out += try escape()
            case 0..<0x20: throw problem("a control character must be written as an escape")
            default:
                out.append(byte)
                at += 1
            }
        }
        throw problem("the text has no closing quote")
    }

    private mutating func escape() throws(JSONProblem) -> [UInt8] {
        let escaped: [UInt8: UInt8] = [
            UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C,
            UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
        ]
        guard let byte = next else { throw problem("the text has no closing quote") }
        at += 1
        if let plain = escaped[byte] { return [plain] }
        guard byte == UInt8(ascii: "u") else { throw problem("there is no such escape") }
        var units = [try unit()]
        if UTF16.isLeadSurrogate(units[0]), bytes[at...].starts(with: "\\u".utf8) {
            at += 2
            units.append(try unit())
        }
        return Array(String(decoding: units, as: UTF16.self).utf8)
    }

    private mutating func unit() throws(JSONProblem) -> UInt16 {
        let digits = bytes[at..<min(at + 4, bytes.count)]
        guard digits.count == 4, let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16) else { throw problem("four hexadecimal digits should be here") }
        at += 4
        return unit
    }
}
