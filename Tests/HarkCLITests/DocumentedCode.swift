// The Swift that the documentation shows, so that a compiler has seen it. DocumentationTests compares line by line.
import Hark
import HarkCLI

struct Email: Codable, Sendable {
    var to: String
    var subject: String
}

func documented() async {
    var functions = Functions()

    // Arguments as a list, [3, 14]: one parameter for each.
    functions.add("interesting_calculation") { (_: TaskContext, base: Int, exponent: Int) in
        (0..<exponent).reduce(1) { power, _ in power * base }
    }

    // Arguments as an object, {"to": "ada@example.org", "subject": "Hello"}: one value.
    functions.add("send_email", taking: Email.self) { context, email in
        guard email.to.contains("@") else { throw Verdict.fail(reason: "\(email.to) is no address") }
        return "sent to \(email.to) at attempt \(context.attempt)"
    }

    // As JSON, undecoded, in and out.
    functions.addRaw("echo") { _, args in args }

    await HarkMain.main(functions: functions)
}
