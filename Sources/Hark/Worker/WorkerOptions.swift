public import PQ

/// Everything that a worker is told when it is made. Every value has a sensible default but the database.
public struct WorkerOptions: Sendable {
    /// Where the tasks are.
    public var database: Conninfo
    /// The same database not through a pooler, when `database` goes through a transaction pooler: LISTEN and session
    /// locks need a session. The work connection then uses unnamed statements, and settings that last a transaction.
    public var signalDatabase: Conninfo?
    /// Stands in `hark.workers.name`, in the errors of tasks and in the log.
    public var name: String
    public var queues: [QueueSettings]
    /// Between two looks that nothing has asked for, 100 ms to 60 s: what a missed notification costs at most.
    public var pollInterval: Duration
    /// From a function being asked to stop to its being killed (executables) or given up (Swift).
    public var stopGrace: Duration
    /// How long running tasks may take to finish when the worker is asked to stop.
    public var drainTimeout: Duration
    public var retry: RetryPolicy
    /// By function, where the row says nothing.
    public var functions: [String: FunctionPolicy]
    /// A task whose function no worker has fails when it has been due for so long; nil: it waits for ever.
    public var unknownFunctionGrace: Duration?
    /// The largest result that is stored, in bytes of JSON.
    public var resultLimit: Int
    /// Which start of the service this is (`INVOCATION_ID` under systemd); shown in `hark.workers`.
    public var incarnation: String?
    /// Ends by itself once no task is ready, scheduled or running in its queues.
    public var untilEmpty: Bool
    /// After how long a silent listener, and a round trip without an answer, are doubted. Tests are less patient.
    var patience = Patience()

    struct Patience: Sendable {
        var proofInterval = Duration.seconds(30)
        var proofTimeout = Duration.seconds(5)
        var tripTimeout = Duration.seconds(30)
    }

    public init(
        database: Conninfo, signalDatabase: Conninfo? = nil, name: String = "worker", queues: [QueueSettings] = [QueueSettings(name: "default")],
        pollInterval: Duration = .seconds(5), stopGrace: Duration = .seconds(5), drainTimeout: Duration = .seconds(30),
        retry: RetryPolicy = RetryPolicy(), functions: [String: FunctionPolicy] = [:], unknownFunctionGrace: Duration? = nil,
        resultLimit: Int = 1_048_576, incarnation: String? = nil, untilEmpty: Bool = false
    ) {
        self.database = database
        self.signalDatabase = signalDatabase
        self.name = name
        self.queues = queues
        self.pollInterval = pollInterval
        self.stopGrace = stopGrace
        self.drainTimeout = drainTimeout
        self.retry = retry
        self.functions = functions
        self.unknownFunctionGrace = unknownFunctionGrace
        self.resultLimit = resultLimit
        self.incarnation = incarnation
        self.untilEmpty = untilEmpty
    }
}

/// What the configuration says of one function. nil: the queue's value, else the built-in one (10 attempts, no timeout).
public struct FunctionPolicy: Sendable, Equatable {
    /// 1 to 1,000; what is outside counts as the nearest.
    public var maxAttempts: Int?
    /// More than zero, at most a year.
    public var timeout: Duration?

    public init(maxAttempts: Int? = nil, timeout: Duration? = nil) {
        self.maxAttempts = maxAttempts
        self.timeout = timeout
    }

    /// As `claim.sql` takes it.
    var json: [UInt8] {
        var members: [(String, [UInt8])] = []
        if let maxAttempts { members.append(("max_attempts", Array("\(min(max(maxAttempts, 1), 1_000))".utf8))) }
        if let timeout, timeout > .zero { members.append(("timeout", Array("\(min(timeout.seconds, 365 * 86_400))".utf8))) }
        return JSONText.object(members)
    }
}

extension WorkerOptions {
    var functionPolicies: [UInt8] { JSONText.object(functions.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }) }

    var queuePolicies: [UInt8] {
        JSONText.object(queues.filter { $0.maxAttempts != nil || $0.timeout != nil }.map {
            ($0.name, FunctionPolicy(maxAttempts: $0.maxAttempts, timeout: $0.timeout).json)
        })
    }
}
