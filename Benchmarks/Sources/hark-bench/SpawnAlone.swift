import Glibc
import Subprocess
import SystemPackage

/// `spawn-alone COUNT AT_ONCE PROGRAM`: what floor/spawn.c does, with the library that Hark starts executables with and without anything
/// else: a session each, "[]" on stdin, stdout and stderr read to the end. Prints {"tasks": ..., "seconds": ...}.
enum SpawnAlone {
    static func run(_ arguments: [String]) async throws {
        guard arguments.count == 3, let count = Int(arguments[0]), let atOnce = Int(arguments[1]), atOnce > 0 else {
            fatalError("usage: spawn-alone COUNT AT_ONCE PROGRAM")
        }
        let clock = ContinuousClock()
        let began = clock.now
        try await withThrowingTaskGroup { group in
            for first in 0..<atOnce {
                group.addTask { for _ in stride(from: first, to: count, by: atOnce) { try await spawn(arguments[2]) } }
            }
            try await group.waitForAll()
        }
        print("{\"tasks\": \(count), \"seconds\": \((clock.now - began) / .seconds(1))}")
    }

    private static func spawn(_ program: String) async throws {
        var options = PlatformOptions()
        options.createSession = true
        let result = try await Subprocess.run(
            .path(FilePath(program)), environment: .custom(["PATH": "/usr/bin:/bin"]), platformOptions: options, input: .array([0x5B, 0x5D]), output: .sequence, error: .sequence
        ) { execution in
            async let printed = size(of: execution.standardOutput)
            async let complaints = size(of: execution.standardError)
            return try await printed + complaints
        }
        guard case .exited(0) = result.terminationStatus else { fatalError("the program failed: \(result.terminationStatus)") }
    }

    private static func size(of output: SubprocessOutputSequence) async throws -> Int {
        var size = 0
        for try await buffer in output { size += buffer.count }
        return size
    }
}
