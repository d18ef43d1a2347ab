import Hark
import Logging
import PQ
import struct Synchronization.Atomic

/// Gathers what a runner says, and lets a test wait for it.
final class CollectingOutlet: RunnerOutlet {
    struct Line: Sendable {
        let level: Logger.Level
        let text: String
        let metadata: [String: String]
    }

    private struct Waiting: Sendable {
        let condition: @Sendable (CollectingOutlet) -> Bool
        let continuation: CheckedContinuation<Bool, Never>
        let timer: Timer
    }

    private struct State {
        var outcomes: [(Claim, Outcome)] = []
        var alive: [Claim] = []
        var extended: [(Claim, Duration)] = []
        var lines: [Line] = []
        var capacities: [(Int, String?)] = []
        var waiting: [Waiting] = []
        var changes = 0
    }

    let loop = EventLoop(name: "test-loop")
    private let state = Mutex(State())

    deinit { loop.stop() }

    var logger: Logger { Logger(label: "test") { _ in Handler(outlet: self) } }
    var outcomes: [(claim: Claim, outcome: Outcome)] { state.withLock { $0.outcomes.map { (claim: $0.0, outcome: $0.1) } } }
    var count: Int { state.withLock(\.outcomes.count) }
    var alive: [Claim] { state.withLock(\.alive) }
    var extended: [Duration] { state.withLock { $0.extended.map(\.1) } }
    var lines: [Line] { state.withLock(\.lines) }
    /// What the runner said last of how many tasks it would have, and why none.
    var capacity: (count: Int, lacking: String?) { state.withLock { $0.capacities.last ?? (0, nil) } }

    func finished(_ claim: Claim, _ outcome: Outcome) { note { $0.outcomes.append((claim, outcome)) } }
    func alive(_ claim: Claim) { note { $0.alive.append(claim) } }
    func capacity(_ count: Int, lacking: String?) { note { $0.capacities.append((count, lacking)) } }
    func extend(_ claim: Claim, by extra: Duration) { note { $0.extended.append((claim, extra)) } }

    func outcome(of claim: Claim) -> Outcome? { outcomes.last { $0.claim == claim }?.outcome }

    /// Waits until `condition` holds, which is looked at after each thing said. False after a minute.
    func until(_ condition: @escaping @Sendable (CollectingOutlet) -> Bool) async -> Bool {
        await withCheckedContinuation { continuation in
            let timer = loop.at(EventLoop.now + .seconds(60)) { self.note { state in
                for waiting in state.waiting { waiting.continuation.resume(returning: false) }
                state.waiting = []
            } }
            settle(Waiting(condition: condition, continuation: continuation, timer: timer))
        }
    }

    /// Resumes or puts back; looks again if more was said meanwhile, since whoever said it did not find `one` waiting.
    private func settle(_ one: Waiting) {
        while true {
            let seen = state.withLock(\.changes)
            if one.condition(self) {
                one.timer.cancel()
                return one.continuation.resume(returning: true)
            }
            let back = state.withLock { state in
                if state.changes == seen { state.waiting.append(one) }
                return state.changes == seen
            }
            if back { return }
        }
    }

    private func note(_ change: (inout State) -> Void) {
        let waiting = state.withLock { state in
            change(&state)
            state.changes += 1
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { settle(one) }
    }

    private struct Handler: LogHandler {
        let outlet: CollectingOutlet
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = metadata.mapValues { "\($0)" }
            outlet.note { $0.lines.append(Line(level: event.level, text: "\(event.message)", metadata: fields)) }
        }
    }
}

/// A claimed task with an id of its own.
func claimed(
    _ function: String, _ args: String = "[]", timeout: Duration? = nil, queue: String = "default", attempt: Int = 1
) -> ClaimedTask {
    let id = nextID.add(1, ordering: .relaxed).newValue
    return ClaimedTask(
        claim: Claim(id: id, token: id * 7919), queue: queue, function: function, args: Array(args.utf8), attempt: attempt,
        timeout: timeout)
}

private let nextID = Atomic<Int64>(0)

/// Runs `body` while the runner runs, and shuts the runner down after it.
func running(_ runner: any Runner, _ outlet: CollectingOutlet, _ body: () async throws -> Void) async rethrows {
    let task = Task { await runner.run(outlet) }
    try await body()
    runner.shutDown()
    await task.value
}

/// The outcome of one task.
func outcome(_ runner: any Runner, _ task: ClaimedTask, _ outlet: CollectingOutlet = CollectingOutlet()) async -> Outcome? {
    await running(runner, outlet) { runner.start([task]) }
    return outlet.outcome(of: task.claim)
}

extension Outcome {
    /// The result as text, when there is one.
    var text: String? {
        if case .completed(let result?) = self { String(decoding: result, as: UTF8.self) } else { nil }
    }

    /// For comparison, where a traceback would be in the way.
    var withoutDetail: Outcome {
        func short(_ error: AttemptError) -> AttemptError { AttemptError(error.kind, error.message) }
        return switch self {
        case .retry(let after, let error): .retry(after: after, short(error))
        case .errored(let error): .errored(short(error))
        case .failed(let error): .failed(short(error))
        case .cancelled(let error): .cancelled(short(error))
        default: self
        }
    }

    var error: AttemptError? {
        switch self {
        case .retry(_, let error), .errored(let error), .failed(let error), .cancelled(let error): error
        default: nil
        }
    }
}

/// A door that a test opens and functions wait at.
final class Gate: Sendable {
    private let state = Mutex<(open: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiting = state.withLock { state in
            defer { state = (true, []) }
            return state.waiting
        }
        for one in waiting { one.resume() }
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let open = state.withLock { state in
                if !state.open { state.waiting.append(continuation) }
                return state.open
            }
            if open { continuation.resume() }
        }
    }
}
