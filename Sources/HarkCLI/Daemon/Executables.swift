internal import Hark

/// The runners of executables: one for the functions directory and the plain commands, and one for each function that has
/// a working directory or an environment of its own.
enum Executables {
    static func runners(_ configuration: Configuration) throws(ExecutableSettingsError) -> [ExecutableRunner] {
        var shared = base(configuration)
        shared.directory = configuration.functionsDirectory.value
        var runners: [ExecutableRunner] = []
        for (name, function) in configuration.functions.sorted(by: { $0.key < $1.key }) {
            guard let command = function.value.command else { continue }
            if function.value.directory == nil, function.value.environment.isEmpty {
                shared.commands[name] = command
            } else {
                var own = base(configuration)
                own.commands = [name: command]
                own.workingDirectory = function.value.directory
                own.environment = function.value.environment
                runners.append(try ExecutableRunner(own))
            }
        }
        if shared.directory != nil || !shared.commands.isEmpty { runners.insert(try ExecutableRunner(shared), at: 0) }
        return runners
    }

    private static func base(_ configuration: Configuration) -> ExecutableSettings {
        var settings = ExecutableSettings()
        settings.outputLimit = configuration.resultLimit.value
        settings.grace = configuration.stopGrace.value
        // This process is nothing but a worker: what leaves its task's session is ours to end.
        settings.adoptsOrphans = true
        return settings
    }
}
