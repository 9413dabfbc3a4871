/* base/random.h - random numbers: unguessable ones from the kernel, repeatable ones from a seed. */
#ifndef ROOST_BASE_RANDOM_H
#define ROOST_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills n bytes from getrandom(2); ends the process if the kernel cannot (there is no safe way on). */
void random_bytes(void *into, size_t n);

/* 2 * n lower-case hexadecimal digits of n random bytes, then NUL; `text` has 2 * n + 1 bytes. */
void random_hex(char *text, size_t n);

/* A repeatable sequence: the same seed gives the same numbers on every machine (splitmix64). */
struct random {
    uint64_t state; /* the seed, before the first use */
};

uint64_t random_next(struct random *r);

/* 0 to below - 1; below >= 1. */
uint64_t random_below(struct random *r, uint64_t below);

#endif
