/// Text from the database or from a task, made safe for a terminal.
///
/// A name or an error message can hold escape sequences that move the cursor, change the title or answer in the user's
/// name, and characters that turn the direction of what follows. None of them reaches the terminal: each is shown as what it is.
enum Harmless {
    /// On one line: newlines and tabs are shown too.
    static func line(_ text: some StringProtocol) -> String { clean(text) { _ in false } }

    /// Lines and tabs stay.
    static func lines(_ text: some StringProtocol) -> String { clean(text) { $0 == "\n" || $0 == "\t" } }

    private static func clean(_ text: some StringProtocol, keeping: (Unicode.Scalar) -> Bool) -> String {
        guard text.unicodeScalars.contains(where: { isHarmful($0) && !keeping($0) }) else { return String(text) }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if !isHarmful(scalar) || keeping(scalar) {
                out.append(scalar)
            } else if scalar.value < 0x20, let picture = Unicode.Scalar(0x2400 + scalar.value) {
                // The control pictures: ␛ for ESC, ␊ for a newline.
                out.append(picture)
            } else {
                out.append(contentsOf: "<\(String(scalar.value, radix: 16, uppercase: true))>".unicodeScalars)
            }
        }
        return String(out)
    }

    static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: true
        // Marks, embeddings, overrides and isolates of the bidirectional algorithm; line and paragraph separators.
        case 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069, 0x2028, 0x2029, 0x061C: true
        default: false
        }
    }
}
