internal import PQ

/// What a worker says to the database on its work connection: one round trip at a time, composed of one statement per verb.
///
/// The statements of a trip are one transaction (but for the beat), in this order: what is still ours, the outcomes, what others left behind,
/// the claim, and last what remains to be claimed. So a claim sees what the same trip promoted, released or rescued.
struct Store: Sendable {
    /// What the statements need to know of this worker besides the trip.
    struct Worker: Sendable {
        var id: Int32
        var queues: [String]
        var functions: [String]
        var modules: Modules = []
        /// By function and by queue: `max_attempts`, `timeout` in seconds; JSON objects.
        var functionPolicies: [UInt8]
        var queuePolicies: [UInt8]
        /// One of them says something. Else `claim_lane.sql` may claim.
        var hasPolicies = true
        /// Until when, by the server's clock, nobody takes its row away; nil: not known. Seconds since 1970.
        var sureUntil: Double?
        /// A task that no worker can run fails when it has been due for so long; nil: never.
        var unknownFunctionGrace: Duration?
    }

    let connection: Connection
    let worker: Worker
    /// The connection goes through a transaction pooler: each transaction brings its own settings.
    let isPooled: Bool

    /// So many scheduled tasks of a queue become ready in one round trip.
    private static let promotedPerTrip: Int32 = 1_000

    private typealias Step = (query: Query, take: @Sendable (Rows, inout TripResult) throws -> Void)

    private static let nothing: @Sendable (Rows, inout TripResult) throws -> Void = { _, _ in }

    typealias Done = @Sendable (Result<TripResult, any Error>) -> Void

    /// Called on the connection's loop; what the socket takes is sent before this returns.
    /// - Parameter done: called on the loop, once, after this has returned.
    func perform(_ trip: Trip, _ done: @escaping Done) {
        let (groups, answered) = pipeline(trip, done)
        connection.assumeIsolated { $0.pipeline(groups, answered: answered) }
    }

    /// The same for a caller that has nothing else to do: what tries a trip by itself.
    func perform(_ trip: Trip) async throws -> TripResult {
        try await withCheckedThrowingContinuation { continuation in
            connection.loop.run { perform(trip) { continuation.resume(with: $0) } }
        }
    }

    /// Makes up a trip that may have to be sent in a hurry; nil when something has to be prepared first.
    /// - Parameter done: as above, if it is sent.
    func ready(_ trip: Trip, _ done: @escaping Done) -> ReadyPipeline? {
        let (groups, answered) = pipeline(trip, done)
        return connection.assumeIsolated { $0.ready(groups, answered: answered) }
    }

    private func pipeline(_ trip: Trip, _ done: @escaping Done) -> ([[Query]], Answered) {
        var groups: [[Step]] = []
        if let beat = trip.beat { groups.append([(Store.beat(beat, of: worker.id), Self.nothing)]) }
        let steps = steps(of: trip)
        if !steps.isEmpty { groups.append(steps) }
        if isPooled { groups = groups.map { [(Query(SQL.settings), Self.nothing)] + $0 } }
        let hasBeat = trip.beat != nil
        return (groups.map { $0.map(\.query) }, { [groups] answers in done(Result { try Self.result(of: groups, hasBeat: hasBeat, try answers.get()) }) })
    }

    private static func result(of groups: [[Step]], hasBeat: Bool, _ answers: [[Result<Rows, PostgresError>]]) throws -> TripResult {
        var result = TripResult()
        // The beat is a transaction of its own: if it fails, the rest may well have been committed.
        if hasBeat, let rows = try? answers.first?.last?.get() {
            result.stillRegistered = !rows.isEmpty
            result.sureUntil = try rows.first?.double(1)
        }
        for (steps, answers) in zip(groups, answers).dropFirst(hasBeat ? 1 : 0) {
            // The first failure is the cause; what follows it was only skipped.
            for (step, answer) in zip(steps, answers) { try step.take(answer.get(), &result) }
        }
        return result
    }

