internal import Glibc

/// Which process, of which boot, in which PID namespace: enough for another worker on the same machine to see that it is gone.
///
/// A number alone says little: PIDs are used again, and mean nothing in another container. So the process is known by its start time too
/// (field 22 of `/proc/PID/stat`, clock ticks since boot, proc(5)), and only compared within one boot and one namespace.
struct ProcessIdentity: Sendable, Equatable {
    var pid: Int32
    var started: Int64
    var bootID: String
    var pidNamespace: String

    static let current = ProcessIdentity(
        pid: getpid(), started: startTime(of: "self") ?? 0,
        bootID: firstLine(of: "/proc/sys/kernel/random/boot_id") ?? "unknown", pidNamespace: linkTarget("/proc/self/ns/pid") ?? "unknown")

    /// True only if it ran where `observer` runs, and does not any more.
    func isGone(seenFrom observer: ProcessIdentity) -> Bool {
        guard bootID == observer.bootID, pidNamespace == observer.pidNamespace, bootID != "unknown", pidNamespace != "unknown" else { return false }
        // No process at all, or another one. Where we may not look (hidepid, ProtectProc=), we do not know.
        if kill(pid, 0) != 0, errno == ESRCH { return true }
        guard firstLine(of: "/proc/\(pid)/stat") != nil else { return false }
        return Self.startTime(of: "\(pid)") != started
    }

    /// nil when there is no such process.
    private static func startTime(of pid: String) -> Int64? {
        // The second field is the program's name in parentheses and may hold anything, so count from the last one.
        guard let stat = firstLine(of: "/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        // A zombie is gone: nobody runs any more, its parent has only not asked yet.
        guard fields.count > 19, fields[0] != "Z" else { return nil }
        return Int64(fields[19])
    }
}

/// The first line of a small file; nil if it cannot be read.
func firstLine(of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = fread(&buffer, 1, buffer.count, file)
    return String(decoding: buffer[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
}

private func linkTarget(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = readlink(path, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
}
