/* HMAC-SHA256 (RFC 2104, FIPS 180-4) of short texts, in hexadecimal. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t sha256_constant(int index) {
    static uint32_t constants[64];
    /* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
    if (!constants[0]) {
        for (uint64_t prime = 2, found = 0; found < 64; prime++) {
            int is_prime = 1;
            for (uint64_t divisor = 2; divisor * divisor <= prime; divisor++) is_prime &= prime % divisor != 0;
            if (!is_prime) continue;
            unsigned __int128 root = 0, scaled = (unsigned __int128)prime << 96;
            for (int bit = 35; bit >= 0; bit--) {
                unsigned __int128 next = root | (unsigned __int128)1 << bit;
                if (next * next * next <= scaled) root = next;
            }
            constants[found++] = (uint32_t)root;
        }
    }
    return constants[index];
}

static void sha256_block(uint32_t state[8], const uint8_t *data) {
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)data[4 * i] << 24 | data[4 * i + 1] << 16 | data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (ROTATE(a, 7) ^ ROTATE(a, 18) ^ a >> 3) + w[i - 7] + (ROTATE(b, 17) ^ ROTATE(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (ROTATE(s[4], 6) ^ ROTATE(s[4], 11) ^ ROTATE(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha256_constant(i) + w[i];
        uint32_t t2 = (ROTATE(s[0], 2) ^ ROTATE(s[0], 13) ^ ROTATE(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
#undef ROTATE
}

/* The digest of a block and up to 512 bytes after it. */
static void sha256_padded(const uint8_t pad[64], const uint8_t *data, size_t length, uint8_t digest[32]) {
    uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    uint8_t message[640] = { 0 };
    size_t size = (length + 9 + 63) / 64 * 64;
    uint64_t bits = (64 + (uint64_t)length) * 8;
    memcpy(message, data, length);
    message[length] = 0x80;
    for (int i = 0; i < 8; i++) message[size - 1 - i] = bits >> (8 * i);
    sha256_block(state, pad);
    for (size_t i = 0; i < size; i += 64) sha256_block(state, message + i);
    for (int i = 0; i < 32; i++) digest[i] = state[i / 4] >> (24 - 8 * (i % 4));
}

/* A key of at most 64 bytes and a text of at most 512. */
static void hmac_sha256(const char *key, const char *text, char hex[65]) {
    uint8_t inner[64] = { 0 }, outer[64], digest[32];
    memcpy(inner, key, strlen(key));
    for (int i = 0; i < 64; i++) outer[i] = inner[i] ^ 0x5c, inner[i] ^= 0x36;
    sha256_padded(inner, (const uint8_t *)text, strlen(text), digest);
    sha256_padded(outer, digest, sizeof digest, digest);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
