/*
 * The least that can get a guest's secrets from its host: the live channel (docs/wire.md) in C, straight
 * down, with no care for anything that goes wrong, the archive piped into busybox's tar. It holds nothing,
 * replaces nothing, and leaves with the first archive. The agent's first sync is held against it.
 *
 *   reference-agent DIR
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>
#include "../test/vm/sha256.h"

#define HOST_PORT 901
#define AGENT_PORT 900
#define HEX 64
#define TOKEN_PREFIX "io.systemd.credential.binary:slicer.boot-token="

static char message[256 * 1024];

static void require(int holds, const char *what) {
    if (holds) return;
    perror(what);
    exit(1);
}

/* ---- the boot token, out of the SMBIOS table of OEM strings ---- */

static void read_token(char token[HEX + 1]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int fd = open("/sys/firmware/dmi/entries/11-0/raw", O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, message, sizeof message);
    char *at = length > 0 ? memmem(message, length, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) : NULL;
    uint32_t held = 0;
    int bits = 0, size = 0;
    if (fd >= 0) close(fd);
    for (at = at ? at + strlen(TOKEN_PREFIX) : ""; *at && *at != '=' && size < HEX; at++) {
        held = held << 6 | (uint32_t)(strchr(letters, *at) - letters);
        if ((bits += 6) >= 8) token[size++] = held >> (bits -= 8);
    }
    token[size] = 0;
}

/* ---- HTTP over VSOCK ---- */

static int vsock(void) {
    unsigned long long size = 4ULL << 20; /* the agent's buffer */
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0, "socket");
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof size);
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size);
    return fd;
}

static void put(int fd, const char *bytes, size_t length) {
    for (size_t sent = 0; sent < length;) {
        ssize_t taken = write(fd, bytes + sent, length - sent);
        require(taken > 0, "write");
        sent += taken;
    }
}

/* Reads until a head and `body` bytes of its body (all of it for -1) are there; returns where the body begins. */
static char *receive(int fd, ssize_t body, size_t *length) {
    char *end;
    *length = 0;
    for (;;) {
        ssize_t count = read(fd, message + *length, sizeof message - 1 - *length);
        require(count > 0, "read");
        message[*length += count] = 0;
        if (!(end = strstr(message, "\r\n\r\n"))) continue;
        char *field = strcasestr(message, "\r\ncontent-length:");
        size_t whole = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
        size_t wanted = end + 4 - message + (body < 0 ? whole : (size_t)body);
        if (*length >= wanted) return end + 4;
    }
}

static void field(const char *json, const char *name, char value[HEX + 1]) {
    char pattern[32];
    snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
    const char *at = strstr(json, pattern);
    require(at != NULL, name);
    memcpy(value, at + strlen(pattern), HEX);
    value[HEX] = 0;
}

/* The agent's side of a new session, on the connection that the host dialled. */
static void take_session(int fd, const char *token, char key[HEX + 1]) {
    char host[HEX + 1], guest[HEX + 1], proof[HEX + 1], share[HEX + 1], text[512], reply[512];
    uint8_t random[32];
    size_t length;
    field(receive(fd, -1, &length), "nonce", host);
    require(getrandom(random, sizeof random, 0) == sizeof random, "getrandom");
    for (int i = 0; i < 32; i++) sprintf(guest + 2 * i, "%02x", random[i]);
    snprintf(text, sizeof text, "slicer/1 guest session %s %s", host, guest);
    hmac_sha256(token, text, proof);
    int size = snprintf(text, sizeof text, "{\"nonce\":\"%s\",\"proof\":\"%s\"}", guest, proof);
    put(fd, reply, snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, text));
    field(receive(fd, -1, &length), "share", share);
    snprintf(text, sizeof text, "slicer/1 session-key %s %s %s", share, host, guest);
    hmac_sha256(token, text, key);
    put(fd, "HTTP/1.1 204 No Content\r\n\r\n", 27);
}

int main(int argc, char **argv) {
    struct sockaddr_vm here = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = AGENT_PORT };
    struct sockaddr_vm there = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = HOST_PORT };
    char token[HEX + 1], key[HEX + 1], request[512];
    int ends[2], status, listener = vsock(), host = vsock();
    size_t length;
    signal(SIGPIPE, SIG_IGN);
    require(argc == 2, "usage: reference-agent DIR");
    require(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    pid_t tar = fork();
    if (tar == 0) {
        dup2(ends[0], 0);
        execlp("busybox", "busybox", "tar", "-x", "-C", argv[1], (char *)NULL);
    }
    read_token(token);
    require(bind(listener, (struct sockaddr *)&here, sizeof here) == 0 && listen(listener, 1) == 0, "listen");
    require(connect(host, (struct sockaddr *)&there, sizeof there) == 0, "connect");
    put(host, request, snprintf(request, sizeof request, "POST /v1/hello HTTP/1.1\r\nHost: slicer\r\nContent-Length: 0\r\n\r\n"));
    int dialled = accept(listener, NULL, NULL);
    require(dialled >= 0, "accept");
    take_session(dialled, token, key);
    receive(host, -1, &length);
    put(host, request, snprintf(request, sizeof request,
        "GET /v1/secrets HTTP/1.1\r\nHost: slicer\r\nAuthorization: Bearer %s\r\n\r\n", key));
    char *body = receive(host, 0, &length);
    size_t left = strtoul(strcasestr(message, "\r\ncontent-length:") + 17, NULL, 10);
    for (size_t count = length - (body - message); ; body = message) {
        put(ends[1], body, count);
        if ((left -= count) == 0) break;
        ssize_t more = read(host, message, sizeof message);
        require(more > 0, "read");
        count = more;
    }
    close(ends[1]);
    require(waitpid(tar, &status, 0) == tar && status == 0, "tar");
    return 0;
}
