import Hark
import PQ
import Testing

@testable import HarkCLI

@Suite("Configuration")
struct ConfigurationTests {
    private func configuration(
        flags: [String: (name: String, value: String)] = [:], environment: [String: String] = [:], file: String? = nil, queues: [String] = []
    ) throws -> Configuration {
        var reader = SettingReader(flags: flags, environment: environment, file: nil)
        if let file { reader.file = try ConfigurationFile(path: "hark.toml", text: file) }
        return try Configuration(reader, queues: try queues.map { try QueueChoice($0) }, hostname: "machine")
    }

    private func problem(flags: [String: (name: String, value: String)] = [:], environment: [String: String] = [:], file: String? = nil) throws -> String {
        try #require(throws: SettingProblem.self) { try configuration(flags: flags, environment: environment, file: file) }.description
    }

    @Test("a flag beats the environment, which beats the file, which beats the default")
    func precedence() throws {
        let file = "poll_interval = \"1s\"\ndrain_timeout = \"1s\"\nfunctions_directory = \"/file\"\n"
        let environment = ["HARK_DRAIN_TIMEOUT": "2s", "HARK_FUNCTIONS_DIRECTORY": "/environment", "HARK_NAME": ""]
        let all = try configuration(flags: ["functions_directory": ("--functions", "/flag")], environment: environment, file: file)
        #expect(all.functionsDirectory.value == "/flag")
        #expect(all.functionsDirectory.origin == .flag("--functions"))
        #expect(all.drainTimeout.value == .seconds(2))
        #expect(all.drainTimeout.origin == .environment("HARK_DRAIN_TIMEOUT"))
        #expect(all.pollInterval.value == .seconds(1))
        #expect(all.pollInterval.origin == .file("hark.toml", line: 1))
        #expect(all.stopGrace.value == .seconds(5))
        #expect(all.stopGrace.origin == .builtIn)
        // An empty variable counts as not set.
        #expect(all.name.value == "machine")
    }

