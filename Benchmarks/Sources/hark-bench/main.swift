import Glibc
import Hark
import HarkCLI

var functions = Functions()

// As a user would write one: the arguments are decoded, and there is no result.
functions.add("noop") { (_: TaskContext) in }

// Its first line looks at the clock, in nanoseconds since 1970, as time.time_ns() of Python does.
functions.add("now") { (_: TaskContext) -> Int in
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

// Keeps its slot.
functions.add("wait") { (_: TaskContext) in try await Task.sleep(for: .seconds(3600)) }

if CommandLine.arguments.dropFirst().first == "spawn-alone" {
    try await SpawnAlone.run(Array(CommandLine.arguments.dropFirst(2)))
} else {
    await HarkMain.main(functions: functions)
}
