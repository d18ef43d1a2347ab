internal import Hark

/// What the facts mean. Pure, so that each judgement can be tried without a server.
enum Checks {
    static func session(_ health: Health, connectedTo backend: Int32) -> [Finding] {
        var findings: [Finding] = []
        if health.isInRecovery {
            findings.append(.wrong("primary", "this server is a standby: nothing can be enqueued or run here", "Connect to the primary: several hosts with target_session_attrs=read-write find it."))
        }
        if backend != 0, backend != health.pid {
            findings.append(.warning(
                "pooler", "a connection pooler stands between us and the server",
                "A worker needs a session of its own: set signal_database to an address that goes around a pooler in transaction mode."))
        } else {
            findings.append(.ok("pooler", "connected to the server itself, not through a pooler"))
        }
        let may = [("read", health.mayRead), ("enqueue", health.mayEnqueue), ("work", health.mayWork)]
        let can = may.filter(\.1).map(\.0).joined(separator: ", ")
        if health.mayWork {
            findings.append(.ok("role", "the role \(health.role) may \(can)"))
        } else {
            findings.append(.warning("role", "the role \(health.role) may not work\(can.isEmpty ? "" : ", only \(can)")", "A worker needs the role hark_worker: see migrations/grants.sql."))
        }
        return findings
    }

    /// - Parameters:
    ///   - here: this machine's clock at the middle of the round trip.
    ///   - trip: how long the round trip took, in seconds.
    static func clock(server: Double, here: Double, trip: Double) -> Finding {
        let difference = abs(server - here)
        guard difference > max(2, trip) else { return .ok("clock", "the clocks of this machine and of the server agree (\(Moment.duration(difference)) apart)") }
        return .warning("clock", "the clocks of this machine and of the server are \(Moment.duration(difference)) apart", "Tasks go by the server's clock; set both by NTP, so that the log and the table tell the same story.")
    }

    static func triggers(_ health: Health) -> Finding {
        guard let first = health.idleTriggers.first else { return .ok("triggers", "all triggers are on") }
        let names = health.idleTriggers.map { "\($0.name) on \($0.table)" }.joined(separator: ", ")
        return .wrong("triggers", "triggers are switched off: \(names)", "alter table \(first.table) enable trigger \(first.name);")
    }

    static func locks(_ health: Health) -> [Finding] {
        let found = health.lockHolders.map { holder in
            let who = "process \(holder.pid)" + (holder.application.map { $0.isEmpty ? "" : " (\($0))" } ?? "")
            if holder.isExclusive {
                return Finding.warning("bell", "\(who) holds \(holder.locks) of the doorbell's SLEEP locks and is no worker: inserts ring for nobody", "select pg_terminate_backend(\(holder.pid)); ends it.")
            }
            let held = "held the doorbell's SLEEP lock for \(Moment.duration(holder.age)): workers poll"
            if let prepared = holder.prepared {
                let name = "'\(prepared.replacing("'", with: "''"))'"
                return Finding.warning("bell", "the prepared transaction \(name) has \(held)", "commit prepared \(name); or rollback prepared \(name); ends it.")
            }
            return Finding.warning("bell", "\(who) has \(held)", "It inserted tasks with immediate constraints and has not committed, or took the lock itself; if it hangs, select pg_terminate_backend(\(holder.pid)); ends it.")
        }
        return found.isEmpty ? [.ok("bell", "nobody but workers and commits holds the doorbell's locks")] : found
    }

    static func workers(_ workers: [WorkerInfo], _ stats: [QueueStats], version: String) -> [Finding] {
        var findings: [Finding] = []
        let living = workers.filter { !$0.isDead }
        for dead in workers.filter(\.isDead) {
            findings.append(.wrong(
                "dead-worker", "worker \(dead.id) (\(dead.name)) is dead, last heard of \(Moment.duration(dead.beatAge)) ago, and \(count(Int64(dead.running))) of it \(dead.running == 1 ? "waits" : "wait") for rescue",
                living.isEmpty ? "Start a worker: it gives them back within seconds." : "A living worker gives them back at its next poll; if not, look at its log."))
        }
        for worker in living where !worker.isConnected {
            findings.append(.warning("cut-off-worker", "worker \(worker.id) (\(worker.name)) has lost its connection", "It comes back by itself, or is taken for dead within seconds."))
        }
        for worker in living where worker.isConnected && worker.listener != "listening" {
            findings.append(.warning("polling-worker", "worker \(worker.id) (\(worker.name)) does not listen: it is \(worker.listener ?? "unknown")", "Its log says why; until then it finds tasks by polling."))
        }
        for worker in living where worker.version != version {
            findings.append(.warning("version", "worker \(worker.id) (\(worker.name)) runs hark \(worker.version ?? "?"), this is \(version)", "Restart it after an upgrade."))
        }
        let served = Set(living.flatMap(\.queues))
        for queue in stats where !served.contains(queue.queue) && queue.ready + queue.scheduled > 0 {
            findings.append(.wrong("queue-without-worker", "no worker works the queue \(queue.queue): \(count(queue.ready)) ready, \(queue.scheduled) scheduled", "hark work --queue \(queue.queue)"))
        }
        if living.isEmpty {
            findings.append(.warning("workers", "there are no workers", "hark work --functions DIR"))
        } else if findings.isEmpty {
            findings.append(.ok("workers", "\(living.count) \(living.count == 1 ? "worker lives and listens" : "workers live and listen")"))
        }
        return findings
    }

    static func backlog(_ health: Health, _ stats: [QueueStats]) -> [Finding] {
        var findings: [Finding] = []
        for blocked in health.blockedByFunction {
            findings.append(.warning(
                "blocked", "\(count(blocked.tasks)) in \(blocked.queue) for the function \(blocked.function ?? ""), which no worker of that queue runs, the oldest since \(Moment.duration(blocked.oldest))",
                "Give a worker the function; it then takes them back. Or cancel them: hark cancel --state blocked --function NAME"))
        }
        for overdue in health.overdue {
            findings.append(.wrong("overdue", "\(count(overdue.tasks)) in \(overdue.queue), scheduled and overdue by up to \(Moment.duration(overdue.oldest))", "A worker of that queue makes them ready when they are due: is there one, and does its log say why not?"))
        }
        for queue in stats {
            guard let oldest = queue.oldestReady, oldest > 60 else { continue }
            findings.append(.warning("oldest-ready", "\(count(queue.ready)) in \(queue.queue) ready, the oldest for \(Moment.duration(oldest))", "More slots (hark work --queue \(queue.queue)=SLOTS) or more workers."))
        }
        let failed = stats.reduce(0) { $0 + $1.failed.hour }
        if failed > 0 { findings.append(.warning("failed", "\(count(failed)) failed within the last hour", "hark list --state failed")) }
        return findings.isEmpty ? [.ok("backlog", "nothing is overdue, blocked or failed within the last hour")] : findings
    }

    private static func count(_ tasks: Int64) -> String { tasks == 1 ? "1 task" : "\(tasks) tasks" }
}
