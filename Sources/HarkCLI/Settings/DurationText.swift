/// Durations as people write them: `500ms`, `1.5s`, `5m`, `1h30m`, `2d`.
enum DurationText {
    /// What is valid, for error messages.
    static let examples = "500ms, 30s, 5m, 2h or 1h30m"

    private static let units: KeyValuePairs<String, Double> = ["ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400]

    /// nil when it is not a duration. Never negative, at most 100 years.
    static func parse(_ text: some StringProtocol) -> Duration? {
        var rest = Substring(text)
        var seconds = 0.0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let word = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(word.count)
            guard let amount = Double(number), let unit = units.first(where: { $0.key == word }) else { return nil }
            seconds += amount * unit.value
        }
        return seconds <= 100 * 365.25 * 86_400 ? .milliseconds((seconds * 1_000).rounded()) : nil
    }

    /// In the same manner: `5s`, `1h30m`.
    static func format(_ duration: Duration) -> String {
        var milliseconds = duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
        if milliseconds < 1_000 { return "\(milliseconds)ms" }
        var text = ""
        for (unit, size) in [("d", Int64(86_400_000)), ("h", 3_600_000), ("m", 60_000)] where milliseconds >= size {
            text += "\(milliseconds / size)\(unit)"
            milliseconds %= size
        }
        if milliseconds % 1_000 != 0 { return text + "\(Double(milliseconds) / 1_000)s" }
        return milliseconds > 0 ? text + "\(milliseconds / 1_000)s" : text
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
