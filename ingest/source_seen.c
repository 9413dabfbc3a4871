#include "ingest/source_seen.h"

#include "base/number.h"

#include <stdint.h>
#include <stdlib.h>

enum { SLOTS = 64 * 1024 /* a power of two, so that a quarter stays empty */ };

struct source_seen {
    size_t count;
    int64_t slots[SLOTS]; /* 0: empty */
};

struct source_seen *source_seen_new(void)
{
    return calloc(1, sizeof(struct source_seen));
}

/* Where this id is, or the empty slot where it would be. */
static size_t find(const struct source_seen *seen, int64_t number)
{
    /* Ids of one machine and millisecond differ in their last bits, of others in the middle: mixed (2^64 by
     * the golden ratio). */
    size_t slot = (size_t)(((uint64_t)number * UINT64_C(0x9E3779B97F4A7C15)) >> 48) % SLOTS;
    while (seen->slots[slot] && seen->slots[slot] != number) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

static bool number_of(struct view id, int64_t *number)
{
    return number_parse(id, 1, INT64_MAX, number) == 0;
}

void source_seen_add(struct source_seen *seen, struct view id)
{
    int64_t number;
    if (!number_of(id, &number) || seen->count == SOURCE_SEEN_MOST) {
        return;
    }
    size_t slot = find(seen, number);
    seen->count += !seen->slots[slot];
    seen->slots[slot] = number;
}

bool source_seen_has(const struct source_seen *seen, struct view id)
{
    int64_t number;
    return number_of(id, &number) && seen->slots[find(seen, number)] != 0;
}

void source_seen_free(struct source_seen *seen)
{
    free(seen);
}
