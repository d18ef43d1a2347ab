import PQ
import Testing
import TestSupport

@Suite("Commands")
struct CommandTests {
    private func connect(_ options: ConnectionOptions = .init()) async throws -> Connection {
        try await Connection.connect(
            TestServer.shared.conninfo(), on: testLoop, timeout: .seconds(30), options: options)
    }

    @Test("a commit that fails is an error of its group, and the connection goes on")
    func failedCommit() async throws {
        let connection = try await connect()
        try await connection.script("create temp table once (i int unique deferrable initially deferred)")
        let answers = try await connection.pipeline([
            [Query("insert into once values (1)"), Query("insert into once values (1)")], [Query("insert into once values (2)")],
        ])
        for answer in answers[0] {
            let error = #expect(throws: PostgresError.self) { try answer.get() }
            #expect(error?.sqlState == "23505")
        }
        #expect(try answers[1][0].get().affected == 1)
        #expect(try await connection.execute("select count(*) from once")[0].int(0) == 1)
        await connection.close()
    }

    @Test("an error has its SQLSTATE, detail, constraint and the statement's name; the connection goes on")
    func errors() async throws {
        let connection = try await connect()
        try await connection.script("create temp table t (id int constraint positive check (id > 0) constraint once unique)")
        let insert = Statement(name: "insert_t", sql: "insert into t values ($1)")
        #expect(try await connection.execute(insert, [.int32(1)]).affected == 1)
        let unique = await #expect(throws: PostgresError.self) { try await connection.execute(insert, [.int32(1)]) }
        #expect(unique?.sqlState == "23505" && unique?.constraint == "once" && unique?.statement == "insert_t")
        #expect(unique?.detail == "Key (id)=(1) already exists." && unique?.isRetryable == false)
        let check = await #expect(throws: PostgresError.self) { try await connection.execute(insert, [.int32(0)]) }
        #expect(check?.constraint == "positive")
        #expect(check?.description.contains("violates check constraint \"positive\"") == true)
        let syntax = await #expect(throws: PostgresError.self) { try await connection.execute("selec 1") }
        #expect(syntax?.sqlState == "42601")
        #expect(try await connection.execute("select count(*) from t")[0].int(0) == 1)
        await connection.close()
    }

    @Test("in a pipeline an error ends its own group only, and undoes it")
    func pipelineError() async throws {
        let connection = try await connect()
        try await connection.script("create temp table t (id int primary key)")
        let insert = Statement(name: "insert", sql: "insert into t values ($1)")
        let answers = try await connection.pipeline([
            [Query(insert, [.int32(1)]), Query("select 10")],
            [Query(insert, [.int32(2)]), Query(insert, [.int32(1)]), Query(insert, [.int32(3)])],
            [Query(insert, [.int32(4)])],
            [],
            [Query(Statement(name: "ids", sql: "select id from t order by id"))],
        ])
        #expect(answers.map(\.count) == [2, 3, 1, 0, 1])
        #expect(try answers[0][1].get()[0].int(0) == 10)
        #expect(try answers[1][0].get().affected == 1)
        #expect(throws: PostgresError.self) { try answers[1][1].get() }
        let aborted = #expect(throws: PostgresError.self) { try answers[1][2].get() }
        #expect(aborted?.isAborted == true)
        #expect(try answers[4][0].get().map { try $0.int(0) } == [1, 4])
        // The second round finds everything prepared.
        let again = try await connection.pipeline([[Query(insert, [.int32(5)])], [Query(insert, [.int32(6)])]])
        #expect(try again.flatMap { $0 }.map { try $0.get().affected } == [1, 1])
        let names = try await connection.execute("select name from pg_prepared_statements order by 1")
        #expect(try names.map { try $0.string(0) } == ["ids", "insert"])
        await connection.close()
    }

    @Test("a statement that could not be prepared is prepared again at its next use")
    func prepareAgain() async throws {
        let connection = try await connect()
        let select = Statement(name: "later", sql: "select id from later")
        let error = await #expect(throws: PostgresError.self) { try await connection.execute(select) }
        #expect(error?.sqlState == "42P01" && error?.statement == "later")
        // Made in one group, used in the next two: the second use does not rely on what the first has prepared.
        let answers = try await connection.pipeline([
            [Query(select)], [Query("create temp table later (id int)")], [Query(select)], [Query(select)],
        ])
        #expect(answers.map { (try? $0[0].get()) != nil } == [false, true, true, true])
        #expect(try await connection.execute(select).isEmpty)
        await connection.close()
    }

