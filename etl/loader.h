/* etl/loader.h - brings loads to the sinks, each exactly once, whatever fails in between.
 *
 * One thread per sink calls that sink's functions and nothing else. A sink that is away is asked again with a
 * back-off of 0.1 s to 5 s (said once, and once when it is back) while the load is kept. After a failed write
 * the sink's position decides: where the load would have brought it: it was committed and only the answer was
 * lost; where it was: the same load is written again; anywhere else: somebody moved it in spite of the sink's
 * lock, and the job must end. A load that a sink already has as a whole (several sinks, one ahead) is not
 * given to it.
 *
 * Errors: ERR_FATAL as the sink said it; ERR_RETRY for a moved position (exit status 1), or for a stop: then
 * loader_stopping() is true.
 */
#ifndef ROOST_ETL_LOADER_H
#define ROOST_ETL_LOADER_H

#include "etl/sink.h"

#include <stdbool.h>
#include <stddef.h>

struct loader;

struct loader_sink {
    const struct sink_type *type;
    struct sink *sink; /* stays the caller's: closed after loader_free */
    const char *name;  /* of its section, for messages; outlives the loader */
};

/* Starts the threads; asks the sinks nothing yet. `consumer` outlives the loader. NULL: no sinks (ERR_FATAL),
 * or memory or threads are out. */
struct loader *loader_new(const char *consumer, const struct loader_sink *sinks, size_t count, struct err *e);

/* The lowest sequence of `spool` that every sink has committed; 0: none. Waits while a sink is away. Any
 * thread. */
int loader_position(struct loader *l, struct view spool, uint64_t *sequence, struct err *e);

/* For a spool that may be new to the consumer: which one it read before, and how far every sink has that. ""
 * when a sink has a position in `spool`, or none remembers another. Of sinks that name different ones the
 * first counts. Waits while a sink is away. Any thread. */
int loader_latest(struct loader *l, struct view spool, struct sink_latest *latest, struct err *e);

/* Whether every sink can work at all (struct sink_type, look); waits while one is away. Any thread. */
int loader_look(struct loader *l, struct err *e);

/* Gives the load to every sink and waits until all have it. One load at a time; any thread. -1: one of them
 * never will. */
int loader_load(struct loader *l, const struct load *load, struct err *e);

/* What the load that was given last became, by the first sink that says so; `known` false: by none. */
void loader_outcome(struct loader *l, struct load_outcome *outcome);

/* How a sink is. */
struct loader_condition {
    const char *name, *type; /* as long as the loader */
    bool there, away;        /* neither: not asked yet, or it has not answered yet */
    int64_t since;           /* of that; wall time */
    char error[300];         /* why it is, or was last, away; "": it never was */
    int64_t error_at;        /* CLOCK_NONE: never */
};

/* Of the index-th sink; false: there are no more. Any thread. */
bool loader_condition(struct loader *l, size_t index, struct loader_condition *c);

/* changed(user) is called on a sink's thread when one of those has changed. Before the first request. */
void loader_watch(struct loader *l, void (*changed)(void *user), void *user);

/* From now on nobody waits for a sink that is away; a call in progress gets grace_ms to end, then the sink's
 * stop is called. Returns at once. Any thread. */
void loader_stop(struct loader *l, int64_t grace_ms);

bool loader_stopping(struct loader *l);

/* Stops without grace and joins the threads. NULL does nothing. */
void loader_free(struct loader *l);

#endif
