// What Linux has and Swift's Glibc module lacks, as plain functions.
//
// No feature macro may be defined here: it would change libc's own types as Swift sees them. Unless said otherwise a
// function returns a value of zero or more when all is well, and minus errno when it is not.
#ifndef CLINUX_H
#define CLINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Readiness: epoll.

enum { LINUX_READ = 1, LINUX_WRITE = 2, LINUX_HANGUP = 4 };

typedef struct linux_event {
    uint64_t tag;
    uint32_t ready; // LINUX_READ | LINUX_WRITE | LINUX_HANGUP
} linux_event;

int linux_epoll_create(void);
// `interest` is LINUX_READ | LINUX_WRITE; a hangup or an error is always reported, as LINUX_HANGUP.
int linux_epoll_add(int epoll, int fd, uint32_t interest, uint64_t tag);
int linux_epoll_change(int epoll, int fd, uint32_t interest, uint64_t tag);
int linux_epoll_remove(int epoll, int fd);
// At most 64 events. Waits without end when `block`, else not at all. A signal is a wait that found nothing.
int linux_epoll_wait(int epoll, linux_event *events, int capacity, bool block);

// Wake-ups: eventfd, and timerfd on CLOCK_BOOTTIME.

int linux_eventfd_create(void);
int linux_eventfd_signal(int fd);
int linux_timerfd_create(void);
// Fires once at that time since boot, in nanoseconds; 0 disarms.
int linux_timerfd_arm(int fd, int64_t at);
// Takes what an eventfd or a timerfd has to say.
void linux_counter_drain(int fd);
void linux_close(int fd);

// Clocks, in nanoseconds.

int64_t linux_boottime(void);  // since boot, goes on during suspend
int64_t linux_monotonic(void); // since boot, stands still during suspend

// Threads.

// Starts a detached thread with a stack of that many bytes.
int linux_thread_start(void (*body)(void *), void *argument, size_t stack);
void linux_thread_name(const char *name); // of the calling thread, cut to 15 characters
int linux_thread_id(void);

// Processes.

int linux_pidfd_open(int pid);
int linux_pidfd_signal(int pidfd, int signal);
int linux_become_subreaper(void);
// The calling process gets `signal` when its parent dies; minus ESRCH if the parent was no longer `parent`.
int linux_die_with_parent(int signal, int parent);

// Memory.

// Gives back the pages of program text that are mapped, this process's share of the page cache: those that are used again come back by
// a minor fault, without a read as a rule. What a process has touched only to start is so no longer counted as its own.
void linux_release_text(void);

// Random bytes from the kernel, as many as asked for.
int linux_random(void *bytes, size_t count);

// Datagrams with proof of who sent them.

typedef struct linux_sender {
    int32_t pid; // 0 when the kernel did not say
    uint32_t uid;
    uint32_t gid;
} linux_sender;

// A non-blocking AF_UNIX datagram socket bound to `path`, that learns who sends.
int linux_datagram_bind(const char *path);
// The size of the datagram, cut to `capacity`; minus EAGAIN when there is none. Descriptors passed along are closed.
int linux_datagram_receive(int fd, void *bytes, size_t capacity, linux_sender *sender);

#endif
