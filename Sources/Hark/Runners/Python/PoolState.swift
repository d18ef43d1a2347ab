// Who runs which task: the decisions of the Python runner, without processes, sockets or clocks.
//
// Tasks wait in one line, and each interpreter has a line of its own: its front is what it runs, what is behind was handed
// ahead. Handing ahead saves a round trip between the processes for each task, and is done with functions that have proven
// short. When the front takes longer than it should, the interpreter is asked to give back the rest (`recall`), and it goes
// to whoever has time. The answer tells what had not begun, so nothing is run twice, and nothing is forgotten: a task
// is in `waiting`, in exactly one line, or among the outcomes that were handed over.
//
// Replies come in the order of the line, and before the next function begins. So when an interpreter dies, the front is what
// it died of, and what is behind has not begun.

/// The pool of interpreters of one worker: events in, actions out.
struct PoolState {
    typealias Interpreter = Int

    struct Settings {
        var interpreters: Int
        /// From the interrupt of a function to the end of its interpreter, when the worker does not say.
        var grace: Duration
        /// In bytes; a larger result stays with its interpreter.
        var resultLimit: Int
    }

    enum Action {
        case fork(Interpreter)
        case send(Interpreter, [ClaimedTask])
        /// Raise the stop in the function of this task.
        case interrupt(Interpreter, Claim)
        case recall(Interpreter)
        /// Have it look once more at what it was told: the signal may have come at the one moment at which it is not noticed.
        case nudge(Interpreter)
        /// Let it end by itself, in order.
        case end(Interpreter)
        /// End it, and whatever it has started, at once.
        case kill(Interpreter)
        /// End what the function that was there last has left running; then `tidied`.
        case tidy(Interpreter)
        case finish(Claim, Outcome)
        /// This one begins now.
        case began(Claim)
        case capacity(Int)
        /// Everything is done, and nobody is left.
        case close
    }

    private struct Line {
        let id: Interpreter
        var isReady = false
        /// When it has to be ready.
        var readyBy: Duration?
        var hasAnswered = false
        /// It gets no further task, and ends when it has nothing to do.
        var isRetiring = false
        /// It has been told so.
        var isLeaving = false
        var tasks: [ClaimedTask] = []
        /// What is in the line: arguments, and how long it will take in nanoseconds.
        var bytes = 0
        var load = 0.0
        /// Since when the front runs.
        var since = Duration.zero
        var isRecalling = false
        /// When to nudge it, as long as it has not answered, and how long the last wait was.
        var nudge: (at: Duration, wait: Duration)?
        /// Why the front was asked to stop, and when that has been long enough.
        var stop: (reason: StopReason, killAt: Duration?)?
        /// Outcomes that wait until the leftovers of their functions are gone.
        var held: [(Claim, Outcome)] = []
        var isTidying = false
        /// It has written what makes no sense.
        var isSpoiled = false

        /// It may have a task; another one behind what it has only if that runs as it should, and if several are worth a write.
        func isOpen(at now: Duration) -> Bool {
            guard isReady, !isRetiring, !isRecalling, stop == nil, held.isEmpty else { return false }
            return tasks.isEmpty || now < since + PoolState.patience && tasks.count <= Pace.mostHanded / 2 && load <= Pace.handed / 2
        }
    }

    let settings: Settings
    private var waiting: [ClaimedTask] = []
    private var lines: [Line] = []
    private var pace = Pace()
    private var last = 0
    private var isUp = false
    private var isClosing = false
    private var isClosed = false
    private var told: Int?
    /// Tasks handed ahead that are to stop before they begin.
    private var stopped: [Claim: StopReason] = [:]
    /// Interpreters that died before they were ready, one after the other: each next one is waited for longer.
    private var stillborn = 0
    private var forkFrom = Duration.zero
    /// Since when more tasks wait than there should be in hand.
    private var crowdedSince: Duration?
    private var actions: [Action] = []

