/*
 * The system calls that QuickJS lacks, as the JavaScript module `sys`, and the three loops over bytes
 * that are too slow in an interpreter (tar checksum, HMAC-SHA256, comparing files). No policy lives here:
 * what is refused, and why, is decided in the TypeScript that calls it.
 *
 * Conventions: a failing call throws an Error with `code` ("ENOSPC"); descriptors are non-blocking where
 * they are waited for and always close-on-exec; `read` and `write` return -1 when they would block.
 * What is below a directory descriptor has a single name, anything else throws, and is never followed when it is a link.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/vm_sockets.h>
#include "quickjs-libc.h"

#define FUNCTION(name) static JSValue name(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)

/* 4 MiB: with the kernel's default of 256 KiB, waiting for credit dominates a large sync. */
#define VSOCK_BUFFER_BYTES (4ULL << 20)

static JSValue throw_errno(JSContext *ctx, const char *call, int error) {
    const char *name = strerrorname_np(error);
    JSValue object = JS_NewError(ctx);
    char text[256];
    snprintf(text, sizeof text, "%s: %s", call, strerror(error));
    JS_DefinePropertyValueStr(ctx, object, "message", JS_NewString(ctx, text),
                              JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_DefinePropertyValueStr(ctx, object, "code", JS_NewString(ctx, name ? name : "EUNKNOWN"), JS_PROP_C_W_E);
    return JS_Throw(ctx, object);
}

#define CHECK(call, result) do { if ((result) < 0) return throw_errno(ctx, call, errno); } while (0)

static int int_argument(JSContext *ctx, JSValueConst value) {
    int32_t number = -1;
    JS_ToInt32(ctx, &number, value);
    return number;
}

static uint32_t id_argument(JSContext *ctx, JSValueConst value) {
    int64_t number = -1;
    JS_ToInt64(ctx, &number, value);
    return (uint32_t)number;
}

/* The bytes of a Uint8Array; NULL with an exception pending for anything else. */
static uint8_t *bytes_argument(JSContext *ctx, JSValueConst value, size_t *length) {
    size_t offset, element, whole;
    JSValue buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, length, &element);
    if (JS_IsException(buffer)) return NULL;
    uint8_t *data = JS_GetArrayBuffer(ctx, &whole, buffer);
    JS_FreeValue(ctx, buffer);
    return data ? data + offset : NULL;
}

/* A slice [from, to) of a Uint8Array given by three arguments. */
static uint8_t *slice_argument(JSContext *ctx, JSValueConst *argv, size_t *length) {
    size_t whole;
    int64_t from, to;
    uint8_t *data = bytes_argument(ctx, argv[0], &whole);
    if (!data || JS_ToInt64(ctx, &from, argv[1]) || JS_ToInt64(ctx, &to, argv[2])) return NULL;
    if (from < 0 || to < from || (size_t)to > whole) {
        JS_ThrowRangeError(ctx, "slice out of range");
        return NULL;
    }
    *length = to - from;
    return data + from;
}

/* ---- bytes and text ---- */

FUNCTION(utf8_text) {
    size_t length;
    uint8_t *data = slice_argument(ctx, argv, &length);
    return data ? JS_NewStringLen(ctx, (char *)data, length) : JS_EXCEPTION;
}

/* latin1(bytes, from, to): a string of the same length, one character a byte. */
FUNCTION(latin1_text) {
    size_t length, size = 0;
    uint8_t *data = slice_argument(ctx, argv, &length);
    if (!data) return JS_EXCEPTION;
    char *utf8 = js_malloc(ctx, 2 * length + 1);
    if (!utf8) return JS_EXCEPTION;
    for (size_t i = 0; i < length; i++) {
        if (data[i] >= 0x80) utf8[size++] = 0xc0 | data[i] >> 6;
        utf8[size++] = data[i] >= 0x80 ? 0x80 | (data[i] & 0x3f) : data[i];
    }
    JSValue text = JS_NewStringLen(ctx, utf8, size);
    js_free(ctx, utf8);
    return text;
}

FUNCTION(utf8_bytes) {
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!text) return JS_EXCEPTION;
    JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)text, length);
    JS_FreeCString(ctx, text);
    return buffer;
}

FUNCTION(tar_checksum) {
    size_t length;
    const uint8_t *block = bytes_argument(ctx, argv[0], &length);
    if (!block) return JS_EXCEPTION;
    uint32_t sum = 8 * ' ';
    for (size_t i = 0; i < length; i++)
        if (i < 148 || i >= 156) sum += block[i];
    return JS_NewUint32(ctx, sum);
}

/* ---- SHA-256 (FIPS 180-4) and HMAC (RFC 2104) ---- */

static const uint32_t SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_block(uint32_t state[8], const uint8_t *data) {
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)data[4 * i] << 24 | data[4 * i + 1] << 16 | data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (ROTATE(a, 7) ^ ROTATE(a, 18) ^ a >> 3) + w[i - 7]
             + (ROTATE(b, 17) ^ ROTATE(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (ROTATE(s[4], 6) ^ ROTATE(s[4], 11) ^ ROTATE(s[4], 25))
                    + ((s[4] & s[5]) ^ (~s[4] & s[6])) + SHA256_K[i] + w[i];
        uint32_t t2 = (ROTATE(s[0], 2) ^ ROTATE(s[0], 13) ^ ROTATE(s[0], 22))
                    + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
#undef ROTATE
}

/* Digest of the 64 bytes `pad` followed by `length` bytes of `data`. */
static void sha256_padded(const uint8_t pad[64], const uint8_t *data, size_t length, uint8_t digest[32]) {
    uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    uint8_t last[128] = { 0 };
    size_t whole = length / 64 * 64, rest = length - whole, size = rest < 56 ? 64 : 128;
    uint64_t bits = (64 + (uint64_t)length) * 8;
    sha256_block(state, pad);
    for (size_t i = 0; i < whole; i += 64) sha256_block(state, data + i);
    memcpy(last, data + whole, rest);
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++) last[size - 1 - i] = bits >> (8 * i);
    for (size_t i = 0; i < size; i += 64) sha256_block(state, last + i);
    for (int i = 0; i < 32; i++) digest[i] = state[i / 4] >> (24 - 8 * (i % 4));
}

