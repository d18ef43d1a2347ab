/// Which executables a worker may run, and how.
public struct ExecutableSettings: Sendable {
    /// Each executable regular file in it is a function named after the file, less its extension. Hidden files are not.
    public var directory: String?
    /// Functions named one by one: the program and its arguments. A program without a slash is looked up in `PATH`.
    public var commands: [String: [String]] = [:]
    /// Added to the child's environment, which otherwise holds PATH, HOME, LANG and TZ of the worker and what is the task's.
    public var environment: [String: String] = [:]
    /// Where children start; nil means the worker's own directory.
    public var workingDirectory: String?
    /// How many bytes a child may print on stdout before it is stopped and its task failed.
    public var outputLimit = 1 << 20
    /// How long a child that printed too much has between SIGTERM and SIGKILL.
    public var grace = Duration.seconds(5)
    /// Makes this process adopt the orphans of its children (PR_SET_CHILD_SUBREAPER), so that also those that left their
    /// process group and session are ended with their task. For a process that is nothing but a worker; one in which a
    /// worker is embedded leaves it off.
    public var adoptsOrphans = false

    public init(directory: String? = nil, commands: [String: [String]] = [:]) {
        self.directory = directory
        self.commands = commands
    }
}

/// The settings of the executables do not make sense; nothing was changed.
public struct ExecutableSettingsError: Error, Sendable, CustomStringConvertible {
    /// One sentence: what is wrong and what to do.
    public let description: String

    init(_ description: String) { self.description = description }
}