    /// The front has run for too long to keep others waiting behind it.
    fileprivate static let patience = Duration.milliseconds(50)
    /// From the fork to the first word of an interpreter.
    private static let birth = Duration.seconds(60)
    /// What has waited for so long in too long a line goes back to the database.
    private static let crowded = Duration.seconds(5)

    init(_ settings: Settings) { self.settings = settings }

    /// What the front of an interpreter's line is: whose words it prints.
    func front(_ id: Interpreter) -> ClaimedTask? { index(id).flatMap { lines[$0].tasks.first } }

    private func index(_ id: Interpreter) -> Int? { lines.firstIndex { $0.id == id } }
    private var inHand: Int { waiting.count + lines.reduce(0) { $0 + $1.tasks.count + $1.held.count } }

    private mutating func decide(_ now: Duration, _ change: (inout PoolState) -> Void) -> [Action] {
        actions = []
        change(&self)
        plan(now)
        defer { actions = [] }
        return actions
    }

    private mutating func decide(_ now: Duration, about id: Interpreter, _ change: (inout PoolState, Int) -> Void) -> [Action] {
        decide(now) { state in if let index = state.index(id) { change(&state, index) } }
    }

    // MARK: Events

    mutating func start(_ tasks: [ClaimedTask], now: Duration) -> [Action] { decide(now) { $0.waiting += tasks } }

    /// The fork server is ready.
    mutating func up(now: Duration) -> [Action] { decide(now) { $0.isUp = true } }

    /// The fork server is gone. Its interpreters live on for what they run; new ones come with a new server.
    mutating func down(now: Duration) -> [Action] {
        decide(now) { state in
            state.isUp = false
            for index in state.lines.indices { state.retire(index) }
        }
    }

    mutating func ready(_ id: Interpreter, now: Duration) -> [Action] {
        decide(now, about: id) { state, index in
            state.lines[index].isReady = true
            state.lines[index].readyBy = nil
            if state.stillborn >= 3 { state.stillborn = 2 }
        }
    }

    /// An interpreter has answered, each time with what it says of its front.
    mutating func replied(_ id: Interpreter, _ frames: [Frame], now: Duration) -> [Action] {
        decide(now, about: id) { state, index in
            for frame in frames {
                guard let task = state.lines[index].tasks.first, task.id == frame.task else { return state.spoil(index) }
                state.settle(index, task, frame, now)
            }
        }
    }

    /// These tasks of its line have not begun, and will not.
    mutating func recalled(_ id: Interpreter, _ tasks: [Int64], now: Duration) -> [Action] {
        decide(now, about: id) { state, index in
            state.lines[index].isRecalling = false
            state.takeBack(index) { tasks.contains($0.id) }
            state.rest(index)
        }
    }

    /// What it wrote makes no sense. It is ended, and the front gets the blame.
    mutating func babbled(_ id: Interpreter, now: Duration) -> [Action] { decide(now, about: id) { $0.spoil($1) } }

    /// It has ended, and so has everything that it had started.
    mutating func died(_ id: Interpreter, _ error: AttemptError, now: Duration) -> [Action] {
        decide(now, about: id) { state, index in
            let line = state.lines.remove(at: index)
            for (claim, outcome) in line.held { state.actions.append(.finish(claim, outcome)) }
            // Ended before it was ready, or afterwards without having had anything to do.
            if !line.isReady || !line.hasAnswered && line.tasks.isEmpty && !line.isLeaving {
                state.stillborn += 1
                state.forkFrom = now + min(.milliseconds(100) * Double(1 << min(state.stillborn, 8)), .seconds(15))
            }
            var rest = line.tasks[...]
            if let front = rest.popFirst() {
                let cause = line.isSpoiled ? AttemptError(.crash, Self.spoiled, detail: error.detail) : error
                state.actions.append(.finish(front.claim, line.stop?.reason.outcome(of: front, detail: cause.detail) ?? .errored(cause)))
            }
            state.giveBack(Array(rest))
        }
    }

