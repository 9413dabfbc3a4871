/* sinks/postgres_rows.h - the rows of one load into posts and events, inside the caller's transaction.
 *
 * Posts: one COPY straight into roost.posts. When a key is there already (or the last load had such), through
 * a temporary staging table and INSERT ... ON CONFLICT DO NOTHING. When PostgreSQL refuses a row for its
 * values, the load is halved until the row stands alone, each try under a savepoint; it is marked with the
 * reason, and all others go in.
 */
#ifndef ROOST_SINKS_POSTGRES_ROWS_H
#define ROOST_SINKS_POSTGRES_ROWS_H

#include "base/arena.h"
#include "etl/sink.h"
#include "sinks/postgres_copy.h"

struct postgres_row {
    const struct load_row *row;
    size_t part; /* index into the counts below */
    int64_t batch_id;
    bool twin;       /* an earlier row of the load has its key */
    const char *why; /* set when PostgreSQL refused it: a sentence in the arena */
};

struct postgres_rows {
    struct postgres_row *items;
    size_t count;
    uint64_t *loaded; /* per part: rows that are in the table now; the caller sets them to 0 */
    size_t part_count;
};

/* *collides says whether to begin with the staging table, and gets what is best for the next load. */
int postgres_rows_load_posts(struct postgres_copy *c, struct postgres_rows *rows, struct arena *a,
                             bool *collides, struct err *e);

int postgres_rows_load_events(struct postgres_copy *c, struct postgres_rows *rows, struct arena *a,
                              struct err *e);

#endif
