internal import PQ
import Synchronization

extension EventLoop {
    /// Waits until the descriptor is readable (a pidfd: until its process has ended), at most until `deadline`.
    /// The descriptor may be closed as soon as this returns.
    func readable(_ fd: CInt, until deadline: Duration? = nil) async {
        await withCheckedContinuation { continuation in
            let wait = OneWait(continuation)
            // On the loop's own thread, so that neither can fire before both are known.
            run {
                let watch = self.watch(fd, .read) { _ in wait.over() }
                let timer = deadline.map { self.at($0) { wait.over() } }
                wait.begun(watch, timer)
            }
        }
    }
}

/// A watch and a timer of which only the first to fire counts. Used on the loop's thread only.
private final class OneWait: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Void, Never>?
        var watch: Watch?
        var timer: Timer?
    }

    private let state: Mutex<State>

    init(_ continuation: CheckedContinuation<Void, Never>) {
        state = Mutex(State(continuation: continuation))
    }

    func begun(_ watch: Watch, _ timer: Timer?) {
        state.withLock { ($0.watch, $0.timer) = (watch, timer) }
    }

    func over() {
        let ended = state.withLock { state in
            defer { state = State() }
            return state
        }
        ended.watch?.cancel()
        ended.timer?.cancel()
        ended.continuation?.resume()
    }
}
