/// One line of what doctor has to say: how it is, and what to do when it is not well.
struct Finding: Equatable {
    enum Level: String {
        case ok
        case warning
        case wrong
    }

    var level: Level
    /// A name that stays the same, for `--json`.
    var check: String
    var message: String
    var remedy: String?

    static func ok(_ check: String, _ message: String) -> Finding { Finding(level: .ok, check: check, message: message) }
    static func warning(_ check: String, _ message: String, _ remedy: String) -> Finding { Finding(level: .warning, check: check, message: message, remedy: remedy) }
    static func wrong(_ check: String, _ message: String, _ remedy: String) -> Finding { Finding(level: .wrong, check: check, message: message, remedy: remedy) }

    var json: JSON { .object(["check": .string(check), "level": .string(level.rawValue), "message": .string(message), "remedy": .text(remedy)]) }

    func render(on terminal: Terminal) -> String {
        let style: Terminal.Style = switch level {
        case .ok: .green
        case .warning: .yellow
        case .wrong: .red
        }
        let label = terminal.styled(level.rawValue, style) + String(repeating: " ", count: 9 - level.rawValue.count)
        let advice = remedy.map { "\n         " + terminal.styled(Harmless.line($0), .dim) } ?? ""
        return label + Harmless.line(message) + advice
    }
}
