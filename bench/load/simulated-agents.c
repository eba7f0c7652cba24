/*
 * Many agents in one process, as cheap as they can be: they take sessions and poll as docs/wire.md has it,
 * and drop what they receive. So a figure with them is the host's, not the guests'.
 *
 *   simulated-agents DIRECTORY FIRST COUNT
 *
 * COUNT agents from number FIRST on; agent N is behind the VSOCK socket DIRECTORY/N. Prints `listening`, and `round K NANOSECONDS` (of
 * CLOCK_MONOTONIC) when all agents together have had K answers with secrets for each of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "../../test/vm/sha256.h"

#define EVENTS_MAX 512
#define CHUNK_BYTES 65536
#define HEAD_BYTES 4096
#define NONCE "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

enum kind { LISTENER, CALL, POLL };

struct agent;
/* A descriptor, and what came on it that is not a whole message yet. */
struct end {
    enum kind kind;
    int fd;
    struct agent *agent;
    size_t held, body_left;
    char head[HEAD_BYTES];
};
struct agent {
    struct end listener, *poll;
    char key[65], etag[48];
    int number;
};

static const char *directory;
static uint64_t count, answers;
static int events_fd;

static void fail(const char *what) {
    fprintf(stderr, "simulated-agents: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int unix_socket(const char *suffix, int number, struct sockaddr_un *address) {
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s/%d%s", directory, number, suffix);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    return fd;
}

static void await(struct end *end) {
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = end };
    if (epoll_ctl(events_fd, EPOLL_CTL_ADD, end->fd, &event) < 0) fail("epoll_ctl");
}

static struct end *new_end(enum kind kind, int fd, struct agent *agent) {
    struct end *end = calloc(1, sizeof *end);
    if (!end) fail("calloc");
    end->kind = kind;
    end->fd = fd;
    end->agent = agent;
    await(end);
    return end;
}

/* Small enough for any socket's buffer. */
static void say(int fd, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (send(fd, text, length, MSG_NOSIGNAL) != length) fail("send");
}

static void poll_host(struct agent *agent) {
    if (!agent->etag[0])
        say(agent->poll->fd, "GET /v1/secrets?wait HTTP/1.1\r\nHost: slicer\r\nAuthorization: Bearer %s\r\n\r\n", agent->key);
    else
        say(agent->poll->fd, "GET /v1/secrets?wait HTTP/1.1\r\nHost: slicer\r\nAuthorization: Bearer %s\r\n"
            "If-None-Match: %s\r\nA-IM: slicer-tar\r\n\r\n", agent->key, agent->etag);
}

static void begin_polling(struct agent *agent) {
    struct sockaddr_un address;
    int fd = unix_socket("_901", agent->number, &address);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(address.sun_path);
    agent->poll = new_end(POLL, fd, agent);
    poll_host(agent);
}

/* The 64 digits of a field of the host's JSON. */
static const char *digits(const char *json, const char *field) {
    const char *found = strstr(json, field);
    if (!found) errno = EPROTO, fail(field);
    return found + strlen(field);
}

/* A whole request of the host's. What is proved is taken on trust: there is no boot token, and no attacker. */
static void answer_call(struct end *end, const char *request, const char *body) {
    static char host_nonce[65];
    char text[256], proof[65];
    if (!strncmp(request, "POST /v1/challenge ", 19)) {
        snprintf(host_nonce, sizeof host_nonce, "%s", digits(body, "\"nonce\":\""));
        memcpy(end->agent->etag, "", 1);
        memcpy(end->agent->key, host_nonce, 65);
        snprintf(text, sizeof text, "slicer/1 guest session %s %s", host_nonce, NONCE);
        hmac_sha256("", text, proof);
        say(end->fd, "HTTP/1.1 200 OK\r\nContent-Length: 151\r\n\r\n{\"nonce\":\"%s\",\"proof\":\"%s\"}", NONCE, proof);
    } else {
        snprintf(text, sizeof text, "slicer/1 session-key %.64s %.64s %s", digits(body, "\"share\":\""), end->agent->key, NONCE);
        hmac_sha256("", text, end->agent->key);
        say(end->fd, "HTTP/1.1 204 No Content\r\n\r\n");
        begin_polling(end->agent);
    }
}

