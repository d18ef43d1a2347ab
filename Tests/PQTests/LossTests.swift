import Glibc
import HarkCluster
import PQ
import Testing
import TestSupport

@Suite("Losing the server")
struct LossTests {
    private func info() async throws -> Conninfo { try await TestServer.shared.conninfo() }

    @Test("a session that the server ends while idle is reported once, with the server's words")
    func terminatedIdle() async throws {
        let closed = Events<PostgresError>()
        let victim = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30), onClosed: { closed.add($0) })
        let killer = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30))
        _ = try await killer.execute("select pg_terminate_backend($1)", [.int32(victim.backendPid)])
        try await closed.wait(count: 1, "the report")
        #expect(closed.all[0].sqlState == "57P01" && closed.all[0].isConnectionLost && closed.all[0].isRetryable)
        #expect(await !victim.isOpen)
        let later = await #expect(throws: PostgresError.self) { try await victim.execute("select 1") }
        #expect(later?.isConnectionLost == true && later?.sqlState == "57P01")
        await victim.close()
        #expect(closed.all.count == 1)
        await killer.close()
    }

    @Test("a session that ends in the middle of a command fails everybody who waits, and is reported once")
    func terminatedBusy() async throws {
        let closed = Events<PostgresError>()
        let victim = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30), onClosed: { closed.add($0) })
        let killer = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30))
        let failures = Events<PostgresError>()
        let gate = try await Gate(victim)
        let callers = (0..<20).map { _ in
            Task {
                do {
                    _ = try await victim.pipeline([[Query("select 1")], [Query("select 2")]])
                } catch let error as PostgresError {
                    failures.add(error)
                }
            }
        }
        _ = try await killer.execute("select pg_terminate_backend($1)", [.int32(victim.backendPid)])
        try await failures.wait(count: 20, "20 failing callers")
        #expect(failures.all.allSatisfy { $0.isConnectionLost && $0.sqlState == "57P01" })
        try await closed.wait(count: 1, "the report")
        for caller in callers { _ = try await caller.value }
        await #expect(throws: PostgresError.self) { try await gate.open() }
        #expect(closed.all.count == 1)
        await killer.close()
    }

    @Test("our own close fails whoever waits, and is not reported")
    func ownClose() async throws {
        let closed = Events<PostgresError>()
        let connection = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30), onClosed: { closed.add($0) })
        let gate = try await Gate(connection)
        await connection.close()
        let error = await #expect(throws: PostgresError.self) { try await gate.open() }
        #expect(error?.isConnectionLost == true)
        await connection.close()
        #expect(closed.all.isEmpty)
    }

    @Test("a connection that nobody holds any more is closed")
    func dropped() async throws {
        let observer = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30))
        var connection: Connection? = try await Connection.connect(info(), on: testLoop, timeout: .seconds(30))
        let pid = try #require(connection?.backendPid)
        connection = nil
        try await withDeadline(10, "the session's end") {
            while try await observer.execute("select 1 from pg_stat_activity where pid = $1", [.int32(pid)]).count > 0 {}
        }
        await observer.close()
    }

    @Test("a server that refuses says so")
    func refused() async throws {
        let nowhere = try Conninfo("").with("host", "/nonexistent").with("dbname", "x")
        let error = await #expect(throws: PostgresError.self) {
            try await Connection.connect(nowhere, on: testLoop, timeout: .seconds(10))
        }
        #expect(error?.isConnectionLost == true && error?.message.contains("No such file or directory") == true)
        let unknown = try await info().with("dbname", "nosuch")
        let database = await #expect(throws: PostgresError.self) {
            try await Connection.connect(unknown, on: testLoop, timeout: .seconds(10))
        }
        #expect(database?.message.contains("database \"nosuch\" does not exist") == true)
        let tcp = try Conninfo("host=127.0.0.1 port=1 sslmode=disable")
        await #expect(throws: PostgresError.self) { try await Connection.connect(tcp, on: testLoop, timeout: .seconds(10)) }
    }

    @Test("a server that never answers costs no more than the timeout", arguments: [Proxy.Kind.unix, .tcp])
    func silent(kind: Proxy.Kind) async throws {
        let proxy = try await TestServer.shared.proxy(over: kind)
        await proxy.stall()
        let address = try await proxy.conninfo(for: info())
        let start = EventLoop.now
        let error = await #expect(throws: PostgresError.self) {
            try await Connection.connect(address, on: testLoop, timeout: .milliseconds(200))
        }
        #expect(EventLoop.now - start >= .milliseconds(200) && EventLoop.now - start < .seconds(20))
        #expect(error?.isConnectionLost == true && error?.message.contains("no answer from postgresql://") == true)
        let attempt = Task { try await Connection.connect(address, on: testLoop, timeout: .seconds(600)) }
        attempt.cancel()
        await #expect(throws: CancellationError.self) { try await withDeadline(10, "a cancelled connect") { try await attempt.value } }
        await proxy.stop()
    }

    @Test("of several hosts the first that answers is taken, also behind one that swallows everything")
    func severalHosts() async throws {
        let (deaf, good) = try await (
            TestServer.shared.proxy(over: .tcp),
            TestServer.shared.proxy(over: .tcp)
        )
        await deaf.stall()
        let (first, second) = try await (deaf.conninfo(for: info()), good.conninfo(for: info()))
        let both = second.with("host", "127.0.0.1,127.0.0.1").with("port", "\(first["port"] ?? ""),\(second["port"] ?? "")")
        // Half of it goes to the host that swallows everything.
        let connection = try await Connection.connect(both, on: testLoop, timeout: .seconds(8))
        #expect(try await connection.execute("select 1")[0].int(0) == 1)
        await connection.close()
        await deaf.stop()
        await good.stop()
    }

    @Test("a host that has to be looked up is looked up off the loop")
    func lookup() async throws {
        let proxy = try await TestServer.shared.proxy(over: .tcp)
        let named = try await proxy.conninfo(for: info()).with("host", "localhost")
        let connection = try await Connection.connect(named, on: testLoop, timeout: .seconds(30))
        #expect(try await connection.execute("select 1")[0].int(0) == 1)
        await connection.close()
        let unknown = named.with("host", "no.such.host.invalid")
        await #expect(throws: PostgresError.self) { try await Connection.connect(unknown, on: testLoop, timeout: .seconds(30)) }
        await proxy.stop()
    }

    @Test("a cut or reset connection is lost at once, idle or busy", arguments: [Proxy.Kind.unix, .tcp], [true, false])
    func cut(kind: Proxy.Kind, reset: Bool) async throws {
        let proxy = try await TestServer.shared.proxy(over: kind)
        let closed = Events<PostgresError>()
        let address = try await proxy.conninfo(for: info())
        for isBusy in [false, true] {
            let connection = try await Connection.connect(address, on: testLoop, timeout: .seconds(30), onClosed: { closed.add($0) })
            #expect(try await connection.execute("select 1")[0].int(0) == 1)
            let before = closed.all.count
            var caller: Task<Void, any Error>?
            if isBusy {
                await proxy.stall()
                caller = Task { _ = try await connection.execute("select 1") }
            }
            if reset { await proxy.reset() } else { await proxy.cut() }
            await proxy.resume()
            try await closed.wait(count: before + 1, "the loss")
            if let caller { await #expect(throws: PostgresError.self) { try await caller.value } }
            #expect(closed.all.count == before + 1 && closed.all.last?.isConnectionLost == true)
        }
        await proxy.stop()
    }

    @Test("what a stalled link held back arrives when it goes on, and in order")
    func stall() async throws {
        let proxy = try await TestServer.shared.proxy()
        let address = try await proxy.conninfo(for: info())
        let connection = try await Connection.connect(address, on: testLoop, timeout: .seconds(30))
        await proxy.stall()
        let answered = Events<Int>()
        let callers = (0..<10).map { number in
            Task { answered.add(try await connection.execute("select $1::int4", [.int32(Int32(number))])[0].int(0)) }
        }
        let timedOut = await #expect(throws: DeadlinePassed.self) { try await answered.wait(count: 1, "an answer", seconds: 1) }
        #expect(timedOut != nil)
        await proxy.resume()
        try await answered.wait(count: 10, "the answers")
        for caller in callers { try await caller.value }
        await connection.close()
        await proxy.stop()
    }

    @Test("a server that is killed with -9 takes its sessions along, and comes back with its data")
    func serverKilled() async throws {
        let cluster = try await TestServer.own()
        let closed = Events<PostgresError>()
        let connection = try await Connection.connect(
            Conninfo(cluster.conninfo()), on: testLoop, timeout: .seconds(30), onClosed: { closed.add($0) })
        try await connection.script("create table t (id int); insert into t values (1)")
        let pid = try #require(await cluster.pid)
        kill(pid, SIGKILL)
        try await closed.wait(count: 1, "the loss")
        #expect(closed.all[0].isConnectionLost)
        try await cluster.start()
        let again = try await Connection.connect(Conninfo(cluster.conninfo()), on: testLoop, timeout: .seconds(30))
        #expect(try await again.execute("select count(*) from t")[0].int(0) == 1)
        await again.close()
        await cluster.end()
        #expect(access(cluster.directory, F_OK) != 0)
    }
}
