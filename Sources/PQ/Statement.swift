/// A statement with a name, prepared once on each connection that uses it.
public struct Statement: Sendable {
    /// At most 50 bytes; without one the statement is not kept prepared.
    public let name: String
    public let sql: String
    /// Whether results come in binary format. With false they come as text, which any type can.
    public let binary: Bool

    public init(name: String, sql: String, binary: Bool = true) {
        self.name = name
        self.sql = sql
        self.binary = binary
    }
}

/// A statement with its parameters.
public struct Query: Sendable {
    public let statement: Statement
    public let parameters: [Parameter]

    public init(_ statement: Statement, _ parameters: [Parameter] = []) {
        self.statement = statement
        self.parameters = parameters
    }

    /// A statement that is not kept prepared, with results as text.
    public init(_ sql: String, _ parameters: [Parameter] = []) {
        self.init(Statement(name: "", sql: sql, binary: false), parameters)
    }
}

/// What NOTIFY sent.
public struct Notification: Sendable {
    public let channel: String
    public let payload: String
    /// The server process of the session that sent it.
    public let pid: Int32
}

public struct ConnectionOptions: Sendable {
    /// False: statements are sent in full each time and the server keeps none, as old transaction poolers need it.
    public var prepared: Bool
    /// SQL that is run, one after the other, before the connection is handed out.
    public var setup: [String]

    /// How many pipelines are sent at most before the one in front of them is answered. Once sent, a command is seen through
    /// to its end, whether or not its caller is cancelled.
    public var ahead: Int

    public init(prepared: Bool = true, setup: [String] = [], ahead: Int = 0) {
        self.prepared = prepared
        self.ahead = ahead
        self.setup = setup
    }
}

/// Which statements the server holds for this connection.
///
/// A name is prepared again, under a numbered one, when it comes with other SQL or other parameter types (a null fits
/// any), or when the server has lost it or made it useless.
struct PreparedStatements {
    struct Variant {
        let name: String
        let serverName: String
        let sql: String
        let oids: [UInt32]

        func serves(_ statement: Statement, _ oids: [UInt32]) -> Bool {
            sql == statement.sql && oids.count == self.oids.count
                && zip(oids, self.oids).allSatisfy { given, known in given == known || given == 0 }
        }
    }

    private var variants: [String: [Variant]] = [:]
    private var made: [String: Int] = [:]

    func find(_ statement: Statement, _ oids: [UInt32]) -> Variant? {
        variants[statement.name]?.first { $0.serves(statement, oids) }
    }

    mutating func invent(_ statement: Statement, _ oids: [UInt32]) -> Variant {
        let number = made[statement.name, default: 0] + 1
        made[statement.name] = number
        let serverName = number == 1 ? statement.name : "\(statement.name)/\(number)"
        return Variant(name: statement.name, serverName: serverName, sql: statement.sql, oids: oids)
    }

    mutating func remember(_ variant: Variant) { variants[variant.name, default: []].append(variant) }

    mutating func forget(_ name: String) { variants[name] = nil }
}
