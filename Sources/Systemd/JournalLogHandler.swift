public import Logging

/// A log handler whose records go to the journal, each with its metadata as fields: `task_id` becomes HARK_TASK_ID when
/// the prefix is `HARK_`.
///
/// The key `message_id` becomes MESSAGE_ID, the field that marks one kind of message, and has no other trace.
public struct JournalLogHandler: LogHandler {
    public typealias Format = @Sendable (Logger.Level, String, Logger.Metadata) -> String

    /// The metadata key of MESSAGE_ID: 32 hexadecimal digits.
    public static let messageIDKey = "message_id"

    public var metadata: Logger.Metadata = [:]
    public var logLevel: Logger.Level = .info
    public var metadataProvider: Logger.MetadataProvider?
    private let identifier: String
    private let prefix: String
    private let constants: [(name: String, value: String)]
    private let format: Format
    private let fallback: @Sendable (Logger.Level, String, Logger.Metadata) -> Void

    /// - Parameters:
    ///   - identifier: SYSLOG_IDENTIFIER, what `journalctl` shows before the message.
    ///   - constants: fields of every record.
    ///   - format: makes MESSAGE, for people.
    ///   - fallback: takes what the journal does not: it was restarted, or never there.
    public init(
        identifier: String, prefix: String, constants: [(name: String, value: String)], format: @escaping Format,
        fallback: @escaping @Sendable (Logger.Level, String, Logger.Metadata) -> Void
    ) {
        self.identifier = identifier
        self.prefix = prefix
        self.constants = constants
        self.format = format
        self.fallback = fallback
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var all = metadata.merging(event.metadata ?? [:]) { $1 }
        let id = all.removeValue(forKey: Self.messageIDKey)
        var fields = [("MESSAGE", format(event.level, "\(event.message)", all)), ("PRIORITY", event.level.priority), ("SYSLOG_IDENTIFIER", identifier)]
        if let id { fields.append(("MESSAGE_ID", "\(id)")) }
        fields += constants
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { fields.append((prefix + key.uppercased(), "\(value)")) }
        let (level, message, metadata) = (event.level, "\(event.message)", all)
        Journal.post(fields.map { (name: $0.0, value: $0.1) }) { [fallback] in fallback(level, message, metadata) }
    }
}

extension Logger.Level {
    /// As syslog(3) counts.
    var priority: String {
        switch self {
        case .trace, .debug: "7"
        case .info: "6"
        case .notice: "5"
        case .warning: "4"
        case .error: "3"
        case .critical: "2"
        }
    }
}