/* hmacSha256(key, text): hexadecimal; the key has at most 64 bytes (session keys and boot tokens do). */
FUNCTION(hmac_sha256) {
    size_t key_length, text_length;
    const char *key = JS_ToCStringLen(ctx, &key_length, argv[0]);
    const char *text = JS_ToCStringLen(ctx, &text_length, argv[1]);
    JSValue result = JS_EXCEPTION;
    if (key && text && key_length <= 64) {
        uint8_t inner[64] = { 0 }, outer[64], digest[32];
        char hex[65];
        memcpy(inner, key, key_length);
        for (int i = 0; i < 64; i++) outer[i] = inner[i] ^ 0x5c, inner[i] ^= 0x36;
        sha256_padded(inner, (const uint8_t *)text, text_length, digest);
        sha256_padded(outer, digest, sizeof digest, digest);
        for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        result = JS_NewStringLen(ctx, hex, 64);
    } else if (key && text) {
        JS_ThrowRangeError(ctx, "expected a key of at most 64 bytes");
    }
    JS_FreeCString(ctx, key);
    JS_FreeCString(ctx, text);
    return result;
}

FUNCTION(random_hex) {
    uint8_t bytes[32];
    char hex[65];
    CHECK("getrandom", getrandom(bytes, sizeof bytes, 0));
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return JS_NewStringLen(ctx, hex, 64);
}

/* ---- sockets ---- */

static void enlarge_vsock_buffer(int fd) {
    unsigned long long size = VSOCK_BUFFER_BYTES;
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &size, sizeof size);
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size);
}

static int vsock_socket(void) {
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) enlarge_vsock_buffer(fd);
    return fd;
}

static JSValue socket_result(JSContext *ctx, int fd, const char *call, int result) {
    if (fd >= 0 && (result == 0 || errno == EINPROGRESS || errno == EAGAIN)) return JS_NewInt32(ctx, fd);
    int error = errno;
    if (fd >= 0) close(fd);
    return throw_errno(ctx, call, error);
}

FUNCTION(vsock_listen) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
    address.svm_port = id_argument(ctx, argv[0]);
    int fd = vsock_socket(), result = fd;
    if (fd >= 0) result = bind(fd, (struct sockaddr *)&address, sizeof address);
    if (result >= 0) result = listen(fd, 32);
    return socket_result(ctx, fd, "listen on vsock", result < 0 ? -1 : 0);
}

/*
 * adoptListener(fd): makes a socket that the agent was started with one of its own, not passed on and not
 * blocking. Its port when it listens on VSOCK; -1 for anything else.
 */
FUNCTION(adopt_listener) {
    int fd = int_argument(ctx, argv[0]), listening = 0;
    struct sockaddr_vm address = { 0 };
    socklen_t length = sizeof address, size = sizeof listening;
    CHECK("getsockname", getsockname(fd, (struct sockaddr *)&address, &length));
    CHECK("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size));
    CHECK("fcntl", fcntl(fd, F_SETFD, FD_CLOEXEC));
    CHECK("fcntl", fcntl(fd, F_SETFL, O_NONBLOCK));
    if (address.svm_family != AF_VSOCK || !listening) return JS_NewInt32(ctx, -1);
    enlarge_vsock_buffer(fd);
    return JS_NewUint32(ctx, address.svm_port);
}

static int dial_vsock(int fd, uint32_t cid, uint32_t port) {
    struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address);
}

FUNCTION(vsock_connect) {
    int fd = vsock_socket();
    return socket_result(ctx, fd, "connect to vsock", dial_vsock(fd, id_argument(ctx, argv[0]), id_argument(ctx, argv[1])));
}

FUNCTION(vsock_local_cid) {
    unsigned int cid = VMADDR_CID_ANY;
    int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    CHECK("open /dev/vsock", fd);
    int result = ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid);
    close(fd);
    CHECK("ask /dev/vsock for the CID", result);
    return JS_NewUint32(ctx, cid);
}

static int unix_path(const char *path, struct sockaddr_un *address) {
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return errno = ENAMETOOLONG, -1;
    strcpy(address->sun_path, path);
    return 0;
}

static int unix_address(JSContext *ctx, JSValueConst value, struct sockaddr_un *address) {
    const char *path = JS_ToCString(ctx, value);
    if (!path) return errno = ENOMEM, -1;
    int result = unix_path(path, address);
    JS_FreeCString(ctx, path);
    return result;
}

/*
 * unixListen(path): a socket with mode 0600 in the place of whatever is there. The directory keeps others
 * from it. It is bound by the name that it keeps: /proc/net/unix tells the host when it listens.
 */
FUNCTION(unix_listen) {
    struct sockaddr_un address = { 0 };
    CHECK("socket path", unix_address(ctx, argv[0], &address));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), result = fd;
    mode_t mask = umask(0177);
    unlink(address.sun_path);
    if (fd >= 0) result = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (result >= 0) result = listen(fd, 32);
    return socket_result(ctx, fd, "listen on a socket", result < 0 ? -1 : 0);
}

FUNCTION(unix_connect) {
    struct sockaddr_un address = { 0 };
    CHECK("socket path", unix_address(ctx, argv[0], &address));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return socket_result(ctx, fd, "connect to a socket", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address));
}

/* notify(path, text): a datagram to the service manager (sd_notify(3)); an abstract name begins with "@". */
FUNCTION(notify_manager) {
    struct sockaddr_un address = { 0 };
    size_t size;
    CHECK("socket path", unix_address(ctx, argv[0], &address));
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(address.sun_path);
    if (address.sun_path[0] == '@') address.sun_path[0] = 0;
    const char *text = JS_ToCStringLen(ctx, &size, argv[1]);
    if (!text) return JS_EXCEPTION;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent = fd < 0 ? -1 : sendto(fd, text, size, 0, (struct sockaddr *)&address, length);
    int error = errno;
    JS_FreeCString(ctx, text);
    if (fd >= 0) close(fd);
    return sent < 0 ? throw_errno(ctx, "notify", error) : JS_UNDEFINED;
}

/*
 * sendDescriptors(fd, bytes, descriptors): bytes to a connected Unix socket, and with them descriptors, at most 64
 * (unix(7), SCM_RIGHTS). How many bytes were taken; -1 when it would block, and then of neither.
 */
enum { DESCRIPTORS_MAX = 64 };
union descriptors { struct cmsghdr header; uint8_t space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))]; };

