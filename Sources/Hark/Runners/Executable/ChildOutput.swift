internal import Logging
import Subprocess

/// What a child printed on stdout, up to a limit, and what that means as a result.
struct Printed: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var tooMuch = false
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Keeps the bytes, or nothing at all once there were too many.
    mutating func append(_ more: UnsafeRawBufferPointer) {
        guard !tooMuch else { return }
        guard bytes.count + more.count <= limit else {
            bytes = []
            tooMuch = true
            return
        }
        bytes.append(contentsOf: more)
    }

    /// JSON as it is; any other text as a JSON string, less the newline at its end; nil for nothing but white space.
    /// `mended` says what could not be stored and was replaced.
    var result: (text: [UInt8]?, mended: String?) {
        guard bytes.contains(where: { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 }) else { return (nil, nil) }
        let mended = "its output held NUL characters, which PostgreSQL cannot store: they were replaced by U+FFFD"
        if let json = JSONText(bytes) {
            return json.nulls.isEmpty ? (bytes, nil) : (json.storable, mended)
        }
        var text = bytes[...]
        if text.last == 0x0A { text.removeLast() }
        if text.last == 0x0D { text.removeLast() }
        return (JSONText.quote(String(decoding: text, as: UTF8.self)), text.contains(0) ? mended : nil)
    }
}

/// Splits stderr into lines of a bounded length, and keeps the last of them.
struct StderrLines: Sendable {
    static let longest = 8192
    private static let tailBytes = 8192
    private static let tailLines = 50

    private var partial: [UInt8] = []
    private var lines: [String] = []
    private var bytes = 0

    /// The last 50 lines, at most 8 KB; nil if there were none.
    var tail: String? { lines.isEmpty ? nil : lines.joined(separator: "\n") }

    /// Calls `line` for each line that is complete now. A line over 8 KB comes in pieces.
    mutating func append(_ more: UnsafeRawBufferPointer, _ line: (String) -> Void) {
        var rest = more[...]
        while !rest.isEmpty {
            let room = Self.longest - partial.count
            if let end = rest.prefix(room + 1).firstIndex(of: 0x0A) {
                partial.append(contentsOf: rest[..<end])
                rest = rest[(end + 1)...]
                flush(line)
            } else {
                partial.append(contentsOf: rest.prefix(room))
                rest = rest.dropFirst(room)
                if partial.count == Self.longest, !rest.isEmpty { flush(line) }
            }
        }
    }

    /// All lines of a child, logged as they come.
    static func logged(_ output: SubprocessOutputSequence, _ logger: Logger) async -> StderrLines {
        var lines = StderrLines()
        do {
            for try await buffer in output {
                buffer.withUnsafeBytes { lines.append($0) { logger.info("\($0)") } }
            }
        } catch {
            // A pipe that breaks is a pipe that has ended.
        }
        lines.end { logger.info("\($0)") }
        return lines
    }

    /// The last line may have no newline.
    mutating func end(_ line: (String) -> Void) {
        if !partial.isEmpty { flush(line) }
    }

    private mutating func flush(_ line: (String) -> Void) {
        if partial.last == 0x0D { partial.removeLast() }
        for index in partial.indices where partial[index] == 0 { partial.replaceSubrange(index...index, with: [0x3F]) }
        let text = String(decoding: partial, as: UTF8.self)
        partial.removeAll(keepingCapacity: true)
        line(text)
        lines.append(text)
        bytes += text.utf8.count + 1
        while lines.count > Self.tailLines || bytes > Self.tailBytes && lines.count > 1 {
            bytes -= lines.removeFirst().utf8.count + 1
        }
    }
}
