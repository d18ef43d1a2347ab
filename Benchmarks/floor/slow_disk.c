// Makes a disk slow: with this preloaded, each sync of a process takes SLOW_DISK_MICROSECONDS longer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_for_disk(void) {
  const char *time = getenv("SLOW_DISK_MICROSECONDS");
  if (time) usleep(atoi(time));
}

int fdatasync(int descriptor) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return real(descriptor);
}
