public import ArgumentParser
import Hark

/// `hark`.
public struct Root: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "hark", abstract: "A task queue that lives in PostgreSQL.", version: HarkVersion.current)

    public init() {}
}
