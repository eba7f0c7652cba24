/* HMAC-SHA256 (FIPS 180-4, RFC 2104), written apart from the agent's own so that a fault in one shows. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct sha256 { uint32_t h[8]; uint8_t block[64]; uint64_t length; };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t sha256_words[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_start(struct sha256 *s) {
    *s = (struct sha256){ .h = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    } };
}

static uint32_t sha256_rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_mix(struct sha256 *s) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | s->block[4 * i + 1] << 16 | s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7]
             + (sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^ w[i - 15] >> 3)
             + (sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t one = v[7] + (sha256_rotate(v[4], 6) ^ sha256_rotate(v[4], 11) ^ sha256_rotate(v[4], 25))
                     + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha256_words[i] + w[i];
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
