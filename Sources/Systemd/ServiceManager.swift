internal import CSystemd
internal import Glibc

/// Speaks to the service manager that started this process (sd_notify(3)). Without one every call does nothing.
///
/// A manager that is gone, or does not listen any more, is no reason to stop working: what cannot be said is dropped, as
/// sd_notify(3) asks.
public struct ServiceManager: Sendable {
    /// Whether NOTIFY_SOCKET names somebody to speak to.
    public let isThere: Bool

    public init() {
        isThere = getenv("NOTIFY_SOCKET").map { $0.pointee != 0 } ?? false
    }

    /// The start is over: `systemctl start` returns.
    public func ready() { notify("READY=1") }

    /// One line for `systemctl status`.
    public func status(_ text: String) { notify("STATUS=\(Self.line(text))") }

    /// The configuration is being read anew; `ready` ends that. With the time of this message on CLOCK_MONOTONIC, as
    /// `Type=notify-reload` of systemd 253 and later demands.
    public func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        notify("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)")
    }

    public func stopping() { notify("STOPPING=1") }

    /// The start or stop that is under way may take this much longer, from now on.
    public func extendTimeout(by extra: Duration) { notify("EXTEND_TIMEOUT_USEC=\(max(1, extra.inMicroseconds))") }

    /// The process will end with this error (errno.h).
    public func failing(errno: Int32) { notify("ERRNO=\(errno)") }

    /// This process works. Due more often than `watchdogInterval`, usually after half of it.
    public func ping() { notify("WATCHDOG=1") }

    /// How long the manager waits between two pings before it kills this process.
    /// - Returns: nil when no watchdog is set, or one for another process (WATCHDOG_PID).
    /// - Throws: `WatchdogUnreadable` when WATCHDOG_USEC or WATCHDOG_PID are not what sd_watchdog_enabled(3) can read.
    public func watchdogInterval() throws(WatchdogUnreadable) -> Duration? {
        var microseconds: UInt64 = 0
        let result = sd_watchdog_enabled(0, &microseconds)
        guard result >= 0 else {
            throw WatchdogUnreadable(interval: getenv("WATCHDOG_USEC").map { String(cString: $0) } ?? "", pid: getenv("WATCHDOG_PID").map { String(cString: $0) })
        }
        guard result > 0, microseconds > 0 else { return nil }
        return .microseconds(Int64(clamping: microseconds))
    }

    /// The sockets that the manager has opened for this process (socket activation, sd_listen_fds(3)), close-on-exec.
    /// - Returns: none unless LISTEN_PID is this process.
    public static func listenDescriptors() -> [CInt] {
        let count = sd_listen_fds(0)
        return count > 0 ? (0..<count).map { SD_LISTEN_FDS_START + $0 } : []
    }

    private func notify(_ state: String) {
        if isThere { _ = sd_notify(0, state) }
    }

    /// A state is made of lines; a text may not add some.
    private static func line(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }) }
}

/// What the service manager says of the watchdog cannot be read.
public struct WatchdogUnreadable: Error, CustomStringConvertible {
    let interval: String
    let pid: String?

    public var description: String {
        "WATCHDOG_USEC=\(interval)" + (pid.map { ", WATCHDOG_PID=\($0)" } ?? "") + " cannot be understood: no watchdog is served"
    }
}

extension Duration {
    var inMicroseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
