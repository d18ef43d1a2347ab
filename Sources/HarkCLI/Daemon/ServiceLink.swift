internal import Glibc
internal import Hark
internal import Logging
internal import PQ
internal import Systemd

// What the daemon says to the service manager, and when. The contract is Documentation/Service.md.
//
// Everything here happens on the worker's loop, the pings too: a loop that hangs sends none, and a loop that turns while
// the worker has not done what it was to do (`Worker.isOnTime`) sends none either. Functions run elsewhere, and may take as
// long as they like.
//
// Before READY and after STOPPING the manager's clock runs. It is told every second that ten more are needed, as long as
// that is honest: a start that waits for its database may wait for ever, a stop ends when nothing can be waited for.

/// Touched on the loop only, so that it needs no lock; that is also why it may be handed to the closures of the loop.
final class ServiceLink: @unchecked Sendable {
    private let manager: ServiceManager
    private let loop: EventLoop
    private let logger: Logger
    private let prefix: String
    private var watchdog: Duration?
    private var worker: Worker?
    private var status: WorkerStatus

    /// Nothing is worth waiting for after this: what was asked to stop had its time, and so had the last round trip.
    private var stopsBy: Duration?
    private var shown: (line: String, at: Duration)?
    private var flush: Timer?
    private var pinger: Timer?
    private var extender: Timer?

    /// - Parameters:
    ///   - instance: of a template unit; begins each status line.
    ///   - slots: of all queues together.
    init(_ manager: ServiceManager, on loop: EventLoop, instance: String?, slots: Int, logger: Logger) {
        self.manager = manager
        self.loop = loop
        self.logger = logger
        prefix = instance.map { "\($0): " } ?? ""
        status = WorkerStatus(slots: slots)
        guard manager.isThere else { return }
        do { watchdog = try manager.watchdogInterval() } catch { logger.warning("\(error)") }
    }

    /// From now on for this worker, before it runs.
    func begin(_ worker: Worker) {
        guard manager.isThere else { return }
        loop.run { [self] in
            self.worker = worker
            show()
            ping()
            extend()
        }
    }

    func take(_ event: TelemetryEvent, stopGrace: Duration) {
        guard manager.isThere else { return }
        status.take(event)
        switch event {
        // These come with each task, the others are rare.
        case .started, .finished, .written: show()
        default: show(atOnce: true)
        }
        switch event {
        case .ready: manager.ready()
        case .draining(_, let until):
            if stopsBy == nil { manager.stopping() }
            stopsBy = until + stopGrace * 4 + .seconds(40)
            extend()
        default: break
        }
    }

    /// The configuration is being read.
    func reloading() {
        guard manager.isThere else { return }
        loop.run { [self] in if isUp { manager.reloading() } }
    }

    /// It was taken over, or refused for this reason.
    func reloaded(slots: Int, refused: String?) {
        guard manager.isThere else { return }
        loop.run { [self] in
            status.slots = slots
            status.notReloaded = refused
            show(atOnce: true)
            if isUp { manager.ready() }
        }
    }

    /// Between start and stop, the only time at which the manager knows of reloads.
    private var isUp: Bool { status.isReady && stopsBy == nil }

    /// The worker has ended.
    func end() async {
        await withCheckedContinuation { continuation in
            loop.run { [self] in
                for timer in [flush, pinger, extender] { timer?.cancel() }
                (flush, pinger, extender, worker) = (nil, nil, nil, nil)
                continuation.resume()
            }
        }
    }

    private func ping() {
        guard let watchdog, let worker else { return }
        let isOnTime = worker.assumeIsolated { $0.isOnTime() }
        if isOnTime {
            manager.ping()
        } else {
            logger.error("the worker has not done what it was to do by now: no ping for the watchdog")
        }
        pinger = loop.at(EventLoop.now + (isOnTime ? watchdog / 2 : min(watchdog / 2, .seconds(1)))) { [self] in ping() }
    }

    private func extend() {
        extender?.cancel()
        extender = nil
        let now = EventLoop.now
        guard worker != nil, stopsBy.map({ now < $0 }) ?? !status.isReady else { return }
        manager.extendTimeout(by: .seconds(10))
        show()
        extender = loop.at(now + .seconds(1)) { [self] in extend() }
    }

    /// Says how the worker is, when that has changed; not more often than once a second, unless it is to be at once.
    private func show(atOnce: Bool = false) {
        let now = EventLoop.now
        if !atOnce, let shown, now < shown.at + .seconds(1) {
            if flush == nil { flush = loop.at(shown.at + .seconds(1)) { [self] in flush = nil; show() } }
            return
        }
        let line = prefix + status.line(at: now)
        guard line != shown?.line else { return }
        flush?.cancel()
        flush = nil
        shown = (line, now)
        manager.status(line)
    }
}

extension ServiceManager {
    /// The last words of a daemon that cannot go on.
    func failed(_ error: any Error) {
        status("ended: \(Harmless.line("\(error)"))")
        switch Exit.code(of: error) {
        case Exit.configuration, Exit.usage: failing(errno: EINVAL)
        case Exit.unreachable: failing(errno: EHOSTUNREACH)
        default: break
        }
    }
}
