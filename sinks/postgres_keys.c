#include "sinks/postgres_keys.h"

#include "base/random.h"

#include <stdlib.h>

struct postgres_keys {
    size_t mask;
    uint64_t
        seed; /* unguessable: ids come from strangers, who could choose such that all fall into one slot */
    const struct post *slots[];
};

struct postgres_keys *postgres_keys_new(size_t most)
{
    size_t size = 16;
    while (size < most * 2) {
        size *= 2;
    }
    struct postgres_keys *k = calloc(1, sizeof *k + size * sizeof(struct post *));
    if (k) {
        k->mask = size - 1;
        random_bytes(&k->seed, sizeof k->seed);
    }
    return k;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ (h >> 29);
}

static uint64_t mix_text(uint64_t h, struct view text)
{
    size_t at = 0;
    for (; at + 8 <= text.length; at += 8) {
        uint64_t word;
        memcpy(&word, text.at + at, 8);
        h = mix(h, word);
    }
    uint64_t rest = text.length;
    for (; at < text.length; at++) {
        rest = rest << 8 | (unsigned char)text.at[at];
    }
    return mix(h, rest);
}

static bool same_key(const struct post *a, const struct post *b)
{
    return a->created_at == b->created_at && view_equal(a->id, b->id) && view_equal(a->network, b->network);
}

bool postgres_keys_seen(struct postgres_keys *k, const struct post *p)
{
    uint64_t h = mix(mix_text(mix_text(k->seed, p->id), p->network), (uint64_t)p->created_at);
    for (size_t at = (size_t)h & k->mask;; at = (at + 1) & k->mask) {
        if (!k->slots[at]) {
            k->slots[at] = p;
            return false;
        }
        if (same_key(k->slots[at], p)) {
            return true;
        }
    }
}

void postgres_keys_free(struct postgres_keys *k)
{
    free(k);
}
