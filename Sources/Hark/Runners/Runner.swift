public import PQ
public import Logging

/// How a worker runs functions of one sort: Swift, executable, Python.
///
/// A runner takes claimed tasks as they come and hands outcomes back as they come, in batches both ways and in any
/// order. It never runs a function on the loop's thread, never throws for a task's fault, and hands back exactly one
/// outcome for each task that it was given, also when it is stopped.
///
/// Calls come from the loop and must return at once; outcomes go to the `RunnerOutlet` from any thread.
public protocol Runner: AnyObject, Sendable {
    /// The names that this runner can run, at this moment.
    var functions: Set<String> { get }

    /// Modules whose functions it can run besides: which these are stays open until one is called. Such a runner says by
    /// `RunnerOutlet.capacity` how many it will have, and when a function begins; at most one runner of a worker has modules.
    var modules: Modules { get }

    /// Lives until every task given is done and `shutDown` was called. The worker calls it once, before any `start`.
    ///
    /// Cancelling its Swift task stops everything: what runs is asked to stop as by `stop` with the reason `shutdown` and
    /// the runner's own grace, what has not begun does not begin, all of it is `released`, and then this returns.
    func run(_ outlet: any RunnerOutlet) async

    /// Begin these tasks. Never more at a time than the worker's slots.
    func start(_ tasks: [ClaimedTask])

    /// Ask the function to stop (Swift cancellation; SIGTERM, then SIGKILL after `grace`). Its outcome then comes as
    /// ever: `cancelled`, `errored` with kind `timeout`, or `released`, as `reason` says; or what the function
    /// itself returned, if it was done already. Unknown claims are ignored (it has just finished).
    func stop(_ claim: Claim, _ reason: StopReason, grace: Duration)

    /// Let `run` return once the running tasks are done.
    func shutDown()
}

extension Runner {
    public var modules: Modules { [] }
}

/// Why a running function is asked to stop.
public enum StopReason: Sendable, Equatable {
    /// It ran into its timeout: outcome `errored` with kind `timeout`.
    case timeout
    /// Somebody cancelled the task: outcome `cancelled`.
    case cancelled
    /// The worker is going down: outcome `released`.
    case shutdown
    /// The claim is no longer ours (another worker has it): outcome `released`, which the fence turns away.
    case lost
}

/// Where a runner puts what it has to say. Safe to call from any thread; the worker is woken once per batch.
public protocol RunnerOutlet: Sendable {
    /// The loop that the worker waits on: a runner that waits for descriptors may wait there too, and must never block it.
    var loop: EventLoop { get }
    var logger: Logger { get }

    func finished(_ claim: Claim, _ outcome: Outcome)
    /// The function has said that it is alive, or has only now begun: its timeout starts anew.
    func alive(_ claim: Claim)
    /// The function asks that its timeout shall not come before `extra` from now.
    func extend(_ claim: Claim, by extra: Duration)
    /// Of a runner with modules: how many tasks it would have in hand at this moment; `lacking` says why it is none at all.
    func capacity(_ count: Int, lacking: String?)
}
