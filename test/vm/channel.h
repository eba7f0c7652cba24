/* Connections over VSOCK with HTTP on them, for the programs that tests run in a guest. */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* How long a peer may be silent. */
enum { PATIENCE_MS = 4000 };

/* ---- time ---- */

/* When an attack is to be over, in milliseconds of CLOCK_MONOTONIC. */
__attribute__((unused)) static long deadline;

__attribute__((unused)) static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((unused)) static int is_over(void) { return now_ms() >= deadline; }

/* ---- words ---- */

/* Prints bytes so that they stay on one line, with NULs of tar padding left out. */
static void print_bytes(const char *bytes, ssize_t length) {
    for (ssize_t i = 0; i < length; i++) {
        unsigned char byte = bytes[i];
        if (byte == '\n') fputs("\\n", stdout);
        else if (byte >= ' ' && byte < 127) putchar(byte);
        else if (byte != '\0' && byte != '\r') printf("\\x%02x", byte);
    }
}

__attribute__((unused)) static void say(const char *attempt, const char *outcome) {
    printf("%s: %s\n", attempt, outcome);
    fflush(stdout);
}

static void die(const char *what) {
    printf("attacker: %s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

/* ---- connections ---- */

static int dial(unsigned int source_cid, unsigned int cid, unsigned int port) {
    struct sockaddr_vm from = { .svm_family = AF_VSOCK, .svm_cid = source_cid, .svm_port = VMADDR_PORT_ANY };
    struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if ((source_cid == VMADDR_CID_ANY || bind(fd, (struct sockaddr *)&from, sizeof from) == 0)
        && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void send_text(int fd, const char *format, ...) {
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (int sent = 0, count; sent < length; sent += count)
        if ((count = send(fd, text + sent, length - sent, MSG_NOSIGNAL)) <= 0) return;
}

/* One HTTP message into `text`: its length, or what came before the peer closed or fell silent. */
static ssize_t receive(int fd, char *text, size_t size) {
    size_t filled = 0;
    text[0] = '\0';
    while (filled < size - 1) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        if (poll(&wait, 1, PATIENCE_MS) <= 0) break;
        ssize_t count = recv(fd, text + filled, size - 1 - filled, 0);
        if (count <= 0) break;
        filled += count;
        text[filled] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length:");
        if (end && (!length || length > end)) break;
        if (end && filled >= (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10)) break;
    }
    return filled;
}

/* Prints what comes back to `attempt` and returns it; "nothing" when the peer closed or fell silent. */
__attribute__((unused)) static const char *answer_to(const char *attempt, int fd) {
    static char text[4 << 20];
    ssize_t length = receive(fd, text, sizeof text);
    printf("%s: ", attempt);
    if (length == 0) fputs("nothing", stdout);
    print_bytes(text, length);
    putchar('\n');
    fflush(stdout);
    return text;
}

__attribute__((unused)) static void request_on(int fd, const char *request, const char *authorization, const char *body) {
    send_text(fd, "%s HTTP/1.1\r\nhost: slicer\r\n%s%s%scontent-length: %zu\r\n\r\n%s", request,
              authorization ? "authorization: " : "", authorization ? authorization : "",
              authorization ? "\r\n" : "", strlen(body), body);
}
