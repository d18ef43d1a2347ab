// A connection to PostgreSQL: an actor on the loop's thread, round one PGconn in non-blocking mode.
//
// An actor lets others in at every await. So a caller never talks to libpq: it makes an `Operation`, puts it at the end
// of `waiting` and suspends once, until the operation is answered; or it is on the loop and leaves a closure to be called
// then, which saves it a task and two turns of the loop. What waits is sent in the order in which it came, when nothing is
// under way; or, if `options.ahead` says so, a pipeline behind pipelines that are not answered yet, so that the server need
// not wait for us when it is done with one. Sending only fills libpq's buffer and flushes what the socket takes; the rest goes
// when the loop says that there is room. Answers come in the order of sending: they are those of the first of `sent`.
//
// One watch lives as long as the connection. Whenever the socket is readable, everything that libpq can make of it is
// taken: notifications first, then results of the current operation, then notifications again, because libpq reads
// both in one go and stops parsing at the end of a result. Callers are told last. So a notification that came with an answer
// is delivered before the caller sees that answer, and one that comes while nobody asks is delivered at once. While a flush is
// unfinished the watch is for writing as well, and reading goes on: server and client would else wait for each other.
//
// Everything but scripts and COPY runs in libpq's pipeline mode, a single statement too: preparing it and running it is
// then one round trip. Each group ends with a sync, which makes it one implicit transaction. After an error the server
// skips to the next sync, so the groups do not touch each other. Entering and leaving pipeline mode sends nothing.
//
// A statement is prepared in front of its first use, inside the group that uses it. Whether that goes well is known only
// later, so another group of the same pipeline does not count on it, and sends the statement in full.
//
// The end. libpq finds the socket closed, or reports something that does not fit what was sent: `lose` closes the
// PGconn, tells every waiting caller the same error (one that was sent cannot know whether its command was done), and calls
// `onClosed`, once. Our own `close` does the same without the call. The server's parting words (57P01 and the like) are
// kept from wherever they came, because "server closed the connection unexpectedly" explains nothing.
//
// Cancelling a task: an operation that still waits is taken out; one that has been sent is seen through to its end, as
// the wire demands, and its caller waits for it. `cancelRunning` is what shortens it.

internal import CLibpq

