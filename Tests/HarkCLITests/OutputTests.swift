import Testing

@testable import Hark
@testable import HarkCLI

@Suite("Output")
struct OutputTests {
    private func table(_ rows: [[Table.Cell]]) -> Table {
        var table = Table([.right("ID"), .left("STATE"), .elastic("ARGS"), .left("NOTE")])
        for row in rows { table.add(row) }
        return table
    }

    @Test("columns are aligned, and one that says nothing is left out")
    func aligned() {
        let text = table([["7", "ready", "[]", ""], ["1234", "completed", "[\"日本\"]", ""]]).render(on: .plain)
        #expect(text == """
              ID  STATE      ARGS
               7  ready      []
            1234  completed  ["日本"]
            """)
    }

    @Test("on a terminal the elastic column gives way; elsewhere nothing is cut")
    func cut() {
        let rows: [[Table.Cell]] = [["1", "ready", Table.Cell(String(repeating: "x", count: 100)), "late"]]
        let narrow = table(rows).render(on: Terminal(width: 40, hasColours: false))
        #expect(narrow.split(separator: "\n").allSatisfy { Terminal.columns($0) <= 40 })
        #expect(narrow.contains("x…"))
        #expect(narrow.contains("late"))
        #expect(table(rows).render(on: .plain).contains(String(repeating: "x", count: 100)))
    }

    @Test("wide characters are cut by the columns that they take")
    func wide() {
        #expect(Terminal.columns("日本語") == 6)
        #expect(Terminal.cut("日本語", to: 4) == "日…")
        #expect(Terminal.cut("abc", to: 3) == "abc")
    }

    @Test("colours are there only when wanted")
    func colours() {
        let rows: [[Table.Cell]] = [["1", Table.Cell("failed", .red), "[]", ""]]
        #expect(!table(rows).render(on: .plain).contains("\u{1B}"))
        #expect(table(rows).render(on: Terminal(width: 80, hasColours: true)).contains("\u{1B}[31mfailed\u{1B}[0m"))
    }

    @Test("escape sequences, control characters and direction marks of data never reach the terminal")
    func harmless() {
        let evil = "a\u{1B}]0;title\u{7}b\r\nc\u{9B}31m\u{202E}d\u{7F}"
        let line = Harmless.line(evil)
        #expect(line == "a␛]0;title␇b␍␊c<9B>31m<202E>d<7F>")
        #expect(Harmless.lines("a\n\tb\u{1B}") == "a\n\tb␛")
        #expect(!table([["1", Table.Cell(evil), "", ""]]).render(on: .plain).unicodeScalars.contains("\u{1B}"))
        #expect(JSON.string(evil).line == #""a\u001b]0;title\u0007b\r\nc\u009b31m\u202ed\u007f""#)
    }

    @Test("JSON keeps the order of members and the digits of numbers", arguments: [
        #"{"b": 1, "a": [1.50, -2e10, 12345678901234567890], "c": {"x": null, "y": true, "z": false}}"#, #"[]"#, #"{}"#, #""ünï \"\\""#,
    ])
    func roundTrip(text: String) throws {
        #expect(try JSON(text).line == text)
    }

    @Test("escapes are understood, surrogate pairs too")
    func escapes() throws {
        #expect(try JSON(#""\u00e9\ud83d\ude00\n\/""#) == .string("é😀\n/"))
    }

    @Test("what is not JSON is refused with the place", arguments: [
        "", "[1,]", "{a: 1}", "{\"a\" 1}", "[1 2]", "'a'", "\"a", "01", "1.", "[1] 2", "\"\\x\"", "nul", "\"\\u12\"", String(repeating: "[", count: 600), "-",
    ])
    func notJSON(text: String) {
        let problem = #expect(throws: JSONProblem.self) { try JSON(text) }
        #expect(problem?.description.contains("at character") == true)
    }

    @Test("long JSON is spread over lines, short JSON is not")
    func pretty() throws {
        #expect(try JSON(#"{"a": [1, 2]}"#).pretty() == #"{"a": [1, 2]}"#)
        let long = JSON.object(["name": .string(String(repeating: "x", count: 80)), "list": .array([.number(1), .number(2)])])
        #expect(long.pretty() == "{\n  \"name\": \"\(String(repeating: "x", count: 80))\",\n  \"list\": [1, 2]\n}")
    }

    @Test("a listing has one line for each element")
    func listing() {
        #expect(JSON.listing([]) == "[]")
        #expect(JSON.listing([.number(1), .text(nil)]) == "[\n  1,\n  null\n]")
    }

    @Test("the fields of listed tasks are the columns of the table")
    func taskJSON() throws {
        let task = QueuedTask(
            id: 42, state: .failed, queue: "default", function: "f", args: Array("[3, 14]".utf8), priority: 0, runAt: 0, attempt: 1, maxAttempts: 1,
            uniqueKey: nil, blockedBy: nil, createdAt: 0, startedAt: nil, finishedAt: 1.5, cancelRequestedAt: nil, worker: "w", error: "exited")
        #expect(try task.json().line == """
            {"id": 42, "state": "failed", "queue": "default", "function": "f", "args": [3, 14], "priority": 0, "run_at": "1970-01-01T00:00:00.000000Z", \
            "attempt": 1, "max_attempts": 1, "unique_key": null, "blocked_by": null, "created_at": "1970-01-01T00:00:00.000000Z", "started_at": null, \
            "finished_at": "1970-01-01T00:00:01.500000Z", "cancel_requested_at": null, "worker": "w", "error": "exited"}
            """)
    }

    @Test("the page of a task shows each error with its detail indented")
    func page() throws {
        let task = try JSON(#"""
            {"id": 42, "state": "failed", "queue": "mail", "function": "send", "args": ["a"], "priority": -1, "run_at": "2026-01-31T09:00:00+00:00",
             "attempt": 1, "max_attempts": 1, "timeout": 30, "unique_key": "k", "blocked_by": null, "created_at": "2026-01-31T09:00:00+00:00",
             "started_at": "2026-01-31T09:00:01+00:00", "finished_at": "2026-01-31T09:00:03+00:00", "worker_id": 3, "worker": null,
             "cancel_requested_at": null, "result": null,
             "errors": [{"at": "2026-01-31T09:00:03+00:00", "attempt": 1, "worker": "w", "kind": "crash", "message": "was ended by SIGSEGV", "detail": "one\ntwo\u001b[31m"}]}
            """#)
        let text = TaskPage.render(task, now: 1_769_850_063, on: .plain)
        for line in [
            "Task 42  send  failed", "queue         mail, priority -1", "attempts      1 of at most 1", "timeout       30s", "unique key    k", "ran for       2 s",
            "worker        number 3", "  attempt 1, crash, on w, 60 s ago", "  was ended by SIGSEGV", "      one", "      two␛[31m",
        ] { #expect(text.split(separator: "\n").contains(Substring(line)), "\(line) in\n\(text)") }
    }
}
