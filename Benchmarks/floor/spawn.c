// How many programs a second a process can run: spawn COUNT AT_ONCE PROGRAM. Each has a process group of its own, is given "[]" on stdin, and its
// stdout and stderr are read to the end: the least that a runner of executables must do. Prints {"tasks": ..., "seconds": ...}.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_AT_ONCE = 64 };

extern char **environ;

static void die(const char *what) { perror(what); exit(1); }

typedef struct { pid_t pid; int ends[2]; } child;

static child start(char *program) {
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) die("pipe2");
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in[0], 0);
  posix_spawn_file_actions_adddup2(&files, out[1], 1);
  posix_spawn_file_actions_adddup2(&files, err[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  child it = {0, {out[0], err[0]}};
  if (posix_spawn(&it.pid, program, &files, &attributes, (char *[]){program, NULL}, environ)) die(program);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  if (write(in[1], "[]", 2) != 2) die("write");
  close(in[1]);
  return it;
}

int main(int count, char **arguments) {
  if (count != 4) return fprintf(stderr, "usage: spawn COUNT AT_ONCE PROGRAM\n"), 2;
  int wanted = atoi(arguments[1]), at_once = atoi(arguments[2]), started = 0, done = 0;
  if (at_once < 1 || at_once > MAX_AT_ONCE) return fprintf(stderr, "AT_ONCE is 1 to %d\n", MAX_AT_ONCE), 2;
  child children[MAX_AT_ONCE] = {0};
  struct pollfd waits[2 * MAX_AT_ONCE];
  for (int i = 0; i < 2 * at_once; i++) waits[i] = (struct pollfd){-1, POLLIN, 0};
  struct timespec began, ended;
  clock_gettime(CLOCK_MONOTONIC, &began);
  while (done < wanted) {
    for (int i = 0; i < at_once && started < wanted; i++) {
      if (children[i].pid) continue;
      children[i] = start(arguments[3]);
      for (int end = 0; end < 2; end++) waits[2 * i + end].fd = children[i].ends[end];
      started++;
    }
    if (poll(waits, 2 * at_once, -1) < 0) die("poll");
    for (int i = 0; i < 2 * at_once; i++) {
      if (waits[i].fd < 0 || !waits[i].revents) continue;
      char bytes[4096];
      if (read(waits[i].fd, bytes, sizeof bytes) > 0) continue;
      close(waits[i].fd);
      waits[i].fd = -1;
      child *it = &children[i / 2];
      if (waits[i ^ 1].fd >= 0) continue;
      int status;
      if (waitpid(it->pid, &status, 0) < 0 || status) die("the program failed");
      it->pid = 0;
      done++;
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &ended);
  printf("{\"tasks\": %d, \"seconds\": %.6f}\n", done, (ended.tv_sec - began.tv_sec) + (ended.tv_nsec - began.tv_nsec) / 1e9);
  return 0;
}
