// Reads one file over and over, and holds every read to this: it is a whole value, and none older than the one
// before. A value is "COUNTER FILLING CHECKSUM": the last 8 bytes are the FNV-1a hash of all before, in hexadecimal.
//
//   reader FILE STOP    reads until STOP is there, then prints "READS reads, VALUES values, newest COUNTER"
//
// Ends with 1 and says why at the first read that is not as it should be.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char value[1 << 20];

static size_t read_whole(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        printf("the file can't be opened: %s\n", strerror(errno));
        exit(1);
    }
    size_t size = 0;
    for (;;) {
        ssize_t count = read(fd, value + size, sizeof value - size);
        if (count < 0) {
            printf("the file can't be read: %s\n", strerror(errno));
            exit(1);
        }
        if (count == 0) break;
        size += (size_t)count;
    }
    close(fd);
    return size;
}

static long check(size_t size) {
    uint32_t hash = 2166136261u;
    char expected[9];
    if (size < 9) {
        printf("%zu bytes are no value\n", size);
        exit(1);
    }
    for (size_t at = 0; at < size - 8; at++) hash = (hash ^ (unsigned char)value[at]) * 16777619u;
    snprintf(expected, sizeof expected, "%08x", hash);
    if (memcmp(expected, value + size - 8, 8) != 0) {
        printf("%zu bytes with another checksum: %.20s\n", size, value);
        exit(1);
    }
    return strtol(value, NULL, 10);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long reads = 0, values = 0, newest = -1;
    for (;;) {
        int stopping = access(argv[2], F_OK) == 0;
        long counter = check(read_whole(argv[1]));
        reads++;
        if (counter < newest) {
            printf("value %ld after value %ld\n", counter, newest);
            return 1;
        }
        if (counter > newest) values++;
        newest = counter;
        if (stopping) break;
        usleep(200);
    }
    printf("%ld reads, %ld values, newest %ld\n", reads, values, newest);
    return 0;
}
