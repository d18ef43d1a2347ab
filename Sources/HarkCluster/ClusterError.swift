/// Why a private PostgreSQL could not be had: a sentence, and what to do about it.
public struct ClusterError: Error, Sendable, CustomStringConvertible {
    public let message: String
    public let remedy: String?

    public init(_ message: String, remedy: String? = nil) {
        self.message = message
        self.remedy = remedy
    }

    public var description: String { remedy.map { "\(message); \($0)" } ?? message }
}
