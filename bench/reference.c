/*
 * What the figures are held against: the same work done in C by the shortest way, in the same guest and
 * over the same VSOCK device. It speaks to a server of the benchmark's own, which asks for no session and
 * answers a line `PING` with a byte.
 *
 *   reference measure PROGRAM…     runs a program to its end and prints how long that took
 *   reference unchanged COUNT DIR  COUNT times one empty round trip and one stat of each file in DIR
 *   reference respond FILE         for each byte that the host sends: one write of 32 bytes, one rename to
 *                                  FILE, one byte back
 *   reference witness FILE         tells the host with one byte each time that FILE is replaced
 *
 * `measure` and `unchanged` print one duration a line, in nanoseconds.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define SERVER_PORT 2000
#define NAMES_MAX 4096

static void require(int holds, const char *what) {
    if (holds) return;
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static int dial(void) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = SERVER_PORT };
    unsigned long long size = 4ULL << 20; /* the agent's buffer */
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0, "socket");
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof size);
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size);
    require(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return fd;
}

/* Writes all bytes, whatever the descriptor takes at once. */
static void put(int fd, const char *bytes, size_t length) {
    for (size_t sent = 0; sent < length;) {
        ssize_t taken = write(fd, bytes + sent, length - sent);
        require(taken > 0, "write");
        sent += taken;
    }
}

static void ping(int fd) {
    char byte;
    put(fd, "PING\n", 5);
    require(read(fd, &byte, 1) == 1, "read");
}

static void measure(char **program) {
    int status;
    uint64_t begin = now_ns();
    pid_t pid = fork();
    require(pid >= 0, "fork");
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), 1);
        execvp(program[0], program);
        require(0, program[0]);
    }
    require(waitpid(pid, &status, 0) == pid && status == 0, program[0]);
    printf("%llu\n", (unsigned long long)(now_ns() - begin));
}

static void respond(const char *file) {
    char temporary[4096], value[32], byte;
    int fd = dial();
    snprintf(temporary, sizeof temporary, "%s.new", file);
    memset(value, 'x', sizeof value);
    put(fd, "RESPOND\n", 8);
    while (read(fd, &byte, 1) == 1) {
        int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        require(out >= 0 && write(out, value, sizeof value) == sizeof value && close(out) == 0, "write a file");
        require(rename(temporary, file) == 0, "rename");
        put(fd, &byte, 1);
    }
}

static void witness(char *file) {
    char events[4096] __attribute__((aligned(8)));
    char *name = strrchr(file, '/');
    int fd = dial(), watch = inotify_init1(IN_CLOEXEC);
    *name++ = 0;
    require(inotify_add_watch(watch, file, IN_MOVED_TO) >= 0, "inotify");
    put(fd, "WITNESS\n", 8);
    for (;;) {
        ssize_t count = read(watch, events, sizeof events);
        require(count > 0, "read");
        for (char *at = events; at < events + count;) {
            struct inotify_event *event = (struct inotify_event *)at;
            if (!strcmp(event->name, name)) put(fd, "w", 1);
            at += sizeof *event + event->len;
        }
    }
}

static void unchanged(int count, const char *path) {
    static char *names[NAMES_MAX];
    struct stat status;
    int held = 0, fd = dial();
    DIR *directory = opendir(path);
    require(directory != NULL, "opendir");
    for (struct dirent *entry; held < NAMES_MAX && (entry = readdir(directory));)
        if (entry->d_name[0] != '.') names[held++] = strdup(entry->d_name);
    int base = dirfd(directory);
    while (count-- > 0) {
        uint64_t begin = now_ns();
        ping(fd);
        for (int i = 0; i < held; i++)
            require(fstatat(base, names[i], &status, AT_SYMLINK_NOFOLLOW) == 0, "stat");
        printf("%llu\n", (unsigned long long)(now_ns() - begin));
    }
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 3 && !strcmp(argv[1], "measure")) measure(argv + 2);
    else if (argc == 4 && !strcmp(argv[1], "unchanged")) unchanged(atoi(argv[2]), argv[3]);
    else if (argc == 3 && !strcmp(argv[1], "respond")) respond(argv[2]);
    else if (argc == 3 && !strcmp(argv[1], "witness")) witness(argv[2]);
    else return fprintf(stderr, "reference: measure, unchanged, respond or witness\n"), 2;
    return 0;
}
