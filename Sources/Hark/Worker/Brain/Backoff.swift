/// How long to wait before the next attempt of a task.
///
/// `base` times `factor` for each attempt so far, at most `cap`, with `jitter` either way so that tasks which failed
/// together do not come back together. With the defaults ten attempts span about five and a half hours:
///
/// | after attempt | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | wait, ± 20 % | 2 s | 6 s | 18 s | 54 s | 2.7 min | 8.1 min | 24 min | 73 min | 3.6 h |
public struct RetryPolicy: Sendable, Equatable {
    public var base: Duration
    public var factor: Double
    public var cap: Duration
    /// 0 to 1.
    public var jitter: Double

    public init(base: Duration = .seconds(2), factor: Double = 3, cap: Duration = .seconds(6 * 3600), jitter: Double = 0.2) {
        self.base = base
        self.factor = factor
        self.cap = cap
        self.jitter = jitter
    }

    /// - Parameter attempt: the attempt that went wrong, from 1.
    public func delay(afterAttempt attempt: Int, using random: inout some RandomNumberGenerator) -> Duration {
        var wait = base
        for _ in 1..<max(attempt, 1) where wait < cap { wait = wait * factor }
        return min(wait, cap) * Double.random(in: (1 - jitter)...(1 + jitter), using: &random)
    }
}

/// The brain's own randomness: seeded from outside, so that a test can print the seed and replay.
struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
