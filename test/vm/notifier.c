// A guest's systemd at its most reserved: sends one message to the host's notification port and waits for
// the host to end the connection, without ending its own half.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST};
  char byte;
  if (argc != 3) return 2;
  address.svm_port = (unsigned)atoi(argv[1]);
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("notifier");
    return 1;
  }
  size_t length = strlen(argv[2]);
  if (write(fd, argv[2], length) != (ssize_t)length) return 1;
  while (read(fd, &byte, 1) > 0) {
  }
  puts("notifier: the host has closed");
  return 0;
}
