// Runs functions written in any language, one process for each attempt.
//
// One attempt: the arguments go into a nameless memory file that becomes the child's stdin (a child that never reads
// them, or closes stdin at once, breaks no pipe and cannot stall us); the child starts in a session of its own with a clean
// environment; stdout is gathered up to a limit, stderr goes to the log; when the process has ended, what it left behind
// is ended too (Offspring.swift), and only then is there an outcome: the next attempt never meets the last one.
//
// Who waits for what: Subprocess waits for the process and reads its pipes; it stops reading when the process has ended,
// also if an orphan still holds a pipe. The body given to it returns only after `clear`, and until then the process is
// not reaped: its id, and so its process group and session, stay ours to signal.
//
// After a stop the reason decides, whatever the exit code says: a program that ends itself cleanly on SIGTERM has, as a
// rule, not done its work. One that had ended before the signal was sent is taken at its word.

internal import CLinux
import Glibc
internal import Logging
internal import PQ
import Subprocess
internal import SystemPackage

/// Runs executables: files of a directory, and commands of the configuration. Nothing ever goes through a shell.
public final class ExecutableRunner: Runner {
    private let settings: ExecutableSettings
    private let catalog: ExecutableCatalog
    private let pool = SlotPool(limit: ExecutableRunner.mostAtATime)
    private let running = Mutex<[Claim: ExecutableChild]>([:])
    private let outlet = Mutex<(any RunnerOutlet)?>(nil)

    /// A task that runs has up to six descriptors: its two pipes, stdin, its socket, its process. Without enough of them it could not start,
    /// through no fault of its own.
    public static var mostAtATime: Int { (DescriptorLimit.current.soft - 64) / 6 }

    /// How long leftovers that were sent SIGKILL may take to be gone before the worker says so and goes on.
    private static let patience = Duration.seconds(10)

    /// Reads the functions directory.
    /// - Throws: `ExecutableSettingsError` when it cannot be read, or two programs claim one name.
    public init(_ settings: ExecutableSettings) throws(ExecutableSettingsError) {
        self.settings = settings
        catalog = try ExecutableCatalog(settings)
    }

    public var functions: Set<String> { Set(catalog.commands.keys) }

    public func run(_ outlet: any RunnerOutlet) async {
        self.outlet.withLock { $0 = outlet }
        defer {
            // What no slot has begun.
            for child in running.withLock({ running in defer { running = [:] }; return Array(running.values) }) { child.over() }
            // The outlet holds the worker, and the worker us.
            self.outlet.withLock { $0 = nil }
        }
        if settings.adoptsOrphans, !Offspring.shared.adopt() {
            outlet.logger.warning(
                "the kernel does not let this worker adopt orphans: a process that leaves its session may survive its task")
        }
        await withTaskCancellationHandler {
            await pool.run(outlet) { [self] task, _ in
                guard let child = running.withLock({ $0[task.claim] }) else { return .released }
                let outcome = await attempt(child, outlet)
                child.over()
                running.withLock { _ = $0.removeValue(forKey: task.claim) }
                return outcome
            }
        } onCancel: {
            for child in running.withLock({ Array($0.values) }) { child.stop(.shutdown, grace: settings.grace, on: outlet.loop) }
        }
    }

    public func start(_ tasks: [ClaimedTask]) {
        running.withLock { running in
            for task in tasks { running[task.claim] = ExecutableChild(task) }
        }
        pool.submit(tasks)
    }

    public func stop(_ claim: Claim, _ reason: StopReason, grace: Duration) {
        running.withLock { $0[claim] }?.stop(reason, grace: grace, on: outlet.withLock(\.self)?.loop)
    }

    public func shutDown() { pool.close() }

    // MARK: One attempt

    private struct Ended: Sendable {
        var printed: Printed
        var stderr: StderrLines
        var survivors: [pid_t]
    }

