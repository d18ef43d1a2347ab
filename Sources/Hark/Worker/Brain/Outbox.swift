/// Outcomes that the database does not have yet, in the order in which they came.
///
/// An outcome leaves the outbox only when the database has taken it or has said that the claim is no longer ours. So it
/// survives a lost connection, a locked row, a deadlock, and a neighbour in the same batch that cannot be stored.
///
/// A write that a trip does not confirm is one of three things, and a plain read (`Trip.held`) tells which:
/// still ours, so somebody holds the row locked: ask again a little later; not ours, after a trip whose end we did not
/// see: it was written; not ours otherwise: a zombie's late write, which changes nothing and is reported.
struct Outbox {
    struct Entry {
        var write: Write
        /// Not before this moment.
        var due: Duration = .zero
        /// Waits since it was first refused.
        var patience: Duration = .milliseconds(20)
        /// Refused once: ask whether it is still ours.
        var doubtful = false
        /// Was in a trip whose end we did not see.
        var maybeWritten = false
        /// Was in a trip with data that cannot be stored: goes alone, to find out whether it is the one.
        var alone = false
        /// How often its data had to be replaced.
        var replaced = 0

        var size: Int { if case .complete(let result?) = write.verb { result.count } else { 0 } }
    }

    /// About so many bytes of results go in one trip: a message to the server is held in memory on both sides.
    private static let bytesPerTrip = 8_388_608

    private(set) var waiting: [Entry] = []
    /// By the number of the trip; one that writes nothing is not among them.
    private(set) var underWay: [Int: [Entry]] = [:]

    var isEmpty: Bool { waiting.isEmpty && underWay.isEmpty }
    var count: Int { underWay.values.reduce(waiting.count) { $0 + $1.count } }

    var claims: [Claim] { (waiting + underWay.values.joined()).map(\.write.claim) }

    /// Nothing that waits has been refused before.
    private(set) var isPlain = true

    mutating func add(_ write: Write) { waiting.append(Entry(write: write)) }

    /// This claim is no longer ours; nobody waits for its outcome.
    mutating func drop(_ claim: Claim) { waiting.removeAll { $0.write.claim == claim } }

    /// The moment of the next write that waits for one.
    var nextDue: Duration? { waiting.lazy.map(\.due).min() }

    /// Takes what is due for a trip: everything, or a single one that has to go alone.
    mutating func take(for trip: Int, at now: Duration, atMost limit: Int) -> (writes: [Write], held: [Claim], alone: Bool) {
        var alone = false
        var taken: [Entry] = []
        defer { if !taken.isEmpty { underWay[trip] = taken } }
        if let index = waiting.firstIndex(where: { $0.alone && $0.due <= now }) {
            taken = [waiting.remove(at: index)]
            alone = true
        } else {
            // The common case, all of them due and not too much, moves the array instead of filtering it.
            if waiting.count <= limit, waiting.allSatisfy({ $0.due <= now }), waiting.reduce(0, { $0 + $1.size }) <= Self.bytesPerTrip {
                swap(&taken, &waiting)
                isPlain = true
            } else {
                var bytes = 0
                waiting.removeAll { entry in
                    guard entry.due <= now, taken.count < limit, bytes <= Self.bytesPerTrip else { return false }
                    bytes += entry.size
                    taken.append(entry)
                    return true
                }
            }
        }
        return (taken.map(\.write), taken.filter(\.doubtful).map(\.write.claim), alone)
    }

    /// A trip ended well. Returns what was written, and what was no longer ours.
    mutating func settle(_ trip: Int, written: Set<Claim>, held: Set<Claim>, at now: Duration) -> (written: [Write], late: [Write]) {
        var done: [Write] = []
        var late: [Write] = []
        for var entry in underWay.removeValue(forKey: trip) ?? [] {
            if written.contains(entry.write.claim) {
                done.append(entry.write)
            } else if entry.doubtful && !held.contains(entry.write.claim) {
                if entry.maybeWritten { done.append(entry.write) } else { late.append(entry.write) }
            } else {
                entry.due = entry.doubtful ? now + entry.patience : now
                if entry.doubtful { entry.patience = min(entry.patience * 2, .seconds(1)) }
                entry.doubtful = true
                waiting.append(entry)
                isPlain = false
            }
        }
        return (done, late)
    }

    /// A trip was rolled back, or we do not know.
    mutating func giveBack(_ trip: Int, _ failure: TripFailure, at now: Duration) {
        for var entry in underWay.removeValue(forKey: trip) ?? [] {
            isPlain = false
            switch failure {
            case .connectionLost:
                entry.maybeWritten = true
                entry.doubtful = true
            case .retryable, .other:
                entry.due = now + entry.patience
                entry.patience = min(entry.patience * 2, .seconds(1))
            case .badData(let reason):
                if entry.alone { entry.replace(because: reason) }
                entry.alone = true
                if entry.replaced > 1 { entry.due = now + entry.patience }
            }
            waiting.append(entry)
        }
    }
}

extension Outbox.Entry {
    /// This outcome cannot be stored: the task fails for good, and says why.
    fileprivate mutating func replace(because reason: String) {
        replaced += 1
        // The database's own words may quote the data that it refused; the second time we say it without them.
        let message =
            replaced == 1
            ? "the outcome cannot be stored as jsonb: \(reason)"
            : "the outcome cannot be stored as jsonb"
        write.verb = .fail(AttemptError(.error, message))
    }
}
