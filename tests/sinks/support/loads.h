/* tests/sinks/support/loads.h - posts, events and loads as the job would hand them to a sink. */
#ifndef ROOST_TESTS_SINKS_SUPPORT_LOADS_H
#define ROOST_TESTS_SINKS_SUPPORT_LOADS_H

#include "etl/sink.h"
#include "sinks/postgres.h"

enum { LOAD_MOST = 4000 };

/* One part that a test fills by hand: posts and events with running sequences. */
struct made_load {
    struct post posts[LOAD_MOST];
    struct load_row post_rows[LOAD_MOST], event_rows[LOAD_MOST];
    struct load_reject rejects[LOAD_MOST];
    char ids[LOAD_MOST][24];
    size_t used;
    struct load_part part;
    struct load load;
};

/* An empty load of consumer "etl" and spool "spool-a" whose first frame is `first`. Free with free(). */
struct made_load *load_begin(uint64_t first);

/* Adds a post of network x with this number as id and all required fields; the caller may change it. */
struct post *load_add_post(struct made_load *m, int64_t id);
struct post *load_add_event(struct made_load *m, enum post_kind kind, const char *body);
void load_add_reject(struct made_load *m, const char *frame, const char *why);

/* The load, with its counts right. */
const struct load *load_end(struct made_load *m);

/* `count` posts with ids from first_id on. */
struct made_load *load_of(uint64_t first_sequence, int64_t first_id, size_t count);

/* Opens the sink on a conninfo; the settings are static. */
struct sink *sink_on(const char *conninfo);

#endif
