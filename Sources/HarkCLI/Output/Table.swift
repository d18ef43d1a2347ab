/// An aligned table: a header, two blanks between columns, and on a terminal the widest elastic columns cut to fit.
struct Table {
    struct Column {
        enum Alignment { case left, right }

        var title: String
        var alignment = Alignment.left
        /// May be cut when the terminal is too narrow; a firm one only when the others have given what they can.
        var isElastic = false
        var isFirm = false

        static func left(_ title: String) -> Column { Column(title: title) }
        static func right(_ title: String) -> Column { Column(title: title, alignment: .right) }
        static func elastic(_ title: String) -> Column { Column(title: title, isElastic: true) }
        static func firm(_ title: String) -> Column { Column(title: title, isElastic: true, isFirm: true) }
    }

    struct Cell: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
        var text: String
        var style: Terminal.Style

        /// The text may come from anywhere; it is made harmless here.
        init(_ text: String, _ style: Terminal.Style = .plain) {
            self.text = Harmless.line(text)
            self.style = style
        }

        init(stringLiteral text: String) { self.init(text) }
    }

    private static let gap = "  "
    /// No column is cut to fewer.
    private static let least = 8

    private let columns: [Column]
    private(set) var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ row: [Cell]) { rows.append(row) }

    var isEmpty: Bool { rows.isEmpty }

    /// Columns in which no row has anything to say are left out, except the first.
    func render(on terminal: Terminal) -> String {
        let shown = columns.indices.filter { index in index == 0 || rows.contains { !$0[index].text.isEmpty } }
        let widths = fit(shown, to: terminal.width)
        var lines = [line(shown, widths, terminal) { Cell(columns[$0].title, .dim) }]
        for row in rows { lines.append(line(shown, widths, terminal) { row[$0] }) }
        return lines.joined(separator: "\n")
    }

    private func line(_ shown: [Int], _ widths: [Int], _ terminal: Terminal, _ cell: (Int) -> Cell) -> String {
        var line = ""
        for (place, index) in shown.enumerated() {
            let cell = cell(index)
            let text = Terminal.cut(cell.text, to: widths[place])
            let padding = String(repeating: " ", count: max(0, widths[place] - Terminal.columns(text)))
            let styled = terminal.styled(text, cell.style)
            let isLast = place == shown.count - 1
            line += columns[index].alignment == .right ? padding + styled : styled + (isLast ? "" : padding)
            if !isLast { line += Self.gap }
        }
        // An empty last cell leaves the padding of the ones before it.
        while line.hasSuffix(" ") { line.removeLast() }
        return line
    }

    private func fit(_ shown: [Int], to limit: Int?) -> [Int] {
        var widths = shown.map { index in
            rows.reduce(Terminal.columns(columns[index].title)) { max($0, Terminal.columns($1[index].text)) }
        }
        guard let limit else { return widths }
        var excess = widths.reduce(0, +) + Self.gap.count * (shown.count - 1) - limit
        // Take from the widest that can give, one column at a time, so that they end up alike.
        for firm in [false, true] {
            while excess > 0 {
                let elastic = widths.indices.filter {
                    let column = columns[shown[$0]]
                    return column.isElastic && column.isFirm == firm && widths[$0] > Self.least
                }
                guard let widest = elastic.max(by: { widths[$0] < widths[$1] }) else { break }
                widths[widest] -= 1
                excess -= 1
            }
        }
        return widths
    }
}