    private func attempt(_ child: ExecutableChild, _ outlet: any RunnerOutlet) async -> Outcome {
        let task = child.task
        if let reason = child.stopReason { return reason.outcome(of: task) }
        guard let command = catalog.commands[task.function] else {
            return .errored(AttemptError(.error, "there is no function \(task.function) in this worker"))
        }
        let socket = NotifySocket(for: task.claim, outlet)
        defer { socket?.close() }
        let environment = environment(for: task, socket)
        guard let program = ExecutableCatalog.resolve(command[0], path: environment["PATH"] ?? "") else {
            return .errored(AttemptError(.error, "cannot start: there is no program \(command[0]) in PATH"))
        }
        let stdin = task.args.withUnsafeBytes { args in
            args.baseAddress.map { hark_memory_file($0, args.count) } ?? open("/dev/null", O_RDONLY | O_CLOEXEC)
        }
        guard stdin >= 0 else {
            return .errored(AttemptError(.error, "cannot hand over the arguments: \(String(cString: strerror(errno)))"))
        }
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: settings.grace)]

        let logger = outlet.logger.about(task)
        let ticket = Offspring.shared.starting(task.claim)
        defer { Offspring.shared.ended(ticket) }
        do {
            let result = try await Subprocess.run(
                .path(FilePath(program)), arguments: Arguments(Array(command.dropFirst())),
                environment: CleanEnvironment.custom(environment),
                workingDirectory: settings.workingDirectory.map { FilePath($0) }, platformOptions: options,
                input: .fileDescriptor(FileDescriptor(rawValue: stdin), closeAfterSpawningProcess: true),
                output: .sequence, error: .sequence
            ) { execution in
                let process = execution.processIdentifier
                defer { child.over() }
                Offspring.shared.started(ticket, process.value)
                DescriptorLimit.giveBack(to: process.value)
                child.started(process.value)
                async let printed = gather(execution.standardOutput, child, outlet.loop)
                async let stderr = StderrLines.logged(execution.standardError, logger)
                var ended = Ended(printed: await printed, stderr: await stderr, survivors: [])
                await outlet.loop.ended(process.value, process.processDescriptor)
                await child.buried(on: outlet.loop, until: EventLoop.now + Self.patience)
                ended.survivors = await Offspring.shared.clear(ticket, on: outlet.loop, until: EventLoop.now + Self.patience)
                return ended
            }
            return outcome(of: child, result.closureResult, result.terminationStatus, logger)
        } catch {
            if let reason = child.stopReason { return reason.outcome(of: task) }
            let message = ExecutableCatalog.complaint(about: program, directory: settings.workingDirectory, error)
            return .errored(AttemptError(.error, message))
        }
    }

    private func gather(_ stdout: SubprocessOutputSequence, _ child: ExecutableChild, _ loop: EventLoop) async -> Printed {
        var printed = Printed(limit: settings.outputLimit)
        do {
            for try await buffer in stdout {
                let before = printed.tooMuch
                buffer.withUnsafeBytes { printed.append($0) }
                if printed.tooMuch, !before { child.overflow(grace: settings.grace, on: loop) }
            }
        } catch {
            // A pipe that breaks is a pipe that has ended.
        }
        return printed
    }

    private func outcome(
        of child: ExecutableChild, _ ended: Ended, _ status: TerminationStatus, _ logger: Logger
    ) -> Outcome {
        let tail = ended.stderr.tail
        if !ended.survivors.isEmpty {
            logger.error("processes of this task do not die: \(ended.survivors.map(String.init).joined(separator: ", "))")
        }
        if ended.printed.tooMuch {
            let limit = ended.printed.limit
            let size = limit % (1 << 20) == 0 ? "\(limit >> 20) MiB" : "\(limit) bytes"
            return .failed(AttemptError(.error, "printed more than \(size) on stdout and was stopped", detail: tail))
        }
        if let reason = child.stopReason { return reason.outcome(of: child.task, detail: tail) }
        switch status {
        case .exited(0):
            let result = ended.printed.result
            if let mended = result.mended { logger.warning("\(mended)") }
            return .completed(result: result.text)
        case .exited(EX_TEMPFAIL):
            return .retry(after: nil, AttemptError(.error, "asked to be run again (exit code 75)", detail: tail))
        case .exited(EX_DATAERR):
            return .failed(AttemptError(.error, "gave up for good (exit code 65)", detail: tail))
        case .exited(let code):
            return .errored(AttemptError(.error, "exited with code \(code)", detail: tail))
        case .signaled(let signal):
            return .errored(AttemptError(.crash, "was ended by \(SignalName.of(signal))", detail: tail))
        }
    }

    // MARK: The child's environment

    private func environment(for task: ClaimedTask, _ socket: NotifySocket?) -> [String: String] {
        var environment = CleanEnvironment.variables(adding: settings.environment)
        environment["HARK_TASK_ID"] = "\(task.id)"
        environment["HARK_TOKEN"] = "\(task.claim.token)"
        environment["HARK_ATTEMPT"] = "\(task.attempt)"
        environment["HARK_QUEUE"] = task.queue
        environment["HARK_FUNCTION"] = task.function
        if let socket { environment["NOTIFY_SOCKET"] = socket.name }
        if let timeout = task.timeout {
            let (seconds, attoseconds) = timeout.components
            environment["WATCHDOG_USEC"] = "\(max(1, seconds * 1_000_000 + attoseconds / 1_000_000_000_000))"
        }
        return environment
    }
}

/// Names of signals, as people know them.
enum SignalName {
    private static let names: [CInt: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP", SIGABRT: "SIGABRT",
        SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1", SIGSEGV: "SIGSEGV",
        SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM", SIGXCPU: "SIGXCPU",
        SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS",
    ]

    static func of(_ signal: CInt) -> String { names[signal] ?? "signal \(signal)" }
}
