/*
 * What any process in a guest can do to its host: every attack has an end, by count and by time, and says at it
 * how much it did, as `NAME: WORD NUMBER, ...`. It asks for nothing that it could use; what it does must cost
 * the host no more than docs/security.md says.
 *
 *   hostile connections COUNT MS   opens COUNT connections without waiting for any, and holds what it can
 *   hostile heads BYTES MS         sends one header without an end, again and again, BYTES in all
 *   hostile bodies BYTES MS        sends requests with bodies that nobody asked for, BYTES in all
 *   hostile slow-write COUNT MS    COUNT connections, a byte of a request at a time on each
 *   hostile slow-read COUNT MS     COUNT connections that send requests and take no answer
 *   hostile pipeline COUNT MS      COUNT connections with a thousand requests in one piece on each
 *   hostile half-close COUNT MS    COUNT connections that end their side in the middle of a request
 *   hostile churn COUNT MS         COUNT connections that are closed as soon as they are open
 *   hostile keys COUNT MS          COUNT requests with wrong keys, as fast as they go
 *   hostile hellos COUNT MS        COUNT hellos, as fast as they go
 *   hostile requests               one request of each odd form, and what came back
 *   hostile ports FIRST LAST MS    connects to all these ports of the host, and says which took it
 *   hostile console BYTES MS       writes BYTES to the console: text, controls and no line end at all
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "channel.h"
#include "odd-requests.h"

enum { HOST_PORT = 901, OPEN_MAX = 4000, CHUNK = 64 * 1024 };

/* A connection that is on its way: -1 where there can be none now. */
static int begin_dial(unsigned int port) {
    struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS) return fd;
    close(fd);
    return -1;
}

static int is_connected(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    return poll(&wait, 1, 0) > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0 && !(wait.revents & (POLLERR | POLLHUP));
}

/* A connection that is there, or -1 when the attack is over. */
static int open_one(void) {
    while (!is_over()) {
        int fd = dial(VMADDR_CID_ANY, VMADDR_CID_HOST, HOST_PORT);
        if (fd < 0) {
            usleep(1000);
            continue;
        }
        struct timeval patience = { .tv_sec = 1 };
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
    }
    return -1;
}

/* ---- crowds: many connections at once, each of which something is done to in turn ---- */

struct crowd {
    int fds[OPEN_MAX];
    size_t steps[OPEN_MAX];
    int count;
    long opened, failed, served;
};

/* One more, in place of the oldest where there is no room. */
static void crowd_add(struct crowd *crowd) {
    static int oldest;
    int fd = begin_dial(HOST_PORT);
    if (fd < 0) {
        crowd->failed++;
        if (crowd->count == 0) {
            usleep(1000);
            return;
        }
    }
    int place = fd >= 0 && crowd->count < OPEN_MAX ? crowd->count++ : oldest++ % crowd->count;
    if (fd < 0 || place < crowd->count - 1 || crowd->count == OPEN_MAX) {
        if (crowd->fds[place] > 0) close(crowd->fds[place]);
        crowd->fds[place] = 0;
    }
    if (fd < 0) return;
    crowd->fds[place] = fd;
    crowd->steps[place] = 0;
    crowd->opened++;
}

/* What is done to one connection that is open; 0 to close it. */
typedef int (*step)(int fd, size_t number);

static void crowd_run(const char *name, long count, step act, int is_refilled) {
    static struct crowd crowd;
    while (!is_over()) {
        for (int burst = 0; burst < 64 && crowd.opened < count; burst++) crowd_add(&crowd);
        int is_idle = 1;
        for (int i = 0; i < crowd.count; i++) {
            if (crowd.fds[i] <= 0) continue;
            if (!is_connected(crowd.fds[i])) continue;
            is_idle = 0;
            if (crowd.steps[i]++ == 0) crowd.served++;
            if (!act || act(crowd.fds[i], crowd.steps[i] - 1)) continue;
            close(crowd.fds[i]);
            crowd.fds[i] = is_refilled ? begin_dial(HOST_PORT) : 0;
            crowd.steps[i] = 0;
        }
        if (!act && crowd.opened >= count) break;
        usleep(is_idle ? 1000 : 200);
    }
    while (!act && !is_over()) usleep(10000);
    printf("%s: opened %ld, failed %ld, served %ld\n", name, crowd.opened, crowd.failed, crowd.served);
}

