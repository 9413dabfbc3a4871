#include "ingest/sample.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { DECIMALS = 4, DIGITS = 3, HASH_BYTES = 8 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int sample_parse(const char *text, uint32_t *share, struct err *e)
{
    uint32_t value = 0;
    const char *at = text;
    for (; is_digit(*at) && at - text < DIGITS; at++) {
        value = value * 10 + (uint32_t)(*at - '0');
    }
    bool right = at > text;
    bool decimals = *at == '.';
    at += decimals;
    right = right && (!decimals || is_digit(*at));
    for (int i = 0; i < DECIMALS; i++) {
        decimals = decimals && is_digit(*at);
        value = value * 10 + (decimals ? (uint32_t)(*at++ - '0') : 0);
    }
    if (!right || *at != '%' || at[1] || value == 0 || value > SAMPLE_ALL) {
        return err_set(
            e, ERR_FATAL,
            "a share above 0%% and up to 100%%, with at most four decimals, is right, as 10%% or 0.5%%");
    }
    *share = value;
    return 0;
}

/* Only a broken libcrypto has no SHA-256; which posts are taken must not depend on that. */
static void need(int done)
{
    if (done != 1) {
        abort();
    }
}

uint64_t sample_hash(struct view network, struct view id)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    need(context != NULL);
    need(EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    need(EVP_DigestUpdate(context, network.at, network.length));
    need(EVP_DigestUpdate(context, "/", 1));
    need(EVP_DigestUpdate(context, id.at, id.length));
    need(EVP_DigestFinal_ex(context, digest, NULL));
    EVP_MD_CTX_free(context);
    uint64_t hash = 0;
    for (int i = 0; i < HASH_BYTES; i++) {
        hash = hash << 8 | digest[i];
    }
    return hash;
}

/* share / 1,000,000 of 2^64, rounded down, in parts that fit: 2^64 = quotient * 1,000,000 + rest. */
uint64_t sample_limit(uint32_t share)
{
    const uint64_t quotient = UINT64_MAX / SAMPLE_ALL, rest = UINT64_MAX % SAMPLE_ALL + 1;
    return share * quotient + share * rest / SAMPLE_ALL;
}

bool sample_has(uint32_t share, struct view network, struct view id)
{
    return share >= SAMPLE_ALL || sample_hash(network, id) < sample_limit(share);
}
