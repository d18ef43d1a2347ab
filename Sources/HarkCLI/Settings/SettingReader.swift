/// Reads one setting after the other from flags, environment and file, in this order, and checks each.
///
/// It notes every key it was asked for, so that what the file has besides can be refused with the nearest valid name.
struct SettingReader {
    /// A value as it was given, before it is known to be good.
    struct Given {
        var value: JSON
        var origin: Origin
        /// The last part of the key, or the name of the variable: how the message calls it.
        var name: String

        /// From a flag or the environment, where everything is text.
        var isText: Bool { if case .file = origin { false } else { true } }

        /// - Parameter quoting: false where the value may hold secrets of others: an environment.
        func problem(_ what: String, quoting: Bool = true) -> SettingProblem {
            guard quoting else { return SettingProblem(origin: origin, message: "\(name) is not valid: \(Harmless.line(what))") }
            // A flag and a variable are called by their names; in a file the line has been named already.
            let shown = isText ? "\(name)=\(value.string ?? value.line)" : "\(name) = \(value.line)"
            return SettingProblem(origin: origin, message: "\(Harmless.line(shown)) \(what)")
        }
    }

    /// By key: the flag's name and its value.
    var flags: [String: (name: String, value: String)]
    var environment: [String: String]
    var file: ConfigurationFile?

    /// `poll_interval` is HARK_POLL_INTERVAL in the environment.
    static func variable(_ key: String) -> String { "HARK_" + key.uppercased() }

    /// - Parameter variables: looked at in this order; an empty one counts as not set.
    func given(_ key: String, variables: [String]? = nil) -> Given? {
        if let flag = flags[key] { return Given(value: .string(flag.value), origin: .flag(flag.name), name: flag.name) }
        for name in variables ?? [Self.variable(key)] {
            if let value = environment[name], !value.isEmpty { return Given(value: .string(value), origin: .environment(name), name: name) }
        }
        return given(inFile: [key])
    }

    func given(inFile key: [String]) -> Given? {
        guard let file, let value = file[key] else { return nil }
        return Given(value: value, origin: file.origin(of: key), name: key.last ?? "")
    }

    func read<Value: Sendable>(_ key: String, default builtIn: Value, _ check: (Given) throws(SettingProblem) -> Value) throws(SettingProblem) -> Sourced<Value> {
        guard let given = given(key) else { return Sourced(value: builtIn, origin: .builtIn) }
        // What the file says is checked also while a flag or a variable hides it: it would be found wrong at a worse moment.
        if given.isText, let hidden = self.given(inFile: [key]) { _ = try check(hidden) }
        return Sourced(value: try check(given), origin: given.origin)
    }

    /// The members of a table of the file, for example of [queues]; empty when it is not there.
    func members(_ key: [String]) throws(SettingProblem) -> [JSON.Member] {
        guard let given = given(inFile: key) else { return [] }
        guard case .object(let members) = given.value else { throw given.problem("is not a table") }
        return members
    }

    /// - Throws: `SettingProblem` for the first key of the table that is not among the valid ones.
    func refuseUnknown(in table: [String], valid: [String]) throws(SettingProblem) {
        guard let file else { return }
        for member in table.isEmpty ? topMembers : try members(table) where !valid.contains(member.name) {
            let key = table + [member.name]
            let name = Harmless.line(key.joined(separator: "."))
            let nearest = Nearest.name(to: member.name, among: valid).map { "; did you mean \($0)?" } ?? "; there are \(valid.joined(separator: ", "))"
            throw SettingProblem(origin: file.origin(of: key), message: "there is no setting \(name)\(nearest)")
        }
    }

    private var topMembers: [JSON.Member] { if case .object(let members) = file?.root { members } else { [] } }
}

// What a value may be.
extension SettingReader.Given {
    func text(_ length: ClosedRange<Int> = 1...4_096) throws(SettingProblem) -> String {
        guard let text = value.string else { throw problem("is not a text: put it in double quotes") }
        guard length.contains(text.count) else { throw problem("has \(text.count) characters; \(length.lowerBound) to \(length.upperBound) are valid") }
        guard !text.unicodeScalars.contains("\0") else { throw problem("has a NUL character in it") }
        return text
    }

    func duration(_ range: ClosedRange<Duration>) throws(SettingProblem) -> Duration {
        guard let duration = value.string.flatMap({ DurationText.parse($0) }) else {
            throw problem("is not a duration: write it like \(DurationText.examples)\(isText ? "" : ", in double quotes")")
        }
        guard range.contains(duration) else {
            throw problem("is out of range: \(DurationText.format(range.lowerBound)) to \(DurationText.format(range.upperBound)) are valid")
        }
        return duration
    }

    func integer(_ range: ClosedRange<Int>) throws(SettingProblem) -> Int {
        guard let number = value.int ?? (isText ? value.string.flatMap { Int64($0) } : nil) else { throw problem("is not a whole number") }
        guard let number = Int(exactly: number), range.contains(number) else { throw problem("is out of range: \(range.lowerBound) to \(range.upperBound) are valid") }
        return number
    }

    /// Bytes: a number, or a text like `1MiB`.
    func size(_ range: ClosedRange<Int>) throws(SettingProblem) -> Int {
        guard let text = value.string, !text.allSatisfy(\.isNumber) else { return try integer(range) }
        let units = ["KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30]
        let digits = text.prefix(while: \.isNumber)
        guard let number = Int(digits), let unit = units[text.dropFirst(digits.count).filter { $0 != " " }], number <= range.upperBound / unit, range.contains(number * unit) else {
            throw problem("is not a valid size: write bytes, or \"64KiB\", \"1MiB\", up to \(range.upperBound >> 20)MiB")
        }
        return number * unit
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>(_ type: Choice.Type) throws(SettingProblem) -> Choice {
        guard let text = value.string, let choice = Choice(rawValue: text) else {
            throw problem("is not valid: write \(Choice.allCases.map { isText ? $0.rawValue : "\"\($0.rawValue)\"" }.joined(separator: " or "))")
        }
        return choice
    }

    func truth() throws(SettingProblem) -> Bool {
        guard case .bool(let truth) = value else { throw problem("is neither true nor false\(value.string.map { ["true", "false"].contains($0) } == true ? ": write it without quotes" : "")") }
        return truth
    }

    func texts() throws(SettingProblem) -> [String] {
        guard case .array(let elements) = value, !elements.isEmpty else { throw problem("is not a list of texts: write [\"/usr/lib/app/resize\", \"--quiet\"]") }
        var texts: [String] = []
        for element in elements {
            guard let text = element.string else { throw problem("is not a list of texts: \(element.line) has to be in double quotes") }
            texts.append(text)
        }
        return texts
    }

    func variables() throws(SettingProblem) -> [String: String] {
        guard case .object(let members) = value else { throw problem("is not a table: write { NAME = \"value\" }") }
        var variables: [String: String] = [:]
        for member in members {
            guard let text = member.value.string else { throw problem("\(member.name) in it has to be a text in double quotes", quoting: false) }
            guard !member.name.isEmpty, !member.name.contains("=") else { throw problem("“\(member.name)” in it cannot be the name of a variable", quoting: false) }
            variables[member.name] = text
        }
        return variables
    }
}
