internal import CHarkFiles
internal import PQ

/// The statements of `Store/SQL/`, one file each, as they ship inside the binary.
enum SQL {
    static let settings = statement("settings")
    static let relax = statement("relax")

    static let claim = statement("claim")
    static let claimLane = statement("claim_lane")
    static let lanes = statement("lanes")
    static let promote = statement("promote")
    static let nextDue = statement("next_due")

    static let complete = statement("complete")
    static let retry = statement("retry")
    static let snooze = statement("snooze")
    static let fail = statement("fail")
    static let cancel = statement("cancel")
    static let release = statement("release")
    static let block = statement("block")
    static let held = statement("held")
    static let strays = statement("strays")
    static let cancelRequests = statement("cancel_requests")
    static let unblock = statement("unblock")
    static let expireBlocked = statement("expire_blocked")

    static let register = statement("register")
    static let rejoin = statement("rejoin")
    static let beat = statement("beat")
    static let unregister = statement("unregister")
    static let suspects = statement("suspects")
    static let orphans = statement("orphans")
    static let rescue = statement("rescue")

    static let arm = statement("arm")
    static let awaitSleep = statement("await_sleep")
    static let disarm = statement("disarm")
    static let passOn = statement("pass_on")
    static let handOver = statement("hand_over")
    static let guarded = statement("guarded")
    static let notify = statement("notify")

    static let enqueue = statement("enqueue")
    static let list = statement("list")
    static let show = statement("show")
    static let stats = statement("stats")
    static let workers = statement("workers")
    static let doctorSession = statement("doctor_session")
    static let doctorTriggers = statement("doctor_triggers")
    static let doctorLocks = statement("doctor_locks")
    static let doctorBlocked = statement("doctor_blocked")
    static let doctorOverdue = statement("doctor_overdue")
    static let migrating = statement("migrating")
    static let outcome = statement("outcome")
    static let retryTasks = statement("retry_tasks")
    static let cancelTasks = statement("cancel_tasks")
    static let idsByFilter = statement("ids_by_filter")

    /// The text of `Store/SQL/NAME.sql`. A name that is not there is a mistake in this file, and the first test of the
    /// store finds it.
    static func statement(_ name: String) -> Statement {
        guard let file = hark_file("Store/SQL/\(name).sql") else { preconditionFailure("Store/SQL/\(name).sql is not embedded") }
        let text = UnsafeBufferPointer(start: file.pointee.bytes, count: file.pointee.size)
        return Statement(name: name, sql: String(decoding: text, as: UTF8.self))
    }
}
