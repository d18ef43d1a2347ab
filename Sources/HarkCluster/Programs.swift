internal import FoundationEssentials
internal import Glibc
internal import Subprocess
internal import SystemPackage

/// PostgreSQL's programs of one major version, and the user that they run as.
struct Programs: Sendable {
    /// The folder of initdb, pg_ctl and psql.
    let folder: String
    let version: Int
    let user: ServerUser

    /// The newest of 13 to 18, or the one that can read the data that is there already.
    static func find(forDataOf version: Int?, user: ServerUser) async throws(ClusterError) -> Programs {
        let debian = "/usr/lib/postgresql"
        for candidate in (13...18).reversed() where version == nil || version == candidate {
            let folder = "\(debian)/\(candidate)/bin"
            if FileManager.default.isExecutableFile(atPath: "\(folder)/initdb") {
                return Programs(folder: folder, version: candidate, user: user)
            }
        }
        if let folder = await say("pg_config", "--bindir"), let text = await say("pg_config", "--version"),
            let found = text.split(whereSeparator: { !$0.isNumber }).first.flatMap({ Int($0) }),
            version.map({ $0 == found }) ?? (found >= 13), FileManager.default.isExecutableFile(atPath: "\(folder)/initdb")
        {
            return Programs(folder: folder, version: found, user: user)
        }
        if let version {
            throw ClusterError(
                "the data is of PostgreSQL \(version), which is not installed", remedy: "apt-get install postgresql-\(version)")
        }
        throw ClusterError("PostgreSQL (13 to 18) is not installed", remedy: "apt-get install postgresql")
    }

    /// Runs a program to its end, without a shell.
    /// - Returns: whether it ended with 0, and what it said on either output, at most 64 KiB.
    func run(_ name: String, _ arguments: String...) async throws(ClusterError) -> (isSuccess: Bool, said: String) {
        do {
            let command = user.command([name] + arguments)
            let result = try await Subprocess.run(
                .name(command[0]), arguments: Arguments(Array(command.dropFirst())), environment: environment,
                workingDirectory: Self.workingDirectory, platformOptions: Self.options,
                output: .string(limit: 1 << 16), error: .combinedWithOutput)
            let said = result.standardOutput.trimming { $0.isWhitespace }
            return (result.terminationStatus.isSuccess, said)
        } catch {
            throw ClusterError("\(name) could not be run: \(error)")
        }
    }

    /// Nothing of ours may leak in (PGDATA, PGOPTIONS, a strange locale).
    var environment: Environment { .custom(["PATH": "\(folder):/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"]) }

    /// One that every user may be in: PostgreSQL's programs complain of any other, in the midst of what they have to say.
    static let workingDirectory: FilePath = "/"

    /// A session of its own, so that Ctrl-C in the terminal does not reach the server.
    static var options: PlatformOptions {
        var options = PlatformOptions()
        options.createSession = true
        return options
    }

    private static func say(_ name: String, _ argument: String) async -> String? {
        let result = try? await Subprocess.run(.name(name), arguments: [argument], output: .string(limit: 4096))
        guard let result, result.terminationStatus.isSuccess else { return nil }
        return result.standardOutput.trimming { $0.isWhitespace }
    }
}

/// Whom the server runs as: ourselves, or the user `postgres` when we are root, because PostgreSQL refuses root.
struct ServerUser: Sendable {
    let uid: uid_t
    let gid: gid_t
    let isOther: Bool

    static func choose() throws(ClusterError) -> ServerUser {
        guard geteuid() == 0 else { return ServerUser(uid: geteuid(), gid: getegid(), isOther: false) }
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var space = [CChar](repeating: 0, count: 4096)
        _ = getpwnam_r("postgres", &entry, &space, space.count, &found)
        guard found != nil else {
            throw ClusterError(
                "PostgreSQL does not run as root, and there is no user “postgres” to run it as",
                remedy: "run this as another user, or apt-get install postgresql")
        }
        return ServerUser(uid: entry.pw_uid, gid: entry.pw_gid, isOther: true)
    }

    /// `command` as this user. setpriv changes the user after exec: glibc's own calls for that, made between fork and exec
    /// in a process with threads, wait for ever for threads that are not there.
    func command(_ command: [String]) -> [String] {
        isOther ? ["setpriv", "--reuid=\(uid)", "--regid=\(gid)", "--clear-groups", "--"] + command : command
    }

    /// Makes `folder`, with its parents, a place that only this user may enter.
    func own(_ folder: String) throws(ClusterError) {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw ClusterError("the directory \(folder) can not be made: \(error)")
        }
        var status = stat()
        guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, [uid, geteuid()].contains(status.st_uid) else {
            throw ClusterError("\(folder) belongs to somebody else", remedy: "name another directory")
        }
        guard (!isOther || lchown(folder, uid, gid) == 0) && chmod(folder, 0o700) == 0 else {
            throw ClusterError("\(folder) can not be made private: \(String(cString: strerror(errno)))")
        }
    }
}

extension String {
    func trimming(_ isExtra: (Character) -> Bool) -> String {
        guard let first = firstIndex(where: { !isExtra($0) }), let last = lastIndex(where: { !isExtra($0) }) else { return "" }
        return String(self[first...last])
    }
}
