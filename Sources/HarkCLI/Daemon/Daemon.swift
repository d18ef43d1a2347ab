internal import CLinux
internal import Glibc
internal import Hark
internal import Logging
internal import PQ
internal import ServiceLifecycle
internal import Systemd
internal import UnixSignals
internal import struct Synchronization.Atomic

/// A worker as a process of its own: `hark work`, and the worker of `hark dev`.
///
/// SIGTERM or SIGINT drains it, a second one stops what runs; either way what did not finish is given back. SIGHUP reads the
/// configuration anew. A database that is away is waited for. The service manager, if there is one, is told how it goes.
final class Daemon: Sendable {
    struct Plan: Sendable {
        var functions: Functions
        var untilEmpty = false
        /// A worker without functions is a mistake, except while somebody is trying things out.
        var mayBeIdle = false
        /// Where attempts of executables and Swift functions are told of, when the configuration does not say.
        var taskLog: Configuration.TaskLog?
        /// Of a template unit: begins STATUS=, and is a field in the journal.
        var instance: String?
        /// Reads the configuration anew; nil when there is nothing to read, and SIGHUP ends the process as ever.
        var reload: (@Sendable () throws -> Configuration)?
    }

    private let plan: Plan
    private let current: Mutex<Configuration>
    private let swift: SwiftRunner?
    private let logger: Logger
    private let loop = EventLoop()
    private let service: ServiceLink
    private let hasSlept = Atomic(false)

    private var configuration: Configuration { current.withLock { $0 } }

    init(_ configuration: Configuration, _ plan: Plan) {
        self.plan = plan
        current = Mutex(configuration)
        swift = plan.functions.names.isEmpty ? nil : SwiftRunner(plan.functions)
        logger = Self.logger(configuration.name.value, instance: plan.instance)
        service = ServiceLink(ServiceManager(), on: loop, instance: plan.instance, slots: configuration.slots, logger: logger)
    }

    /// Runs until it is stopped, or has nothing left to do with `untilEmpty`.
    /// - Throws: `HarkError`, `SettingProblem`, `ExecutableSettingsError` when waiting would not help.
    func run() async throws {
        defer {
            loop.stop()
            Journal.flush()
        }
        DescriptorLimit.raise()
        let configuration = configuration
        if configuration.slots > ExecutableRunner.mostAtATime {
            say(.trouble, .warning, "\(configuration.slots) slots, but this process may have only \(DescriptorLimit.current.hard) open files: at most \(ExecutableRunner.mostAtATime) executables will run at a time (LimitNOFILE=)")
        }
        let runners = try runners(configuration)
        // A log that nobody reads any more must not end us. Children start with the default action again.
        signal(SIGPIPE, SIG_IGN)
        let log = TelemetryLog { [self] in TaskLog(logger, about: { [self] in about }, verbosity: { [self] in verbosity($0) }) }
        let worker = Worker(options(configuration), runners: runners, loop: loop, logger: logger) { [self] event in
            log.take(event)
            service.take(event, stopGrace: self.configuration.stopGrace.value)
            // Most of the code that a worker has touched by then was only for its start.
            if case .asleep = event, !hasSlept.exchange(true, ordering: .relaxed) { linux_release_text() }
        }
        service.begin(worker)
        do {
            try await supervise(worker)
        } catch {
            await service.end()
            throw error
        }
        await service.end()
    }

    /// To the journal with fields where stderr is the journal's, else as lines.
    private static func logger(_ name: String, instance: String?) -> Logger {
        let lines = LineLogHandler()
        guard Journal.isBehind(STDERR_FILENO) else { return Logger(label: "hark") { _ in lines } }
        let constants = [("HARK_WORKER", name)] + (instance.map { [("HARK_INSTANCE", $0)] } ?? [])
        return Logger(label: "hark") { _ in
            JournalLogHandler(
                identifier: "hark", prefix: "HARK_", constants: constants.map { (name: $0.0, value: $0.1) }, format: { _, message, metadata in lines.text(message, metadata) },
                fallback: { level, message, metadata in lines.output(lines.line(level: level, message, metadata)) })
        }
    }

    // MARK: - What the configuration says

    private func runners(_ configuration: Configuration) throws -> [any Runner] {
        let executables = try Executables.runners(configuration)
        let python = try python(configuration)
        var seen = plan.functions.names
        for runner in executables {
            if let twin = runner.functions.intersection(seen).sorted().first {
                throw HarkError(.configuration, "there are two functions of the name \(twin)", remedy: "Rename or remove one: a file, a [functions.\(twin)] command, or the Swift function.")
            }
            seen.formUnion(runner.functions)
        }
        if seen.isEmpty, python == nil, !plan.mayBeIdle {
            throw HarkError(
                .configuration, "this worker has no functions",
                remedy: "Give it a directory of executables with --functions DIR, or [functions.NAME] with a command or [python] with modules in its configuration file.")
        }
        return executables + (swift.map { [$0] } ?? []) + (python.map { [$0] } ?? [])
    }