/* The numbers of a list, at most `most`; how many, or -1 with an exception pending. */
static int int_list(JSContext *ctx, JSValueConst list, int *numbers, int most) {
    int64_t count = 0;
    JSValue length = JS_GetPropertyStr(ctx, list, "length");
    JS_ToInt64(ctx, &count, length);
    if (count < 0 || count > most) return JS_ThrowRangeError(ctx, "expected at most %d descriptors", most), -1;
    for (int i = 0; i < count; i++) {
        JSValue number = JS_GetPropertyUint32(ctx, list, i);
        numbers[i] = int_argument(ctx, number);
        JS_FreeValue(ctx, number);
    }
    return (int)count;
}

FUNCTION(send_descriptors) {
    size_t length;
    int fd = int_argument(ctx, argv[0]), list[DESCRIPTORS_MAX], count = int_list(ctx, argv[2], list, DESCRIPTORS_MAX);
    uint8_t *data = bytes_argument(ctx, argv[1], &length);
    if (!data || count < 0) return JS_EXCEPTION;
    union descriptors control = { 0 };
    struct iovec part = { data, length };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (count > 0) {
        memcpy(CMSG_DATA(&control.header), list, count * sizeof(int));
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return JS_NewInt32(ctx, -1);
    CHECK("send descriptors", sent);
    return JS_NewInt64(ctx, sent);
}

/* receiveDescriptors(fd, bytes): [count of bytes, -1 when it would block; then the descriptors that came with them]. */
FUNCTION(receive_descriptors) {
    size_t length;
    uint8_t *data = bytes_argument(ctx, argv[1], &length);
    if (!data) return JS_EXCEPTION;
    union descriptors control = { 0 };
    struct iovec part = { data, length };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t count = recvmsg(int_argument(ctx, argv[0]), &message, MSG_CMSG_CLOEXEC);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return throw_errno(ctx, "receive descriptors", errno);
    JSValue result = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, result, 0, JS_NewInt64(ctx, count));
    uint32_t at = 1;
    for (struct cmsghdr *each = count < 0 ? NULL : CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
        for (size_t i = 0; i < (each->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
            JS_SetPropertyUint32(ctx, result, at++, JS_NewInt32(ctx, fd));
        }
    }
    return result;
}

/* accept(fd): [descriptor, peer's CID (-1 for a Unix socket)], or null when nobody waits. */
FUNCTION(accept_peer) {
    union { struct sockaddr base; struct sockaddr_vm vm; struct sockaddr_un un; } peer = { 0 };
    socklen_t length = sizeof peer;
    int fd = accept4(int_argument(ctx, argv[0]), &peer.base, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return JS_NULL;
    CHECK("accept", fd);
    JSValue pair = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, pair, 0, JS_NewInt32(ctx, fd));
    JS_SetPropertyUint32(ctx, pair, 1,
        peer.base.sa_family == AF_VSOCK ? JS_NewUint32(ctx, peer.vm.svm_cid) : JS_NewInt32(ctx, -1));
    return pair;
}

/* Ends a non-blocking connect: throws what became of it. */
FUNCTION(connect_result) {
    int error = 0;
    socklen_t length = sizeof error;
    CHECK("getsockopt", getsockopt(int_argument(ctx, argv[0]), SOL_SOCKET, SO_ERROR, &error, &length));
    return error ? throw_errno(ctx, "connect", error) : JS_UNDEFINED;
}

FUNCTION(read_bytes) {
    size_t length;
    uint8_t *data = bytes_argument(ctx, argv[1], &length);
    if (!data) return JS_EXCEPTION;
    ssize_t count = read(int_argument(ctx, argv[0]), data, length);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return JS_NewInt32(ctx, -1);
    CHECK("read", count);
    return JS_NewInt64(ctx, count);
}

FUNCTION(write_bytes) {
    size_t length;
    uint8_t *data = slice_argument(ctx, argv + 1, &length);
    if (!data) return JS_EXCEPTION;
    ssize_t count = write(int_argument(ctx, argv[0]), data, length);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return JS_NewInt32(ctx, -1);
    CHECK("write", count);
    return JS_NewInt64(ctx, count);
}

FUNCTION(close_descriptor) {
    CHECK("close", close(int_argument(ctx, argv[0])));
    return JS_UNDEFINED;
}

/* ---- files below a directory descriptor ---- */

FUNCTION(open_directory) {
    const char *path = JS_ToCString(ctx, argv[0]);
    if (!path) return JS_EXCEPTION;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), error = errno;
    JS_FreeCString(ctx, path);
    return fd < 0 ? throw_errno(ctx, "open a directory", error) : JS_NewInt32(ctx, fd);
}

