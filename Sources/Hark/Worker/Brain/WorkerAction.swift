/// Everything a worker can be told to do. The brain says it, the hands (`Worker`) do it.
enum WorkerAction: Sendable {
    case connect(Link, after: Duration)
    /// Give up a connection that has gone silent; the hands answer with `disconnected`.
    case drop(Link, reason: String)
    /// One round trip on the work connection; two at most at a time, whose answers may come in any order.
    case trip(Trip)
    /// On the signal connection: go to sleep for these queues, `whole` if they are all of the worker's, as a reserve or with SLEEP.
    /// `guards`: it holds GUARD.
    case arm(queues: [String], whole: Bool, guards: Bool)
    /// Wake up; `guards`: as a guard.
    case disarm(guards: Bool)
    /// On the signal connection: wait for the SLEEP of these buckets.
    case awaitSleep(buckets: [Int32], patience: Duration)
    /// On the signal connection: somebody else is to guard these queues. `guards`: it holds GUARD.
    case handOver(queues: [String], guards: Bool)
    /// On the signal connection: ring two others, if there is still something to do in these queues.
    case passOn(queues: [String])
    /// On the signal connection, because the work connection is busy or away.
    case beat(Beat)
    case run([ClaimedTask])
    case stop(Claim, StopReason)
    /// Delete our row, release the session lock.
    case leave
    case report(TelemetryEvent)
    /// All is written and left: end.
    case end
}

/// What a worker says of itself in `hark.workers`.
struct Beat: Sendable, Equatable {
    var state: String
    var listener: String
    var running: Int
}

/// One round trip on the work connection, with a number for its answer. The beat is a transaction of its own; everything else is one transaction.
struct Trip: Sendable {
    var number = 0
    var beat: Beat?
    /// Send this number to ourselves, to see whether the listener hears.
    var proof: UInt64?
    /// Ask whether these are still ours.
    var held: [Claim] = []
    var writes: [Write] = []
    var rescue: [(worker: Int32, processGone: Bool)] = []
    /// Look for dead workers, take back what is blocked by function.
    var upkeep = false
    /// Look for tasks that run for workers which have no row, and for those blocked for too long.
    var sweep = false
    /// Release every running row of ours that is not among these: the answer to its claim was lost with a connection.
    var known: [Claim]?
    /// The queues that a reserve, or one that stands by, leaves to others: are they still there?
    var askGuarded: (queues: [String], standingBy: Bool)?
    /// Running tasks to be asked after: did somebody want them cancelled?
    var askCancelled: [Claim] = []
    var look: Look?
    /// It looks for work, for queues without durable claims, and says nothing that must not be undone by a crash of the server.
    var mayBeLost = false

    /// Outcomes, and a narrow claim: nothing whose answer changes what the next trip should say.
    var isPlain: Bool {
        beat == nil && proof == nil && held.isEmpty && rescue.isEmpty && !upkeep && !sweep && known == nil && askCancelled.isEmpty
            && look?.full.isEmpty ?? true
    }

    var isEmpty: Bool {
        beat == nil && proof == nil && held.isEmpty && writes.isEmpty && rescue.isEmpty && !upkeep && !sweep && askCancelled.isEmpty && look == nil
    }
}

/// One claim over some queues, each with its own room.
struct Look: Sendable {
    var queues: [QueueLook]
    var token: Int64

    /// The queues for which scheduled tasks are promoted and lanes are listed in the same round trip.
    var full: [QueueLook] { queues.filter(\.full) }
}

struct QueueLook: Sendable, Equatable {
    var queue: String
    /// Full: promote what is due, see which lanes exist, ignore the marks. Else only the known lanes from their marks on.
    var full: Bool
    var room: Int
    var lanes: [Lane]
}

/// One (queue, priority) of the ready index, and the position below which we need not look in it.
struct Lane: Sendable, Equatable {
    var priority: Int
    var mark: Int64
}

/// One outcome on its way to the database: which claim, and which of the verbs that end an attempt.
public struct Write: Sendable, Equatable {
    public enum Verb: Sendable, Equatable {
        case complete(result: [UInt8]?)
        case retry(delay: Duration, AttemptError)
        case snooze(delay: Duration)
        case fail(AttemptError)
        case cancel(AttemptError)
        case release
        /// This worker does not have the function, and may say why.
        case block(AttemptError?)
    }

    public var claim: Claim
    public var verb: Verb
}
