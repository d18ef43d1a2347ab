import PQ
import Testing
import TestSupport

@Suite("Notifications")
struct NotificationTests {
    private func pair() async throws -> (Connection, Connection, Events<String>) {
        let info = try await TestServer.shared.conninfo()
        let heard = Events<String>()
        let listener = try await Connection.connect(info, on: testLoop, timeout: .seconds(30), onNotification: { heard.add($0.payload) })
        return (listener, try await Connection.connect(info, on: testLoop, timeout: .seconds(30)), heard)
    }

    @Test("a notification reaches a connection that does nothing")
    func idle() async throws {
        let info = try await TestServer.shared.conninfo()
        let heard = Events<PQ.Notification>()
        let listener = try await Connection.connect(info, on: testLoop, timeout: .seconds(30), onNotification: { heard.add($0) })
        let sender = try await Connection.connect(info, on: testLoop, timeout: .seconds(30))
        try await listener.script("listen idle")
        _ = try await sender.execute("select pg_notify('idle', 'wake up')")
        let all = try await heard.wait(count: 1, "the notification")
        #expect(all[0].channel == "idle" && all[0].payload == "wake up" && all[0].pid == sender.backendPid)
        await listener.close()
        await sender.close()
    }

    @Test("a notification that comes with an answer is delivered before the caller sees the answer")
    func withAnswer() async throws {
        let (listener, sender, heard) = try await pair()
        try await listener.script("listen answered")
        for round in 0..<50 {
            let payload = "round \(round)"
            _ = try await listener.execute(Statement(name: "notify", sql: "select pg_notify('answered', $1)"), [.text(payload)])
            #expect(heard.all.last == payload)
        }
        await listener.close()
        await sender.close()
    }

    @Test("none of 2,000 notifications is lost or overtaken while the listener is busy with commands")
    func busy() async throws {
        let (listener, sender, heard) = try await pair()
        try await listener.script("listen busy")
        let noise = Task {
            var rounds = 0
            while !Task.isCancelled {
                _ = try? await listener.execute(Statement(name: "series", sql: "select * from generate_series(1, 100)"))
                rounds += 1
            }
            return rounds
        }
        for number in 0..<2000 {
            _ = try await sender.execute(Statement(name: "notify", sql: "select pg_notify('busy', $1)"), [.text("\(number)")])
        }
        try await heard.wait(count: 2000, "2,000 notifications")
        noise.cancel()
        #expect(await noise.value > 0)
        #expect(heard.all == (0..<2000).map(String.init))
        await listener.close()
        await sender.close()
    }
}
