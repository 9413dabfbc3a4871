#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 64 * 1024 };

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) char bytes[];
};

struct arena {
    struct block *blocks; /* the first is the one being filled */
    size_t limit, total;
    bool failed;
};

struct arena *arena_new(size_t limit)
{
    struct arena *a = calloc(1, sizeof *a);
    if (a) {
        a->limit = limit;
    }
    return a;
}

static size_t rounded(size_t n)
{
    size_t unit = alignof(max_align_t);
    return (n + unit - 1) / unit * unit;
}

static struct block *block_add(struct arena *a, size_t n)
{
    size_t size = n > BLOCK_SIZE ? n : BLOCK_SIZE;
    struct block *b = malloc(sizeof *b + size);
    if (!b) {
        return NULL;
    }
    *b = (struct block){.next = a->blocks, .size = size};
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) {
        a->failed = true;
    }
    size_t need = rounded(n ? n : 1);
    if (a->failed || need > a->limit - a->total) {
        a->failed = true;
        return NULL;
    }
    struct block *b = a->blocks;
    if (!b || b->size - b->used < need) {
        b = block_add(a, need);
    }
    if (!b) {
        a->failed = true;
        return NULL;
    }
    void *at = b->bytes + b->used;
    b->used += need;
    a->total += need;
    return at;
}

void *arena_zeroed(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) {
        a->failed = true;
        return NULL;
    }
    void *at = arena_alloc(a, n);
    if (at) {
        memset(at, 0, n);
    }
    return at;
}

struct view arena_view(struct arena *a, struct view v)
{
    if (!v.at) {
        return v;
    }
    char *copy = arena_alloc(a, v.length + 1);
    if (!copy) {
        return view_none();
    }
    memcpy(copy, v.at, v.length);
    copy[v.length] = '\0';
    return view_make(copy, v.length);
}

void arena_shrink(struct arena *a, void *latest, size_t n, size_t used)
{
    struct block *b = a->blocks;
    size_t had = rounded(n ? n : 1), keeps = rounded(used ? used : 1);
    if (!latest || !b || used > n || b->used < had || (char *)latest != b->bytes + b->used - had) {
        return;
    }
    b->used -= had - keeps;
    a->total -= had - keeps;
}

bool arena_failed(const struct arena *a)
{
    return a->failed;
}

size_t arena_used(const struct arena *a)
{
    return a->total;
}

void arena_wipe(struct arena *a)
{
    for (struct block *b = a->blocks; b; b = b->next) {
        explicit_bzero(b->bytes, b->used);
    }
}

void arena_reset(struct arena *a)
{
    struct block *kept = NULL;
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        if (!kept && b->size == BLOCK_SIZE) {
            kept = b;
        } else {
            free(b);
        }
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
    }
    a->blocks = kept;
    a->total = 0;
    a->failed = false;
}

void arena_free(struct arena *a)
{
    if (!a) {
        return;
    }
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}
