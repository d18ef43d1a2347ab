internal import ArgumentParser
internal import Hark
internal import PQ

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Look whether all is well, and say what to do where it is not.",
        discussion: "Changes nothing. Exits with 0 when all is well or there are only warnings, with 1 when something is wrong.")

    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func run() async throws {
        let configuration = try options.configuration()
        let settings = Settings.list(configuration)
        if !listing.json { say(Self.render(settings) + "\n") }
        var findings = Settings.misspelt(allVariables())
        if let python = configuration.python { findings.append(await PythonTrial.run(python.value)) }
        do {
            findings += try await examine(configuration)
        } catch let error as HarkError where error.code == .unreachable {
            findings.append(.wrong("database", error.message, error.remedy ?? "Is the server up, and is this its address?"))
            report(settings, findings)
            throw Failure(Exit.unreachable)
        }
        report(settings, findings)
        if findings.contains(where: { $0.level == .wrong }) { throw Failure(Exit.failed) }
    }

    private func examine(_ configuration: Configuration) async throws -> [Finding] {
        var findings: [Finding] = []
        // LISTEN is what the signal connection of a worker needs.
        let listening = Listening()
        let database = configuration.signalDatabase.value.map { Sourced(value: $0, origin: configuration.signalDatabase.origin) } ?? configuration.database
        let address = database.value
        let connection = try await DatabaseOptions.connect(database) { listening.take($0) }
        defer { Task { await connection.close() } }
        let client = Client(connection)
        let began = (EventLoop.now, Moment.here)
        let server = try await connection.execute("select extract(epoch from clock_timestamp())::float8, current_setting('server_version')")
        let trip = (EventLoop.now - began.0).inSeconds
        guard let row = server.first else { return findings }
        findings.append(.ok("database", "\(address.summary): PostgreSQL \(try row.string(1)) answers in \(Moment.duration(trip))"))
        if connection.serverVersion < 130_000 {
            findings.append(.wrong("server-version", "PostgreSQL \(try row.string(1)) is too old", "Hark needs PostgreSQL 13 or later."))
        }
        findings.append(Checks.clock(server: try row.double(0), here: began.1 + trip / 2, trip: trip))
        do {
            try await client.checkSchema()
            findings.append(.ok("schema", "the schema fits this hark \(HarkVersion.current)"))
        } catch let error as HarkError {
            return findings + [.wrong("schema", error.message, error.remedy ?? "")]
        }
        if let took = try await listening.prove(on: connection) {
            findings.append(.ok("listen", "LISTEN works: a notification came back within \(Moment.duration(max(0.001, took.inSeconds)))"))
        } else {
            findings.append(.wrong("listen", "LISTEN does not work: a notification to ourselves did not come back", "Set signal_database to an address that goes around the connection pooler."))
        }
        return findings + (try await judge(client))
    }

    private func judge(_ client: Client) async throws -> [Finding] {
        let health = try await client.health()
        let session = Checks.session(health, connectedTo: client.connection.backendPid)
        guard health.mayRead else { return session }
        let (workers, stats) = (try await client.workers(), try await client.stats())
        return session + [Checks.triggers(health)] + Checks.locks(health) + Checks.workers(workers, stats, version: HarkVersion.current)
            + Checks.backlog(health, stats)
    }

    private func report(_ settings: [Settings.Line], _ findings: [Finding]) {
        guard listing.json else { return say(findings.map { $0.render(on: .stdout) }.joined(separator: "\n")) }
        let values = settings.map { JSON.object(["name": .string($0.name), "value": .string($0.value), "origin": .string($0.origin.words)]) }
        say(JSON.object(["settings": .array(values), "findings": .array(findings.map(\.json))]).pretty())
    }

    private static func render(_ settings: [Settings.Line]) -> String {
        var table = Table([.left("SETTING"), .elastic("VALUE"), .left("FROM")])
        for line in settings {
            let isDefault = line.origin == .builtIn
            table.add([Table.Cell(line.name), Table.Cell(line.value, isDefault ? .dim : .plain), Table.Cell(line.origin.words, isDefault ? .dim : .plain)])
        }
        return table.render(on: .stdout)
    }
}
