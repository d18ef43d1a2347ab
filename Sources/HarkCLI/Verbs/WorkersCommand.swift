internal import ArgumentParser
internal import Hark

struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "workers", abstract: "List the workers.")

    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func run() async throws {
        let workers = try await options.withClient { try await $0.workers() }
        if listing.json { return say(JSON.listing(workers.map(\.json))) }
        if workers.isEmpty { return note("There are no workers. Start one with `hark work`.") }
        say(Self.render(workers, now: Moment.here, on: .stdout))
    }

    static func render(_ workers: [WorkerInfo], now: Double, on terminal: Terminal) -> String {
        var table = Table([
            .right("ID"), .firm("NAME"), .left("STATE"), .left("LISTENER"), .elastic("QUEUES"), .right("RUNNING"), .left("STARTED"), .left("HEARD OF"),
            .elastic("HOST"), .right("PID"), .left("VERSION"),
        ])
        for worker in workers {
            let state: Table.Cell = worker.isDead ? Table.Cell("dead", .red) : worker.isConnected ? Table.Cell(worker.state) : Table.Cell("cut off", .yellow)
            table.add([
                "\(worker.id)", Table.Cell(worker.name), state, Table.Cell(worker.listener ?? "", worker.listener == "listening" ? .plain : .yellow),
                Table.Cell(worker.queues.joined(separator: " ")), "\(worker.running)/\(worker.slots)", Table.Cell(Moment.relative(worker.startedAt, now: now)),
                Table.Cell(Moment.duration(max(0, worker.beatAge)) + " ago"), Table.Cell(worker.hostname ?? ""), Table.Cell(worker.pid.map { "\($0)" } ?? ""),
                Table.Cell(worker.version ?? ""),
            ])
        }
        return table.render(on: terminal)
    }
}

extension WorkerInfo {
    var json: JSON {
        .object([
            "id": .number(id), "name": .string(name), "state": .string(state), "listener": .text(listener), "queues": .array(queues.map { .string($0) }),
            "slots": .number(slots), "running": .number(running), "hostname": .text(hostname), "pid": .number(pid), "version": .text(version),
            "incarnation": .text(incarnation), "started_at": .string(Moment.iso(startedAt)), "beat_age": .number(beatAge), "connected": .bool(isConnected),
            "dead": .bool(isDead),
        ])
    }
}
