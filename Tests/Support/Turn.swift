import Glibc

/// Runs `body` while no other test of this user does so, in this process or another one on this machine.
///
/// For tests that have or make a dead worker: who finds one kills what any dead worker has left running on the machine, so that two of
/// them would take each other's processes away.
public func whileNobodyElseBuriesWorkers<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
    let path = "/tmp/hark-tests-\(getuid()).lock"
    // Every open file has its own lock, so this one also holds off the tests of this process.
    let lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else { throw LockUnavailable(description: "cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(lock) }
    while flock(lock, LOCK_EX | LOCK_NB) != 0 {
        guard errno == EWOULDBLOCK || errno == EINTR else { throw LockUnavailable(description: "cannot lock \(path): \(String(cString: strerror(errno)))") }
        try await Task.sleep(for: .milliseconds(20))
    }
    return try await body()
}

struct LockUnavailable: Error, CustomStringConvertible { let description: String }
