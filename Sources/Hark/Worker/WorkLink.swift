internal import PQ

/// The work connection of a worker, and a second one beside it while there is so much to do that two round trips are under way.
///
/// The server works for each of them in a process of its own, so two trips side by side use two of its CPUs. Which trip may go beside
/// another is for the brain to say. To it both are one link: when one breaks with a trip under way, both are given up. The second is
/// opened when it is first missed, and closed when it was not used for a while; until it is there, or if it cannot be had, a trip goes
/// behind the other on the first one.
actor WorkLink {
    private nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    nonisolated let first: Connection
    private let open: @Sendable (_ closed: @escaping @Sendable () -> Void) async throws -> Connection
    private var second: Connection?
    private var onFirst = 0
    private var onSecond = 0
    private var isOpening = false
    /// After an attempt that failed: not before.
    private var openFrom = Duration.zero
    private var closing: PQ.Timer?
    private var hasEnded = false

    /// How long the second is kept, and how long one that could not be had is not tried again.
    static let patience = Duration.seconds(10)

    /// - Parameter open: makes another connection like the first; calls `closed` when it is lost.
    init(_ first: Connection, open: @escaping @Sendable (_ closed: @escaping @Sendable () -> Void) async throws -> Connection) {
        (self.first, loop, self.open) = (first, first.loop, open)
    }

    /// Called on the loop; what the socket takes is sent before this returns.
    /// - Parameter done: called on the loop, once, after this has returned.
    func perform(_ trip: Trip, for worker: Store.Worker, isPooled: Bool, _ done: @escaping Store.Done) {
        guard onFirst > 0 else { return performOnFirst(trip, worker, isPooled, done) }
        guard let second, onSecond == 0 else {
            openSecond()
            return performOnFirst(trip, worker, isPooled, done)
        }
        closing?.cancel()
        onSecond += 1
        Store(connection: second, worker: worker, isPooled: isPooled).perform(trip) { result in
            self.assumeIsolated { link in
                link.onSecond -= 1
                link.closeLater()
            }
            done(result)
        }
    }

    private func performOnFirst(_ trip: Trip, _ worker: Store.Worker, _ isPooled: Bool, _ done: @escaping Store.Done) {
        onFirst += 1
        Store(connection: first, worker: worker, isPooled: isPooled).perform(trip) { result in
            self.assumeIsolated { $0.onFirst -= 1 }
            done(result)
        }
    }

    /// Makes up a trip for the first connection, to be sent as long as none is under way there. Nil when that is not so now.
    func ready(_ trip: Trip, for worker: Store.Worker, isPooled: Bool, _ done: @escaping Store.Done) -> ReadyPipeline? {
        guard onFirst == 0 else { return nil }
        return Store(connection: first, worker: worker, isPooled: isPooled).ready(trip) { result in
            self.assumeIsolated { $0.onFirst -= 1 }
            done(result)
        }
    }

    /// Called on the loop.
    nonisolated func send(_ pipeline: ReadyPipeline) {
        first.assumeIsolated { $0.send(pipeline) }
        assumeIsolated { $0.onFirst += 1 }
    }

    /// Asks the server to stop what it does for us, over connections that may hang like these.
    nonisolated func cancelRunning() {
        Task {
            for connection in await [first, second] { try? await connection?.cancelRunning() }
        }
    }

    func close() async {
        hasEnded = true
        closing?.cancel()
        await first.close()
        await second?.close()
    }

    // MARK: - The second

    private func openSecond() {
        guard second == nil, !isOpening, !hasEnded, EventLoop.now >= openFrom else { return }
        isOpening = true
        let open = open
        let lost: @Sendable () -> Void = { [weak self] in self?.lostSecond() }
        Task(executorPreference: loop) { [weak self] in
            let connection = try? await open(lost)
            await self?.opened(connection)
        }
    }

    private nonisolated func lostSecond() { loop.run { self.assumeIsolated { $0.second = nil } } }

    private func opened(_ connection: Connection?) async {
        isOpening = false
        openFrom = EventLoop.now + Self.patience
        if hasEnded { await connection?.close() } else { second = connection }
        closeLater()
    }

    private func closeLater() {
        guard onSecond == 0, second != nil else { return }
        closing?.cancel()
        closing = loop.at(EventLoop.now + Self.patience) { [weak self] in self?.assumeIsolated { $0.closeSecond() } }
    }

    private func closeSecond() {
        guard onSecond == 0, let old = second else { return }
        second = nil
        Task { await old.close() }
    }
}

/// Which connection a closure belongs to, filled in once the connection exists.
final class ConnectionBox: Sendable {
    private let box = Mutex<ObjectIdentifier?>(nil)
    var value: ObjectIdentifier? {
        get { box.withLock { $0 } }
        set { box.withLock { $0 = newValue } }
    }
}
