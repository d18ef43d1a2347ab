internal import CLinux
import Glibc
internal import PQ

/// How many descriptors this process may have. Services start with a soft limit of 1,024, for the sake of programs that use
/// select(2), and may raise it to the hard one; their children should have what they would have had (systemd.exec(5), LimitNOFILE=).
public enum DescriptorLimit {
    private static let before = Mutex<rlimit?>(nil)

    /// The soft limit, and the hard one.
    public static var current: (soft: Int, hard: Int) {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return (Int(clamping: limit.rlim_cur), Int(clamping: limit.rlim_max))
    }

    /// Raises the soft limit of this process as far as it goes. For a process that is nothing but a worker, before its runners are made.
    public static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        let old = limit
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { before.withLock { $0 = $0 ?? old } }
    }

    /// Gives a child that has just been started the limit of before.
    static func giveBack(to child: pid_t) {
        guard let limit = before.withLock({ $0 }) else { return }
        _ = hark_limit_descriptors(child, UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
    }
}
