internal import CHarkFiles

/// One file of the top-level `migrations/` folder.
///
/// Migrations are plain SQL that psql can run, go forward only, and are applied in the order of their names, each in a
/// transaction of its own. Each ends by writing its own row into `hark.migrations`.
public struct Migration: Sendable, Equatable {
    /// `0001_create_tasks`
    public let name: String
    public let sql: String
    /// What its first line says. Workers built before a *compatible* migration go on working; before a *breaking* one they refuse to start.
    public let isCompatible: Bool

    public init(name: String, sql: String) {
        self.name = name
        self.sql = sql
        isCompatible = sql.hasPrefix("-- hark: compatible")
    }

    /// Those that this build knows, in order.
    public static let all: [Migration] = files("migrations/").filter { $0.name.first?.isNumber == true }.map { Migration(name: $0.name, sql: $0.text) }

    /// The optional roles: `migrations/grants.sql`.
    public static let grants: String = files("migrations/").first { $0.name == "grants" }?.text ?? ""

    private static func files(_ folder: String) -> [(name: String, text: String)] {
        var count = 0
        guard let all = hark_files(&count) else { return [] }
        return UnsafeBufferPointer(start: all, count: count).compactMap { file in
            let path = String(cString: file.name)
            guard path.hasPrefix(folder), path.hasSuffix(".sql") else { return nil }
            let text = String(decoding: UnsafeBufferPointer(start: file.bytes, count: file.size), as: UTF8.self)
            return (String(path.dropFirst(folder.count).dropLast(4)), text)
        }
    }
}
