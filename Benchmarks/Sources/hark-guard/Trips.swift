@testable import Hark
import PQ

/// Round trips on a real server, one after the other, each of which completes 100 tasks and claims the next 100: the store, PQ and libpq.
struct Trips {
    private static let batch = 100

    let database: String

    /// Returns how many tasks were completed.
    func run(tasks: Int) async throws -> Int {
        let loop = EventLoop()
        defer { loop.stop() }
        let connection = try await Connection.connect(
            Conninfo(database), on: loop, timeout: .seconds(10), options: ConnectionOptions(setup: SessionSetup.work, ahead: 1), onClosed: { _ in })
        let id = try await connection.execute("insert into hark.workers (name) values ('guard') returning id").first?.int32(0) ?? 0
        let worker = Store.Worker(id: id, queues: ["default"], functions: ["noop"], functionPolicies: Array("null".utf8), queuePolicies: Array("null".utf8))
        let store = Store(connection: connection, worker: worker, isPooled: false)
        var completed = 0
        var mark: Int64 = 0
        var writes: [Write] = []
        while completed < tasks {
            var trip = Trip()
            trip.writes = writes
            let room = min(Self.batch, tasks - completed - writes.count)
            if room > 0 {
                let queue = QueueLook(queue: "default", full: false, room: room, lanes: [Lane(priority: 0, mark: mark)])
                trip.look = Look(queues: [queue], token: mark + 1)
            }
            let result = try await store.perform(trip)
            completed += result.written.count
            if result.written.isEmpty && result.claimed.isEmpty { break }
            mark = result.claimed.first?.position ?? mark
            writes = result.claimed.map { Write(claim: $0.claim, verb: .complete(result: Array("42".utf8))) }
        }
        await connection.close()
        return completed
    }
}