/* The length of the body, -1 while the head is not whole; `rest` is what came after the head. */
static long head_length(const struct end *end, char **rest) {
    char *close = strstr(end->head, "\r\n\r\n"), *field = strcasestr(end->head, "\r\nContent-Length: ");
    if (!close) return -1;
    *rest = close + 4;
    return field && field < close ? strtol(field + 18, NULL, 10) : 0;
}

static void take_call(struct end *end, const char *bytes, size_t length) {
    char *body;
    if (end->held + length >= HEAD_BYTES) errno = EMSGSIZE, fail("a call");
    memcpy(end->head + end->held, bytes, length);
    end->head[end->held += length] = 0;
    if (!strncmp(end->head, "CONNECT 900\n", 12)) {
        say(end->fd, "OK 1073741824\n");
        memmove(end->head, end->head + 12, end->held - 11);
        end->held -= 12;
    }
    long body_length = head_length(end, &body);
    if (body_length < 0 || strlen(body) < (size_t)body_length) return;
    answer_call(end, end->head, body);
    end->held = end->head[0] = 0;
}

static void answered(struct agent *agent) {
    struct timespec now;
    poll_host(agent);
    if (++answers % count) return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("round %llu %lld\n", (unsigned long long)(answers / count), now.tv_sec * 1000000000LL + now.tv_nsec);
    fflush(stdout);
}

static void take_answer(struct end *end, const char *bytes, size_t length) {
    char *body, *etag;
    if (end->body_left > 0) {
        if (length > end->body_left) errno = EPROTO, fail("more than was asked for");
        if ((end->body_left -= length) == 0) answered(end->agent);
        return;
    }
    size_t taken = length < HEAD_BYTES - 1 - end->held ? length : HEAD_BYTES - 1 - end->held;
    memcpy(end->head + end->held, bytes, taken);
    end->head[end->held + taken] = 0;
    long body_length = head_length(end, &body);
    size_t before = end->held;
    end->held += taken;
    if (body_length < 0) return;
    if (strncmp(end->head, "HTTP/1.1 2", 10)) errno = EPROTO, fail(end->head);
    if ((etag = strcasestr(end->head, "\r\nETag: ")) && etag < body) sscanf(etag + 8, "%47s", end->agent->etag);
    size_t used = body - end->head - before;
    end->held = 0;
    end->body_left = body_length;
    if (body_length == 0) answered(end->agent);
    else if (length > used) take_answer(end, bytes + used, length - used);
}

static void take(struct end *end) {
    static char chunk[CHUNK_BYTES];
    if (end->kind == LISTENER) {
        int fd = accept4(end->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) fail("accept");
        new_end(CALL, fd, end->agent);
        return;
    }
    ssize_t length = recv(end->fd, chunk, sizeof chunk, 0);
    if (length > 0 && end->kind == CALL) return take_call(end, chunk, length);
    if (length > 0) return take_answer(end, chunk, length);
    if (end->kind == POLL) errno = length < 0 ? errno : ECONNRESET, fail("the host ended a poll");
    close(end->fd);
    free(end);
}

int main(int argc, char **argv) {
    struct epoll_event events[EVENTS_MAX];
    if (argc != 4) return fprintf(stderr, "simulated-agents DIRECTORY FIRST COUNT\n"), 2;
    directory = argv[1];
    int first = atoi(argv[2]);
    count = strtoull(argv[3], NULL, 10);
    events_fd = epoll_create1(EPOLL_CLOEXEC);
    struct agent *agents = calloc(count, sizeof *agents);
    for (uint64_t i = 0; i < count; i++) {
        struct sockaddr_un address;
        agents[i].number = first + i;
        agents[i].listener = (struct end){ .kind = LISTENER, .fd = unix_socket("", first + i, &address), .agent = &agents[i] };
        if (bind(agents[i].listener.fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(agents[i].listener.fd, 8) < 0) fail(address.sun_path);
        await(&agents[i].listener);
    }
    puts("listening");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(events_fd, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) take(events[i].data.ptr);
    }
}
