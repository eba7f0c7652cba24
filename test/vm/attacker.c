/*
 * What a process in a guest can try that must not get secrets. It prints one line for each attempt: what
 * it tried, and every byte that came back, so that the test can look for values in it.
 *
 *   attacker [--bind-service] ports PORT...     binds each port
 *   attacker [--bind-service] ask KEY...        asks the host for everything, without a key and with each KEY
 *   attacker [--bind-service] pose              passes for the host before the agent, in every way there is
 *   attacker [--bind-service] agent ANSWER...   passes for the agent before the host, once for each ANSWER:
 *       junk | zeros | empty-token | token:TOKEN | replay (of the last right proof) | wait (no hello)
 *   attacker [--bind-service] crowd COUNT MS    says hello on COUNT connections to the host and holds them open
 *   attacker [--bind-service] read PATH...      opens and reads
 *
 * --bind-service: become uid 1000 with CAP_NET_BIND_SERVICE and no other capability (must begin as root).
 * `agent` with the right token gets the secrets: that is how the test knows that the others could fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "channel.h"
#include "sha256.h"

enum { AGENT_PORT = 900, HOST_PORT = 901, ORDINARY_USER = 1000, HEX = 64 };

/* The last proof that was made from the right token; its nonce is zeros, as in all of these. */
static char right_proof[HEX + 1];

static const char ZEROS[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* ---- the attempts ---- */

static void try_port(const char *text) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = atoi(text) };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    char attempt[64];
    snprintf(attempt, sizeof attempt, "bind %s", text);
    say(attempt, bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? "bound" : strerrorname_np(errno));
    close(fd);
}

static void ask(const char *request, const char *key, const char *body) {
    char attempt[512], authorization[256];
    snprintf(attempt, sizeof attempt, "%s with %s", request, key ? "a key" : "no key");
    snprintf(authorization, sizeof authorization, "Bearer %s", key ? key : "");
    int fd = dial(VMADDR_CID_ANY, VMADDR_CID_HOST, HOST_PORT);
    if (fd < 0) return say(attempt, strerrorname_np(errno));
    request_on(fd, request, key ? authorization : NULL, body);
    answer_to(attempt, fd);
    close(fd);
}

static void ask_all(const char *key) {
    ask("GET /v1/secrets", key, "");
    ask("GET /v1/secrets?wait", key, "");
    ask("POST /v1/userdata", key, "");
    ask("PUT /v1/userdata", key, "{\"exit_code\":0,\"output\":\"\"}");
    ask("POST /v1/report", key, "{\"generation\":\"\",\"errors\":[]}");
    ask("PUT /v1/session", key, "{}");
    ask("GET /v1/health", key, "");
    ask("GET /secrets", key, "");
}

static void pose_over(unsigned int source_cid, unsigned int cid) {
    static const char *const PURPOSES[] = { "session", "call" };
    char attempt[128], body[256], authorization[128];
    for (int i = 0; i < 2; i++) {
        snprintf(attempt, sizeof attempt, "pose as CID %u to CID %u for a %s", source_cid, cid, PURPOSES[i]);
        int fd = dial(source_cid, cid, AGENT_PORT);
        if (fd < 0) return say(attempt, strerrorname_np(errno));
        snprintf(body, sizeof body, "{\"purpose\":\"%s\",\"nonce\":\"%s\"}", PURPOSES[i], ZEROS);
        request_on(fd, "POST /v1/challenge", NULL, body);
        answer_to(attempt, fd);
        snprintf(authorization, sizeof authorization, "Slicer-Proof %s", ZEROS);
        snprintf(body, sizeof body, "{\"proof\":\"%s\",\"share\":\"%s\"}", ZEROS, ZEROS);
        if (i == 0) request_on(fd, "PUT /v1/session", NULL, body);
        else request_on(fd, "POST /v1/exec", authorization, "{\"argv\":[\"id\"],\"uid\":0,\"env\":[],\"stdin\":false}");
        answer_to(i == 0 ? "then a session" : "then a command", fd);
        request_on(fd, "GET /v1/health", authorization, "");
        answer_to("then its health", fd);
        close(fd);
    }
}

static void pose(void) {
    unsigned int own = 0;
    int device = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    if (device < 0 || ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &own) < 0) say("own CID", strerrorname_np(errno));
    const unsigned int sources[] = { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_LOCAL, own };
    const unsigned int targets[] = { VMADDR_CID_LOCAL, own };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        for (size_t j = 0; j < sizeof targets / sizeof *targets; j++) pose_over(sources[i], targets[j]);
}

/* Takes 64 hexadecimal digits after `"name":"`; zeros when there are none. */
static void field(const char *text, const char *name, char value[HEX + 1]) {
    char key[32];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *found = strstr(text, key);
    snprintf(value, HEX + 1, "%.*s", HEX, found && strlen(found) > strlen(key) + HEX ? found + strlen(key) : ZEROS);
}

