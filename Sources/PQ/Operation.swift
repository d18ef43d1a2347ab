internal import CLibpq

/// One command of a connection, from the moment somebody asks for it until it is answered: what to send, which answers
/// are due, what has come. Touched on the loop only.
final class Operation: @unchecked Sendable {
    enum Work {
        case pipeline([[Query]])
        case script(String)
        /// The statement, and where its data comes from, chunk by chunk.
        case copy(String, () -> [UInt8]?)
    }

    /// What is said to the server in pipeline mode, piece by piece.
    enum Command {
        case prepare(PreparedStatements.Variant)
        /// The last is the name under which the server knows the statement.
        case run(Statement, EncodedParameters, String?)
        case sync
    }

    /// What the server still has to answer in pipeline mode. The number is that of the query, counted through all groups.
    enum Step {
        case prepare(Int, PreparedStatements.Variant)
        case query(Int, Statement)
        case sync
    }

    typealias Answer = Result<Rows, PostgresError>

    let work: Work
    /// Who asked for it is told once, without an error when it was answered to the end.
    private var onEnd: ((Operation, (any Error)?) -> Void)?

    /// What to send, once it is made up and until it is sent.
    private(set) var commands: [Command] = []
    private var steps: [Step] = []
    private var next = 0
    private var isAnswered = false
    /// The server has refused a commit; what follows is the end of that answer, and then the sync.
    private var commitFailed = false
    private(set) var answers: [Answer?] = []
    /// The first error of a script or COPY.
    private(set) var failure: PostgresError?
    private(set) var rows: Rows?

    init(_ work: Work) { self.work = work }

    convenience init(_ groups: [[Query]], _ answered: @escaping Answered, on loop: EventLoop) {
        self.init(.pipeline(groups))
        onEnd { operation, error in
            guard let error else { return answered(.success(operation.grouped())) }
            // It may have been lost in the middle of something, even of the call that sends it.
            let failure = error as? PostgresError ?? .lost("\(error)")
            loop.run { answered(.failure(failure)) }
        }
    }

    func onEnd(_ body: @escaping (Operation, (any Error)?) -> Void) { onEnd = body }

    func end(_ error: (any Error)? = nil) { onEnd.take()?(self, error) }

    var isPipeline: Bool { if case .pipeline = work { true } else { false } }

    /// The error that the server has already sent for this command, if that says why the connection went.
    var lastWords: PostgresError? {
        if let failure, failure.isConnectionLost { return failure }
        for case .failure(let error)? in answers where error.isConnectionLost { return error }
        return nil
    }

    /// The answers, group by group.
    func grouped() -> [[Answer]] {
        guard case .pipeline(let groups) = work else { return [] }
        var index = 0
        return groups.map { group in
            group.map { query in
                defer { index += 1 }
                return answers[index] ?? .failure(.aborted(query.statement.name))
            }
        }
    }

    func make(_ commands: [Command], expecting steps: [Step], queries: Int) {
        self.commands = commands
        self.steps = steps
        answers = Array(repeating: nil, count: queries)
    }

    func takeCommands() -> [Command] {
        defer { commands = [] }
        return commands
    }

    enum Progress {
        case more
        case done
        /// The statement wants data for COPY.
        case copyIn
        case outOfStep
    }

    /// Takes what PQgetResult gave, nil included.
    func take(_ result: OpaquePointer?, _ prepared: inout PreparedStatements) -> Progress {
        if case .pipeline = work { return takeStep(result, &prepared) }
        guard let result else { return .done }
        switch PQresultStatus(result) {
        case PGRES_COPY_IN:
            PQclear(result)
            return .copyIn
        case PGRES_COPY_OUT, PGRES_COPY_BOTH:
            PQclear(result)
            return .outOfStep
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE:
            failure = failure ?? PostgresError(result: result, statement: nil)
            PQclear(result)
        default: rows = Rows(result)
        }
        return .more
    }

    private func takeStep(_ result: OpaquePointer?, _ prepared: inout PreparedStatements) -> Progress {
        guard next < steps.count else {
            PQclear(result)
            return .outOfStep
        }
        guard let result else {
            if commitFailed {
                commitFailed = false
                return .more
            }
            // The end of a query's results. One that comes before its result would be a loop without end.
            guard isAnswered else { return .outOfStep }
            isAnswered = false
            next += 1
            return .more
        }
        let status = PQresultStatus(result)
        switch (steps[next], status) {
        case (.sync, PGRES_PIPELINE_SYNC):
            PQclear(result)
            next += 1
            return next == steps.count ? .done : .more
        case (.sync, PGRES_FATAL_ERROR) where !PostgresError(result: result, statement: nil).isConnectionLost:
            // The commit failed: a deferred trigger, a serialization failure. The sync itself is still to come.
            // Nothing of the group was done, whatever was answered before.
            for step in steps[..<next].reversed() {
                if case .sync = step { break }
                if case .query(let index, let statement) = step, case .success? = answers[index] {
                    answers[index] = .failure(PostgresError(result: result, statement: statement.name))
                }
            }
            PQclear(result)
            commitFailed = true
            return .more
        case (.sync, _), (_, PGRES_PIPELINE_SYNC), (_, PGRES_COPY_IN), (_, PGRES_COPY_OUT), (_, PGRES_COPY_BOTH):
            // An error that comes where none is due is the server's last word.
            if status == PGRES_FATAL_ERROR { failure = PostgresError(result: result, statement: nil) }
            PQclear(result)
            return .outOfStep
        case (.prepare(let index, let variant), _):
            if status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE {
                answers[index] = .failure(PostgresError(result: result, statement: variant.name))
            } else if status != PGRES_PIPELINE_ABORTED {
                prepared.remember(variant)
            }
            PQclear(result)
        case (.query(let index, let statement), PGRES_FATAL_ERROR), (.query(let index, let statement), PGRES_BAD_RESPONSE):
            let error = PostgresError(result: result, statement: statement.name)
            if error.sqlState == "26000" || error.isStalePlan { prepared.forget(statement.name) }
            answers[index] = .failure(error)
            PQclear(result)
        case (.query, PGRES_PIPELINE_ABORTED):
            PQclear(result)
        case (.query(let index, _), _):
            answers[index] = .success(Rows(result))
        }
        isAnswered = true
        return .more
    }
}

/// What became of a pipeline: for each group an answer to each statement.
public typealias Answered = @Sendable (Result<[[Result<Rows, PostgresError>]], PostgresError>) -> Void

/// A pipeline that is made up and waits for the word. When it is dropped nothing was sent.
public struct ReadyPipeline: Sendable {
    let operation: Operation
}
