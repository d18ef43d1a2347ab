import Glibc
import Subprocess

/// What children are given of the worker's own environment: no more than PATH, HOME, LANG and TZ, so that no password gets to a
/// function by accident. And HARK_WORKER, by which they are found should the worker be killed.
enum CleanEnvironment {
    static func variables(adding more: [String: String]) -> [String: String] {
        var variables = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
        for name in ["PATH", "HOME", "LANG", "TZ"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        variables.merge(more) { $1 }
        variables[Leftovers.variable] = Leftovers.mark
        return variables
    }

    static func custom(_ variables: [String: String]) -> Environment {
        .custom(variables.reduce(into: [:]) { $0[.init(stringLiteral: $1.key)] = $1.value })
    }
}
