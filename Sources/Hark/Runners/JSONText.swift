/// Whether bytes that somebody else printed are JSON that a jsonb column takes, found by one walk over them.
///
/// PostgreSQL is a little stricter than RFC 8259: no `\u0000`, no half surrogate pairs, no number beyond the range of
/// `numeric`, no endless nesting. What it would refuse must be found here, because a refused outcome would come back again
/// and again.
struct JSONText {
    /// Where `\u0000` is written in the text (the index of the backslash): legal JSON, but not for PostgreSQL.
    private(set) var nulls: [Int] = []

    private static let deepest = 500
    private let bytes: [UInt8]
    private var at = 0

    /// Nil if the bytes are not one JSON value that PostgreSQL would take, `\u0000` aside.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        guard String(validating: bytes, as: UTF8.self) != nil, value(0) else { return nil }
        space()
        guard at == bytes.count else { return nil }
    }

    /// The text with each `\u0000` replaced by the replacement character U+FFFD.
    var storable: [UInt8] {
        var text = bytes
        for index in nulls { text.replaceSubrange(index..<index + 6, with: #"\ufffd"#.utf8) }
        return text
    }

    /// A JSON string of the text, with NUL replaced by U+FFFD.
    static func quote(_ text: String) -> [UInt8] {
        var quoted: [UInt8] = [UInt8(ascii: "\"")]
        quoted.reserveCapacity(text.utf8.count + 2)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): quoted += #"\""#.utf8
            case UInt8(ascii: "\\"): quoted += #"\\"#.utf8
            case UInt8(ascii: "\n"): quoted += #"\n"#.utf8
            case UInt8(ascii: "\r"): quoted += #"\r"#.utf8
            case UInt8(ascii: "\t"): quoted += #"\t"#.utf8
            case 0: quoted += #"\ufffd"#.utf8
            case ..<0x20:
                let hex = String(byte, radix: 16)
                quoted += (#"\u00"# + (hex.utf8.count < 2 ? "0" : "") + hex).utf8
            default: quoted.append(byte)
            }
        }
        quoted.append(UInt8(ascii: "\""))
        return quoted
    }

    // MARK: The walk

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func space() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func skip(_ byte: Character) -> Bool {
        guard let ascii = byte.asciiValue, next == ascii else { return false }
        at += 1
        return true
    }

    private mutating func word(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard at + count <= bytes.count else { return false }
        for index in 0..<count where bytes[at + index] != word.utf8Start[index] { return false }
        at += count
        return true
    }

    private mutating func value(_ depth: Int) -> Bool {
        space()
        switch next {
        case UInt8(ascii: "{"): return depth < Self.deepest && object(depth)
        case UInt8(ascii: "["): return depth < Self.deepest && list(depth)
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "t"): return word("true")
        case UInt8(ascii: "f"): return word("false")
        case UInt8(ascii: "n"): return word("null")
        default: return number()
        }
    }

    private mutating func object(_ depth: Int) -> Bool {
        at += 1
        space()
        if skip("}") { return true }
        repeat {
            space()
            guard string() else { return false }
            space()
            guard skip(":"), value(depth + 1) else { return false }
            space()
        } while skip(",")
        return skip("}")
    }

    private mutating func list(_ depth: Int) -> Bool {
        at += 1
        space()
        if skip("]") { return true }
        repeat {
            guard value(depth + 1) else { return false }
            space()
        } while skip(",")
        return skip("]")
    }

    private mutating func digits() -> Int {
        let start = at
        while let byte = next, byte >= 0x30, byte <= 0x39 { at += 1 }
        return at - start
    }

    private mutating func number() -> Bool {
        _ = skip("-")
        let zero = next == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0, whole == 1 || !zero, whole <= 10_000 else { return false }
        if skip(".") {
            let fraction = digits()
            guard fraction > 0, fraction <= 10_000 else { return false }
        }
        if skip("e") || skip("E") {
            if !skip("+") { _ = skip("-") }
            let exponent = digits()
            guard exponent > 0, exponent <= 3 else { return false }
        }
        return true
    }

    private mutating func string() -> Bool {
        guard skip("\"") else { return false }
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return true
            case UInt8(ascii: "\\"): guard escape() else { return false }
            case ..<0x20: return false
            default: break
            }
        }
        return false
    }

    private mutating func escape() -> Bool {
        guard let letter = next else { return false }
        at += 1
        guard letter == UInt8(ascii: "u") else { return "\"\\/bfnrt".utf8.contains(letter) }
        guard let unit = hex() else { return false }
        switch unit {
        case 0:
            nulls.append(at - 6)
            return true
        case 0xDC00...0xDFFF: return false
        case 0xD800...0xDBFF:
            guard skip("\\"), skip("u"), let low = hex() else { return false }
            return (0xDC00...0xDFFF).contains(low)
        default: return true
        }
    }

    private mutating func hex() -> UInt16? {
        guard at + 4 <= bytes.count else { return nil }
        var unit: UInt16 = 0
        for byte in bytes[at..<at + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        at += 4
        return unit
    }
}
