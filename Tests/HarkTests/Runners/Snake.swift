import Glibc
@testable import Hark
import Testing

/// Runners of the functions in Tests/Python.
enum Snake {
    static let directory = "\(Repository.root)/Tests/Python"

    static func runner(_ change: (inout PythonSettings) -> Void = { _ in }) -> PythonRunner {
        var settings = PythonSettings(interpreter: "/usr/bin/python3", modules: ["probe"], directory: directory)
        settings.interpreters = 1
        settings.environment = ["PYTHONDONTWRITEBYTECODE": "1"]
        change(&settings)
        return PythonRunner(settings)
    }

    static func outcome(_ function: String, _ args: String = "[]", _ outlet: CollectingOutlet = CollectingOutlet()) async -> Outcome {
        await outcome(claimed(function, args), outlet)
    }

    static func outcome(_ function: String, _ outlet: CollectingOutlet) async -> Outcome { await outcome(claimed(function), outlet) }

    static func outcome(_ task: ClaimedTask, _ outlet: CollectingOutlet, _ change: (inout PythonSettings) -> Void = { _ in }) async -> Outcome {
        await outcomes([task], outlet, change)[0]
    }

    /// The living processes with this command line.
    static func processes(of command: [String]) -> [pid_t] {
        let line = command.joined(separator: "\0") + "\0"
        return Workshop.files(in: "/proc").compactMap { pid_t($0) }.filter { Workshop.text(of: "/proc/\($0)/cmdline") == line && lives($0) }
    }

    /// In the order of the tasks.
    static func outcomes(_ tasks: [ClaimedTask], _ outlet: CollectingOutlet = CollectingOutlet(), _ change: (inout PythonSettings) -> Void = { _ in }) async -> [Outcome] {
        let runner = runner(change)
        await running(runner, outlet) { _ in
            // As a worker does: what waits for five seconds while there is nobody to run it is given back.
            #expect(await outlet.until { $0.capacity.count > 0 || $0.capacity.lacking != nil })
            runner.start(tasks)
            let count = tasks.count
            #expect(await outlet.until { $0.count >= count })
        }
        return tasks.map { outlet.outcome(of: $0.claim) ?? .released }
    }
}

func running(_ runner: PythonRunner, _ outlet: CollectingOutlet, _ body: (PythonRunner) async throws -> Void) async rethrows {
    try await running(runner, outlet) { try await body(runner) }
}
