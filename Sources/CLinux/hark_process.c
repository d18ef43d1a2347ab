#define _GNU_SOURCE
#include "hark_process.h"

#include <sys/resource.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int hark_memory_file(const void *bytes, size_t size) {
    int fd = memfd_create("hark-args", MFD_CLOEXEC);
    if (fd < 0) return -1;
    const char *next = bytes;
    while (size > 0) {
        ssize_t written = write(fd, next, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            int saved = written < 0 ? errno : EIO;
            close(fd);
            errno = saved;
            return -1;
        }
        next += written;
        size -= (size_t)written;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

int hark_notify_socket(char *name, size_t size) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    int on = 1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    /* Binding nothing but the family asks the kernel for an unused abstract name. */
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0
        || bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)) != 0
        || getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    size_t used = length - offsetof(struct sockaddr_un, sun_path);
    snprintf(name, size, "@%.*s", (int)(used - 1), address.sun_path + 1);
    return fd;
}

bool hark_reap(pid_t pid) {
    pid_t rc;
    do rc = waitpid(pid, NULL, WNOHANG);
    while (rc < 0 && errno == EINTR);
    return rc != 0;
}

bool hark_has_ended(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* State and parent of a process, from its stat file. */
static bool look_at(const char *pid, char *state, int *parent) {
    char path[300], line[512];
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t length = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (length <= 0) return false;
    line[length] = 0;
    char *end = strrchr(line, ')'); /* a name may hold anything, parentheses too */
    return end != NULL && sscanf(end + 1, " %c %d", state, parent) == 2;
}

/* Kernels without CONFIG_PROC_CHILDREN: everybody's stat. */
static size_t children_by_stat(pid_t parent, pid_t *pids, size_t capacity) {
    DIR *processes = opendir("/proc");
    if (processes == NULL) return 0;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char state;
        int ppid;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        if (!look_at(entry->d_name, &state, &ppid) || ppid != parent) continue;
        if (count < capacity) pids[count] = (pid_t)atoi(entry->d_name);
        count += 1;
    }
    closedir(processes);
    return count;
}

size_t hark_session_members(pid_t session, pid_t *pids, size_t capacity) {
    DIR *processes = opendir("/proc");
    if (processes == NULL) return 0;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char state;
        int ppid;
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0 || pid == session || getsid(pid) != session) continue;
        if (!look_at(entry->d_name, &state, &ppid) || state == 'Z' || state == 'X') continue;
        if (count < capacity) pids[count] = pid;
        count += 1;
    }
    closedir(processes);
    return count;
}

/* Adds the children of one thread. False if the kernel has no such list. */
static bool add_children(pid_t process, pid_t thread, pid_t *pids, size_t capacity, size_t *count) {
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)process, (int)thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    int pid = 0;
    for (ssize_t length; (length = read(fd, text, sizeof(text))) > 0;)
        for (ssize_t at = 0; at < length; at++) {
            if (text[at] != ' ') { /* each is followed by one */
                pid = pid * 10 + (text[at] - '0');
                continue;
            }
            if (*count < capacity) pids[*count] = (pid_t)pid;
            *count += 1;
            pid = 0;
        }
    close(fd);
    return true;
}

size_t hark_children(pid_t parent, pid_t *pids, size_t capacity) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
    DIR *threads = opendir(path);
    if (threads == NULL) return 0;
    size_t count = 0;
    bool readable = false;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        if (add_children(parent, (pid_t)atoi(entry->d_name), pids, capacity, &count)) readable = true;
    }
    closedir(threads);
    return readable ? count : children_by_stat(parent, pids, capacity);
}

size_t hark_adopted(pid_t *pids, size_t capacity) {
    size_t count = 0;
    return add_children(getpid(), getpid(), pids, capacity, &count) ? count : children_by_stat(getpid(), pids, capacity);
}

int hark_socket_pair(bool packets, int *fds) {
    if (socketpair(AF_UNIX, (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, fds) != 0) return -1;
    return fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

int hark_pipe(int *fds) {
    if (pipe2(fds, O_CLOEXEC) != 0) return -1;
    return fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

int hark_send_packet(int socket, const void *bytes, size_t size, const int *fds, size_t count) {
    union {
        char space[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 8) count = 8;
    if (count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    ssize_t sent;
    do sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

int hark_wake_signal(void) { return SIGRTMIN + 5; }

int hark_limit_descriptors(pid_t pid, uint64_t soft, uint64_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    return prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}
