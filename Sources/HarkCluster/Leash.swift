// The leash: a shell that outlives us by as long as it takes to stop the server.
//
// A private server must not stay behind when its owner goes, also when the owner is killed with -9 and can do nothing any
// more. So the owner keeps a shell that reads from a pipe. However the owner ends, the kernel closes the pipe, the shell
// reads the end of file, stops the server and, if so asked, removes the directory.
//
// Nobody reads what the shell says by then, so it must say nothing: a broken pipe would end pg_ctl before the server is down.
//
// The shell runs under flock(1) and so holds the directory's lock for as long as it lives. Whoever wants to use the
// directory next waits for that lock: nobody meets a server that is about to be stopped by the leash of its last owner.

internal import Subprocess

/// Ends when released or when the process dies, and stops the server then.
struct Leash: Sendable {
    private let release: AsyncStream<Never>.Continuation
    private let end: Task<Void, any Error>

    private static let script = """
        echo held
        while read -r _; do :; done
        pg_ctl stop -D "$0/data" -m "$1" -w >/dev/null 2>&1
        [ "$2" = keep ] || rm -rf "$0" "$3"
        """

    /// Takes the directory's lock.
    /// - Throws: `ClusterError` when another process holds it for more than 30 seconds.
    static func take(
        _ directory: String, _ socketDirectory: String, removing: Bool, _ programs: Programs
    ) async throws(ClusterError) -> Leash {
        let (releases, release) = AsyncStream.makeStream(of: Never.self)
        let (lines, line) = AsyncStream.makeStream(of: String.self)
        let command = programs.user.command([
            "flock", "--no-fork", "--wait", "30", "\(directory)/lock", "sh", "-c", script, directory,
            removing ? "immediate" : "fast", removing ? "remove" : "keep", socketDirectory,
        ])
        let end = Task.detached {
            defer { line.finish() }
            _ = try await Subprocess.run(
                .name(command[0]), arguments: Arguments(Array(command.dropFirst())), environment: programs.environment,
                workingDirectory: Programs.workingDirectory, platformOptions: Programs.options, input: .inputWriter, output: .sequence, error: .discarded
            ) { execution in
                for try await text in execution.standardOutput.strings() {
                    line.yield(text)
                    break
                }
                line.finish()
                for await _ in releases {}
            }
        }
        for await _ in lines { return Leash(release: release, end: end) }
        release.finish()
        throw ClusterError("another process uses \(directory)", remedy: "stop it, or name another directory")
    }

    /// Returns when the server is stopped and the directory free (or gone).
    func letGo() async {
        release.finish()
        _ = await end.result
    }
}
