/// Everything that can happen to a worker, as the brain hears of it. Times are durations since boot.
enum WorkerEvent: Sendable {
    /// The signal connection is up: registered as `worker`, listening, and the listener proven by a round trip.
    /// `renewed` says that our row was gone, so that every claim we still hold belongs to somebody else by now.
    case joined(worker: Int32, renewed: Bool)
    /// The work connection is up.
    case workConnected
    case disconnected(Link, reason: String)
    /// An attempt to connect came to nothing.
    case connectFailed(Link, reason: String)

    /// A notification: a task may be ready in this queue. It is for us to see to it, or to pass it on.
    case bell(queue: String)
    /// Somebody has asked to cancel this running task.
    case cancelRequested(task: Int64)
    /// Our own notification came back on the signal connection.
    case proof(nonce: UInt64)

    /// `isReserve`: another worker guards the queues, and inserts do not see us. `standsBy`: others hear the inserts of some queues for us.
    /// `blocked`: buckets in which somebody is about to commit without having rung.
    case armed(isReserve: Bool, standsBy: Bool, blocked: [Int32])
    case armFailed(reason: String)
    case awaited(Awaited)
    case disarmed

    case tripped(trip: Int, TripResult)
    /// The round trip was rolled back as a whole.
    case tripFailed(trip: Int, TripFailure)

    case finished([(Claim, Outcome)])
    case alive(Claim)
    case extended(Claim, by: Duration)
    /// So many functions of modules can be had in hand without waiting for long; `lacking` says why it is none at all.
    case capacity(Int, lacking: String?)
    /// From now on other interpreters: what still runs in the old ones does not count for them.
    case newPool
    /// The moment of `nextWake` has come.
    case tick
    /// The machine was suspended and goes on now: everybody else's time went on.
    case resumed(after: Duration)
    /// Other queues, functions or limits from now on. What runs is not touched.
    case configured(WorkerState.Settings)
    /// Finish what runs, claim nothing more; what still runs after `timeout` is stopped and released.
    case drain(timeout: Duration)
    /// Stop and release everything now.
    case abandon
    /// Our row is gone from `hark.workers`: the last word to the database has been said.
    case left
}

/// The two connections of a worker.
enum Link: String, Sendable, CaseIterable {
    /// LISTEN, the session lock, arming. Never behind a pooler.
    case signal
    /// Claims and writes.
    case work
}

enum TripFailure: Sendable, Equatable {
    /// The connection broke; whether the writes were committed is not known.
    case connectionLost(String)
    /// Serialization failure, deadlock, lock timeout, server out of something: the same again, a little later.
    case retryable(String)
    /// The data of some write cannot be stored (SQLSTATE class 22: a number out of range, `\u0000` ...).
    case badData(String)
    /// Anything else: a bug or a changed schema. Tried again as well, but not in a hurry, and shown.
    case other(String)
}

/// What one round trip on the work connection brought.
struct TripResult: Sendable {
    /// Whether our row in `hark.workers` is still there; nil when the trip had no beat, or the beat failed.
    var stillRegistered: Bool?
    var written: Set<Claim> = []
    /// Of the claims in `Trip.held`, those that are still ours.
    var held: Set<Claim> = []
    var claimed: [ClaimedTask] = []
    /// The lanes that have ready tasks, by queue; only from a full look.
    var lanes: [String: [Int]] = [:]
    /// By queue, how long until its next scheduled task is due, after the due ones were promoted; only from a full look.
    var nextDue: [String: Duration] = [:]
    /// As many came due as one round trip promotes.
    var mayPromoteMore = false
    var suspects: [Suspect] = []
    var rescued: [Rescued] = []
    var cancelRequested: [Claim] = []
    /// After a beat: until when nobody takes our row away, by the server's clock, in seconds since 1970.
    var sureUntil: Double?
    /// The answer to `Trip.askGuarded`.
    var isGuarded = true
}

/// A worker that may be dead: its session lock is free, or it has not beaten for long.
struct Suspect: Sendable, Equatable {
    var worker: Int32
    /// It ran on this machine and its process is gone.
    var processGone: Bool
    /// How long until it counts as dead anyway.
    var graceLeft: Duration
}

/// A task that was given back, or finished, because its worker had died.
struct Rescued: Sendable, Equatable {
    var task: Int64
    var worker: Int32
    var state: String
}

/// What came of a wait for SLEEP: now we have it; somebody still holds it who may be about to commit; another worker was first.
enum Awaited: String, Sendable {
    case had
    case blocked
    case taken
}