    private static let spoiled = "wrote to the connection between its interpreter and the worker; the interpreter was ended"

    mutating func tidied(_ id: Interpreter, now: Duration) -> [Action] {
        decide(now, about: id) { state, index in
            for (claim, outcome) in state.lines[index].held { state.actions.append(.finish(claim, outcome)) }
            state.lines[index].held = []
            state.lines[index].isTidying = false
            state.rest(index)
        }
    }

    mutating func stop(_ claim: Claim, _ reason: StopReason, grace: Duration, now: Duration) -> [Action] {
        decide(now) { $0.stop(claim, reason, grace, now) }
    }

    /// Stop everything: what has not begun is released, what runs is asked to stop.
    mutating func stopAll(now: Duration) -> [Action] {
        decide(now) { state in
            state.isClosing = true
            for task in state.waiting + state.lines.flatMap(\.tasks) { state.stop(task.claim, .shutdown, state.settings.grace, now) }
        }
    }

    /// Close once everything that was given is done.
    mutating func close(now: Duration) -> [Action] { decide(now) { $0.isClosing = true } }

    mutating func tick(now: Duration) -> [Action] { decide(now) { _ in } }

    // MARK: What an event changes

    private mutating func settle(_ index: Int, _ task: ClaimedTask, _ frame: Frame, _ now: Duration) {
        let stop = lines[index].stop
        lines[index].stop = nil
        lines[index].hasAnswered = true
        stillborn = 0
        lines[index].tasks.removeFirst()
        forget(index, task)
        if !stopped.isEmpty { stopped[task.claim] = nil }
        let wasInterrupted = frame.flags.contains(.interrupted)
        let outcome = wasInterrupted ? stop?.reason.outcome(of: task, detail: frame.words.detail) ?? self.outcome(frame) : self.outcome(frame)
        if !wasInterrupted, frame.kind.rawValue <= Frame.Kind.fail.rawValue { pace.note(task.function, nanoseconds: frame.number) }
        let isItsLast = frame.flags.contains(.retire) || frame.flags.contains(.children)
        if isItsLast {
            takeBack(index) { _ in true }
            lines[index].isRetiring = true
        }
        if frame.flags.contains(.children) || frame.flags.contains(.spawned) {
            // What it has left is not gone yet.
            pace.noteSpawn(task.function)
            lines[index].held.append((task.claim, outcome))
            // Until it is asked, it begins nothing more.
            if !isItsLast { recall(index) }
        } else {
            actions.append(.finish(task.claim, outcome))
        }
        began(index, now)
        rest(index)
    }

    private func outcome(_ frame: Frame) -> Outcome {
        func error(_ kind: AttemptError.Kind = .error) -> AttemptError {
            let (message, detail) = frame.words
            return AttemptError(kind, message, detail: detail)
        }
        switch frame.kind {
        case .done: return .completed(result: frame.payload.isEmpty ? nil : Array(frame.payload))
        case .fail: return .failed(error())
        case .retry: return .retry(after: frame.number < 0 ? nil : .nanoseconds(frame.number), error())
        case .snooze: return .snoozed(.nanoseconds(max(frame.number, 0)))
        case .cancel: return .cancelled(error(.cancelled))
        case .tooLarge: return .tooLarge(Int(frame.number), settings.resultLimit)
        default: return .errored(error())
        }
    }

    /// It is not in the line any more, and does not burden it.
    private mutating func forget(_ index: Int, _ task: ClaimedTask) {
        if lines[index].tasks.isEmpty {
            (lines[index].bytes, lines[index].load) = (0, 0)
        } else {
            lines[index].bytes -= task.args.count
            lines[index].load -= pace.expected(task.function) ?? 0
        }
    }

    private mutating func takeBack(_ index: Int, _ isMeant: (ClaimedTask) -> Bool) {
        let back = lines[index].tasks.filter(isMeant)
        if back.isEmpty { return }
        if let stop = lines[index].stop, let front = lines[index].tasks.first, isMeant(front) {
            stopped[front.claim] = stop.reason
            lines[index].stop = nil
        }
        lines[index].tasks.removeAll(where: isMeant)
        for task in back { forget(index, task) }
        giveBack(back)
    }

