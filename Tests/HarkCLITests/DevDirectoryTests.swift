import Glibc
import TestSupport
import Testing

@testable import HarkCLI

@Suite("Where hark dev keeps its data")
struct DevDirectoryTests {
    /// A directory for one test, with these rights.
    private func with(mode: mode_t, _ body: (String) throws -> Void) throws {
        let directory = TestServer.temporaryPath("here")
        try #require(mkdir(directory, mode) == 0 && chmod(directory, mode) == 0)
        defer { Bench.removeTree(directory) }
        try body(directory)
    }

    @Test("what is asked for is taken, from here on if it does not begin at the root", arguments: [true, false])
    func wanted(isRoot: Bool) throws {
        #expect(try DevDirectory.choose("/srv/dev", here: "/home/ada", isRoot: isRoot) == "/srv/dev")
        #expect(try DevDirectory.choose("dev", here: "/home/ada", isRoot: isRoot) == "/home/ada/dev")
        #expect(try DevDirectory.choose("dev", here: "/", isRoot: isRoot) == "/dev")
    }

    @Test("else a user has it in .hark here, if something can be written here")
    func user() throws {
        try with(mode: 0o700) { here throws in
            #expect(try DevDirectory.choose(nil, here: here, isRoot: false) == "\(here)/.hark")
            #expect(try DevDirectory.choose("", here: here, isRoot: false) == "\(here)/.hark")
        }
        let failure = #expect(throws: Failure.self) { try DevDirectory.choose(nil, here: "/nowhere", isRoot: false) }
        #expect(failure?.message?.contains("hark dev --directory") == true)
    }

    @Test("root has it here only if the user postgres can get here, else in a directory of its own")
    func root() throws {
        try with(mode: 0o755) { here throws in #expect(try DevDirectory.choose(nil, here: here, isRoot: true) == "\(here)/.hark") }
        try with(mode: 0o700) { here throws in
            let place = try DevDirectory.choose(nil, here: here, isRoot: true)
            #expect(["/var/lib/hark-dev", "/var/tmp/hark-dev"].contains(place))
            // With room for the name of a socket.
            #expect(place.utf8.count < 85)
            // Also when it is further up that one cannot pass.
            try #require(mkdir("\(here)/open", 0o755) == 0)
            #expect(try DevDirectory.choose(nil, here: "\(here)/open", isRoot: true) == place)
        }
    }
}
