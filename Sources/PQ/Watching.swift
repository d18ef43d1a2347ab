internal import Synchronization
internal import CLinux

/// What a descriptor can be ready for.
public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// There is something to read, or the other side has stopped writing.
    public static let read = Interest(rawValue: 1)
    /// There is room to write.
    public static let write = Interest(rawValue: 2)
    /// Broken or closed by the other side. Always reported, need not be asked for.
    public static let hangup = Interest(rawValue: 4)

    var bits: UInt32 { UInt32(rawValue) }
    init(bits: UInt32) { rawValue = UInt8(truncatingIfNeeded: bits) }
}

/// A descriptor that the loop watches. Dropping the handle does not end the watch; `cancel` does.
public final class Watch: Sendable {
    private let loop: EventLoop
    let fd: CInt
    let tag: UInt64
    let body: @Sendable (Interest) -> Void

    init(loop: EventLoop, fd: CInt, tag: UInt64, body: @escaping @Sendable (Interest) -> Void) {
        self.loop = loop
        self.fd = fd
        self.tag = tag
        self.body = body
    }

    /// Watch for this from now on. An empty interest still reports a hangup.
    public func update(_ interest: Interest) { loop.update(self, interest) }

    /// No further calls; must come before the descriptor is closed. Harmless when repeated.
    public func cancel() { loop.cancel(self, isClosed: false) }

    /// No further calls, when somebody else has closed the descriptor. Epoll has forgotten it then, and its number may
    /// by now be that of another descriptor, whose watch must not be taken away.
    func cancelClosed() { loop.cancel(self, isClosed: true) }
}

/// One moment at which the loop will call somebody. Dropping the handle does not cancel it.
public final class Timer: Sendable {
    private let loop: EventLoop
    let body: @Sendable () -> Void
    /// Where the heap keeps it; nil when it has fired or was cancelled. Guarded by the loop's lock.
    nonisolated(unsafe) var slot: Int?

    init(loop: EventLoop, body: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.body = body
    }

    /// It does not fire any more. Harmless when it has fired already, or is cancelled twice.
    public func cancel() { loop.cancel(self) }
}

/// Timers by deadline, then by age: a binary heap in which each timer knows its slot, so that cancelling is cheap and
/// leaves nothing behind.
struct TimerHeap {
    private struct Entry {
        let deadline: Int64
        let age: UInt64
        let timer: Timer

        static func < (a: Entry, b: Entry) -> Bool { (a.deadline, a.age) < (b.deadline, b.age) }
    }

    private var entries: [Entry] = []
    private var made: UInt64 = 0

    var isEmpty: Bool { entries.isEmpty }
    var earliest: Int64? { entries.first?.deadline }

    /// - Returns: whether it is now the first to fire.
    mutating func insert(_ timer: Timer, at deadline: Int64) -> Bool {
        made += 1
        entries.append(Entry(deadline: deadline, age: made, timer: timer))
        timer.slot = entries.count - 1
        rise(from: entries.count - 1)
        return timer.slot == 0
    }

    mutating func remove(_ timer: Timer) {
        guard let slot = timer.slot else { return }
        timer.slot = nil
        let last = entries.removeLast()
        guard slot < entries.count else { return }
        place(last, at: slot)
        rise(from: slot)
        sink(from: slot)
    }

    mutating func removeFirst(dueBy now: Int64) -> Timer? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        remove(first.timer)
        return first.timer
    }

    private mutating func place(_ entry: Entry, at slot: Int) {
        entries[slot] = entry
        entry.timer.slot = slot
    }

    private mutating func exchange(_ a: Int, _ b: Int) {
        let held = entries[a]
        place(entries[b], at: a)
        place(held, at: b)
    }

    private mutating func rise(from start: Int) {
        var slot = start
        while slot > 0, entries[slot] < entries[(slot - 1) / 2] {
            exchange(slot, (slot - 1) / 2)
            slot = (slot - 1) / 2
        }
    }

    private mutating func sink(from start: Int) {
        var slot = start
        while true {
            var least = slot
            for child in [2 * slot + 1, 2 * slot + 2] where child < entries.count && entries[child] < entries[least] {
                least = child
            }
            guard least != slot else { return }
            exchange(slot, least)
            slot = least
        }
    }
}

/// A task that waits for a timer or for its own cancellation, whichever comes first.
final class Sleeper: Sendable {
    private struct State {
        var ended = false
        var continuation: CheckedContinuation<Void, Never>?
        var timer: Timer?
    }

    private let state = Mutex(State())

    /// - Returns: false when it is over already.
    func begin(_ continuation: CheckedContinuation<Void, Never>) -> Bool {
        state.withLock { state in
            if state.ended { return false }
            state.continuation = continuation
            return true
        }
    }

    func timer(_ timer: Timer) {
        let tooLate = state.withLock { state in
            state.timer = timer
            return state.ended
        }
        if tooLate { timer.cancel() }
    }

    func end() {
        let continuation = state.withLock { state in
            state.ended = true
            state.timer = nil
            return state.continuation.take()
        }
        continuation?.resume()
    }

    func cancel() {
        state.withLock { $0.timer }?.cancel()
        end()
    }
}

extension Duration {
    /// Saturates at about 292 years.
    var inNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, over) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return over ? (seconds < 0 ? .min : .max) : sum
    }
}

/// Runs `body`, which may block, on a thread made for it. For the few calls of libpq that can not be waited for.
func onThreadOfItsOwn(_ body: @escaping @Sendable () -> Void) {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    let result = linux_thread_start(
        { argument in
            guard let argument else { return }
            linux_thread_name("hark-libpq")
            Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
        }, box, 1 << 20)
    precondition(result == 0, "the process has no threads left")
}