    private func steps(of trip: Trip) -> [Step] {
        var steps: [Step] = trip.mayBeLost ? [(Query(SQL.relax), Self.nothing)] : []
        if let nonce = trip.proof {
            steps.append((Query(SQL.notify, [.text(Channel.control(worker.id)), .text("proof \(nonce)")]), Self.nothing))
        }
        if !trip.held.isEmpty {
            let claims = byID(trip.held)
            steps.append((Query(SQL.held, fence(trip.held)), { rows, result in
                for row in rows { if let claim = claims[try row.int64(0)] { result.held.insert(claim) } }
            }))
        }
        if !trip.writes.isEmpty { steps += outcomes(trip.writes) }
        if let known = trip.known {
            steps.append((Query(SQL.strays, [.int32(worker.id)] + fence(known)), Self.nothing))
        }
        if !trip.rescue.isEmpty {
            steps.append((Query(SQL.rescue, [.int32Array(trip.rescue.map(\.worker)), .boolArray(trip.rescue.map(\.processGone))]), { rows, result in
                for row in rows { result.rescued.append(Rescued(task: try row.int64(0), worker: try row.int32(1), state: try row.string(2))) }
            }))
        }
        if trip.upkeep { steps += upkeep() }
        if trip.sweep {
            if let grace = worker.unknownFunctionGrace {
                steps.append((Query(SQL.expireBlocked, [.textArray(worker.queues), .float8(grace.seconds)]), Self.nothing))
            }
            steps.append((Query(SQL.orphans, [.int32(worker.id)]), { rows, result in
                for row in rows { result.suspects.append(Suspect(worker: try row.int32(0), processGone: true, graceLeft: .zero)) }
            }))
        }
        if let asked = trip.askGuarded {
            steps.append((Query(SQL.guarded, [.int32(worker.id), .textArray(asked.queues), .bool(asked.standingBy)]), { rows, result in
                result.isGuarded = try rows.first?.bool(0) ?? false
            }))
        }
        if !trip.askCancelled.isEmpty {
            let claims = byID(trip.askCancelled)
            steps.append((Query(SQL.cancelRequests, fence(trip.askCancelled)), { rows, result in
                for row in rows { if let claim = claims[try row.int64(0)] { result.cancelRequested.append(claim) } }
            }))
        }
        if let look = trip.look { steps += claim(look) }
        return steps
    }

    // MARK: - Outcomes

    private func outcomes(_ writes: [Write]) -> [Step] {
        var complete = Batch(), retry = Batch(), snooze = Batch(), fail = Batch(), cancel = Batch(), release = Batch(), block = Batch()
        for write in writes {
            switch write.verb {
            case .complete(let result): complete.add(write.claim, json: result)
            case .retry(let delay, let error): retry.add(write.claim, seconds: delay.seconds, json: error.json)
            case .snooze(let delay): snooze.add(write.claim, seconds: delay.seconds)
            case .fail(let error): fail.add(write.claim, json: error.json)
            case .cancel(let error): cancel.add(write.claim, json: error.json)
            case .release: release.add(write.claim)
            case .block(let error): block.add(write.claim, json: error?.json)
            }
        }
        return [
            complete.step(SQL.complete) { [.jsonbArray($0.json)] },
            retry.step(SQL.retry) { [.float8Array($0.seconds), .jsonbArray($0.json)] },
            snooze.step(SQL.snooze) { [.float8Array($0.seconds)] },
            fail.step(SQL.fail) { [.jsonbArray($0.json)] },
            cancel.step(SQL.cancel) { [.jsonbArray($0.json)] },
            release.step(SQL.release) { _ in [] },
            block.step(SQL.block) { [.jsonbArray($0.json)] },
        ].compactMap(\.self)
    }

    /// The outcomes of one verb, column by column, as its statement takes them.
    private struct Batch {
        var claims: [Claim] = []
        var seconds: [Double] = []
        var json: [[UInt8]?] = []

        mutating func add(_ claim: Claim, seconds: Double = 0, json: [UInt8]? = nil) {
            claims.append(claim)
            self.seconds.append(seconds)
            self.json.append(json)
        }

        /// Every verb's statement takes ids, tokens and its own columns, and returns the ids that it wrote.
        func step(_ statement: Statement, _ columns: (Batch) -> [Parameter]) -> Step? {
            guard !claims.isEmpty else { return nil }
            let claims = claims
            return (Query(statement, fence(claims) + columns(self)), { rows, result in
                if rows.count == claims.count { return result.written.formUnion(claims) }
                let claims = byID(claims)
                for row in rows { if let claim = claims[try row.int64(0)] { result.written.insert(claim) } }
            })
        }
    }

    // MARK: - Upkeep and claim

    private func upkeep() -> [Step] {
        var steps: [Step] = []
        if !worker.functions.isEmpty || !worker.modules.isEmpty {
            let known = [Parameter.textArray(worker.queues), .textArray(worker.functions), .textArray(worker.modules.names)]
            steps.append((Query(SQL.unblock, known), Self.nothing))
        }
        steps.append((Query(SQL.suspects, [.int32(worker.id)]), { rows, result in
            for row in rows {
                result.suspects.append(
                    Suspect(worker: try row.int32(0), processGone: try Self.processIsGone(row), graceLeft: .seconds(try row.double(6))))
            }
        }))
        return steps
    }

