internal import CLinux
import Glibc
internal import PQ

/// The NOTIFY_SOCKET of one child: what `sd_notify` of any language says there speaks for its task.
///
/// Understood are `WATCHDOG=1` (the function is alive) and `EXTEND_TIMEOUT_USEC=n`; other lines are passed over, as the
/// protocol asks (sd_notify(3)). Heard are only processes of the worker's own user and of root.
final class NotifySocket: Sendable {
    /// What NOTIFY_SOCKET is to say.
    let name: String

    /// Held while a datagram is read, so that the descriptor is not closed under the reader. Nil when closed.
    private let fd: Mutex<CInt?>
    private let watch = Mutex<Watch?>(nil)

    /// Nil if the system has no room for one more socket: the task then runs without.
    init?(for claim: Claim, _ outlet: any RunnerOutlet) {
        var name = [UInt8](repeating: 0, count: 128)
        let fd = name.withUnsafeMutableBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { hark_notify_socket($0, 128) } ?? -1 }
        }
        guard fd >= 0 else { return nil }
        self.name = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        self.fd = Mutex(fd)
        let watch = outlet.loop.watch(fd, .read) { [weak self] _ in self?.hear(claim, outlet) }
        self.watch.withLock { $0 = watch }
    }

    func close() {
        watch.withLock { $0.take() }?.cancel()
        if let fd = fd.withLock({ $0.take() }) { linux_close(fd) }
    }

    /// Reads what is there, but no more than a few datagrams at a time: the loop has others to serve.
    private func hear(_ claim: Claim, _ outlet: any RunnerOutlet) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 {
            var sender = linux_sender()
            let length = fd.withLock { fd in fd.map { linux_datagram_receive($0, &buffer, buffer.count, &sender) } ?? -1 }
            guard length >= 0 else { return }
            guard sender.pid != 0, sender.uid == geteuid() || sender.uid == 0 else { continue }
            for line in buffer[..<Int(length)].split(separator: UInt8(ascii: "\n")) {
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
