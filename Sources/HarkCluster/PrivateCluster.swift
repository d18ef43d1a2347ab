// A private PostgreSQL, in a directory of its own:
//
//     DIRECTORY/          0700, of the user that the server runs as
//       lock              held by whoever uses the directory (Leash.swift)
//       data/             made by initdb, in data.new, and renamed when it is complete
//       server.log
//       .s.PGSQL.5432     the only way in: no TCP, and every local user who can enter the directory is trusted
//
// What a crash can leave behind, and what `start` makes of it: half an initdb (data.new) is removed; a server that still
// runs is adopted; a postmaster.pid whose process has become something else is removed; a postmaster that is just
// dying, and backends that outlive it for a moment, make a start fail, so it is tried again.

internal import FoundationEssentials
internal import Glibc

/// A PostgreSQL server for one owner, reached through a socket in a private directory. It ends with its owner, also when
/// the owner is killed.
public actor PrivateCluster {
    public enum StopMode: String, Sendable {
        /// Sessions are ended, the data is written.
        case fast
        /// As in a crash: the next start recovers from the log.
        case immediate
    }

    public nonisolated let directory: String
    /// Where the socket is; the directory itself unless its path is too long for a socket (about 100 bytes).
    public nonisolated let socketDirectory: String
    /// PostgreSQL's major version.
    public nonisolated let version: Int
    private let programs: Programs
    private let settings: [String: String]
    private let removing: Bool
    private var leash: Leash?

    /// Makes the cluster if `directory` has none, and starts the server.
    /// - Parameters:
    ///   - directory: made if need be. Must be empty or have been made by this.
    ///   - settings: lines of postgresql.conf, such as `["fsync": "off"]`.
    ///   - removing: whether the directory is removed at the end, whatever that is.
    /// - Throws: `ClusterError`.
    public init(in directory: String, settings: [String: String] = [:], removing: Bool = false) async throws(ClusterError) {
        let user = try ServerUser.choose()
        let path = directory.hasPrefix("/") ? directory : FileManager.default.currentDirectoryPath + "/" + directory
        let known = (try? String(contentsOfFile: "\(path)/data/PG_VERSION", encoding: .utf8)).flatMap { Int($0.trimming { $0.isWhitespace }) }
        programs = try await Programs.find(forDataOf: known, user: user)
        version = programs.version
        self.directory = path
        self.settings = settings
        self.removing = removing
        socketDirectory = Self.socketDirectory(for: path, user)
        try user.own(path)
        try user.own(socketDirectory)
        guard try await programs.run("test", "-w", path).isSuccess else {
            throw ClusterError(
                "the user that PostgreSQL runs as can not reach \(path)", remedy: "name a directory whose parents it may enter")
        }
        leash = try await Leash.take(path, socketDirectory, removing: removing, programs)
        if known == nil { try await initialize() }
        try await start()
    }

    /// A connection string for libpq. Has no secret.
    public nonisolated func conninfo(database: String = "postgres") -> String {
        func quoted(_ value: String) -> String {
            "'" + value.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "'"
        }
        return "host=\(quoted(socketDirectory)) user=postgres dbname=\(quoted(database))"
    }

    /// The same as a URL, for clients that know no other form.
    public nonisolated func url(database: String = "postgres") -> String {
        func encoded(_ value: String) -> String {
            value.utf8.map { byte in
                let character = Character(UnicodeScalar(byte))
                let plain = byte < 128 && (character.isLetter || character.isNumber || "-._~".contains(character))
                let digits = String(byte, radix: 16, uppercase: true)
                return plain ? String(character) : "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }.joined()
        }
        return "postgresql:///\(encoded(database))?host=\(encoded(socketDirectory))&user=postgres"
    }

    /// Starts the server, or adopts one that runs in this directory. Returns when it takes connections.
    public func start() async throws(ClusterError) {
        try writeSettings()
        if isRunning { return try await reload() }
        var (said, reason) = ("", "")
        for _ in 0..<20 {
            let before = log.utf8.count
            let result = try await programs.run(
                "pg_ctl", "start", "-D", data, "-l", "\(directory)/server.log", "-w", "-t", "60")
            if result.isSuccess { return }
            said = result.said
            reason = (String(log.utf8.dropFirst(before)) ?? "").split(separator: "\n").prefix(4).joined(separator: " / ")
            let isEnding = reason.contains("pre-existing shared memory block") || reason.contains("\"postmaster.pid\" already exists")
            guard isEnding else { break }
        }
        throw ClusterError("PostgreSQL does not start: \(reason.isEmpty ? said : reason)", remedy: "see \(directory)/server.log")
    }

    /// Stops the server; `start` can start it again. Does nothing when it is down.
    public func stop(_ mode: StopMode = .fast) async throws(ClusterError) {
        guard isRunning else { return }
        let result = try await programs.run("pg_ctl", "stop", "-D", data, "-m", mode.rawValue, "-w")
        guard !result.isSuccess, isRunning else { return }
        throw ClusterError("PostgreSQL does not stop: \(result.said)", remedy: "see \(directory)/server.log")
    }

    /// Stops the server and gives the directory up (removes it, if that was asked for at the beginning).
    public func end() async {
        guard let leash = leash.take() else { return }
        await leash.letGo()
        // The server's user can empty the directory, but not always take it out of its parent.
        if removing { rmdir(directory) }
    }

    /// The server's main process, while it runs.
    public var pid: Int32? { isRunning ? recordedPid : nil }

    /// Makes a database, as a copy of another if `template` says so (nobody may be connected to that one).
    public func createDatabase(_ name: String, template: String? = nil) async throws(ClusterError) {
        let copy = template.map { " template \(identifier($0))" + (version >= 15 ? " strategy file_copy" : "") } ?? ""
        try await sql("create database \(identifier(name))\(copy)")
    }

    /// Drops a database and whoever is connected to it. Does nothing when there is none.
    public func dropDatabase(_ name: String) async throws(ClusterError) {
        try await sql("drop database if exists \(identifier(name)) with (force)")
    }

    /// Whether there is a database of that name.
    public func hasDatabase(_ name: String) async throws(ClusterError) -> Bool {
        let literal = name.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        return try await sql("select 1 from pg_database where datname = '\(literal)'") == "1"
    }

    // MARK: How

    private var data: String { "\(directory)/data" }
    private var log: String { (try? String(contentsOfFile: "\(directory)/server.log", encoding: .utf8)) ?? "" }

    private func initialize() async throws(ClusterError) {
        let fresh = "\(directory)/data.new"
        try? FileManager.default.removeItem(atPath: fresh)
        func initdb(_ locale: String) async throws(ClusterError) -> (isSuccess: Bool, said: String) {
            try await programs.run(
                "initdb", "-D", fresh, "-U", "postgres", "-E", "UTF8", "--locale=\(locale)", "-A", "trust",
                settings["fsync"] == "off" ? "--no-sync" : "--data-checksums")
        }
        var result = try await initdb("C.UTF-8")
        if !result.isSuccess && result.said.contains("locale") { result = try await initdb("C") }
        guard result.isSuccess else { throw ClusterError("initdb failed: \(result.said)") }
        do {
            let main = "\(fresh)/postgresql.conf"
            let text = try String(contentsOfFile: main, encoding: .utf8) + "\ninclude = 'private.conf'\n"
            try overwrite(main, text)
        } catch {
            throw ClusterError("postgresql.conf can not be written: \(error)")
        }
        guard rename(fresh, data) == 0 else {
            throw ClusterError("\(data) is in the way, but is no cluster", remedy: "remove it")
        }
    }

    private func writeSettings() throws(ClusterError) {
        var all = ["listen_addresses": "", "unix_socket_directories": socketDirectory, "port": "5432"]
        all.merge(settings) { $1 }
        let lines = all.sorted { $0.key < $1.key }.map { key, value in
            "\(key) = '\(value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''"))'\n"
        }
        do {
            try overwrite("\(data)/private.conf", lines.joined())
        } catch {
            throw ClusterError("\(data)/private.conf can not be written: \(error)")
        }
    }

    /// A file of the server's user.
    private func overwrite(_ path: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
        if programs.user.isOther { _ = lchown(path, programs.user.uid, programs.user.gid) }
    }

    private func reload() async throws(ClusterError) {
        let result = try await programs.run("pg_ctl", "reload", "-D", data)
        if !result.isSuccess { throw ClusterError("the running PostgreSQL can not be adopted: \(result.said)") }
    }

    private var recordedPid: Int32? {
        let text = try? String(contentsOfFile: "\(data)/postmaster.pid", encoding: .utf8)
        return text?.split(separator: "\n").first.flatMap { Int32($0) }
    }

    /// A number in postmaster.pid proves nothing, because it may by now be that of another process: a postmaster's
    /// working directory is its data. When the process is gone the file stays, because the next postmaster learns from
    /// it whether old backends are still there.
    private var isRunning: Bool {
        guard let pid = recordedPid, let real = realpath(data, nil) else { return false }
        defer { free(real) }
        guard let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") else { return false }
        if place == String(cString: real) { return true }
        unlink("\(data)/postmaster.pid")
        return false
    }

    @discardableResult
    private func sql(_ statement: String) async throws(ClusterError) -> String {
        let result = try await programs.run("psql", "-XAtq", "-d", conninfo(), "-c", statement)
        guard result.isSuccess else { throw ClusterError("“\(statement)” failed: \(result.said)") }
        return result.said
    }

    private func identifier(_ name: String) -> String {
        "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// A socket's path may have 107 bytes. One that would be longer goes to a folder named after it.
    private static func socketDirectory(for directory: String, _ user: ServerUser) -> String {
        guard directory.utf8.count > 85 else { return directory }
        let hash = directory.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "/tmp/hark-\(user.uid)-\(String(hash, radix: 16))"
    }
}
