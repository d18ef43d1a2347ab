import ArgumentParser
import HarkCLI

await Root.main()