    @Test("a file can say everything")
    func everything() throws {
        let all = try configuration(
            file: """
                # A comment with a key in it: slots = 3
                database = "postgresql:///app"
                signal_database = "postgresql:///direct"
                name = "mail"
                poll_interval = "500ms"
                drain_timeout = "1m"
                stop_grace = "2s"
                functions_directory = "/etc/hark/functions"
                result_limit = "64KiB"
                unknown_function_grace = "1h"
                task_log = "failures"

                [queues.default]
                slots = 4
                [queues."a.b"]
                durable_claims = false
                max_attempts = 3
                timeout = "30s"

                [functions.resize_image]
                command = ["/usr/lib/app/resize", "--quiet"]
                timeout = "30s"
                max_attempts = 5
                directory = "/srv"
                environment = { LEVEL = "9" }
                """)
        #expect(all.database.value.summary.hasPrefix("postgresql:///app"))
        #expect(all.signalDatabase.value?.summary.hasPrefix("postgresql:///direct") == true)
        #expect(all.resultLimit.value == 65_536)
        #expect(all.unknownFunctionGrace.value == .seconds(3_600))
        #expect(all.taskLog.value == .failures)
        #expect(all.queues.map(\.value).sorted { $0.name < $1.name } == [
            QueueSettings(name: "a.b", slots: 10, maxAttempts: 3, timeout: .seconds(30), durableClaims: false), QueueSettings(name: "default", slots: 4),
        ])
        let resize = try #require(all.functions["resize_image"])
        #expect(resize.origin == .file("hark.toml", line: 20))
        #expect(resize.value.command == ["/usr/lib/app/resize", "--quiet"])
        #expect(resize.value.policy == FunctionPolicy(maxAttempts: 5, timeout: .seconds(30)))
        #expect(resize.value.environment == ["LEVEL": "9"])
    }

    @Test("without a word about queues there is one, default, with 10 slots")
    func defaultQueue() throws {
        #expect(try configuration().queues.map(\.value) == [QueueSettings(name: "default", slots: 10)])
    }

    @Test("--queue chooses, and takes from the file what it does not say itself")
    func chosenQueues() throws {
        let file = "[queues.mail]\nslots = 20\nmax_attempts = 2\n[queues.other]\nslots = 1\n"
        let queues = try configuration(file: file, queues: ["mail", "images=2", "a=b=3"]).queues.map(\.value)
        #expect(queues == [QueueSettings(name: "mail", slots: 20, maxAttempts: 2), QueueSettings(name: "images", slots: 2), QueueSettings(name: "a=b", slots: 3)])
    }

    @Test("--queue with a bad number of slots says what is valid", arguments: ["mail=", "mail=0", "mail=x", "mail=10001", "=3", ""])
    func badQueues(text: String) {
        let problem = #expect(throws: SettingProblem.self) { try QueueChoice(text) }
        #expect(problem?.message.contains("10000") == true || problem?.message.contains("1 to 100 characters") == true)
    }

    @Test("an unknown key is an error that names the nearest valid one, with its line", arguments: [
        ("pol_interval = \"5s\"", "hark.toml:1: there is no setting pol_interval; did you mean poll_interval?"),
        ("name = \"a\"\n\n[queues.mail]\nslot = 3", "hark.toml:4: there is no setting queues.mail.slot; did you mean slots?"),
        ("queues.mail.slts = 3", "hark.toml:1: there is no setting queues.mail.slts; did you mean slots?"),
        ("[functions.\"a.b\"]\ncomand = [\"/bin/true\"]", "hark.toml:2: there is no setting functions.a.b.comand; did you mean command?"),
        ("[qeues.mail]\nslots = 3", "hark.toml:1: there is no setting qeues; did you mean queues?"),
        ("[ruby]\ninterpreter = \"/bin/ruby\"", "hark.toml:1: there is no setting ruby; there are database, signal_database"),
        ("[python]\nmodules = [\"a\"]\ninterpretor = \"x\"", "hark.toml:3: there is no setting python.interpretor; did you mean interpreter?"),
    ])
    func unknownKeys(file: String, message: String) throws {
        #expect(try problem(file: file).hasPrefix(message))
    }

    @Test("a wrong value is an error that names key, value and what is valid", arguments: [
        ("poll_interval = 5", "hark.toml:1: poll_interval = 5 is not a duration: write it like"),
        ("poll_interval = \"50ms\"", "hark.toml:1: poll_interval = \"50ms\" is out of range: 100ms to 1m are valid"),
        ("poll_interval = \"soon\"", "hark.toml:1: poll_interval = \"soon\" is not a duration"),
        ("task_log = \"some\"", "hark.toml:1: task_log = \"some\" is not valid: write \"all\" or \"failures\""),
        ("result_limit = \"1 MB\"", "hark.toml:1: result_limit = \"1 MB\" is not a valid size"),
        ("name = 3", "hark.toml:1: name = 3 is not a text"),
        ("[queues.mail]\nslots = 0", "hark.toml:2: slots = 0 is out of range: 1 to 10000 are valid"),
        ("[queues.mail]\nslots = \"3\"", "hark.toml:2: slots = \"3\" is not a whole number"),
        ("[queues.mail]\nslots = 1.5", "hark.toml:2: slots = 1.5 is not a whole number"),
        ("[queues.mail]\ndurable_claims = 0", "hark.toml:2: durable_claims = 0 is neither true nor false"),
        ("[queues.mail]\ndurable_claims = \"false\"", "hark.toml:2: durable_claims = \"false\" is neither true nor false: write it without quotes"),
        ("[queues]\nmail = 3", "hark.toml:2: mail = 3 is not a table"),
        ("[python]\ninterpreters = 2", "hark.toml:1: python is not valid: lacks modules: name those whose functions tasks may run"),
        ("[python]\nmodules = [\"sim.\"]", "hark.toml:2: modules = [\"sim.\"] has “sim.”, which is not the name of a module"),
        ("[python]\nmodules = \"sim\"", "hark.toml:2: modules = \"sim\" is not a list of texts"),
        ("[python]\nmodules = [\"sim\"]\ninterpreters = 0", "hark.toml:3: interpreters = 0 is out of range: 1 to 256 are valid"),
        ("[python]\nmodules = [\"sim\"]\nmemory_limit = \"1MiB\"", "hark.toml:3: memory_limit = \"1MiB\" is not a valid size"),
        ("[python]\nmodules = [\"sim\"]\ndjango_settings = \"core/settings.py\"", "hark.toml:3: django_settings = \"core/settings.py\" is not the name of a module"),
        ("python = 3", "hark.toml:1: python = 3 is not a table"),
        ("[functions.f]\ncommand = \"/bin/true\"", "hark.toml:2: command = \"/bin/true\" is not a list of texts"),
        ("[functions.f]\ncommand = []", "hark.toml:2: command = [] is not a list of texts"),
        ("[functions.f]\ntimeout = \"0s\"", "hark.toml:2: timeout = \"0s\" is out of range"),
        ("[functions.f]\ndirectory = \"/srv\"", "hark.toml:1: functions.f has a directory or an environment, but no command"),
        ("[functions.f]\ncommand = [\"/bin/true\"]\nenvironment = { A = 1, PASSWORD = \"sesame\" }", "hark.toml:3: environment is not valid: A in it has to be a text"),
        ("poll_interval = 2026-01-01", "hark.toml:1: poll_interval = \"2026-01-01\" is not a duration"),
        ("poll_interval = ", "hark.toml:1: this is not TOML"),
        ("name = \"a\"\nname = \"b\"", "hark.toml:2: this is not TOML"),
    ])
    func wrongValues(file: String, message: String) throws {
        #expect(try problem(file: file).hasPrefix(message))
    }

    @Test("the files of systemd/ are valid, and what the annotated one has behind a # too; its defaults are the defaults")
    func shipped() throws {
        let minimal = try configuration(file: Page.text("systemd/hark-minimal.toml"))
        let text = try Page.text("systemd/hark.toml")
        let annotated = try configuration(file: text)
        for one in [minimal, annotated] {
            #expect(one.database.value.summary.hasPrefix("postgresql:///hark"))
            #expect(one.functionsDirectory.value == "/usr/local/lib/hark/functions")
            #expect(one.queues.map(\.value) == [QueueSettings(name: "default", slots: 10)])
        }
        let full = try configuration(file: text.split(separator: "\n").map { $0.hasPrefix("#") && !$0.hasPrefix("# ") ? $0.dropFirst() : $0 }.joined(separator: "\n"))
        #expect(full.pollInterval.value == minimal.pollInterval.value && full.drainTimeout.value == minimal.drainTimeout.value)
        #expect(full.stopGrace.value == minimal.stopGrace.value && full.resultLimit.value == minimal.resultLimit.value)
        #expect(full.functions.keys.contains("resize_image") && full.signalDatabase.value != nil)
        #expect(full.queues.map(\.value) == [QueueSettings(name: "default", slots: 10, maxAttempts: 10, timeout: .seconds(300))])
    }

    @Test("a text without quotes gets a hint", arguments: ["name = mail", "poll_interval = 5s", "functions_directory = /srv"])
    func unquoted(file: String) throws {
        let message = try problem(file: "\n" + file)
        #expect(message.hasPrefix("hark.toml:2: this is not TOML"))
        #expect(message.contains("double quotes"))
    }

    @Test("what a flag or a variable hides in the file is checked all the same", arguments: [
        ("HARK_NAME", "mail", "name = 3", "hark.toml:1: name = 3 is not a text"),
        ("HARK_POLL_INTERVAL", "5s", "poll_interval = 5", "hark.toml:1: poll_interval = 5 is not a duration"),
        ("HARK_DATABASE", "dbname=a", "database = 3", "hark.toml:1: database is not a text"),
    ])
    func hidden(variable: String, value: String, file: String, message: String) throws {
        #expect(try problem(environment: [variable: value], file: file).hasPrefix(message))
    }

    @Test("a wrong value of the environment names the variable, one of a flag the flag")
    func wrongOutside() throws {
        #expect(try problem(environment: ["HARK_POLL_INTERVAL": "5"]).hasPrefix("HARK_POLL_INTERVAL=5 is not a duration"))
        #expect(try problem(environment: ["HARK_RESULT_LIMIT": "0"]).hasPrefix("HARK_RESULT_LIMIT=0 is out of range"))
        #expect(try problem(flags: ["functions_directory": ("--functions", "")]).hasPrefix("--functions= has 0 characters"))
    }

    @Test("an error about the database repeats no part of a password")
    func secrets() throws {
        for file in ["database = \"postgresql://u:se cret@h/%zz\"", "database = \"password=secret bad\"", "database = [\"secret\"]"] {
            let message = try problem(file: file)
            #expect(!message.contains("cret"))
            #expect(message.contains("database"))
        }
        let good = try configuration(file: "database = \"postgresql://u:secret@h/app\"")
        #expect(!Settings.list(good).contains { $0.value.contains("secret") })
    }

    @Test("the database: flag, HARK_DATABASE, DATABASE_URL, PG*, file, in this order")
    func database() throws {
        let file = "database = \"postgresql://filehost/filedb\""
        func summary(_ flags: [String: (name: String, value: String)], _ environment: [String: String], _ file: String?) throws -> (String, Origin) {
            let database = try configuration(flags: flags, environment: environment, file: file).database
            return (database.value.with("user", "u").summary, database.origin)
        }
        let environment = ["HARK_DATABASE": "postgresql://harkhost/a", "DATABASE_URL": "postgresql://urlhost/b", "PGHOST": "pghost"]
        #expect(try summary(["database": ("--database", "postgresql://flaghost/c")], environment, file) == ("postgresql://flaghost/c as u", .flag("--database")))
        #expect(try summary([:], environment, file) == ("postgresql://harkhost/a as u", .environment("HARK_DATABASE")))
        #expect(try summary([:], ["DATABASE_URL": "postgresql://urlhost/b", "PGHOST": "pghost"], file) == ("postgresql://urlhost/b as u", .environment("DATABASE_URL")))
        // What PG* says beats the file, parameter by parameter.
        #expect(try summary([:], ["PGHOST": "pghost"], file) == ("postgresql://pghost/filedb as u", .file("hark.toml", line: 1)))
        #expect(try summary([:], ["PGPASSWORD": "x"], file) == ("postgresql://filehost/filedb as u", .file("hark.toml", line: 1)))
        #expect(try summary([:], ["PGHOST": "pghost"], nil).1 == .environment("PGHOST"))
        #expect(try summary([:], ["PGSERVICE": "app"], file).1 == .environment("PGSERVICE"))
        #expect(try summary([:], [:], nil).1 == .builtIn)
    }

    @Test("a variable that is nearly a setting is pointed out; those of tasks and of others are not")
    func misspelt() {
        let findings = Settings.misspelt(["HARK_POL_INTERVAL": "5s", "HARK_TASK_ID": "1", "HARK_TOKEN": "2", "HARK_POLL_INTERVAL": "5s", "PATH": "/bin"])
        #expect(findings.map(\.message) == ["HARK_POL_INTERVAL is no setting and has no effect"])
        #expect(findings.first?.remedy == "Did you mean HARK_POLL_INTERVAL?")
    }

    @Test("names one letter apart are near, names of another kind are not")
    func nearest() {
        #expect(Nearest.distance("slots", "slots") == 0)
        #expect(Nearest.distance("slto", "slot") == 1)
        #expect(Nearest.name(to: "drain-timeout", among: Configuration.keys) == "drain_timeout")
        #expect(Nearest.name(to: "python", among: Configuration.keys) == nil)
    }
}
