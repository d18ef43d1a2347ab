internal import ArgumentParser
internal import Hark

struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show everything about one task.")

    @Argument(help: "The task.")
    var id: Int64

    @OptionGroup var listing: ListingOptions
    @OptionGroup var options: DatabaseOptions

    func run() async throws {
        guard let text = try await options.withClient({ try await $0.show(id) }) else { throw Failure.failed("there is no task \(id)") }
        let task = TaskPage.inUTC(try JSON(text))
        say(listing.json ? task.pretty() : TaskPage.render(task, now: Moment.here, on: .stdout))
    }
}

/// One task as a page: who it is, how it stands, when what happened, what came of it, what went wrong.
enum TaskPage {
    private static let times = ["run_at", "created_at", "started_at", "finished_at", "cancel_requested_at"]

    /// The server writes times in the zone of the session; we show them to everybody alike.
    static func inUTC(_ task: JSON) -> JSON {
        guard case .object(let members) = task else { return task }
        return .object(members.map { member in
            if member.name == "errors" { return JSON.Member(name: member.name, value: .array(member.value.elements.map { mending($0, ["at"]) })) }
            return times.contains(member.name) ? JSON.Member(name: member.name, value: iso(member.value)) : member
        })
    }

    private static func mending(_ object: JSON, _ names: [String]) -> JSON {
        guard case .object(let members) = object else { return object }
        return .object(members.map { names.contains($0.name) ? JSON.Member(name: $0.name, value: iso($0.value)) : $0 })
    }

    private static func iso(_ value: JSON) -> JSON { value.string.flatMap(Moment.parse).map { .string(Moment.iso($0)) } ?? value }

    static func render(_ task: JSON, now: Double, on terminal: Terminal) -> String {
        let state = TaskState(rawValue: task["state"]?.string ?? "")
        let title = "Task \(task["id"]?.line ?? "?")  \(Harmless.line(task["function"]?.string ?? ""))"
        var lines = ["\(terminal.styled(title, .bold))  \(terminal.styled(state?.rawValue ?? "", state?.style ?? .plain))", ""]
        for (name, value) in facts(task, state, now) { lines.append(terminal.styled(name.padding(to: 14), .dim) + Harmless.line(value)) }
        lines += block("Args", task["args"], terminal)
        if state == .completed { lines += block("Result", task["result"], terminal) }
        let errors = task["errors"]?.elements ?? []
        if !errors.isEmpty { lines += ["", terminal.styled(errors.count == 1 ? "What went wrong" : "What went wrong, \(errors.count) times", .bold)] }
        for error in errors { lines += problem(error, now, terminal) }
        return lines.joined(separator: "\n")
    }

    private static func facts(_ task: JSON, _ state: TaskState?, _ now: Double) -> [(String, String)] {
        var facts: [(String, String)] = []
        func add(_ name: String, _ value: String?) { if let value { facts.append((name, value)) } }
        func time(_ key: String) -> String? {
            task[key]?.string.map { text in Moment.parse(text).map { "\(Moment.local($0))  (\(Moment.relative($0, now: now)))" } ?? text }
        }
        let priority = task["priority"]?.int ?? 0
        add("queue", task["queue"]?.string.map { priority == 0 ? $0 : "\($0), priority \(priority)" })
        let attempt = task["attempt"]?.int ?? 0
        let attempts = task["max_attempts"]?.int.map { "\(attempt) of at most \($0)" } ?? (attempt == 0 ? "none yet" : "\(attempt)")
        add("attempts", attempts)
        add("timeout", task["timeout"]?.double.map { DurationText.format(.milliseconds($0 * 1_000)) })
        add("unique key", task["unique_key"]?.string)
        if state == .blocked { add("waits for", task["blocked_by"]?.string == "function" ? "a worker that runs this function" : task["blocked_by"]?.string) }
        add("inserted", time("created_at"))
        if state == .scheduled { add("due", time("run_at")) } else if task["run_at"] != task["created_at"] { add("was due", time("run_at")) }
        add("started", time("started_at"))
        add("finished", time("finished_at"))
        if let start = task["started_at"]?.string.flatMap(Moment.parse), let end = task["finished_at"]?.string.flatMap(Moment.parse) {
            add("ran for", Moment.duration(end - start))
        }
        if state == .running || state?.isFinished == true { add("worker", task["worker"]?.string ?? task["worker_id"]?.int.map { "number \($0)" }) }
        if state == .running { add("asked to stop", time("cancel_requested_at")) }
        return facts
    }

    private static func block(_ title: String, _ value: JSON?, _ terminal: Terminal) -> [String] {
        guard let value else { return [] }
        if value == .null { return title == "Result" ? [terminal.styled("result".padding(to: 14), .dim) + "none"] : [] }
        return ["", terminal.styled(title, .bold)] + value.pretty().split(separator: "\n").map { "  \($0)" }
    }

    private static func problem(_ error: JSON, _ now: Double, _ terminal: Terminal) -> [String] {
        let at = error["at"]?.string.flatMap(Moment.parse)
        var about = ["attempt \(error["attempt"]?.int ?? 0)"]
        if let kind = error["kind"]?.string, kind != "error" { about.append(kind) }
        if let worker = error["worker"]?.string { about.append("on \(worker)") }
        if let at { about.append(Moment.relative(at, now: now)) }
        let message = Harmless.lines(error["message"]?.string ?? "").split(separator: "\n", omittingEmptySubsequences: false)
        var lines = ["  \(terminal.styled(Harmless.line(about.joined(separator: ", ")), .dim))"]
        lines += message.map { "  \(terminal.styled(String($0), .red))" }
        if let detail = error["detail"]?.string {
            lines += Harmless.lines(detail).split(separator: "\n", omittingEmptySubsequences: false).map { "      \($0)" }
        }
        return lines
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - Terminal.columns(self))) }
}