    /// A row of `suspects.sql`: id, name, pid, pid_start, boot_id, pid_namespace, grace_left; all but the first and last may be null.
    private static func processIsGone(_ row: Row) throws -> Bool {
        guard let pid = try row.optionalInt32(2), let started = try row.optionalInt64(3), let boot = try row.optionalString(4),
            let namespace = try row.optionalString(5)
        else { return false }
        return ProcessIdentity(pid: pid, started: started, bootID: boot, pidNamespace: namespace).isGone(seenFrom: .current)
    }

    private func claim(_ look: Look) -> [Step] {
        let full = look.full.map(\.queue)
        var steps: [Step] = []
        if !full.isEmpty { steps.append((Query(SQL.promote, [.textArray(full), .int32(Self.promotedPerTrip)]), { rows, result in
            result.mayPromoteMore = try rows.first?.int32(0) ?? 0 >= Self.promotedPerTrip
        })) }

        steps.append((claimQuery(look), { rows, result in
            result.claimed.reserveCapacity(rows.count)
            for row in rows { result.claimed.append(try ClaimedTask(row, token: look.token)) }
            // Rows come in the order in which they lie in the table.
            if rows.count > 1 { result.claimed.sort { ($0.priority, $0.position) < ($1.priority, $1.position) } }
        }))
        guard !full.isEmpty else { return steps }
        steps.append((Query(SQL.lanes, [.textArray(full)]), { rows, result in
            for row in rows { result.lanes[try row.string(0), default: []].append(try row.int(1)) }
        }))
        steps.append((Query(SQL.nextDue, [.textArray(full)]), { rows, result in
            for row in rows { result.nextDue[try row.string(0)] = .seconds(try row.double(1)) }
        }))
        return steps
    }

    private func claimQuery(_ look: Look) -> Query {
        if let sureUntil = worker.sureUntil, !worker.hasPolicies, look.queues.count == 1,
            let queue = look.queues.first, !queue.full, queue.lanes.count == 1, let lane = queue.lanes.first
        {
            return Query(SQL.claimLane, [
                .text(queue.queue), .int16(Int16(lane.priority)), .int64(lane.mark), .int32(Int32(queue.room)), .int32(worker.id), .int64(look.token),
                .float8(sureUntil),
            ])
        }
        var first: [Int32] = [], last: [Int32] = [], priorities: [Int16] = [], marks: [Int64] = []
        for queue in look.queues {
            first.append(Int32(priorities.count + 1))
            priorities += queue.lanes.map { Int16($0.priority) }
            marks += queue.lanes.map(\.mark)
            last.append(Int32(priorities.count))
        }
        return Query(SQL.claim, [
            .textArray(look.queues.map(\.queue)), .int32Array(look.queues.map { Int32($0.room) }), .int32Array(first), .int32Array(last),
            .int16Array(priorities), .int64Array(marks), .int32(worker.id), .int64(look.token),
            .json(worker.functionPolicies), .json(worker.queuePolicies),
        ])
    }

    // MARK: - Shared with the signal connection

    static func beat(_ beat: Beat, of worker: Int32) -> Query {
        Query(SQL.beat, [.int32(worker), .text(beat.state), .text(beat.listener), .int32(Int32(beat.running))])
    }
}

/// The two columns that say which attempt an outcome belongs to.
private func fence(_ claims: [Claim]) -> [Parameter] {
    [.int64Array(claims.map(\.id)), .int64Array(claims.map(\.token))]
}

/// A worker never holds two claims of one task (see `WorkerState.disown`).
private func byID(_ claims: [Claim]) -> [Int64: Claim] {
    Dictionary(claims.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
}

extension ClaimedTask {
    /// A row of `claim.sql`: id, queue, priority, position, function, args, attempt, max_attempts, timeout in seconds.
    init(_ row: Row, token: Int64) throws {
        self.init(
            claim: Claim(id: try row.int64(0), token: token), queue: try row.string(1), function: try row.string(4), args: try row.bytes(5),
            priority: try row.int(2), position: try row.int64(3), attempt: try row.int(6), maxAttempts: try row.int(7),
            // The schema allows a year; nothing that the database says may make the clock overflow.
            timeout: try row.optionalDouble(8).map { .seconds(min(max($0, 0), 366 * 86_400)) })
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
