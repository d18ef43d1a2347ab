/* What a runner of child processes needs from Linux and Glibc's module map does not give. */
#ifndef HARK_PROCESS_H
#define HARK_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A nameless file in memory that holds `size` bytes and is read from its start, close-on-exec; -1 and errno on failure. */
int hark_memory_file(const void *_Nonnull bytes, size_t size);

/* A datagram socket with an abstract address that the kernel chose, non-blocking, close-on-exec, that passes the sender's
   credentials. `name` receives what NOTIFY_SOCKET is to say ("@0001f"). -1 and errno on failure. */
int hark_notify_socket(char *_Nonnull name, size_t size);

/* Waits for exactly this child without blocking: true if it is gone now (or never was ours). */
bool hark_reap(pid_t pid);

/* True if this child has ended; it stays unreaped. */
bool hark_has_ended(pid_t pid);

/* The children of `parent` (all its threads), ended ones included. Returns how many there are, of which at most
   `capacity` were stored. */
size_t hark_children(pid_t parent, pid_t *_Nonnull pids, size_t capacity);

/* The same for what this process has adopted as a subreaper, among others: the children of its main thread. The kernel gives an orphan to
   the first thread of its new parent that has not ended (find_new_reaper in kernel/exit.c), and the main thread ends with the process:
   libdispatch keeps it asleep when a program has no more use for it. Reading the list of each thread takes ten times as long. */
size_t hark_adopted(pid_t *_Nonnull pids, size_t capacity);

/* The same for the members of a session, less its leader and those that have ended. */
size_t hark_session_members(pid_t session, pid_t *_Nonnull pids, size_t capacity);

/* Two connected sockets, close-on-exec: fds[0], which is not to block, and fds[1], which may. In packets (SOCK_SEQPACKET) or as a stream.
   -1 and errno on failure. */
int hark_socket_pair(bool packets, int *_Nonnull fds);

/* A pipe, close-on-exec: fds[0] to read from without blocking, fds[1] to write to. -1 and errno on failure. */
int hark_pipe(int *_Nonnull fds);

/* Sends one packet, and descriptors (at most 8) along with it, without blocking. -1 and errno on failure. */
int hark_send_packet(int socket, const void *_Nonnull bytes, size_t size, const int *_Nullable fds, size_t count);

/* The signal that tells an interpreter to look at its control socket: SIGRTMIN+5, which programs leave alone. */
int hark_wake_signal(void);

/* Sets how many descriptors a process of ours may have. -1 and errno on failure. */
int hark_limit_descriptors(pid_t pid, uint64_t soft, uint64_t hard);

#endif
