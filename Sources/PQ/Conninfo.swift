internal import CLibpq

/// Where the database is: whatever libpq accepts, that is a URL, `key=value` pairs, a service, several hosts. An empty
/// text leaves everything to the `PG*` environment and libpq's defaults, as in psql.
public struct Conninfo: Sendable, Equatable {
    private var parameters: [(key: String, value: String)] = []

    public static func == (a: Conninfo, b: Conninfo) -> Bool { a.parameters.elementsEqual(b.parameters, by: ==) }

    /// - Throws: `PostgresError` when libpq can not read it; the message names what is wrong but repeats no part of the
    ///   text that could be a secret.
    public init(_ text: String) throws(PostgresError) {
        var problem: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &problem) else {
            defer { PQfreemem(problem) }
            let said = problem.map { oneSentence(String(cString: $0)) } ?? "out of memory"
            throw PostgresError(message: "the database address can not be read: \(Self.withoutSecrets(said))")
        }
        defer { PQconninfoFree(options) }
        parameters = Self.values(options)
    }

    /// The same with one parameter (`application_name`, `keepalives_idle`, `host` ...) set or replaced.
    public func with(_ key: String, _ value: String) -> Conninfo {
        var copy = self
        copy.parameters.removeAll { $0.key == key }
        copy.parameters.append((key, value))
        return copy
    }

    /// The same with one parameter set, unless the text or libpq's environment has set it.
    public func withDefault(_ key: String, _ value: String) -> Conninfo {
        effective(key) == nil ? with(key, value) : self
    }

    /// What the text said of this parameter; nil when it said nothing.
    public subscript(key: String) -> String? { parameters.last { $0.key == key }?.value }

    /// For people: `postgresql:///app on /run/postgresql as hark`, `postgresql://db.example/app as hark`. Has no password.
    public var summary: String {
        if let service = effective("service") { return "the database of service “\(service)”" }
        let defaults = Self.defaults()
        func value(_ key: String) -> String? { self[key] ?? defaults.last { $0.key == key }?.value }
        let user = value("user")
        let database = value("dbname") ?? user ?? ""
        let suffix = user.map { " as \($0)" } ?? ""
        let hosts = (value("host") ?? value("hostaddr") ?? "").split(separator: ",", omittingEmptySubsequences: false)
        let ports = (value("port") ?? "").split(separator: ",", omittingEmptySubsequences: false)
        if hosts.allSatisfy({ $0.hasPrefix("/") || $0.hasPrefix("@") || $0.isEmpty }) {
            let places = hosts.filter { !$0.isEmpty }.joined(separator: ", ")
            return "postgresql:///\(database)" + (places.isEmpty ? "" : " on \(places)") + suffix
        }
        let places = hosts.enumerated().map { index, host in
            let port = ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : ""
            let name = host.contains(":") ? "[\(host)]" : String(host)
            return port.isEmpty || port == "5432" ? name : "\(name):\(port)"
        }
        return "postgresql://\(places.joined(separator: ","))/\(database)\(suffix)"
    }

    /// Whether libpq can reach it without asking a name server: sockets and addresses only.
    var needsNoLookup: Bool {
        if effective("service") != nil { return false }
        if effective("hostaddr") != nil { return true }
        return (effective("host") ?? "").split(separator: ",").allSatisfy { host in
            host.hasPrefix("/") || host.hasPrefix("@") || host.contains(":")
                || host.allSatisfy { $0.isNumber || $0 == "." }
        }
    }

    /// One for each host, or this one when it names a single host or libpq has to choose between them by itself.
    var hostByHost: [Conninfo] {
        func list(_ key: String) -> [String] {
            effective(key).map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) } ?? []
        }
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"))
        let count = max(hosts.count, addresses.count)
        guard count > 1, effective("target_session_attrs") != "prefer-standby", effective("service") == nil,
            [hosts, addresses].allSatisfy({ $0.isEmpty || $0.count == count }), [0, 1, count].contains(ports.count)
        else { return [self] }
        return (0..<count).map { index in
            var one = self
            if !hosts.isEmpty { one = one.with("host", hosts[index]) }
            if !addresses.isEmpty { one = one.with("hostaddr", addresses[index]) }
            if ports.count > 1 { one = one.with("port", ports[index]) }
            return one
        }
    }

    /// Begins to connect. Does not wait, but for a name server when `needsNoLookup` is false.
    func start() -> OpaquePointer? {
        let all = parameters + [("client_encoding", "UTF8"), ("fallback_application_name", "hark")].filter { self[$0.0] == nil }
        let text = all.flatMap { [Array($0.key.utf8CString), Array($0.value.utf8CString)] }
        let total = text.reduce(0) { $0 + $1.count }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: max(1, total)) { space in
            var keys: [UnsafePointer<CChar>?] = []
            var values: [UnsafePointer<CChar>?] = []
            var offset = 0
            for (index, item) in text.enumerated() {
                for (place, byte) in item.enumerated() { space[offset + place] = byte }
                let start = space.baseAddress.map { UnsafePointer($0 + offset) }
                if index.isMultiple(of: 2) { keys.append(start) } else { values.append(start) }
                offset += item.count
            }
            return PQconnectStartParams(keys + [nil], values + [nil], 0)
        }
    }

    private func effective(_ key: String) -> String? { self[key] ?? Self.defaults().last { $0.key == key }?.value }

    private static func defaults() -> [(key: String, value: String)] {
        guard let options = PQconndefaults() else { return [] }
        defer { PQconninfoFree(options) }
        return values(options)
    }

    private static func values(_ options: UnsafeMutablePointer<PQconninfoOption>) -> [(key: String, value: String)] {
        var found: [(key: String, value: String)] = []
        var option = options
        while let key = option.pointee.keyword {
            if let value = option.pointee.val, value.pointee != 0 {
                found.append((String(cString: key), String(cString: value)))
            }
            option += 1
        }
        return found
    }

    /// libpq quotes the part that it did not understand, which may be a piece of the password (one with a blank or a
    /// percent sign in it). Only what looks like the name of an option, or a single character, is let through.
    private static func withoutSecrets(_ message: String) -> String {
        let parts = message.split(separator: "\"", omittingEmptySubsequences: false)
        let naming = message.hasPrefix("invalid connection option") || message.hasPrefix("invalid URI query parameter")
        return parts.enumerated().map { index, part in
            guard !index.isMultiple(of: 2) else { return String(part) }
            let harmless = part.count <= 1 || (naming && part.allSatisfy { $0.isLetter || $0 == "_" })
            return harmless ? "“\(part)”" : "“…”"
        }.joined()
    }
}
