internal import ArgumentParser
internal import Hark

struct RetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Run tasks (again) now.",
        discussion: """
            Finished tasks start anew with attempt 0, waiting ones are brought forward, running ones are left.

              hark retry 41 42
              hark retry --function send_email --older-than 1h

            With a filter but no --state: only failed tasks.
            """)

    @Argument(help: "The tasks.")
    var ids: [Int64] = []

    @OptionGroup(title: "Or all of these") var filter: FilterOptions
    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func validate() throws { try ChangeOfMany.validate(ids, filter) }

    func run() async throws {
        try await ChangeOfMany(ids: ids, filter: filter, states: [.failed], json: listing.json, options: options).run { try await $0.retry($1) }
    }
}

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancel tasks: those that wait will not run, those that run are asked to stop.",
        discussion: """
              hark cancel 41 42
              hark cancel --queue images --state scheduled

            With a filter but no --state: all that are not finished.
            """)

    @Argument(help: "The tasks.")
    var ids: [Int64] = []

    @OptionGroup(title: "Or all of these") var filter: FilterOptions
    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func validate() throws { try ChangeOfMany.validate(ids, filter) }

    func run() async throws {
        try await ChangeOfMany(ids: ids, filter: filter, states: TaskState.unfinished, json: listing.json, options: options).run { try await $0.cancel($1) }
    }
}

/// One change, made to tasks by their ids or to all that a filter finds, a thousand at a time.
struct ChangeOfMany {
    var ids: [Int64]
    var filter: FilterOptions
    /// When the filter names none.
    var states: [TaskState]
    var json: Bool
    var options: DatabaseOptions

    static func validate(_ ids: [Int64], _ filter: FilterOptions) throws {
        if ids.isEmpty, filter.isEmpty { throw ValidationError("Give the ids of tasks, or a filter such as --state failed.") }
        if !ids.isEmpty, !filter.isEmpty { throw ValidationError("Give either the ids of tasks or a filter, not both.") }
    }

    /// Exits with 1 if a task that was named by its id was skipped.
    func run(_ change: (Client, [Int64]) async throws -> [TaskChange]) async throws {
        var changes: [TaskChange] = []
        try await options.withClient { client in
            guard ids.isEmpty else { return changes = try await change(client, ids) }
            var filter = filter.filter
            if filter.states == nil { filter.states = states }
            var last: Int64?
            while true {
                let batch = try await client.ids(filter, after: last)
                guard let end = batch.last else { break }
                changes += try await change(client, batch)
                last = end
            }
        }
        report(changes)
        if !ids.isEmpty, changes.contains(where: { $0.result == .skipped }) { throw Failure(Exit.failed) }
    }

    private func report(_ changes: [TaskChange]) {
        if json {
            return say(JSON.listing(changes.map { .object(["id": .number($0.id), "result": .string($0.result.rawValue), "note": .text($0.note)]) }))
        }
        if changes.isEmpty { return note("There are no such tasks.") }
        // Of many, the exceptions; the rest is a number.
        let shown = changes.count <= 20 ? changes : changes.filter { $0.result == .skipped }
        for change in shown {
            say(Harmless.line("\(change.id)  \(change.result.rawValue)\(change.note.map { ": \($0)" } ?? "")"))
        }
        guard changes.count > 20 else { return }
        let counts = Dictionary(grouping: changes, by: \.result).map { "\($0.value.count) \($0.key.rawValue)" }.sorted()
        say(counts.joined(separator: ", "))
    }
}
