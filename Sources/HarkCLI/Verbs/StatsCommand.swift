internal import ArgumentParser
internal import Hark

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show how each queue is doing.", discussion: "Finished tasks are those of the last hour; DONE/MIN is the last minute.")

    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func run() async throws {
        let stats = try await options.withClient { try await $0.stats() }
        if listing.json { return say(JSON.listing(stats.map(\.json))) }
        if stats.isEmpty { return note("Nothing waits or runs, and nothing finished within the last hour.") }
        say(Self.render(stats, on: .stdout))
    }

    static func render(_ stats: [QueueStats], on terminal: Terminal) -> String {
        var table = Table([
            .elastic("QUEUE"), .right("READY"), .left("OLDEST"), .right("RUNNING"), .right("SCHEDULED"), .right("BLOCKED"), .right("DONE/MIN"),
            .right("COMPLETED"), .right("FAILED"), .right("CANCELLED"),
        ])
        for queue in stats {
            table.add([
                Table.Cell(queue.queue), "\(queue.ready)", Table.Cell(queue.oldestReady.map { Moment.duration(max(0, $0)) } ?? ""), "\(queue.running)",
                "\(queue.scheduled)", Table.Cell("\(queue.blocked)", queue.blocked > 0 ? .yellow : .plain), "\(queue.completed.minute)",
                "\(queue.completed.hour)", Table.Cell("\(queue.failed.hour)", queue.failed.hour > 0 ? .red : .plain), "\(queue.cancelled.hour)",
            ])
        }
        return table.render(on: terminal)
    }
}

extension QueueStats {
    var json: JSON {
        .object([
            "queue": .string(queue), "ready": .number(ready), "scheduled": .number(scheduled), "blocked": .number(blocked), "running": .number(running),
            "oldest_ready": .number(oldestReady), "completed_minute": .number(completed.minute), "failed_minute": .number(failed.minute),
            "cancelled_minute": .number(cancelled.minute), "completed_hour": .number(completed.hour), "failed_hour": .number(failed.hour),
            "cancelled_hour": .number(cancelled.hour),
        ])
    }
}
