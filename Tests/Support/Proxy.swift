internal import Glibc
public import PQ

/// Stands between a client and PostgreSQL, and misbehaves when told so.
public actor Proxy {
    public enum Kind: Sendable { case unix, tcp }

    private let loop: EventLoop
    private let target: String
    private let kind: Kind
    private let directory: String
    private var listener: CInt = -1
    private var port: UInt16 = 0
    private var accepting: Watch?
    private var pairs: [Int: Pair] = [:]
    private var made = 0
    private var isStalled = false

    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// - Parameter socketDirectory: where the server's socket is.
    public init(to socketDirectory: String, over kind: Kind = .unix) async throws {
        loop = EventLoop(name: "hark-proxy")
        target = socketDirectory + "/.s.PGSQL.5432"
        self.kind = kind
        directory = TestServer.temporaryPath("proxy")
        try listen()
    }

    /// How a client reaches the server of `info` through here.
    public func conninfo(for info: Conninfo) -> Conninfo {
        switch kind {
        case .unix: info.with("host", directory)
        case .tcp: info.with("host", "127.0.0.1").with("port", String(port)).with("sslmode", "disable").with("gssencmode", "disable")
        }
    }

    /// How many clients are connected.
    public var connections: Int { pairs.count }

    /// Nothing is forwarded any more, and nothing closed: half-open. Holds for new clients too.
    public func stall() {
        isStalled = true
        for pair in pairs.values { pair.pause() }
    }

    /// Forwards again, first what has been held back.
    public func resume() {
        isStalled = false
        for pair in pairs.values { pair.resume() }
    }

    /// Closes every connection in good order.
    public func cut() { closeAll(reset: false) }

    /// Breaks every connection: over TCP the client gets a reset.
    public func reset() { closeAll(reset: true) }

    /// Ends the clients' side of every connection; the server's stays open, and notices nothing until `cut`.
    public func abandonServers() { for pair in pairs.values { pair.abandonServer() } }

    /// Takes no new clients; they are refused.
    public func refuse() {
        accepting?.cancel()
        accepting = nil
        if listener >= 0 { close(listener) }
        listener = -1
        if kind == .unix { unlink(directory + "/.s.PGSQL.5432") }
    }

    /// Takes new clients again, at the same address.
    public func accept() throws { if listener < 0 { try listen() } }

    /// Ends everything.
    public func stop() {
        refuse()
        closeAll(reset: false)
        if kind == .unix { rmdir(directory) }
        loop.stop()
    }

    // MARK: How

    private func listen() throws {
        switch kind {
        case .unix:
            mkdir(directory, 0o700)
            listener = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            var address = unixAddress(directory + "/.s.PGSQL.5432")
            try check(withSocketAddress(&address) { bind(listener, $0, $1) })
        case .tcp:
            listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
            var on: CInt = 1
            setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            try check(withSocketAddress(&address) { bind(listener, $0, $1) })
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            try check(withSocketAddress(&address) { pointer, _ in getsockname(listener, pointer, &length) })
            port = UInt16(bigEndian: address.sin_port)
        }
        try check(Glibc.listen(listener, 64))
        accepting = loop.watch(listener, .read) { [weak self] _ in self?.assumeIsolated { $0.welcome() } }
    }

    private func welcome() {
        let client = Glibc.accept(listener, nil, nil)
        guard client >= 0 else { return }
        let server = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = unixAddress(target)
        guard withSocketAddress(&address, { connect(server, $0, $1) }) == 0 else {
            close(server)
            close(client)
            return
        }
        made += 1
        let number = made
        pairs[number] = Pair(client, server, loop, isPaused: isStalled) { [weak self] in
            self?.assumeIsolated { $0.pairs[number] = nil }
        }
    }

    private func closeAll(reset: Bool) {
        for pair in pairs.values { pair.end(reset: reset) }
        pairs = [:]
    }

    private func check(_ result: CInt) throws {
        if result < 0 { throw DeadlinePassed(description: "the proxy can not listen: \(String(cString: strerror(errno)))") }
    }
}

/// One client and its server: bytes go over in both directions. Touched on the loop only.
private final class Pair: @unchecked Sendable {
    private final class Side {
        let fd: CInt
        var watch: Watch?
        /// What this side has still to be sent.
        var pending: [UInt8] = []

        init(_ fd: CInt) { self.fd = fd }
    }
    private let client: Side
    private let server: Side
    private let onEnd: () -> Void
    private var isPaused: Bool
    private var isOver = false

    init(_ client: CInt, _ server: CInt, _ loop: EventLoop, isPaused: Bool, _ onEnd: @escaping () -> Void) {
        (self.client, self.server, self.onEnd, self.isPaused) = (Side(client), Side(server), onEnd, isPaused)
        for (side, other) in [(self.client, self.server), (self.server, self.client)] {
            _ = fcntl(side.fd, F_SETFL, O_NONBLOCK)
            nonisolated(unsafe) let (side, other) = (side, other)
            side.watch = loop.watch(side.fd, isPaused ? [] : .read) { [weak self] in self?.ready(side, other, $0) }
        }
    }

    func pause() {
        isPaused = true
        for side in [client, server] { side.watch?.update([]) }
    }

    func resume() {
        isPaused = false
        arrange()
    }

    func abandonServer() {
        isPaused = true
        for side in [client, server] { side.watch.take()?.cancel() }
        shutdown(client.fd, CInt(SHUT_RDWR))
    }

    func end(reset: Bool) {
        guard !isOver else { return }
        isOver = true
        for side in [client, server] {
            side.watch.take()?.cancel()
            if reset {
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(side.fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
            }
            close(side.fd)
        }
        onEnd()
    }

    /// A side is read only while nothing is left to be sent to the other.
    private func arrange() {
        guard !isOver && !isPaused else { return }
        for (side, other) in [(client, server), (server, client)] {
            var interest: Interest = other.pending.isEmpty ? .read : []
            if !side.pending.isEmpty { interest.insert(.write) }
            side.watch?.update(interest)
        }
    }

    private func ready(_ side: Side, _ other: Side, _ interest: Interest) {
        guard !isPaused || interest.contains(.hangup), !isOver else { return }
        if interest.contains(.write) { send(side) }
        if interest.contains(.read) && other.pending.isEmpty || interest.contains(.hangup) {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let count = read(side.fd, &buffer, buffer.count)
            if count == 0 || (count < 0 && errno != EAGAIN) { return end(reset: false) }
            if count > 0 {
                other.pending += buffer.prefix(count)
                send(other)
            }
        }
        arrange()
    }

    private func send(_ side: Side) {
        let count = Glibc.send(side.fd, side.pending, side.pending.count, CInt(MSG_NOSIGNAL))
        if count > 0 { side.pending.removeFirst(count) }
    }
}

private func unixAddress(_ path: String) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    return address
}

private func withSocketAddress<Address>(
    _ address: inout Address, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> CInt
) -> CInt {
    withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
    }
}
