/// What went wrong, and what to do about it. Never holds a password or a whole connection string.
public struct HarkError: Error, Sendable, CustomStringConvertible {
    /// The kinds of errors; each is an anchor in `Documentation/Errors.md`.
    public struct Code: Sendable, Hashable {
        public let name: String

        /// The schema is not there, or older than this hark.
        public static let schemaTooOld = Code(name: "schema-too-old")
        /// The schema has breaking migrations that this hark does not know.
        public static let schemaTooNew = Code(name: "schema-too-new")
        /// A migration in the database is not the one that this hark has under that name.
        public static let schemaChanged = Code(name: "schema-changed")
        /// The role may not do what a worker must do.
        public static let notPermitted = Code(name: "not-permitted")
        /// The configuration cannot be used.
        public static let configuration = Code(name: "configuration")
        /// The database cannot be reached.
        public static let unreachable = Code(name: "unreachable")
        /// There is no such task.
        public static let notFound = Code(name: "not-found")
        /// The database refused what it was given.
        public static let refused = Code(name: "refused")
    }

    public var code: Code
    /// What went wrong, with which value.
    public var message: String
    /// What to do next.
    public var remedy: String?

    public init(_ code: Code, _ message: String, remedy: String? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
    }

    public var description: String { remedy.map { "\(message)\n\($0)" } ?? message }
}
