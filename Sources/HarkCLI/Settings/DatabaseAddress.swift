internal import PQ

/// Which database: `--database`, else HARK_DATABASE, else DATABASE_URL, else `database` of the file, else libpq's own
/// environment and defaults.
///
/// `PG*` stands above the file as all environment does, but parameter by parameter: with PGPASSWORD set, the file still
/// says where the database is. What a flag or a URL of the environment says, no `PG*` variable overrides; what it leaves
/// open, libpq takes from them as ever.
enum DatabaseAddress {
    private static let variables = [("PGHOST", "host"), ("PGHOSTADDR", "hostaddr"), ("PGPORT", "port"), ("PGDATABASE", "dbname"), ("PGUSER", "user")]

    static func read(_ reader: SettingReader) throws(SettingProblem) -> Sourced<Conninfo> {
        let given = reader.given("database", variables: ["HARK_DATABASE", "DATABASE_URL"])
        if let hidden = reader.given(inFile: ["database"]) { _ = try parse(hidden) }
        let names = variables.filter { !(reader.environment[$0.0] ?? "").isEmpty }
        let service = !(reader.environment["PGSERVICE"] ?? "").isEmpty
        guard let given, given.isText || !service else {
            let origin: Origin = service ? .environment("PGSERVICE") : names.first.map { .environment($0.0) } ?? .builtIn
            return Sourced(value: try parse("", .builtIn), origin: origin)
        }
        var database = try parse(given)
        guard !given.isText else { return Sourced(value: database, origin: given.origin) }
        for (name, parameter) in names { if let value = reader.environment[name] { database = database.with(parameter, value) } }
        return Sourced(value: database, origin: given.origin)
    }

    static func parse(_ given: SettingReader.Given) throws(SettingProblem) -> Conninfo {
        // The value may hold a password, so no message repeats it.
        guard let text = given.value.string else { throw SettingProblem(origin: given.origin, message: "\(given.name) is not a text: put it in double quotes") }
        return try parse(text, given.origin, given.name)
    }

    private static func parse(_ text: String, _ origin: Origin, _ name: String = "database") throws(SettingProblem) -> Conninfo {
        do { return try Conninfo(text) } catch { throw SettingProblem(origin: origin, message: "\(name): \(error.message)") }
    }
}
