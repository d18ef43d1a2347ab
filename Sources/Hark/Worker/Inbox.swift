internal import Logging
internal import PQ
internal import struct Synchronization.Atomic
internal import struct Synchronization.AtomicLoadOrdering

extension Worker {
    /// What runners hand back, gathered under one lock until the loop's next turn.
    final class Inbox: Sendable {
        struct Mail {
            var outcomes: [(Claim, Outcome)] = []
            var alive: [(Claim, Duration?)] = []
            var isEmpty: Bool { outcomes.isEmpty && alive.isEmpty }
        }

        private let mail = Mutex(Mail())

        /// True if it was empty before, so that the loop has to be told.
        func add(_ put: (inout Mail) -> Void) -> Bool {
            mail.withLock { mail in
                let first = mail.isEmpty
                put(&mail)
                return first
            }
        }

        func empty() -> Mail {
            mail.withLock { mail in
                let all = mail
                mail = Mail()
                return all
            }
        }
    }

    struct Outlet: RunnerOutlet {
        let worker: Worker
        let runner: ObjectIdentifier
        var loop: EventLoop { worker.loop }
        var logger: Logger { worker.logger }

        func finished(_ claim: Claim, _ outcome: Outcome) {
            let outcome = outcome.bounded(by: worker.resultLimit.load(ordering: .relaxed))
            put { $0.outcomes.append((claim, outcome)) }
        }

        func alive(_ claim: Claim) { put { $0.alive.append((claim, nil)) } }
        func extend(_ claim: Claim, by extra: Duration) { put { $0.alive.append((claim, extra)) } }
        func capacity(_ count: Int, lacking: String?) { worker.post { [runner] in $0.heard(from: runner, capacity: count, lacking: lacking) } }

        private func put(_ change: (inout Inbox.Mail) -> Void) {
            if worker.inbox.add(change) { worker.post { $0.collect() } }
        }
    }
}
