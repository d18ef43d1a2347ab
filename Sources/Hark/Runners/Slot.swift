import PQ

/// Room for one running task: what a slot runs at this moment, and how to cancel just that.
final class Slot: Sendable {
    /// Of a task only the slot's own child task may ask everything, but anybody may cancel it while it lives; and
    /// `state` is emptied before it ends.
    private struct Handle: @unchecked Sendable {
        let task: UnsafeCurrentTask
    }

    private struct State {
        var claim: Claim?
        var reason: StopReason?
    }

    private struct Cancelling {
        var cancelled = false
        var handle: Handle?
    }

    private let state = Mutex(State())
    /// Held while the function's cancellation handlers run, which may take their time: only the slot itself waits for that.
    private let cancelling: Mutex<Cancelling>

    init(_ current: UnsafeCurrentTask?) {
        cancelling = Mutex(Cancelling(handle: current.map(Handle.init)))
    }

    /// Why the running function was asked to stop; nil as long as nobody has.
    var stopReason: StopReason? { state.withLock { $0.reason } }

    func begin(_ claim: Claim) {
        state.withLock { state in
            state.claim = claim
            state.reason = nil
        }
    }

    /// The function is done. True if the slot was cancelled and can run no other.
    func end() -> Bool {
        state.withLock { $0.claim = nil }
        return cancelling.withLock { cancelling in
            if cancelling.cancelled { cancelling.handle = nil }
            return cancelling.cancelled
        }
    }

    /// Notes why `claim` is to stop, if that is what runs here and nobody was earlier.
    func mark(_ claim: Claim, _ reason: StopReason) -> Bool {
        state.withLock { state in
            guard state.claim == claim, state.reason == nil else { return false }
            state.reason = reason
            return true
        }
    }

    /// Cancels the slot's child task if it still runs `claim`. Cancellation handlers run before this returns.
    func cancel(_ claim: Claim) {
        cancelling.withLock { cancelling in
            guard state.withLock({ $0.claim == claim }) else { return }
            cancelling.cancelled = true
            cancelling.handle?.task.cancel()
        }
    }
}
