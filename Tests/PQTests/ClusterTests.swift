import Glibc
import HarkCluster
import PQ
import Testing
import TestSupport

@Suite("A private PostgreSQL")
struct ClusterTests {
    private func ask(_ cluster: PrivateCluster, _ sql: String, database: String = "postgres") async throws -> String {
        let connection = try await Connection.connect(Conninfo(cluster.url(database: database)), on: testLoop, timeout: .seconds(30))
        defer { Task { await connection.close() } }
        return try await connection.execute(sql)[0].string(0)
    }

    @Test("it listens on its socket only, keeps its data over a stop, and takes its settings")
    func stopAndStart() async throws {
        let cluster = try await TestServer.own(settings: ["work_mem": "5MB"])
        #expect(try await ask(cluster, "show listen_addresses") == "")
        #expect(try await ask(cluster, "show work_mem") == "5MB")
        #expect(try await ask(cluster, "show server_encoding") == "UTF8")
        try await cluster.createDatabase("it's \"odd\"")
        #expect(try await cluster.hasDatabase("it's \"odd\""))
        try await cluster.stop()
        #expect(await cluster.pid == nil)
        try await cluster.stop()
        try await cluster.start()
        try await cluster.start()
        #expect(try await ask(cluster, "select current_database()", database: "it's \"odd\"") == "it's \"odd\"")
        try await cluster.dropDatabase("it's \"odd\"")
        #expect(try await !cluster.hasDatabase("it's \"odd\""))
        await cluster.end()
    }

    @Test("a database can be a copy of another")
    func templates() async throws {
        let cluster = try await TestServer.shared.cluster()
        try await cluster.createDatabase("original")
        let connection = try await Connection.connect(Conninfo(cluster.conninfo(database: "original")), on: testLoop, timeout: .seconds(30))
        try await connection.script("create table t as select 42 as answer")
        let pid = connection.backendPid
        await connection.close()
        let observer = try await Connection.connect(Conninfo(cluster.conninfo()), on: testLoop, timeout: .seconds(30))
        while try await observer.execute("select 1 from pg_stat_activity where pid = $1", [.int32(pid)]).count > 0 {}
        await observer.close()
        try await cluster.createDatabase("copy", template: "original")
        #expect(try await ask(cluster, "select answer from t", database: "copy") == "42")
    }

    @Test("a directory with a path too long for sockets works all the same")
    func longPath() async throws {
        let parent = TestServer.temporaryPath("long")
        let directory = parent + "/" + String(repeating: "x", count: 120)
        let cluster = try await PrivateCluster(in: directory, settings: TestServer.settings, removing: true)
        #expect(cluster.socketDirectory.utf8.count < 90 && cluster.socketDirectory != directory)
        #expect(try await ask(cluster, "select 1") == "1")
        await cluster.end()
        #expect(access(directory, F_OK) != 0 && access(cluster.socketDirectory, F_OK) != 0)
        rmdir(parent)
    }

    @Test("the data outlives its owner, the server does not, and the next owner waits for that")
    func nextOwner() async throws {
        let directory = TestServer.temporaryPath("next")
        let first = try await PrivateCluster(in: directory, settings: TestServer.settings)
        try await first.createDatabase("kept")
        let pid = try #require(await first.pid)
        async let end: Void = first.end()
        let second = try await PrivateCluster(in: directory, settings: TestServer.settings, removing: true)
        await end
        #expect(await second.pid != pid)
        #expect(try await second.hasDatabase("kept"))
        await second.end()
        #expect(access(directory, F_OK) != 0)
    }

    @Test("a postmaster.pid that names some other process is not believed")
    func stalePid() async throws {
        let cluster = try await TestServer.own()
        try await cluster.stop(.immediate)
        let file = open("\(cluster.directory)/data/postmaster.pid", O_WRONLY | O_CREAT, 0o600)
        let text = "\(getpid())\n\(cluster.directory)/data\n"
        write(file, text, text.utf8.count)
        close(file)
        try await cluster.start()
        #expect(try await ask(cluster, "select 1") == "1")
        await cluster.end()
    }
}
