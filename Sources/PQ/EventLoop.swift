// The event loop: one thread that runs actors and, when nothing is left to run, sleeps in epoll.
//
// It is the only place of the process that waits. Whoever has to wait for something hands the loop a descriptor
// (`watch`), a moment (`at`, `sleep`) or nothing but a closure (`run`), and is called on the loop's thread. As a
// `SerialExecutor` the loop is also where actors live: an actor that returns it as its `unownedExecutor` may be entered
// from those calls with `assumeIsolated`, without a hop, because both run on the one thread. As a `TaskExecutor` it can be
// the preference of whole task trees, so that code that is isolated to nothing stays on the thread too.
//
// A turn is: run everything that is queued, ask epoll (without waiting if more was queued meanwhile), hand out what is
// ready, fire the timers that are due. Nothing that runs here may block: one slow call delays everybody.
//
// The sleeping handshake. `Shared.asleep` says that the thread is in epoll, or will be before it looks at the queue
// again. It is set under the lock, in the same breath in which the queue was seen empty; whoever queues something takes
// the lock too, and, if it finds the flag set, clears it and writes the eventfd. So a wake-up costs one system call for a
// whole burst, none while the loop is awake, and can not be lost: either the loop saw the entry, or the writer saw the flag.
//
// Watches and timers may be made and cancelled on any thread. Their tables are under the same lock; epoll is told at once
// (epoll_ctl needs no lock), under a tag that is never used twice, so an event that was fetched before its watch was
// cancelled finds nobody and is dropped. A cancel on the loop's thread is exact: the body is not called afterwards. A
// cancel on another thread can meet a body that is just being called.
//
// One timerfd serves all timers. It is armed for the earliest deadline and only ever moved to an earlier one; a deadline
// that was cancelled costs one idle wake-up, which is cheaper than a system call for each of the timers that hardly ever
// fire. Its clock is CLOCK_BOOTTIME, which goes on while the machine is suspended.
//
// The thread holds the loop alive. `stop` lets it end once nothing is queued, watched or timed. A job that comes after
// that starts the thread again: no continuation is ever lost because somebody stopped the loop too early.

internal import CLinux
internal import Synchronization

