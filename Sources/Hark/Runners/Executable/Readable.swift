internal import CLinux
import Glibc
internal import PQ

extension EventLoop {
    /// Waits until the descriptor is readable (a pidfd: until its process has ended), at most until `deadline`.
    /// The descriptor may be closed as soon as this returns.
    func readable(_ fd: CInt, until deadline: Duration? = nil) async {
        await withCheckedContinuation { continuation in
            let wait = OneWait(continuation)
            wait.begun(watch(fd, .read) { _ in wait.over() }, deadline.map { at($0) { wait.over() } })
        }
    }

    /// Waits until this child has ended; it stays unreaped. `pidfd` is negative where the system had none to give.
    func ended(_ pid: pid_t, _ pidfd: CInt) async {
        if pidfd >= 0 { await readable(pidfd) }
        while !hark_has_ended(pid) {
            try? await sleep(until: EventLoop.now + .milliseconds(20))
        }
    }
}

/// A watch and a timer of which the first to fire ends both. It may fire before `begun` has told which they are.
private final class OneWait: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Void, Never>?
        var watch: Watch?
        var timer: Timer?
        var begun = false
        var fired = false
    }

    private let state: Mutex<State>

    init(_ continuation: CheckedContinuation<Void, Never>) {
        state = Mutex(State(continuation: continuation))
    }

    func begun(_ watch: Watch, _ timer: Timer?) {
        settle { ($0.watch, $0.timer, $0.begun) = (watch, timer, true) }
    }

    func over() { settle { $0.fired = true } }

    private func settle(_ change: (inout State) -> Void) {
        let ended = state.withLock { state -> State? in
            change(&state)
            guard state.begun, state.fired else { return nil }
            defer { state = State() }
            return state
        }
        guard let ended else { return }
        ended.watch?.cancel()
        ended.timer?.cancel()
        ended.continuation?.resume()
    }
}
