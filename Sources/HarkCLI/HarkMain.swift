internal import ArgumentParser
internal import Glibc
public import Hark
internal import PQ

/// The command line `hark`, for a binary of your own that has Swift functions in it:
///
/// ```swift
/// var functions = Functions()
/// functions.add("interesting_calculation") { (_: TaskContext, a: Int, b: Int) in a * b }
/// await HarkMain.main(functions: functions)
/// ```
///
/// `hark work` and `hark dev` then run these beside the executables of the functions directory; all other verbs are the same.
public enum HarkMain {
    /// What `work` and `dev` run besides executables.
    @TaskLocal static var functions = Functions()

    /// Does what the arguments of this process say, and ends the process with an exit code of `hark`.
    @concurrent
    public static func main(functions: Functions = Functions()) async {
        exit(await $functions.withValue(functions) { await run(Array(CommandLine.arguments.dropFirst())) })
    }

    /// - Returns: the exit code.
    static func run(_ arguments: [String]) async -> Int32 {
        do {
            try refuseUnknownVerb(arguments.first == "help" ? arguments.dropFirst().first : arguments.first)
            var command = try HarkCommand.parseAsRoot(arguments)
            if var waiting = command as? any AsyncParsableCommand { try await waiting.run() } else { try command.run() }
            return 0
        } catch {
            return report(error)
        }
    }

    private static func refuseUnknownVerb(_ verb: String?) throws {
        guard let verb, !verb.hasPrefix("-") else { return }
        let verbs = HarkCommand.configuration.groupedSubcommands.flatMap { $0.subcommands }.compactMap { $0.configuration.commandName }
        // The last two are the argument parser's own.
        if verbs.contains(verb) || verb == "help" || verb.hasPrefix("_") { return }
        let nearest = Nearest.name(to: verb, among: verbs).map { "did you mean hark \($0)?" } ?? "see hark --help"
        throw Failure.usage("there is no verb \(verb); \(nearest)")
    }

    private static func report(_ error: any Error) -> Int32 {
        switch error {
        case let failure as Failure: if let message = failure.message { complain(message) }
        case let error as HarkError: complain(error.description)
        case let problem as SettingProblem: complain(problem.description)
        case let problem as ExecutableSettingsError: complain(problem.description)
        case let error as PostgresError: complain(error.description)
        default:
            // Help, --version, and what the argument parser has to say of a mistake.
            let code = HarkCommand.exitCode(for: error).rawValue
            let message = HarkCommand.fullMessage(for: error)
            if !message.isEmpty { if code == 0 { say(message) } else { note(Harmless.lines(message)) } }
            return code
        }
        return Exit.code(of: error)
    }

    private static func complain(_ message: String) {
        note(Terminal.stderr.styled("hark:", .red) + " " + Harmless.lines(message))
    }
}