/* A hello that the host accepts, after as many as it refuses for coming too fast. */
static void hello(void) {
    for (;;) {
        int fd = dial(VMADDR_CID_ANY, VMADDR_CID_HOST, HOST_PORT);
        if (fd < 0) die("dial the host");
        request_on(fd, "POST /v1/hello", NULL, "");
        const char *answer = answer_to("hello", fd);
        close(fd);
        if (!strstr(answer, " 429 ")) return;
        const char *seconds = strcasestr(answer, "retry-after:");
        usleep((seconds ? strtoul(seconds + 12, NULL, 10) : 1) * 1000000);
    }
}

/* The proof that `style` gives for the host's nonce, with the guest's nonce and the token it is made from. */
static void prove(const char *style, const char *host, char guest[HEX + 1], char proof[HEX + 1], char token[HEX + 1]) {
    char text[256];
    strcpy(guest, ZEROS);
    strcpy(proof, ZEROS);
    token[0] = '\0';
    int is_right = strncmp(style, "token:", 6) == 0;
    if (strcmp(style, "replay") == 0) strcpy(proof, right_proof);
    if (is_right) snprintf(token, HEX + 1, "%s", style + 6);
    else if (strcmp(style, "empty-token") != 0) return;
    snprintf(text, sizeof text, "slicer/1 guest session %s %s", host, guest);
    hmac_sha256(token, text, proof);
    if (is_right) strcpy(right_proof, proof);
}

static void pass_for_agent(int listener, const char *style) {
    char attempt[300], host[HEX + 1], guest[HEX + 1], proof[HEX + 1], token[HEX + 1], share[HEX + 1], key[HEX + 1], text[512];
    struct pollfd wait = { .fd = listener, .events = POLLIN };
    int is_waiting = strcmp(style, "wait") == 0;
    snprintf(attempt, sizeof attempt, "agent %.*s", (int)strcspn(style, ":"), style);
    if (!is_waiting) hello();
    if (poll(&wait, 1, is_waiting ? 2 * PATIENCE_MS : PATIENCE_MS) <= 0) return say(attempt, "nobody dialled");
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    const char *challenge = answer_to(attempt, fd);
    field(challenge, "nonce", host);
    prove(style, host, guest, proof, token);
    snprintf(text, sizeof text, "{\"nonce\":\"%s\",\"proof\":\"%s\"}", guest, proof);
    if (strcmp(style, "junk") == 0) snprintf(text, sizeof text, "[\"%s\"]", ZEROS);
    send_text(fd, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", strlen(text), text);
    const char *offer = answer_to("then the host says", fd);
    field(offer, "share", share);
    send_text(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    snprintf(text, sizeof text, "slicer/1 session-key %s %s %s", share, host, guest);
    hmac_sha256(token, text, key);
    ask("GET /v1/secrets", key, "");
    ask("POST /v1/userdata", key, "");
    close(fd);
}

static void pass_for_agents(char **styles) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = AGENT_PORT };
    int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) die("socket");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8) < 0)
        return say("listen on the agent's port", strerrorname_np(errno));
    say("listen on the agent's port", "bound");
    for (; *styles; styles++) pass_for_agent(listener, *styles);
    close(listener);
}

static void crowd(int count, int hold_ms) {
    int open_count = 0;
    for (int i = 0; i < count; i++) {
        int fd = dial(VMADDR_CID_ANY, VMADDR_CID_HOST, HOST_PORT);
        open_count += fd >= 0;
        if (fd >= 0) request_on(fd, "POST /v1/hello", NULL, "");
    }
    printf("crowd: %d connections\n", open_count);
    fflush(stdout);
    poll(NULL, 0, hold_ms);
}

static void try_read(const char *path) {
    char attempt[512], bytes[4096];
    snprintf(attempt, sizeof attempt, "read %s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return say(attempt, strerrorname_np(errno));
    ssize_t length = read(fd, bytes, sizeof bytes);
    if (length < 0) return say(attempt, strerrorname_np(errno));
    printf("%s: ", attempt);
    print_bytes(bytes, length);
    putchar('\n');
    close(fd);
}

/* uid 1000 with one capability, which a program would have got from its file or from ambient ones. */
static void become_bind_service(void) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = { 0 };
    sets[0].permitted = sets[0].effective = 1u << CAP_NET_BIND_SERVICE;
    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0
        || setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) < 0
        || setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) < 0
        || syscall(SYS_capset, &header, sets) < 0)
        die("become uid 1000 with CAP_NET_BIND_SERVICE");
}

int main(int count, char **words) {
    words++;
    if (count > 1 && strcmp(*words, "--bind-service") == 0) {
        become_bind_service();
        words++;
    }
    const char *command = *words ? *words++ : "";
    if (strcmp(command, "ports") == 0) for (; *words; words++) try_port(*words);
    else if (strcmp(command, "ask") == 0) for (ask_all(NULL); *words; words++) ask_all(*words);
    else if (strcmp(command, "pose") == 0) pose();
    else if (strcmp(command, "agent") == 0) pass_for_agents(words);
    else if (strcmp(command, "read") == 0) for (; *words; words++) try_read(*words);
    else if (strcmp(command, "crowd") == 0 && words[0] && words[1]) crowd(atoi(words[0]), atoi(words[1]));
    else {
        fprintf(stderr, "attacker: expected ports, ask, pose, agent, crowd or read\n");
        return 2;
    }
    return 0;
}
