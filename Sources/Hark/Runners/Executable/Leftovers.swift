// What a worker that was killed has left running on this machine.
//
// SIGKILL gives a worker no time to end its children, and a supervisor that ends the rest (systemd, a container) is not
// always there. So every child carries the identity of its worker in HARK_WORKER, and so does what it starts.
// Before a task of a dead worker is given back, what still runs for that worker is killed here: the next attempt never
// meets the last one. Only the processes of this boot and PID namespace can be judged, and only those of our own user (or
// all, as root) can be looked at and killed.

internal import CLinux
import Glibc

enum Leftovers {
    /// The variable that every child carries, and its value for this worker.
    static let variable = "HARK_WORKER"
    static let mark = mark(of: .current)

    private static func mark(of process: ProcessIdentity) -> String {
        "\(process.pid) \(process.started) \(process.bootID) \(process.pidNamespace)"
    }

    /// Kills every process whose worker is gone, and waits until they are gone too, for at most two seconds: who does not
    /// die of SIGKILL hangs in the kernel, and computes nothing.
    /// - Returns: how many there were.
    @concurrent @discardableResult
    static func end() async -> Int {
        var killed: Set<pid_t> = []
        for _ in 0..<200 {
            let found = kill()
            if found.isEmpty { break }
            killed.formUnion(found)
            try? await Task.sleep(for: .milliseconds(10))
        }
        return killed.count
    }

    private static func kill() -> [pid_t] {
        var judged: [[UInt8]: Bool] = [:]
        return processes().filter { pid in
            let fd = linux_pidfd_open(pid)
            guard fd >= 0 else { return false }
            defer { close(fd) }
            // Read while the descriptor holds the id: what is killed is what was read.
            guard let value = variable(of: pid) else { return false }
            let isLeft = judged[value] ?? ProcessIdentity(mark: String(decoding: value, as: UTF8.self))?.isGone(seenFrom: .current) ?? false
            judged[value] = isLeft
            return isLeft && linux_pidfd_signal(fd, SIGKILL) >= 0
        }
    }

    private static func variable(of pid: pid_t) -> [UInt8]? {
        let name = Array("\(variable)=".utf8)
        let entry = readFile("/proc/\(pid)/environ", limit: 1 << 20).split(separator: 0).first { $0.starts(with: name) }
        return entry.map { Array($0.dropFirst(name.count)) }
    }

    private static func processes() -> [pid_t] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var pids: [pid_t] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if let pid = pid_t(name) { pids.append(pid) }
        }
        return pids
    }
}

extension ProcessIdentity {
    /// Reads what `Leftovers.mark` writes.
    init?(mark: String) {
        let fields = mark.split(separator: " ")
        guard fields.count == 4, let pid = Int32(fields[0]), let started = Int64(fields[1]) else { return nil }
        self.init(pid: pid, started: started, bootID: String(fields[2]), pidNamespace: String(fields[3]))
    }
}
