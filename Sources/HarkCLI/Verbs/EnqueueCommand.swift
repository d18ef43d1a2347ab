internal import ArgumentParser
internal import Hark
internal import PQ

struct EnqueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue", abstract: "Enqueue a task; prints its id.",
        discussion: """
            Does what INSERT INTO hark.tasks (function, args) VALUES (...) does.

              hark enqueue send_email '["ada@example.org"]'
              hark enqueue resize '{"image": 7}' --queue images --in 5m
              hark enqueue interesting_calculation '[3, 14]' --wait
            """)

    @Argument(help: "The function to run.")
    var function: String

    @Argument(help: ArgumentHelp("The arguments: a JSON list or object; - reads them from stdin.", valueName: "json"))
    var args: String?

    @Option(help: ArgumentHelp("The queue.", valueName: "name"))
    var queue: String?

    @Option(help: ArgumentHelp("-10 to 10, lower first.", valueName: "number"))
    var priority: Int?

    @Option(name: .customLong("in"), help: ArgumentHelp("Not before this time from now, like 5m.", valueName: "duration"), transform: Duration.given)
    var delay: Duration?

    @Option(help: ArgumentHelp("Not before this moment, as PostgreSQL reads it: '2026-01-31 09:00+01', 'tomorrow 09:00' (PGTZ sets the zone).", valueName: "time"))
    var at: String?

    @Option(help: ArgumentHelp("At most one unfinished task has this key; with one there already, prints its id.", valueName: "key"))
    var uniqueKey: String?

    @Option(help: ArgumentHelp("1 to 1000.", valueName: "number"))
    var maxAttempts: Int?

    @Option(help: ArgumentHelp("How long an attempt may run.", valueName: "duration"), transform: Duration.given)
    var timeout: Duration?

    @Flag(help: "Wait until the task has finished; prints its result after its id.")
    var wait = false

    @OptionGroup var options: DatabaseOptions

    func validate() throws {
        if delay != nil, at != nil { throw ValidationError("--in and --at exclude each other.") }
        if !(1...100).contains(function.count) { throw ValidationError("The name of a function has 1 to 100 characters.") }
        if let priority, !(-10...10).contains(priority) { throw ValidationError("--priority \(priority): must be between -10 and 10.") }
        if let maxAttempts, !(1...1_000).contains(maxAttempts) { throw ValidationError("--max-attempts \(maxAttempts): must be between 1 and 1000.") }
        if let timeout, timeout <= .zero { throw ValidationError("--timeout must be longer than zero.") }
    }

    func run() async throws {
        let args = try json()
        let start: Client.EnqueueOptions.Start = delay.map { .after($0) } ?? at.map { .at($0) } ?? .now
        let wanted = Client.EnqueueOptions(queue: queue, priority: priority, start: start, uniqueKey: uniqueKey, maxAttempts: maxAttempts, timeout: timeout)
        try await options.withClient { client in
            let enqueued = try await enqueue(client, args, wanted)
            say("\(enqueued.id)")
            if !enqueued.isNew { note("There is an unfinished task with this unique key already; nothing was enqueued.") }
            if wait { try await WaitCommand.await(enqueued.id, client, timeout: nil) }
        }
    }

    private func enqueue(_ client: Client, _ args: [UInt8]?, _ wanted: Client.EnqueueOptions) async throws -> Client.Enqueued {
        do {
            return try await client.enqueue(function, json: args, wanted)
        } catch let error as HarkError where error.code == .refused && at != nil && error.message.contains("type timestamp") {
            throw Failure.usage("--at \(at ?? ""): PostgreSQL cannot read this as a time; write '2026-01-31 09:00+01' or 'tomorrow 09:00'")
        }
    }

    private func json() throws -> [UInt8]? {
        guard let args else { return nil }
        let text = args == "-" ? readText("/dev/stdin") ?? "" : args
        let value: JSON
        do { value = try JSON(text) } catch { throw Failure.usage("the arguments are not JSON: \(error)\nWrite a list, '[3, 14]', or an object, '{\"to\": \"ada@example.org\"}'.") }
        switch value {
        case .array, .object: return Array(text.utf8)
        default: throw Failure.usage("the arguments must be a JSON list or object: write '[\(value.line)]'")
        }
    }
}