    @Test("a prepared statement whose parameters or columns have changed, or that is gone, is prepared anew")
    func staleStatements() async throws {
        let connection = try await connect()
        let echo = Statement(name: "echo", sql: "select $1")
        #expect(try await connection.execute(echo, [.int32(1)])[0].int(0) == 1)
        #expect(try await connection.execute(echo, [.text("a")])[0].string(0) == "a")
        #expect(try await connection.execute(echo, [.null])[0].isNull(0))
        #expect(try await connection.execute(echo, [.int32(2)])[0].int(0) == 2)
        let other = Statement(name: "echo", sql: "select 'other SQL'")
        #expect(try await connection.execute(other)[0].string(0) == "other SQL")

        try await connection.script("create temp table t (a int); insert into t values (1)")
        let all = Statement(name: "all", sql: "select * from t")
        #expect(try await connection.execute(all).columns == ["a"])
        try await connection.script("alter table t add b int")
        let stale = await #expect(throws: PostgresError.self) { try await connection.execute(all) }
        #expect(stale?.isRetryable == true)
        #expect(try await connection.execute(all).columns == ["a", "b"])
        try await connection.script("deallocate all")
        let gone = await #expect(throws: PostgresError.self) { try await connection.execute(all) }
        #expect(gone?.sqlState == "26000" && gone?.isRetryable == true)
        #expect(try await connection.execute(all).columns == ["a", "b"])
        await connection.close()
    }

    @Test("without prepared statements the server keeps none, and everything else is the same")
    func unnamed() async throws {
        let connection = try await connect(ConnectionOptions(prepared: false))
        let statement = Statement(name: "add", sql: "select $1 + $2")
        for number in 1...3 {
            #expect(try await connection.execute(statement, [.int32(1), .int32(Int32(number))])[0].int(0) == 1 + number)
        }
        let answers = try await connection.pipeline([[Query(statement, [.int64(1), .int64(2)])], [Query("select 1/0")], [Query("select 7")]])
        #expect(try answers[0][0].get()[0].int64(0) == 3 && answers[2][0].get()[0].int(0) == 7)
        #expect(try await connection.execute("select count(*) from pg_prepared_statements")[0].int(0) == 0)
        await connection.close()
    }

    @Test("200 callers at once are answered in the order in which they asked, failing and cancelled ones among them")
    func fifo() async throws {
        let connection = try await connect()
        try await connection.script("create temp sequence s")
        let next = Statement(name: "next", sql: "select $1::int4, nextval('s')")
        let order = Events<Int>()
        // Holds the line until everybody stands in it.
        let gate = try await Gate(connection)
        var tasks: [Task<(Int, Int)?, any Error>] = []
        for number in 0..<200 {
            tasks.append(
                Task { () -> (Int, Int)? in
                    switch number % 10 {
                    case 3:
                        await #expect(throws: PostgresError.self) { try await connection.execute("select 1/0") }
                        return nil
                    case 5:
                        let answers = try await connection.pipeline([[Query(next, [.int32(Int32(number))])], [Query("select 1/0")]])
                        order.add(number)
                        return try (number, answers[0][0].get()[0].int(1))
                    case 6:
                        try await connection.script("select 1; select 2")
                        return nil
                    case 8:
                        _ = try await connection.execute(next, [.int32(Int32(number))])
                        return nil
                    default:
                        let row = try await connection.execute(next, [.int32(Int32(number))])[0]
                        order.add(number)
                        #expect(try row.int(0) == number)
                        return try (number, row.int(1))
                    }
                })
        }
        for (number, task) in tasks.enumerated() where number % 10 == 8 { task.cancel() }
        try await gate.open()
        var drawn: [(Int, Int)] = []
        for (number, task) in tasks.enumerated() {
            if number % 10 == 8 {
                _ = try? await task.value
            } else if let pair = try await task.value {
                drawn.append(pair)
            }
        }
        // Each got its own answer. Tasks start in any order, so the line is the order in which the numbers were drawn.
        #expect(Set(drawn.map(\.1)).count == drawn.count && drawn.count == 140)
        let line = drawn.sorted { $0.1 < $1.1 }.map(\.0)
        #expect(order.all.count == line.count)
        await connection.close()
    }

    @Test("callers of one actor are served strictly in the order of their calls")
    func strictOrder() async throws {
        let connection = try await connect()
        let answered = Events<Int>()
        // All children start on the connection's own thread, one after the other, so the order of the calls is known.
        try await withThrowingTaskGroup { group in
            for number in 0..<200 {
                group.addTask(executorPreference: testLoop) {
                    let row = try await connection.execute("select $1::int4", [.int32(Int32(number))])[0]
                    #expect(try row.int(0) == number)
                    answered.add(number)
                }
            }
            try await group.waitForAll()
        }
        #expect(answered.all == Array(0..<200))
        await connection.close()
    }

