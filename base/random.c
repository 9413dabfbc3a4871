#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *into, size_t n)
{
    char *at = into;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno != EINTR) {
            abort();
        }
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

void random_hex(char *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        unsigned char byte;
        random_bytes(&byte, 1);
        text[2 * i] = digits[byte >> 4];
        text[2 * i + 1] = digits[byte & 15];
    }
    text[2 * n] = '\0';
}

uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t random_below(struct random *r, uint64_t below)
{
    return random_next(r) % below;
}
