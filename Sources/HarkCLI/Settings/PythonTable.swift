internal import Hark

/// The table `[python]` of the configuration file.
enum PythonTable {
    static let keys = [
        "interpreter", "directory", "django_settings", "modules", "preload", "interpreters", "tasks_per_interpreter", "memory_limit", "environment",
        "pass_environment",
    ]

    /// nil when the file has no such table: then the worker runs no Python functions.
    static func read(_ reader: SettingReader) throws(SettingProblem) -> Sourced<PythonSettings>? {
        let table = ["python"]
        guard let whole = reader.given(inFile: table) else { return nil }
        guard case .object = whole.value else { throw whole.problem("is not a table") }
        try reader.refuseUnknown(in: table, valid: keys)
        func given(_ key: String) -> SettingReader.Given? { reader.given(inFile: table + [key]) }
        var python = PythonSettings(interpreter: "python3", modules: [])
        if let given = given("interpreter") { python.interpreter = try given.text() }
        if let given = given("directory") { python.directory = try given.text() }
        if let given = given("django_settings") { python.djangoSettings = try given.dotted() }
        guard let modules = given("modules") else {
            throw whole.problem("lacks modules: name those whose functions tasks may run, modules = [\"app\"]", quoting: false)
        }
        python.modules = Modules(try modules.dottedNames())
        if let given = given("preload") { python.preload = try given.dottedNames() }
        if let given = given("interpreters") { python.interpreters = try given.integer(1...256) }
        if let given = given("tasks_per_interpreter") { python.tasksPerInterpreter = try given.integer(1...1_000_000_000) }
        if let given = given("memory_limit") { python.memoryLimit = try given.size(16 << 20...1 << 40) }
        if let given = given("pass_environment") {
            for name in try given.texts() { if let value = reader.environment[name] { python.environment[name] = value } }
        }
        if let given = given("environment") { python.environment.merge(try given.variables()) { $1 } }
        return Sourced(value: python, origin: whole.origin)
    }
}

extension SettingReader.Given {
    /// A name as Python's `import` takes it.
    func dotted() throws(SettingProblem) -> String {
        let name = try text(1...200)
        guard Self.isDotted(name) else { throw problem("is not the name of a module: write it like \"app.services\"") }
        return name
    }

    func dottedNames() throws(SettingProblem) -> [String] {
        let names = try texts()
        for name in names where !Self.isDotted(name) { throw problem("has “\(name)”, which is not the name of a module: write it like \"app.services\"") }
        return names
    }

    private static func isDotted(_ name: String) -> Bool {
        name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            part.first.map { $0.isLetter || $0 == "_" } ?? false && part.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
        }
    }
}