static const char SLOW_HEAD[] = "POST /v1/hello HTTP/1.1\r\nhost: slicer\r\nx-";

static int write_slowly(int fd, size_t number) {
    char byte = number < sizeof SLOW_HEAD - 1 ? SLOW_HEAD[number] : 'a';
    return send(fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static int ask_without_end(int fd, size_t number) {
    static const char REQUEST[] = "GET /v1/secrets HTTP/1.1\r\nhost: slicer\r\n\r\n";
    (void)number;
    return send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 || errno == EAGAIN;
}

static int pipeline(int fd, size_t number) {
    static char requests[CHUNK];
    if (!requests[0])
        while (strlen(requests) + 64 < sizeof requests) strcat(requests + strlen(requests), "POST /v1/hello HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    if (number > 0) return 0;
    send(fd, requests, strlen(requests), MSG_NOSIGNAL | MSG_DONTWAIT);
    return 1;
}

static int half_close(int fd, size_t number) {
    static const char *const PARTS[] = { "", "PO", "POST /v1/hello HTTP/1.1\r\n", "POST /v1/hello HTTP/1.1\r\ncontent-length: 9\r\n\r\n{" };
    static int turn;
    if (number > 0) return number < 50;
    const char *part = PARTS[turn++ % 4];
    send(fd, part, strlen(part), MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    return 1;
}

static int leave(int fd, size_t number) {
    (void)fd, (void)number;
    return 0;
}

/* ---- floods: as many bytes or requests as go ---- */

/* From so many processes at once: one alone mostly waits for the host. */
enum { FLOODERS = 8 };

struct flood { long done, answered, connections; };

/* One process's share of the bytes or requests. */
typedef struct flood (*share)(const char *text, long total);

static struct flood send_bytes(const char *begin, long total) {
    static char chunk[CHUNK];
    struct flood flood = { 0 };
    memset(chunk, 'a', sizeof chunk);
    while (flood.done < total && !is_over()) {
        int fd = open_one();
        if (fd < 0) break;
        flood.connections++;
        send(fd, begin, strlen(begin), MSG_NOSIGNAL);
        for (ssize_t count; flood.done < total && !is_over() && (count = send(fd, chunk, sizeof chunk, MSG_NOSIGNAL)) > 0;) flood.done += count;
        close(fd);
    }
    return flood;
}

static struct flood send_requests(const char *line, int has_key, long total) {
    struct flood flood = { .connections = 1 };
    int fd = -1;
    char text[1024];
    unsigned long key = getpid();
    while (flood.done < total && !is_over()) {
        if (fd < 0 && (fd = open_one()) < 0) break;
        key = key * 6364136223846793005u + 1442695040888963407u;
        if (has_key) snprintf(text, sizeof text, "Bearer %016lx%016lx%016lx%016lx", key, ~key, key * 3, key * 7);
        request_on(fd, line, has_key ? text : NULL, "");
        flood.done++;
        ssize_t count = recv(fd, text, sizeof text, 0);
        flood.answered += count > 0;
        if (count > 0) continue;
        close(fd);
        fd = -1;
        flood.connections++;
    }
    return flood;
}

static struct flood send_keys(const char *line, long total) { return send_requests(line, 1, total); }

static struct flood send_hellos(const char *line, long total) { return send_requests(line, 0, total); }

static struct flood flood(share work, const char *text, long total) {
    struct flood *shares = mmap(NULL, FLOODERS * sizeof *shares, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = { 0 };
    if (shares == MAP_FAILED) die("share memory");
    for (int i = 0; i < FLOODERS; i++)
        if (fork() == 0) shares[i] = work(text, total / FLOODERS + (i < total % FLOODERS)), _exit(0);
    while (wait(NULL) > 0);
    for (int i = 0; i < FLOODERS; i++) sum.done += shares[i].done, sum.answered += shares[i].answered, sum.connections += shares[i].connections;
    return sum;
}

static void flood_bytes(const char *name, const char *begin, long total) {
    struct flood all = flood(send_bytes, begin, total);
    printf("%s: bytes %ld, connections %ld\n", name, all.done, all.connections);
}

static void flood_requests(const char *name, const char *line, share work, long total) {
    struct flood all = flood(work, line, total);
    printf("%s: asked %ld, answered %ld, connections %ld\n", name, all.done, all.answered, all.connections);
}

/* ---- forms: what a strict reader refuses, and who one could pass for ---- */

static void try_forms(void) {
    char attempt[32], nul[] = "GET /v1/sec\0rets HTTP/1.1\r\n\r\n";
    size_t count = sizeof FORMS / sizeof *FORMS;
    deadline = now_ms() + 60000;
    for (size_t i = 0; i <= count; i++) {
        int fd = open_one();
        if (fd < 0) die("dial the host");
        if (i < count) send(fd, FORMS[i], strlen(FORMS[i]), MSG_NOSIGNAL);
        else send(fd, nul, sizeof nul - 1, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        snprintf(attempt, sizeof attempt, "form %zu", i);
        answer_to(attempt, fd);
        close(fd);
        /* Slower than the host takes new connections, or it would refuse for that alone. */
        usleep(20000);
    }
}

static void try_ports(int first, int last) {
    static int fds[65536];
    int taken = 0;
    for (int port = first; port <= last; port++) fds[port] = begin_dial(port);
    while (!is_over()) usleep(10000);
    printf("ports:");
    for (int port = first; port <= last; port++) {
        if (fds[port] >= 0 && is_connected(fds[port])) taken += printf(" %d", port) > 0;
        if (fds[port] >= 0) close(fds[port]);
    }
    printf("\nports: tried %d, taken %d\n", last - first + 1, taken);
}

static void flood_console(long total) {
    static const char *const LINES[] = { "\x1b[2J\x1b]0;owned\x07", "one line like any other\r\n", "\x9b""31m\r\r\n", "\xff\xfe\xc0\x80", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (console < 0) die("open the console");
    long written = 0;
    for (long i = 0; written < total && !is_over(); i++) {
        /* For a while no line ends. */
        const char *line = LINES[i % 200 < 100 ? 4 : i % 5];
        ssize_t count = write(console, line, strlen(line));
        if (count > 0) written += count;
    }
    printf("console: bytes %ld\n", written);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    long count = argc > 2 ? atol(argv[2]) : 0, ms = argc > 3 ? atol(argv[3]) : 0;
    struct rlimit files = { 0 };
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stdout, NULL, _IOLBF, 0);
    deadline = now_ms() + ms;
    if (strcmp(name, "connections") == 0) crowd_run(name, count, NULL, 0);
    else if (strcmp(name, "heads") == 0) flood_bytes(name, "GET / HTTP/1.1\r\nx: ", count);
    else if (strcmp(name, "bodies") == 0) flood_bytes(name, "POST /v1/report HTTP/1.1\r\ncontent-length: 1000000000000\r\n\r\n", count);
    else if (strcmp(name, "slow-write") == 0) crowd_run(name, count, write_slowly, 1);
    else if (strcmp(name, "slow-read") == 0) crowd_run(name, count, ask_without_end, 1);
    else if (strcmp(name, "pipeline") == 0) crowd_run(name, count, pipeline, 1);
    else if (strcmp(name, "half-close") == 0) crowd_run(name, count, half_close, 1);
    else if (strcmp(name, "churn") == 0) crowd_run(name, count, leave, 0);
    else if (strcmp(name, "keys") == 0) flood_requests(name, "GET /v1/secrets", send_keys, count);
    else if (strcmp(name, "hellos") == 0) flood_requests(name, "POST /v1/hello", send_hellos, count);
    else if (strcmp(name, "requests") == 0) try_forms();
    else if (strcmp(name, "ports") == 0 && argc > 4) deadline = now_ms() + atol(argv[4]), try_ports(count, ms);
    else if (strcmp(name, "console") == 0) flood_console(count);
    else return fprintf(stderr, "hostile: see the head of its source\n"), 2;
    return 0;
}
