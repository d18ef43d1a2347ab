internal import Glibc

/// Where output goes, and what may be done there: colours and cutting only on a terminal.
struct Terminal: Sendable {
    /// nil: not a terminal, so nothing is cut.
    var width: Int?
    var hasColours: Bool

    static let stdout = Terminal(descriptor: STDOUT_FILENO)
    static let stderr = Terminal(descriptor: STDERR_FILENO)
    static let plain = Terminal(width: nil, hasColours: false)

    init(width: Int?, hasColours: Bool) {
        self.width = width
        self.hasColours = hasColours
    }

    private init(descriptor: CInt) {
        guard isatty(descriptor) == 1 else {
            self = .plain
            return
        }
        var size = winsize()
        let known = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        width = known ? Int(size.ws_col) : 80
        // https://no-color.org
        hasColours = (environment("NO_COLOR") ?? "").isEmpty && environment("TERM") != "dumb"
    }

    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case plain = ""
    }

    func styled(_ text: String, _ style: Style) -> String {
        hasColours && style != .plain ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// How many columns a text takes. East Asian wide characters and emoji take two.
    static func columns(_ text: some StringProtocol) -> Int { text.reduce(0) { $0 + columns($1) } }

    private static func columns(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first, scalar.value >= 0x300 else { return 1 }
        switch scalar.value {
        case 0x300...0x36F, 0x200B...0x200D, 0xFE00...0xFE0F: return 0
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
            0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    /// Cut to so many columns, with an ellipsis for what is missing.
    static func cut(_ text: String, to width: Int) -> String {
        guard columns(text) > width else { return text }
        var kept = ""
        var used = 0
        for character in text {
            let size = columns(character)
            if used + size > max(width - 1, 0) { break }
            kept.append(character)
            used += size
        }
        return width > 0 ? kept + "…" : ""
    }
}

/// A variable of the environment; nil when it is not set.
func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// Writes all of it to a descriptor. What cannot be written (a closed pipe) is gone; there is nobody to tell.
func write(_ text: String, to descriptor: CInt) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 { bytes = bytes.dropFirst(count) } else if errno != EINTR { return }
    }
}

/// A line for the user's result.
func say(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

/// A line beside the result: notes and errors.
func note(_ line: String) { write(line + "\n", to: STDERR_FILENO) }
