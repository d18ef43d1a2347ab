internal import Glibc
internal import Logging
internal import Systemd

/// One line on stderr for each record.
///
/// `09:15:02 warning: polling: ...`, and for what a task is about or says, `09:15:02 task 42 resize: completed in 12 ms`.
/// No time when stderr is the journal's, which notes it by itself; the whole date when it is a file. Every line is
/// harmless to a terminal, whatever a task has printed.
struct LineLogHandler: LogHandler {
    enum Clock: Sendable { case none, time, date }

    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    var metadataProvider: Logger.MetadataProvider?
    let terminal: Terminal
    let clock: Clock
    let output: @Sendable (String) -> Void

    /// The metadata that says which attempt a record is about; it becomes the beginning of the line.
    static let attemptKeys = ["task_id", "function", "queue", "attempt"]
    /// Marks what the worker says, with the kind of record; without it, the function itself speaks (a line of stderr, a log line).
    static let eventKey = "event"
    private static let silentKeys = attemptKeys + [eventKey, JournalLogHandler.messageIDKey]

    init(terminal: Terminal = .stderr, clock: Clock? = nil, output: @escaping @Sendable (String) -> Void = { note($0) }) {
        self.terminal = terminal
        self.clock = clock ?? (Journal.isBehind(STDERR_FILENO) ? .none : terminal.width == nil ? .date : .time)
        self.output = output
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        output(line(level: event.level, event.message.description, metadata.merging(event.metadata ?? [:]) { $1 }))
    }

    func line(level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
        var parts: [String] = []
        if let time { parts.append(terminal.styled(time, .dim)) }
        if level != .info && level != .notice { parts.append(terminal.styled("\(level.rawValue):", level >= .error ? .red : .yellow)) }
        return (parts + [text(message, metadata)]).joined(separator: " ")
    }

    /// The record without its time and level, which the journal keeps as fields.
    func text(_ message: String, _ metadata: Logger.Metadata) -> String {
        var parts: [String] = []
        if let id = metadata["task_id"] {
            let attempt = metadata["attempt"].map { "\($0)" } ?? "1"
            let name = "task \(id)\(metadata["function"].map { " \($0)" } ?? "")" + (attempt == "1" ? "" : " #\(attempt)")
            parts.append(terminal.styled(Harmless.line(name) + (metadata[Self.eventKey] == nil ? " |" : ":"), .bold))
        }
        parts.append(Harmless.line(message.replacing("\t", with: "    ")))
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where !Self.silentKeys.contains(key) {
            parts.append(Harmless.line("\(key)=\(value)"))
        }
        return parts.joined(separator: " ")
    }

    private var time: String? {
        let moment = Moment.local(Moment.here)
        switch clock {
        case .none: return nil
        case .date: return moment
        case .time: return String(moment.dropFirst(11).prefix(8))
        }
    }
}
