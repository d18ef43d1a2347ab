internal import Hark
internal import Logging
internal import PQ

/// Starts Python as a worker does, to see whether it can load the project, and ends it. No task is claimed or run.
final class PythonTrial: RunnerOutlet {
    private struct State {
        var said: [String] = []
        var verdict: String??
        var waiting: CheckedContinuation<String?, Never>?
    }

    let loop: EventLoop
    private let state = Mutex(State())

    private init(_ loop: EventLoop) { self.loop = loop }

    static func run(_ settings: PythonSettings) async -> Finding {
        if let problem = settings.problem { return .wrong("python", problem, "See [python] in the configuration file.") }
        let loop = EventLoop(name: "hark-doctor")
        defer { loop.stop() }
        let trial = PythonTrial(loop)
        let runner = PythonRunner(settings)
        let life = Task { await runner.run(trial) }
        let timer = loop.at(EventLoop.now + .seconds(60)) { trial.settle("Python has not loaded the project within a minute") }
        let lacking = await withCheckedContinuation { continuation in
            let verdict = trial.state.withLock { state -> String?? in
                if state.verdict == nil { state.waiting = continuation }
                return state.verdict
            }
            if let verdict { continuation.resume(returning: verdict) }
        }
        timer.cancel()
        runner.shutDown()
        life.cancel()
        await life.value
        let said = trial.state.withLock(\.said)
        guard let lacking else { return .ok("python", said.first { $0.hasPrefix("Python ") } ?? "Python loads the project") }
        return .wrong("python", lacking, said.first { $0.contains("Traceback") } ?? "See Documentation/Python.md")
    }

    private func settle(_ verdict: String?) {
        let waiting = state.withLock { state in
            if state.verdict == nil { state.verdict = .some(verdict) }
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(returning: verdict)
    }

    func capacity(_ count: Int, lacking: String?) {
        if count > 0 { settle(nil) } else if let lacking { settle(lacking) }
    }

    var logger: Logger { Logger(label: "trial") { _ in Listener(trial: self) } }

    func finished(_ claim: Claim, _ outcome: Outcome) {}
    func alive(_ claim: Claim) {}
    func extend(_ claim: Claim, by extra: Duration) {}

    private struct Listener: LogHandler {
        let trial: PythonTrial
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { trial.state.withLock { $0.said.append("\(event.message)") } }
    }
}
