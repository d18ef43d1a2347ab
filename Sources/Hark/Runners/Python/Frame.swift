/// A frame from an interpreter. The other side is `interpreter/`, whose head describes both.
struct Frame {
    enum Kind: UInt8 {
        case done = 1, error, fail, retry, snooze, cancel, tooLarge, log, recalled, alive, extend, ready
    }

    struct Flags: OptionSet {
        let rawValue: UInt8
        /// It takes no further task; what it was handed besides is not begun.
        static let retire = Flags(rawValue: 1)
        /// The function has started a process.
        static let spawned = Flags(rawValue: 2)
        /// Processes of the function still live.
        static let children = Flags(rawValue: 4)
        /// The stop reached the function.
        static let interrupted = Flags(rawValue: 8)
    }

    static let header = 22
    /// What no interpreter sends: a result has a limit, and a log line too.
    static let longest = 256 << 20

    let kind: Kind
    let flags: Flags
    let task: Int64
    let number: Int64
    var payload: ArraySlice<UInt8>

    /// Message and detail of the kinds that have them: a length, the message, the detail.
    var words: (message: String, detail: String?) {
        guard payload.count >= 4 else { return ("", nil) }
        let count = min(Int(payload.integer(at: 0, as: UInt32.self)), payload.count - 4)
        let message = payload.dropFirst(4).prefix(count)
        let detail = payload.dropFirst(4 + count)
        return (String(decoding: message, as: UTF8.self), detail.isEmpty ? nil : String(decoding: detail, as: UTF8.self))
    }

    /// The ids of tasks, of a frame that has them.
    var ids: [Int64] { stride(from: 0, to: payload.count - payload.count % 8, by: 8).map { payload.integer(at: $0, as: Int64.self) } }

    /// Appends the frame that hands a task over.
    static func write(_ task: ClaimedTask, to bytes: inout [UInt8]) {
        let function = task.function.utf8
        let queue = task.queue.utf8
        bytes.add(UInt32(37 + function.count + queue.count + task.args.count))
        bytes.append(1)
        bytes.add(task.claim.id)
        bytes.add(task.claim.token)
        bytes.add(Int32(clamping: task.attempt))
        bytes.add(Int32(clamping: task.maxAttempts))
        bytes.add((task.timeout?.seconds ?? 0).bitPattern)
        bytes.add(UInt16(clamping: function.count))
        bytes.add(UInt16(clamping: queue.count))
        bytes += function
        bytes += queue
        bytes += task.args
    }
}

/// Cuts what comes from an interpreter into frames.
struct FrameReader {
    struct Rubbish: Error {}

    private var bytes: [UInt8] = []
    private var start = 0

    mutating func append(_ more: UnsafeRawBufferPointer) {
        // What has been taken goes, when it is all or most of it.
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.count <= 1 << 20)
            start = 0
        } else if start > bytes.count / 2 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// The next whole frame; nil when there is none yet.
    /// - Throws: `Rubbish` when these bytes are no frame: something else has written to the socket.
    mutating func next() throws(Rubbish) -> Frame? {
        let rest = bytes[start...]
        guard rest.count >= 4 else { return nil }
        let length = Int(rest.integer(at: 0, as: UInt32.self))
        guard length >= Frame.header - 4, length <= Frame.longest else { throw Rubbish() }
        if rest.count >= 6 {
            guard Frame.Kind(rawValue: rest[start + 4]) != nil, rest[start + 5] < 16 else { throw Rubbish() }
        }
        guard rest.count >= 4 + length, let kind = Frame.Kind(rawValue: rest[start + 4]) else { return nil }
        let frame = Frame(
            kind: kind, flags: Frame.Flags(rawValue: rest[start + 5]), task: rest.integer(at: 6, as: Int64.self),
            number: rest.integer(at: 14, as: Int64.self), payload: rest[(start + Frame.header)..<(start + 4 + length)])
        start += 4 + length
        return frame
    }
}

extension ArraySlice<UInt8> {
    /// Little-endian, `offset` bytes behind the start.
    func integer<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type) -> Value {
        withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
}

extension [UInt8] {
    fileprivate mutating func add(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
