internal import ArgumentParser
internal import Hark
internal import PQ

/// Which database, for every verb.
struct DatabaseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The database, as psql takes it.", valueName: "url"))
    var database: String?

    @Option(help: ArgumentHelp("A TOML file with settings.", valueName: "file"), completion: .file(extensions: ["toml"]))
    var config: String?

    var flags: [String: (name: String, value: String)] { database.map { ["database": ("--database", $0)] } ?? [:] }

    func configuration() throws -> Configuration { try Configuration.load(flags: flags, file: config) }

    /// Connects, does what is to be done, and closes the connection.
    func withClient<Result>(_ body: (Client) async throws -> Result) async throws -> Result {
        let connection = try await Self.connect(try configuration().database)
        do {
            let result = try await body(Client(connection))
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }

    static func connect(_ database: Sourced<Conninfo>, onNotification: @escaping @Sendable (PQ.Notification) -> Void = { _ in }) async throws -> Connection {
        let address = database.value.withDefault("application_name", "hark")
        do {
            return try await Connection.connect(address, on: EventLoop(), timeout: .seconds(10), onNotification: onNotification)
        } catch let error as PostgresError {
            let what = error.isServersRefusal ? "refused the connection" : "cannot be reached"
            throw HarkError(
                .unreachable, "the database \(address.summary) \(what): \(error.withoutAdvice)",
                remedy: database.origin == .builtIn ? "Nothing says which database: set HARK_DATABASE, or give --database." : nil)
        }
    }
}

extension PostgresError {
    /// libpq asks whether the server is running after every refusal, which the refusal has said already.
    var withoutAdvice: String { String(message.prefix(upTo: message.firstRange(of: "; Is the server running")?.lowerBound ?? message.endIndex)) }
}

/// `--json` of every listing.
struct ListingOptions: ParsableArguments {
    @Flag(help: "Print JSON; the fields have the names of the columns.")
    var json = false
}

/// `--queue --function --state --older-than`, for listings and for changes of many.
struct FilterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Only tasks of this queue.", valueName: "name"))
    var queue: String?

    @Option(help: ArgumentHelp("Only tasks of this function.", valueName: "name"))
    var function: String?

    @Option(
        help: ArgumentHelp("Only tasks in this state: \(TaskState.allCases.map(\.rawValue).joined(separator: ", ")). May be given several times.", valueName: "state"),
        completion: .list(TaskState.allCases.map(\.rawValue)), transform: TaskState.named)
    var state: [TaskState] = []

    @Option(help: ArgumentHelp("Only tasks that finished, or else were inserted, longer ago than this.", valueName: "duration"), transform: Duration.given)
    var olderThan: Duration?

    var isEmpty: Bool { queue == nil && function == nil && state.isEmpty && olderThan == nil }

    var filter: TaskFilter { TaskFilter(queue: queue, function: function, states: state.isEmpty ? nil : state, olderThan: olderThan) }
}

extension TaskState {
    @Sendable static func named(_ text: String) throws -> TaskState {
        if let state = TaskState(rawValue: text) { return state }
        let names = allCases.map(\.rawValue)
        let nearest = Nearest.name(to: text, among: names).map { "Did you mean \($0)?" } ?? "There are \(names.joined(separator: ", "))."
        throw ValidationError("There is no state “\(text)”. \(nearest)")
    }
}

extension Duration {
    @Sendable static func given(_ text: String) throws -> Duration {
        guard let duration = DurationText.parse(text) else { throw ValidationError("“\(text)” is not a duration: write it like \(DurationText.examples).") }
        return duration
    }
}
