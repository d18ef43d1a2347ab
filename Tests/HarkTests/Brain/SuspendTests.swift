@testable import Hark
import Testing

@Suite("A machine that was suspended")
struct SuspendTests {
    private var brain: WorkerState
    private let claim = Claim(id: 7, token: 70)

    /// A worker that listens, and runs task 7.
    init() {
        brain = WorkerState(WorkerState.Settings(), seed: 1)
        _ = brain.start(now: .zero)
        _ = brain.handle(.joined(worker: 1, renewed: false), now: .seconds(1))
        _ = brain.handle(.workConnected, now: .seconds(1))
        var result = TripResult()
        result.stillRegistered = true
        result.claimed = [ClaimedTask(claim: claim, queue: "default", function: "f", args: [])]
        brain.settings.functions = ["f"]
        _ = brain.handle(.tripped(trip: 1, result), now: .seconds(1))
    }

    /// Answers every round trip that is under way, and those that follow from the answer.
    /// - Returns: the claims whose outcomes were written.
    private mutating func answer(at now: Duration) -> [Claim] {
        var written: [Claim] = []
        while let trip = brain.trips.first?.trip {
            written += trip.writes.map(\.claim)
            var result = TripResult()
            result.stillRegistered = trip.beat == nil ? nil : true
            result.written = Set(trip.writes.map(\.claim))
            _ = brain.handle(.tripped(trip: trip.number, result), now: now)
        }
        return written
    }

    private func trips(_ actions: [WorkerAction]) -> [Trip] { actions.compactMap { if case .trip(let trip) = $0 { trip } else { nil } } }

    @Test("an outcome is written only after the listener has heard again")
    mutating func proof() throws {
        _ = answer(at: .seconds(2))
        let woken = brain.handle(.resumed(after: .seconds(3_600)), now: .seconds(3_602))
        let first = try #require(trips(woken).first)
        let nonce = try #require(first.proof, "it asks for a proof at once")
        #expect(first.beat != nil)
        #expect(first.writes.isEmpty)
        _ = brain.handle(.finished([(claim, .completed(result: nil))]), now: .seconds(3_602))
        #expect(answer(at: .seconds(3_602)) == [])
        // An old notification that was in the socket all the time proves nothing.
        _ = brain.handle(.bell(queue: "default"), now: .seconds(3_602))
        #expect(answer(at: .seconds(3_602)) == [])
        _ = brain.handle(.proof(nonce: nonce), now: .seconds(3_603))
        #expect(answer(at: .seconds(3_603)) == [claim])
    }

    @Test("a listener that stays silent after it is dropped, and the outcome is written when there is another")
    mutating func silence() throws {
        _ = answer(at: .seconds(2))
        _ = brain.handle(.resumed(after: .seconds(3_600)), now: .seconds(3_602))
        _ = brain.handle(.finished([(claim, .completed(result: nil))]), now: .seconds(3_602))
        #expect(answer(at: .seconds(3_602)) == [])
        let late = brain.handle(.tick, now: .seconds(3_602) + brain.settings.proofTimeout)
        #expect(late.contains { if case .drop(.signal, _) = $0 { true } else { false } })
        _ = brain.handle(.disconnected(.signal, reason: "dropped"), now: .seconds(3_608))
        #expect(answer(at: .seconds(3_608)) == [])
        _ = brain.handle(.joined(worker: 1, renewed: false), now: .seconds(3_609))
        #expect(answer(at: .seconds(3_609)) == [claim])
    }

    @Test("a worker whose row is gone by then stops what it runs: others have it")
    mutating func replaced() throws {
        _ = answer(at: .seconds(2))
        _ = brain.handle(.resumed(after: .seconds(3_600)), now: .seconds(3_602))
        var result = TripResult()
        result.stillRegistered = false
        let asked = try #require(brain.trips.first?.trip.number)
        let told = brain.handle(.tripped(trip: asked, result), now: .seconds(3_602))
        #expect(told.contains { if case .drop(.signal, _) = $0 { true } else { false } })
        _ = brain.handle(.disconnected(.signal, reason: "dropped"), now: .seconds(3_602))
        let renewed = brain.handle(.joined(worker: 2, renewed: true), now: .seconds(3_603))
        #expect(renewed.contains { if case .stop(claim, .lost) = $0 { true } else { false } })
    }

    @Test("being on time is having done what was due, within ten seconds")
    mutating func onTime() throws {
        _ = answer(at: .seconds(2))
        let next = try #require(brain.nextWake)
        #expect(brain.isOnTime(at: next + .seconds(10)))
        #expect(!brain.isOnTime(at: next + .seconds(11)))
    }
}
