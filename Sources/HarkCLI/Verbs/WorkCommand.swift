internal import ArgumentParser
internal import Glibc
internal import Hark
internal import Systemd

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
            A second one: at once. SIGHUP: reads the configuration anew. A database that is away is waited for.

              hark work --functions ./functions
              hark work --queue mail=20 --queue images=2 --config /etc/hark/hark.toml

            Settings in the file, or as HARK_... in the environment: \(Configuration.keys.joined(separator: ", ")). \
            In the file, also [queues.NAME] \(Configuration.queueKeys.joined(separator: ", ")) and [functions.NAME] \
            \(Configuration.functionKeys.joined(separator: ", ")), and [python] \(PythonTable.keys.joined(separator: ", ")).
            """)

    @Option(help: ArgumentHelp("Which instance of a service this is: reads /etc/hark/NAME.toml, else /etc/hark/hark.toml, and adds NAME to the worker's name.", valueName: "name"), transform: Instance.init)
    var instance: Instance?

    @OptionGroup var work: WorkOptions
    @OptionGroup var options: DatabaseOptions

    func run() async throws {
        let (flags, file, queues, instance) = (options.flags.merging(work.flags) { $1 }, options.config, work.queues, instance)
        let read: @Sendable () throws -> Configuration = {
            var configuration = try Configuration.load(flags: flags, file: file ?? instance?.file, queues: queues)
            if let instance { configuration.name.value += "/" + instance.name }
            return configuration
        }
        do {
            let plan = Daemon.Plan(functions: HarkMain.functions, untilEmpty: work.untilEmpty, instance: instance?.name, reload: read)
            try await Daemon(try read(), plan).run()
        } catch {
            ServiceManager().failed(error)
            throw error
        }
    }
}

/// An instance of a template unit: what `%i` stands for in `hark@.service`.
struct Instance: Sendable {
    let name: String

    @Sendable init(_ name: String) throws {
        guard (1...64).contains(name.count), !name.hasPrefix("."), name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ":_.\\-".contains($0)) }) else {
            throw ValidationError("“\(name)” cannot be the name of an instance: 1 to 64 letters, digits and : _ . - are valid.")
        }
        self.name = name
    }

    /// Its own file, else the one for all; nil when there is neither. CONFIGURATION_DIRECTORY is set by systemd.
    var file: String? {
        let directory = environment("CONFIGURATION_DIRECTORY").map { String($0.prefix { $0 != ":" }) } ?? "/etc/hark"
        return ["\(directory)/\(name).toml", "\(directory)/hark.toml"].first { access($0, F_OK) == 0 }
    }
}
