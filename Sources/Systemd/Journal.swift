internal import CSystemd
internal import Glibc

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