/* A name that stays in its directory, all of it; NULL with an exception pending for anything else. */
static const char *name_argument(JSContext *ctx, JSValueConst value) {
    size_t length;
    const char *name = JS_ToCStringLen(ctx, &length, value);
    if (!name || (length > 0 && strlen(name) == length && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."))) return name;
    JS_FreeCString(ctx, name);
    JS_ThrowRangeError(ctx, "expected a single name");
    return NULL;
}

/* Runs `expression` with `name` as a C string, and throws what fails. */
#define WITH_NAME(value, call, expression) WITH_TEXT(name_argument(ctx, value), call, expression)
#define WITH_PATH(value, call, expression) WITH_TEXT(JS_ToCString(ctx, value), call, expression)
#define WITH_TEXT(text, call, expression) do { \
    const char *name = text; \
    if (!name) return JS_EXCEPTION; \
    result = (expression); \
    int error = errno; \
    JS_FreeCString(ctx, name); \
    if (result < 0) return throw_errno(ctx, call, error); \
} while (0)

/* makeDirectory(fd, name, mode): the directory below fd, made if absent, with exactly this mode. */
FUNCTION(make_directory) {
    int result, base = int_argument(ctx, argv[0]), mode = int_argument(ctx, argv[2]);
    WITH_NAME(argv[1], "make a directory", mkdirat(base, name, mode) < 0 && errno != EEXIST ? -1 : 0);
    WITH_NAME(argv[1], "open a directory", openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    int fd = result;
    CHECK("set a directory's mode", fchmod(fd, mode));
    return JS_NewInt32(ctx, fd);
}

FUNCTION(create_file) {
    int result, base = int_argument(ctx, argv[0]);
    WITH_NAME(argv[1], "create", openat(base, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return JS_NewInt32(ctx, result);
}

/* syncFile(fd): what was written survives a loss of power. */
FUNCTION(sync_file) {
    CHECK("fsync", fsync(int_argument(ctx, argv[0])));
    return JS_UNDEFINED;
}

/* finishFile(fd, mode, uid, gid): sets owner, then mode (chown clears bits), and closes, whatever happens. */
FUNCTION(finish_file) {
    int fd = int_argument(ctx, argv[0]);
    int failed = fchown(fd, id_argument(ctx, argv[2]), id_argument(ctx, argv[3])) < 0
              || fchmod(fd, int_argument(ctx, argv[1])) < 0;
    int error = errno;
    close(fd);
    return failed ? throw_errno(ctx, "set owner and mode", error) : JS_UNDEFINED;
}

FUNCTION(rename_file) {
    int result, from = int_argument(ctx, argv[0]), to = int_argument(ctx, argv[1]);
    WITH_NAME(argv[2], "rename", renameat(from, name, to, name));
    return JS_UNDEFINED;
}

/* removeFile(fd, name): what is absent is removed already. */
FUNCTION(remove_file) {
    int result, base = int_argument(ctx, argv[0]);
    WITH_NAME(argv[1], "remove", unlinkat(base, name, 0) < 0 && errno != ENOENT ? -1 : 0);
    return JS_UNDEFINED;
}

FUNCTION(is_directory) {
    struct stat status = { 0 };
    int result, base = int_argument(ctx, argv[0]);
    WITH_NAME(argv[1], "stat", fstatat(base, name, &status, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT ? -1 : 0);
    return JS_NewBool(ctx, S_ISDIR(status.st_mode));
}

static int same_content(int one, int other) {
    static uint8_t a[65536], b[65536];
    for (;;) {
        ssize_t n = read(one, a, sizeof a), m = 0;
        while (m < n) {
            ssize_t more = read(other, b + m, n - m);
            if (more <= 0) return 0;
            m += more;
        }
        if (n <= 0) return n == 0;
        if (memcmp(a, b, n)) return 0;
    }
}

static int same_file(int one, int other, const char *name) {
    struct stat a, b;
    int same = 0;
    if (fstatat(other, name, &b, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(b.st_mode) || b.st_nlink != 1) return 0;
    int from = openat(one, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int to = openat(other, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from >= 0 && to >= 0 && !fstat(from, &a) && !fstat(to, &b))
        same = a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid
            && a.st_size == b.st_size && same_content(from, to);
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    return same;
}

/* sameFile(fd, otherFd, name): whether both hold a plain file `name` of equal bytes, owner and mode. */
FUNCTION(same_file_below) {
    int result, one = int_argument(ctx, argv[0]), other = int_argument(ctx, argv[1]);
    WITH_NAME(argv[2], "compare", same_file(one, other, name));
    return JS_NewBool(ctx, result);
}

/* What tells that nobody touched a file since: the inode change time can't be set by anyone. */
struct print { uint64_t inode, size, mtime_s, mtime_ns, ctime_s, ctime_ns; uint32_t mode, uid, gid, links; };

static int take_print(int base, const char *name, struct print *print) {
    struct stat s;
    if (fstatat(base, name, &s, AT_SYMLINK_NOFOLLOW) < 0) return -1;
    *print = (struct print){ s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec,
                             s.st_ctim.tv_nsec, s.st_mode, s.st_uid, s.st_gid, s.st_nlink };
    return 0;
}

/* Slot `index` of a Uint8Array of prints, which may begin at any address; NULL with an exception pending where there is none. */
static uint8_t *print_slot(JSContext *ctx, JSValueConst prints, int index) {
    size_t length;
    uint8_t *data = bytes_argument(ctx, prints, &length);
    if (!data) return NULL;
    if (index < 0 || (size_t)index >= length / sizeof(struct print)) {
        JS_ThrowRangeError(ctx, "no such print");
        return NULL;
    }
    return data + index * sizeof(struct print);
}

/* takePrint(fd, name, prints, index): records the file's state, or that it is absent, in a slot of `prints`. */
FUNCTION(take_print_of) {
    struct print print = { 0 };
    int result, base = int_argument(ctx, argv[0]);
    uint8_t *slot = print_slot(ctx, argv[2], int_argument(ctx, argv[3]));
    if (!slot) return JS_EXCEPTION;
    memset(slot, 0, sizeof print);
    WITH_NAME(argv[1], "stat", take_print(base, name, &print) < 0 && errno != ENOENT ? -1 : 0);
    memcpy(slot, &print, sizeof print);
    return JS_UNDEFINED;
}

/*
 * confirmPrint(fd, name, prints, index): the file was renamed since its print was taken, which changes its
 * inode change time. Takes that over, or clears the print when anything else differs: somebody was quicker.
 */
FUNCTION(confirm_print_of) {
    struct print before, now = { 0 };
    int result, base = int_argument(ctx, argv[0]);
    uint8_t *slot = print_slot(ctx, argv[2], int_argument(ctx, argv[3]));
    if (!slot) return JS_EXCEPTION;
    WITH_NAME(argv[1], "stat", take_print(base, name, &now) < 0 && errno != ENOENT ? -1 : 0);
    memcpy(&before, slot, sizeof before);
    before.ctime_s = now.ctime_s;
    before.ctime_ns = now.ctime_ns;
    if (memcmp(&before, &now, sizeof now)) memset(slot, 0, sizeof now);
    else memcpy(slot, &now, sizeof now);
    return JS_UNDEFINED;
}

/* changedFiles(fd, names, prints): the indexes of names whose file is not as it was recorded. */
FUNCTION(changed_files) {
    size_t length;
    int64_t count = 0;
    int base = int_argument(ctx, argv[0]);
    uint8_t *prints = bytes_argument(ctx, argv[2], &length);
    JSValue size = JS_GetPropertyStr(ctx, argv[1], "length");
    JS_ToInt64(ctx, &count, size);
    if (!prints) return JS_EXCEPTION;
    if (count < 0 || (uint64_t)count > length / sizeof(struct print)) return JS_ThrowRangeError(ctx, "fewer prints than names");
    JSValue changed = JS_NewArray(ctx);
    for (uint32_t i = 0, found = 0; i < count; i++) {
        struct print now;
        JSValue value = JS_GetPropertyUint32(ctx, argv[1], i);
        const char *name = name_argument(ctx, value);
        int failed = !name || take_print(base, name, &now) < 0;
        if (!name) JS_FreeValue(ctx, JS_GetException(ctx));
        if (failed || memcmp(&now, prints + i * sizeof now, sizeof now))
            JS_SetPropertyUint32(ctx, changed, found++, JS_NewUint32(ctx, i));
        JS_FreeCString(ctx, name);
        JS_FreeValue(ctx, value);
    }
    return changed;
}

/* ---- the file system and the machine ---- */

FUNCTION(file_system_type) {
    struct statfs status;
    int result;
    WITH_PATH(argv[0], "statfs", statfs(name, &status));
    return JS_NewInt64(ctx, status.f_type);
}

FUNCTION(mount_tmpfs) {
    int result;
    unsigned long flags = MS_NOSUID | MS_NODEV;
    WITH_PATH(argv[0], "mount a tmpfs",
              mount("slicer", name, "tmpfs", flags, "mode=0755,noswap") < 0
                  ? mount("slicer", name, "tmpfs", flags, "mode=0755") : 0);
    return JS_UNDEFINED;
}

/* watchDirectory(path): an inotify descriptor for every way in which a file of the directory can change. */
FUNCTION(watch_directory) {
    int result, fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK("inotify", fd);
    WITH_PATH(argv[0], "watch a directory",
              inotify_add_watch(fd, name, IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_ONLYDIR));
    return JS_NewInt32(ctx, fd);
}

/* timer(ms): a descriptor that can be read when that time has passed, once. */
FUNCTION(timer) {
    int64_t ms = 0;
    if (JS_ToInt64(ctx, &ms, argv[0])) return JS_EXCEPTION;
    /* A time of 0 would stop it. */
    if (ms < 1) ms = 1;
    struct itimerspec once = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK("make a timer", fd);
    if (timerfd_settime(fd, 0, &once, NULL) < 0) {
        int number = errno;
        close(fd);
        return throw_errno(ctx, "set a timer", number);
    }
    return JS_NewInt32(ctx, fd);
}

FUNCTION(effective_uid) {
    return JS_NewInt64(ctx, geteuid());
}

/* dropCapabilities(): none is left that could be used, and none comes back by a program that this one becomes. */
FUNCTION(drop_capabilities) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
    CHECK("drop capabilities", syscall(SYS_capset, &header, none));
    return JS_UNDEFINED;
}

FUNCTION(process_id) {
    return JS_NewInt32(ctx, getpid());
}

/* ---- processes ---- */

static char **string_list(JSContext *ctx, JSValueConst list, int *count) {
    int64_t length = 0;
    JSValue size = JS_GetPropertyStr(ctx, list, "length");
    JS_ToInt64(ctx, &length, size);
    char **strings = calloc(length + 1, sizeof *strings);
    for (*count = 0; strings && *count < length; ++*count) {
        JSValue value = JS_GetPropertyUint32(ctx, list, *count);
        const char *text = JS_ToCString(ctx, value);
        strings[*count] = strdup(text ? text : "");
        JS_FreeCString(ctx, text);
        JS_FreeValue(ctx, value);
    }
    return strings;
}

static void free_list(char **strings) {
    for (char **string = strings; string && *string; string++) free(*string);
    free(strings);
}

struct child { char **arguments, **environment, *directory; uint32_t uid, gid; gid_t *groups; int group_count; };

/* What the agent was started with; its own is lower, see `initialise`. */
static struct rlimit inherited_descriptors;

/* What the child tells when it can't become the program; the name is in memory that fork copied. */
struct failure {
    int error;
    const char *name;
};

/* In the child: takes on the identity (groups before the ids that allow it) and becomes the program. */
static void become(const struct child *child, int pipes[3][2], int input, int report) {
    struct failure failure = { 0, "its identity" };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setrlimit(RLIMIT_NOFILE, &inherited_descriptors);
    setsid();
    if ((input ? dup2(pipes[0][0], 0) : dup2(open("/dev/null", O_RDONLY), 0)) >= 0
        && dup2(pipes[1][1], 1) >= 0 && dup2(pipes[2][1], 2) >= 0
        && setgroups(child->group_count, child->groups) == 0
        && setresgid(child->gid, child->gid, child->gid) == 0
        && setresuid(child->uid, child->uid, child->uid) == 0
        && (failure.name = child->directory, chdir(child->directory)) == 0) {
        failure.name = child->arguments[0];
        /* After this PATH is the program's own. */
        environ = child->environment;
        execvp(child->arguments[0], child->arguments);
    }
    failure.error = errno;
    while (write(report, &failure, sizeof failure) < 0 && errno == EINTR);
    _exit(127);
}

static int make_pipes(int pipes[3][2], int input) {
    return (input && pipe2(pipes[0], O_CLOEXEC) < 0) || pipe2(pipes[1], O_CLOEXEC) < 0 || pipe2(pipes[2], O_CLOEXEC) < 0 ? -1 : 0;
}

/* pipes(stdin): [stdin or -1, stdout, stderr] for a program, and the other end of each, for who starts it. */
FUNCTION(program_pipes) {
    int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
    if (make_pipes(pipes, JS_ToBool(ctx, argv[0])) < 0) {
        int error = errno;
        for (int i = 0; i < 6; i++) if (pipes[i / 2][i % 2] >= 0) close(pipes[i / 2][i % 2]);
        return throw_errno(ctx, "pipes for a program", error);
    }
    JSValue result = JS_NewArray(ctx);
    for (int i = 0; i < 3; i++) {
        int end = pipes[i][i == 0];
        if (end >= 0) fcntl(end, F_SETFL, O_NONBLOCK);
        JS_SetPropertyUint32(ctx, result, i, JS_NewInt32(ctx, pipes[i][i > 0]));
        JS_SetPropertyUint32(ctx, result, 3 + i, JS_NewInt32(ctx, end));
    }
    return result;
}

/*
 * spawn(argv, env, cwd, uid, gid, groups, stdin, ends): [pid, stdin or -1, stdout, stderr] of a program in a
 * session of its own; with `ends`, which are closed, those are its streams (stdin or -1), and only its pid is told. A program that can't be started throws, with the errno of the child's failed step,
 * and leaves no zombie; the error has the child's `pid` where all was ready and only the program was at fault.
 */
FUNCTION(spawn_program) {
    struct child child = { 0 };
    struct failure failure = { 0, "start a program" };
    int given[3], count, pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } }, report[2] = { -1, -1 };
    int input = JS_ToBool(ctx, argv[6]);
    child.arguments = string_list(ctx, argv[0], &count);
    child.environment = string_list(ctx, argv[1], &count);
    child.uid = id_argument(ctx, argv[3]);
    child.gid = id_argument(ctx, argv[4]);
    char **groups = string_list(ctx, argv[5], &child.group_count);
    const char *directory = JS_ToCString(ctx, argv[2]);
    child.directory = strdup(directory ? directory : "/");
    JS_FreeCString(ctx, directory);
    child.groups = calloc(child.group_count + 1, sizeof *child.groups);
    for (int i = 0; i < child.group_count; i++) child.groups[i] = strtoul(groups[i], NULL, 10);

    int is_given = argc > 7 && JS_IsArray(ctx, argv[7]) && int_list(ctx, argv[7], given, 3) == 3;
    if (is_given) {
        input = given[0] >= 0;
        for (int i = 0; i < 3; i++) pipes[i][i > 0] = given[i];
    }
    pid_t pid = -1;
    if ((!is_given && make_pipes(pipes, input) < 0) || pipe2(report, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        failure.error = errno;
    if (pid == 0) become(&child, pipes, input, report[1]);
    if (report[1] >= 0) close(report[1]);
    if (pid > 0 && read(report[0], &failure, sizeof failure) == sizeof failure) waitpid(pid, NULL, 0);
    if (report[0] >= 0) close(report[0]);

    int ends[3] = { pipes[0][1], pipes[1][0], pipes[2][0] };
    int others[3] = { pipes[0][0], pipes[1][1], pipes[2][1] };
    for (int i = 0; i < 3; i++) {
        if (others[i] >= 0) close(others[i]);
        if (failure.error && ends[i] >= 0) close(ends[i]);
        if (!failure.error && ends[i] >= 0) fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    JSValue thrown = failure.error ? throw_errno(ctx, failure.name, failure.error) : JS_UNDEFINED;
    if (failure.error && failure.name == child.arguments[0]) {
        JSValue error = JS_GetException(ctx);
        JS_DefinePropertyValueStr(ctx, error, "pid", JS_NewInt32(ctx, pid), JS_PROP_C_W_E);
        JS_Throw(ctx, error);
    }
    free_list(child.arguments);
    free_list(child.environment);
    free_list(groups);
    free(child.directory);
    free(child.groups);
    if (failure.error) return thrown;
    JSValue result = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, result, 0, JS_NewInt32(ctx, pid));
    for (int i = 0; i < 3; i++) JS_SetPropertyUint32(ctx, result, i + 1, JS_NewInt32(ctx, ends[i]));
    return result;
}

/* Bytecode that is read only when a command is asked for that is in it; made by the build. */
extern const uint8_t auxiliary[];
extern const uint32_t auxiliary_size;

FUNCTION(run_auxiliary) {
    js_std_eval_binary(ctx, auxiliary, auxiliary_size, 0);
    return JS_UNDEFINED;
}

/* ---- the relay between a VM's VSOCK and a Unix socket, which runs on the host ---- */

enum side { HOST, GUEST };

enum {
    /* Connections at a time from each side; the newest is refused, unless the host has given up one of the guest's. */
    LINKS_OF_A_SIDE = 128,
    LINK_BUFFER_BYTES = 32768,
    /* For saying CONNECT, for the guest to answer a dial, and for taking the last bytes. */
    LINK_PATIENCE_MS = 10000,
};

struct link {
    enum side opener;
    /* ASKED: the host has yet to say which port. DIALLED: the guest has yet to answer. ENDING: no more is read. */
    enum { ASKED, DIALLED, JOINED, ENDING } stage;
    int fd[2];
    /* 0 where nothing is waited for. */
    int64_t deadline_ms;
    /* The host hung up, and the guest has yet to take what came before: it may never do. */
    int host_gone;
    /* A side that takes no more. What the other sends is not read any further; what this one sent still goes its way. */
    int deaf[2];
    /* What a side sent and the other has not taken. It is read again once that is nothing: so it is held back. */
    struct { size_t start, end; uint8_t bytes[LINK_BUFFER_BYTES]; } from[2];
};

struct relay {
    int listener[2];
    /* For tests a path, in whose place PATH_PORT stands for the guest's ports. */
    const char *path, *guest_path;
    uint32_t cid;
    int count;
    struct link *links[2 * LINKS_OF_A_SIDE];
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int dial_unix(const char *path, uint32_t port) {
    struct sockaddr_un address = { 0 };
    char name[sizeof address.sun_path + 16];
    snprintf(name, sizeof name, "%s_%u", path, port);
    int fd = unix_path(name, &address) < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static int dial_guest(const struct relay *relay, uint32_t port) {
    if (relay->guest_path) return dial_unix(relay->guest_path, port);
    int fd = vsock_socket();
    if (fd < 0 || dial_vsock(fd, relay->cid, port) == 0 || errno == EINPROGRESS) return fd;
    close(fd);
    return -1;
}

static void end_link(struct relay *relay, int index) {
    struct link *link = relay->links[index];
    for (int side = HOST; side <= GUEST; side++) if (link->fd[side] >= 0) close(link->fd[side]);
    free(link);
    relay->links[index] = relay->links[--relay->count];
}

/* Ends the connection of the guest that the host gave up first. Whether there was one. */
static int make_room(struct relay *relay) {
    int first = -1;
    for (int i = 0; i < relay->count; i++) {
        const struct link *link = relay->links[i];
        if (link->opener != GUEST || (!link->host_gone && link->stage != ENDING)) continue;
        if (first < 0 || link->deadline_ms < relay->links[first]->deadline_ms) first = i;
    }
    if (first >= 0) end_link(relay, first);
    return first >= 0;
}

static void take_connection(struct relay *relay, enum side opener, uint32_t host_port) {
    struct sockaddr_vm peer = { 0 };
    socklen_t length = sizeof peer;
    int others = 0, fd = accept4(relay->listener[opener], (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    for (int i = 0; i < relay->count; i++) others += relay->links[i]->opener == opener;
    int foreign = opener == GUEST && !relay->guest_path && peer.svm_cid != relay->cid;
    if (!foreign && opener == GUEST && others >= LINKS_OF_A_SIDE && make_room(relay)) others--;
    int other = foreign || others >= LINKS_OF_A_SIDE ? -1 : opener == GUEST ? dial_unix(relay->path, host_port) : -1;
    struct link *link = NULL;
    if (!foreign && others < LINKS_OF_A_SIDE && (opener == HOST || other >= 0)) link = malloc(sizeof *link);
    if (!link) {
        close(fd);
        if (other >= 0) close(other);
        return;
    }
    link->opener = opener;
    link->stage = opener == GUEST ? JOINED : ASKED;
    link->deadline_ms = opener == GUEST ? 0 : now_ms() + LINK_PATIENCE_MS;
    link->fd[opener] = fd;
    link->fd[!opener] = other;
    link->host_gone = link->deaf[HOST] = link->deaf[GUEST] = 0;
    link->from[HOST].start = link->from[HOST].end = link->from[GUEST].start = link->from[GUEST].end = 0;
    relay->links[relay->count++] = link;
}

/* The host says "CONNECT PORT\n"; -1 when it says anything else. */
static int read_port(const struct relay *relay, struct link *link) {
    char *line = (char *)link->from[HOST].bytes, *end;
    ssize_t count = read(link->fd[HOST], line + link->from[HOST].end, 32 - link->from[HOST].end);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) return -1;
    link->from[HOST].end += count;
    char *newline = memchr(line, '\n', link->from[HOST].end);
    if (!newline) return link->from[HOST].end < 32 ? 0 : -1;
    if (strncmp(line, "CONNECT ", 8) || line[8] < '0' || line[8] > '9') return -1;
    unsigned long port = strtoul(line + 8, &end, 10);
    if (end != newline || port >= UINT32_MAX) return -1;
    link->from[HOST].start = newline + 1 - line;
    link->fd[GUEST] = dial_guest(relay, port);
    link->stage = DIALLED;
    return link->fd[GUEST] < 0 ? -1 : 0;
}

/* The guest has answered the dial, and the host hears of it as Firecracker tells it: "OK PORT\n". */
static int join(struct link *link) {
    int error = 0;
    socklen_t size = sizeof error;
    struct sockaddr_vm own = { 0 };
    socklen_t length = sizeof own;
    if (getsockopt(link->fd[GUEST], SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) return -1;
    getsockname(link->fd[GUEST], (struct sockaddr *)&own, &length);
    link->from[GUEST].end = sprintf((char *)link->from[GUEST].bytes, "OK %u\n", own.svm_family == AF_VSOCK ? own.svm_port : 0);
    link->stage = JOINED;
    link->deadline_ms = 0;
    return 0;
}

/* Moves what a side sent to the other. -1 when the link is at its end. */
static int pump(struct link *link, enum side side) {
    enum side other = !side;
    ssize_t count;
    if (link->from[side].start == link->from[side].end && link->stage == JOINED && !link->deaf[other]) {
        count = read(link->fd[side], link->from[side].bytes, LINK_BUFFER_BYTES);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        link->from[side].start = 0;
        link->from[side].end = count < 0 ? 0 : count;
        if (count <= 0) {
            link->stage = ENDING;
            link->deadline_ms = now_ms() + LINK_PATIENCE_MS;
        }
    }
    if (link->from[side].start < link->from[side].end) {
        count = write(link->fd[other], link->from[side].bytes + link->from[side].start, link->from[side].end - link->from[side].start);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (count < 0) {
            link->deaf[other] = 1;
            link->from[side].start = link->from[side].end = 0;
            shutdown(link->fd[other], SHUT_WR);
        } else {
            link->from[side].start += count;
        }
    }
    int drained = link->from[HOST].start == link->from[HOST].end && link->from[GUEST].start == link->from[GUEST].end;
    return (link->stage == ENDING && drained) || (link->deaf[HOST] && link->deaf[GUEST]) ? -1 : 0;
}

static int serve_link(const struct relay *relay, struct link *link, const struct pollfd *host, const struct pollfd *guest) {
    if (link->deadline_ms && now_ms() >= link->deadline_ms) return -1;
    if (!host->revents && !guest->revents) return 0;
    if (link->stage == JOINED && !link->host_gone && (link->deaf[GUEST] || link->from[HOST].start < link->from[HOST].end)
        && host->revents & (POLLRDHUP | POLLHUP | POLLERR)) {
        link->host_gone = 1;
        link->deadline_ms = now_ms() + LINK_PATIENCE_MS;
    }
    if (link->stage == ASKED) return read_port(relay, link);
    if (link->stage == DIALLED && join(link) < 0) return -1;
    return pump(link, HOST) < 0 || pump(link, GUEST) < 0 ? -1 : 0;
}

/* What to wait for on a side's descriptor. One without anything is left out, or its hang-up would never let poll wait. */
static struct pollfd interest(const struct link *link, enum side side) {
    struct pollfd entry = { .fd = link->fd[side] };
    if (link->stage == ASKED) entry.events = side == HOST ? POLLIN : 0;
    else if (link->stage == DIALLED) entry.events = side == GUEST ? POLLOUT : 0;
    else {
        if (link->stage == JOINED && link->from[side].start == link->from[side].end && !link->deaf[!side]) entry.events |= POLLIN;
        else if (link->stage == JOINED && side == HOST && !link->host_gone) entry.events |= POLLRDHUP;
        if (link->from[!side].start < link->from[!side].end) entry.events |= POLLOUT;
    }
    if (!entry.events) entry.fd = -1;
    return entry;
}

/*
 * relay(guestListener, hostListener, cid, path, hostPort, guestPath): until the process ends. What the guest
 * connects to the first goes to the Unix socket PATH_HOSTPORT; who connects to the second says
 * "CONNECT PORT\n" and reaches that port of the guest. The end of one direction ends the other.
 */
FUNCTION(relay_connections) {
    static struct relay relay;
    static struct pollfd entries[2 + 4 * LINKS_OF_A_SIDE];
    uint32_t host_port = id_argument(ctx, argv[4]);
    relay.listener[GUEST] = int_argument(ctx, argv[0]);
    relay.listener[HOST] = int_argument(ctx, argv[1]);
    relay.cid = id_argument(ctx, argv[2]);
    relay.path = JS_ToCString(ctx, argv[3]);
    relay.guest_path = JS_IsUndefined(argv[5]) ? NULL : JS_ToCString(ctx, argv[5]);
    for (;;) {
        int64_t wait_ms = -1, now = now_ms();
        for (int side = HOST; side <= GUEST; side++) entries[side] = (struct pollfd){ relay.listener[side], POLLIN, 0 };
        for (int i = 0; i < relay.count; i++) {
            const struct link *link = relay.links[i];
            entries[2 + 2 * i] = interest(link, HOST);
            entries[3 + 2 * i] = interest(link, GUEST);
            if (!link->deadline_ms) continue;
            int64_t left = link->deadline_ms > now ? link->deadline_ms - now : 0;
            if (wait_ms < 0 || left < wait_ms) wait_ms = left;
        }
        if (poll(entries, 2 + 2 * relay.count, wait_ms) < 0 && errno != EINTR) return throw_errno(ctx, "poll", errno);
        /* From the last one down, so that its place can be taken by one that was served. */
        for (int i = relay.count - 1; i >= 0; i--) {
            struct link *link = relay.links[i];
            if (serve_link(&relay, link, &entries[2 + 2 * i], &entries[3 + 2 * i]) < 0) end_link(&relay, i);
        }
        for (int side = HOST; side <= GUEST; side++)
            if (entries[side].revents) take_connection(&relay, side, host_port);
    }
}

static const JSCFunctionListEntry FUNCTIONS[] = {
    JS_CFUNC_DEF("text", 3, utf8_text),
    JS_CFUNC_DEF("latin1", 3, latin1_text),
    JS_CFUNC_DEF("bytes", 1, utf8_bytes),
    JS_CFUNC_DEF("tarChecksum", 1, tar_checksum),
    JS_CFUNC_DEF("hmacSha256", 2, hmac_sha256),
    JS_CFUNC_DEF("randomHex", 0, random_hex),
    JS_CFUNC_DEF("vsockListen", 1, vsock_listen),
    JS_CFUNC_DEF("adoptListener", 1, adopt_listener),
    JS_CFUNC_DEF("vsockConnect", 2, vsock_connect),
    JS_CFUNC_DEF("vsockLocalCid", 0, vsock_local_cid),
    JS_CFUNC_DEF("unixListen", 1, unix_listen),
    JS_CFUNC_DEF("unixConnect", 1, unix_connect),
    JS_CFUNC_DEF("notify", 2, notify_manager),
    JS_CFUNC_DEF("sendDescriptors", 3, send_descriptors),
    JS_CFUNC_DEF("receiveDescriptors", 2, receive_descriptors),
    JS_CFUNC_DEF("accept", 1, accept_peer),
    JS_CFUNC_DEF("connectResult", 1, connect_result),
    JS_CFUNC_DEF("read", 2, read_bytes),
    JS_CFUNC_DEF("write", 4, write_bytes),
    JS_CFUNC_DEF("close", 1, close_descriptor),
    JS_CFUNC_DEF("openDirectory", 1, open_directory),
    JS_CFUNC_DEF("makeDirectory", 3, make_directory),
    JS_CFUNC_DEF("createFile", 2, create_file),
    JS_CFUNC_DEF("syncFile", 1, sync_file),
    JS_CFUNC_DEF("finishFile", 4, finish_file),
    JS_CFUNC_DEF("renameFile", 3, rename_file),
    JS_CFUNC_DEF("removeFile", 2, remove_file),
    JS_CFUNC_DEF("isDirectory", 2, is_directory),
    JS_CFUNC_DEF("sameFile", 3, same_file_below),
    JS_CFUNC_DEF("takePrint", 4, take_print_of),
    JS_CFUNC_DEF("confirmPrint", 4, confirm_print_of),
    JS_CFUNC_DEF("changedFiles", 3, changed_files),
    JS_CFUNC_DEF("fileSystemType", 1, file_system_type),
    JS_CFUNC_DEF("mountTmpfs", 1, mount_tmpfs),
    JS_CFUNC_DEF("watchDirectory", 1, watch_directory),
    JS_CFUNC_DEF("timer", 1, timer),
    JS_CFUNC_DEF("effectiveUid", 0, effective_uid),
    JS_CFUNC_DEF("dropCapabilities", 0, drop_capabilities),
    JS_CFUNC_DEF("processId", 0, process_id),
    JS_CFUNC_DEF("pipes", 1, program_pipes),
    JS_CFUNC_DEF("spawn", 8, spawn_program),
    JS_CFUNC_DEF("runAuxiliary", 0, run_auxiliary),
    JS_CFUNC_DEF("relay", 6, relay_connections),
    JS_PROP_INT32_DEF("PRINT_BYTES", sizeof(struct print), 0),
};

static int initialise(JSContext *ctx, JSModuleDef *module) {
    /* QuickJS waits with select(2), which ends the process for a descriptor of 1024 or more. */
    getrlimit(RLIMIT_NOFILE, &inherited_descriptors);
    struct rlimit descriptors = inherited_descriptors;
    if (descriptors.rlim_cur > 1000) descriptors.rlim_cur = 1000;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    signal(SIGPIPE, SIG_IGN);
    /* A core dump would hold secrets, and be on a disk. What the agent starts decides for itself (execve(2)). */
    prctl(PR_SET_DUMPABLE, 0);
    return JS_SetModuleExportList(ctx, module, FUNCTIONS, sizeof FUNCTIONS / sizeof *FUNCTIONS);
}

JSModuleDef *js_init_module_sys(JSContext *ctx, const char *module_name) {
    JSModuleDef *module = JS_NewCModule(ctx, module_name, initialise);
    /*
     * Few of the agent's objects form cycles; a collection at 256 KiB, the default, is a tenth of a start. Set here, since
     * reading the bytecode, which comes before `initialise`, takes more than that.
     */
    JS_SetGCThreshold(JS_GetRuntime(ctx), 1 << 20);
    if (module) JS_AddModuleExportList(ctx, module, FUNCTIONS, sizeof FUNCTIONS / sizeof *FUNCTIONS);
    return module;
}
