import Glibc

/// The allow-list: which program each function name stands for. Names of tasks are looked up here and nowhere else.
struct ExecutableCatalog: Sendable {
    /// The program and its arguments, never empty.
    private(set) var commands: [String: [String]] = [:]

    init() {}

    /// Reads the functions directory.
    init(_ settings: ExecutableSettings) throws(ExecutableSettingsError) {
        for (name, command) in settings.commands {
            guard let program = command.first, !program.isEmpty else {
                throw ExecutableSettingsError("the command of function \(name) is empty: it needs at least a program")
            }
            commands[name] = command
        }
        guard let directory = settings.directory else { return }
        var files: [String: String] = [:]
        for file in try Self.files(in: directory) {
            let name = Self.name(of: file)
            if let other = files[name] {
                let pair = [other, file].sorted()
                throw ExecutableSettingsError(
                    "\(directory) has two files for the function \(name), \(pair[0]) and \(pair[1]): rename or remove one")
            }
            if commands[name] != nil {
                throw ExecutableSettingsError(
                    "the function \(name) is both a command of the configuration and the file \(directory)/\(file): remove one")
            }
            files[name] = file
        }
        for (name, file) in files { commands[name] = ["\(directory)/\(file)"] }
    }

    /// The file's name less its last extension.
    static func name(of file: String) -> String {
        guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return file }
        return String(file[..<dot])
    }

    private static func files(in directory: String) throws(ExecutableSettingsError) -> [String] {
        guard let stream = opendir(directory) else {
            throw ExecutableSettingsError(
                "the functions directory \(directory) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { closedir(stream) }
        var files: [String] = []
        while let entry = readdir(stream) {
            let file = withUnsafeBytes(of: &entry.pointee.d_name) { name in
                String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !file.hasPrefix("."), isProgram("\(directory)/\(file)") { files.append(file) }
        }
        return files
    }

    /// Whether it is a regular file (or a link to one) that this process may execute.
    static func isProgram(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        return access(path, X_OK) == 0
    }

    /// Where a program is: itself if it has a slash, else the first in `path` that can be executed.
    static func resolve(_ program: String, path: String) -> String? {
        if program.contains("/") { return program }
        return path.split(separator: ":").map { "\($0)/\(program)" }.first(where: isProgram)
    }

    /// Why the system would not start the program, in one sentence.
    static func complaint(about program: String, directory: String?, _ error: any Error) -> String {
        var status = stat()
        if let directory, stat(directory, &status) != 0 || status.st_mode & S_IFMT != S_IFDIR {
            return "cannot start: the working directory \(directory) does not exist"
        }
        guard stat(program, &status) == 0 else { return "cannot start: there is no program \(program)" }
        guard status.st_mode & S_IFMT == S_IFREG else { return "cannot start: \(program) is not a file" }
        guard access(program, X_OK) == 0 else { return "cannot start: \(program) is not executable (chmod +x)" }
        let first = readFile(program, limit: 256).prefix { $0 != 0x0A && $0 != 0 }
        guard first.starts(with: "#!".utf8) else {
            return "cannot start \(program): it is no program for this machine, or a script without a #! line (\(error))"
        }
        let interpreter = String(decoding: first.dropFirst(2), as: UTF8.self).split(whereSeparator: \.isWhitespace).first ?? ""
        guard access(String(interpreter), X_OK) == 0 else {
            return "cannot start: \(program) asks for the interpreter \(interpreter), which does not exist here"
        }
        return "cannot start \(program): \(error)"
    }
}
