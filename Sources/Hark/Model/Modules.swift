/// Modules whose functions may be run, each with everything below it: `sim` stands for `sim.f` and `sim.services.f`, and not
/// for `simulate.f`.
public struct Modules: Sendable, Equatable, ExpressibleByArrayLiteral {
    /// Dotted names, as `import` takes them.
    public let names: [String]

    public init(_ names: [String]) { self.names = names }
    public init(arrayLiteral names: String...) { self.names = names }

    public var isEmpty: Bool { names.isEmpty }

    /// Whether `function`, a dotted name whose last part is the function's own, lies in one of them.
    public func cover(_ function: String) -> Bool {
        let function = function.utf8
        return names.contains { module in
            function.starts(with: module.utf8) && function.dropFirst(module.utf8.count).first == UInt8(ascii: ".")
        }
    }

    /// Why a function that nobody here has may not be run, if its name is that of a module's function. `os.system` is one.
    func refusal(of function: String) -> String? {
        guard !isEmpty, function.contains(".") else { return nil }
        return "\(function) may not be run by this worker: its modules are \(names.joined(separator: ", ")) ([python] modules)"
    }
}
