// What Node's sockets can't do, for the agent's tests. Says "ready" once it listens.
//   datagrams PATH     a service manager's notification socket; "@NAME" is an abstract one. Writes what comes, NUL-ended.
//   descriptors PATH   takes one connection: writes the request and what each descriptor that came with it leads
//                      to, then answers with what is on stdin.
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listener(const char *path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
  if (*path == '@') address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, type, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0) return -1;
  return type == SOCK_DGRAM || listen(fd, 1) == 0 ? fd : -1;
}

static void take_descriptors(int fd) {
  static char request[1 << 20];
  union { struct cmsghdr header; char space[CMSG_SPACE(64 * sizeof(int))]; } control;
  struct iovec part = {request, sizeof request};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t count = recvmsg(fd, &message, 0);
  printf("%zd bytes\n", count);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  size_t descriptors = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
  for (size_t i = 0; i < descriptors; i++) {
    char path[64], target[512] = {0};
    int taken;
    memcpy(&taken, CMSG_DATA(header) + i * sizeof taken, sizeof taken);
    snprintf(path, sizeof path, "/proc/self/fd/%d", taken);
    if (readlink(path, target, sizeof target - 1) > 0) printf("%s\n", target);
  }
  char answer[65536];
  for (size_t size; (size = fread(answer, 1, sizeof answer, stdin)) > 0;)
    if (write(fd, answer, size) != (ssize_t)size) return;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int datagrams = !strcmp(argv[1], "datagrams");
  int fd = listener(argv[2], datagrams ? SOCK_DGRAM : SOCK_STREAM);
  setvbuf(stdout, NULL, _IONBF, 0);
  if (fd < 0) return perror("listen"), 1;
  fwrite(datagrams ? "ready" : "ready\n", 1, sizeof "ready", stdout);
  if (!datagrams) return take_descriptors(accept(fd, NULL, NULL)), 0;
  char message[65536];
  for (ssize_t count; (count = recv(fd, message, sizeof message, 0)) >= 0;) {
    fwrite(message, 1, count, stdout);
    putchar(0);
  }
  return 0;
}
