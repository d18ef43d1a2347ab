// The standard library's Mutex, under one name for all targets, because the thread sanitizer needs another one: it cannot
// see into the Mutex of the toolchain's library, which was built without it, and reports every use as a race.
// `scripts/sanitize thread` builds with THREAD_SANITIZER set and gets one made of pthread_mutex_t, which it knows.

#if THREAD_SANITIZER
internal import Glibc

public struct Mutex<Value>: ~Copyable, @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let value = UnsafeMutablePointer<Value>.allocate(capacity: 1)

    public init(_ initial: consuming sending Value) {
        pthread_mutex_init(lock, nil)
        value.initialize(to: initial)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
        value.deinitialize(count: 1)
        value.deallocate()
    }

    public borrowing func withLock<Result, E: Error>(_ body: (inout sending Value) throws(E) -> sending Result) throws(E) -> sending Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        // The value is nobody else's while the lock is held, which the compiler cannot know of a pointer.
        nonisolated(unsafe) let pointer = value
        return try body(&pointer.pointee)
    }
}
#else
@_exported public import Synchronization

public typealias Mutex<Value: ~Copyable> = Synchronization.Mutex<Value>
#endif
