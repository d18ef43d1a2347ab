/// The fence: one claim of one task. An outcome written with any other token changes nothing.
///
/// `token` is a random 63-bit number drawn for each claim round trip, so that a worker that was given up for dead and
/// comes back cannot finish the attempt of another (see `Documentation/Guarantees.md`).
public struct Claim: Hashable, Sendable {
    public let id: Int64
    public let token: Int64

    public init(id: Int64, token: Int64) {
        self.id = id
        self.token = token
    }
}

/// One row of `hark.tasks` that this worker has claimed for one attempt.
public struct ClaimedTask: Sendable {
    public let claim: Claim
    public let queue: String
    public let function: String
    /// The arguments as the JSON text that the database holds: a list or an object, at most 1 MiB.
    public let args: [UInt8]
    /// -10 to 10, lower first.
    public let priority: Int
    /// Place in line within (queue, priority).
    public let position: Int64
    /// 1 for the first attempt.
    public let attempt: Int
    public let maxAttempts: Int
    /// How long the attempt may run; `nil` means as long as it likes.
    public let timeout: Duration?

    public var id: Int64 { claim.id }

    public init(
        claim: Claim, queue: String, function: String, args: [UInt8], priority: Int = 0, position: Int64 = 0,
        attempt: Int = 1, maxAttempts: Int = 10, timeout: Duration? = nil
    ) {
        self.claim = claim
        self.queue = queue
        self.function = function
        self.args = args
        self.priority = priority
        self.position = position
        self.attempt = attempt
        self.maxAttempts = maxAttempts
        self.timeout = timeout
    }
}
