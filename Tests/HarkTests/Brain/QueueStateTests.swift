@testable import Hark
import Testing

@Suite("What a worker knows of a queue")
struct QueueStateTests {
    @Test("a task that is given back is looked for where it was, though its lane seemed empty")
    func expected() {
        var queue = QueueState(QueueSettings(name: "default"))
        _ = queue.look()
        queue.looked(QueueLook(queue: "default", full: true, room: 0, lanes: []), found: [], existing: [0], nextDue: nil, mayPromoteMore: false, took: .zero, at: .zero)
        queue.expect(-10)
        #expect(queue.look().lanes.map(\.priority) == [-10, 0])
    }

    /// One full look that finds nothing ready.
    private func look(_ queue: inout QueueState, nextDue: Duration?, mayPromoteMore: Bool = false, at now: Duration) {
        queue.want(.full)
        let asked = queue.look()
        queue.looked(asked, found: [], existing: [], nextDue: nextDue, mayPromoteMore: mayPromoteMore, took: .milliseconds(1), at: now)
    }

    @Test("a due task that somebody holds locked is asked for after 50 ms, then ever less often, at least once a second")
    func held() {
        var queue = QueueState(QueueSettings(name: "q"))
        var waits: [Duration] = []
        for _ in 0..<7 {
            look(&queue, nextDue: .milliseconds(-3), at: .seconds(10))
            waits.append((queue.nextDue ?? .zero) - .seconds(10))
        }
        #expect(waits == [50, 100, 200, 400, 800, 1_000, 1_000].map { .milliseconds($0) })
        // Once it could be promoted the next one is asked for quickly again.
        look(&queue, nextDue: nil, at: .seconds(20))
        #expect(queue.nextDue == nil)
        look(&queue, nextDue: .zero, at: .seconds(30))
        #expect(queue.nextDue == .seconds(30) + .milliseconds(50))
    }

    @Test("when more is due than one trip promotes, the next look is at once")
    func more() {
        var queue = QueueState(QueueSettings(name: "q"))
        look(&queue, nextDue: .milliseconds(-3), mayPromoteMore: true, at: .seconds(10))
        #expect(queue.nextDue == .seconds(10) - .milliseconds(3))
        queue.comeDue(at: .seconds(10))
        #expect(queue.wantsLook)
    }

    @Test("the first look only asks which priorities there are")
    func first() {
        var queue = QueueState(QueueSettings(name: "q", slots: 3))
        let asked = queue.look()
        #expect(asked.full && asked.room == 0)
        queue.looked(asked, found: [], existing: [-5, 0], nextDue: nil, mayPromoteMore: false, took: .milliseconds(1), at: .seconds(1))
        let second = queue.look()
        #expect(second.full && second.room == 3)
        #expect(second.lanes.map(\.priority) == [-5, 0])
    }

    @Test("no look is wanted while every slot is taken")
    func fullSlots() {
        var queue = QueueState(QueueSettings(name: "q", slots: 2))
        queue.running = 2
        queue.want(.full)
        #expect(!queue.wantsLook && queue.room == 0)
        queue.running = 1
        #expect(queue.wantsLook)
    }
}
