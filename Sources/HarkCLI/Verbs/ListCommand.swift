internal import ArgumentParser
internal import Hark

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List tasks, newest first.")

    @OptionGroup(title: "Which tasks") var filter: FilterOptions

    @Option(help: ArgumentHelp("How many at most.", valueName: "number"))
    var limit = 20

    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func validate() throws {
        if !(1...1_000_000).contains(limit) { throw ValidationError("--limit \(limit): must be between 1 and 1000000.") }
    }

    func run() async throws {
        let (tasks, now) = try await options.withClient { try await $0.list(filter.filter, limit: limit) }
        if listing.json { return say(JSON.listing(try tasks.map { try $0.json() })) }
        if tasks.isEmpty { return note(filter.isEmpty ? "There are no tasks yet." : "There are no such tasks.") }
        say(TaskTable.render(tasks, now: now, on: .stdout))
        if tasks.count == limit { note(Terminal.stderr.styled("The newest \(limit) are shown; --limit shows more.", .dim)) }
    }
}

/// Tasks as a table for people.
enum TaskTable {
    static func render(_ tasks: [QueuedTask], now: Double, on terminal: Terminal) -> String {
        var table = Table([.right("ID"), .left("STATE"), .left("QUEUE"), .firm("FUNCTION"), .elastic("ARGS"), .right("ATTEMPT"), .left("WHEN"), .elastic("NOTE")])
        for task in tasks {
            table.add([
                "\(task.id)", Table.Cell(task.state.rawValue, task.state.style), Table.Cell(task.queue), Table.Cell(task.function), Table.Cell(args(task)),
                Table.Cell(attempts(task)), Table.Cell(when(task, now)), Table.Cell(remark(task, now), task.state == .failed ? .red : .plain),
            ])
        }
        return table.render(on: terminal)
    }

    private static func args(_ task: QueuedTask) -> String {
        // A megabyte of arguments on one line helps nobody, also not in a file.
        Terminal.cut(String(decoding: task.args.prefix(400), as: UTF8.self), to: 200)
    }

    private static func attempts(_ task: QueuedTask) -> String {
        guard task.attempt > 0 else { return "" }
        return task.maxAttempts.map { "\(task.attempt)/\($0)" } ?? "\(task.attempt)"
    }

    /// The time that matters in this state.
    private static func when(_ task: QueuedTask, _ now: Double) -> String {
        switch task.state {
        case .scheduled: Moment.relative(task.runAt, now: now)
        case .blocked, .ready: Moment.relative(max(task.runAt, task.createdAt), now: now)
        case .running: task.startedAt.map { Moment.relative($0, now: now) } ?? ""
        case .completed, .failed, .cancelled: task.finishedAt.map { Moment.relative($0, now: now) } ?? ""
        }
    }

    private static func remark(_ task: QueuedTask, _ now: Double) -> String {
        switch task.state {
        case .blocked where task.blockedBy == "function": return "no worker runs this function"
        case .blocked: return "waits for \(task.blockedBy ?? "something")"
        case .running where task.cancelRequestedAt != nil: return "asked to stop"
        case .running: return task.worker.map { "on \($0)" } ?? ""
        case .scheduled, .ready, .failed, .cancelled: return task.error ?? ""
        case .completed: return ""
        }
    }
}

extension TaskState {
    var style: Terminal.Style {
        switch self {
        case .completed: .green
        case .failed: .red
        case .running: .blue
        case .blocked, .cancelled: .yellow
        case .scheduled: .dim
        case .ready: .bold
        }
    }
}

extension QueuedTask {
    /// The columns of `list.sql` under their names, times as ISO 8601 in UTC.
    func json() throws -> JSON {
        func time(_ moment: Double?) -> JSON { .text(moment.map(Moment.iso)) }
        return .object([
            "id": .number(id), "state": .string(state.rawValue), "queue": .string(queue), "function": .string(function), "args": try JSON(args),
            "priority": .number(priority), "run_at": time(runAt), "attempt": .number(attempt), "max_attempts": .number(maxAttempts),
            "unique_key": .text(uniqueKey), "blocked_by": .text(blockedBy), "created_at": time(createdAt), "started_at": time(startedAt),
            "finished_at": time(finishedAt), "cancel_requested_at": time(cancelRequestedAt), "worker": .text(worker), "error": .text(error),
        ])
    }
}
