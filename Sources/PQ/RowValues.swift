// Values out of rows, from the binary and from the text format: integers, float8, bool, text and what is sent like text
// (name, char, json, enums), bytea, jsonb. Types that are none of these (timestamptz, interval, numeric ...) are read with
// `string` from a statement with `binary: false`, or cast to text in the statement itself.

extension Row {
    // MARK: Values that must be there

    public func int16(_ column: Int) throws(PostgresError) -> Int16 { try present(integer(column), column) }
    public func int32(_ column: Int) throws(PostgresError) -> Int32 { try present(integer(column), column) }
    public func int64(_ column: Int) throws(PostgresError) -> Int64 { try present(integer(column), column) }
    public func int(_ column: Int) throws(PostgresError) -> Int { try present(integer(column), column) }
    public func double(_ column: Int) throws(PostgresError) -> Double { try present(optionalDouble(column), column) }
    public func bool(_ column: Int) throws(PostgresError) -> Bool { try present(optionalBool(column), column) }
    /// Numbers and bools too, as PostgreSQL prints them.
    public func string(_ column: Int) throws(PostgresError) -> String { try present(optionalString(column), column) }
    /// bytea as it is; of text and json the UTF-8; of jsonb the JSON text.
    public func bytes(_ column: Int) throws(PostgresError) -> [UInt8] { try present(optionalBytes(column), column) }

    // MARK: Values that may be null

    public func optionalInt16(_ column: Int) throws(PostgresError) -> Int16? { try integer(column) }
    public func optionalInt32(_ column: Int) throws(PostgresError) -> Int32? { try integer(column) }
    public func optionalInt64(_ column: Int) throws(PostgresError) -> Int64? { try integer(column) }
    public func optionalInt(_ column: Int) throws(PostgresError) -> Int? { try integer(column) }

    public func optionalDouble(_ column: Int) throws(PostgresError) -> Double? {
        guard let value = try value(column) else { return nil }
        if value.isBinary {
            switch (value.oid, value.bytes.count) {
            case (701, 8): return Double(bitPattern: value.number(UInt64.self))
            case (700, 4): return Double(Float(bitPattern: value.number(UInt32.self)))
            default: if let number: Int64 = whole(value) { return Double(number) }
            }
        } else if let number = Double(value.text) {
            return number
        }
        throw misfit(value, column, "a number")
    }

    public func optionalBool(_ column: Int) throws(PostgresError) -> Bool? {
        guard let value = try value(column) else { return nil }
        if value.oid == 16 && value.bytes.count == 1 { return value.bytes[0] == 1 || value.bytes[0] == UInt8(ascii: "t") }
        throw misfit(value, column, "a bool")
    }

    public func optionalString(_ column: Int) throws(PostgresError) -> String? {
        guard let value = try value(column) else { return nil }
        guard value.isBinary else { return value.text }
        if isTextual(value.oid) { return value.text }
        switch value.oid {
        case 3802: return String(decoding: value.bytes.dropFirst(), as: UTF8.self)
        case 16: return try bool(column) ? "t" : "f"
        case 700, 701: return "\(try double(column))"
        default: if let number: Int64 = whole(value) { return String(number) }
        }
        throw misfit(value, column, "a text")
    }

    public func optionalBytes(_ column: Int) throws(PostgresError) -> [UInt8]? {
        guard let value = try value(column) else { return nil }
        if value.oid == 17 && !value.isBinary { return try hexadecimal(value, column) }
        if value.oid == 3802 && value.isBinary { return [UInt8](value.bytes.dropFirst()) }
        if value.oid == 17 || !value.isBinary || isTextual(value.oid) { return [UInt8](value.bytes) }
        throw misfit(value, column, "bytes")
    }

    // MARK: By name

    public func int64(_ name: String) throws(PostgresError) -> Int64 { try int64(column(name)) }
    public func int(_ name: String) throws(PostgresError) -> Int { try int(column(name)) }
    public func double(_ name: String) throws(PostgresError) -> Double { try double(column(name)) }
    public func bool(_ name: String) throws(PostgresError) -> Bool { try bool(column(name)) }
    public func string(_ name: String) throws(PostgresError) -> String { try string(column(name)) }
    public func bytes(_ name: String) throws(PostgresError) -> [UInt8] { try bytes(column(name)) }
    public func optionalInt64(_ name: String) throws(PostgresError) -> Int64? { try optionalInt64(column(name)) }
    public func optionalInt(_ name: String) throws(PostgresError) -> Int? { try optionalInt(column(name)) }
    public func optionalDouble(_ name: String) throws(PostgresError) -> Double? { try optionalDouble(column(name)) }
    public func optionalBool(_ name: String) throws(PostgresError) -> Bool? { try optionalBool(column(name)) }
    public func optionalString(_ name: String) throws(PostgresError) -> String? { try optionalString(column(name)) }
    public func optionalBytes(_ name: String) throws(PostgresError) -> [UInt8]? { try optionalBytes(column(name)) }

    // MARK: How

    private func integer<T: FixedWidthInteger>(_ column: Int) throws(PostgresError) -> T? {
        guard let value = try value(column) else { return nil }
        if value.isBinary, let number: T = whole(value) { return number }
        if !value.isBinary, let number = T(value.text) { return number }
        throw misfit(value, column, "an integer of \(T.bitWidth) bits")
    }

    /// The integer types by their numbers: int8, int4, oid, int2.
    private func whole<T: FixedWidthInteger>(_ value: Value) -> T? {
        switch (value.oid, value.bytes.count) {
        case (20, 8): T(exactly: value.number(Int64.self))
        case (23, 4): T(exactly: value.number(Int32.self))
        case (26, 4): T(exactly: value.number(UInt32.self))
        case (21, 2): T(exactly: value.number(Int16.self))
        default: nil
        }
    }

    /// Types whose binary format is their text: text, varchar, bpchar, name, "char", json, unknown, void; and whatever is
    /// not built in (numbers from 16384), which in practice means enums.
    private func isTextual(_ oid: UInt32) -> Bool {
        switch oid {
        case 25, 1043, 1042, 19, 18, 114, 705, 2278: true
        default: oid >= 16384
        }
    }

    private func hexadecimal(_ value: Value, _ column: Int) throws(PostgresError) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(value.bytes.count / 2)
        var high: UInt8?
        for character in value.bytes.dropFirst(2) {
            guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { throw misfit(value, column, "bytes") }
            if let first = high {
                decoded.append(first << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        return decoded
    }

    private func misfit(_ value: Value, _ column: Int, _ wanted: String) -> PostgresError {
        let names: [UInt32: String] = [
            16: "bool", 17: "bytea", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid", 114: "json", 700: "float4",
            701: "float8", 1082: "date", 1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1700: "numeric",
            2950: "uuid", 3802: "jsonb",
        ]
        let type = names[value.oid] ?? "of type \(value.oid)"
        let text = !value.isBinary || isTextual(value.oid)
        return problem(column, "is \(type)" + (text ? "" : " in binary format") + " and can not be read as \(wanted)")
    }
}
