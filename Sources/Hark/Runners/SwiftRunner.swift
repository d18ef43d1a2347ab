/// Runs Swift functions, in this process.
public final class SwiftRunner: Runner {
    private let bodies: [String: Functions.Raw]
    private let pool = SlotPool()

    public let functions: Set<String>

    public init(_ functions: Functions) {
        bodies = functions.bodies
        self.functions = functions.names
    }

    public func run(_ outlet: any RunnerOutlet) async {
        let bodies = bodies
        await pool.run(outlet) { task, slot in
            guard let body = bodies[task.function] else {
                return .errored(AttemptError(.error, "there is no function \(task.function) in this worker"))
            }
            do {
                return .completed(result: try await body(TaskContext(task, outlet), task.args))
            } catch {
                return Self.outcome(of: task, error, slot.stopReason)
            }
        }
    }

    public func start(_ tasks: [ClaimedTask]) { pool.submit(tasks) }

    /// Cancels the function's Swift task. `grace` has no meaning here: nobody can end a Swift function by force.
    public func stop(_ claim: Claim, _ reason: StopReason, grace: Duration) {
        pool.cancel(claim, reason)
    }

    public func shutDown() { pool.close() }

    /// What the function threw, as an outcome. A verdict counts even after a stop: the function itself has spoken.
    private static func outcome(of task: ClaimedTask, _ error: any Error, _ reason: StopReason?) -> Outcome {
        switch error {
        case let verdict as Verdict: return verdict.outcome
        case let error as ArgumentError: return .failed(AttemptError(.error, error.message))
        default: break
        }
        if let reason { return reason.outcome(of: task) }
        if error is CancellationError, Task.isCancelled { return .released }
        let words = "\(error)"
        return .errored(AttemptError(.error, String(words.prefix(4000)), detail: words.count > 4000 ? words : nil))
    }
}
