internal import Hark

/// How a worker is, gathered from its telemetry; and the one line that says it.
struct WorkerStatus: Sendable {
    private(set) var worker: Int32?
    private(set) var listener: Listener?
    private(set) var running = 0
    private(set) var isDraining = false
    private(set) var waitingFor: String?
    private(set) var lastError: String?
    private(set) var finished = 0

    mutating func take(_ event: TelemetryEvent) {
        switch event {
        case .joined(let id): worker = id
        case .listener(let new):
            listener = new
            if case .disconnected = new {} else { waitingFor = nil }
        case .waiting(_, let reason, _): waitingFor = reason
        case .started: running += 1
        case .finished(_, let function, _, _, let verb, _):
            running = max(0, running - 1)
            finished += 1
            switch verb {
            case .fail(let error), .retry(_, let error): lastError = "\(function): \(error.message)"
            default: break
            }
        case .draining: isDraining = true
        default: break
        }
    }

    /// For `STATUS=`: `listening, 3 running, 120 done`, `draining 3 tasks`, `waiting for the database: ...`.
    var statusLine: String {
        if isDraining { return "draining \(running) \(running == 1 ? "task" : "tasks")" }
        var parts: [String] = []
        switch listener {
        case .listening: parts.append("listening")
        case .polling(_, let why): parts.append("polling (\(why))")
        case .disconnected, nil: return "waiting for the database" + (waitingFor.map { ": \($0)" } ?? "")
        }
        parts.append("\(running) running")
        parts.append("\(finished) done")
        if let lastError { parts.append("last error: \(lastError)") }
        return Harmless.line(parts.joined(separator: ", "))
    }
}
