import Testing

@testable import HarkCLI

@Suite("Durations and times")
struct DurationTests {
    @Test(
        "durations are read as people write them",
        arguments: [
            ("500ms", Duration.milliseconds(500)), ("30s", .seconds(30)), ("5m", .seconds(300)), ("2h", .seconds(7_200)), ("1d", .seconds(86_400)),
            ("1.5s", .milliseconds(1_500)), ("1h30m", .seconds(5_400)), ("0s", .zero),
        ])
    func reads(text: String, duration: Duration) {
        #expect(DurationText.parse(text) == duration)
    }

    @Test("what is no duration is refused", arguments: ["", "5", "s", "5 s", "-5s", "5x", "5s!", "1.2.3s", "1e3s", "999999999999d", "٣s"])
    func refuses(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test("durations are written in the same manner", arguments: ["0ms", "500ms", "5s", "1m", "1h30m", "2d", "1.5s", "1m30s"])
    func writes(text: String) throws {
        #expect(DurationText.format(try #require(DurationText.parse(text))) == text)
    }

    @Test("an age is one number in words", arguments: [
        (0.2, "now"), (3.0, "3 s ago"), (3.46, "3.4 s ago"), (119.0, "119 s ago"), (125.0, "2 min ago"), (3 * 3_600.0, "3 h ago"), (-300.0, "in 5 min"), (5 * 86_400.0, "5 days ago"),
    ])
    func ages(seconds: Double, words: String) {
        #expect(Moment.relative(1_000_000 - seconds, now: 1_000_000) == words)
    }

    @Test("times of PostgreSQL are read in any zone and written in UTC", arguments: [
        ("2026-01-31T09:00:00+00:00", "2026-01-31T09:00:00.000000Z"), ("2026-01-31T09:00:00.123456+01:00", "2026-01-31T08:00:00.123456Z"),
        ("2026-01-31T09:00:00.5-05:30", "2026-01-31T14:30:00.500000Z"), ("1969-12-31T23:59:59.5+00:00", "1969-12-31T23:59:59.500000Z"),
    ])
    func times(text: String, utc: String) throws {
        #expect(Moment.iso(try #require(Moment.parse(text))) == utc)
    }

    @Test("infinity and nonsense are no times", arguments: ["infinity", "", "2026-01-31", "2026-01-31T09:00:00", "2026-01-31 09:00:00+00"])
    func notTimes(text: String) {
        #expect(Moment.parse(text) == nil)
    }
}
