import PQ
import Testing
import TestSupport

@Suite("Values in and out")
struct ValueTests {
    private func connect() async throws -> Connection {
        try await Connection.connect(
            TestServer.shared.conninfo(), on: testLoop, timeout: .seconds(30))
    }

    @Test("every kind of parameter arrives as what it is, and comes back, in both formats", arguments: [true, false])
    func scalars(binary: Bool) async throws {
        let connection = try await connect()
        let sql = """
            select $1 as a, $2 as b, $3 as c, $4 as d, $5 as e, $6 as f, $7 as g, $8 as h,
                pg_typeof($1)::text || pg_typeof($2) || pg_typeof($3) || pg_typeof($4) || pg_typeof($5) || pg_typeof($6)
                || pg_typeof($7) || pg_typeof($8) as types
            """
        let rows = try await connection.execute(
            Statement(name: "scalars", sql: sql, binary: binary),
            [
                .int16(-7), .int32(.min), .int64(.max), .float8(-0.1), .bool(true), .text("grüße 🐘"), .bytes([0, 1, 255, 92]),
                .json(Array(#"{"a": [1, null]}"#.utf8)),
            ])
        let row = try #require(rows.first)
        #expect(try row.int16(0) == -7)
        #expect(try row.int32(1) == .min)
        #expect(try row.int64(2) == .max)
        #expect(try row.double(3) == -0.1)
        #expect(try row.bool(4))
        #expect(try row.string(5) == "grüße 🐘")
        #expect(try row.bytes(6) == [0, 1, 255, 92])
        #expect(try row.string(7) == #"{"a": [1, null]}"#)
        #expect(try row.bytes("h") == Array(#"{"a": [1, null]}"#.utf8))
        #expect(try row.string("types") == "smallintintegerbigintdouble precisionbooleantextbyteajsonb")
        #expect(rows.columns == ["a", "b", "c", "d", "e", "f", "g", "h", "types"])
        #expect(rows.commandTag == "SELECT 1" && rows.affected == 1)
        await connection.close()
    }

    @Test("arrays arrive, empty ones and ones with nulls too")
    func arrays() async throws {
        let connection = try await connect()
        func text(_ parameter: Parameter, _ type: String) async throws -> String {
            let rows = try await connection.execute("select $1::text, pg_typeof($1)::text", [parameter])
            #expect(try rows[0].string(1) == type)
            return try rows[0].string(0)
        }
        #expect(try await text(.int16Array([1, -2]), "smallint[]") == "{1,-2}")
        #expect(try await text(.int32Array([]), "integer[]") == "{}")
        #expect(try await text(.int64Array([.max, .min]), "bigint[]") == "{9223372036854775807,-9223372036854775808}")
        #expect(try await text(.float8Array([0.5, .infinity]), "double precision[]") == "{0.5,Infinity}")
        #expect(try await text(.boolArray([true, false]), "boolean[]") == "{t,f}")
        #expect(try await text(.textArray(["a", "", "b,\"c"]), "text[]") == #"{a,"","b,\"c"}"#)
        #expect(try await text(.textArray([]), "text[]") == "{}")
        #expect(try await text(.jsonbArray([Array("1".utf8), nil]), "jsonb[]") == "{1,NULL}")
        #expect(try await text(.jsonbArray([]), "jsonb[]") == "{}")
        #expect(try await text(.int16ArrayOptional([nil, 1]), "smallint[]") == "{NULL,1}")
        #expect(try await text(.int32ArrayOptional([nil]), "integer[]") == "{NULL}")
        #expect(try await text(.int64ArrayOptional([3, nil]), "bigint[]") == "{3,NULL}")
        #expect(try await text(.float8ArrayOptional([nil, 2]), "double precision[]") == "{NULL,2}")
        #expect(try await text(.textArrayOptional(["NULL", nil]), "text[]") == #"{"NULL",NULL}"#)
        await connection.close()
    }

    @Test("null is nil, and an error where a value must be", arguments: [true, false])
    func nulls(binary: Bool) async throws {
        let connection = try await connect()
        let statement = Statement(name: "nulls", sql: "select $1::int8 as nothing, ''::text", binary: binary)
        let row = try await connection.execute(statement, [.null])[0]
        #expect(try row.optionalInt64(0) == nil && row.optionalString(0) == nil && row.optionalBytes(0) == nil)
        #expect(try row.isNull(0) && !row.isNull(1))
        #expect(try row.optionalString(1) == "" && row.bytes(1) == [])
        let error = #expect(throws: PostgresError.self) { try row.int64(0) }
        #expect(error?.description == "column 0 (“nothing”) is null")
        await connection.close()
    }

    @Test("a value that does not fit says which column, what it is and what was wanted")
    func misfits() async throws {
        let connection = try await connect()
        let statement = Statement(
            name: "misfits", sql: "select 70000::int8 as big, now() as moment, 'x'::name, 'y'::\"char\", 5::oid, 1.5::float4")
        let row = try await connection.execute(statement)[0]
        #expect(try row.int32(0) == 70000 && row.string(0) == "70000")
        #expect(throws: PostgresError.self) { try row.int16(0) }
        let error = #expect(throws: PostgresError.self) { try row.string("moment") }
        #expect(error?.message == "column 1 (“moment”) is timestamptz in binary format and can not be read as a text")
        #expect(try row.string(2) == "x" && row.string(3) == "y" && row.int64(4) == 5 && row.double(5) == 1.5)
        #expect(throws: PostgresError.self) { try row.int64(6) }
        #expect(throws: PostgresError.self) { try row.string("nosuch") }
        await connection.close()
    }

    @Test("types that only have a text format are sent untyped and read as text")
    func untyped() async throws {
        let connection = try await connect()
        try await connection.script("create type pg_temp.mood as enum ('good', 'bad')")
        let row = try await connection.execute(
            "select ($1::timestamptz at time zone 'UTC')::text, $2 + interval '1 hour', $3::pg_temp.mood",
            [.untyped("2026-01-02 03:04:05+00"), .untyped("2 hours"), .untyped("bad")])[0]
        #expect(try row.string(0) == "2026-01-02 03:04:05" && row.string(1) == "03:00:00" && row.string(2) == "bad")
        let mood = try await connection.execute(Statement(name: "mood", sql: "select 'good'::pg_temp.mood"))
        #expect(try mood[0].string(0) == "good")
        await connection.close()
    }

    @Test("texts of a megabyte and batches of ten thousand go through")
    func large() async throws {
        let connection = try await connect()
        let text = String(repeating: "0123456789abcdef", count: 1 << 16)
        let row = try await connection.execute(Statement(name: "large", sql: "select $1, length($1)"), [.text(text)])[0]
        #expect(try row.string(0) == text && row.int(1) == 1 << 20)

        let ids = (0..<10_000).map(Int64.init)
        let values = ids.map { $0 % 3 == 0 ? nil : Array("{\"n\": \($0)}".utf8) }
        let rows = try await connection.execute(
            Statement(name: "batch", sql: "select id, value from unnest($1, $2) u(id, value)"), [.int64Array(ids), .jsonbArray(values)])
        #expect(rows.count == 10_000)
        for (index, row) in rows.enumerated() {
            guard try row.int64(0) == ids[index], try row.optionalBytes(1) == values[index] else {
                Issue.record("row \(index) differs")
                break
            }
        }
        await connection.close()
    }

    @Test("a text with a NUL in it is refused as bad data, and harms nobody")
    func nulByte() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) { try await connection.execute("select $1", [.text("a\0b")]) }
        #expect(error?.isDataException == true && error?.isRetryable == false)
        #expect(try await connection.execute("select 1")[0].int(0) == 1)
        await connection.close()
    }
}
