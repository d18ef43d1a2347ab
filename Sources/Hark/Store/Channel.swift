/// The names of the channels that a worker listens on; `migrations/` has the other end.
enum Channel {
    /// While it sleeps: inserts into the queues that hash into this bucket, 0 to 255; the payload is the queue's name.
    static func bell(_ bucket: Int) -> String { "hark_bell_\(bucket)" }

    /// To one worker: `bell QUEUE`, `cancel ID`, `proof NUMBER`.
    static func control(_ worker: Int32) -> String { "hark_worker_\(worker)" }
}
