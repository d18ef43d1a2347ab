/// Where the value of a setting comes from.
enum Origin: Sendable, Equatable {
    case flag(String)
    case environment(String)
    case file(String, line: Int?)
    case builtIn

    /// For doctor, and for the beginning of an error message.
    var words: String {
        switch self {
        case .flag(let name): "flag \(name)"
        case .environment(let name): "environment \(name)"
        case .file(let path, let line): line.map { "\(path):\($0)" } ?? path
        case .builtIn: "default"
        }
    }
}

/// A value and where it comes from.
struct Sourced<Value: Sendable>: Sendable {
    var value: Value
    var origin: Origin
}

/// A setting that cannot be used: which one, what it says, and what is valid.
struct SettingProblem: Error, Equatable, CustomStringConvertible {
    var origin: Origin
    var message: String

    var description: String {
        switch origin {
        // The line of the file is where the user has to go, and is written as tools and editors expect it.
        case .file(let path, _): path.isEmpty ? message : "\(origin.words): \(message)"
        case .environment, .flag, .builtIn: message
        }
    }
}
