/// JSON text made by hand, where Codable would be too much.
enum JSONText {
    /// A JSON string. NUL, which PostgreSQL's jsonb can not hold, becomes U+FFFD.
    static func string(_ text: String) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "\"")]
        out.reserveCapacity(text.utf8.count + 2)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 0: out += [0xEF, 0xBF, 0xBD]
            case UInt8(ascii: "\n"): out += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 1..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                out += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
        return out
    }

    /// An object of values that are JSON text already.
    static func object(_ members: [(String, [UInt8])]) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "{")]
        for (index, (name, value)) in members.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            out += string(name) + [UInt8(ascii: ":")] + value
        }
        out.append(UInt8(ascii: "}"))
        return out
    }
}

extension AttemptError {
    static let longestMessage = 4_000
    static let longestDetail = 16_000

    /// What the statements take: kind, message, detail. The database adds when, which attempt and which worker.
    var json: [UInt8] {
        var members: [(String, [UInt8])] = [
            ("kind", JSONText.string(kind.rawValue)), ("message", JSONText.string(String(message.prefix(Self.longestMessage)))),
        ]
        // The end of a traceback says more than its beginning.
        if let detail { members.append(("detail", JSONText.string(String(detail.suffix(Self.longestDetail))))) }
        return JSONText.object(members)
    }
}
