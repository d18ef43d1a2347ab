/// A value that goes into a statement. Everything is sent in PostgreSQL's binary format with its type, so nothing needs to
/// be quoted and the server parses no text; `untyped` is the exception.
public enum Parameter: Sendable {
    case null
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case float8(Double)
    case bool(Bool)
    /// May not contain a NUL: PostgreSQL refuses it (22021).
    case text(String)
    /// A text without a type: the server takes it as whatever the place needs (timestamptz, interval, an enum ...).
    case untyped(String)
    /// bytea.
    case bytes([UInt8])
    /// jsonb, given as JSON text, which the server checks.
    case json([UInt8])
    case int16Array([Int16])
    case int32Array([Int32])
    case int64Array([Int64])
    case float8Array([Double])
    case boolArray([Bool])
    case textArray([String])
    case jsonbArray([[UInt8]?])
    case int16ArrayOptional([Int16?])
    case int32ArrayOptional([Int32?])
    case int64ArrayOptional([Int64?])
    case float8ArrayOptional([Double?])
    case textArrayOptional([String?])

    /// The type as PostgreSQL numbers it (`select oid from pg_type`); 0 leaves it to the server.
    var oid: UInt32 {
        switch self {
        case .null, .untyped: 0
        case .int16: 21
        case .int32: 23
        case .int64: 20
        case .float8: 701
        case .bool: 16
        case .text: 25
        case .bytes: 17
        case .json: 3802
        case .int16Array, .int16ArrayOptional: 1005
        case .int32Array, .int32ArrayOptional: 1007
        case .int64Array, .int64ArrayOptional: 1016
        case .float8Array, .float8ArrayOptional: 1022
        case .boolArray: 1000
        case .textArray, .textArrayOptional: 1009
        case .jsonbArray: 3807
        }
    }
}

/// The parameters of one statement, laid out as libpq wants them: one buffer of bytes, and where each value lies in it.
struct EncodedParameters {
    private(set) var bytes: [UInt8] = []
    private var starts: [Int] = []
    private(set) var oids: [UInt32] = []
    private var lengths: [CInt] = []
    private var formats: [CInt] = []

    init(_ parameters: [Parameter]) {
        // A sleeper that was rung sends its claim with nothing in the processor's caches, and each array that grows is felt.
        let count = parameters.count
        bytes.reserveCapacity(count * 16)
        starts.reserveCapacity(count)
        oids.reserveCapacity(count)
        lengths.reserveCapacity(count)
        formats.reserveCapacity(count)
        for parameter in parameters { append(parameter) }
    }

    /// Calls `body` with count, types, values, lengths and formats, which are good for the call only.
    func withPointers<T>(
        _ body: (
            CInt, UnsafePointer<UInt32>?, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<CInt>?, UnsafePointer<CInt>?
        ) -> T
    ) -> T {
        guard !oids.isEmpty else { return body(0, nil, nil, nil, nil) }
        return bytes.withUnsafeBytes { bytes in
            let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            let values = starts.map { start in start < 0 ? nil : base.map { $0 + start } }
            return body(CInt(oids.count), oids, values, lengths, formats)
        }
    }

    private mutating func append(_ parameter: Parameter) {
        let start = bytes.count
        oids.append(parameter.oid)
        var format: CInt = 1
        var isNull = false
        switch parameter {
        case .null: isNull = true
        case .int16(let value): bytes.append(number: value)
        case .int32(let value): bytes.append(number: value)
        case .int64(let value): bytes.append(number: value)
        case .float8(let value): bytes.append(number: value.bitPattern)
        case .bool(let value): bytes.append(value ? 1 : 0)
        case .text(let value): bytes.append(contentsOf: value.utf8)
        case .untyped(let value):
            bytes.append(contentsOf: value.utf8)
            format = 0
        case .bytes(let value): bytes.append(contentsOf: value)
        case .json(let value):
            bytes.append(1)
            bytes.append(contentsOf: value)
        case .int16Array(let values): array(values, of: 21) { $0.append(number: $1) }
        case .int32Array(let values): array(values, of: 23) { $0.append(number: $1) }
        case .int64Array(let values): array(values, of: 20) { $0.append(number: $1) }
        case .float8Array(let values): array(values, of: 701) { $0.append(number: $1.bitPattern) }
        case .boolArray(let values): array(values, of: 16) { $0.append($1 ? 1 : 0) }
        case .textArray(let values): array(values, of: 25) { $0.append(contentsOf: $1.utf8) }
        case .int16ArrayOptional(let values): array(optional: values, of: 21) { $0.append(number: $1) }
        case .int32ArrayOptional(let values): array(optional: values, of: 23) { $0.append(number: $1) }
        case .int64ArrayOptional(let values): array(optional: values, of: 20) { $0.append(number: $1) }
        case .float8ArrayOptional(let values): array(optional: values, of: 701) { $0.append(number: $1.bitPattern) }
        case .textArrayOptional(let values): array(optional: values, of: 25) { $0.append(contentsOf: $1.utf8) }
        case .jsonbArray(let values):
            array(optional: values, of: 3802) {
                $0.append(1)
                $0.append(contentsOf: $1)
            }
        }
        starts.append(isNull ? -1 : start)
        lengths.append(CInt(clamping: bytes.count - start))
        formats.append(format)
        // libpq reads a text up to its NUL; for the others the byte keeps an empty last value inside the buffer.
        bytes.append(0)
    }

    private mutating func array<T>(_ values: [T], of oid: UInt32, _ element: (inout [UInt8], T) -> Void) {
        begin(count: values.count, of: oid, hasNull: false, size: MemoryLayout<T>.size)
        for value in values { bytes.append(sized: value, element) }
    }

    private mutating func array<T>(optional values: [T?], of oid: UInt32, _ element: (inout [UInt8], T) -> Void) {
        begin(count: values.count, of: oid, hasNull: values.contains { $0 == nil }, size: MemoryLayout<T>.size)
        for value in values {
            if let value { bytes.append(sized: value, element) } else { bytes.append(number: Int32(-1)) }
        }
    }

    /// The head of an array on the wire: dimensions, whether there are nulls, the element's type, length, lower bound.
    private mutating func begin(count: Int, of oid: UInt32, hasNull: Bool, size: Int) {
        bytes.reserveCapacity(bytes.count + 20 + count * (4 + size))
        bytes.append(number: Int32(count == 0 ? 0 : 1))
        bytes.append(number: Int32(hasNull ? 1 : 0))
        bytes.append(number: oid)
        guard count > 0 else { return }
        bytes.append(number: Int32(clamping: count))
        bytes.append(number: Int32(1))
    }
}

extension [UInt8] {
    fileprivate mutating func append(number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }

    /// Four bytes of length, then the value.
    fileprivate mutating func append<T>(sized value: T, _ element: (inout [UInt8], T) -> Void) {
        let start = count
        append(number: Int32(0))
        element(&self, value)
        let length = UInt32(clamping: count - start - 4)
        for place in 0..<4 { self[start + place] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(place))) }
    }
}
