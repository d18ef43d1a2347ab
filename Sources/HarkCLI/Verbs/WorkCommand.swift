internal import ArgumentParser
internal import Hark

/// `--queue --functions --until-empty`, of work and dev.
struct WorkOptions: ParsableArguments {
    @Option(name: .customLong("queue"), help: ArgumentHelp("Work this queue, with so many slots. May be given several times.", valueName: "name[=slots]"), transform: Self.choice)
    var queues: [QueueChoice] = []

    @Option(help: ArgumentHelp("Each executable file in this directory is a function, named after the file less its extension.", valueName: "dir"), completion: .directory)
    var functions: String?

    @Flag(help: "End once no task is ready, scheduled or running in these queues.")
    var untilEmpty = false

    var flags: [String: (name: String, value: String)] { functions.map { ["functions_directory": ("--functions", $0)] } ?? [:] }

    @Sendable private static func choice(_ text: String) throws -> QueueChoice {
        do { return try QueueChoice(text) } catch { throw ValidationError(error.message) }
    }
}

struct WorkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "work", abstract: "Run a worker.",
        discussion: """
            SIGTERM or SIGINT: claims nothing more, lets what runs finish for drain_timeout, gives back the rest. \
            A second one: at once. A database that is away is waited for.

              hark work --functions ./functions
              hark work --queue mail=20 --queue images=2 --config /etc/hark/hark.toml

            Settings in the file, or as HARK_... in the environment: \(Configuration.keys.joined(separator: ", ")). \
            In the file, also [queues.NAME] \(Configuration.queueKeys.joined(separator: ", ")) and [functions.NAME] \
            \(Configuration.functionKeys.joined(separator: ", ")).
            """)

    @OptionGroup var work: WorkOptions
    @OptionGroup var options: DatabaseOptions

    func run() async throws {
        let configuration = try Configuration.load(flags: options.flags.merging(work.flags) { $1 }, file: options.config, queues: work.queues)
        try await Daemon(configuration: configuration, functions: HarkMain.functions, untilEmpty: work.untilEmpty).run()
    }
}
