internal import CLinux
import Glibc
internal import Logging
internal import PQ

/// The hands of `PoolState`: the fork server, the interpreters, and what is read from and written to them. It lives on the worker's loop.
actor InterpreterPool {
    nonisolated let loop: EventLoop
    private let settings: PythonSettings
    private let outlet: any RunnerOutlet
    private var state: PoolState
    private var interpreters: [Int: Interpreter] = [:]
    private var server: ForkServer?
    /// Who waits to hear how a process has ended.
    private var reaping: [pid_t: CheckedContinuation<CInt?, Never>] = [:]
    private var alarm: (at: Duration, timer: PQ.Timer)?
    private var isClosed = false
    private var closing: CheckedContinuation<Void, Never>?
    private var pause: CheckedContinuation<Void, Never>?
    /// Why there are no interpreters, and what was said of it last.
    private var lacking: String?
    private var complaint: String?
    private nonisolated(unsafe) let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(_ settings: PythonSettings, _ outlet: any RunnerOutlet) {
        self.settings = settings
        self.outlet = outlet
        loop = outlet.loop
        state = PoolState(PoolState.Settings(interpreters: settings.interpreters, grace: settings.grace, resultLimit: settings.resultLimit))
    }

    deinit { buffer.deallocate() }

    /// Runs `body` on the loop, from wherever.
    nonisolated func post(_ body: @escaping @Sendable (isolated InterpreterPool) -> Void) {
        loop.run { self.assumeIsolated { body($0) } }
    }

    /// Lives until it is closed and everything that it was given is done.
    func run() async {
        let serving = Task { await serve() }
        await withCheckedContinuation { continuation in
            if isClosed { continuation.resume() } else { closing = continuation }
        }
        await serving.value
        alarm?.timer.cancel()
    }

    func start(_ tasks: [ClaimedTask]) { obey(state.start(tasks, now: EventLoop.now)) }
    func stop(_ claim: Claim, _ reason: StopReason, grace: Duration) { obey(state.stop(claim, reason, grace: grace, now: EventLoop.now)) }
    func stopAll() { obey(state.stopAll(now: EventLoop.now)) }
    func close() { obey(state.close(now: EventLoop.now)) }

    // MARK: - The fork server

    /// Has a fork server run as long as the pool is open.
    private func serve() async {
        var failures = 0
        while !isClosed {
            let began = EventLoop.now
            let server = ForkServer(settings, outlet) { [weak self] message in self?.assumeIsolated { $0.heard(message) } }
            self.server = server
            let patience = loop.at(EventLoop.now + .seconds(10)) { [weak self] in
                self?.assumeIsolated { if !server.isReady { $0.outlet.capacity(0, lacking: "the project is still being loaded, after 10 s") } }
            }
            let reason = await server.run()
            patience.cancel()
            self.server = nil
            for (_, continuation) in reaping { continuation.resume(returning: nil) }
            reaping = [:]
            for (id, interpreter) in interpreters where interpreter.pid == nil { gone(id, AttemptError(.crash, reason)) }
            if isClosed { break }
            lacking = lacking ?? reason
            failures = EventLoop.now - began > .seconds(60) ? 0 : failures + 1
            obey(state.down(now: EventLoop.now))
            // Also when there was no capacity before: the reason may be another one.
            outlet.capacity(0, lacking: lacking)
            await rest(for: min(.milliseconds(500) * Double(1 << min(failures, 6)), .seconds(30)))
            lacking = nil
        }
    }

    private func rest(for time: Duration) async {
        let timer = loop.at(EventLoop.now + time) { [weak self] in self?.assumeIsolated { $0.endRest() } }
        await withCheckedContinuation { continuation in
            if isClosed { continuation.resume() } else { pause = continuation }
        }
        timer.cancel()
    }

    private func endRest() {
        pause?.resume()
        pause = nil
    }

    private func heard(_ message: ForkServer.Message) {
        switch message {
        case .ready(let python):
            (lacking, complaint) = (nil, nil)
            outlet.logger.info("Python \(python) is ready: \(settings.interpreters) \(settings.interpreters == 1 ? "interpreter" : "interpreters") for \(settings.modules.names.joined(separator: ", "))")
            obey(state.up(now: EventLoop.now))
        case .failed(let message, let detail):
            lacking = "the project cannot be loaded: \(message)"
            // Tried again and again, told once.
            let whole = message + (detail.map { "\n\($0)" } ?? "")
            if whole != complaint { outlet.logger.error("Python cannot load the project: \(whole)") }
            complaint = whole
        case .forked(let id, let pid): born(id, pid)
        case .notForked(let id, let why): gone(id, AttemptError(.crash, "no interpreter could be started: \(why)"))
        case .reaped(let pid, let status): reaping.removeValue(forKey: pid)?.resume(returning: status)
        }
    }

    // MARK: - Actions

    private func obey(_ actions: [PoolState.Action]) {
        for action in actions { perform(action) }
        let moment = isClosed ? nil : state.nextWake
        guard moment != alarm?.at else { return }
        alarm?.timer.cancel()
        alarm = moment.map { at in
            (at, loop.at(at) { [weak self] in self?.assumeIsolated { pool in pool.alarm = nil; pool.obey(pool.state.tick(now: EventLoop.now)) } })
        }
    }

    private func perform(_ action: PoolState.Action) {
        switch action {
        case .fork(let id): fork(id)
        case .send(let id, let tasks): interpreters[id]?.send(tasks)
        case .interrupt(let id, let claim): interpreters[id]?.tell("{\"interrupt\": \(claim.id), \"token\": \(claim.token)}")
        case .recall(let id): interpreters[id]?.tell("{\"recall\": true}")
        case .nudge(let id): interpreters[id]?.wake()
        case .end(let id): end(id)
        case .kill(let id):
            interpreters[id]?.kill()
            // One that the fork server has not made in all this time will not come.
            if let interpreter = interpreters[id], interpreter.pid == nil { interpreter.server.kill() }
        case .tidy(let id): Task { await tidy(id) }
        case .finish(let claim, let outcome): outlet.finished(claim, outcome)
        case .began(let claim): outlet.alive(claim)
        case .capacity(let count):
            if count > 0 { lacking = nil }
            outlet.capacity(count, lacking: lacking)
        case .close:
            isClosed = true
            server?.close()
            endRest()
            closing?.resume()
            closing = nil
        }
    }

    private func fork(_ id: Int) {
        guard let server, let interpreter = Interpreter(id, of: server) else {
            return post { $0.obey($0.state.died(id, AttemptError(.crash, "there are no descriptors left for an interpreter"), now: EventLoop.now)) }
        }
        interpreters[id] = interpreter
        interpreter.watch(on: loop) { [weak self] source, interest in self?.assumeIsolated { $0.heard(id, source, interest) } }
        if !interpreter.handOver({ server.fork(id, $0) }) {
            post { $0.gone(id, AttemptError(.crash, "the fork server took no request")) }
        }
    }

    private func end(_ id: Int) {
        guard let interpreter = interpreters[id] else { return }
        interpreter.sayGoodbye()
        interpreter.impatience = loop.at(EventLoop.now + settings.grace) { [weak self] in self?.assumeIsolated { $0.interpreters[id]?.kill() } }
    }

    private func tidy(_ id: Int) async {
        guard let interpreter = interpreters[id] else { return }
        let left = await Offspring.shared.tidy(interpreter.ticket, on: loop, until: EventLoop.now + .seconds(10))
        complain(of: left)
        obey(state.tidied(id, now: EventLoop.now))
    }

    private func complain(of survivors: [pid_t]) {
        guard !survivors.isEmpty else { return }
        outlet.logger.error("processes of a Python function do not die: \(survivors.map(String.init).joined(separator: ", "))")
    }

    // MARK: - Life and death of an interpreter

    private func born(_ id: Int, _ pid: pid_t) {
        guard let interpreter = interpreters[id] else { return }
        interpreter.born(pid)
        guard interpreter.pidfd >= 0 else {
            // It cannot be watched. Its id is its own until it is reaped.
            Glibc.kill(pid, SIGKILL)
            Task {
                _ = await reap(pid, by: interpreter.server)
                gone(id, AttemptError(.crash, "there are no descriptors left to watch an interpreter by"))
            }
            return
        }
        if interpreter.isDoomed { interpreter.kill() }
        Task { await watchOver(id) }
    }

    private func watchOver(_ id: Int) async {
        guard let interpreter = interpreters[id], let pid = interpreter.pid else { return }
        await loop.readable(interpreter.pidfd)
        interpreter.impatience?.cancel()
        // What it had said comes before its death.
        for source in [Interpreter.Source.tasks, .stdout, .stderr] { while read(id, source) == .more {} }
        let patience = EventLoop.now + .seconds(10)
        for fd in interpreter.dying { await loop.readable(fd, until: patience) }
        complain(of: await Offspring.shared.clear(interpreter.ticket, on: loop, until: patience))
        for source in [Interpreter.Source.stdout, .stderr] { while read(id, source) == .more {} }
        let status = await reap(pid, by: interpreter.server)
        let detail = interpreter.stderr.tail ?? interpreter.stdout.tail
        gone(id, interpreter.hasHungUp ? AttemptError(.crash, Self.hangup, detail: detail) : Self.error(status, detail))
    }

    private func reap(_ pid: pid_t, by server: ForkServer) async -> CInt? {
        guard server === self.server else {
            // It became our child when its parent died, if we adopt.
            _ = hark_reap(pid)
            return nil
        }
        let patience = loop.at(EventLoop.now + .seconds(10)) { server.kill() }
        defer { patience.cancel() }
        return await withCheckedContinuation { continuation in
            reaping[pid] = continuation
            if !server.reap(pid) { reaping.removeValue(forKey: pid)?.resume(returning: nil) }
        }
    }

    private func gone(_ id: Int, _ error: AttemptError) {
        guard let interpreter = interpreters.removeValue(forKey: id) else { return }
        interpreter.stdout.end { log($0, of: id) }
        interpreter.stderr.end { log($0, of: id) }
        if !interpreter.isLeaving, state.front(id) == nil { outlet.logger.warning("an interpreter that ran nothing has ended: \(error.message)") }
        if !interpreter.isReady { lacking = "no interpreter starts: \(error.message)" }
        interpreter.close()
        obey(state.died(id, error, now: EventLoop.now))
    }

    private static let hangup = "closed the connection between its interpreter and the worker"

    /// How an interpreter ended in the midst of a function.
    private static func error(_ status: CInt?, _ detail: String?) -> AttemptError {
        guard let status else { return AttemptError(.crash, "its interpreter has ended, nobody knows how", detail: detail) }
        let signal = status & 0x7F
        if signal == SIGKILL { return AttemptError(.crash, "its interpreter was ended by SIGKILL: out of memory, or killed by somebody", detail: detail) }
        if signal != 0 { return AttemptError(.crash, "its interpreter was ended by \(SignalName.of(signal))", detail: detail) }
        let code = (status >> 8) & 0xFF
        if code == 83 { return AttemptError(.crash, hangup, detail: detail) }
        return AttemptError(.crash, "ended its interpreter with exit code \(code)", detail: detail)
    }

    // MARK: - What interpreters say

    private func heard(_ id: Int, _ source: Interpreter.Source, _ interest: Interest) {
        if interest.contains(.write) { interpreters[id]?.flush() }
        guard interest != .write else { return }
        if read(id, source) == .ended {
            interpreters[id]?.ignore(source)
            if source == .tasks { hungUp(id) }
        }
    }

    /// Without this connection it is of no use. As a rule its process ends at this moment, or when it notices; else it is ended.
    private func hungUp(_ id: Int) {
        guard let interpreter = interpreters[id], interpreter.impatience == nil, !interpreter.hasEnded else { return }
        interpreter.impatience = loop.at(EventLoop.now + .seconds(1)) { [weak self] in
            self?.assumeIsolated { pool in
                // Its end may have been told in this very turn of the loop.
                guard let interpreter = pool.interpreters[id], !interpreter.hasEnded else { return }
                interpreter.hasHungUp = true
                interpreter.kill()
            }
        }
    }

    private func read(_ id: Int, _ source: Interpreter.Source) -> Interpreter.Progress {
        guard let interpreter = interpreters[id] else { return .ended }
        switch source {
        case .stdout: return interpreter.read(source, buffer) { interpreter.stdout.append($0) { log($0, of: id) } }
        case .stderr: return interpreter.read(source, buffer) { interpreter.stderr.append($0) { log($0, of: id) } }
        case .tasks:
            let progress = interpreter.read(source, buffer) { interpreter.frames.append($0) }
            take(id, interpreter)
            return progress
        }
    }

    private func take(_ id: Int, _ interpreter: Interpreter) {
        var replies: [Frame] = []
        func settle() {
            if replies.isEmpty { return }
            // What has been written to the pipes before the reply is the task's as well.
            for source in [Interpreter.Source.stdout, .stderr] { _ = read(id, source) }
            obey(state.replied(id, replies, now: EventLoop.now))
            replies = []
        }
        do {
            while let frame = try interpreter.frames.next() {
                switch frame.kind {
                case .done where !frame.payload.isEmpty:
                    replies.append(Self.storable(frame))
                case .done, .error, .fail, .retry, .snooze, .cancel, .tooLarge:
                    replies.append(frame)
                case .ready:
                    interpreter.isReady = true
                    obey(state.ready(id, now: EventLoop.now))
                case .recalled:
                    settle()
                    obey(state.recalled(id, frame.ids, now: EventLoop.now))
                case .log:
                    settle()
                    for line in String(decoding: frame.payload, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false) { log(String(line), of: id) }
                case .alive, .extend:
                    settle()
                    guard let claim = state.front(id)?.claim, claim.id == frame.task else { continue }
                    if frame.kind == .alive { outlet.alive(claim) } else { outlet.extend(claim, by: .nanoseconds(max(frame.number, 0))) }
                }
            }
            settle()
        } catch {
            settle()
            interpreter.ignore(.tasks)
            obey(state.babbled(id, now: EventLoop.now))
        }
    }

    /// The interpreter has made JSON that PostgreSQL takes; but what is in its process may be anybody's.
    private static func storable(_ frame: Frame) -> Frame {
        var frame = frame
        let bytes = Array(frame.payload)
        if let json = JSONText(bytes) {
            if !json.nulls.isEmpty { frame.payload = json.storable[...] }
        } else {
            frame.payload = JSONText.quote(String(decoding: bytes, as: UTF8.self))[...]
        }
        return frame
    }

    private func log(_ line: String, of id: Int) {
        let logger = state.front(id).map { outlet.logger.about($0) } ?? outlet.logger
        logger.info("\(line)")
    }
}
