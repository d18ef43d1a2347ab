extension AttemptError {
    static let longestMessage = 4_000
    static let longestDetail = 16_000

    /// What the statements take: kind, message, detail. The database adds when, which attempt and which worker.
    var json: [UInt8] {
        var members: [(String, [UInt8])] = [
            ("kind", JSONText.quote(kind.rawValue)), ("message", JSONText.quote(String(message.prefix(Self.longestMessage)))),
        ]
        // The end of a traceback says more than its beginning.
        if let detail { members.append(("detail", JSONText.quote(String(detail.suffix(Self.longestDetail))))) }
        return JSONText.object(members)
    }
}

extension JSONText {
    /// An object of values that are JSON text already.
    static func object(_ members: [(String, [UInt8])]) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "{")]
        for (index, (name, value)) in members.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            out += quote(name) + [UInt8(ascii: ":")] + value
        }
        out.append(UInt8(ascii: "}"))
        return out
    }
}
