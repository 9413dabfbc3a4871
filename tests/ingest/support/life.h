/* tests/ingest/support/life.h - a v1.1 source in the lives of a listener, with several configurations to
 * change between, against a server that follows scripts. Ladders of an hour, so that nothing is tried again
 * unless a test says so; a change is asked for at once.
 */
#ifndef ROOST_TESTS_INGEST_SUPPORT_LIFE_H
#define ROOST_TESTS_INGEST_SUPPORT_LIFE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "ingest/x_v1.h"
#include "tests/ingest/support/server.h"

enum { HOUR = 3600 * 1000, CONFIGURATIONS = 4, MOST_NUMBER = 5000 };

struct life {
    uv_loop_t loop;
    uv_timer_t tick;
    struct server *server;
    struct source *source;
    struct ledger *ledger;
    struct source_timing timing;
    struct backoff_timing backoff;
    struct arena *arena;
    struct filter_keyword keywords[CONFIGURATIONS];
    struct source_x_v1_settings settings[CONFIGURATIONS]; /* that differ in their only keyword */
    struct source_options options;
    char url[80], folder[64], path[80], streamed[80];
    bool closed;
    unsigned refuse; /* so many offers */
    size_t posts, finals;
    unsigned char seen[MOST_NUMBER]; /* how often each post "tea NUMBER" was taken */
    int64_t counted;                 /* seconds of all count events, in milliseconds */
    struct buffer gaps;              /* "cause:length " */
    struct buffer versions;          /* keywords that came into force */
};

#define RUN_UNTIL(f, condition)                                                                              \
    while (!(condition)) {                                                                                   \
        uv_run(&(f)->loop, UV_RUN_ONCE);                                                                     \
    }

/* Everything but the source. */
void life_prepare(struct life *f);
void life_begin(struct life *f, int which); /* a life of the listener begins with this configuration */
void life_rest(struct life *f, int64_t milliseconds); /* the loop turns for so long */
void life_change(struct life *f, int which);          /* SIGHUP */
void life_end(struct life *f);                        /* a clean stop */
void life_finish(struct life *f);                     /* nothing may be left on the loop */

/* Requests to the server so far; did number `index` ask for this configuration's keyword; how long after the
 * one before it did it come? */
size_t life_requests(const struct life *f);
bool life_asked_for(const struct life *f, size_t index, int which);
int64_t life_wait_before(const struct life *f, size_t index);

/* Of all gaps told "cause " or, without length, "cause:0 "; and the keywords of all versions told. */
char *life_gaps(struct life *f);
char *life_versions(struct life *f);

#endif
