/* HMAC-SHA256 (FIPS 180-4, RFC 2104), written apart from the agent's own so that a fault in one shows. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct sha256 { uint32_t h[8]; uint8_t block[64]; uint64_t length; };

static uint32_t sha256_word(int index, int is_root) {
    /* The first 32 bits of the fractional parts of the square (or cube) roots of the first primes. */
    int prime = 1;
    for (int found = -1; found < index;) {
        int is_prime = 1;
        prime++;
        for (int d = 2; d * d <= prime; d++) is_prime &= prime % d != 0;
        found += is_prime;
    }
    /* floor(root * 2^32) by bisection over exact integers. */
    unsigned __int128 low = 0, high = (unsigned __int128)1 << 38;
    while (high - low > 1) {
        unsigned __int128 middle = (low + high) / 2;
        int below = is_root
            ? middle * middle <= (unsigned __int128)prime << 64
            : middle * middle / (1 << 16) * middle <= (unsigned __int128)prime << 80;
        if (below) low = middle; else high = middle;
    }
    return (uint32_t)low;
}

static void sha256_start(struct sha256 *s) {
    for (int i = 0; i < 8; i++) s->h[i] = sha256_word(i, 1);
    s->length = 0;
}

static uint32_t sha256_rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_mix(struct sha256 *s) {
    static uint32_t k[64];
    uint32_t w[64], v[8];
    for (int i = 0; i < 64 && k[63] == 0; i++) k[i] = sha256_word(i, 0);
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | s->block[4 * i + 1] << 16 | s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7]
             + (sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^ w[i - 15] >> 3)
             + (sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t one = v[7] + (sha256_rotate(v[4], 6) ^ sha256_rotate(v[4], 11) ^ sha256_rotate(v[4], 25))
                     + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t two = (sha256_rotate(v[0], 2) ^ sha256_rotate(v[0], 13) ^ sha256_rotate(v[0], 22))
                     + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (int j = 7; j > 0; j--) v[j] = v[j - 1];
        v[4] += one;
        v[0] = one + two;
    }
    for (int i = 0; i < 8; i++) s->h[i] += v[i];
}

static void sha256_add(struct sha256 *s, const void *data, size_t size) {
    for (const uint8_t *byte = data; size > 0; size--, byte++) {
        s->block[s->length++ % 64] = *byte;
        if (s->length % 64 == 0) sha256_mix(s);
    }
}

static void sha256_end(struct sha256 *s, uint8_t digest[32]) {
    uint64_t bits = s->length * 8;
    sha256_add(s, "\x80", 1);
    while (s->length % 64 != 56) sha256_add(s, "", 1);
    for (int i = 7; i >= 0; i--) sha256_add(s, &(uint8_t){ (uint8_t)(bits >> (8 * i)) }, 1);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

/* Lower-case hexadecimal into `hex`; the key has at most 64 bytes. */
static void hmac_sha256(const char *key, const char *text, char hex[65]) {
    struct sha256 s;
    uint8_t pad[64], digest[32];
    for (int round = 0; round < 2; round++) {
        memset(pad, 0, sizeof pad);
        memcpy(pad, key, strlen(key));
        for (int i = 0; i < 64; i++) pad[i] ^= round == 0 ? 0x36 : 0x5c;
        sha256_start(&s);
        sha256_add(&s, pad, sizeof pad);
        if (round == 0) sha256_add(&s, text, strlen(text)); else sha256_add(&s, digest, sizeof digest);
        sha256_end(&s, digest);
    }
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
