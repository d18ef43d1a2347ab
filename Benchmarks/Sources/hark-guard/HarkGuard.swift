@testable import Hark

/// The parts of a worker whose instructions `scripts/guard` counts, each over as many tasks as the command line says. It is run twice, with
/// N tasks and with twice as many, and the difference is what N tasks cost: neither the start nor what is done once is in it.
@main
enum HarkGuard {
    /// Prints how many tasks were done.
    static func main() async throws {
        let words = Array(CommandLine.arguments.dropFirst())
        switch (words.first, words.count > 1 ? Int(words[1]) : nil) {
        case ("brain", let tasks?): print(Brain(tasks: tasks).run())
        case ("parameters", let tasks?): print(parameters(tasks: tasks))
        case ("function", let tasks?): print(try await function(tasks: tasks))
        case ("store", let tasks?) where words.count == 3: print(try await Trips(database: words[2]).run(tasks: tasks))
        // How a worker sets its session.
        case ("session", nil): print(SessionSetup.work.joined(separator: "\n"))
        default: print("hark-guard brain|parameters|function TASKS, hark-guard store TASKS DATABASE, or hark-guard session")
        }
    }
}
