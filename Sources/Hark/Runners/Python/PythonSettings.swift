import Glibc

/// Which Python functions a worker runs, and how: `[python]` of the configuration.
public struct PythonSettings: Sendable, Equatable {
    /// The program, as a rule of the project's virtual environment: 3.10 or later.
    public var interpreter: String
    /// The project: where it starts, and first in its `sys.path`; nil means the worker's own directory.
    public var directory: String?
    /// DJANGO_SETTINGS_MODULE; nil: there is no Django to set up.
    public var djangoSettings: String?
    /// Only functions of these may be run.
    public var modules: Modules
    /// Imported once, before interpreters are forked, and so shared by all.
    public var preload: [String] = []
    /// How many run at a time, 1 to 256.
    public var interpreters = 2
    /// An interpreter that has run so many is replaced; nil: never for that.
    public var tasksPerInterpreter: Int?
    /// An interpreter that is larger than so many bytes after a task is replaced; one that wants twice as much gets a MemoryError.
    public var memoryLimit: Int?
    /// Added to the environment, which otherwise holds PATH, HOME, LANG and TZ of the worker.
    public var environment: [String: String] = [:]
    /// The largest result, in bytes of JSON.
    public var resultLimit = 1 << 20
    /// From the interrupt of a function to the end of its interpreter, when the worker ends.
    public var grace = Duration.seconds(5)
    /// As in `ExecutableSettings`.
    public var adoptsOrphans = false

    public init(interpreter: String, modules: Modules, directory: String? = nil, djangoSettings: String? = nil) {
        self.interpreter = interpreter
        self.modules = modules
        self.directory = directory
        self.djangoSettings = djangoSettings
    }

    /// The same program and directory from wherever they are looked at.
    private static func absolute(_ path: String) -> String {
        guard path.contains("/"), !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return "\(String(cString: here))/\(path)"
    }

    /// Why it cannot be started, in one sentence; nil if nothing speaks against it.
    public var problem: String? {
        let program = Self.absolute(interpreter)
        if modules.isEmpty { return "no modules are allowed: name those whose functions may be run, modules = [\"app\"]" }
        if let directory, access(directory, X_OK) != 0 { return "the directory \(directory) cannot be entered: \(String(cString: strerror(errno)))" }
        guard ExecutableCatalog.resolve(program, path: path) != nil else { return "there is no program \(interpreter) in PATH" }
        var status = stat()
        if stat(program, &status) != 0, program.contains("/") { return "there is no interpreter \(interpreter), or it is a link to what this user cannot see" }
        if program.contains("/"), !ExecutableCatalog.isProgram(program) { return "the interpreter \(interpreter) cannot be executed" }
        return nil
    }

    private var path: String { getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin" }

    /// Relative paths are from where the worker was started.
    var program: String {
        let program = Self.absolute(interpreter)
        return ExecutableCatalog.resolve(program, path: path) ?? program
    }
    var place: String? { directory.map { $0.hasPrefix("/") ? $0 : Self.absolute("./" + $0) } }

    /// The first thing that the fork server is told after its program.
    var json: [UInt8] {
        func list(_ texts: [String]) -> [UInt8] { [UInt8(ascii: "[")] + texts.map(JSONText.quote).joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")] }
        func number(_ number: Int?) -> [UInt8] { Array((number.map { "\($0)" } ?? "null").utf8) }
        return JSONText.object([
            ("version", number(1)), ("directory", place.map(JSONText.quote) ?? number(nil)),
            ("django_settings", djangoSettings.map(JSONText.quote) ?? number(nil)), ("modules", list(modules.names)), ("preload", list(preload)),
            ("result_limit", number(resultLimit)), ("memory_limit", number(memoryLimit)), ("tasks_per_interpreter", number(tasksPerInterpreter)),
        ])
    }
}