/// One session with PostgreSQL. Commands are answered in the order in which they were asked for, whoever asks.
public actor Connection {
    public nonisolated let loop: EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// The process that serves this session; 0 behind some poolers.
    public nonisolated let backendPid: Int32
    /// 150018 is 15.18.
    public nonisolated let serverVersion: Int

    private nonisolated let canceller: Canceller
    private let options: ConnectionOptions
    private let onNotification: @Sendable (Notification) -> Void
    private var onClosed: (@Sendable (PostgresError) -> Void)?

    private var handle: Handle?
    private var watch: Watch?
    private var watchesWriting = false
    private var closedBecause = PostgresError.lost("the connection is closed")

    /// Not answered to the end. More than one only if all are pipelines.
    private var sent: [Operation] = []
    private var waiting: [Operation] = []
    /// Answered to the end; who asked is told when all that has come is taken.
    private var answered: [Operation] = []
    private var prepared = PreparedStatements()
    /// The rest of a COPY that is being sent.
    private var copySource: (() -> [UInt8]?)?

    // MARK: Opening and closing

    /// Connects and runs `options.setup`.
    /// - Parameters:
    ///   - timeout: for everything together, name lookup and setup included.
    ///   - onNotification: called on the loop for each notification, in the order of their arrival. It must not block.
    ///   - onClosed: called on the loop, once, when the connection is lost; not after `close`.
    /// - Throws: `PostgresError`, `isConnectionLost` unless it was the setup that failed; `CancellationError`.
    public static func connect(
        _ info: Conninfo, on loop: EventLoop, timeout: Duration, options: ConnectionOptions = .init(),
        onNotification: @escaping @Sendable (Notification) -> Void = { _ in },
        onClosed: @escaping @Sendable (PostgresError) -> Void = { _ in }
    ) async throws -> Connection {
        let deadline = EventLoop.now + timeout
        let handle = try await Connecting.connect(info, on: loop, deadline: deadline, timeout: timeout)
        let connection = Connection(handle, loop, options, onNotification)
        try await connection.begin(deadline, "the setup of \(info.summary) took longer than \(timeout)", onClosed)
        return connection
    }

    private init(
        _ handle: Handle, _ loop: EventLoop, _ options: ConnectionOptions,
        _ onNotification: @escaping @Sendable (Notification) -> Void
    ) {
        self.handle = handle
        self.loop = loop
        self.options = options
        self.onNotification = onNotification
        backendPid = PQbackendPID(handle.pointer)
        serverVersion = Int(PQserverVersion(handle.pointer))
        canceller = Canceller(handle)
    }

    deinit { watch?.cancel() }

    private func begin(_ deadline: Duration, _ tooLate: String, _ onClosed: @escaping @Sendable (PostgresError) -> Void) async throws {
        guard let pointer = handle?.pointer else { throw closedBecause }
        PQsetnonblocking(pointer, 1)
        watch = loop.watch(PQsocket(pointer), .read) { [weak self] interest in
            self?.assumeIsolated { $0.socketIsReady(interest) }
        }
        let timer = loop.at(deadline) { [weak self] in self?.assumeIsolated { $0.lose(.lost(tooLate)) } }
        defer { timer.cancel() }
        do {
            for sql in options.setup { try await script(sql) }
        } catch {
            close()
            throw error
        }
        guard handle != nil else { throw closedBecause }
        self.onClosed = onClosed
    }

    /// Whether commands can be sent, as far as is known.
    public var isOpen: Bool { handle != nil }

    /// Ends the session. Callers that still wait get an error with `isConnectionLost`; `onClosed` is not called.
    public func close() {
        onClosed = nil
        lose(closedBecause)
    }

    // MARK: Commands
    //
    // All throw `PostgresError` for what the server or the connection says, and `CancellationError` when the calling
    // task is cancelled before the command was sent.

    /// Runs a statement, prepared on first use.
    public func execute(_ statement: Statement, _ parameters: [Parameter] = []) async throws -> Rows {
        let operation = try await perform(.pipeline([[Query(statement, parameters)]]))
        guard let answer = operation.answers.first, let answer else { throw PostgresError.aborted(statement.name) }
        return try answer.get()
    }

    /// Runs a statement that is not kept prepared; its results come as text.
    public func execute(_ sql: String, _ parameters: [Parameter] = []) async throws -> Rows {
        try await execute(Statement(name: "", sql: sql, binary: false), parameters)
    }

    /// Runs several statements, separated by semicolons, as one implicit transaction unless they say otherwise.
    /// Their results are dropped.
    public func script(_ sql: String) async throws {
        let operation = try await perform(.script(sql))
        if let failure = operation.failure { throw failure }
    }

    /// Runs groups of statements in one round trip. Each group is a transaction of its own (unless it says BEGIN).
    ///
    /// After an error the rest of its group is not run and answers `isAborted`; the other groups are not touched.
    /// - Returns: for each group an answer to each statement.
    /// - Throws: when nothing was sent, or the connection was lost; which groups were done is then unknown.
    public func pipeline(_ groups: [[Query]]) async throws -> [[Result<Rows, PostgresError>]] {
        guard !groups.isEmpty else { return [] }
        return try await perform(.pipeline(groups)).grouped()
    }

    /// The same for a caller on the loop that has something to do meanwhile: what the socket takes is sent before this returns.
    /// - Parameter answered: called on the loop, once, after this has returned.
    public func pipeline(_ groups: [[Query]], answered: @escaping Answered) {
        guard !groups.isEmpty else { return loop.run { answered(.success([])) } }
        send(Operation(groups, answered, on: loop))
    }

    /// Makes up a pipeline that shall be sent with as little to do as can be.
    /// - Parameter answered: as above, if it is sent.
    /// - Returns: nil when a statement has to be prepared first.
    public func ready(_ groups: [[Query]], answered: @escaping Answered) -> ReadyPipeline? {
        guard !groups.isEmpty, groups.joined().allSatisfy(isPrepared) else { return nil }
        let operation = Operation(groups, answered, on: loop)
        make(operation, groups)
        return ReadyPipeline(operation: operation)
    }

    /// What the socket takes is sent before this returns. Once only.
    public func send(_ pipeline: ReadyPipeline) { send(pipeline.operation) }

    private func send(_ operation: Operation) {
        do { try add(operation) } catch { operation.end(error) }
    }

    /// Runs `COPY ... FROM STDIN` with `data`, which may be cut into chunks anywhere.
    ///
    /// The chunks are asked for on the loop's thread while they are sent, so producing one must not block. If the server
    /// refuses a row, the rest is still produced and then the error is thrown.
    /// - Returns: the number of rows.
    public func copyIn(_ sql: String, _ data: some Sequence<[UInt8]> & Sendable) async throws -> Int {
        var iterator = data.makeIterator()
        let operation = try await perform(.copy(sql, { iterator.next() }))
        if let failure = operation.failure { throw failure }
        return operation.rows?.affected ?? 0
    }

    public func copyIn(_ sql: String, _ data: [UInt8]) async throws -> Int {
        try await copyIn(sql, CollectionOfOne(data))
    }

    /// Asks the server to stop what this connection runs, over a short connection of its own. The command then fails with
    /// 57014, unless it is finished by then; a command that was sent in the meantime may be hit instead.
    ///
    /// Does not use the loop, so it works while the connection is busy or stuck.
    /// - Throws: `PostgresError` when the server could not be asked.
    public nonisolated func cancelRunning() async throws {
        let canceller = canceller
        let problem: String? = await withCheckedContinuation { continuation in
            onThreadOfItsOwn { continuation.resume(returning: canceller.cancel()) }
        }
        if let problem { throw PostgresError.lost("the cancel request did not get through: \(problem)") }
    }

    // MARK: The queue

    private func perform(_ work: Operation.Work) async throws -> Operation {
        let operation = Operation(work)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                operation.onEnd { _, error in
                    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
                }
                do {
                    if Task.isCancelled { throw CancellationError() }
                    try add(operation)
                } catch { operation.end(error) }
            }
        } onCancel: {
            loop.run { self.assumeIsolated { $0.drop(operation) } }
        }
        return operation
    }

    private func add(_ operation: Operation) throws(PostgresError) {
        // Whoever waits in a closed connection waits for ever.
        guard handle != nil else { throw closedBecause }
        try check(operation.work)
        waiting.append(operation)
        sendNext()
    }

    /// What libpq would refuse in the middle of a pipeline, where nothing can be taken back.
    private func check(_ work: Operation.Work) throws(PostgresError) {
        guard case .pipeline(let groups) = work else { return }
        for group in groups {
            for query in group where query.parameters.count > 65535 {
                throw PostgresError(message: "more than 65535 parameters", statement: query.statement.name)
            }
        }
    }

    private func drop(_ operation: Operation) {
        guard let place = waiting.firstIndex(where: { $0 === operation }) else { return }
        waiting.remove(at: place)
        operation.end(CancellationError())
    }

    private func sendNext() {
        while let operation = waiting.first, let handle, sent.isEmpty || mayGoAhead(operation) {
            waiting.removeFirst()
            sent.append(operation)
            guard send(operation, handle.pointer) else { return lose(handle.reason) }
            flush()
        }
    }

    private func mayGoAhead(_ operation: Operation) -> Bool {
        sent.count <= options.ahead && operation.isPipeline && sent.allSatisfy(\.isPipeline)
    }

    private func finish(_ operation: Operation) {
        sent.removeFirst()
        answered.append(operation)
        sendNext()
    }

    private func tellAnswered() {
        while !answered.isEmpty { answered.removeFirst().end() }
    }

    // MARK: Sending

    private func send(_ operation: Operation, _ pointer: OpaquePointer) -> Bool {
        switch operation.work {
        case .pipeline(let groups):
            if PQpipelineStatus(pointer) == PQ_PIPELINE_OFF, PQenterPipelineMode(pointer) == 0 { return false }
            return sendPipeline(operation, groups, pointer)
        case .script(let sql), .copy(let sql, _):
            if PQpipelineStatus(pointer) != PQ_PIPELINE_OFF, PQexitPipelineMode(pointer) == 0 { return false }
            return PQsendQuery(pointer, sql) == 1
        }
    }

    private func isPrepared(_ query: Query) -> Bool {
        !options.prepared || query.statement.name.isEmpty || prepared.find(query.statement, query.parameters.map(\.oid)) != nil
    }

    private func make(_ operation: Operation, _ groups: [[Query]]) {
        let count = groups.reduce(0) { $0 + $1.count + 1 }
        var commands: [Operation.Command] = []
        var steps: [Operation.Step] = []
        commands.reserveCapacity(count)
        steps.reserveCapacity(count)
        var index = 0
        /// Prepared by this very pipeline, and in which of its groups.
        var preparing: [(variant: PreparedStatements.Variant, group: Int)] = []
        for (group, queries) in groups.enumerated() {
            for query in queries {
                let (statement, parameters) = (query.statement, EncodedParameters(query.parameters))
                var serverName: String?
                if options.prepared && !statement.name.isEmpty {
                    if let known = prepared.find(statement, parameters.oids) {
                        serverName = known.serverName
                    } else if let begun = preparing.first(where: { $0.variant.serves(statement, parameters.oids) }) {
                        serverName = begun.group == group ? begun.variant.serverName : nil
                    } else {
                        let variant = prepared.invent(statement, parameters.oids)
                        commands.append(.prepare(variant))
                        steps.append(.prepare(index, variant))
                        preparing.append((variant, group))
                        serverName = variant.serverName
                    }
                }
                commands.append(.run(statement, parameters, serverName))
                steps.append(.query(index, statement))
                index += 1
            }
            commands.append(.sync)
            steps.append(.sync)
        }
        operation.make(commands, expecting: steps, queries: index)
    }

    private func sendPipeline(_ operation: Operation, _ groups: [[Query]], _ pointer: OpaquePointer) -> Bool {
        if operation.commands.isEmpty { make(operation, groups) }
        return operation.takeCommands().allSatisfy { command in
            switch command {
            case .prepare(let variant): PQsendPrepare(pointer, variant.serverName, variant.sql, CInt(variant.oids.count), variant.oids) == 1
            case .run(let statement, let parameters, let serverName): send(statement, parameters, as: serverName, pointer)
            case .sync: PQpipelineSync(pointer) == 1
            }
        }
    }

    private func send(_ statement: Statement, _ parameters: EncodedParameters, as serverName: String?, _ pointer: OpaquePointer) -> Bool {
        let format: CInt = statement.binary ? 1 : 0
        return parameters.withPointers { count, oids, values, lengths, formats in
            if let serverName {
                PQsendQueryPrepared(pointer, serverName, count, values, lengths, formats, format)
            } else {
                PQsendQueryParams(pointer, statement.sql, count, oids, values, lengths, formats, format)
            }
        } == 1
    }

    /// Sends what the socket takes; the loop will say when there is room for the rest.
    private func flush() {
        guard let handle else { return }
        let rest = PQflush(handle.pointer)
        if rest < 0 { return lose(handle.reason) }
        guard (rest == 1) != watchesWriting else { return }
        watchesWriting = rest == 1
        watch?.update(watchesWriting ? [.read, .write] : .read)
    }

    /// Sends more of a COPY, as long as the socket takes it, but gives the loop a turn now and then.
    private func continueCopy() {
        guard let handle, let source = copySource else { return }
        var total = 0
        while total < 1 << 20 {
            var size = 0
            while size < 1 << 16 {
                guard let chunk = source() else {
                    copySource = nil
                    if PQputCopyEnd(handle.pointer, nil) != 1 { return lose(handle.reason) }
                    return flush()
                }
                let sent = chunk.withUnsafeBytes { bytes in
                    PQputCopyData(handle.pointer, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(clamping: bytes.count))
                }
                if sent != 1 { return lose(handle.reason) }
                size += max(1, chunk.count)
            }
            total += size
            flush()
            if watchesWriting || copySource == nil { return }
        }
        loop.run { [weak self] in self?.assumeIsolated { $0.continueCopy() } }
    }

    // MARK: Receiving

    private func socketIsReady(_ interest: Interest) {
        guard let handle else { return }
        defer { tellAnswered() }
        if watchesWriting && interest.contains(.write) {
            flush()
            if !watchesWriting { continueCopy() }
            guard self.handle != nil else { return }
        }
        let isAlive = PQconsumeInput(handle.pointer) == 1
        deliverNotifications(handle.pointer)
        takeResults(handle)
        guard self.handle != nil else { return }
        deliverNotifications(handle.pointer)
        if !isAlive || handle.isBad { lose(handle.reason) }
    }

    private func takeResults(_ handle: Handle) {
        while let operation = sent.first, self.handle != nil, copySource == nil, PQisBusy(handle.pointer) == 0 {
            switch operation.take(PQgetResult(handle.pointer), &prepared) {
            case .more: if handle.isBad { return }
            case .done: finish(operation)
            case .copyIn:
                if case .copy(_, let source) = operation.work {
                    copySource = source
                    continueCopy()
                } else if PQputCopyEnd(handle.pointer, "a script has no data for COPY") != 1 {
                    lose(handle.reason)
                } else {
                    flush()
                }
            case .outOfStep:
                let text = "the server answered what was not asked (COPY needs copyIn, and TO STDOUT is not supported)"
                lose(handle.isBad ? handle.reason : .lost(text))
            }
        }
    }

    private func deliverNotifications(_ pointer: OpaquePointer) {
        while let notification = PQnotifies(pointer) {
            let (channel, payload) = (notification.pointee.relname, notification.pointee.extra)
            onNotification(
                Notification(
                    channel: channel.map { String(cString: $0) } ?? "", payload: payload.map { String(cString: $0) } ?? "",
                    pid: notification.pointee.be_pid))
            PQfreemem(notification)
        }
    }

    private func lose(_ reason: PostgresError) {
        guard let handle else { return }
        if PQsocket(handle.pointer) < 0 { watch?.cancelClosed() } else { watch?.cancel() }
        closedBecause = sent.first?.lastWords ?? reason
        let callers = sent + waiting
        (self.handle, watch, sent, waiting, copySource) = (nil, nil, [], [], nil)
        for operation in callers { operation.end(closedBecause) }
        onClosed.take()?(closedBecause)
    }
}
