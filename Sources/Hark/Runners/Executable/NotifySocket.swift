internal import CLinux
import Glibc
internal import PQ
import Synchronization

/// The NOTIFY_SOCKET of one child: what `sd_notify` of any language says there speaks for its task.
///
/// Understood are `WATCHDOG=1` (the function is alive) and `EXTEND_TIMEOUT_USEC=n`; other lines are passed over, as the
/// protocol asks (sd_notify(3)). Heard are only processes of the worker's own user and root.
final class NotifySocket: Sendable {
    /// What NOTIFY_SOCKET is to say.
    let name: String

    private let fd: CInt
    private let loop: EventLoop
    private let watch = Mutex<Watch?>(nil)

    /// Nil if the system has no room for one more socket: the task then runs without.
    init?(for claim: Claim, _ outlet: any RunnerOutlet) {
        var name = [CChar](repeating: 0, count: 128)
        let fd = hark_notify_socket(&name, name.count)
        guard fd >= 0 else { return nil }
        self.fd = fd
        self.name = name.withUnsafeBufferPointer { String(decoding: $0.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) }
        loop = outlet.loop
        let watch = loop.watch(fd, .read) { _ in Self.hear(fd, claim, outlet) }
        self.watch.withLock { $0 = watch }
    }

    /// Closes the socket, on the loop, so that it cannot be in the middle of reading from it.
    func close() {
        let watch = watch.withLock { $0.take() }
        let fd = fd
        loop.run {
            watch?.cancel()
            _ = Glibc.close(fd)
        }
    }

    /// Reads what is there, but no more than a few datagrams at a time: the loop has others to serve.
    private static func hear(_ fd: CInt, _ claim: Claim, _ outlet: any RunnerOutlet) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 {
            var uid = uid_t.max
            let length = hark_notify_receive(fd, &buffer, buffer.count, &uid)
            guard length >= 0 else { return }
            guard uid == geteuid() || uid == 0 else { continue }
            for line in buffer[..<length].split(separator: UInt8(ascii: "\n")) {
                if line.elementsEqual("WATCHDOG=1".utf8) {
                    outlet.alive(claim)
                } else if line.starts(with: "EXTEND_TIMEOUT_USEC=".utf8),
                    let extra = Int64(String(decoding: line.dropFirst(20), as: UTF8.self)), extra > 0
                {
                    outlet.extend(claim, by: .microseconds(extra))
                }
            }
        }
    }
}
