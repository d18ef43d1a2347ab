internal import Synchronization
internal import CLibpq

/// Owns a PGconn: closes it when the last reference is gone, on whatever thread that is.
///
/// Sendable without the compiler's proof: a PGconn may be used by one thread at a time, and is: by the helper thread that
/// connects, then by the loop, then by whoever lets go of it.
final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    /// The last FATAL that came outside of any command, such as "terminating connection due to administrator command".
    private let farewell = Mutex<PostgresError?>(nil)

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        // Without a receiver libpq writes notices to stderr.
        _ = PQsetNoticeReceiver(
            pointer,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<Handle>.fromOpaque(context).takeUnretainedValue().noticed(result)
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { PQfinish(pointer) }

    var isBad: Bool { PQstatus(pointer) == CONNECTION_BAD }

    /// Why the connection is of no use any more.
    var reason: PostgresError { farewell.withLock { $0 } ?? PostgresError(connection: pointer) }

    private func noticed(_ result: OpaquePointer) {
        guard let severity = PQresultErrorField(result, CInt(UInt8(ascii: "V"))) else { return }
        guard ["FATAL", "PANIC"].contains(String(cString: severity)) else { return }
        farewell.withLock { $0 = PostgresError(result: result, statement: nil) }
    }
}

/// What is needed to ask the server, over a connection of its own, to stop what another one runs.
///
/// Sendable without the compiler's proof: a PGcancel is never changed, and libpq documents PQcancel as safe on any thread.
final class Canceller: @unchecked Sendable {
    private let pointer: OpaquePointer?

    init(_ handle: Handle) { pointer = PQgetCancel(handle.pointer) }

    deinit { PQfreeCancel(pointer) }

    /// Blocks until the server has taken the request. Returns what went wrong.
    func cancel() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { message in
            message.initialize(repeating: 0)
            guard PQcancel(pointer, message.baseAddress, 256) == 0 else { return nil }
            return message.baseAddress.map { oneSentence(String(cString: $0)) } ?? "PQcancel failed"
        }
    }
}
