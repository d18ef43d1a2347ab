/// How long functions take, learned from those that have run: what decides how many tasks are kept in hand.
///
/// A task in hand that waits for an interpreter could run on another worker, so there should be few; but a function that
/// takes microseconds would have its interpreter wait for every round trip to the database. So as many are kept as take
/// `ahead` together, and only what is known to be short is handed to an interpreter that has something to do.
struct Pace {
    /// What an interpreter may have waiting in hand, in nanoseconds.
    static let ahead = 50_000_000.0
    static let mostAhead = 256
    /// A function that takes longer than this is never handed ahead.
    static let short = 5_000_000.0
    /// Handed to one interpreter at a time: what takes so long together, and no more bytes than this.
    static let handed = 10_000_000.0
    static let mostHanded = 128
    static let mostBytes = 64 << 10

    private struct Known {
        var mean: Double
        var runs: Int
    }

    private var functions: [String: Known] = [:]
    /// Of all functions, the latest weighing most.
    private var mean: Double?

    mutating func note(_ function: String, nanoseconds: Int64) {
        let time = Double(max(nanoseconds, 0))
        mean = mean.map { $0 + (time - $0) / 8 } ?? time
        if var known = functions[function] {
            guard known.mean.isFinite else { return }
            // One that was long is trusted again only slowly.
            known.mean = max(time, known.mean + (time - known.mean) / 8)
            known.runs += 1
            functions[function] = known
        } else {
            if functions.count >= 1_000 { functions.removeAll() }
            functions[function] = Known(mean: time, runs: 1)
        }
    }

    /// It has started processes, which are tidied away before anything else begins.
    mutating func noteSpawn(_ function: String) { functions[function] = Known(mean: .infinity, runs: 0) }

    /// How long it will take, if it is known to be short.
    func expected(_ function: String) -> Double? {
        guard let known = functions[function], known.runs >= 3, known.mean <= Self.short else { return nil }
        return known.mean
    }

    /// How many tasks each interpreter should have in hand.
    var depth: Int {
        guard let mean, mean < Self.ahead else { return 1 }
        return min(max(Int(Self.ahead / max(mean, 1)), 2), Self.mostAhead)
    }
}
