internal import Hark
internal import PQ

/// Everything that can be set, validated, each with its origin: flags over `HARK_*` and `PG*` environment over the file
/// over defaults.
struct Configuration: Sendable {
    /// Which attempts of a task the log tells of.
    enum TaskLog: String, CaseIterable, Sendable {
        /// Start and outcome of each.
        case all
        /// Only what went wrong.
        case failures
    }

    /// What the file says of one function.
    struct Function: Sendable {
        var command: [String]?
        var directory: String?
        var environment: [String: String] = [:]
        var policy = FunctionPolicy()
    }

    var file: String?
    var database: Sourced<Conninfo>
    var signalDatabase: Sourced<Conninfo?>
    var name: Sourced<String>
    var pollInterval: Sourced<Duration>
    var drainTimeout: Sourced<Duration>
    var stopGrace: Sourced<Duration>
    var functionsDirectory: Sourced<String?>
    var resultLimit: Sourced<Int>
    /// nil: for ever.
    var unknownFunctionGrace: Sourced<Duration?>
    /// nil: `all` for executables and Python, `failures` for Swift functions.
    var taskLog: Sourced<TaskLog?>
    var queues: [Sourced<QueueSettings>]
    var functions: [String: Sourced<Function>]
    /// nil: no Python functions.
    var python: Sourced<PythonSettings>?

    /// Of all queues together.
    var slots: Int { queues.reduce(0) { $0 + $1.value.slots } }

    static let keys = [
        "database", "signal_database", "name", "poll_interval", "drain_timeout", "stop_grace", "functions_directory", "result_limit",
        "unknown_function_grace", "task_log",
    ]
    static let queueKeys = ["slots", "max_attempts", "timeout", "durable_claims"]
    static let functionKeys = ["command", "timeout", "max_attempts", "directory", "environment"]
    private static let attempts = 1...1_000
    private static let timeouts = Duration.milliseconds(1)...(.seconds(365 * 86_400))

    /// - Parameters:
    ///   - flags: by key, the flag's name and what it was given.
    ///   - queues: of `--queue`: only these are worked then.
    ///   - hostname: the default name of a worker.
    init(_ reader: SettingReader, queues chosen: [QueueChoice] = [], hostname: String) throws(SettingProblem) {
        file = reader.file?.path
        try reader.refuseUnknown(in: [], valid: Self.keys + ["queues", "functions", "python"])
        database = try DatabaseAddress.read(reader)
        signalDatabase = try reader.read("signal_database", default: nil) { given throws(SettingProblem) in try DatabaseAddress.parse(given) }
        name = try reader.read("name", default: hostname) { given throws(SettingProblem) in try given.text(1...100) }
        pollInterval = try reader.read("poll_interval", default: .seconds(5)) { given throws(SettingProblem) in try given.duration(.milliseconds(100)...(.seconds(60))) }
        drainTimeout = try reader.read("drain_timeout", default: .seconds(30)) { given throws(SettingProblem) in try given.duration(.zero...(.seconds(86_400))) }
        stopGrace = try reader.read("stop_grace", default: .seconds(5)) { given throws(SettingProblem) in try given.duration(.zero...(.seconds(3_600))) }
        functionsDirectory = try reader.read("functions_directory", default: nil) { given throws(SettingProblem) in try given.text() }
        resultLimit = try reader.read("result_limit", default: 1 << 20) { given throws(SettingProblem) in try given.size(1...(128 << 20)) }
        unknownFunctionGrace = try reader.read("unknown_function_grace", default: nil) { given throws(SettingProblem) in try given.duration(.zero...(.seconds(365 * 86_400))) }
        taskLog = try reader.read("task_log", default: nil) { given throws(SettingProblem) in try given.choice(TaskLog.self) }
        queues = try Self.queues(reader, chosen)
        functions = try Self.functions(reader)
        python = try PythonTable.read(reader)
        python?.value.resultLimit = resultLimit.value
        python?.value.grace = stopGrace.value
    }

