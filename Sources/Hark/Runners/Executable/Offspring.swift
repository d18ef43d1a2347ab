// No process survives its task.
//
// Killing a child's process group is not enough: whatever called setsid() has left it, and when its parent ends it
// belongs to nobody. So the daemon is a *child subreaper*: the kernel gives it every descendant that loses its parent.
// When a task's own process has ended, its orphans are already our children. `clear` then kills what belongs to the task
// and waits until it is gone, over and over, since the death of one orphan may bring us its children.
//
// Which orphan is whose? The task's process was started in a session of its own, so an orphan in that session is the
// task's; the process id of the task's process cannot be taken by anybody else, because it is not reaped before `clear` is
// through. One that made a session for itself is known by HARK_TASK_ID and HARK_TOKEN in its environment. One that even
// wiped its environment cannot be attributed: it dies when all tasks have ended that ran when it was first seen.
//
// An interpreter *hosts* functions, one after the other. What they start is in its session, or carries HARK_INTERPRETER in its
// environment, and is tidied away after the function that started it; the interpreter itself lives on.
//
// Which child is an orphan? Every child of this process that nobody here started. A child in our own session is none: a
// session can be left but not joined, and every task's process begins in a session of its own. Whoever else starts a
// child in a new session says so with a ticket *before* the start, because a child exists some time before its starter
// learns its id. Until then it can be seen here as a stray; it is safe, because a ticket that is still starting
// counts as a running task (see above), and because strays that have ended are left alone while any start is under way:
// their starter waits for them. Children from before the first task are nobody's orphans.
//
// Only the starter of a process waits for it, and only this file waits for orphans, always by exact id: nobody can take
// an exit status from somebody else, and a process id that is signalled here cannot have been reused.
//
// An embedded worker must not become the subreaper of its host. There the process group and the session are killed (no
// orphan is ours to reap; who is left is seen in /proc), and, when the task is stopped, what the process tree of the living
// child shows (`killTree`). What made a session of its own and outlives a task that ended by itself is not found.

internal import CLinux
import Glibc
internal import PQ

/// All processes that this process has started or adopted. One per process, as the kernel's setting is.
final class Offspring: Sendable {
    static let shared = Offspring()

    /// One process that is started here: of a task, or of the worker itself (then `claim` is nil).
    struct Ticket: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct Entry {
        let claim: Claim?
        var isHost = false
        var pid: pid_t?
        /// Its process has ended: it protects no stray any more.
        var over = false

        /// What it starts belongs to a task.
        var runsTasks: Bool { claim != nil || isHost }
    }

    private struct State {
        var adopting = false
        var last: UInt64 = 0
        var entries: [Ticket: Entry] = [:]
        /// Children that were here before, and are no task's.
        var foreign: Set<pid_t> = []
        /// Orphans that could not be attributed, with the tasks that ran when they were first seen.
        var strays: [pid_t: Set<Ticket>] = [:]
    }

    private enum Owner {
        case task(Ticket)
        case gone
        case unknown
        case nobody
    }

    private let state = Mutex(State())
    /// The task, and the interpreter, that this process itself is part of, when a worker runs inside a task: no marks of our own orphans.
    private static let host = getenv("HARK_INTERPRETER").flatMap { pid_t(String(cString: $0)) }
    private let own = Claim(environment: [getenv("HARK_TASK_ID"), getenv("HARK_TOKEN")].map { $0.map { String(cString: $0) } })

    /// From now on orphans come to this process. What is its child already is left alone.
    /// Returns false if the kernel refuses.
    func adopt() -> Bool {
        state.withLock { state in
            guard !state.adopting else { return true }
            guard linux_become_subreaper() == 0 else { return false }
            state.adopting = true
            state.foreign = Set(Self.children(of: getpid()))
            return true
        }
    }

    var adopting: Bool { state.withLock(\.adopting) }

