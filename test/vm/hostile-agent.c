/*
 * What root in a guest can do to its host: in the agent's place, with the right boot token, he has a session and
 * lies in it. Needs the agent gone from its port. Each attack has an end, by count and by time.
 *
 *   hostile-agent TOKEN reports COUNT MS   reports of every odd form, as fast as they go
 *   hostile-agent TOKEN secrets COUNT MS   asks for all secrets and takes not a byte
 *   hostile-agent TOKEN polls COUNT MS     holds polls on COUNT connections, and pipelines more behind them
 *   hostile-agent TOKEN requests COUNT MS  requests with the key, as fast as they go
 *   hostile-agent TOKEN sessions COUNT MS  asks for a new session again and again
 *   hostile-agent TOKEN LIE COUNT MS       answers calls of the host with a lie:
 *       endless-output | huge-frame | frames-out-of-order | started-again | empty-frames | silence | trickle |
 *       endless-head | huge-answer | escapes | no-health
 */
#define _GNU_SOURCE
#include "channel.h"
#include "sha256.h"

enum { AGENT_PORT = 900, HOST_PORT = 901, HEX = 64, FRAME_MAX = 65536 };
enum { STARTED = 16, STDOUT = 17, EXIT = 19, FAILED = 20 };

static const char NONCE[] = "0000000000000000000000000000000000000000000000000000000000000000";
static char session[HEX + 1];

static int open_host(void) {
    struct timeval patience = { .tv_sec = 1 };
    int fd = -1;
    while (fd < 0 && !is_over())
        if ((fd = dial(VMADDR_CID_ANY, VMADDR_CID_HOST, HOST_PORT)) < 0) usleep(10000);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static int listen_agent(void) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = AGENT_PORT };
    int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) die("listen on the agent's port");
    return listener;
}

