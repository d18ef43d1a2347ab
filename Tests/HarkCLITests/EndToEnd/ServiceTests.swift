import Glibc
import HarkCluster
import PQ
import Subprocess
import Systemd
import TestSupport
import Testing

@testable import HarkCLI

/// What a worker says to its service manager, heard by one that is none. What a real systemd makes of it is tested by scripts/test-service.
@Suite("The service manager")
struct ServiceTests {
    @Test("it is told of the start, of readiness after the first claim, of the pings, and of the stop; no task hears of it", arguments: [false, true])
    func life(isAbstract: Bool) async throws {
        try await Bench.with { bench in
            let manager = try Manager(isAbstract: isAbstract)
            try Bench.write("#!/bin/sh\nenv >&2\n", to: "\(bench.functions)/environment", mode: 0o755)
            let environment = ["NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000", "INVOCATION_ID": "abc"]
            let code = try await bench.work("--instance", "mail", environment: environment) { worker in
                try await manager.heard("READY=1")
                try await manager.heard("STATUS=mail: listening, 0 of 10 running, 0 done")
                try await manager.messages.wait("three pings") { $0.count { $0 == "WATCHDOG=1" } >= 3 }
                _ = try await bench.hark("enqueue", "environment")
                _ = try await bench.hark("wait", "1")
                try await worker.line("task 1 environment: completed")
                #expect(worker.lines.all.contains { $0.contains("NOTIFY_SOCKET=@") && !$0.contains(manager.name) })
                for name in ["WATCHDOG_", "INVOCATION_ID", manager.name] {
                    #expect(!worker.lines.all.contains { $0.contains("| ") && $0.contains(name) }, "\(name) reached a task")
                }
                worker.send(SIGTERM)
            }
            #expect(code == 0)
            try await manager.heard("STOPPING=1")
            let all = manager.messages.all
            let ready = try #require(all.firstIndex(of: "READY=1"))
            #expect(all[..<ready].contains { $0.hasPrefix("STATUS=mail: starting") })
            #expect(all[..<ready].contains { $0.hasPrefix("EXTEND_TIMEOUT_USEC=") })
            #expect(all.count { $0 == "READY=1" } == 1)
            #expect(try await bench.sql("select count(*)::text from hark.workers") == "0")
            manager.end()
        }
    }

    @Test("a manager that is gone, a watchdog of another process, and one that cannot be understood, change nothing else", arguments: [
        (["NOTIFY_SOCKET": "/nowhere/notify"], nil), (["NOTIFY_SOCKET": "@hark-nobody-listens"], nil), (["NOTIFY_SOCKET": "nonsense"], nil),
        (["WATCHDOG_USEC": "soon"], "WATCHDOG_USEC=soon cannot be understood: no watchdog is served"),
        (["WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"], nil), (["WATCHDOG_USEC": "100000", "WATCHDOG_PID": "you"], "WATCHDOG_PID=you cannot be understood"),
        (["JOURNAL_STREAM": "nonsense"], nil), (["CREDENTIALS_DIRECTORY": "/nowhere"], nil),
    ] as [([String: String], String?)])
    func badInput(environment: [String: String], warning: String?) async throws {
        try await Bench.with { bench in
            let manager = try Manager(isAbstract: false)
            _ = try await bench.hark("enqueue", "echo", "[1]")
            let environment = ["NOTIFY_SOCKET": manager.name].merging(environment) { $1 }
            let code = try await bench.work("--until-empty", environment: environment) { worker in
                try await worker.line("task 1 echo: completed")
                if let warning { try await worker.line(warning) }
            }
            #expect(code == 0)
            #expect(!manager.messages.all.contains("WATCHDOG=1"))
            manager.end()
        }
    }

    @Test("SIGHUP reads the configuration anew; a bad file changes nothing and is named in the status")
    func reload() async throws {
        try await Bench.with { bench in
            let manager = try Manager(isAbstract: false)
            let path = TestServer.temporaryPath("configuration")
            defer { unlink(path) }
            try Bench.write("[queues.default]\nslots = 3\n", to: path)
            let code = try await bench.work("--config", path, environment: ["NOTIFY_SOCKET": manager.name]) { worker in
                try await manager.heard("READY=1")
                try Bench.write("name = \"other\"\n[queues.default]\nslots = 4\n\n[functions.later]\ncommand = [\"/bin/echo\", \"5\"]\n", to: path)
                worker.send(SIGHUP)
                try await worker.line("configuration reloaded: on default (4 slots); name will change with the next restart")
                try await manager.messages.wait("the end of the reload") { $0.count { $0 == "READY=1" } == 2 }
                #expect(manager.messages.all.contains { $0.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") })
                _ = try await bench.hark("enqueue", "later")
                try await worker.line("task 1 later: completed")

                try Bench.write("[queues.default]\nslots = 0\n", to: path)
                worker.send(SIGHUP)
                try await worker.line("the configuration was not reloaded, everything stays as it was: \(path):2: slots = 0 is out of range")
                try await manager.messages.wait("the reason in the status") { $0.contains { $0.hasPrefix("STATUS=") && $0.contains("not reloaded: \(path):2:") } }
                _ = try await bench.hark("enqueue", "later")
                try await worker.line("task 2 later: completed")
                worker.send(SIGTERM)
            }
            #expect(code == 0)
            manager.end()
        }
    }

