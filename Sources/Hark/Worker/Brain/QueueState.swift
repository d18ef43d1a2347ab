/// What a queue is to one worker: its slots, its policies.
public struct QueueSettings: Sendable, Equatable {
    public var name: String
    /// How many tasks of this queue the worker runs at a time, 1 to 10,000.
    public var slots: Int
    /// Used for tasks whose row and function say nothing.
    public var maxAttempts: Int?
    public var timeout: Duration?
    /// A claim is on the server's disk before its function begins. Without, an idle worker begins as much sooner as the disk takes; but a
    /// crash of the server (not of the worker) may undo the claims just before it, and their functions are then begun a second time.
    public var durableClaims: Bool

    public init(name: String, slots: Int = 10, maxAttempts: Int? = nil, timeout: Duration? = nil, durableClaims: Bool = true) {
        self.name = name
        self.slots = slots
        self.maxAttempts = maxAttempts
        self.timeout = timeout
        self.durableClaims = durableClaims
    }
}

/// What the worker knows of one queue: how full its slots are, and whether and how to look for more.
///
/// A *narrow* look takes the known lanes from their marks on: one index descent each, however many dead entries lie
/// before the marks. A *full* look forgets the marks and learns which lanes exist. Tasks can commit behind a mark, so
/// a full look is made now and then, at most 5 % of the time, and always before the worker sleeps.
struct QueueState {
    enum Wanted: Int, Comparable {
        /// The last full look found nothing more.
        case nothing
        case narrow
        case full

        static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }

    var settings: QueueSettings
    var running = 0
    /// Whether its tasks are, as far as we have seen, functions that share few interpreters; nil when none was seen.
    var isPooled: Bool?
    /// Then: how many more of them those can begin soon.
    var allowance: Int?
    /// Room that looks under way have asked to fill.
    private var reserved = 0
    /// The last answer filled the room that there was: there is probably more.
    private var wasFilled = false
    var wanted = Wanted.full
    /// In order of priority. Priority 0 is always there: it is where almost everything goes.
    var lanes: [Lane] = [Lane(priority: 0, mark: 0)]
    /// The lanes are known. The first look of all only asks for them, or it would take from lane 0 before it knew of
    /// tasks that come first.
    private var knowsLanes = false
    /// In a long run of narrow looks: when the next one shall be full.
    var nextFullLook: Duration = .zero
    /// When the next scheduled task becomes ready, as far as we know.
    var nextDue: Duration?
    /// We were rung for it, and have not seen yet that nothing is left. Whoever is rung sees to it, or passes the ring on.
    private var isRung = false
    /// Until then others may not know of a scheduled task that we were rung for.
    private var knowsMoreUntil = Duration.zero
    /// The `nextDue` that was passed on.
    private var passedOn: Duration?
    /// Something is due and cannot be promoted, because somebody has it locked: how long to wait before the next try.
    private var dueWait = Duration.milliseconds(50)

    init(_ settings: QueueSettings) { self.settings = settings }

    /// Nobody wants it any more (a new configuration gave it no slots), and nothing of it runs.
    var isOver: Bool { settings.slots == 0 && running == 0 }

    /// For how many more tasks there is room here.
    var free: Int { max(min(settings.slots - running, allowance ?? .max), 0) }

    /// For how many more to ask.
    var room: Int { max(free - reserved, 0) }

    mutating func want(_ look: Wanted) { wanted = max(wanted, look) }

    mutating func ring(at now: Duration) {
        isRung = true
        // The longest poll interval that others may have.
        knowsMoreUntil = now + .seconds(60)
    }

    /// Whether others are to be told, now that this worker has no room for it: of what it was rung for, and of what comes due
    /// within the minute in which an insert rings, too.
    mutating func mustPassOn(isAble: Bool, at now: Duration) -> Bool {
        guard free == 0 || !isAble else { return false }
        let isDue = nextDue.map { $0 != passedOn && $0 < now + .seconds(60) } ?? false
        guard isRung || isDue else { return false }
        isRung = false
        passedOn = nextDue
        return true
    }

    /// Nothing that a claim could find, as far as we know, and room for what may come.
    var isIdle: Bool { free > 0 && wanted == .nothing }

    /// Whether a claim should look here now.
    var wantsLook: Bool { room > 0 && wanted > .nothing }

    /// Whether a narrow look is worth it before the one that is under way is answered.
    func goesOn(at now: Duration) -> Bool { room > 0 && wasFilled && wanted < .full && now < nextFullLook && nextDue.map { $0 > now } ?? true }

    /// What to ask of the database now. From here on `wanted` gathers what is heard while the look is under way.
    mutating func look() -> QueueLook {
        let full = wanted == .full
        let look = QueueLook(
            queue: settings.name, full: full, room: knowsLanes ? room : 0,
            lanes: full ? lanes.map { Lane(priority: $0.priority, mark: 0) } : lanes)
        wanted = .nothing
        reserved += look.room
        return look
    }

    /// A look is over, well or badly.
    mutating func answered(_ look: QueueLook) { reserved = max(reserved - look.room, 0) }

    /// Takes note of what a look brought.
    /// - Parameters:
    ///   - existing: the priorities that have ready tasks; only after a full look.
    ///   - nextDue: how long until the next scheduled task is due; not positive if some that are due were not promoted.
    ///     Only after a full look.
    ///   - mayPromoteMore: that was because there are more than one round trip promotes.
    mutating func looked(_ asked: QueueLook, found: [ClaimedTask], existing: [Int], nextDue: Duration?, mayPromoteMore: Bool, took: Duration, at now: Duration) {
        let lowest = Dictionary(found.map { ($0.priority, $0.position) }, uniquingKeysWith: min)
        let filled = found.count >= asked.room
        wasFilled = filled && asked.room > 0
        answered(asked)
        guard asked.full else {
            for index in lanes.indices { if let position = lowest[lanes[index].priority] { lanes[index].mark = position } }
            want(filled && now < nextFullLook ? .narrow : .full)
            return
        }
        nextFullLook = now + max(took * 20, .seconds(1))
        let marks = Dictionary(uniqueKeysWithValues: lanes.map { ($0.priority, $0.mark) })
        let news = existing.contains { marks[$0] == nil }
        lanes = Set(existing).union([0]).sorted().map { Lane(priority: $0, mark: lowest[$0] ?? marks[$0] ?? 0) }
        if let nextDue, nextDue <= .zero, !mayPromoteMore {
            self.nextDue = now + dueWait
            dueWait = min(dueWait * 2, .seconds(1))
        } else {
            self.nextDue = nextDue.map { now + $0 }
            dueWait = .milliseconds(50)
        }
        if knowsLanes {
            want(news ? .full : filled ? .narrow : .nothing)
        } else {
            knowsLanes = true
            want(existing.isEmpty ? .nothing : .full)
        }
        if wanted == .nothing { isRung = false }
    }

    /// A guard keeps the time for its reserves, but for what only they were rung for.
    mutating func leaveTimeToGuard(at now: Duration) {
        if now >= knowsMoreUntil { nextDue = nil }
    }

    /// A task of this priority is given back. It was taken before the lanes were listed, so its lane may seem to be empty.
    mutating func expect(_ priority: Int) {
        want(.full)
        if !lanes.contains(where: { $0.priority == priority }) {
            lanes.append(Lane(priority: priority, mark: 0))
            lanes.sort { $0.priority < $1.priority }
        }
    }

    /// The moment of a scheduled task has come: only a full look promotes it.
    mutating func comeDue(at now: Duration) {
        guard let due = nextDue, due <= now else { return }
        nextDue = nil
        want(.full)
    }
}
