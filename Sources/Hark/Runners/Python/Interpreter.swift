internal import CLinux
import Glibc
internal import PQ

/// One interpreter as the worker sees it: a process, two sockets and two pipes. Used on the loop only, and watched there by its pool.
final class Interpreter {
    /// What one of its descriptors has for the pool.
    enum Source { case tasks, stdout, stderr }
    enum Progress { case more, nothingYet, ended }

    let id: Int
    let ticket: Offspring.Ticket
    /// Whose fork it is, and who has to wait for it.
    let server: ForkServer
    private(set) var pid: pid_t?
    /// -1 while it is not known.
    private(set) var pidfd: CInt = -1
    private var tasks: CInt
    private var control: CInt
    private var pipes: [CInt]
    /// The other ends, until the fork server has them.
    private var others: [CInt]
    private var watches: [Watch] = []
    private var outgoing: [UInt8] = []
    private var written = 0
    private var isClosing = false
    private var awaitsRoom = false

    var isReady = false
    var frames = FrameReader()
    var stdout = StderrLines()
    var stderr = StderrLines()
    /// pidfds of what was killed with it.
    var dying: [CInt] = []
    /// It was to be killed before its process was known.
    var isDoomed = false
    /// It has been told to end, or was killed.
    private(set) var isLeaving = false
    /// Its process has, and is about to be reaped.
    var hasEnded: Bool {
        var ask = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        return pidfd >= 0 && poll(&ask, 1, 0) > 0
    }
    /// It has closed its connection, and had to be killed.
    var hasHungUp = false
    var impatience: PQ.Timer?

    /// Nil if the system has no descriptors left.
    init?(_ id: Int, of server: ForkServer) {
        var sockets: [CInt] = [-1, -1]
        var control: [CInt] = [-1, -1]
        var out: [CInt] = [-1, -1]
        var err: [CInt] = [-1, -1]
        let isComplete = hark_socket_pair(false, &sockets) == 0 && hark_socket_pair(true, &control) == 0 && hark_pipe(&out) == 0 && hark_pipe(&err) == 0
        self.id = id
        self.server = server
        (tasks, self.control, pipes) = (sockets[0], control[0], [out[0], err[0]])
        others = [sockets[1], control[1], out[1], err[1]]
        ticket = Offspring.shared.starting(nil, isHost: true)
        if !isComplete {
            close()
            return nil
        }
    }

    /// Hands the other ends to the fork server.
    func handOver(_ give: ([CInt]) -> Bool) -> Bool {
        let given = give(others)
        for fd in others { Glibc.close(fd) }
        others = []
        return given
    }

    func watch(on loop: EventLoop, _ body: @escaping @Sendable (Source, Interest) -> Void) {
        watches = [
            loop.watch(tasks, .read) { body(.tasks, $0) }, loop.watch(pipes[0], .read) { body(.stdout, $0) }, loop.watch(pipes[1], .read) { body(.stderr, $0) },
        ]
    }

    func born(_ pid: pid_t) {
        self.pid = pid
        Offspring.shared.started(ticket, pid)
        pidfd = linux_pidfd_open(pid)
    }

    // MARK: To it

    /// Writes what the socket takes now; the rest when it takes more.
    func send(_ tasks: [ClaimedTask]) {
        for task in tasks { Frame.write(task, to: &outgoing) }
        flush()
    }

    func flush() {
        while written < outgoing.count, tasks >= 0 {
            let count = outgoing.withUnsafeBytes { Glibc.send(tasks, $0.baseAddress.map { $0 + written }, $0.count - written, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            written += count
        }
        let isDone = written == outgoing.count
        if isDone {
            outgoing.removeAll(keepingCapacity: outgoing.count < 1 << 18)
            written = 0
        }
        if isDone == awaitsRoom { watches.first?.update(isDone ? .read : [.read, .write]) }
        awaitsRoom = !isDone
        if isDone, isClosing { shutdown(tasks, CInt(SHUT_WR)) }
    }

    /// Says something on the control socket, and has it look there.
    func tell(_ text: String) {
        let bytes = Array(text.utf8)
        if control >= 0, hark_send_packet(control, bytes, bytes.count, nil, 0) == 0 { wake() }
    }

    /// Has it look at its control socket.
    func wake() { _ = linux_pidfd_signal(pidfd, hark_wake_signal()) }

    /// No further task comes: it ends by itself when it has read this.
    func sayGoodbye() {
        isClosing = true
        isLeaving = true
        flush()
    }

    /// SIGKILL to it, its session and its descendants.
    func kill() {
        isLeaving = true
        guard let pid else {
            isDoomed = true
            return
        }
        // By its own name too: before it has a session of its own, its group is the fork server's.
        _ = linux_pidfd_signal(pidfd, SIGKILL)
        dying += Offspring.killTree(pid)
    }

    // MARK: From it

    /// Reads some of what is there.
    func read(_ source: Source, _ buffer: UnsafeMutableRawBufferPointer, _ take: (UnsafeRawBufferPointer) -> Void) -> Progress {
        let fd = switch source { case .tasks: tasks; case .stdout: pipes[0]; case .stderr: pipes[1] }
        // Not for ever: the loop has others to serve, and will come back.
        for _ in 0..<4 {
            let count = Glibc.read(fd, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return errno == EAGAIN ? .nothingYet : .ended }
            if count == 0 { return .ended }
            take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            if count < buffer.count { return .nothingYet }
        }
        return .more
    }

    /// Nothing more is read from there.
    func ignore(_ source: Source) {
        let index = switch source { case .tasks: 0; case .stdout: 1; case .stderr: 2 }
        if watches.indices.contains(index) { watches[index].cancel() }
    }

    func close() {
        impatience?.cancel()
        impatience = nil
        for watch in watches { watch.cancel() }
        watches = []
        for fd in [tasks, control, pidfd] + pipes + others + dying where fd >= 0 { Glibc.close(fd) }
        (tasks, control, pidfd) = (-1, -1, -1)
        pipes = [-1, -1]
        (others, dying) = ([], [])
        Offspring.shared.ended(ticket)
    }
}
