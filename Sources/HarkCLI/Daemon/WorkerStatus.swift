internal import Hark
internal import PQ

/// How a worker is, gathered from its telemetry; and the one line that says it.
struct WorkerStatus: Sendable {
    private(set) var worker: Int32?
    private(set) var isReady = false
    private(set) var listener: Listener?
    private(set) var running = 0
    private(set) var finished = 0
    /// When what still runs will be stopped: on the loop's clock.
    private(set) var drainsUntil: Duration?
    private(set) var waitingFor: String?
    private(set) var refusal: String?
    private(set) var lacking: String?
    private(set) var lastError: String?
    /// Why the last reload changed nothing.
    var notReloaded: String?
    var slots: Int

    init(slots: Int) { self.slots = slots }

    mutating func take(_ event: TelemetryEvent) {
        switch event {
        case .joined(let id): worker = id
        case .ready: isReady = true
        case .listener(let new):
            listener = new
            if case .disconnected = new {} else { waitingFor = nil }
        case .waiting(_, let reason, _): waitingFor = PostgresError(message: reason).withoutAdvice
        case .refused(let reason): refusal = reason
        case .accepted: refusal = nil
        case .lacking(let why): lacking = why
        case .started: running += 1
        case .finished(_, let function, _, _, let verb, _):
            running = max(0, running - 1)
            finished += 1
            switch verb {
            // What went wrong is for the readers of the journal; this line is for everybody on the machine.
            case .fail(let error), .retry(_, let error): lastError = "\(function) (\(error.kind.rawValue))"
            default: break
            }
        // Its outcome is written without it.
        case .deaf: running = max(0, running - 1)
        case .draining(_, let until): drainsUntil = until
        default: break
        }
    }

    /// For `STATUS=`; each form is explained in Documentation/Service.md.
    func line(at now: Duration) -> String {
        var parts = [state(at: now)]
        if drainsUntil == nil, isReady {
            parts.append("\(running) of \(slots) running")
            parts.append("\(finished) done")
            if let lastError { parts.append("last error: \(Self.short(lastError))") }
        }
        if let notReloaded { parts.append("not reloaded: \(Self.short(notReloaded))") }
        return Harmless.line(parts.joined(separator: ", "))
    }

    private func state(at now: Duration) -> String {
        if let drainsUntil {
            guard running > 0 else { return "stopping" }
            let tasks = "\(running) \(running == 1 ? "task" : "tasks")"
            let left = (drainsUntil - now).components.seconds
            return left > 0 ? "draining, \(tasks) may run for \(left) s more" : "stopping \(tasks)"
        }
        let prefix = isReady ? "degraded: " : "starting: "
        switch listener {
        case .disconnected, nil: return prefix + "waiting for the database" + (waitingFor.map { " (\(Self.short($0)))" } ?? "")
        case .polling, .listening:
            if let refusal { return prefix + "the database refuses writes (\(Self.short(refusal)))" }
            if case .polling(_, let why) = listener { return "polling (\(Self.short(why)))" }
            if lacking != nil { return prefix + "Python functions wait, see the journal" }
            return isReady ? "listening" : "starting: looking for tasks"
        }
    }

    /// systemctl shows one line of a terminal.
    private static func short(_ text: String) -> String { text.count <= 160 ? text : text.prefix(159) + "…" }
}
