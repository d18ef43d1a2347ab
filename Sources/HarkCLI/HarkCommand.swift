internal import ArgumentParser
internal import Hark

struct HarkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hark",
        abstract: "A task queue that lives in PostgreSQL.",
        discussion: """
            The database comes from --database, else HARK_DATABASE, else DATABASE_URL, else the file given with --config or \
            HARK_CONFIG (of which PGHOST, PGDATABASE and so on override single parts, PGSERVICE the whole), else PGHOST, PGDATABASE \
            and so on alone, as with psql.

            Exit codes: 0 done, 1 the thing asked for failed, 64 usage, 69 the database cannot be reached, 75 not now, try again, \
            78 configuration.

            Completions: hark --generate-completion-script bash (or zsh, fish) prints a script for your shell.
            """,
        version: HarkVersion.current,
        groupedSubcommands: [
            CommandGroup(name: "Run", subcommands: [DevCommand.self, MigrateCommand.self, WorkCommand.self]),
            CommandGroup(
                name: "Tasks",
                subcommands: [EnqueueCommand.self, ListCommand.self, ShowCommand.self, WaitCommand.self, RetryCommand.self, CancelCommand.self]),
            CommandGroup(name: "Health", subcommands: [WorkersCommand.self, StatsCommand.self, DoctorCommand.self]),
        ]
    )
}
