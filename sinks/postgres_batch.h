/* sinks/postgres_batch.h - a load as one transaction: its rows, events, rejects, batches and progress, or
 * nothing.
 *
 * First the progress of each spool is moved by compare-and-set from where this consumer left it; its row lock
 * then keeps a second consumer of the name waiting until we are done, and makes it fail. Then ids for
 * roost.batches, the rows, the bookkeeping, COMMIT.
 */
#ifndef ROOST_SINKS_POSTGRES_BATCH_H
#define ROOST_SINKS_POSTGRES_BATCH_H

#include "etl/sink.h"
#include "sinks/postgres_copy.h"

/* What PostgreSQL refused of a load; rows that the job rejected are not counted. */
struct postgres_refused {
    uint64_t count;
    char first[ERR_TEXT_SIZE]; /* why, of the first one */
};

/* Writes the load over an open link. positions[i] is the last sequence of part i's spool that is in the
 * database: what is not behind it is skipped, and a part with nothing behind it writes no row of
 * roost.batches. *collides as in postgres_rows_load_posts; *refused is filled. -1: ERR_RETRY or ERR_FATAL;
 * the transaction may still be open on the link. */
int postgres_batch_write(struct postgres_copy *c, const struct load *load, const uint64_t *positions,
                         bool *collides, struct postgres_refused *refused, struct err *e);

#endif