    /// Reads the file and the environment of this process.
    static func load(flags: [String: (name: String, value: String)] = [:], file path: String?, queues: [QueueChoice] = []) throws(SettingProblem) -> Configuration {
        let path = path ?? environment("HARK_CONFIG").flatMap { $0.isEmpty ? nil : $0 }
        var reader = SettingReader(flags: flags, environment: allVariables(), file: nil)
        if let path { reader.file = try ConfigurationFile(path: path) }
        var configuration = try Configuration(reader, queues: queues, hostname: hostname())
        if let password = try Credential.password() {
            configuration.database.value = configuration.database.value.withDefault("password", password)
            configuration.signalDatabase.value = configuration.signalDatabase.value?.withDefault("password", password)
        }
        return configuration
    }

    // MARK: Tables

    private static func queues(_ reader: SettingReader, _ chosen: [QueueChoice]) throws(SettingProblem) -> [Sourced<QueueSettings>] {
        var configured: [Sourced<QueueSettings>] = []
        for member in try reader.members(["queues"]) {
            let key = ["queues", member.name]
            guard (1...100).contains(member.name.count) else {
                throw SettingProblem(origin: reader.file?.origin(of: key) ?? .builtIn, message: "the name of a queue has 1 to 100 characters")
            }
            try reader.refuseUnknown(in: key, valid: queueKeys)
            var settings = QueueSettings(name: member.name)
            if let given = reader.given(inFile: key + ["slots"]) { settings.slots = try given.integer(QueueChoice.slots) }
            if let given = reader.given(inFile: key + ["max_attempts"]) { settings.maxAttempts = try given.integer(attempts) }
            if let given = reader.given(inFile: key + ["timeout"]) { settings.timeout = try given.duration(timeouts) }
            if let given = reader.given(inFile: key + ["durable_claims"]) { settings.durableClaims = try given.truth() }
            configured.append(Sourced(value: settings, origin: reader.file?.origin(of: key) ?? .builtIn))
        }
        if chosen.isEmpty { return configured.isEmpty ? [Sourced(value: QueueSettings(name: "default"), origin: .builtIn)] : configured }
        return chosen.map { choice in
            var queue = configured.first { $0.value.name == choice.name } ?? Sourced(value: QueueSettings(name: choice.name), origin: .builtIn)
            if let slots = choice.slotsWanted { queue.value.slots = slots }
            queue.origin = .flag("--queue")
            return queue
        }
    }

    private static func functions(_ reader: SettingReader) throws(SettingProblem) -> [String: Sourced<Function>] {
        var functions: [String: Sourced<Function>] = [:]
        for member in try reader.members(["functions"]) {
            let key = ["functions", member.name]
            let origin = reader.file?.origin(of: key) ?? .builtIn
            guard (1...100).contains(member.name.count) else { throw SettingProblem(origin: origin, message: "the name of a function has 1 to 100 characters") }
            try reader.refuseUnknown(in: key, valid: functionKeys)
            var function = Function()
            if let given = reader.given(inFile: key + ["command"]) { function.command = try given.texts() }
            if let given = reader.given(inFile: key + ["timeout"]) { function.policy.timeout = try given.duration(timeouts) }
            if let given = reader.given(inFile: key + ["max_attempts"]) { function.policy.maxAttempts = try given.integer(attempts) }
            if let given = reader.given(inFile: key + ["directory"]) { function.directory = try given.text() }
            if let given = reader.given(inFile: key + ["environment"]) { function.environment = try given.variables() }
            if function.command == nil, function.directory != nil || !function.environment.isEmpty {
                throw SettingProblem(origin: origin, message: "functions.\(Harmless.line(member.name)) has a directory or an environment, but no command that they are for")
            }
            functions[member.name] = Sourced(value: function, origin: origin)
        }
        return functions
    }
}