    /// Back to the head of those who wait, unless they were to be stopped.
    private mutating func giveBack(_ tasks: [ClaimedTask]) {
        var again: [ClaimedTask] = []
        for task in tasks {
            if let reason = stopped.removeValue(forKey: task.claim) {
                actions.append(.finish(task.claim, reason.outcome(of: task)))
            } else {
                again.append(task)
            }
        }
        waiting.insert(contentsOf: again, at: 0)
    }

    private mutating func retire(_ index: Int) {
        lines[index].isRetiring = true
        rest(index)
    }

    /// An interpreter with nothing to do: it leaves, is tidied up after, or waits for the next task.
    private mutating func rest(_ index: Int) {
        let line = lines[index]
        guard line.tasks.isEmpty, !line.isLeaving, line.isRetiring || !line.isRecalling else { return }
        if line.isRetiring {
            lines[index].isLeaving = true
            actions.append(line.held.isEmpty ? .end(line.id) : .kill(line.id))
        } else if !line.held.isEmpty, !line.isTidying {
            lines[index].isTidying = true
            actions.append(.tidy(line.id))
        }
    }

    private mutating func spoil(_ index: Int) {
        lines[index].isSpoiled = true
        lines[index].isRetiring = true
        lines[index].isLeaving = true
        actions.append(.kill(lines[index].id))
    }

    private mutating func recall(_ index: Int) {
        guard !lines[index].isRecalling else { return }
        lines[index].isRecalling = true
        lines[index].nudge = nil
        actions.append(.recall(lines[index].id))
    }

    private mutating func stop(_ claim: Claim, _ reason: StopReason, _ grace: Duration, _ now: Duration) {
        if let place = waiting.firstIndex(where: { $0.claim == claim }) {
            actions.append(.finish(claim, reason.outcome(of: waiting.remove(at: place))))
            return
        }
        guard let index = lines.firstIndex(where: { $0.tasks.contains { $0.claim == claim } }) else { return }
        guard lines[index].tasks.first?.claim == claim else {
            stopped[claim] = stopped[claim] ?? reason
            return recall(index)
        }
        if let earlier = lines[index].stop {
            // Killed already, or to be killed: that may only be hastened.
            if let killAt = earlier.killAt { lines[index].stop?.killAt = min(killAt, now + grace) }
        } else {
            lines[index].stop = (reason, now + grace)
            lines[index].nudge = nil
            actions.append(.interrupt(lines[index].id, claim))
        }
    }

    // MARK: What to do next

    private mutating func plan(_ now: Duration) {
        for index in lines.indices {
            if let killAt = lines[index].stop?.killAt, now >= killAt {
                lines[index].stop?.killAt = nil
                actions.append(.kill(lines[index].id))
            }
            if let readyBy = lines[index].readyBy, now >= readyBy {
                lines[index].readyBy = nil
                actions.append(.kill(lines[index].id))
            }
            if lines[index].tasks.count > 1, now >= lines[index].since + Self.patience { recall(index) }
            nudge(index, now)
        }
        dispatch(now)
        thin(now)
        if isClosing, inHand == 0 {
            for index in lines.indices { retire(index) }
            if lines.isEmpty, !isClosed {
                isClosed = true
                actions.append(.close)
            }
        }
        while wantsFork, now >= forkFrom {
            last += 1
            lines.append(Line(id: last, readyBy: now + Self.birth))
            actions.append(.fork(last))
        }
        tellCapacity()
    }

    private mutating func nudge(_ index: Int, _ now: Duration) {
        guard lines[index].isRecalling || lines[index].stop?.killAt != nil, !lines[index].isLeaving else {
            lines[index].nudge = nil
            return
        }
        let last = lines[index].nudge
        if let last, now < last.at { return }
        if last != nil { actions.append(.nudge(lines[index].id)) }
        let wait = min((last?.wait ?? .milliseconds(25)) * 2, .seconds(1))
        lines[index].nudge = (now + wait, wait)
    }

