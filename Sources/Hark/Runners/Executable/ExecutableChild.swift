internal import CLinux
import Glibc
internal import PQ

/// One attempt of an executable, from the moment it was handed to the runner: whom to signal, and why.
final class ExecutableChild: Sendable {
    private struct State {
        var pid: pid_t?
        var over = false
        var reason: StopReason?
        var signalled = false
        var killed = false
        var kill: (at: Duration, timer: Timer?)?
        /// pidfds of the descendants that were sent SIGKILL with it.
        var dying: [CInt] = []
    }

    let task: ClaimedTask
    private let state = Mutex(State())

    init(_ task: ClaimedTask) { self.task = task }

    /// Why it was asked to stop, before it was done.
    var stopReason: StopReason? { state.withLock(\.reason) }

    /// The process lives; if it was to stop meanwhile, it is told now.
    func started(_ pid: pid_t) {
        state.withLock { state in
            state.pid = pid
            if state.reason != nil { Self.signal(&state) }
            if state.killed { state.dying += Offspring.killTree(pid) }
        }
    }

    /// SIGTERM to the process group now, SIGKILL to it and to what left it after `grace`. A later call may only hasten that.
    /// Nothing happens if the process has ended by itself already.
    func stop(_ reason: StopReason, grace: Duration, on loop: EventLoop?) {
        escalate(grace, loop) { state in
            if let pid = state.pid, state.reason == nil, hark_has_ended(pid) { return false }
            state.reason = state.reason ?? reason
            return true
        }
    }

    /// Stops it because it printed too much.
    func overflow(grace: Duration, on loop: EventLoop) {
        escalate(grace, loop) { _ in true }
    }

    /// Waits until the descendants that were killed with it are dead: SIGKILL takes a moment, and who has left the session
    /// is found by nobody afterwards.
    func buried(on loop: EventLoop, until deadline: Duration) async {
        for fd in takeDying() {
            await loop.readable(fd, until: deadline)
            close(fd)
        }
    }

    /// The process has ended, and nobody may signal its id any more.
    func over() {
        let timer = state.withLock { state in
            state.over = true
            // The timer holds us.
            return state.kill.take()?.timer
        }
        timer?.cancel()
        for fd in takeDying() { close(fd) }
    }

    private func takeDying() -> [CInt] {
        state.withLock { state in
            defer { state.dying = [] }
            return state.dying
        }
    }

    private func escalate(_ grace: Duration, _ loop: EventLoop?, _ note: (inout State) -> Bool) {
        let deadline = EventLoop.now + grace
        let (later, superseded) = state.withLock { state -> (Bool, Timer?) in
            guard !state.over, note(&state) else { return (false, nil) }
            if state.pid != nil { Self.signal(&state) }
            if let kill = state.kill, kill.at <= deadline { return (false, nil) }
            let superseded = state.kill?.timer
            state.kill = (deadline, nil)
            return (true, superseded)
        }
        superseded?.cancel()
        guard later, let loop else { return }
        let timer = loop.at(deadline) { self.kill() }
        let late = state.withLock { state in
            if state.kill?.at == deadline { state.kill?.timer = timer }
            return state.over
        }
        if late { timer.cancel() }
    }

    private static func signal(_ state: inout State) {
        guard let pid = state.pid, !state.signalled else { return }
        state.signalled = true
        Glibc.kill(-pid, SIGTERM)
    }

    private func kill() {
        state.withLock { state in
            guard !state.over else { return }
            state.killed = true
            if let pid = state.pid { state.dying += Offspring.killTree(pid) }
        }
    }
}
