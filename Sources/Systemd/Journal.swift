internal import CSystemd
internal import Dispatch
internal import Glibc
internal import Synchronization

/// The journal, spoken to in its own protocol (sd_journal_sendv(3)): records with fields instead of lines.
public enum Journal {
    /// Whether this descriptor leads to the journal: JOURNAL_STREAM holds the device and inode of its socket
    /// (systemd.exec(5)). A shell started from a unit inherits the variable, so both have to fit.
    public static func isBehind(_ descriptor: CInt) -> Bool {
        guard let stream = getenv("JOURNAL_STREAM") else { return false }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
    }

    /// Hands over one record. Values may hold anything, line breaks too.
    /// - Parameter fields: names as in systemd.journal-fields(7): upper case, digits and underscores, not beginning with
    ///   an underscore; a field with another name is left out.
    /// - Returns: false when there is no journal to take it, so that the caller can say it elsewhere.
    @discardableResult
    public static func send(_ fields: [(name: String, value: String)]) -> Bool {
        let records = fields.filter { isValid($0.name) }.map { Array("\($0.name)=\($0.value)".utf8) }
        return withPointers(to: records[...], []) { sd_journal_sendv($0, CInt($1)) >= 0 }
    }

    /// Hands over one record without waiting: a journal that hangs must not hang who writes to it. Records are kept in order; when
    /// too many wait they are dropped, and their number is said when the journal takes records again.
    /// - Parameter fallback: called, on another thread, when there is no journal to take the record.
    static func post(_ fields: [(name: String, value: String)], fallback: @escaping @Sendable () -> Void) {
        let isRoom = pending.withLock { pending in
            guard pending.waiting < mostWaiting else {
                pending.lost += 1
                return false
            }
            pending.waiting += 1
            return true
        }
        guard isRoom else { return }
        writer.async {
            if !send(fields) { fallback() }
            let lost = pending.withLock { pending in
                pending.waiting -= 1
                defer { pending.lost = 0 }
                return pending.lost
            }
            if lost > 0 { send([("MESSAGE", "\(lost) records were lost, because the journal did not take them in time"), ("PRIORITY", "4")]) }
        }
    }

    /// Waits until what was posted has been handed over, but not for long: for the end of the process.
    public static func flush() {
        let group = DispatchGroup()
        writer.async(group: group) {}
        _ = group.wait(timeout: .now() + .seconds(2))
    }

    private static let mostWaiting = 10_000
    private static let writer = DispatchQueue(label: "journal")
    private static let pending = Mutex((waiting: 0, lost: 0))

    /// Pins all the records at once, one frame for each.
    private static func withPointers(to records: ArraySlice<[UInt8]>, _ vectors: [iovec], _ body: (UnsafePointer<iovec>?, Int) -> Bool) -> Bool {
        guard let first = records.first else { return vectors.withUnsafeBufferPointer { body($0.baseAddress, $0.count) } }
        return first.withUnsafeBytes { bytes in
            let vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            return withPointers(to: records.dropFirst(), vectors + [vector], body)
        }
    }

    private static func isValid(_ name: String) -> Bool {
        name.utf8.count <= 64 && name.first.map { $0 != "_" && !$0.isNumber } == true
            && name.utf8.allSatisfy { (65...90).contains($0) || (48...57).contains($0) || $0 == 95 }
    }
}
