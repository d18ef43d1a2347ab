@testable import Hark
import Logging
@testable import PQ

/// The parameters of round trips that write 100 outcomes each and claim 100 tasks, laid out for libpq. Returns how many tasks that were.
func parameters(tasks: Int) -> Int {
    var count = 0
    let result = [UInt8]("42".utf8)
    let nothing = [UInt8]("null".utf8)
    for first in stride(from: Int64(0), to: Int64(tasks), by: 100) {
        let ids = Array(first..<first + 100)
        let complete = EncodedParameters([
            .int64Array(ids), .int64Array(Array(repeating: 7, count: 100)), .jsonbArray(Array(repeating: result, count: 100)),
        ])
        let claim = EncodedParameters([
            .textArray(["default"]), .int32Array([100]), .int32Array([1]), .int32Array([1]), .int16Array([0]), .int64Array([first]), .int32(1),
            .int64(7), .json(nothing), .json(nothing),
        ])
        let columns = [complete, claim].map { encoded in encoded.withPointers { count, _, _, _, _ in Int(count) } }
        if columns == [3, 10] { count += 100 }
    }
    return count
}

/// A Swift function called as a worker calls it: its arguments are decoded, and its result is encoded. Returns how many results there were.
func function(tasks: Int) async throws -> Int {
    var functions = Functions()
    functions.add("send_email") { (_: TaskContext, to: String, number: Int) in "\(to) \(number)" }
    guard let body = functions.bodies["send_email"] else { return 0 }
    let outlet = NoOutlet()
    let args = [UInt8](#"["someone@example.org", 123456]"#.utf8)
    var results = 0
    for id in 1...Int64(tasks) {
        let task = ClaimedTask(claim: Claim(id: id, token: 7), queue: "default", function: "send_email", args: args)
        if try await body(TaskContext(task, outlet), args) != nil { results += 1 }
    }
    return results
}

/// Nobody calls it here.
private struct NoOutlet: RunnerOutlet {
    var loop: EventLoop { EventLoop() }
    var logger: Logger { Logger(label: "guard") }
    func finished(_ claim: Claim, _ outcome: Outcome) {}
    func alive(_ claim: Claim) {}
    func extend(_ claim: Claim, by extra: Duration) {}
    func capacity(_ count: Int, lacking: String?) {}
}
