internal import PQ

/// Whether LISTEN works on a connection: a notification to ourselves, and whether it comes back in time.
final class Listening: Sendable {
    private let heard = Mutex<(came: Bool, waiting: CheckedContinuation<Bool, Never>?)>((false, nil))

    /// Give this to the connection as `onNotification`.
    func take(_ notification: PQ.Notification) {
        if notification.channel.hasPrefix("hark_doctor_") { end(true) }
    }

    /// - Returns: how long it took; nil when nothing came within 3 s.
    func prove(on connection: Connection) async throws -> Duration? {
        let channel = "hark_doctor_\(UInt32.random(in: .min ... .max))"
        _ = try await connection.execute("listen \(channel)")
        let began = EventLoop.now
        _ = try await connection.execute("select pg_notify($1, '')", [.text(channel)])
        let alarm = connection.loop.at(began + .seconds(3)) { self.end(false) }
        defer { alarm.cancel() }
        let came = await withCheckedContinuation { continuation in
            let now = heard.withLock { heard in
                if !heard.came { heard.waiting = continuation }
                return heard.came
            }
            if now { continuation.resume(returning: true) }
        }
        let took = EventLoop.now - began
        _ = try await connection.execute("unlisten \(channel)")
        return came ? took : nil
    }

    private func end(_ came: Bool) {
        let waiting = heard.withLock { heard in
            heard.came = heard.came || came
            return heard.waiting.take()
        }
        waiting?.resume(returning: came)
    }
}