    /// To be called before a process is started: of a task, of the worker itself (nil), or of one that hosts functions.
    func starting(_ claim: Claim?, isHost: Bool = false) -> Ticket {
        state.withLock { state in
            state.last += 1
            let ticket = Ticket(number: state.last)
            state.entries[ticket] = Entry(claim: claim, isHost: isHost)
            return ticket
        }
    }

    /// The process has this id.
    func started(_ ticket: Ticket, _ pid: pid_t) {
        state.withLock { state in
            state.entries[ticket]?.pid = pid
            state.strays[pid] = nil
        }
    }

    /// The process has been reaped, or was never started.
    func ended(_ ticket: Ticket) {
        state.withLock { $0.entries[ticket] = nil }
    }

    /// Kills whatever the ended, but not yet reaped, process of `ticket` has left behind and waits until it is gone, at
    /// most until `deadline`. Returns what would not die.
    func clear(_ ticket: Ticket, on loop: EventLoop, until deadline: Duration) async -> [pid_t] {
        state.withLock { $0.entries[ticket]?.over = true }
        return await sweep(ticket, on: loop, until: deadline)
    }

    /// Kills the orphans of the function that has ended in the living host of `ticket`, and waits like `clear`.
    func tidy(_ ticket: Ticket, on loop: EventLoop, until deadline: Duration) async -> [pid_t] {
        await sweep(ticket, on: loop, until: deadline)
    }

    private func sweep(_ ticket: Ticket, on loop: EventLoop, until deadline: Duration) async -> [pid_t] {
        while true {
            let condemned = state.withLock { Self.sweep(&$0, ticket, own) }
            // One that was reaped at once may have left us children since the look.
            if condemned.isEmpty { return [] }
            let dying = condemned.filter { !$0.reaped }.map(\.pid)
            guard EventLoop.now < deadline else { return dying }
            guard let first = dying.first else { continue }
            let fd = linux_pidfd_open(first)
            guard fd >= 0 else {
                // No descriptor left, or gone at this moment.
                try? await loop.sleep(until: EventLoop.now + .milliseconds(10))
                continue
            }
            await loop.readable(fd, until: deadline)
            close(fd)
        }
    }

    /// One look: kills what belongs to the task, reaps what is gone already, and returns both.
    private static func sweep(_ state: inout State, _ ticket: Ticket, _ own: Claim?) -> [(pid: pid_t, reaped: Bool)] {
        if let entry = state.entries[ticket], entry.over, let pid = entry.pid { Glibc.kill(-pid, SIGKILL) }
        guard state.adopting else {
            guard let session = state.entries[ticket]?.pid else { return [] }
            return pids { hark_session_members(session, $0, $1) }.filter { kill($0, in: session) }.map { ($0, false) }
        }
        // What was here before may be a child of any thread.
        let children = state.foreign.isEmpty ? pids { hark_adopted($0, $1) } : children(of: getpid())
        let started = Set(state.entries.values.compactMap(\.pid))
        let halfBorn = state.entries.values.contains { $0.pid == nil && !$0.over }
        let running = Set(state.entries.filter { $0.value.runsTasks && !$0.value.over || $0.value.pid == nil }.keys)
        var strays: [pid_t: Set<Ticket>] = [:]
        var condemned: [(pid: pid_t, reaped: Bool)] = []
        for child in children where !started.contains(child) && !state.foreign.contains(child) {
            switch owner(of: child, state.entries, own) {
            case .nobody:
                continue
            case .task(let other) where other != ticket && running.contains(other):
                continue
            case .task, .gone:
                break
            case .unknown:
                if hark_has_ended(child), !halfBorn { break }
                let guards = state.strays[child].map { $0.intersection(running) } ?? running
                strays[child] = guards
                if !guards.isEmpty { continue }
            }
            Glibc.kill(child, SIGKILL)
            condemned.append((child, hark_reap(child)))
        }
        state.strays = strays
        state.foreign.formIntersection(children)
        return condemned
    }

