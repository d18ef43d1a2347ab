internal import CLibpq

/// What PostgreSQL, or libpq on the way to it, refused to do. Never contains a password or a connection string.
public struct PostgresError: Error, Sendable, CustomStringConvertible {
    /// The five characters of SQLSTATE; nil when the error is the client's own (no answer, a value that does not fit).
    public var sqlState: String?
    public var message: String
    public var detail: String?
    public var hint: String?
    /// The name of the constraint that was violated.
    public var constraint: String?
    /// The name of the statement that failed.
    public var statement: String?
    /// Not run, because an earlier statement of its group failed. Whatever the group did is undone.
    public internal(set) var isAborted = false
    private var lost: Bool

    public init(
        sqlState: String? = nil, message: String, detail: String? = nil, hint: String? = nil, constraint: String? = nil,
        statement: String? = nil, isConnectionLost: Bool = false
    ) {
        self.sqlState = sqlState
        self.message = message
        self.detail = detail
        self.hint = hint
        self.constraint = constraint
        self.statement = statement
        self.lost = isConnectionLost
    }

    /// The connection is gone or could not be made: whether what was under way has been done is unknown.
    /// Class 08, 57P01 to 57P03 (shut down, crashed, starting up), or libpq found the socket closed.
    public var isConnectionLost: Bool {
        guard let sqlState else { return lost }
        return lost || sqlState.hasPrefix("08") || ["57P01", "57P02", "57P03"].contains(sqlState)
    }

    /// The same again may go well: serialization failure, deadlock, lock not available, out of resources (class 53),
    /// cancelled by somebody or by a timeout, a prepared statement that a pooler has lost, or a lost connection.
    public var isRetryable: Bool {
        guard let sqlState else { return lost }
        return isConnectionLost || sqlState.hasPrefix("53")
            || ["40001", "40P01", "55P03", "57014", "26000"].contains(sqlState) || isStalePlan
    }

    /// The server was there and said no: no such database, a wrong password, no entry in pg_hba.conf. Before a connection
    /// is up libpq keeps the SQLSTATE to itself; the severity in its text is all there is.
    public var isServersRefusal: Bool { isConnectionLost && message.contains("FATAL:") }

    /// A value was refused (class 22): the same again will go wrong again.
    public var isDataException: Bool { sqlState?.hasPrefix("22") ?? false }

    /// A prepared statement whose result changed its columns under it; PostgreSQL wants it prepared anew.
    var isStalePlan: Bool { sqlState == "0A000" && message.hasPrefix("cached plan must not change") }

    public var description: String {
        var text = message
        if let detail { text += " (\(detail))" }
        if let hint { text += "; hint: \(hint)" }
        if let statement, !statement.isEmpty { text += " [in \(statement)]" }
        if let sqlState { text += " [\(sqlState)]" }
        return text
    }
}

extension PostgresError {
    static func lost(_ message: String) -> PostgresError { PostgresError(message: message, isConnectionLost: true) }

    static func aborted(_ statement: String) -> PostgresError {
        var error = PostgresError(message: "not run, because an earlier statement of its group failed", statement: statement)
        error.isAborted = true
        return error
    }

    /// What a result of status PGRES_FATAL_ERROR says.
    init(result: OpaquePointer, statement: String?) {
        func field(_ code: Character) -> String? {
            guard let text = PQresultErrorField(result, CInt(code.asciiValue ?? 0)) else { return nil }
            return String(cString: text)
        }
        // Without fields the message is libpq's own, for instance that the server closed the connection.
        self.init(
            sqlState: field("C"), message: field("M") ?? oneSentence(String(cString: PQresultErrorMessage(result))),
            detail: field("D"), hint: field("H"), constraint: field("n"), statement: statement)
    }

    /// What libpq says of a connection that is not well.
    init(connection: OpaquePointer) {
        let text = oneSentence(String(cString: PQerrorMessage(connection)))
        self = .lost(text.isEmpty ? "the connection to PostgreSQL is closed" : text)
    }
}

/// libpq's messages have lines, tabs and a newline at the end.
func oneSentence(_ text: String) -> String {
    text.split(whereSeparator: { $0 == "\n" || $0 == "\t" }).joined(separator: "; ")
}
