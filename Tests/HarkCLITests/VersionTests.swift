import ArgumentParser
import Hark
import HarkCLI
import Testing

@Test("hark knows its version")
func version() {
    #expect(Root.configuration.version == HarkVersion.current)
}