    @Test("a worker whose terminal is closed stops, and does not take that for a reload")
    func terminal() async throws {
        try await Bench.with { bench in
            let script = """
                import os, pty, sys
                pid, terminal = pty.fork()
                if pid == 0:
                    os.execv(sys.argv[1], [sys.argv[1], "work", "--functions", sys.argv[2]])
                said = b""
                while b"listening" not in said:
                    said += os.read(terminal, 4096)
                os.close(terminal)
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                """
            let result = try await withDeadline(60, "the end of the worker") {
                try await Subprocess.run(
                    .name("python3"), arguments: ["-c", script, HarkProcess.path, bench.functions],
                    environment: .inherit.updating(["HARK_DATABASE": bench.url]), output: .string(limit: 1_000), error: .discarded)
            }
            #expect(result.standardOutput == "0\n")
            #expect(try await bench.sql("select count(*)::text from hark.workers") == "0")
        }
    }

    @Test("what cannot go on says why in its last status, and with ERRNO")
    func failure() async throws {
        let manager = try Manager(isAbstract: false)
        let result = try await HarkProcess.run("work", "--functions", "/nowhere", environment: ["NOTIFY_SOCKET": manager.name])
        #expect(result.code == 78)
        try await manager.messages.wait("the last status") { $0.contains { $0.hasPrefix("STATUS=ended: ") && $0.contains("/nowhere") } }
        try await manager.heard("ERRNO=22")
        #expect(!manager.messages.all.contains("READY=1"))
        manager.end()
    }

    @Test("an instance reads its own file, else the common one, and carries its name")
    func instance() async throws {
        try await Bench.with { bench in
            let directory = TestServer.temporaryPath("etc")
            mkdir(directory, 0o755)
            defer { Bench.removeTree(directory) }
            try Bench.write("name = \"common\"\n", to: "\(directory)/hark.toml")
            try Bench.write("name = \"own\"\n[queues.mail]\n", to: "\(directory)/mail.toml")
            for (instance, expected) in [("mail", "own/mail mail"), ("2", "common/2 default")] {
                let code = try await bench.work("--instance", instance, environment: ["CONFIGURATION_DIRECTORY": directory]) { worker in
                    try await worker.line("listening")
                    #expect(try await bench.sql("select name || ' ' || array_to_string(queues, ',') from hark.workers") == expected)
                    worker.send(SIGTERM)
                }
                #expect(code == 0)
            }
            for name in ["../x", ".x", "", "a/b"] { #expect(try await bench.hark("work", "--instance", name).code == 64) }
        }
    }

    @Test("the credential `password` is used where the address has none, and is in no message when it cannot be")
    func credential() async throws {
        let directory = TestServer.temporaryPath("credentials")
        mkdir(directory, 0o700)
        defer { Bench.removeTree(directory) }
        let environment = ["CREDENTIALS_DIRECTORY": directory, "HARK_DATABASE": "host=/nowhere dbname=a"]
        for bad in ["", "two\nlines\n"] {
            try Bench.write(bad, to: "\(directory)/password")
            let result = try await HarkProcess.run("list", environment: environment)
            #expect(result.code == 78)
            #expect(result.err == "hark: \(directory)/password: the credential is not a password: one line of 1 to 1000 characters is\n")
        }
        unlink("\(directory)/password")
        mkdir("\(directory)/password", 0o700)
        let result = try await HarkProcess.run("list", environment: environment)
        #expect(result.code == 78)
        #expect(result.err.contains("\(directory)/password: the credential cannot be read"))
    }

    @Test("sockets of socket activation are taken only by the process that they are for")
    func listenDescriptors() async {
        await #expect(processExitsWith: .success) {
            // What the test runner may have there comes back before it is used.
            let other = fcntl(3, F_DUPFD_CLOEXEC, 10)
            defer { if other >= 0 { dup2(other, 3) } }
            let null = open("/dev/null", O_RDONLY)
            dup2(null, 3)
            setenv("LISTEN_FDS", "1", 1)
            setenv("LISTEN_PID", "1", 1)
            #expect(ServiceManager.listenDescriptors() == [])
            setenv("LISTEN_PID", "\(getpid())", 1)
            #expect(ServiceManager.listenDescriptors() == [3])
            #expect(fcntl(3, F_GETFD) & FD_CLOEXEC != 0)
            setenv("LISTEN_FDS", "many", 1)
            #expect(ServiceManager.listenDescriptors() == [])
        }
    }
}

/// Hears what a process says on its NOTIFY_SOCKET.
private final class Manager: Sendable {
    let name: String
    let messages = Events<String>()
    private let fd: CInt
    private let loop = EventLoop(name: "test-manager")
    private let watch = Mutex<Watch?>(nil)

    init(isAbstract: Bool) throws {
        let path = TestServer.temporaryPath("notify")
        name = isAbstract ? "@" + path : path
        let fd = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = isAbstract ? [0] + Array(path.utf8) : Array(path.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let bound = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, length) } }
        try #require(bound == 0)
        self.fd = fd
        let messages = messages
        let new = loop.watch(fd, .read) { _ in
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = recv(fd, &buffer, buffer.count, 0)
                guard count > 0 else { return }
                messages.add(String(decoding: buffer[..<count], as: UTF8.self))
            }
        }
        watch.withLock { $0 = new }
    }

    func heard(_ message: String) async throws { try await messages.wait(message) { $0.contains(message) } }

    func end() {
        watch.withLock { $0.take() }?.cancel()
        close(fd)
        loop.stop()
        if !name.hasPrefix("@") { unlink(name) }
    }
}