    private func python(_ configuration: Configuration) throws -> PythonRunner? {
        guard let table = configuration.python else { return nil }
        if let problem = table.value.problem { throw SettingProblem(origin: table.origin, message: "[python]: \(problem)") }
        var settings = table.value
        // This process is nothing but a worker: what leaves its task's session is ours to end.
        settings.adoptsOrphans = true
        return PythonRunner(settings)
    }

    private func options(_ configuration: Configuration) -> WorkerOptions {
        WorkerOptions(
            database: configuration.database.value, signalDatabase: configuration.signalDatabase.value, name: configuration.name.value,
            queues: configuration.queues.map(\.value), pollInterval: configuration.pollInterval.value, stopGrace: configuration.stopGrace.value,
            drainTimeout: configuration.drainTimeout.value, functions: configuration.functions.mapValues(\.value.policy),
            unknownFunctionGrace: configuration.unknownFunctionGrace.value, resultLimit: configuration.resultLimit.value,
            incarnation: environment("INVOCATION_ID"), untilEmpty: plan.untilEmpty)
    }

    private func verbosity(_ function: String) -> Configuration.TaskLog {
        configuration.taskLog.value ?? plan.taskLog ?? (plan.functions.names.contains(function) ? .failures : .all)
    }

    /// What the worker does, for its first line.
    private var about: String {
        "on " + configuration.queues.map { "\($0.value.name) (\($0.value.slots) \($0.value.slots == 1 ? "slot" : "slots"))" }.joined(separator: ", ")
    }

    // MARK: - Signals

    private func supervise(_ worker: Worker) async throws {
        // Asked now: a terminal that is gone does not answer any more.
        let isOnTerminal = isatty(STDERR_FILENO) == 1 || isatty(STDIN_FILENO) == 1
        var quiet = logger
        quiet.logLevel = .error
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: worker, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .gracefullyShutdownGroup)
                ], logger: quiet))
        let signals = await UnixSignalsSequence(trapping: hangupIsOurs ? [.sigterm, .sigint, .sighup] : [.sigterm, .sigint])
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { [self] in
                var count = 0
                for await signal in signals {
                    if signal == .sighup, !isOnTerminal {
                        // A worker that stops needs no other configuration.
                        if count == 0 { await reload(worker) }
                        continue
                    }
                    count += 1
                    if count == 1 { await group.triggerGracefulShutdown() } else { worker.abandon() }
                }
            }
            defer { tasks.cancelAll() }
            try await group.run()
        }
    }

    /// SIGHUP asks a service to reload. On a terminal it says that the terminal is gone: a stop like any other. Whoever had it ignored
    /// (nohup) wants neither.
    private var hangupIsOurs: Bool {
        var action = sigaction()
        sigaction(SIGHUP, nil, &action)
        let isIgnored = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
        return plan.reload != nil && !isIgnored
    }

    /// Takes over what the configuration says now, or says why not. What runs goes on either way.
    private func reload(_ worker: Worker) async {
        guard let read = plan.reload else { return }
        service.reloading()
        var refused: String?
        do {
            let old = configuration
            var new = try read()
            // The connections, the row in hark.workers and the records of the journal are made with these.
            let fixed = Self.whatNeedsARestart(old, new)
            (new.database, new.signalDatabase, new.name) = (old.database, old.signalDatabase, old.name)
            let runners = try runners(new)
            current.withLock { $0 = new }
            await worker.reconfigure(options(new), runners: runners)
            say(.reloaded, .info, "configuration reloaded: \(about)" + (fixed.isEmpty ? "" : "; \(fixed.joined(separator: ", ")) will change with the next restart"))
        } catch {
            refused = "\(error)"
            say(.notReloaded, .error, "the configuration was not reloaded, everything stays as it was: \(error)")
        }
        service.reloaded(slots: configuration.slots, refused: refused)
    }

    private func say(_ kind: RecordKind, _ level: Logger.Level, _ text: String) {
        logger.log(level: level, "\(text)", metadata: TaskLog.metadata(kind))
    }

    private static func whatNeedsARestart(_ old: Configuration, _ new: Configuration) -> [String] {
        var keys: [String] = []
        if old.database.value != new.database.value { keys.append("database") }
        if old.signalDatabase.value != new.signalDatabase.value { keys.append("signal_database") }
        if old.name.value != new.name.value { keys.append("name") }
        return keys
    }
}

/// Carries a `TaskLog` to the worker's loop: made there at the first event, and used nowhere else.
private final class TelemetryLog: @unchecked Sendable {
    private let make: @Sendable () -> TaskLog
    private lazy var log = make()

    init(_ make: @escaping @Sendable () -> TaskLog) { self.make = make }

    /// Only ever called on the worker's loop, in order (see `TelemetrySink`).
    func take(_ event: TelemetryEvent) { log.take(event) }
}