static int accept_in(int listener, int ms) {
    struct pollfd wait = { .fd = listener, .events = POLLIN };
    int fd = poll(&wait, 1, ms) > 0 ? accept(listener, NULL, NULL) : -1;
    /* A device may keep the host's close to itself. */
    struct timeval patience = { .tv_sec = 1 };
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

/* Takes 64 hexadecimal digits after `"name":"`. */
static int field(const char *text, const char *name, char value[HEX + 1]) {
    char key[32];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *found = strstr(text, key);
    if (!found || strlen(found) < strlen(key) + HEX) return 0;
    snprintf(value, HEX + 1, "%.*s", HEX, found + strlen(key));
    return 1;
}

/* Answers the host's challenge with a right proof: 1 when it was one. */
static int prove(int fd, const char *key, const char *purpose, char host[HEX + 1]) {
    static char text[8192];
    char proof[HEX + 1];
    if (receive(fd, text, sizeof text) <= 0 || !strstr(text, purpose) || !field(text, "nonce", host)) return 0;
    char said[256];
    snprintf(said, sizeof said, "slicer/1 guest %s %s %s", purpose, host, NONCE);
    hmac_sha256(key, said, proof);
    snprintf(text, sizeof text, "{\"nonce\":\"%s\",\"proof\":\"%s\"}", NONCE, proof);
    send_text(fd, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", strlen(text), text);
    return 1;
}

/* A session, as the agent gets one: 1 when there is one. */
static int take_session(int listener, const char *token) {
    static char text[8192];
    char host[HEX + 1], share[HEX + 1], said[256];
    int hello = open_host();
    if (hello >= 0) request_on(hello, "POST /v1/hello", NULL, "");
    int fd = accept_in(listener, 10000), done = 0;
    if (fd >= 0 && prove(fd, token, "session", host) && receive(fd, text, sizeof text) > 0 && field(text, "share", share)) {
        send_text(fd, "HTTP/1.1 204 No Content\r\n\r\n");
        snprintf(said, sizeof said, "slicer/1 session-key %s %s %s", share, host, NONCE);
        hmac_sha256(token, said, session);
        done = 1;
    }
    if (fd >= 0) close(fd);
    if (hello >= 0) close(hello);
    return done;
}

/* ---- with the session key, to the host ---- */

static const char *report_of(long number, char *body, size_t size) {
    size_t used = 0;
    switch (number % 8) {
    case 0: return "{";
    case 1: return "{\"generation\":\"\",\"errors\":[{\"name\":\"of-another-vm\",\"code\":\"ENOENT\",\"message\":\"x\"}]}";
    case 2: return "{\"generation\":\"\",\"errors\":[{\"code\":\"\\u001b[2J\",\"message\":\"\\u001b]0;owned\\u0007\\r\\n\\u202e\\ud800\"}]}";
    case 3: return "{\"generation\":\"\",\"errors\":[{\"name\":\"../../etc/passwd\",\"code\":\"\",\"message\":\"\"}]}";
    case 4: return "{\"__proto__\":{\"admin\":true},\"generation\":\"\",\"errors\":[]}";
    case 5: /* as many faults as fit */
        used = snprintf(body, size, "{\"generation\":\"\",\"errors\":[{\"code\":\"a\",\"message\":\"\"}");
        while (used + 64 < size) used += snprintf(body + used, size - used, ",{\"code\":\"a\",\"message\":\"\"}");
        snprintf(body + used, size - used, "]}");
        return body;
    case 6: /* as deep as fits */
        memset(body, '[', size - 1);
        body[size - 1] = '\0';
        return body;
    default:
        used = snprintf(body, size, "{\"generation\":\"\",\"errors\":[{\"code\":\"a\",\"message\":\"");
        memset(body + used, 'a', size - used - 8);
        strcpy(body + size - 8, "\"}]}");
        return body;
    }
}

static void send_all(int fd, const char *text, size_t length) {
    for (ssize_t sent = 0, count; (size_t)sent < length; sent += count)
        if ((count = send(fd, text + sent, length - sent, MSG_NOSIGNAL)) <= 0) return;
}

static void send_reports(long total) {
    static char body[262144];
    char answer[4096], authorization[128];
    long sent = 0, taken = 0, refused = 0;
    snprintf(authorization, sizeof authorization, "Bearer %s", session);
    int fd = -1;
    for (; sent < total && !is_over(); sent++) {
        if (fd < 0 && (fd = open_host()) < 0) break;
        const char *text = report_of(sent, body, sizeof body - (sent % 3 == 0));
        send_text(fd, "POST /v1/report HTTP/1.1\r\nauthorization: %s\r\ncontent-length: %zu\r\n\r\n", authorization, strlen(text));
        send_all(fd, text, strlen(text));
        int is_answered = receive(fd, answer, sizeof answer) > 0;
        taken += is_answered && strstr(answer, " 204 ") != NULL;
        refused += is_answered && strstr(answer, " 4") != NULL;
        if (is_answered && !strcasestr(answer, "connection: close")) continue;
        close(fd);
        fd = -1;
    }
    printf("reports: sent %ld, taken %ld, refused %ld\n", sent, taken, refused);
}

/* Requests for secrets, of which nothing is taken. `behind`: how many more follow each in the same piece. */
static void ask_and_wait(const char *name, const char *line, long total, int behind) {
    static int fds[4096];
    static char text[65536];
    long open_count = 0, asked = 0;
    size_t used = 0;
    for (int i = 0; i <= behind; i++) used += snprintf(text + used, sizeof text - used, "%s HTTP/1.1\r\nauthorization: Bearer %s\r\n\r\n", line, session);
    while (asked < total && !is_over()) {
        int fd = open_host();
        if (fd < 0) break;
        send_all(fd, text, used);
        asked++;
        if (fds[open_count % 64]) close(fds[open_count % 64]);
        fds[open_count++ % 64] = fd;
        usleep(15000);
    }
    while (!is_over()) usleep(10000);
    printf("%s: asked %ld\n", name, asked);
}

static void ask_fast(long total) {
    char answer[4096], authorization[128];
    long asked = 0, refused = 0;
    snprintf(authorization, sizeof authorization, "Bearer %s", session);
    int fd = -1;
    for (; asked < total && !is_over(); asked++) {
        if (fd < 0 && (fd = open_host()) < 0) break;
        request_on(fd, "GET /v1/nothing", authorization, "");
        int is_answered = receive(fd, answer, sizeof answer) > 0;
        refused += is_answered && strstr(answer, " 429 ") != NULL;
        if (is_answered && !strcasestr(answer, "connection: close")) continue;
        close(fd);
        fd = -1;
    }
    printf("requests: asked %ld, refused %ld\n", asked, refused);
}

/* ---- on connections that the host dials ---- */

static void frame(int fd, int type, size_t claimed, size_t sent) {
    static char bytes[5 + FRAME_MAX];
    bytes[0] = type;
    for (int i = 0; i < 4; i++) bytes[1 + i] = claimed >> (24 - 8 * i);
    memset(bytes + 5, type == STARTED || type == EXIT ? '7' : '\x1b', sent);
    send_all(fd, bytes, 5 + sent);
}

static long lie(int fd, const char *how) {
    static char request[8192];
    char host[HEX + 1];
    if (strcmp(how, "silence") == 0) return poll(NULL, 0, 500), 0;
    if (strcmp(how, "endless-head") == 0) {
        long sent = 0;
        for (ssize_t count; !is_over() && (count = send(fd, "HTTP/1.1 200 OK\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 55, MSG_NOSIGNAL)) > 0;) sent += count;
        return sent;
    }
    if (strcmp(how, "trickle") == 0) {
        long sent = 0;
        while (!is_over() && send(fd, "H", 1, MSG_NOSIGNAL) == 1) sent++, usleep(100000);
        return sent;
    }
    if (!prove(fd, session, "call", host) || receive(fd, request, sizeof request) <= 0) return 0;
    if (strcmp(how, "huge-answer") == 0) return send_text(fd, "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n"), 0;
    if (strcmp(how, "no-health") == 0) return send_text(fd, "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"agent_version\":[[[[1]]]"), 0;
    send_text(fd, "HTTP/1.1 101 Switching Protocols\r\nupgrade: slicer-exec\r\n\r\n");
    if (strcmp(how, "escapes") == 0) return frame(fd, FAILED, 300, 300), poll(NULL, 0, 200), 0;
    if (strcmp(how, "huge-frame") == 0) return frame(fd, STARTED, 0xffffffff, 1000), poll(NULL, 0, 200), 0;
    if (strcmp(how, "frames-out-of-order") == 0) return frame(fd, EXIT, 1, 1), frame(fd, STARTED, 1, 1), poll(NULL, 0, 200), 0;
    frame(fd, STARTED, 1, 1);
    long frames = 1;
    int type = strcmp(how, "started-again") == 0 ? STARTED : STDOUT;
    size_t length = strcmp(how, "endless-output") == 0 ? FRAME_MAX : type == STARTED;
    struct timeval patience = { .tv_usec = 500000 };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    static char empty[4096];
    for (int i = 0; i + 5 <= (int)sizeof empty; i += 5) empty[i] = STDOUT;
    while (!is_over()) {
        if (strcmp(how, "empty-frames") == 0) {
            if (send(fd, empty, sizeof empty - sizeof empty % 5, MSG_NOSIGNAL) <= 0) break;
            frames += sizeof empty / 5;
            continue;
        }
        struct pollfd peer = { .fd = fd, .events = POLLOUT };
        if (poll(&peer, 1, 500) <= 0 || (peer.revents & (POLLHUP | POLLERR))) break;
        frame(fd, type, length, length);
        frames++;
    }
    return frames;
}

int main(int argc, char **argv) {
    if (argc < 5) return fprintf(stderr, "hostile-agent: see the head of its source\n"), 2;
    const char *token = argv[1], *name = argv[2];
    long count = atol(argv[3]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    int listener = listen_agent();
    deadline = now_ms() + 20000;
    while (!take_session(listener, token) && !is_over()) usleep(100000);
    if (!session[0]) die("get a session");
    printf("%s: ready\n", name);
    deadline = now_ms() + atol(argv[4]);
    if (strcmp(name, "reports") == 0) return send_reports(count), 0;
    if (strcmp(name, "secrets") == 0) return ask_and_wait(name, "GET /v1/secrets", count, 0), 0;
    if (strcmp(name, "polls") == 0) return ask_and_wait(name, "GET /v1/secrets?wait", count, 200), 0;
    if (strcmp(name, "requests") == 0) return ask_fast(count), 0;
    if (strcmp(name, "sessions") == 0) {
        long taken = 0;
        for (long i = 0; i < count && !is_over(); i++) taken += take_session(listener, token);
        return printf("sessions: taken %ld\n", taken), 0;
    }
    long calls = 0, said = 0;
    while (calls < count && !is_over()) {
        int fd = accept_in(listener, 200);
        if (fd < 0) continue;
        calls++;
        said += lie(fd, name);
        close(fd);
    }
    printf("%s: calls %ld, said %ld\n", name, calls, said);
    return 0;
}
