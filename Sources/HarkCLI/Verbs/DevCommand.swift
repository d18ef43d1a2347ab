internal import ArgumentParser
internal import Glibc
internal import Hark
internal import HarkCluster
internal import PQ

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Start a private PostgreSQL and a worker in this terminal.",
        discussion: """
            Makes a database of its own, reached through a socket in its directory, applies the migrations and runs the functions \
            in ./functions. A PostgreSQL of this machine is left alone. Ctrl-C stops everything; the data stays.
            """)

    @Option(help: ArgumentHelp("Where PostgreSQL keeps its data; else HARK_DEV_DIRECTORY, else .hark here.", valueName: "dir"), completion: .directory)
    var directory: String?

    @OptionGroup var work: WorkOptions

    @Option(help: ArgumentHelp("A TOML file with settings.", valueName: "file"), completion: .file(extensions: ["toml"]))
    var config: String?

    private static let database = "hark"

    func run() async throws {
        let terminal = Terminal.stderr
        // What is wrong with the settings is said before anything is started.
        var configuration = try load(database: "")
        if configuration.functionsDirectory.value == nil, DevDirectory.isDirectory("functions") {
            configuration.functionsDirectory = Sourced(value: "./functions", origin: .builtIn)
        }
        let functions = try Executables.runners(configuration).reduce(into: HarkMain.functions.names) { $0.formUnion($1.functions) }
        let place = try DevDirectory.choose(directory ?? environment("HARK_DEV_DIRECTORY"))
        note(terminal.styled("Starting PostgreSQL in \(place) ...", .dim))
        let cluster: PrivateCluster
        do { cluster = try await PrivateCluster(in: place) } catch { throw Failure(Exit.configuration, "\(error)") }
        do {
            try await start(on: cluster, &configuration)
            note(greeting(cluster, configuration, functions.sorted(), terminal))
            try await Daemon(
                configuration, Daemon.Plan(functions: HarkMain.functions, untilEmpty: work.untilEmpty, mayBeIdle: true, taskLog: .all)
            ).run()
            await cluster.end()
        } catch {
            await cluster.end()
            throw error
        }
    }

    private func load(database: String) throws -> Configuration {
        try Configuration.load(flags: work.flags.merging(["database": ("hark dev", database)]) { $1 }, file: config, queues: work.queues)
    }

    private func start(on cluster: PrivateCluster, _ configuration: inout Configuration) async throws {
        if try await !cluster.hasDatabase(Self.database) { try await cluster.createDatabase(Self.database) }
        // PGPORT and its like are about another server.
        let conninfo = try Conninfo(cluster.conninfo(database: Self.database)).with("port", "5432")
        configuration.database = Sourced(value: conninfo, origin: .flag("hark dev"))
        configuration.signalDatabase = Sourced(value: nil, origin: .builtIn)
        // A project that takes its database's address from the environment gets this one's, unless its own was configured.
        if configuration.python?.value.environment["DATABASE_URL"] == nil {
            configuration.python?.value.environment["DATABASE_URL"] = cluster.url(database: Self.database)
        }
        let connection = try await DatabaseOptions.connect(configuration.database)
        let applied = try await Migrator(connection).migrate { note("hark: \(Harmless.line($0))") }
        await connection.close()
        if !applied.isEmpty { note(Terminal.stderr.styled("Applied \(applied.count) \(applied.count == 1 ? "migration" : "migrations").", .dim)) }
    }

    private func greeting(_ cluster: PrivateCluster, _ configuration: Configuration, _ functions: [String], _ terminal: Terminal) -> String {
        let url = cluster.url(database: Self.database)
        let place = configuration.functionsDirectory.value
        let missing = "none yet: put executable files into ./functions and start again"
        let example = functions.first ?? configuration.python?.value.modules.names.first.map { "\($0).FUNCTION" } ?? "hello"
        let lines = [
            ("PostgreSQL", "\(cluster.version), private, in \(cluster.directory)"),
            ("connect", "psql '\(url)'"),
            ("other verbs", "export HARK_DATABASE='\(url)'"),
            ("functions", functions.isEmpty && configuration.python == nil ? missing : functions.joined(separator: ", ") + (functions.isEmpty ? "" : place.map { "  (\($0))" } ?? "") + (configuration.python.map { "\(functions.isEmpty ? "" : "; ")those of \($0.value.modules.names.joined(separator: ", ")), Python" } ?? "")),
            ("enqueue", "insert into hark.tasks (function, args) values ('\(example.replacing("'", with: "''"))', '[]');  -- args: what it takes, as JSON"),
            ("stop", "Ctrl-C"),
        ]
        let text = lines.map { name, value in terminal.styled(name + String(repeating: " ", count: 13 - name.count), .bold) + Harmless.line(value) }
        return "\n" + text.joined(separator: "\n") + "\n"
    }
}
