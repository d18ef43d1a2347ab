@testable import Hark

/// The brain of a worker that is never out of work, in a world that answers everything at once and in order.
struct Brain {
    private static let slots = 1_000
    /// So many outcomes come together.
    private static let batch = 250

    private let tasks: Int
    private var brain: WorkerState
    private var now = Duration.seconds(1_000)
    private var events: [WorkerEvent] = []
    private var claimed = 0
    private var written = 0

    init(tasks: Int) {
        self.tasks = tasks
        var settings = WorkerState.Settings()
        settings.queues = [QueueSettings(name: "default", slots: Self.slots)]
        settings.functions = ["noop"]
        brain = WorkerState(settings, seed: 7)
    }

    /// How many outcomes were written, when all of them are.
    consuming func run() -> Int {
        obey(brain.start(now: now))
        var next = 0
        while written < tasks, next < events.count {
            now += .microseconds(100)
            obey(brain.handle(events[next], now: now))
            // The worker sets its alarm after each event.
            _ = brain.nextWake
            next += 1
        }
        return written
    }

    private mutating func obey(_ actions: [WorkerAction]) {
        for action in actions {
            switch action {
            case .connect(.signal, _): events.append(.joined(worker: 1, renewed: false))
            case .connect(.work, _): events.append(.workConnected)
            case .trip(let trip): events.append(.tripped(trip: trip.number, answer(to: trip)))
            case .run(let tasks):
                for start in stride(from: 0, to: tasks.count, by: Self.batch) {
                    events.append(.finished(tasks[start..<min(start + Self.batch, tasks.count)].map { ($0.claim, .completed(result: nil)) }))
                }
            case .report(.written(let writes)): written += writes.count
            case .arm: events.append(.armed(isReserve: false, standsBy: false, blocked: []))
            case .disarm: events.append(.disarmed)
            default: break
            }
        }
    }

    private mutating func answer(to trip: Trip) -> TripResult {
        var result = TripResult(stillRegistered: trip.beat == nil ? nil : true, written: Set(trip.writes.map(\.claim)))
        for asked in trip.look?.queues ?? [] {
            if asked.full { result.lanes[asked.queue] = claimed < tasks ? [0] : [] }
            for _ in 0..<min(asked.room, tasks - claimed) {
                claimed += 1
                let claim = Claim(id: Int64(claimed), token: trip.look?.token ?? 0)
                result.claimed.append(ClaimedTask(claim: claim, queue: asked.queue, function: "noop", args: [], position: claim.id))
            }
        }
        return result
    }
}
