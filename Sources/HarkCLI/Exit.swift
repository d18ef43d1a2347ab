internal import Hark
internal import PQ

/// The exit codes of every verb (sysexits(3), where there is a number for it).
enum Exit {
    /// The thing asked for failed; doctor: something is wrong.
    static let failed: Int32 = 1
    static let usage: Int32 = 64
    static let unreachable: Int32 = 69
    static let temporary: Int32 = 75
    /// A person has to change something first: a restart will not help.
    static let configuration: Int32 = 78

    static func code(of error: any Error) -> Int32 {
        switch error {
        case let failure as Failure: return failure.code
        case let problem as SettingProblem:
            if case .flag = problem.origin { return usage }
            return configuration
        case is ExecutableSettingsError: return configuration
        case let error as HarkError:
            switch error.code {
            case .unreachable: return unreachable
            case .schemaTooOld, .schemaTooNew, .schemaChanged, .notPermitted, .configuration: return configuration
            default: return failed
            }
        case let error as PostgresError: return error.isConnectionLost ? unreachable : error.isRetryable ? temporary : failed
        default: return failed
        }
    }
}

/// An end with a code of its own. Without a message everything has been said already.
struct Failure: Error, Equatable {
    var code: Int32
    var message: String?

    init(_ code: Int32, _ message: String? = nil) {
        self.code = code
        self.message = message
    }

    static func failed(_ message: String) -> Failure { Failure(Exit.failed, message) }
    static func usage(_ message: String) -> Failure { Failure(Exit.usage, message) }
}
