// Runs Python functions in interpreters that are warm: the project is imported once, in a fork server, and each interpreter is a fork of it
// that runs one function after the other.
//
// Who decides what: `PoolState` which interpreter gets which task, and when one is asked, told or killed; `InterpreterPool` does it;
// the files of `interpreter/`, which travel inside this program, are the other side of the sockets.

internal import PQ

/// Runs Python functions, of modules that are allowed by name.
public final class PythonRunner: Runner {
    private let settings: PythonSettings
    /// Tasks that come before `run` has begun wait here.
    private let pool = Mutex<(pool: InterpreterPool?, early: [ClaimedTask], isShutDown: Bool)>((nil, [], false))

    public init(_ settings: PythonSettings) { self.settings = settings }

    public var functions: Set<String> { [] }
    public var modules: Modules { settings.modules }

    public func run(_ outlet: any RunnerOutlet) async {
        if settings.adoptsOrphans { _ = Offspring.shared.adopt() }
        outlet.capacity(0, lacking: nil)
        let new = InterpreterPool(settings, outlet)
        let (early, isShutDown) = pool.withLock { pool in
            defer { (pool.pool, pool.early) = (new, []) }
            return (pool.early, pool.isShutDown)
        }
        if !early.isEmpty { new.post { $0.start(early) } }
        if isShutDown { new.post { $0.close() } }
        await withTaskCancellationHandler {
            await new.run()
        } onCancel: {
            new.post { $0.stopAll() }
        }
        // The outlet holds the worker, and the worker us.
        pool.withLock { $0.pool = nil }
    }

    public func start(_ tasks: [ClaimedTask]) {
        let pool = pool.withLock { pool in
            if pool.pool == nil { pool.early += tasks }
            return pool.pool
        }
        pool?.post { $0.start(tasks) }
    }

    public func stop(_ claim: Claim, _ reason: StopReason, grace: Duration) {
        pool.withLock(\.pool)?.post { $0.stop(claim, reason, grace: grace) }
    }

    public func shutDown() {
        let pool = pool.withLock { pool in
            pool.isShutDown = true
            return pool.pool
        }
        pool?.post { $0.close() }
    }
}
