import Glibc
@testable import Hark
import Logging
import PQ
import Testing

/// Each of these runs in a process of its own: who adopts orphans adopts those of the whole process.
@Suite("No process survives its task")
struct OffspringTests {
    @Test("a grandchild that left group and session, with the task's pipes in its hands, dies with its task")
    func daemon() async {
        await #expect(processExitsWith: .success) {
            let shop = Workshop()
            let up = "\(shop.directory)/up"
            let nested = "setsid sh -c 'setsid sleep 1000 & echo $! >&2; touch \(up); sleep 1000' &"
            let runner = try adopting(["it": "setsid sleep 1000 & echo $! >&2; \(nested) until [ -e \(up) ]; do sleep 0.02; done"])
            let outlet = CollectingOutlet()
            #expect(await outcome(runner, claimed("it"), outlet) == .completed(result: nil))
            let pids = outlet.lines.compactMap { pid_t($0.text) }
            #expect(pids.count == 2)
            for pid in pids { #expect(!lives(pid)) }
            #expect(children().isEmpty, "everything is reaped")
        }
    }

    @Test("a daemon made by double fork dies also when its task is killed")
    func doubleFork() async {
        await #expect(processExitsWith: .success) {
            let script = """
                import os, sys, time
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        print(os.getpid(), file=sys.stderr, flush=True)
                        time.sleep(1000)
                    os._exit(0)
                time.sleep(1000)
                """
            var settings = ExecutableSettings(commands: ["it": ["python3", "-c", script]])
            settings.adoptsOrphans = true
            let runner = try ExecutableRunner(settings)
            let outlet = CollectingOutlet()
            let task = claimed("it")
            await running(runner, outlet) {
                runner.start([task])
                #expect(await outlet.until { !$0.lines.isEmpty })
                runner.stop(task.claim, .timeout, grace: .milliseconds(20))
            }
            #expect(outlet.outcome(of: task.claim)?.error?.kind == .timeout)
            #expect(outlet.lines.compactMap { pid_t($0.text) }.allSatisfy { !lives($0) })
            #expect(children().isEmpty)
        }
    }

    @Test("a daemon that a Python function leaves behind dies before its outcome is told, and its interpreter lives on")
    func python() async {
        await #expect(processExitsWith: .success) {
            let outcomes = await Snake.outcomes([claimed("probe.ordinary.pid"), claimed("probe.naughty.leaves_daemon"), claimed("probe.ordinary.pid")]) { $0.adoptsOrphans = true }
            #expect(outcomes[1].text == #""left""#)
            #expect(outcomes[0].text == outcomes[2].text)
            #expect(Snake.processes(of: ["sleep", "7200"]) == [])
            #expect(children().isEmpty)
        }
    }

    @Test("the end of one task leaves the descendants of another alone")
    func others() async {
        await #expect(processExitsWith: .success) {
            let shop = Workshop()
            let runner = try adopting([
                "long": "setsid sleep 1000 & echo $! >&2; (setsid sleep 1000 & echo $! >&2); until [ -e \(shop.directory)/go ]; do sleep 0.02; done",
                "short": "true",
            ])
            let outlet = CollectingOutlet()
            await running(runner, outlet) {
                runner.start([claimed("long")])
                #expect(await outlet.until { $0.lines.count == 2 })
                for round in 1...5 {
                    runner.start([claimed("short")])
                    #expect(await outlet.until { $0.count == round })
                }
                for line in outlet.lines { #expect(pid_t(line.text).map(lives) == true) }
                shop.write("go", "")
            }
            for line in outlet.lines { #expect(pid_t(line.text).map(lives) == false) }
            #expect(children().isEmpty)
        }
    }

    @Test("an orphan that nobody can attribute dies when all have ended that ran when it was first seen")
    func stray() async {
        await #expect(processExitsWith: .success) {
            let shop = Workshop()
            let runner = try adopting([
                "long": "until [ -e \(shop.directory)/go ]; do sleep 0.02; done",
                "short": "env -i setsid sleep 1000 & pid=$!; until [ $(cat /proc/$pid/comm) = sleep ]; do :; done; echo $pid",
            ])
            let outlet = CollectingOutlet()
            let long = claimed("long")
            let short = claimed("short")
            await running(runner, outlet) {
                runner.start([long])
                runner.start([short])
                #expect(await outlet.until { !$0.outcomes.isEmpty })
                let pid = pid_t(outlet.outcome(of: short.claim)?.text?.filter(\.isNumber) ?? "") ?? 0
                #expect(lives(pid))
                shop.write("go", "")
                #expect(await outlet.until { $0.count == 2 })
                #expect(!lives(pid))
            }
            #expect(children().isEmpty)
        }
    }

    @Test("children that are no task's are left alone and left to whoever waits for them")
    func foreign() async {
        await #expect(processExitsWith: .success) {
            let before = spawn("/bin/sleep", "1000")
            let runner = try adopting(["it": "true"])
            let outlet = CollectingOutlet()
            await running(runner, outlet) {
                runner.start([claimed("it")])
                #expect(await outlet.until { $0.count == 1 })
                let ticket = Offspring.shared.starting(nil)
                let plain = spawn("/bin/sleep", "1000")
                let later = spawn("/usr/bin/setsid", "/bin/sleep", "1000")
                runner.start([claimed("it")])
                #expect(await outlet.until { $0.count == 2 })
                Offspring.shared.started(ticket, later)
                kill(later, SIGKILL)
                var info = siginfo_t()
                waitid(P_PID, id_t(later), &info, WEXITED | WNOWAIT)
                runner.start([claimed("it")])
                #expect(await outlet.until { $0.count == 3 })
                #expect(waitpid(later, nil, WNOHANG) == later, "its exit status is still there")
                Offspring.shared.ended(ticket)
                #expect(lives(plain))
                kill(plain, SIGKILL)
                waitpid(plain, nil, 0)
            }
            #expect(lives(before))
            kill(before, SIGKILL)
            waitpid(before, nil, 0)
        }
    }

    @Test("neither tasks that run nor tasks that cannot be started leave descriptors behind")
    func descriptors() async {
        await #expect(processExitsWith: .success) {
            let runner = try adopting(["it": "echo 1; echo 2 >&2", "slow": "exec sleep 1000"])
            let broken = try ExecutableRunner(ExecutableSettings(commands: ["it": ["/nowhere"]]))
            let outlet = CollectingOutlet()
            await running(runner, outlet) {
                await running(broken, outlet) {
                    var open: [Int] = []
                    for round in 1...5 {
                        let slow = claimed("slow")
                        runner.start((0..<20).map { _ in claimed("it") } + [slow])
                        broken.start((0..<20).map { _ in claimed("it") })
                        runner.stop(slow.claim, .shutdown, grace: .zero)
                        #expect(await outlet.until { $0.count == round * 41 })
                        open.append(Workshop.files(in: "/proc/self/fd").count)
                    }
                    #expect(open.last.map { $0 <= open[0] + 2 } == true, "\(open)")
                }
            }
        }
    }

    @Test("500 quick tasks that each leave a daemon behind leave nothing behind")
    func many() async {
        await #expect(processExitsWith: .success) {
            let runner = try adopting(["it": "setsid sleep 1000 & setsid true & exit 0"])
            let outlet = CollectingOutlet()
            await running(runner, outlet) {
                for round in 1...50 {
                    runner.start((0..<10).map { _ in claimed("it") })
                    #expect(await outlet.until { $0.count == round * 10 })
                }
            }
            #expect(outlet.outcomes.allSatisfy { $0.outcome == .completed(result: nil) })
            #expect(Set(outlet.outcomes.map(\.claim)).count == 500)
            #expect(children().isEmpty)
        }
    }
}

/// A runner of shell lines that adopts orphans.
private func adopting(_ scripts: [String: String]) throws -> ExecutableRunner {
    try shell(scripts) { $0.adoptsOrphans = true }
}

/// The children of this process, but for the one that a sanitizer starts to read symbols.
private func children() -> [Substring] {
    Workshop.threads().flatMap { Workshop.text(of: "/proc/self/task/\($0)/children").split(separator: " ") }
        .filter { !Workshop.text(of: "/proc/\($0)/comm").hasPrefix("llvm-symbolizer") }
}

private func spawn(_ arguments: String...) -> pid_t {
    var pid: pid_t = 0
    var list: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    list.append(nil)
    defer { for one in list { free(one) } }
    posix_spawn(&pid, arguments[0], nil, nil, list, nil)
    return pid
}
