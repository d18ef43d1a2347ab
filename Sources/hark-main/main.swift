// The command line without Swift functions. A binary with functions of its own is as short: see HarkMain.
import HarkCLI

await HarkMain.main()
