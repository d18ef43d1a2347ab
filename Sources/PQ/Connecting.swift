// Making a connection without blocking the loop.
//
// libpq's PQconnectPoll says what it waits for, the loop watches the socket for that, and calls it again. Between two
// calls libpq may have closed the socket and opened another, even under the same number, so each step has a watch of
// its own, which is cancelled before libpq is called.
//
// Two things libpq does not do for us. It asks the name server in the middle of PQconnectPoll and blocks: so every call
// is made on a helper thread unless the address is a socket's path or a number. And it goes on to the next of several
// hosts only when one refuses: so hosts are tried one by one, each with its share of the time, and a host that swallows
// packets does not hide the one behind it. (With target_session_attrs=prefer-standby libpq needs to see all hosts at
// once and gets them.)

internal import CLibpq

/// One attempt to connect. Everything but `init` and `abandon` happens on the loop.
final class Connecting: @unchecked Sendable {
    private let info: Conninfo
    private let loop: EventLoop
    private let isLocal: Bool
    private var handle: Handle?
    private var watch: Watch?
    private var timer: Timer?
    private var continuation: CheckedContinuation<Handle, any Error>?
    private var isOver = false

    private init(_ info: Conninfo, _ loop: EventLoop) {
        self.info = info
        self.loop = loop
        isLocal = info.needsNoLookup
    }

    /// A connection that is ready for commands.
    /// - Throws: `PostgresError`, or `CancellationError` when the calling task is cancelled.
    static func connect(_ info: Conninfo, on loop: EventLoop, deadline: Duration, timeout: Duration) async throws -> Handle {
        let attempts = info.hostByHost
        for (index, info) in attempts.dropLast().enumerated() {
            let share = (deadline - EventLoop.now) / (attempts.count - index)
            do {
                return try await Connecting(info, loop).run(until: EventLoop.now + share, of: timeout)
            } catch is PostgresError {
                continue
            }
        }
        return try await Connecting(attempts.last ?? info, loop).run(until: deadline, of: timeout)
    }

    private func run(until deadline: Duration, of timeout: Duration) async throws -> Handle {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                loop.run { self.begin(continuation, deadline, timeout) }
            }
        } onCancel: {
            loop.run { self.finish(.failure(CancellationError())) }
        }
    }

    private func begin(_ continuation: CheckedContinuation<Handle, any Error>, _ deadline: Duration, _ timeout: Duration) {
        guard !isOver else { return continuation.resume(throwing: CancellationError()) }
        self.continuation = continuation
        timer = loop.at(deadline) {
            let message = "no answer from \(self.info.summary) within \(timeout)"
            self.finish(.failure(PostgresError.lost(message)))
        }
        call({ self.info.start().map(Handle.init) }) { handle in
            guard !self.isOver else { return }
            guard let handle else { return self.finish(.failure(PostgresError.lost("out of memory"))) }
            self.handle = handle
            if handle.isBad { return self.finish(.failure(handle.reason)) }
            self.wait(for: .write)
        }
    }

    private func wait(for interest: Interest) {
        guard let handle else { return }
        watch = loop.watch(PQsocket(handle.pointer), interest) { _ in self.poll() }
    }

    private func poll() {
        guard let handle else { return }
        watch?.cancel()
        watch = nil
        call({ PQconnectPoll(handle.pointer) }) { status in
            guard !self.isOver else { return }
            switch status {
            case PGRES_POLLING_READING: self.wait(for: .read)
            case PGRES_POLLING_WRITING: self.wait(for: .write)
            case PGRES_POLLING_OK: self.finish(.success(handle))
            default: self.finish(.failure(handle.reason))
            }
        }
    }

    /// Calls `body` here, or on a helper thread if it may block; then `next` on the loop.
    private func call<T: Sendable>(_ body: @escaping @Sendable () -> T, _ next: @escaping @Sendable (T) -> Void) {
        guard !isLocal else { return next(body()) }
        onThreadOfItsOwn {
            let value = body()
            self.loop.run { next(value) }
        }
    }

    /// The helper thread may still be in libpq: it holds the handle, and the last to let go closes it.
    private func finish(_ result: Result<Handle, any Error>) {
        guard !isOver else { return }
        isOver = true
        watch?.cancel()
        timer?.cancel()
        (watch, timer, handle) = (nil, nil, nil)
        continuation.take()?.resume(with: result)
    }
}
