/* simulator/repeats.h - the last messages that were sent, so that a new connection can begin with them again.
 *
 * A network goes on behind where it stopped only roughly: after a reconnection the last tweets come once
 * more. (Streams of v1.1 only: on v2 that is a fault, or the client asks for it.) This is the ring that
 * remembers them, one per account or one for a stream with a rate. Messages are kept as they were sent: with
 * fresh ids, the same tweet comes again with the same id.
 */
#ifndef ROOST_SIMULATOR_REPEATS_H
#define ROOST_SIMULATOR_REPEATS_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct repeat {
    size_t index;       /* in the play list */
    uint64_t position;  /* of the feed behind the message */
    struct view bytes;  /* into `copy`, or the play list's own */
    struct buffer copy; /* empty unless it was asked for */
};

/* All zero: one that keeps nothing. */
struct repeats {
    struct repeat *slots; /* a ring of `capacity` */
    size_t capacity, first, count;
};

/* Keeps the last `capacity` messages (0: none). -1: memory is out. */
int repeats_init(struct repeats *r, size_t capacity);

/* Remembers one message; the oldest goes when the ring is full. `copy`: the bytes do not outlive the call;
 * else they must outlive the ring. Out of memory, or above the longest message of a play list, that message
 * is not remembered. */
void repeats_add(struct repeats *r, size_t index, uint64_t position, struct view bytes, bool copy);

/* Forgets what was not sent after all: messages behind this position of the feed. */
void repeats_drop_behind(struct repeats *r, uint64_t position);

/* Number i of `count`, the oldest first. */
const struct repeat *repeats_at(const struct repeats *r, size_t i);

void repeats_free(struct repeats *r);

#endif
