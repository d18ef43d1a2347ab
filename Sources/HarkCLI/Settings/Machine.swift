internal import FoundationEssentials
internal import Glibc

/// All variables of the environment.
func allVariables() -> [String: String] { ProcessInfo.processInfo.environment }

func hostname() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return name.isEmpty ? "worker" : String(name.prefix(100))
}
