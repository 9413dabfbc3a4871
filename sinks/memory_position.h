/* sinks/memory_position.h - how far a sink without a place of its own to note it has come, while the process
 * lives.
 *
 * For sinks that are at least once. Used by one thread.
 */
#ifndef ROOST_SINKS_MEMORY_POSITION_H
#define ROOST_SINKS_MEMORY_POSITION_H

#include "base/err.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

struct memory_positions {
    struct memory_position *items;
    size_t count;
};

/* The sequence noted for consumer and spool; 0: none. */
uint64_t memory_position_get(const struct memory_positions *m, const char *consumer, struct view spool);

/* Notes it, as the last entry. -1 with ERR_RETRY: memory is out. */
int memory_position_set(struct memory_positions *m, const char *consumer, struct view spool,
                        uint64_t sequence, struct err *e);

struct memory_position_entry {
    const char *consumer, *spool;
    uint64_t sequence;
};

/* Entry number `index` (from 0); false: there are no more. */
bool memory_position_entry(const struct memory_positions *m, size_t index,
                           struct memory_position_entry *entry);

void memory_position_free(struct memory_positions *m);

#endif
