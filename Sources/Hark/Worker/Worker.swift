public import Logging
public import PQ
public import ServiceLifecycle
internal import struct Synchronization.Atomic

/// One worker: the hands of `WorkerState`, and a `Service` like any other.
///
/// It lives on one event loop. Every event (a notification, the end of a round trip, outcomes from the runners, the
/// timer) goes to the brain; what the brain answers is done here, in order, and never waits: what takes time becomes a
/// task on the same loop whose end is an event again. Functions run elsewhere, in the runners.
///
/// - `run()` connects, registers in `hark.workers`, works until it is drained, and removes its row. A database that is away is waited for.
///   It throws only when waiting would not help: the schema does not fit this build, or the role may not work.
/// - Graceful shutdown (SIGTERM under ServiceLifecycle) or `drain()`: claims nothing more, lets running tasks finish for
///   `drainTimeout`, then stops them and releases them with the attempt given back.
/// - `abandon()`: the same without waiting.
/// - `reconfigure(_:runners:)`: other queues, functions and limits, while what runs goes on.
public actor Worker: Service {
    public nonisolated let loop: EventLoop
    nonisolated let logger: Logger

    private var options: WorkerOptions
    private var brain: WorkerState
    private let ownsLoop: Bool
    private let telemetry: TelemetrySink
    nonisolated let inbox = Inbox()
    nonisolated let resultLimit: Atomic<Int>

    /// Who takes new tasks.
    private var runners: [any Runner]
    private var runnerOf: [String: any Runner]
    /// These, and those that a new configuration has replaced, until their last task has ended.
    private var employed: [(runner: any Runner, life: Task<Void, Never>)] = []

    private var signal: SignalLink?
    private var work: WorkLink?
    private var workerID: Int32?
    /// What the statements need to know of us, once we have a number.
    private var identity: Store.Worker?
    /// Our row was gone, and the brain does not know yet.
    private var isRenewed = false
    private var alarm: (at: Duration, timer: PQ.Timer)?
    private var suspended = EventLoop.suspended
    private var fatal: HarkError?
    private var ending: CheckedContinuation<Void, Never>?
    private var hasEnded = false
    private var isHandling = false
    /// What the next bell will make us send, if it is the next that we hear, and comes in time.
    private var rehearsed: Rehearsed?
    private var lastRung: String?

    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - runners: if two have a function of one name, the first has it.
    ///   - loop: a worker alone in its process needs none; several may share one.
    ///   - telemetry: told everything worth telling, on the loop.
    public init(
        _ options: WorkerOptions, runners: [any Runner], loop: EventLoop? = nil, logger: Logger = Logger(label: "hark"),
        telemetry: @escaping TelemetrySink = { _ in }
    ) {
        self.loop = loop ?? EventLoop()
        ownsLoop = loop == nil
        self.options = options
        self.runners = runners
        runnerOf = Self.byFunction(runners)
        self.logger = logger
        self.telemetry = telemetry
        resultLimit = Atomic(options.resultLimit)
        brain = WorkerState(WorkerState.Settings(options, functions: Set(runnerOf.keys), modules: Self.modules(runners)), seed: UInt64.random(in: .min ... .max))
    }

    private static func byFunction(_ runners: [any Runner]) -> [String: any Runner] {
        Dictionary(runners.flatMap { runner in runner.functions.map { ($0, runner) } }, uniquingKeysWith: { first, _ in first })
    }

    private static func modules(_ runners: [any Runner]) -> Modules { runners.first { !$0.modules.isEmpty }?.modules ?? [] }

    // MARK: - Life

    public func run() async throws {
        for runner in runners where !employed.contains(where: { $0.runner === runner }) { employ(runner) }
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await live()
            } onCancel: {
                self.post { $0.tell(.abandon) }
            }
        } onGracefulShutdown: {
            self.drain()
        }
        for (runner, _) in employed { runner.shutDown() }
        await finish(employed.map(\.life))
        employed = []
        if ownsLoop { loop.stop() }
        if let fatal { throw fatal }
    }

    /// Claim nothing more, let what runs finish within `drainTimeout`, then end.
    public nonisolated func drain() { post { $0.tell(.drain(timeout: $0.options.drainTimeout)) } }

    /// Stop what runs, release it, end.
    public nonisolated func abandon() { post { $0.tell(.abandon) } }

    /// Other queues, limits, policies and functions from now on. What runs goes on with the runner that has it, and is written
    /// as ever; a queue that is not among the new ones claims no more.
    /// - Parameters:
    ///   - new: where the database is, the worker's name and its incarnation stay what they were.
    ///   - newRunners: those that are there now may be among them; one that was replaced before may not come back.
    public func reconfigure(_ new: WorkerOptions, runners newRunners: [any Runner]) {
        guard !hasEnded else { return }
        let old = options
        options = new
        (options.database, options.signalDatabase, options.name) = (old.database, old.signalDatabase, old.name)
        (options.incarnation, options.untilEmpty, options.patience) = (old.incarnation, old.untilEmpty, old.patience)
        resultLimit.store(options.resultLimit, ordering: .relaxed)
        for runner in newRunners where !runners.contains(where: { $0 === runner }) { employ(runner) }
        for runner in runners where !newRunners.contains(where: { $0 === runner }) {
            runner.shutDown()
            // Who takes its place has to say so first.
            if !runner.modules.isEmpty { tell(.newPool) }
        }
        runners = newRunners
        runnerOf = Self.byFunction(runners)
        identify()
        tell(.configured(WorkerState.Settings(options, functions: Set(runnerOf.keys), modules: Self.modules(runners))))
    }

    /// Whether the worker has done by now what it was to do by now: for a watchdog that asks on the loop.
    ///
    /// After a pause of the whole process the watchdog's timer may come before the worker's own, so what is due is done first.
    public func isOnTime() -> Bool {
        tell(.tick)
        return hasEnded || brain.isOnTime(at: EventLoop.now)
    }

    private func employ(_ runner: any Runner) {
        let outlet = Outlet(worker: self, runner: ObjectIdentifier(runner))
        // Not in a group, which could not end before a function that is deaf to its cancellation.
        let life = Task {
            await runner.run(outlet)
            employed.removeAll { $0.runner === runner }
        }
        employed.append((runner, life))
    }

    private func live() async {
        obey(brain.start(now: EventLoop.now))
        setAlarm()
        await withCheckedContinuation { continuation in
            if hasEnded { continuation.resume() } else { ending = continuation }
        }
        alarm?.timer.cancel()
        alarm = nil
        await signal?.connection.close()
        await work?.close()
        (signal, work) = (nil, nil)
    }

    /// Waits for the runners, but not for ever: a Swift function cannot be ended by force. Its task was given back.
    private func finish(_ running: [Task<Void, Never>]) async {
        // Interpreters have the grace themselves before they are killed, and their leftovers take a moment.
        let patience = employed.contains { !$0.runner.modules.isEmpty } ? options.stopGrace * 2 + .seconds(10) : options.stopGrace
        let inTime = await withCheckedContinuation { continuation in
            let finish = Finish(continuation)
            let limit = loop.at(EventLoop.now + patience) { finish.end(false) }
            Task {
                for runner in running { await runner.value }
                limit.cancel()
                finish.end(true)
            }
        }
        if !inTime { telemetry(.trouble("some functions did not stop when they were asked to; the worker ends without them")) }
    }

    private func end() {
        hasEnded = true
        ending?.resume()
        ending = nil
    }

    // MARK: - Events in, actions out

    /// Runs `body` on the loop, from wherever.
    nonisolated func post(_ body: @escaping @Sendable (isolated Worker) -> Void) {
        loop.run { self.assumeIsolated { body($0) } }
    }

    private func tell(_ event: WorkerEvent) {
        guard !hasEnded else { return }
        // Of somebody who is told something, and has something to say: after the rest.
        if isHandling { return post { $0.tell(event) } }
        let slept = EventLoop.suspended - suspended
        if slept > .milliseconds(500) {
            suspended += slept
            handle(.resumed(after: slept), now: EventLoop.now)
        }
        handle(event, now: EventLoop.now)
    }

    private func handle(_ event: WorkerEvent, now: Duration) {
        isHandling = true
        defer { isHandling = false }
        let ahead = sendRehearsed(event, now)
        obey(brain.hear(event, now: now))
        var wanted = brain.planWork(now)
        if let ahead {
            let place = wanted.firstIndex { if case .trip(let trip) = $0 { trip.number == ahead } else { false } }
            // It cannot: nothing was heard and no moment of `nextWake` has passed since the rehearsal. If it did, tasks would be claimed
            // that nobody runs; those of a worker that ends are rescued.
            guard let place else { preconditionFailure("the brain was told of the bell that was rehearsed, and wants another round trip") }
            wanted.remove(at: place)
        }
        obey(wanted)
        obey(brain.planRest(now))
        setAlarm()
        if let ahead { brain.rehearseAnswer(to: ahead, now: now) }
        rehearse(now)
    }

    /// What a sleeper was rung for waits for its claim, and nothing on the way from the bell to there is in the processor's caches. So
    /// before it sleeps, the worker plays the next bell through a copy of the brain and has the claim made up. When the bell comes, that
    /// is sent before anything else is thought of; the brain, told now, wants what it wanted then. While the server is at work the answer
    /// is rehearsed, only to have it in the caches (Documentation/Performance.md).
    private func rehearse(_ now: Duration) {
        // Rung once, rung again.
        let likely = options.queues.first { $0.name == lastRung } ?? options.queues.first
        guard let queue = likely?.name, let trip = brain.rehearsal(ofBell: queue, now: now), let identity, let link = work else { return }
        let (isPooled, done) = (isPooled, answerer(of: trip.number, over: link, as: identity))
        guard let pipeline = link.assumeIsolated({ $0.ready(trip, for: identity, isPooled: isPooled, done) }) else { return }
        rehearsed = Rehearsed(queue: queue, until: brain.nextWake ?? .seconds(Int64.max), trip: trip.number) { link.send(pipeline) }
    }

    /// The number of the round trip that is on its way already.
    private func sendRehearsed(_ event: WorkerEvent, _ now: Duration) -> Int? {
        // Whatever is heard, the next bell may mean something else.
        guard let rehearsed = rehearsed.take(), case .bell(let queue) = event else { return nil }
        lastRung = queue
        guard queue == rehearsed.queue, now < rehearsed.until else { return nil }
        rehearsed.send()
        return rehearsed.trip
    }

    private func obey(_ actions: [WorkerAction]) {
        for action in actions { perform(action) }
    }

    private func setAlarm() {
        let moment = hasEnded ? nil : brain.nextWake
        if moment == alarm?.at { return }
        alarm?.timer.cancel()
        alarm = moment.map { at in
            (at, loop.at(at) { [weak self] in self?.assumeIsolated { worker in worker.alarm = nil; worker.tell(.tick) } })
        }
    }

    private func perform(_ action: WorkerAction) {
        switch action {
        case .connect(let link, let wait): begin { await $0.connect(link, after: wait) }
        case .drop(let link, let reason): begin { await $0.drop(link, reason) }
        case .trip(let trip): send(trip)
        case .arm(let queues, let whole, let guards): begin { await $0.arm(queues, whole: whole, guards: guards) }
        case .awaitSleep(let buckets, let patience): begin { await $0.awaitSleep(buckets, patience) }
        case .disarm(let guards): begin { await $0.disarm(guards: guards) }
        case .handOver(let queues, let guards): begin { try? await $0.signal?.handOver(queues, guards: guards) }
        // If it fails the connection is gone, and the polls of the others find what is left.
        case .passOn(let queues): begin { try? await $0.signal?.passOn(queues) }
        case .beat(let beat): begin { try? await $0.signal?.beat(beat) }
        case .run(let tasks): start(tasks)
        // Who runs it may have been replaced since.
        case .stop(let claim, let reason): for (runner, _) in employed { runner.stop(claim, reason, grace: options.stopGrace) }
        case .leave: begin { await $0.leave() }
        case .report(let event): telemetry(event)
        case .end: end()
        }
    }

    /// Something that takes time. All of it is on the loop, also what is isolated to nothing: so what is said on a connection is said in
    /// order, and functions that block the threads that Swift has for them do not hold up the worker.
    private func begin(_ body: @escaping @Sendable (isolated Worker) async -> Void) {
        Task(executorPreference: loop) { await body(self) }
    }

    private func start(_ tasks: [ClaimedTask]) {
        // First, since what a function logs does not come over the loop.
        for task in tasks { telemetry(.started(task)) }
        if runners.count == 1 { return runners[0].start(tasks) }
        // The order within a runner stays; which runner begins first does not matter.
        for runner in runners {
            let own = tasks.filter { (runnerOf[$0.function] ?? runners.first { !$0.modules.isEmpty }) === runner }
            if !own.isEmpty { runner.start(own) }
        }
    }

    // MARK: - Connections

    private var isPooled: Bool { options.signalDatabase != nil }

    private func connect(_ link: Link, after wait: Duration) async {
        if wait > .zero { try? await loop.sleep(until: EventLoop.now + wait) }
        guard !hasEnded else { return }
        do {
            switch link {
            case .signal: try await connectSignal()
            case .work: try await connectWork()
            }
        } catch let error as HarkError {
            // Waiting would not help. What runs is stopped and, if we can still say so, released.
            fatal = error
            if brain.leases.isEmpty { end() } else { tell(.abandon) }
        } catch {
            tell(.connectFailed(link, reason: "\(error)"))
        }
    }

    private func connectSignal() async throws {
        let queues = options.queues
        let link = try await SignalLink.open(
            options, previously: workerID, functions: Set(runnerOf.keys), on: loop,
            heard: { [weak self] message in self?.assumeIsolated { $0.heard(message) } },
            closed: { [weak self] link, reason in self?.post { $0.lostSignal(link, reason) } })
        guard !hasEnded else { return await link.connection.close() }
        workerID = link.worker
        isRenewed = isRenewed || link.renewed
        guard options.queues == queues else {
            await link.connection.close()
            throw PostgresError(message: "the configuration has changed while the worker connected")
        }
        signal = link
        identify()
        telemetry(.joined(worker: link.worker))
        let renewed = isRenewed
        isRenewed = false
        tell(.joined(worker: link.worker, renewed: renewed))
    }

    private func lostSignal(_ link: ObjectIdentifier, _ reason: String) {
        guard let signal, ObjectIdentifier(signal.connection) == link else { return }
        self.signal = nil
        tell(.disconnected(.signal, reason: reason))
    }

    private func connectWork() async throws {
        let (database, loop) = (options.database.asWorker(named: options.name), loop)
        let session = ConnectionOptions(prepared: !isPooled, setup: isPooled ? [] : SessionSetup.work, ahead: 1)
        let connect = { @Sendable (onClosed: @escaping @Sendable (PostgresError) -> Void) in
            try await Connection.connect(database, on: loop, timeout: .seconds(10), options: session, onClosed: onClosed)
        }
        let box = ConnectionBox()
        let connection = try await connect { [weak self] error in self?.post { $0.lostWork(box.value, "\(error)") } }
        guard !hasEnded else { return await connection.close() }
        box.value = ObjectIdentifier(connection)
        work = WorkLink(connection) { closed in try await connect { _ in closed() } }
        tell(.workConnected)
    }

    private func lostWork(_ id: ObjectIdentifier?, _ reason: String) {
        guard let work, ObjectIdentifier(work.first) == id else { return }
        self.work = nil
        Task { await work.close() }
        tell(.disconnected(.work, reason: reason))
    }

    private func drop(_ link: Link, _ reason: String) async {
        switch link {
        case .signal:
            let old = signal
            signal = nil
            await old?.connection.close()
        case .work:
            let old = work
            work = nil
            old?.cancelRunning()
            await old?.close()
        }
        tell(.disconnected(link, reason: reason))
    }

    private func heard(_ message: SignalLink.Message) {
        switch message {
        case .bell(let queue): tell(.bell(queue: queue))
        case .cancel(let task): tell(.cancelRequested(task: task))
        case .proof(let nonce): tell(.proof(nonce: nonce))
        }
    }

    // MARK: - Round trips

    private func identify() {
        let (functionPolicies, queuePolicies, none) = (options.functionPolicies, options.queuePolicies, JSONText.object([]))
        identity = workerID.map {
            Store.Worker(
                id: $0, queues: options.queues.map(\.name), functions: runnerOf.keys.sorted(), modules: Self.modules(runners),
                functionPolicies: functionPolicies, queuePolicies: queuePolicies, hasPolicies: functionPolicies != none || queuePolicies != none,
                unknownFunctionGrace: options.unknownFunctionGrace)
        }
    }

    /// At once, since what a sleeper was rung for hangs on it.
    private func send(_ trip: Trip) {
        // What was dropped meanwhile the brain counts as lost: an answer that comes late is not heard.
        guard let identity, let link = work else { return post { $0.tell(.tripFailed(trip: trip.number, .connectionLost("not connected"))) } }
        guard !trip.rescue.contains(where: \.processGone) else {
            return begin { worker in
                let ended = await Leftovers.end()
                if ended > 0 { worker.telemetry(.trouble("\(ended) \(ended == 1 ? "process" : "processes") of a worker that died here still ran, and \(ended == 1 ? "was" : "were") killed")) }
                worker.send(trip, over: link, as: identity)
            }
        }
        send(trip, over: link, as: identity)
    }

    private func send(_ trip: Trip, over link: WorkLink, as identity: Store.Worker) {
        let (isPooled, done) = (isPooled, answerer(of: trip.number, over: link, as: identity))
        link.assumeIsolated { $0.perform(trip, for: identity, isPooled: isPooled, done) }
    }

    private func answerer(of trip: Int, over link: WorkLink, as identity: Store.Worker) -> Store.Done {
        { result in self.assumeIsolated { $0.answered(trip, result, over: link, to: identity.id) } }
    }

    private func answered(_ trip: Int, _ result: Result<TripResult, any Error>, over link: WorkLink, to id: Int32) {
        switch result {
        case .success(let result):
            if let moment = result.sureUntil, identity?.id == id { identity?.sureUntil = moment }
            tell(.tripped(trip: trip, result))
        case .failure(let error as PostgresError):
            tell(.tripFailed(trip: trip, TripFailure(error)))
            // The server, or a pooler, may have said so on a connection that is still there.
            if error.isConnectionLost, work === link { begin { await $0.drop(.work, error.description) } }
        case .failure(let error): tell(.tripFailed(trip: trip, .other("\(error)")))
        }
    }

    private func arm(_ queues: [String], whole: Bool, guards: Bool) async {
        guard let signal else { return }
        do {
            let (isReserve, standsBy, blocked) = try await signal.arm(queues, whole: whole, guards: guards)
            tell(.armed(isReserve: isReserve, standsBy: standsBy, blocked: blocked))
        } catch {
            tell(.armFailed(reason: "cannot arm the doorbell: \(error)"))
        }
    }

    private func awaitSleep(_ buckets: [Int32], _ patience: Duration) async {
        guard let signal else { return }
        tell(.awaited((try? await signal.awaitSleep(buckets, patience: patience)) ?? .blocked))
    }

    private func disarm(guards: Bool) async {
        guard let signal else { return }
        // If it fails, the connection is gone as a rule, and with it the locks; else the locks are, and polls do for who was to be called.
        try? await signal.disarm(guards: guards)
        tell(.disarmed)
    }

    private func leave() async {
        if let workerID {
            // Without a row to leave, rescue tidies up after us.
            if let signal { try? await signal.leave() } else if let work { _ = try? await work.first.execute(SQL.unregister, [.int32(workerID)]) }
        }
        tell(.left)
    }

    // MARK: - Outcomes from the runners

    /// Called on the loop when the inbox has something in it.
    func collect() {
        let mail = inbox.empty()
        for (claim, extra) in mail.alive { tell(extra.map { .extended(claim, by: $0) } ?? .alive(claim)) }
        if !mail.outcomes.isEmpty { tell(.finished(mail.outcomes)) }
    }

    func heard(from runner: ObjectIdentifier, capacity: Int, lacking: String?) {
        guard runners.contains(where: { ObjectIdentifier($0) == runner }) else { return }
        tell(.capacity(capacity, lacking: lacking))
    }
}

private struct Rehearsed {
    let queue: String
    let until: Duration
    let trip: Int
    let send: () -> Void
}

/// A continuation that two sides may want to resume.
private final class Finish: Sendable {
    private let waiting: Mutex<CheckedContinuation<Bool, Never>?>

    init(_ continuation: CheckedContinuation<Bool, Never>) { waiting = Mutex(continuation) }

    func end(_ inTime: Bool) { waiting.withLock { $0.take() }?.resume(returning: inTime) }
}