    private static func owner(of child: pid_t, _ entries: [Ticket: Entry], _ own: Claim?) -> Owner {
        let session = getsid(child)
        if session == getsid(0) { return .nobody }
        if let entry = entries.first(where: { $0.value.runsTasks && $0.value.pid == session }) { return .task(entry.key) }
        let mark = ProcessMark(of: child)
        if let host = mark.interpreter, host != Self.host {
            if let entry = entries.first(where: { $0.value.isHost && $0.value.pid == host }) { return .task(entry.key) }
            // One that has just been forked may not be known yet.
            return entries.values.contains { $0.isHost && $0.pid == nil } ? .unknown : .gone
        }
        guard let claim = mark.claim, claim != own else { return .unknown }
        return entries.first { $0.value.claim == claim }.map { .task($0.key) } ?? .gone
    }

    /// Kills the process group of a living child and every descendant that its process tree shows. Ids are held by
    /// pidfds while they are judged, so that none can be reused between the look and the kill.
    /// - Returns: the pidfds of the descendants, which become readable when they are dead; the caller closes them.
    static func killTree(_ pid: pid_t) -> [CInt] {
        var descendants: [CInt] = []
        var level = [pid]
        var seen: Set<pid_t> = [pid]
        while let parent = level.popLast() {
            for child in children(of: parent) where seen.insert(child).inserted {
                let fd = linux_pidfd_open(child)
                guard fd >= 0 else { continue }
                guard children(of: parent).contains(child) else { close(fd); continue }
                descendants.append(fd)
                level.append(child)
            }
        }
        Glibc.kill(-pid, SIGKILL)
        for fd in descendants { _ = linux_pidfd_signal(fd, SIGKILL) }
        return descendants
    }

    /// SIGKILL to a process that is not our child, if it still is what it was taken for. False if it is gone.
    private static func kill(_ pid: pid_t, in session: pid_t) -> Bool {
        let fd = linux_pidfd_open(pid)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        return getsid(pid) == session && linux_pidfd_signal(fd, SIGKILL) >= 0
    }

    private static func children(of parent: pid_t) -> [pid_t] {
        pids { hark_children(parent, $0, $1) }
    }

    private static func pids(_ list: (UnsafeMutablePointer<pid_t>, Int) -> Int) -> [pid_t] {
        var capacity = 256
        while true {
            var count = 0
            let pids = [pid_t](unsafeUninitializedCapacity: capacity) { buffer, stored in
                count = buffer.baseAddress.map { list($0, capacity) } ?? 0
                stored = min(count, capacity)
            }
            if count <= capacity { return pids }
            capacity = count * 2
        }
    }
}

extension Claim {
    init?(environment: [String?]) {
        guard environment.count == 2, let id = environment[0].flatMap({ Int64($0) }),
            let token = environment[1].flatMap({ Int64($0) })
        else { return nil }
        self.init(id: id, token: token)
    }

}

/// Whose a process is, by the environment that it was started with.
private struct ProcessMark {
    /// HARK_TASK_ID and HARK_TOKEN.
    let claim: Claim?
    /// HARK_INTERPRETER, a process id.
    let interpreter: pid_t?

    init(of pid: pid_t) {
        var found: [String: String] = [:]
        for entry in readFile("/proc/\(pid)/environ", limit: 1 << 20).split(separator: 0) where entry.starts(with: "HARK_".utf8) {
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { continue }
            found[String(decoding: entry[..<equals], as: UTF8.self)] = String(decoding: entry[entry.index(after: equals)...], as: UTF8.self)
        }
        claim = Claim(environment: [found["HARK_TASK_ID"], found["HARK_TOKEN"]])
        interpreter = found["HARK_INTERPRETER"].flatMap { pid_t($0) }
    }
}

/// At most `limit` bytes of a file; empty if it cannot be read.
func readFile(_ path: String, limit: Int) -> [UInt8] {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return [] }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: min(limit, 4096))
    while bytes.count < limit {
        let count = read(fd, &buffer, buffer.count)
        guard count > 0 else { break }
        bytes += buffer[..<count]
        if buffer.count < limit { buffer = [UInt8](repeating: 0, count: min(limit, 65536)) }
    }
    return bytes
}