    private var wantsFork: Bool {
        isUp && (!isClosing || !waiting.isEmpty) && lines.count { !$0.isRetiring } < settings.interpreters
    }

    /// How many tasks there should be in hand.
    private var capacity: Int {
        guard isUp else { return 0 }
        let able = stillborn < 3 ? settings.interpreters : lines.count { $0.isReady && !$0.isRetiring }
        return able * pace.depth
    }

    /// Gives back what could run elsewhere: there are no interpreters any more, or what is quick as a rule has become slow.
    private mutating func thin(_ now: Duration) {
        let most = capacity
        guard waiting.count > most else {
            crowdedSince = nil
            return
        }
        guard let since = crowdedSince else {
            crowdedSince = now
            return
        }
        guard now >= since + Self.crowded else { return }
        crowdedSince = nil
        for task in waiting[most...] { actions.append(.finish(task.claim, .released)) }
        waiting.removeSubrange(most...)
    }

    /// Small changes are not worth a word.
    private mutating func tellCapacity() {
        let capacity = capacity
        if let told, (capacity == 0) == (told == 0), capacity >= told / 2, capacity <= told + told / 4 { return }
        told = capacity
        actions.append(.capacity(capacity))
    }

    private mutating func dispatch(_ now: Duration) {
        guard !waiting.isEmpty else { return }
        // A line that is half full waits until it is worth a write.
        var open = lines.indices.filter { lines[$0].isOpen(at: now) }
        let sent = lines.map(\.tasks.count)
        var count = 0
        for task in waiting {
            guard !open.isEmpty else { break }
            let expected = pace.expected(task.function)
            guard let index = place(for: task, expected, among: open) else { break }
            lines[index].tasks.append(task)
            lines[index].bytes += task.args.count
            lines[index].load += expected ?? Pace.handed
            if lines[index].tasks.count == 1 { began(index, now) }
            if expected == nil || lines[index].tasks.count >= Pace.mostHanded { open.removeAll { $0 == index } }
            count += 1
        }
        waiting.removeFirst(count)
        for index in lines.indices where lines[index].tasks.count > sent[index] {
            actions.append(.send(lines[index].id, Array(lines[index].tasks[sent[index]...])))
        }
    }

    /// The line with the least in it that may have one more.
    private func place(for task: ClaimedTask, _ expected: Double?, among open: [Int]) -> Int? {
        var best: Int?
        for index in open {
            let count = lines[index].tasks.count
            if count > 0 {
                guard let expected, lines[index].load + expected <= Pace.handed, lines[index].bytes + task.args.count <= Pace.mostBytes else { continue }
            }
            if best.map({ count < lines[$0].tasks.count }) ?? true { best = index }
        }
        return best
    }

    /// The front of the line begins, if there is one.
    private mutating func began(_ index: Int, _ now: Duration) {
        guard let front = lines[index].tasks.first else { return }
        lines[index].since = now
        if front.timeout != nil { actions.append(.began(front.claim)) }
        if let reason = stopped.removeValue(forKey: front.claim) { stop(front.claim, reason, settings.grace, now) }
    }

    /// The moment of the next `tick`; nil to wait until something happens.
    var nextWake: Duration? {
        var moments: [Duration] = []
        for line in lines {
            if let killAt = line.stop?.killAt { moments.append(killAt) }
            if let nudge = line.nudge { moments.append(nudge.at) }
            if let readyBy = line.readyBy { moments.append(readyBy) }
            if line.tasks.count > 1, !line.isRecalling { moments.append(line.since + Self.patience) }
        }
        if wantsFork { moments.append(forkFrom) }
        if let crowdedSince { moments.append(crowdedSince + Self.crowded) }
        return moments.min()
    }
}
