/// The states of a task: `hark.tasks.state`.
public enum TaskState: String, Sendable, CaseIterable {
    /// Not due yet, or backing off.
    case scheduled
    /// Waits for something; `blocked_by` says for what.
    case blocked
    /// May be claimed.
    case ready
    case running
    case completed
    case failed
    case cancelled

    /// Nothing more happens to it by itself.
    public var isFinished: Bool { self == .completed || self == .failed || self == .cancelled }

    public static let unfinished: [TaskState] = allCases.filter { !$0.isFinished }
}

/// One row of `hark.tasks`, as listings show it. Times are seconds since 1970 by the server's clock.
public struct QueuedTask: Sendable {
    public var id: Int64
    public var state: TaskState
    public var queue: String
    public var function: String
    /// JSON text.
    public var args: [UInt8]
    public var priority: Int
    public var runAt: Double
    public var attempt: Int
    public var maxAttempts: Int?
    public var uniqueKey: String?
    public var blockedBy: String?
    public var createdAt: Double
    public var startedAt: Double?
    public var finishedAt: Double?
    public var cancelRequestedAt: Double?
    /// The name of the worker that runs it, or ran it and still lives.
    public var worker: String?
    /// The message of its last error.
    public var error: String?
}

/// How far a task is, for whoever waits for its end.
public struct TaskOutcome: Sendable {
    public var state: TaskState
    /// JSON text.
    public var result: [UInt8]?
    /// Message and kind of the last error.
    public var error: String?
    public var kind: AttemptError.Kind?
}

/// Which tasks a listing or a change of many is about. What is nil does not matter.
public struct TaskFilter: Sendable {
    public var queue: String?
    public var function: String?
    public var states: [TaskState]?
    /// Counted from when a task finished, else from when it was inserted.
    public var olderThan: Duration?

    public init(queue: String? = nil, function: String? = nil, states: [TaskState]? = nil, olderThan: Duration? = nil) {
        self.queue = queue
        self.function = function
        self.states = states
        self.olderThan = olderThan
    }
}

/// What a retry or a cancel by hand has made of one task.
public struct TaskChange: Sendable {
    public enum Result: String, Sendable {
        /// Retried: it may run now.
        case ready
        /// It waited and will not run.
        case cancelled
        /// It runs; its worker has been asked to stop it.
        case requested
        /// Left as it is; `note` says why.
        case skipped
    }

    public var id: Int64
    public var result: Result
    public var note: String?
}

/// How one queue is doing.
public struct QueueStats: Sendable {
    /// How many tasks ended so, in the last minute and the last hour.
    public struct Finished: Sendable {
        public var minute: Int64
        public var hour: Int64
    }

    public var queue: String
    public var ready: Int64
    public var scheduled: Int64
    public var blocked: Int64
    public var running: Int64
    /// Seconds since the longest waiting ready task was due.
    public var oldestReady: Double?
    public var completed: Finished
    public var failed: Finished
    public var cancelled: Finished
}

/// One row of `hark.workers`.
public struct WorkerInfo: Sendable {
    public var id: Int32
    public var name: String
    public var state: String
    /// listening, polling or disconnected.
    public var listener: String?
    public var queues: [String]
    public var slots: Int
    public var running: Int
    public var hostname: String?
    public var pid: Int32?
    public var version: String?
    public var incarnation: String?
    public var startedAt: Double
    /// Seconds since it was last heard of.
    public var beatAge: Double
    /// Its session lock is held.
    public var isConnected: Bool
    /// It counts as dead, and its tasks wait for their rescue.
    public var isDead: Bool
}
