// A service manager's notification socket: writes each datagram that arrives at the path to stdout, after a
// NUL, and closes whatever descriptors came with it (sd_notify_barrier(3) waits for that).
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("bind");
    return 1;
  }
  if (write(1, "", 1) != 1) return 1;
  for (;;) {
    char message[65536];
    // Without room for them descriptors that come along are closed by the kernel.
    ssize_t count = recv(fd, message, sizeof message - 1, 0);
    if (count < 0) return 1;
    // A barrier's message is not one for people.
    if (count >= 9 && memcmp(message, "BARRIER=1", 9) == 0) continue;
    message[count] = 0;
    if (write(1, message, count + 1) != count + 1) return 1;
  }
}
