/*
 * Lets ssh into a guest over the VM's VSOCK device, which Slicer uses too: so a comparison is not one of a network
 * with a VSOCK device.
 *
 *   vsock-door listen PORT PROGRAM…    in the guest: each connection becomes the standard input and output of PROGRAM
 *   vsock-door dial SOCKET PORT        on the host, as ssh's ProxyCommand: through the VM's VSOCK socket
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static void require(int holds, const char *what) {
    if (holds) return;
    perror(what);
    exit(1);
}

static void put(int fd, const char *bytes, size_t length) {
    for (size_t sent = 0; sent < length;) {
        ssize_t taken = write(fd, bytes + sent, length - sent);
        require(taken > 0, "write");
        sent += taken;
    }
}

static void serve(unsigned port, char **program) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port };
    int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0, "listen");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        require(fd >= 0, "accept");
        pid_t pid = fork();
        require(pid >= 0, "fork");
        if (pid == 0) {
            signal(SIGCHLD, SIG_DFL);
            dup2(fd, 0);
            dup2(fd, 1);
            execv(program[0], program);
            require(0, program[0]);
        }
        close(fd);
    }
}

static void dial(const char *path, const char *port) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    /* VSOCK loses larger writes of some guests; from the host any are fine. */
    static char buffer[32768];
    char byte = 0;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, path);
    dprintf(fd, "CONNECT %s\n", port);
    while (byte != '\n') require(read(fd, &byte, 1) == 1, "no answer from the guest");
    struct pollfd ends[2] = { { .fd = 0, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
    for (;;) {
        require(poll(ends, 2, -1) > 0, "poll");
        for (int i = 0; i < 2; i++) {
            if (!ends[i].revents) continue;
            ssize_t length = read(ends[i].fd, buffer, sizeof buffer);
            if (length <= 0) exit(0);
            put(i == 0 ? fd : 1, buffer, length);
        }
    }
}

int main(int argc, char **argv) {
    if (argc >= 4 && !strcmp(argv[1], "listen")) serve(atoi(argv[2]), argv + 3);
    else if (argc == 4 && !strcmp(argv[1], "dial")) dial(argv[2], argv[3]);
    return fprintf(stderr, "vsock-door: listen or dial\n"), 2;
}
