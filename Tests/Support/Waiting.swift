public import PQ

/// Something was awaited for longer than is reasonable.
public struct DeadlinePassed: Error, CustomStringConvertible {
    public let description: String
}

/// One loop for what the tests themselves wait for.
public let testLoop = EventLoop(name: "hark-test")

/// Runs `body`, but fails when that takes longer than `seconds`. `body` is then cancelled and not waited for, so a hang
/// becomes an error with a name.
public func withDeadline<T: Sendable>(
    _ seconds: Int, _ what: String, _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    let race = Race<T>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            race.begin(continuation)
            let timer = testLoop.at(EventLoop.now + .seconds(seconds)) {
                race.end(.failure(DeadlinePassed(description: "waited \(seconds) s in vain for: \(what)")))
            }
            race.task(
                Task.detached {
                    let result: Result<T, any Error>
                    do { result = .success(try await body()) } catch { result = .failure(error) }
                    timer.cancel()
                    race.end(result)
                })
        }
    } onCancel: {
        race.end(.failure(CancellationError()))
    }
}

/// A result that comes from one of two sides.
private final class Race<T: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<T, any Error>?
        var task: Task<Void, Never>?
        var result: Result<T, any Error>?
    }
    private let state = Mutex(State())

    func begin(_ continuation: CheckedContinuation<T, any Error>) {
        let result = state.withLock { state in
            if state.result == nil { state.continuation = continuation }
            return state.result
        }
        if let result { continuation.resume(with: result) }
    }

    func task(_ task: Task<Void, Never>) {
        let isOver = state.withLock { state in
            state.task = task
            return state.result != nil
        }
        if isOver { task.cancel() }
    }

    func end(_ result: Result<T, any Error>) {
        let (continuation, task) = state.withLock { state in
            if state.result == nil { state.result = result }
            return (state.continuation.take(), state.task)
        }
        task?.cancel()
        continuation?.resume(with: result)
    }
}

/// Collects what happens, on any thread, and lets a test wait until enough has.
public final class Events<Element: Sendable>: Sendable {
    private struct Waiter {
        let isEnough: @Sendable ([Element]) -> Bool
        let continuation: CheckedContinuation<[Element], Never>
    }
    private struct State {
        var all: [Element] = []
        var waiters: [Waiter] = []
    }
    private let state = Mutex(State())

    public init() {}

    public var all: [Element] { state.withLock { $0.all } }

    public func add(_ element: Element) {
        let (ready, all) = state.withLock { state in
            state.all.append(element)
            let all = state.all
            let ready = state.waiters.filter { $0.isEnough(all) }
            if !ready.isEmpty { state.waiters.removeAll { $0.isEnough(all) } }
            return (ready, all)
        }
        for waiter in ready { waiter.continuation.resume(returning: all) }
    }

    /// Everything that has happened, as soon as that is enough.
    @discardableResult
    public func wait(
        _ what: String, seconds: Int = 30, until isEnough: @escaping @Sendable ([Element]) -> Bool
    ) async throws -> [Element] {
        do {
            return try await withDeadline(seconds, what) { await self.enough(isEnough) }
        } catch let error as DeadlinePassed {
            throw DeadlinePassed(description: "\(error.description); so far: \(all.suffix(20))")
        }
    }

    @discardableResult
    public func wait(count: Int, _ what: String, seconds: Int = 30) async throws -> [Element] {
        try await wait(what, seconds: seconds) { $0.count >= count }
    }

    private func enough(_ isEnough: @escaping @Sendable ([Element]) -> Bool) async -> [Element] {
        await withCheckedContinuation { continuation in
            let now: [Element]? = state.withLock { state in
                if isEnough(state.all) { return state.all }
                state.waiters.append(Waiter(isEnough: isEnough, continuation: continuation))
                return nil
            }
            if let now { continuation.resume(returning: now) }
        }
    }
}
