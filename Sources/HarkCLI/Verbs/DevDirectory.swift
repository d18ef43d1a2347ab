internal import Glibc
internal import Hark

/// Where `hark dev` keeps its PostgreSQL: `--directory`, else HARK_DEV_DIRECTORY, else `.hark` here.
///
/// PostgreSQL refuses to run as root, so for root it runs as the user postgres, which must be able to get to the
/// directory. When it cannot get here (/root is closed to it), a directory of its own under /var/lib is used.
enum DevDirectory {
    /// - Parameters:
    ///   - wanted: what the command line or the environment says.
    ///   - here: the current directory.
    static func choose(_ wanted: String?, here: String = currentDirectory, isRoot: Bool = geteuid() == 0) throws -> String {
        if let wanted, !wanted.isEmpty { return absolute(wanted, from: here) }
        let place = absolute(".hark", from: here)
        if !isRoot {
            guard access(here, W_OK) == 0 || isDirectory(place) else {
                throw Failure(Exit.configuration, "this directory cannot be written to\nName another one: hark dev --directory ~/.hark")
            }
            return place
        }
        if isOpenToAll(here) { return place }
        return isOpenToAll("/var/lib") ? "/var/lib/hark-dev" : "/var/tmp/hark-dev"
    }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether any user may pass through this directory and all above it.
    private static func isOpenToAll(_ path: String) -> Bool {
        var path = path
        while true {
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IXOTH != 0 else { return false }
            if path == "/" { return true }
            path = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "/"
        }
    }

    private static func absolute(_ path: String, from here: String) -> String {
        path.hasPrefix("/") ? path : here == "/" ? "/\(path)" : "\(here)/\(path)"
    }

    /// `.` when it has been removed.
    private static var currentDirectory: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else { return "." }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