/// One thread that runs actors, timers and descriptor callbacks, and sleeps in epoll when there is nothing to run.
///
/// Every member may be used from any thread. Sendable without the compiler's proof: what is shared is guarded by `shared`,
/// the rest is immutable or touched by the loop's own thread only.
public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
    private enum Work {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private struct Shared {
        var queue: [Work] = []
        var asleep = false
        var running = false
        var stopping = false
        var watches: [UInt64: Watch] = [:]
        var nextTag: UInt64 = 2
        var timers = TimerHeap()

        /// Whether the caller must write the eventfd: clears the flag, so that only one does.
        mutating func takeSleep() -> Bool {
            defer { asleep = false }
            return asleep
        }

        /// Whether the caller must start a thread, because the last one has ended.
        mutating func takeStart() -> Bool {
            defer { running = true }
            return !running
        }
    }

    private static let wakeTag: UInt64 = 0
    private static let timerTag: UInt64 = 1

    private let name: String
    private let epoll: CInt
    private let wake: CInt
    private let clock: CInt
    private let shared = Mutex(Shared())
    private let threadID = Atomic<CInt>(0)
    private let turnCount = Atomic<UInt64>(0)

    // Touched by the loop's thread only.
    private var batch: [Work] = []
    private var armedFor: Int64 = .max

    /// Starts the thread.
    ///
    /// Traps when the process has no descriptor or thread left, because nothing can run without a loop.
    /// - Parameter name: the thread's name in `ps` and `top`; at most 15 characters are kept.
    public init(name: String = "hark-loop") {
        self.name = name
        epoll = linux_epoll_create()
        wake = linux_eventfd_create()
        clock = linux_timerfd_create()
        precondition(epoll >= 0 && wake >= 0 && clock >= 0, "the process has no file descriptors left")
        _ = linux_epoll_add(epoll, wake, UInt32(LINUX_READ), Self.wakeTag)
        _ = linux_epoll_add(epoll, clock, UInt32(LINUX_READ), Self.timerTag)
        shared.withLock { $0.running = true }
        startThread()
    }

    deinit {
        for fd in [epoll, wake, clock] { linux_close(fd) }
    }

    /// Time since boot on CLOCK_BOOTTIME, which goes on while the machine is suspended. Every deadline here is on it.
    public static var now: Duration { .nanoseconds(linux_boottime()) }

    /// How long the machine has been suspended since boot, all in all.
    public static var suspended: Duration { .nanoseconds(linux_boottime() - linux_monotonic()) }

    /// How many turns the loop has made: one that sleeps makes none.
    public var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Whether the caller is on the loop's thread.
    public var isCurrent: Bool { threadID.load(ordering: .relaxed) == linux_thread_id() }

    /// Ends the thread once nothing is queued, watched or timed. Calling it again changes nothing; work that comes
    /// later is still done, on a new thread.
    public func stop() {
        let mustWake = shared.withLock { shared in
            shared.stopping = true
            return shared.takeSleep()
        }
        if mustWake { signal() }
    }

    /// Calls `body` on the loop, after what is queued already. It must not block.
    public func run(_ body: @escaping @Sendable () -> Void) { add(.closure(body)) }

    /// Calls `body` once, on the loop, at `deadline`; as soon as possible when that is past. Timers with the same
    /// deadline fire in the order in which they were made.
    /// - Parameter deadline: on the clock of `now`, with nanosecond resolution.
    /// - Returns: a handle to cancel it; dropping the handle does not.
    @discardableResult
    public func at(_ deadline: Duration, _ body: @escaping @Sendable () -> Void) -> Timer {
        let timer = Timer(loop: self, body: body)
        let (mustStart, mustWake) = shared.withLock { shared in
            let first = shared.timers.insert(timer, at: deadline.inNanoseconds)
            return (shared.takeStart(), first && shared.takeSleep())
        }
        if mustStart { startThread() }
        if mustWake { signal() }
        return timer
    }

    /// Returns at `deadline`, at once when that is past.
    /// - Throws: `CancellationError` as soon as the calling task is cancelled.
    public func sleep(until deadline: Duration) async throws(CancellationError) {
        let sleeper = Sleeper()
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                guard sleeper.begin(continuation) else { return continuation.resume() }
                sleeper.timer(at(deadline) { sleeper.end() })
            }
        } onCancel: {
            sleeper.cancel()
        }
        if Task.isCancelled { throw CancellationError() }
    }

    /// Calls `body` on the loop whenever `fd` is ready for `interest`, until cancelled. Level-triggered: a body that does
    /// not read what there is will be called again in the next turn.
    ///
    /// Cancel the watch before the descriptor is closed. There may be one watch for a descriptor at a time. A descriptor
    /// that epoll does not take (a file, a closed one, one that is watched already) is reported once as ready for everything,
    /// so that the caller's next read or write says what is wrong.
    public func watch(_ fd: CInt, _ interest: Interest, _ body: @escaping @Sendable (Interest) -> Void) -> Watch {
        let (watch, mustStart) = shared.withLock { shared in
            let watch = Watch(loop: self, fd: fd, tag: shared.nextTag, body: body)
            shared.nextTag += 1
            shared.watches[watch.tag] = watch
            return (watch, shared.takeStart())
        }
        if mustStart { startThread() }
        if linux_epoll_add(epoll, fd, interest.bits, watch.tag) < 0 {
            run { if self.isWatching(watch) { body([.read, .write, .hangup]) } }
        }
        return watch
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func checkIsolated() { precondition(isCurrent, "this must run on the event loop “\(name)”") }

    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    // MARK: For Timer and Watch

    func cancel(_ timer: Timer) { shared.withLock { $0.timers.remove(timer) } }

    func cancel(_ watch: Watch, isClosed: Bool) {
        guard shared.withLock({ $0.watches.removeValue(forKey: watch.tag) }) != nil else { return }
        if !isClosed { _ = linux_epoll_remove(epoll, watch.fd) }
        let mustWake = shared.withLock { $0.stopping && $0.takeSleep() }
        if mustWake { signal() }
    }

    func update(_ watch: Watch, _ interest: Interest) {
        guard isWatching(watch) else { return }
        _ = linux_epoll_change(epoll, watch.fd, interest.bits, watch.tag)
    }

    private func isWatching(_ watch: Watch) -> Bool { shared.withLock { $0.watches[watch.tag] != nil } }

    // MARK: The thread

    private func add(_ work: Work) {
        let (mustStart, mustWake) = shared.withLock { shared in
            shared.queue.append(work)
            return (shared.takeStart(), shared.takeSleep())
        }
        if mustStart { startThread() }
        if mustWake { signal() }
    }

    private func signal() { _ = linux_eventfd_signal(wake) }

    private func startThread() {
        let me = Unmanaged.passRetained(self).toOpaque()
        let result = linux_thread_start(
            { argument in
                guard let argument else { return }
                Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().live()
            }, me, 1 << 20)
        precondition(result == 0, "the process has no threads left")
    }

    private func live() {
        linux_thread_name(name)
        threadID.store(linux_thread_id(), ordering: .relaxed)
        withUnsafeTemporaryAllocation(of: linux_event.self, capacity: 64) { events in
            while let mayWait = runQueued() {
                let count = linux_epoll_wait(epoll, events.baseAddress, 64, mayWait)
                if mayWait { shared.withLock { $0.asleep = false } }
                for index in 0..<max(0, Int(count)) { handOut(events[index]) }
                fireTimers()
                turnCount.add(1, ordering: .relaxed)
            }
        }
    }

    /// Runs what is queued and what that queues, but looks at the descriptors after a while even if it never ends.
    /// - Returns: whether the loop may wait now; nil when the thread is to end.
    private func runQueued() -> Bool? {
        for _ in 0..<32 {
            let nothing = shared.withLock { shared in
                swap(&batch, &shared.queue)
                return batch.isEmpty
            }
            if nothing { break }
            for work in batch {
                switch work {
                case .job(let job):
                    job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
                case .closure(let body): body()
                }
            }
            batch.removeAll(keepingCapacity: true)
        }
        let (mayWait, ended, earliest) = shared.withLock { shared -> (Bool, Bool, Int64?) in
            guard shared.queue.isEmpty else { return (false, false, nil) }
            if shared.stopping && shared.watches.isEmpty && shared.timers.isEmpty {
                shared.running = false
                threadID.store(0, ordering: .relaxed)
                return (false, true, nil)
            }
            shared.asleep = true
            return (true, false, shared.timers.earliest)
        }
        if ended { return nil }
        if let earliest, earliest < armedFor {
            armedFor = earliest
            _ = linux_timerfd_arm(clock, max(1, earliest))
        }
        return mayWait
    }

    private func handOut(_ event: linux_event) {
        switch event.tag {
        case Self.wakeTag: linux_counter_drain(wake)
        case Self.timerTag:
            linux_counter_drain(clock)
            armedFor = .max
        default:
            guard let watch = shared.withLock({ $0.watches[event.tag] }) else { return }
            watch.body(Interest(bits: event.ready))
        }
    }

    private func fireTimers() {
        guard shared.withLock({ !$0.timers.isEmpty }) else { return }
        let now = linux_boottime()
        while let due = shared.withLock({ $0.timers.removeFirst(dueBy: now) }) { due.body() }
    }
}
