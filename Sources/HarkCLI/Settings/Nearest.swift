/// The name that somebody may have meant.
enum Nearest {
    /// The most similar of the valid names; nil when none is similar.
    static func name(to given: String, among valid: some Sequence<String>) -> String? {
        let scored = valid.map { (name: $0, distance: distance(given.lowercased(), $0.lowercased())) }
        guard let best = scored.min(by: { $0.distance < $1.distance }), best.distance <= max(2, given.count / 3) else { return nil }
        return best.name
    }

    /// How many letters must be added, taken away, replaced or swapped with their neighbour (optimal string alignment).
    static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a), Array(b))
        var before: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, before[j - 1] + 1) }
                row.append(best)
            }
            (before, last) = (last, row)
        }
        return last[b.count]
    }
}
