internal import ArgumentParser
internal import Hark
internal import PQ

struct WaitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until a task has finished; prints its result.",
        discussion: "Exits with 1 if it failed or was cancelled, and with 75 if --timeout has passed first.")

    @Argument(help: "The task.")
    var id: Int64

    @Option(help: ArgumentHelp("Give up after so long.", valueName: "duration"), transform: Duration.given)
    var timeout: Duration?

    @OptionGroup var options: DatabaseOptions

    func run() async throws { try await options.withClient { try await Self.await(id, $0, timeout: timeout) } }

    /// Prints the result as JSON; nothing when there is none.
    static func await(_ id: Int64, _ client: Client, timeout: Duration?) async throws {
        guard let outcome = try await ended(id, client, timeout) else { throw Failure.failed("there is no task \(id)") }
        switch outcome.state {
        case .completed:
            if let result = outcome.result { say(try JSON(result).line) }
        case .cancelled: throw Failure.failed("task \(id) was cancelled\(outcome.error.map { ": \($0)" } ?? "")")
        default: throw Failure.failed("task \(id) failed: \(outcome.error ?? "no reason is known")")
        }
    }

    private static func ended(_ id: Int64, _ client: Client, _ timeout: Duration?) async throws -> TaskOutcome? {
        guard let timeout else { return try await client.wait(id) }
        let waiting = Task { try await client.wait(id) }
        let alarm = client.connection.loop.at(EventLoop.now + timeout) { waiting.cancel() }
        defer { alarm.cancel() }
        do {
            return try await waiting.value
        } catch is CancellationError {
            throw Failure(Exit.temporary, "task \(id) has not finished within \(DurationText.format(timeout))")
        }
    }
}
