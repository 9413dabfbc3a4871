#include "ingest/hmac.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

enum { SHA1_BYTES = 20, SHA1_BASE64 = 28 };

char *hmac_sha1_base64(const char *message, const char *key)
{
    unsigned char digest[SHA1_BYTES];
    unsigned size = 0;
    char *text = malloc(SHA1_BASE64 + 1);
    if (!text || strlen(key) > INT_MAX ||
        !HMAC(EVP_sha1(), key, (int)strlen(key), (const unsigned char *)message, strlen(message), digest,
              &size) ||
        size != sizeof digest) {
        free(text);
        return NULL;
    }
    EVP_EncodeBlock((unsigned char *)text, digest, sizeof digest);
    return text;
}