    @Test("a task that is cancelled while it waits in line is told at once, and its command is never sent")
    func cancelWaiting() async throws {
        let connection = try await connect()
        try await connection.script("create temp sequence s")
        let gate = try await Gate(connection)
        let waiter = Task(executorPreference: testLoop) { try await connection.execute("select nextval('s')") }
        // The loop takes turns: after these the waiter has made its call, and is cancelled in line, not before it.
        for _ in 0..<5 { _ = await connection.isOpen }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await withDeadline(10, "the cancelled caller") { try await waiter.value } }
        try await connection.cancelRunning()
        let error = await #expect(throws: PostgresError.self) { try await gate.open() }
        #expect(error?.sqlState == "57014")
        #expect(try await connection.execute("select nextval('s')")[0].int(0) == 1)
        await connection.close()
    }

    @Test("with ahead a pipeline is sent behind another one, whose failure it does not share; what comes third waits, and a script waits for both")
    func ahead() async throws {
        let connection = try await connect(ConnectionOptions(ahead: 1))
        try await connection.script("create temp sequence s")
        let gate = try await Gate(connection)
        let callers = (0..<2).map { _ in Task(executorPreference: testLoop) { try await connection.execute("select nextval('s')") } }
        let script = Task(executorPreference: testLoop) { try await connection.script("select setval('s', 100)") }
        for _ in 0..<5 { _ = await connection.isOpen }
        // One that was sent is seen through to its end.
        for caller in callers { caller.cancel() }
        await #expect(throws: CancellationError.self) { try await withDeadline(10, "the cancelled caller") { try await callers[1].value } }
        try await connection.cancelRunning()
        let error = await #expect(throws: PostgresError.self) { try await gate.open() }
        #expect(error?.sqlState == "57014")
        #expect(try await callers[0].value[0].int(0) == 1)
        try await script.value
        #expect(try await connection.execute("select nextval('s')")[0].int(0) == 101)
        await connection.close()
    }

    @Test("when the connection is lost, whoever was sent ahead is told so as well")
    func aheadAndLost() async throws {
        let connection = try await connect(ConnectionOptions(ahead: 1))
        let gate = try await Gate(connection)
        let behind = Task(executorPreference: testLoop) { try await connection.execute("select 1") }
        for _ in 0..<5 { _ = await connection.isOpen }
        await connection.close()
        let error = await #expect(throws: PostgresError.self) { try await withDeadline(10, "the caller behind") { try await behind.value } }
        #expect(error?.isConnectionLost == true)
        await #expect(throws: PostgresError.self) { try await gate.open() }
    }

    @Test("a caller on the loop is called with the answers, in order, and with the error when the connection is lost or closed; never before its call returns")
    func called() async throws {
        let connection = try await connect()
        let said = Events<String>()
        let ask = { @Sendable (sql: String) in
            connection.assumeIsolated { connection in
                connection.pipeline([[Query(sql)], [Query("select 'last'")]]) { answers in
                    do {
                        let rows = try answers.get().map { group in try group.map { try $0.get()[0].string(0) } }
                        said.add("\(rows)")
                    } catch {
                        said.add((error as? PostgresError)?.isConnectionLost == true ? "lost" : (error as? PostgresError)?.sqlState ?? "\(error)")
                    }
                }
                said.add("asked")
            }
        }
        testLoop.run { ask("select 'first'") }
        try await said.wait(count: 2, "the answers")
        testLoop.run { ask("select 1/0") }
        try await said.wait(count: 4, "the error")
        let gate = try await Gate(connection)
        testLoop.run { ask("select 'waits'") }
        try await said.wait(count: 5, "the one who waits")
        await connection.close()
        try await said.wait(count: 6, "the end")
        testLoop.run { ask("select 'too late'") }
        try await said.wait(count: 8, "the one who came too late")
        #expect(said.all == ["asked", #"[["first"], ["last"]]"#, "asked", "22012", "asked", "lost", "asked", "lost"])
        await #expect(throws: PostgresError.self) { try await gate.open() }
    }

    @Test("a pipeline is made up once its statements are prepared, and sent when it is told; one that is dropped was never there")
    func ready() async throws {
        let connection = try await connect()
        try await connection.script("create temp sequence s")
        let statement = Statement(name: "next", sql: "select nextval('s') + $1")
        let said = Events<Int64>()
        let make = { @Sendable (number: Int64) in
            connection.assumeIsolated { connection in
                connection.ready([[Query(statement, [.int64(number)])]]) { answers in
                    if let row = try? answers.get()[0][0].get()[0], let sum = try? row.int64(0) { said.add(sum) } else { said.add(-1) }
                }
            }
        }
        testLoop.run { if make(0) == nil { said.add(0) } }
        try await said.wait(count: 1, "that it cannot be made up yet")
        #expect(try await connection.execute(statement, [.int64(10)])[0].int64(0) == 11)
        testLoop.run {
            _ = make(20)
            let (first, second) = (make(30), make(40))
            connection.assumeIsolated { connection in
                if let second { connection.send(second) }
                if let first { connection.send(first) }
            }
        }
        try await said.wait(count: 3, "the two that were sent")
        #expect(said.all == [0, 42, 33])
        let late = Events<Bool>()
        testLoop.run {
            let pipeline = make(50)
            Task {
                await connection.close()
                if let pipeline { await connection.send(pipeline) }
                late.add(pipeline != nil)
            }
        }
        try await late.wait(count: 1, "the one that is sent too late")
        try await said.wait(count: 4, "its error")
        #expect(said.all.last == -1 && late.all == [true])
    }

    @Test("COPY takes 100,000 rows, in chunks cut anywhere")
    func copy() async throws {
        let connection = try await connect()
        try await connection.script("create temp table t (id int, name text)")
        let count = try await connection.copyIn("copy t from stdin", (0..<100_000).lazy.map { Array("\($0)\tname \($0)\n".utf8) })
        #expect(count == 100_000)
        let text = Array((0..<1000).map { "\($0)\tagain\n" }.joined().utf8)
        let chunks = stride(from: 0, to: text.count, by: 7).map { Array(text[$0..<min($0 + 7, text.count)]) }
        #expect(try await connection.copyIn("copy t from stdin", chunks) == 1000)
        #expect(try await connection.copyIn("copy t from stdin", text) == 1000)
        let row = try await connection.execute("select count(*), sum(id)::int8 from t")[0]
        #expect(try row.int(0) == 102_000 && row.int64(1) == 4_999_950_000 + 2 * 499_500)

        let refused = await #expect(throws: PostgresError.self) { try await connection.copyIn("copy t from stdin", Array("x\ty\n".utf8)) }
        #expect(refused?.sqlState == "22P02")
        let missing = await #expect(throws: PostgresError.self) { try await connection.copyIn("copy nosuch from stdin", []) }
        #expect(missing?.sqlState == "42P01")
        #expect(try await connection.copyIn("copy t from stdin", [UInt8]()) == 0)
        #expect(try await connection.execute("select count(*) from t")[0].int(0) == 102_000)
        await connection.close()
    }

    @Test("a script runs all its statements, or none when one of them fails")
    func scripts() async throws {
        let connection = try await connect()
        try await connection.script("create temp table t (id int); insert into t values (1); select * from t")
        let error = await #expect(throws: PostgresError.self) {
            try await connection.script("insert into t values (2); select 1/0; insert into t values (3)")
        }
        #expect(error?.sqlState == "22012")
        let copy = await #expect(throws: PostgresError.self) { try await connection.script("copy t from stdin") }
        #expect(copy?.message.contains("a script has no data for COPY") == true)
        try await connection.script("")
        #expect(try await connection.execute("select count(*) from t")[0].int(0) == 1)
        await connection.close()
    }

    @Test("the setup is run before anybody else gets the connection")
    func setup() async throws {
        let connection = try await connect(ConnectionOptions(setup: ["set jit = off", "set application_name = 'set up'"]))
        #expect(try await connection.execute("show application_name")[0].string(0) == "set up")
        await connection.close()
        let error = await #expect(throws: PostgresError.self) { try await connect(ConnectionOptions(setup: ["set nosuch = 1"])) }
        #expect(error?.sqlState == "42704" && error?.isConnectionLost == false)
    }

    @Test("a large pipeline does not stand still with both sides writing")
    func bothWays() async throws {
        let connection = try await connect()
        let echo = Statement(name: "echo", sql: "select $1")
        let text = String(repeating: "x", count: 200_000)
        let answers = try await withDeadline(60, "40 MB in each direction") {
            try await connection.pipeline((0..<200).map { _ in [Query(echo, [.text(text)])] })
        }
        #expect(try answers.allSatisfy { try $0[0].get()[0].bytes(0).count == 200_000 })
        await connection.close()
    }
}
