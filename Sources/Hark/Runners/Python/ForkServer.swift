// The Python process that has the project loaded, and forks interpreters from itself: they share its memory, and a new one is
// there in milliseconds, while an import of Django takes the better part of a second.
//
// The source of both travels inside this program (interpreter/) and is the first packet on the socket; nothing of Hark is
// installed in the project's environment. The fork server is the parent of all interpreters. It waits for one only when it is
// told to (`reap`): until then the id of an interpreter that has ended stays its own, and may be signalled.

internal import CHarkFiles
internal import CLinux
import FoundationEssentials
import Glibc
internal import Logging
internal import PQ
import Subprocess
internal import SystemPackage

/// One run of the fork server. Used on the loop only.
final class ForkServer: @unchecked Sendable {
    enum Message: Sendable {
        case ready(python: String)
        case failed(message: String, detail: String?)
        case forked(Int, pid: pid_t)
        case notForked(Int, String)
        case reaped(pid_t, status: CInt)
    }

    private struct Reply: Decodable {
        struct Ready: Decodable { var python: String; var django: String? }
        struct Failed: Decodable { var message: String; var detail: String? }
        var ready: Ready?
        var failed: Failed?
        var forked: Int?
        var pid: Int32?
        var error: String?
        var reaped: Int32?
        var status: Int32?
    }

    private let settings: PythonSettings
    private let outlet: any RunnerOutlet
    private let heard: @Sendable (Message) -> Void
    private var socket: CInt = -1
    private var watch: Watch?
    private var pidfd: CInt = -1
    private var impatience: PQ.Timer?
    private(set) var isReady = false

    init(_ settings: PythonSettings, _ outlet: any RunnerOutlet, heard: @escaping @Sendable (Message) -> Void) {
        self.settings = settings
        self.outlet = outlet
        self.heard = heard
    }

    private static let loader = "import socket;s=socket.socket(fileno=0);exec(compile(s.recv(1<<20),'<hark>','exec'))"

    /// The files of interpreter/, which are one program in this order.
    static let parts = ["head", "printing", "results", "functions", "interpreter", "django", "fork_server"]

    private static let source: [UInt8] = parts.flatMap { part in
        guard let file = hark_file("Runners/Python/interpreter/\(part).py") else { preconditionFailure("Runners/Python/interpreter/\(part).py is not embedded") }
        return UnsafeBufferPointer(start: file.pointee.bytes, count: file.pointee.size) + [UInt8(ascii: "\n")]
    }

    /// Starts it, and returns when it has ended: why, in one sentence.
    func run() async -> String {
        var fds: [CInt] = [-1, -1]
        guard hark_socket_pair(true, &fds) == 0 else { return "cannot make a socket for Python: \(String(cString: strerror(errno)))" }
        socket = fds[0]
        var options = PlatformOptions()
        options.createSession = true
        let ticket = Offspring.shared.starting(nil, isHost: true)
        defer { Offspring.shared.ended(ticket) }
        defer {
            close()
            over()
        }
        let loop = outlet.loop
        let program = settings.program
        do {
            let result = try await Subprocess.run(
                .path(FilePath(program)), arguments: ["-c", Self.loader],
                environment: CleanEnvironment.custom(CleanEnvironment.variables(adding: settings.environment)),
                workingDirectory: settings.place.map { FilePath($0) }, platformOptions: options,
                input: .fileDescriptor(FileDescriptor(rawValue: fds[1]), closeAfterSpawningProcess: true), output: .sequence, error: .sequence
            ) { [self] execution in
                let process = execution.processIdentifier
                Offspring.shared.started(ticket, process.value)
                DescriptorLimit.giveBack(to: process.value)
                loop.run { self.begin(process.value) }
                async let printed = StderrLines.logged(execution.standardOutput, outlet.logger)
                async let said = StderrLines.logged(execution.standardError, outlet.logger)
                let tail = await (printed, said).1.tail
                await loop.ended(process.value, process.processDescriptor)
                _ = await Offspring.shared.clear(ticket, on: loop, until: EventLoop.now + .seconds(10))
                return tail
            }
            let last = result.closureResult?.split(separator: "\n").last.map { ": \($0)" } ?? ""
            switch result.terminationStatus {
            case .exited(let code): return "Python (\(program)) ended with exit code \(code)\(last)"
            case .signaled(let signal): return "Python (\(program)) was ended by \(SignalName.of(signal))\(last)"
            }
        } catch {
            return ExecutableCatalog.complaint(about: program, directory: settings.place, error)
        }
    }

    /// Asks for an interpreter: its ends of two sockets and two pipes. False if there is nobody to ask.
    func fork(_ id: Int, _ descriptors: [CInt]) -> Bool { send("{\"fork\": \(id)}", descriptors) }

    /// Asks how this interpreter, which has ended, has ended.
    func reap(_ pid: pid_t) -> Bool { send("{\"reap\": \(pid)}") }

    /// No more interpreters are wanted: it ends. Those that are there do not.
    func close() {
        watch?.cancel()
        watch = nil
        if socket >= 0 { Glibc.close(socket) }
        socket = -1
        impatience?.cancel()
        impatience = nil
        guard pidfd >= 0 else { return }
        // While it loads the project it does not look at the socket.
        if !isReady { kill() }
        impatience?.cancel()
        impatience = outlet.loop.at(EventLoop.now + settings.grace) { [weak self] in
            self?.kill()
        }
    }

    /// It hangs: it is ended. Its interpreters end with what they run.
    func kill() {
        if pidfd >= 0 { _ = linux_pidfd_signal(pidfd, SIGKILL) }
    }

    private func over() {
        impatience?.cancel()
        impatience = nil
        if pidfd >= 0 { Glibc.close(pidfd) }
        pidfd = -1
    }

    private func begin(_ pid: pid_t) {
        pidfd = linux_pidfd_open(pid)
        guard socket >= 0 else { return close() }
        watch = outlet.loop.watch(socket, .read) { [weak self] _ in self?.hear() }
        _ = send(Self.source) && send(settings.json)
    }

    private func send(_ text: String, _ descriptors: [CInt] = []) -> Bool { send(Array(text.utf8), descriptors) }

    private func send(_ bytes: [UInt8], _ descriptors: [CInt] = []) -> Bool {
        guard socket >= 0 else { return false }
        return hark_send_packet(socket, bytes, bytes.count, descriptors, descriptors.count) == 0
    }

    private func hear() {
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        while socket >= 0 {
            let count = recv(socket, &buffer, buffer.count, CInt(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            guard count > 0 else {
                // It is about to end, or is made to.
                close()
                return
            }
            guard let reply = try? JSON.decode(Reply.self, Array(buffer[..<count])) else {
                outlet.logger.error("Python's fork server said something that makes no sense")
                continue
            }
            if let ready = reply.ready {
                isReady = true
                heard(.ready(python: ready.python + (ready.django.map { ", Django \($0)" } ?? "")))
            } else if let failed = reply.failed {
                heard(.failed(message: failed.message, detail: failed.detail))
            } else if let id = reply.forked, let pid = reply.pid {
                heard(.forked(id, pid: pid))
            } else if let id = reply.forked {
                heard(.notForked(id, reply.error ?? "it could not fork"))
            } else if let pid = reply.reaped {
                heard(.reaped(pid, status: reply.status ?? 0))
            }
        }
    }
}
