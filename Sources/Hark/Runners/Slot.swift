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
        var cancelled = false
        var handle: Handle?
    }

    private let state: Mutex<State>

    init(_ current: UnsafeCurrentTask?) {
        state = Mutex(State(handle: current.map(Handle.init)))
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
        state.withLock { state in
            state.claim = nil
            if state.cancelled { state.handle = nil }
            return state.cancelled
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
        state.withLock { state in
            guard state.claim == claim else { return }
            state.cancelled = true
            state.handle?.task.cancel()
        }
    }
}
