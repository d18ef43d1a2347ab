// The hand-over between the loop and the slots.
//
// A slot is a child task that lives as long as the pool and runs one claimed task after another. No Swift task is made
// per row, no actor is entered, and a batch is handed over under one lock.
//
// Who wakes whom. Waking a slot costs about as much as running a small function, so a batch of a thousand must not wake a
// thousand slots. At most one slot at a time is *searching*: woken (or asked for), but not yet at the queue. `submit`
// wakes one; a slot that takes a task while more are waiting, and nobody is searching, wakes the next one before it
// begins. Functions that return at once are so run by as many slots as there are cores; functions that wait
// pull up one slot after another until all of the batch is running. A new slot is made only when none is idle, thus a
// worker with 1,000 slots that never runs more than 3 tasks holds 3 or 4 of them.
//
// No wake-up is lost: whoever makes the queue non-empty, or leaves it non-empty, looks at `searching` under the same lock;
// and a searching slot takes that lock again before it can go idle.
//
// A slot can be cancelled on its own, for its function to see `Task.isCancelled`. A Swift task cannot be un-cancelled,
// so the slot ends after that function and another one takes its place. The cancellation runs in a child task of its own:
// cancellation handlers are the function's code, and the loop runs none of that.

import PQ

/// As many long-lived child tasks as are needed at once, fed with claimed tasks through one queue.
final class SlotPool: Sendable {
    /// Runs one task. It does not throw: what went wrong is an outcome.
    typealias Body = @Sendable (ClaimedTask, Slot) async -> Outcome

    private struct State {
        var queue: [ClaimedTask] = []
        var head = 0
        /// Tasks that are to stop before any slot has begun them.
        var stopped: [Claim: StopReason] = [:]
        var slots: [Slot] = []
        var idle: [CheckedContinuation<Void, Never>] = []
        var searching = 0
        var closing = false
        let limit: Int

        var waiting: Bool { head < queue.count }
        var done: Bool { closing && !waiting && searching == 0 && slots.isEmpty }

        mutating func take() -> ClaimedTask? {
            guard waiting else { return nil }
            let task = queue[head]
            head += 1
            if !waiting {
                queue.removeAll(keepingCapacity: head <= 4096)
                head = 0
            }
            return task
        }

        /// Whom to wake (outside the lock) so that somebody comes for the rest of the queue.
        mutating func next() -> Wake {
            guard waiting, searching == 0 else { return .nobody }
            if let slot = idle.popLast() {
                searching += 1
                return .idle(slot)
            }
            // Else one that is done with its task comes for the next.
            guard slots.count < limit else { return .nobody }
            searching += 1
            return .new
        }
    }

    private enum Wake {
        case nobody
        case idle(CheckedContinuation<Void, Never>)
        case new
    }

    /// What only the owner of the task group can do.
    private enum Order {
        case slot
        case stop(Slot, Claim)
    }

    private let state: Mutex<State>
    private let (orders, owner) = AsyncStream.makeStream(of: Order.self)

    /// - Parameter limit: never more slots than this; what is handed over beyond waits.
    init(limit: Int = .max) { state = Mutex(State(limit: max(limit, 1))) }

    /// How many slots there are at this moment.
    var count: Int { state.withLock { $0.slots.count } }

    /// Hands tasks over; returns at once. Called by the loop, one batch at a time.
    func submit(_ tasks: [ClaimedTask]) {
        wake(state.withLock { state in
            state.queue.append(contentsOf: tasks)
            return state.next()
        })
    }

    /// Cancels the function that runs for `claim`, and no other; one that no slot has begun will not be. Nothing happens if
    /// it has just finished.
    func cancel(_ claim: Claim, _ reason: StopReason) {
        let slot = state.withLock { state -> Slot? in
            if state.queue[state.head...].contains(where: { $0.claim == claim }) {
                state.stopped[claim] = state.stopped[claim] ?? reason
                return nil
            }
            return state.slots.first { $0.mark(claim, reason) }
        }
        if let slot { owner.yield(.stop(slot, claim)) }
    }

    /// Lets `run` return as soon as all tasks handed over are done.
    func close() {
        let (idle, done) = state.withLock { state in
            state.closing = true
            let idle = state.idle
            state.searching += idle.count
            state.idle = []
            return (idle, state.done)
        }
        for slot in idle { slot.resume() }
        if done { owner.finish() }
    }

    /// Lives until `close` was called and every task is done. Cancelling it closes the pool and cancels what runs; tasks
    /// that no slot has begun are then `released`.
    func run(_ outlet: any RunnerOutlet, _ body: @escaping Body) async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                for await order in orders {
                    group.addTask(executorPreference: globalConcurrentExecutor) {
                        switch order {
                        case .slot: await self.work(outlet, body)
                        case .stop(let slot, let claim): slot.cancel(claim)
                        }
                    }
                }
            }
        } onCancel: {
            close()
        }
        let left = state.withLock { state in
            defer { (state.queue, state.head) = ([], 0) }
            return Array(state.queue[state.head...])
        }
        for task in left { outlet.finished(task.claim, .released) }
    }

    /// One slot: takes a task, runs it, says what came of it, until the pool closes or the slot was cancelled.
    private func work(_ outlet: any RunnerOutlet, _ body: Body) async {
        await withUnsafeCurrentTask { current in
            let slot = Slot(current)
            state.withLock { $0.slots.append(slot) }
            var arriving = true
            while true {
                let (task, stopped, wake, closing) = state.withLock { state in
                    if arriving { state.searching -= 1 }
                    arriving = false
                    let task = state.take()
                    let stopped = state.stopped.isEmpty ? nil : task.flatMap { state.stopped.removeValue(forKey: $0.claim) }
                    if let task { slot.begin(task.claim) }
                    return (task, stopped, state.next(), state.closing)
                }
                self.wake(wake)
                if let task {
                    let outcome = if let stopped { stopped.outcome(of: task) } else { await body(task, slot) }
                    let spent = slot.end()
                    outlet.finished(task.claim, outcome)
                    if spent || Task.isCancelled { break }
                } else if closing {
                    break
                } else {
                    await rest()
                    arriving = true
                }
            }
            leave(slot)
        }
    }

    /// Sleeps until somebody wakes this slot, which then counts as searching.
    private func rest() async {
        await withCheckedContinuation { continuation in
            let stay = state.withLock { state in
                if state.waiting || state.closing {
                    state.searching += 1
                    return false
                }
                state.idle.append(continuation)
                return true
            }
            if !stay { continuation.resume() }
        }
    }

    private func leave(_ slot: Slot) {
        let (wake, done) = state.withLock { state in
            state.slots.removeAll { $0 === slot }
            return (state.next(), state.done)
        }
        self.wake(wake)
        if done { owner.finish() }
    }

    private func wake(_ wake: Wake) {
        switch wake {
        case .nobody: break
        case .idle(let slot): slot.resume()
        case .new: owner.yield(.slot)
        }
    }
}
