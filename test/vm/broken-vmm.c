/*
 * What a VMM would try that its guest has broken into: reads the words `VERB TARGET` from a file, one pair a
 * line, tries each, and writes a line `VERB TARGET: RESULT` to another; RESULT is "done" or the name of the errno.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static int read_file(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    return fd < 0 ? -1 : (int)read(fd, &byte, 1) < 0 ? -1 : 0;
}

static int list(const char *path) {
    DIR *directory = opendir(path);
    return directory && readdir(directory) ? 0 : -1;
}

static int dial(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) return errno = ENAMETOOLONG, -1;
    strcpy(address.sun_path, path);
    return connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr *)&address, sizeof address);
}

/* process_vm_readv(2) asks for the right before it looks at the address: EFAULT is a yes. */
static int read_memory(pid_t pid) {
    char byte;
    struct iovec here = { &byte, 1 }, there = { (void *)1, 1 };
    return process_vm_readv(pid, &here, 1, &there, 1, 0) < 0 && errno != EFAULT ? -1 : 0;
}

/* By a link of its own, made beside it. */
static int replace(const char *path) {
    char own[600];
    snprintf(own, sizeof own, "%.*s/own", (int)(strrchr(path, '/') - path), path);
    return symlink("/etc/passwd", own) < 0 && errno != EEXIST ? -1 : rename(own, path);
}

static int attempt(const char *verb, const char *target) {
    if (!strcmp(verb, "read")) return read_file(target);
    if (!strcmp(verb, "list")) return list(target);
    if (!strcmp(verb, "write")) return open(target, O_WRONLY | O_NONBLOCK) < 0 ? -1 : 0;
    if (!strcmp(verb, "make")) return open(target, O_WRONLY | O_CREAT | O_EXCL, 0600) < 0 ? -1 : 0;
    if (!strcmp(verb, "remove")) return unlink(target);
    if (!strcmp(verb, "replace")) return replace(target);
    if (!strcmp(verb, "connect")) return dial(target);
    if (!strcmp(verb, "signal")) return kill(atoi(target), 0);
    if (!strcmp(verb, "memory")) return read_memory(atoi(target));
    if (!strcmp(verb, "trace")) {
        if (ptrace(PTRACE_SEIZE, atoi(target), 0, 0) < 0) return -1;
        return ptrace(PTRACE_DETACH, atoi(target), 0, 0), 0;
    }
    if (!strcmp(verb, "root")) return setresuid(0, 0, 0);
    return errno = EINVAL, -1;
}

int main(int argc, char **argv) {
    char verb[16], target[512];
    FILE *wishes = argc == 3 ? fopen(argv[1], "r") : NULL, *results = argc == 3 ? fopen(argv[2], "w") : NULL;
    if (!wishes || !results) return perror("broken-vmm"), 2;
    while (fscanf(wishes, "%15s %511s", verb, target) == 2) {
        int result = attempt(verb, target);
        fprintf(results, "%s %s: %s\n", verb, target, result < 0 ? strerrorname_np(errno) : "done");
    }
    return fclose(results) ? 2 : 0;
}
