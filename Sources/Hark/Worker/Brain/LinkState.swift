/// One of the worker's connections: up or not, and how long to wait before the next try.
struct LinkState {
    var isUp = false
    /// A connect is under way, or waits for its moment. Never two at a time.
    private(set) var isConnecting = true
    private var losses = 0

    mutating func connected() {
        isUp = true
        isConnecting = false
        losses = 0
    }

    /// Doubling from 50 ms to 5 s, with jitter down to a half, so that a fleet does not come back at one moment.
    mutating func lost(_ random: inout SplitMix64) -> Duration {
        isUp = false
        isConnecting = true
        losses += 1
        let wait = min(Duration.milliseconds(50) * Double(1 << min(losses - 1, 7)), .seconds(5))
        return wait * Double.random(in: 0.5...1, using: &random)
    }
}

/// How a worker learns of new tasks, at this moment. Shown wherever the worker is shown.
public enum Listener: Sendable, Equatable {
    /// Notifications arrive; their way was proven by a round trip.
    case listening(since: Duration)
    /// Notifications may be missed; the poll finds the tasks.
    case polling(since: Duration, why: String)
    /// No claims at all: there is no work connection.
    case disconnected(since: Duration, why: String)

    /// `listening`, `polling` or `disconnected`: what stands in `hark.workers.listener`.
    public var word: String {
        switch self {
        case .listening: "listening"
        case .polling: "polling"
        case .disconnected: "disconnected"
        }
    }

    /// The same state for the same reason, whenever it began.
    func sameAs(_ other: Listener) -> Bool {
        switch (self, other) {
        case (.listening, .listening): true
        case (.polling(_, let a), .polling(_, let b)), (.disconnected(_, let a), .disconnected(_, let b)): a == b
        default: false
        }
    }
}
