import PQ
import TestSupport

/// Keeps a connection busy with one command until it is opened, so that a test knows who stands in line behind it.
struct Gate {
    private let keeper: Connection
    private let held: Task<Rows, any Error>

    /// Returns when the command runs and waits, for a lock that another session holds.
    init(_ connection: Connection) async throws {
        let keeper = try await Connection.connect(TestServer.shared.conninfo(), on: testLoop, timeout: .seconds(30))
        self.keeper = keeper
        let key = Int64(keeper.backendPid)
        _ = try await keeper.execute("select pg_advisory_lock($1)", [.int64(key)])
        held = Task { try await connection.execute("select pg_advisory_lock($1)", [.int64(key)]) }
        try await withDeadline(30, "a command that waits for the gate") {
            let waits = Statement(name: "waits", sql: "select from pg_locks where pid = $1 and not granted")
            while try await keeper.execute(waits, [.int32(connection.backendPid)]).isEmpty {}
        }
    }

    /// Lets the command go on.
    /// - Throws: what became of it.
    func open() async throws {
        await keeper.close()
        let held = held
        _ = try await withDeadline(30, "the command behind the gate") { try await held.value }
    }
}
