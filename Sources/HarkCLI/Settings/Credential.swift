internal import Glibc

/// What the service manager hands over in files (LoadCredential= of systemd.exec(5)), so that no secret stands in a
/// configuration, an environment or an argument.
enum Credential {
    /// The database's password: the credential `password`. Used where the address has none.
    /// - Returns: nil when there is no such credential.
    /// - Throws: `SettingProblem` when there is one that cannot be read or used; its content is in no message.
    static func password() throws(SettingProblem) -> String? {
        guard let directory = environment("CREDENTIALS_DIRECTORY"), !directory.isEmpty else { return nil }
        let path = directory + "/password"
        if access(path, F_OK) != 0, errno == ENOENT { return nil }
        guard var text = readText(path) else {
            throw SettingProblem(origin: .file(path, line: nil), message: "the credential cannot be read: \(String(cString: strerror(errno)))")
        }
        if text.hasSuffix("\n") { text.removeLast() }
        guard (1...1_000).contains(text.count), !text.contains(where: { $0.isNewline || $0 == "\0" }) else {
            throw SettingProblem(origin: .file(path, line: nil), message: "the credential is not a password: one line of 1 to 1000 characters is")
        }
        return text
    }
}
