internal import Glibc
internal import Hark
internal import Logging
internal import PQ
internal import ServiceLifecycle
internal import UnixSignals

/// A worker as a process of its own: `hark work`, and the worker of `hark dev`.
///
/// SIGTERM or SIGINT drains it, a second one stops what runs; either way what did not finish is given back. A database that
/// is away is waited for.
struct Daemon: Sendable {
    var configuration: Configuration
    var functions: Functions
    var untilEmpty = false
    /// A worker without functions is a mistake, except while somebody is trying things out.
    var mayBeIdle = false
    /// Where attempts of executables and Swift functions are told of, when the configuration does not say.
    var taskLog: Configuration.TaskLog?
    var logger = Logger(label: "hark") { _ in LineLogHandler() }
    /// Told how the worker is, in one line, each time that changes: what a service manager shows as `STATUS=`.
    var status: @Sendable (String) -> Void = { _ in }

    /// Runs until it is stopped, or has nothing left to do with `untilEmpty`.
    /// - Throws: `HarkError`, `SettingProblem`, `ExecutableSettingsError` when waiting would not help.
    func run() async throws {
        let executables = try Executables.runners(configuration)
        var runners: [any Runner] = executables
        if !functions.names.isEmpty { runners.append(SwiftRunner(functions)) }
        try refuseTwins(executables)
        let names = runners.reduce(into: Set<String>()) { $0.formUnion($1.functions) }
        if names.isEmpty, !mayBeIdle {
            throw HarkError(
                .configuration, "this worker has no functions",
                remedy: "Give it a directory of executables with --functions DIR, or [functions.NAME] with a command in its configuration file.")
        }
        // A log that nobody reads any more must not end us. Children start with the default action again.
        signal(SIGPIPE, SIG_IGN)
        let worker = worker(runners, swift: functions.names)
        try await supervise(worker)
    }

    private func worker(_ runners: [any Runner], swift: Set<String>) -> Worker {
        let chosen = configuration.taskLog.value ?? taskLog
        let log = TelemetryLog { [logger, about, status] in
            TaskLog(logger, about: about, status: status) { chosen ?? (swift.contains($0) ? .failures : .all) }
        }
        return Worker(options, runners: runners, logger: logger) { log.take($0) }
    }

    /// What the worker does, for its first line.
    private var about: String {
        "on " + configuration.queues.map { "\($0.value.name) (\($0.value.slots) \($0.value.slots == 1 ? "slot" : "slots"))" }.joined(separator: ", ")
    }

    private var options: WorkerOptions {
        WorkerOptions(
            database: configuration.database.value, signalDatabase: configuration.signalDatabase.value, name: configuration.name.value,
            queues: configuration.queues.map(\.value), pollInterval: configuration.pollInterval.value, stopGrace: configuration.stopGrace.value,
            drainTimeout: configuration.drainTimeout.value, functions: configuration.functions.mapValues(\.value.policy),
            unknownFunctionGrace: configuration.unknownFunctionGrace.value, resultLimit: configuration.resultLimit.value,
            incarnation: environment("INVOCATION_ID"), untilEmpty: untilEmpty)
    }

    private func refuseTwins(_ executables: [ExecutableRunner]) throws {
        var seen = functions.names
        for runner in executables {
            if let twin = runner.functions.intersection(seen).sorted().first {
                throw HarkError(.configuration, "there are two functions of the name \(twin)", remedy: "Rename or remove one: a file, a [functions.\(twin)] command, or the Swift function.")
            }
            seen.formUnion(runner.functions)
        }
    }

    private func supervise(_ worker: Worker) async throws {
        var quiet = logger
        quiet.logLevel = .error
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: worker, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .gracefullyShutdownGroup)
                ], logger: quiet))
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                var count = 0
                for await _ in signals {
                    count += 1
                    if count == 1 { await group.triggerGracefulShutdown() } else { worker.abandon() }
                }
            }
            defer { tasks.cancelAll() }
            try await group.run()
        }
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
