import Glibc
import PQ
import TestSupport
import Testing

@testable import HarkCLI

@Suite("hark doctor")
struct DoctorTests {
    private func findings(_ result: HarkProcess.Result) throws -> [JSON] { try JSON(result.out)["findings"]?.elements ?? [] }

    private func level(_ check: String, _ result: HarkProcess.Result) throws -> [String] {
        try findings(result).filter { $0["check"]?.string == check }.compactMap { $0["level"]?.string }
    }

    @Test("with a worker that listens all is well")
    func well() async throws {
        try await Bench.with { bench in
            let code = try await bench.work { worker in
                try await worker.line("listening")
                let result = try await bench.hark("doctor", "--json")
                #expect(result.code == 0)
                #expect(try findings(result).allSatisfy { $0["level"]?.string == "ok" }, "\(result.out)")
                worker.send(SIGTERM)
            }
            #expect(code == 0)
        }
    }

    @Test("each setting is shown with its origin, and no password")
    func settings() async throws {
        try await Bench.with { bench in
            let result = try await bench.hark("doctor", environment: ["HARK_POLL_INTERVAL": "2s", "HARK_DATABASE": bench.url + "&password=sesame", "HARK_POL_INTERVAL": "1s"])
            #expect(result.out.contains("environment HARK_POLL_INTERVAL"))
            #expect(result.out.contains("environment HARK_DATABASE"))
            #expect(result.out.contains("Did you mean HARK_POLL_INTERVAL?"))
            #expect(!result.out.contains("sesame"))
        }
    }

    @Test("what is wrong is found, with what to do, and ends with 1")
    func wrong() async throws {
        try await Bench.with { bench in
            _ = try await bench.sql("insert into hark.tasks (function, queue) values ('f', 'lonely')")
            #expect(try level("queue-without-worker", try await bench.hark("doctor", "--json")) == ["wrong"])
            _ = try await bench.sql("alter table hark.tasks disable trigger bell_insert")
            let result = try await bench.hark("doctor")
            #expect(result.code == 1)
            #expect(result.out.contains("triggers are switched off: bell_insert on hark.tasks"))
            #expect(result.out.contains("alter table hark.tasks enable trigger bell_insert;"))
        }
    }

    @Test("tasks that wait for an unknown function, and overdue ones, are counted")
    func backlog() async throws {
        try await Bench.with { bench in
            _ = try await bench.sql("set session_replication_role = replica; insert into hark.tasks (function, state, blocked_by) values ('gone', 'blocked', 'function')".split(separator: ";").last.map(String.init) ?? "")
            _ = try await bench.sql("insert into hark.tasks (function, state, run_at) values ('late', 'scheduled', now() - interval '1 hour')")
            let result = try await bench.hark("doctor")
            #expect(result.code == 1)
            #expect(result.out.contains("1 task in default for the function gone, which no worker of that queue runs"))
            #expect(result.out.contains("1 task in default, scheduled and overdue by up to 60 min"))
        }
    }

    @Test("a stranger that holds a lock of the doorbell is named with its process")
    func locks() async throws {
        try await Bench.with { bench in
            let stranger = try await bench.database.connect()
            _ = try await stranger.execute("select pg_advisory_lock(hark.sleep_class(), 7)")
            let result = try await bench.hark("doctor")
            #expect(result.out.contains("process \(stranger.backendPid)"))
            #expect(result.out.contains("SLEEP locks and is no worker"))
            await stranger.close()
        }
    }

    @Test("who keeps a worker from sleeping is named, whether a session or a prepared transaction")
    func blocked() async throws {
        try await Bench.with { bench in
            let client = try await bench.database.connect()
            // Nobody sleeps yet, so the insert does not ring, and its transaction can be prepared.
            try await client.script("begin; insert into hark.tasks (function) values ('echo'); prepare transaction 'it''s prepared'")
            let stranger = try await bench.database.connect()
            _ = try await stranger.execute("select pg_advisory_lock_shared(hark.sleep_class(), hark.bucket('default'))")
            let code = try await bench.work { worker in
                try await worker.line("listening")
                try await worker.line("polling, for now: somebody has held the doorbell's SLEEP lock")
                let result = try await bench.hark("doctor")
                #expect(result.out.contains("the prepared transaction 'it''s prepared' has held"))
                #expect(result.out.contains("rollback prepared 'it''s prepared';"))
                #expect(result.out.contains("process \(stranger.backendPid)"))
                try await client.script("commit prepared 'it''s prepared'")
                try await worker.line("task 1 echo: completed")
                worker.send(SIGTERM)
            }
            #expect(code == 0)
            await stranger.close()
            await client.close()
        }
    }

    @Test("no schema is wrong; no server is 69")
    func nothingThere() async throws {
        try await Bench.with(migrated: false) { bench in
            let result = try await bench.hark("doctor")
            #expect(result.code == 1)
            #expect(result.out.contains("Run `hark migrate`"))
        }
        let away = try await HarkProcess.run("doctor", environment: ["HARK_DATABASE": "host=/nowhere"])
        #expect(away.code == 69)
        #expect(away.out.contains("cannot be reached"))
    }
}
