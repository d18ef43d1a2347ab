// The Swift functions that a worker can run, by name.
//
// Arguments that do not fit will not fit at the next attempt either, so they fail the task for good, with a sentence that
// names the function, the place and the type. Everything else that a function throws is retried.

import FoundationEssentials

/// A registry of Swift functions, by the name that a task gives in `hark.tasks.function`.
///
/// ```swift
/// var functions = Functions()
/// functions.add("interesting_calculation") { (_: TaskContext, a: Int, b: Int) in a * b }
/// functions.add("send_email", taking: Email.self) { context, email in try await mailer.send(email) }
/// ```
/// A name that is added twice means the function that was added last. Dates in arguments and results are ISO 8601.
public struct Functions: Sendable {
    /// JSON text in, JSON text (or nil for no result) out.
    public typealias Raw = @Sendable (TaskContext, [UInt8]) async throws -> [UInt8]?

    private(set) var bodies: [String: Raw] = [:]

    public init() {}

    public var names: Set<String> { Set(bodies.keys) }

    /// Adds a function that is given the arguments as the JSON text that the database holds and answers with JSON text:
    /// nothing is decoded or checked.
    public mutating func addRaw(_ name: String, _ body: @escaping Raw) {
        bodies[name] = body
    }

    /// Adds a function whose arguments are a JSON list, one element for each parameter after the context.
    public mutating func add<each Argument: Decodable & Sendable, Value: Encodable & SendableMetatype>(
        _ name: String, _ body: @escaping @Sendable (TaskContext, repeat each Argument) async throws -> Value
    ) {
        bodies[name] = { context, args in
            let list = try ArgumentError.fitting(name, args) { try ArgumentList<repeat each Argument>(json: args) }
            return try JSON.result(name, try await body(context, repeat each list.values))
        }
    }

    /// Adds a function without a result whose arguments are a JSON list, one element for each parameter after the context.
    public mutating func add<each Argument: Decodable & Sendable>(
        _ name: String, _ body: @escaping @Sendable (TaskContext, repeat each Argument) async throws -> Void
    ) {
        bodies[name] = { context, args in
            let list = try ArgumentError.fitting(name, args) { try ArgumentList<repeat each Argument>(json: args) }
            try await body(context, repeat each list.values)
            return nil
        }
    }

    /// Adds a function whose arguments, a JSON object as a rule, are one value.
    public mutating func add<Argument: Decodable & Sendable, Value: Encodable & SendableMetatype>(
        _ name: String, taking type: Argument.Type,
        _ body: @escaping @Sendable (TaskContext, Argument) async throws -> Value
    ) {
        bodies[name] = { context, args in
            let value = try ArgumentError.fitting(name, args) { try JSON.decode(Argument.self, args) }
            return try JSON.result(name, try await body(context, value))
        }
    }

    /// Adds a function without a result whose arguments, a JSON object as a rule, are one value.
    public mutating func add<Argument: Decodable & Sendable>(
        _ name: String, taking type: Argument.Type,
        _ body: @escaping @Sendable (TaskContext, Argument) async throws -> Void
    ) {
        bodies[name] = { context, args in
            let value = try ArgumentError.fitting(name, args) { try JSON.decode(Argument.self, args) }
            try await body(context, value)
            return nil
        }
    }
}

/// Codable at the edges. One decoder and one encoder for all: neither is changed once it is made.
enum JSON {
    private static let decoder = {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return decoder
    }()

    private static let encoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .iso8601
        return encoder
    }()

    static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Value {
        try decoder.decode(type, from: Data(bytes))
    }

    /// The JSON text of a result.
    static func result(_ function: String, _ value: some Encodable) throws -> [UInt8] {
        do {
            return [UInt8](try encoder.encode(value))
        } catch {
            throw Verdict.fail(reason: "the result of \(function) cannot be written as JSON: \(error)")
        }
    }
}
