import FoundationEssentials

/// A JSON list, element by element: the arguments of a function with several parameters.
struct ArgumentList<each Argument: Decodable & Sendable>: Decodable, Sendable {
    let values: (repeat each Argument)

    /// - Parameter json: as the database gives it, without a blank in front.
    init(json: [UInt8]) throws {
        // For a function without parameters a decoder would be most of the work.
        if Self.count == 0, json.first == UInt8(ascii: "{") || json.elementsEqual("[]".utf8) {
            values = (repeat try Self.none((each Argument).self))
        } else {
            self = try JSON.decode(Self.self, json)
        }
    }

    private static var count: Int {
        var count = 0
        for _ in repeat (each Argument).self { count += 1 }
        return count
    }

    init(from decoder: any Decoder) throws {
        let expected = Self.count
        if expected == 0, (try? decoder.singleValueContainer().decode(JSONShape.self)) == .object {
            // A function without parameters may be called with {} too.
            values = (repeat try Self.none((each Argument).self))
            return
        }
        var list = try decoder.unkeyedContainer()
        if let count = list.count, count != expected { throw WrongCount(expected: expected, found: count) }
        values = (repeat try list.decode((each Argument).self))
    }

    private static func none<Value>(_ type: Value.Type) throws -> Value {
        throw WrongCount(expected: 1, found: 0)
    }
}

struct WrongCount: Error {
    let expected: Int
    let found: Int
}

/// Arguments that a function cannot take; no further attempt is of use.
struct ArgumentError: Error {
    let message: String

    /// Runs `decode`, and says in one sentence why the arguments do not fit if they do not.
    static func fitting<Value>(_ function: String, _ args: [UInt8], _ decode: () throws -> Value) throws(ArgumentError) -> Value {
        do {
            return try decode()
        } catch {
            throw ArgumentError(message: "arguments do not fit \(function): \(sentence(error, args))")
        }
    }

    private static func sentence(_ error: any Error, _ args: [UInt8]) -> String {
        switch error {
        case let error as WrongCount:
            return "expected \(error.expected) in a list, found \(error.found)"
        case DecodingError.typeMismatch(let type, let context), DecodingError.valueNotFound(let type, let context):
            let found = JSONShape.of(args, at: context.codingPath)
            return "expected \(name(type))\(place(context.codingPath)), found \(found?.article ?? "something else")"
        case DecodingError.keyNotFound(let key, let context):
            return "\"\(key.stringValue)\" is missing\(place(context.codingPath))"
        case DecodingError.dataCorrupted(let context):
            return context.debugDescription + place(context.codingPath)
        default:
            return "\(error)"
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        guard let last = path.last else { return "" }
        if path.count == 1, let index = last.intValue { return " at index \(index)" }
        let words = path.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
        return " at " + (words.first == "." ? String(words.dropFirst()) : words)
    }

    private static func name(_ type: Any.Type) -> String {
        let name = "\(type)"
        if name == "Array<Any>" { return "a list" }
        return name.hasPrefix("Dictionary<") ? "an object" : name
    }
}

/// The sort of a JSON value, for error messages only.
enum JSONShape: Decodable, Equatable {
    case null, boolean, number, string, list, object

    var article: String {
        switch self {
        case .null: "null"
        case .boolean: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .list: "a list"
        case .object: "an object"
        }
    }

    init(from decoder: any Decoder) throws {
        if (try? decoder.unkeyedContainer()) != nil { self = .list; return }
        if (try? decoder.container(keyedBy: Key.self)) != nil { self = .object; return }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if (try? value.decode(Bool.self)) != nil {
            self = .boolean
        } else if (try? value.decode(String.self)) != nil {
            self = .string
        } else {
            self = .number
        }
    }

    /// The sort of the value at `path` within `args`; nil if there is none.
    static func of(_ args: [UInt8], at path: [any CodingKey]) -> JSONShape? {
        let decoder = JSONDecoder()
        decoder.userInfo[Probe.path] = path.map { key in key.intValue.map(Step.index) ?? .key(key.stringValue) }
        return try? decoder.decode(Probe.self, from: Data(args)).shape
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int?
        init(stringValue: String) { self.stringValue = stringValue }
        init(intValue: Int) { stringValue = "\(intValue)"; self.intValue = intValue }
    }

    private enum Step: Sendable {
        case index(Int)
        case key(String)
    }

    /// Walks down the path that the decoder's `userInfo` carries.
    private struct Probe: Decodable {
        let shape: JSONShape

        init(from decoder: any Decoder) throws {
            let path = decoder.userInfo[Self.path] as? [Step] ?? []
            let depth = decoder.codingPath.count
            guard depth < path.count else {
                shape = try JSONShape(from: decoder)
                return
            }
            switch path[depth] {
            case .index(let index):
                var list = try decoder.unkeyedContainer()
                for _ in 0..<index { _ = try list.superDecoder() }
                shape = try list.decode(Probe.self).shape
            case .key(let name):
                let object = try decoder.container(keyedBy: Key.self)
                shape = try object.decode(Probe.self, forKey: Key(stringValue: name)).shape
            }
        }

        static let path = CodingUserInfoKey(rawValue: "path")!
    }
}
