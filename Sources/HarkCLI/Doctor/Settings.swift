internal import Hark
internal import PQ

/// The configuration for people: each value, and where it comes from. A database is shown without its password.
enum Settings {
    struct Line {
        var name: String
        var value: String
        var origin: Origin
    }

    static func list(_ configuration: Configuration) -> [Line] {
        func time(_ name: String, _ setting: Sourced<Duration>) -> Line { Line(name: name, value: DurationText.format(setting.value), origin: setting.origin) }
        var lines = [Line(name: "database", value: configuration.database.value.summary, origin: configuration.database.origin)]
        lines.append(Line(name: "signal_database", value: configuration.signalDatabase.value?.summary ?? "as database", origin: configuration.signalDatabase.origin))
        lines.append(Line(name: "name", value: configuration.name.value, origin: configuration.name.origin))
        lines.append(time("poll_interval", configuration.pollInterval))
        lines.append(time("drain_timeout", configuration.drainTimeout))
        lines.append(time("stop_grace", configuration.stopGrace))
        lines.append(Line(name: "functions_directory", value: configuration.functionsDirectory.value ?? "none", origin: configuration.functionsDirectory.origin))
        lines.append(Line(name: "result_limit", value: "\(configuration.resultLimit.value) bytes", origin: configuration.resultLimit.origin))
        let grace = configuration.unknownFunctionGrace
        lines.append(Line(name: "unknown_function_grace", value: grace.value.map(DurationText.format) ?? "for ever", origin: grace.origin))
        lines.append(Line(name: "task_log", value: configuration.taskLog.value?.rawValue ?? "all of executables and Python, failures of Swift functions", origin: configuration.taskLog.origin))
        for queue in configuration.queues {
            lines.append(Line(name: "queues.\(queue.value.name)", value: policy(queue.value), origin: queue.origin))
        }
        for (name, function) in configuration.functions.sorted(by: { $0.key < $1.key }) {
            lines.append(Line(name: "functions.\(name)", value: policy(function.value), origin: function.origin))
        }
        if let python = configuration.python { lines.append(Line(name: "python", value: describe(python.value), origin: python.origin)) }
        return lines
    }

    private static func describe(_ python: PythonSettings) -> String {
        var parts = ["\(python.interpreters) \(python.interpreters == 1 ? "interpreter" : "interpreters") of \(python.interpreter) for \(python.modules.names.joined(separator: ", "))"]
        if let directory = python.directory { parts.append("in \(directory)") }
        if let django = python.djangoSettings { parts.append("Django with \(django)") }
        if !python.preload.isEmpty { parts.append("preloads \(python.preload.joined(separator: ", "))") }
        if let tasks = python.tasksPerInterpreter { parts.append("replaced after \(tasks) tasks") }
        if let memory = python.memoryLimit { parts.append("or when larger than \(memory >> 20) MiB") }
        if !python.environment.isEmpty { parts.append("with \(python.environment.keys.sorted().joined(separator: ", "))") }
        return parts.joined(separator: ", ")
    }

    private static func policy(_ queue: QueueSettings) -> String {
        var parts = ["\(queue.slots) \(queue.slots == 1 ? "slot" : "slots")"]
        if let attempts = queue.maxAttempts { parts.append("at most \(attempts) attempts") }
        if let timeout = queue.timeout { parts.append("timeout \(DurationText.format(timeout))") }
        if !queue.durableClaims { parts.append("claims may be lost with the server") }
        return parts.joined(separator: ", ")
    }

    private static func policy(_ function: Configuration.Function) -> String {
        var parts = function.command.map { ["runs \($0.joined(separator: " "))"] } ?? []
        if let directory = function.directory { parts.append("in \(directory)") }
        // Values may be secrets; names are enough to recognise them by.
        if !function.environment.isEmpty { parts.append("with \(function.environment.keys.sorted().joined(separator: ", "))") }
        if let attempts = function.policy.maxAttempts { parts.append("at most \(attempts) attempts") }
        if let timeout = function.policy.timeout { parts.append("timeout \(DurationText.format(timeout))") }
        return parts.joined(separator: ", ")
    }

    /// Variables that look like a setting of ours and are none.
    static func misspelt(_ variables: [String: String]) -> [Finding] {
        let known = Configuration.keys.map(SettingReader.variable) + ["HARK_CONFIG", "HARK_DEV_DIRECTORY"]
        return variables.keys.filter { $0.hasPrefix("HARK_") && !known.contains($0) }.sorted().compactMap { name in
            guard let nearest = known.min(by: { Nearest.distance($0, name) < Nearest.distance($1, name) }), Nearest.distance(nearest, name) <= 2 else { return nil }
            return .warning("environment", "\(name) is no setting and has no effect", "Did you mean \(nearest)?")
        }
    }
}
