internal import CLibpq

/// What a statement gave back.
///
/// Sendable without the compiler's proof: a PGresult is never changed once libpq has handed it out, and its accessors only read.
public final class Rows: @unchecked Sendable {
    struct Column {
        let oid: UInt32
        let isBinary: Bool
    }

    fileprivate let result: OpaquePointer
    let types: [Column]

    /// How many rows there are.
    public let count: Int

    /// Takes the result over.
    init(_ result: OpaquePointer) {
        self.result = result
        count = Int(PQntuples(result))
        types = (0..<PQnfields(result)).map { Column(oid: PQftype(result, $0), isBinary: PQfformat(result, $0) == 1) }
    }

    deinit { PQclear(result) }

    public var isEmpty: Bool { count == 0 }

    /// The names of the columns.
    public var columns: [String] { (0..<CInt(types.count)).map { String(cString: PQfname(result, $0)) } }

    /// `SELECT 3`, `UPDATE 1`, `CREATE TABLE`.
    public var commandTag: String { String(cString: PQcmdStatus(result)) }

    /// How many rows the statement inserted, changed, deleted or selected; 0 for other statements.
    public var affected: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

    /// - Precondition: `0 <= index < count`.
    public subscript(index: Int) -> Row {
        precondition(index >= 0 && index < count, "row \(index) of \(count)")
        return Row(rows: self, index: CInt(index))
    }

    public var first: Row? { isEmpty ? nil : self[0] }
}

extension Rows: Sequence {
    public struct Iterator: IteratorProtocol {
        fileprivate let rows: Rows
        fileprivate var index = 0

        public mutating func next() -> Row? {
            guard index < rows.count else { return nil }
            defer { index += 1 }
            return rows[index]
        }
    }

    public func makeIterator() -> Iterator { Iterator(rows: self) }
    public var underestimatedCount: Int { count }
}

/// One row. Columns are numbered from 0; a name costs a search, so hot code uses numbers.
public struct Row: Sendable {
    fileprivate let rows: Rows
    fileprivate let index: CInt

    /// A value as it came.
    struct Value {
        let bytes: UnsafeRawBufferPointer
        let oid: UInt32
        let isBinary: Bool

        var text: String { String(decoding: bytes, as: UTF8.self) }

        /// A big-endian number from the wire.
        func number<T: FixedWidthInteger>(_ type: T.Type) -> T {
            T(bigEndian: bytes.loadUnaligned(as: T.self))
        }
    }

    /// The number of the column of that name.
    public func column(_ name: String) throws(PostgresError) -> Int {
        for column in rows.types.indices where String(cString: PQfname(rows.result, CInt(column))) == name { return column }
        throw PostgresError(message: "there is no column “\(name)”, only \(rows.columns.joined(separator: ", "))")
    }

    public func isNull(_ column: Int) throws(PostgresError) -> Bool {
        try check(column)
        return PQgetisnull(rows.result, index, CInt(column)) == 1
    }

    func value(_ column: Int) throws(PostgresError) -> Value? {
        try check(column)
        let length = PQgetlength(rows.result, index, CInt(column))
        if length == 0, PQgetisnull(rows.result, index, CInt(column)) == 1 { return nil }
        let type = rows.types[column]
        let bytes = UnsafeRawBufferPointer(start: PQgetvalue(rows.result, index, CInt(column)), count: Int(length))
        return Value(bytes: bytes, oid: type.oid, isBinary: type.isBinary)
    }

    func present<T>(_ value: T?, _ column: Int) throws(PostgresError) -> T {
        if let value { return value }
        throw problem(column, "is null")
    }

    func problem(_ column: Int, _ what: String) -> PostgresError {
        PostgresError(message: "column \(column) (“\(String(cString: PQfname(rows.result, CInt(column))))”) \(what)")
    }

    private func check(_ column: Int) throws(PostgresError) {
        guard rows.types.indices.contains(column) else {
            throw PostgresError(message: "there is no column \(column), only \(rows.types.count)")
        }
    }
}
