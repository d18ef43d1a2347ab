import Glibc
import PQ
import struct Synchronization.Atomic
import Testing
import TestSupport

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    func next() -> Int { count.add(1, ordering: .relaxed).newValue }
}

@Suite("The event loop")
struct EventLoopTests {
    @Test("timers fire by deadline, then by age, and never early")
    func timerOrder() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        let fired = Events<String>()
        let start = EventLoop.now
        let late = start + .milliseconds(30)
        loop.at(late) { fired.add(EventLoop.now >= late ? "late" : "too early") }
        loop.at(start + .milliseconds(10)) { fired.add("first of two") }
        loop.at(start + .milliseconds(10)) { fired.add("second of two") }
        loop.at(start - .seconds(5)) { fired.add("past") }
        try await fired.wait(count: 4, "all timers")
        #expect(fired.all == ["past", "first of two", "second of two", "late"])
    }

    @Test("a cancelled timer does not fire, whoever else is in the heap")
    func timerCancel() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        let fired = Events<Int>()
        var generator = SystemRandomNumberGenerator()
        let offsets = (0..<500).map { _ in Duration.microseconds(Int64.random(in: 0..<20_000, using: &generator)) }
        let cancelled = Set((0..<500).filter { $0 % 3 == 0 })
        let kept = (0..<500).filter { !cancelled.contains($0) }
        let end = Events<Bool>()
        // On the loop's own thread, so that none can fire before it is cancelled, however slow the machine.
        loop.run {
            let base = EventLoop.now
            let timers = offsets.enumerated().map { number, offset in (number, loop.at(base + offset) { fired.add(number) }) }
            for (number, timer) in timers.shuffled() where cancelled.contains(number) { timer.cancel() }
            loop.at(base + .milliseconds(30)) { end.add(true) }
        }
        try await end.wait(count: 1, "the last timer")
        #expect(fired.all.sorted() == kept)
    }

    @Test("sleep ends at its deadline, or at once when its task is cancelled")
    func sleeping() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        let deadline = EventLoop.now + .milliseconds(20)
        try await loop.sleep(until: deadline)
        #expect(EventLoop.now >= deadline)

        let sleeper = Task { try await loop.sleep(until: EventLoop.now + .seconds(3600)) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await withDeadline(10, "a cancelled sleep") { try await sleeper.value } }
    }

    @Test("a watch reports what is there until it is read, and nothing after it was cancelled")
    func watching() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        var ends: [CInt] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        defer { for fd in [reader, writer] { close(fd) } }
        let seen = Events<UInt8>()
        let watch = loop.watch(reader, .read) { interest in
            var byte: UInt8 = 0
            if interest.contains(.read), read(reader, &byte, 1) == 1 { seen.add(byte) }
        }
        write(writer, "abc", 3)
        try await seen.wait(count: 3, "three bytes, one for each call")
        #expect(seen.all == Array("abc".utf8))

        let turned = Events<Bool>()
        loop.run {
            write(writer, "d", 1)
            watch.cancel()
            loop.at(EventLoop.now + .milliseconds(5)) { turned.add(true) }
        }
        try await turned.wait(count: 1, "a turn after the cancel")
        #expect(seen.all.count == 3)
    }

    @Test("a descriptor that can not be watched is reported, not forgotten")
    func unwatchable() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        let file = open("/proc/self/exe", O_RDONLY)
        defer { close(file) }
        let seen = Events<Interest>()
        let watch = loop.watch(file, .read) { seen.add($0) }
        try await seen.wait(count: 1, "the report")
        watch.cancel()
    }

    @Test("an actor on the loop is entered from a timer without a hop")
    func isolation() async throws {
        actor Tally {
            let loop: EventLoop
            var count = 0
            nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
            init(_ loop: EventLoop) { self.loop = loop }
            func add() { count += 1 }
            func isOnLoop() -> Bool { loop.isCurrent }
        }
        let loop = EventLoop()
        defer { loop.stop() }
        let counter = Tally(loop)
        #expect(await counter.isOnLoop())
        let done = Events<Bool>()
        loop.at(EventLoop.now) { counter.assumeIsolated { $0.add() }; done.add(true) }
        try await done.wait(count: 1, "the timer")
        await withTaskGroup { group in
            for _ in 0..<1000 { group.addTask { await counter.add() } }
        }
        #expect(await counter.count == 1001)
    }

    @Test("work from many threads is run, all of it, while the loop sleeps and wakes")
    func wakeUps() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        let counter = Counter()
        let all = Events<Bool>()
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<2000 {
                        loop.run { if counter.next() == 16000 { all.add(true) } }
                        await Task.yield()
                    }
                }
            }
        }
        try await all.wait(count: 1, "16,000 closures")
    }

    @Test("a stopped loop ends its thread when it is idle, and still does what comes later")
    func stopping() async throws {
        let loop = EventLoop()
        let events = Events<String>()
        loop.at(EventLoop.now + .milliseconds(10)) { events.add("timer") }
        loop.stop()
        loop.stop()
        try await events.wait(count: 1, "a timer that was set before the stop")
        for round in 0..<50 {
            loop.run { events.add("\(round)") }
            try await events.wait(count: round + 2, "work after the stop")
        }
        try await loop.sleep(until: EventLoop.now + .milliseconds(1))
    }

    @Test("an idle loop does not turn")
    func idleness() async throws {
        let loop = EventLoop()
        defer { loop.stop() }
        let far = loop.at(EventLoop.now + .seconds(3600)) {}
        defer { far.cancel() }
        try await loop.sleep(until: EventLoop.now + .milliseconds(5))
        let before = loop.turns
        try await testLoop.sleep(until: EventLoop.now + .milliseconds(100))
        #expect(loop.turns - before <= 1)
    }
}
