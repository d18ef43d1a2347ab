// An executable function that does nothing: reads its arguments to the end, and completes.
#include <unistd.h>

int main(void) {
  char bytes[4096];
  while (read(0, bytes, sizeof bytes) > 0) {}
  return 0;
}
