/* etl/block.h - records as they come from a source, gathered in blocks (DStream semantics, section 8).
 *
 * One block becomes one partition of the batch it goes to, and so one task. A block generator stands between
 * a receiver and the batches: it closes a block at every multiple of the block interval (and earlier when the
 * block is large, so that a flood is cut into tasks of a size workers can share), and it holds only so many
 * records and bytes: then adding waits, the receiver stops reading its socket, and who sends keeps the rest.
 * A batch takes all that was added, the block that is still open too (upstream leaves that one to the next
 * batch, which costs a block interval of delay).
 */
#ifndef ROOST_ETL_BLOCK_H
#define ROOST_ETL_BLOCK_H

#include "base/err.h"
#include "base/view.h"
#include "etl/stream_clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One record: bytes that only the stream's functions understand, aligned for any type. `data` is never NULL.
 */
struct record {
    void *data;
    size_t size;
};

/* Where records came from: numbered frames first to last of the source `origin` (a spool's identity). An
 * absent origin: the records are not numbered. */
struct record_range {
    struct view origin;
    uint64_t first, last;
};

struct block; /* records, their bytes, their range; one owner */

/* An empty block. NULL when memory is out. */
struct block *block_new(void);

/* Adds a record that is a copy of head followed by body (either may be absent). -1: memory is out
 * (ERR_RETRY). */
int block_add(struct block *b, struct view head, struct view body, struct err *e);

const struct record *block_records(const struct block *b, size_t *count);
const struct record_range *block_range(const struct block *b);

/* Blocks are handed on as lists in order. */
struct block *block_next(const struct block *b);
void block_link(struct block *b, struct block *next);

/* Frees a whole list. NULL does nothing. */
void block_free_all(struct block *list);

struct block_limits {
    int64_t interval_ms;                   /* of blocks; upstream's default is 200 */
    size_t waiting_records, waiting_bytes; /* added and not yet taken; at least 1 record always fits */
    size_t block_records, block_bytes;     /* a block that has reached one of them is closed */
};

struct block_generator;

/* `full` (may be NULL) is called with `user`, on the adder's thread, each time an add finds the generator
 * full. NULL: an interval or limit that is 0 (ERR_FATAL), or memory is out. */
struct block_generator *block_generator_new(const struct block_limits *limits, struct stream_clock *clock,
                                            void (*full)(void *user), void *user, struct err *e);

/* Adds a record, as block_add; waits while the generator is full. A block holds records of one origin only,
 * in rising sequence; an absent origin: not numbered. Any thread, several at once too. -1: stopped
 * (ERR_FATAL), memory is out. */
int block_generator_add(struct block_generator *g, struct view head, struct view body, struct view origin,
                        uint64_t sequence, struct err *e);

/* All that was added and not yet taken, in order; NULL: nothing. The caller owns the blocks. */
struct block *block_generator_take(struct block_generator *g);

/* Added and not yet taken. */
void block_generator_waiting(struct block_generator *g, size_t *records, size_t *bytes);

/* Whether the last add found it full and nothing was taken since. */
bool block_generator_full(struct block_generator *g);

/* Nothing can be added from now on; waiting adds return -1; what was added can still be taken. Again:
 * harmless. */
void block_generator_stop(struct block_generator *g);

/* The caller has made sure that nobody uses it. NULL does nothing. */
void block_generator_free(struct block_generator *g);

#endif
