internal import PQ

/// Shows that a new listener hears: a notification to itself, awaited.
///
/// The notification is sent on the very connection that listens, in a transaction after the LISTENs, so it can only come
/// back once they are in force.
final class Proof: Sendable {
    private struct State {
        var nonce: UInt64?
        var waiting: CheckedContinuation<Void, any Error>?
        var connection: ObjectIdentifier?
        var error: PostgresError?
    }

    private let state = Mutex(State())

    /// The connection, once it is fully up; until then its loss is an error of `run`, not an event.
    var connection: ObjectIdentifier? {
        get { state.withLock { $0.connection } }
        set { state.withLock { $0.connection = newValue } }
    }

    func run(on connection: Connection, channel: String) async throws {
        let nonce = UInt64.random(in: 1 ... .max)
        state.withLock { $0.nonce = nonce }
        let timer = connection.loop.at(EventLoop.now + .seconds(5)) { [weak self] in
            self?.failed(PostgresError(message: "a notification to ourselves did not come back within 5 s; is this connection made through a transaction pooler? (set signal_database)"))
        }
        defer { timer.cancel() }
        async let sent: Rows = connection.execute(SQL.notify, [.text(channel), .text("proof \(nonce)")])
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let early: Result<Void, any Error>? = state.withLock { state in
                if let error = state.error { return .failure(error) }
                if state.nonce == nil { return .success(()) }
                state.waiting = continuation
                return nil
            }
            if let early { continuation.resume(with: early) }
        }
        _ = try await sent
    }

    /// True if this was the notification that is waited for.
    func came(_ nonce: UInt64) -> Bool {
        let (ours, waiting) = state.withLock { state -> (Bool, CheckedContinuation<Void, any Error>?) in
            guard state.nonce == nonce else { return (false, nil) }
            state.nonce = nil
            defer { state.waiting = nil }
            return (true, state.waiting)
        }
        waiting?.resume()
        return ours
    }

    func failed(_ error: PostgresError) {
        let waiting = state.withLock { state in
            state.error = error
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(throwing: error)
    }
}
