internal import Glibc

/// Points in time, as seconds since 1970, in words and in ISO 8601.
enum Moment {
    /// The clock of this machine. Compare it with the server's only to show their difference.
    static var here: Double {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }

    /// `3 s ago`, `in 5 min`.
    static func relative(_ moment: Double, now: Double) -> String {
        let distance = now - moment
        if abs(distance) < 1 { return "now" }
        if distance > 0 { return "\(duration(distance)) ago" }
        // What is an hour off is not 59 minutes off because a moment has passed since.
        return "in \(duration(distance < -60 ? 30 - distance : -distance))"
    }

    /// `12 ms`, `3.4 s`, `2 min`, `5 h`, `3 days`: one number, rounded down so that nothing seems older than it is.
    static func duration(_ seconds: Double) -> String {
        switch seconds {
        case ..<0.001: return "<1 ms"
        case ..<1: return "\(Int(seconds * 1_000)) ms"
        case ..<10:
            let tenths = Int(seconds * 10)
            return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
        case ..<120: return "\(Int(seconds)) s"
        case ..<7_200: return "\(Int(seconds / 60)) min"
        case ..<172_800: return "\(Int(seconds / 3_600)) h"
        case ..<1e12: return "\(Int(seconds / 86_400)) days"
        default: return "ages"
        }
    }

    /// `2026-01-31T09:00:00.000123Z`: what `--json` says, whatever the zone of the session.
    static func iso(_ moment: Double) -> String {
        let micros = Int64((moment * 1e6).rounded())
        let (seconds, fraction) = (micros.quotient(floor: 1_000_000), micros - micros.quotient(floor: 1_000_000) * 1_000_000)
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        let digits = "\(fraction)"
        return format(parts, "%Y-%m-%dT%H:%M:%S") + "." + String(repeating: "0", count: 6 - digits.count) + digits + "Z"
    }

    /// `2026-01-31 10:00:00 CET`, in the zone of whoever reads it.
    static func local(_ moment: Double) -> String {
        var time = time_t(moment.rounded(.down))
        var parts = tm()
        localtime_r(&time, &parts)
        return format(parts, "%Y-%m-%d %H:%M:%S %Z")
    }

    /// Reads what PostgreSQL writes into JSON: `2026-01-31T09:00:00.123+01:00`. nil for anything else (`infinity`).
    static func parse(_ text: String) -> Double? {
        // Year, month, day, hour, minute, second.
        var parts = tm()
        var zone = Substring(text)
        var numbers: [CInt] = []
        for separator in ["-", "-", "T", ":", ":", ""] {
            let digits = zone.prefix(while: \.isNumber)
            guard let number = CInt(digits) else { return nil }
            numbers.append(number)
            zone = zone.dropFirst(digits.count)
            guard zone.hasPrefix(separator) else { return nil }
            zone = zone.dropFirst(separator.count)
        }
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (numbers[0] - 1_900, numbers[1] - 1, numbers[2])
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (numbers[3], numbers[4], numbers[5])
        var fraction = 0.0
        if zone.hasPrefix(".") {
            let digits = zone.dropFirst().prefix { $0.isNumber }
            fraction = Double("0.\(digits)") ?? 0
            zone = zone.dropFirst(1 + digits.count)
        }
        guard let sign = zone.first else { return nil }
        var offset = 0
        if sign != "Z" {
            let fields = zone.dropFirst().split(separator: ":").compactMap { Int($0) }
            guard sign == "+" || sign == "-", let hours = fields.first else { return nil }
            offset = hours * 3_600 + (fields.count > 1 ? fields[1] * 60 : 0) + (fields.count > 2 ? fields[2] : 0)
            if sign == "-" { offset = -offset }
        }
        return Double(timegm(&parts) - offset) + fraction
    }

    private static func format(_ parts: tm, _ pattern: String) -> String {
        var parts = parts
        var buffer = [CChar](repeating: 0, count: 64)
        let count = strftime(&buffer, buffer.count, pattern, &parts)
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension Int64 {
    fileprivate func quotient(floor divisor: Int64) -> Int64 { self / divisor - (self % divisor < 0 ? 1 : 0) }
}
