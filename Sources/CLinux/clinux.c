#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int answer(long result) { return result < 0 ? -errno : (int)result; }

// epoll

static struct epoll_event wanted(uint32_t interest, uint64_t tag) {
    struct epoll_event event = {.events = 0, .data.u64 = tag};
    if (interest & LINUX_READ) event.events |= EPOLLIN | EPOLLRDHUP;
    if (interest & LINUX_WRITE) event.events |= EPOLLOUT;
    return event;
}

int linux_epoll_create(void) { return answer(epoll_create1(EPOLL_CLOEXEC)); }

int linux_epoll_add(int epoll, int fd, uint32_t interest, uint64_t tag) {
    struct epoll_event event = wanted(interest, tag);
    return answer(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

int linux_epoll_change(int epoll, int fd, uint32_t interest, uint64_t tag) {
    struct epoll_event event = wanted(interest, tag);
    return answer(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

int linux_epoll_remove(int epoll, int fd) { return answer(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL)); }

int linux_epoll_wait(int epoll, linux_event *events, int capacity, bool block) {
    struct epoll_event found[64];
    if (capacity > 64) capacity = 64;
    int count = epoll_wait(epoll, found, capacity, block ? -1 : 0);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t ready = 0;
        if (found[i].events & (EPOLLIN | EPOLLRDHUP)) ready |= LINUX_READ;
        if (found[i].events & EPOLLOUT) ready |= LINUX_WRITE;
        if (found[i].events & (EPOLLHUP | EPOLLERR)) ready |= LINUX_HANGUP;
        events[i] = (linux_event){.tag = found[i].data.u64, .ready = ready};
    }
    return count;
}

// eventfd, timerfd

int linux_eventfd_create(void) { return answer(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int linux_eventfd_signal(int fd) {
    uint64_t one = 1;
    return answer(write(fd, &one, sizeof one));
}

int linux_timerfd_create(void) { return answer(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)); }

int linux_timerfd_arm(int fd, int64_t at) {
    struct itimerspec when = {.it_value = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
    return answer(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL));
}

void linux_counter_drain(int fd) {
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
}

void linux_close(int fd) { close(fd); }

// clocks

static int64_t clock_now(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t linux_boottime(void) { return clock_now(CLOCK_BOOTTIME); }
int64_t linux_monotonic(void) { return clock_now(CLOCK_MONOTONIC); }

// threads

struct start {
    void (*body)(void *);
    void *argument;
};

static void *begin(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.body(start.argument);
    return NULL;
}

int linux_thread_start(void (*body)(void *), void *argument, size_t stack) {
    struct start *start = malloc(sizeof *start);
    if (!start) return -ENOMEM;
    *start = (struct start){body, argument};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, begin, start);
    pthread_attr_destroy(&attributes);
    if (error) free(start);
    return -error;
}

void linux_thread_name(const char *name) {
    char cut[16];
    strncpy(cut, name, sizeof cut - 1);
    cut[sizeof cut - 1] = 0;
    pthread_setname_np(pthread_self(), cut);
}

int linux_thread_id(void) {
    static _Thread_local int id;
    if (!id) id = (int)syscall(SYS_gettid);
    return id;
}

// processes

int linux_pidfd_open(int pid) { return answer(syscall(SYS_pidfd_open, pid, 0)); }
int linux_pidfd_signal(int pidfd, int signal) { return answer(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0)); }
int linux_become_subreaper(void) { return answer(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)); }

int linux_die_with_parent(int signal, int parent) {
    if (prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) < 0) return -errno;
    return getppid() == parent ? 0 : -ESRCH; // it may have died before we asked
}

static int release_text(struct dl_phdr_info *object, size_t size, void *argument) {
    (void)size;
    uintptr_t page = *(uintptr_t *)argument;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        // Never one that may be written: what a private mapping has changed would be gone.
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || segment->p_flags & PF_W) continue;
        uintptr_t first = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_filesz) & ~(page - 1);
        if (end > first) madvise((void *)first, end - first, MADV_DONTNEED);
    }
    return 0;
}

void linux_release_text(void) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(release_text, &page);
}

int linux_random(void *bytes, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t got = getrandom((char *)bytes + done, count - done, 0);
        if (got < 0 && errno != EINTR) return -errno;
        if (got > 0) done += (size_t)got;
    }
    return 0;
}

// datagrams

int linux_datagram_bind(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0
        || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int linux_datagram_receive(int fd, void *bytes, size_t capacity, linux_sender *sender) {
    union {
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(253 * sizeof(int))]; // 253: the kernel's own bound
        struct cmsghdr align;
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return -errno;
    *sender = (linux_sender){0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(c), sizeof who);
            *sender = (linux_sender){.pid = who.pid, .uid = who.uid, .gid = who.gid};
        } else if (c->cmsg_type == SCM_RIGHTS) {
            size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; i++) {
                int passed;
                memcpy(&passed, CMSG_DATA(c) + i * sizeof(int), sizeof passed);
                close(passed);
            }
        }
    }
    return (int)size;
}
