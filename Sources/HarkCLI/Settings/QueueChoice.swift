/// `NAME` or `NAME=SLOTS`, as `--queue` takes it.
struct QueueChoice: Equatable, Sendable {
    static let slots = 1...10_000

    var name: String
    var slotsWanted: Int?

    /// - Throws: `SettingProblem` with a sentence.
    init(_ text: String) throws(SettingProblem) {
        func problem(_ what: String) -> SettingProblem { SettingProblem(origin: .flag("--queue"), message: "--queue \(Harmless.line(text)): \(what)") }
        // A queue's name may have an equals sign in it; slots are what follows the last one.
        guard let sign = text.lastIndex(of: "=") else {
            guard (1...100).contains(text.count) else { throw problem("the name of a queue has 1 to 100 characters") }
            name = text
            return
        }
        name = String(text[..<sign])
        guard (1...100).contains(name.count) else { throw problem("the name of a queue has 1 to 100 characters") }
        guard let slots = Int(text[text.index(after: sign)...]), Self.slots.contains(slots) else {
            throw problem("slots are a number from \(Self.slots.lowerBound) to \(Self.slots.upperBound), as in --queue \(Harmless.line(name))=10")
        }
        slotsWanted = slots
    }
}
