/* etl/sink.h - what a sink must do: take a batch whole, together with the position it brings the consumer to.
 *
 * The job owns one thread per sink and calls a sink's functions on that thread only, one call at a time,
 * except `stop`. A sink may block in them; nothing else waits for it. A load and all it points to live until
 * write returns.
 */
#ifndef ROOST_ETL_SINK_H
#define ROOST_ETL_SINK_H

#include "base/err.h"
#include "bridge/post.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct sink;

struct load_row {
    uint64_t sequence;
    const struct post *post; /* kind POST_POST in `posts`, anything else in `events` */
    struct view frame;       /* its bytes as they crossed the bridge: what goes to roost.rejects */
};

struct load_reject {
    uint64_t sequence;
    struct view frame;
    const char *why; /* a whole sentence for people */
};

/* What one spool gave to the batch: frames first_sequence to last_sequence, each in exactly one of the three
 * lists (or counted as filtered). All lists are in the order of sequence. */
struct load_part {
    struct view spool; /* identity */
    uint64_t first_sequence, last_sequence;
    uint64_t received; /* frames taken + filtered (roost.batches: received = loaded + duplicate + filtered +
                        * rejected
                        * + events is a constraint) */
    uint64_t filtered; /* the `filtered` figures of count events in it */
    const struct load_row *posts;
    size_t post_count;
    const struct load_row *events;
    size_t event_count;
    const struct load_reject *rejects;
    size_t reject_count;
};

/* What became of a load's posts. */
struct load_outcome {
    bool known;                            /* the sink has filled it in */
    uint64_t loaded, duplicates, rejected; /* rejected: all, also those that were no posts to begin with */
};

struct load {
    const char *consumer;
    int64_t batch_time;            /* the DStream batch's time, ms */
    int64_t started_at;            /* when work on it began, ms */
    const struct load_part *parts; /* at least one, each with at least one frame */
    size_t part_count;
    struct load_outcome *outcome; /* for the sink to fill in, of what it commits; NULL: nobody asks */
};

/* The spool that a consumer committed frames of last, and how far it came in it. */
enum { SINK_SPOOL_SIZE = 33 }; /* an identity and NUL */
struct sink_latest {
    char spool[SINK_SPOOL_SIZE]; /* "": none */
    uint64_t sequence;           /* from 1 */
};

/* The settings every sink has; a type's own struct begins with it. */
struct sink_settings {
    int unused; /* [sink NAME] has no common keys yet besides `type`; C has no empty structs */
};

struct sink_type {
    const struct config_type_table
        *config; /* name, keys, size and check of [sink NAME] sections of this type */

    /* Makes the sink; does not wait for anything away (a database is connected on first use). `settings` and
     * `name` (the section's) outlive the sink. NULL: ERR_FATAL. */
    struct sink *(*open)(const void *settings, const char *name, struct err *e);

    /* Whether it can work at all, without taking anything for a consumer: 0, or as position. NULL: nothing to
     * look at. */
    int (*look)(struct sink *s, struct err *e);

    /* The last sequence of `spool` that this sink has committed for the consumer; 0: none. Called before the
     * first write, and again after a failed one. A sink that others can reach makes sure that nobody else
     * works for this consumer from here on, or the answer could change. ERR_RETRY: away, or somebody does,
     * try again; ERR_FATAL: no schema, wrong version, no rights (the message says what to do: `roost
     * migrate`). */
    int (*position)(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                    struct err *e);

    /* Of all spools the one that the consumer committed last here, in this process or an earlier one; it may
     * be any. *latest is "" where there is none, or the sink does not remember. Errors as position, and
     * called after it. NULL: never remembers. */
    int (*latest)(struct sink *s, const char *consumer, struct sink_latest *latest, struct err *e);

    /* Takes a load: 0 only when rows, events, rejects, batch and progress are committed (or, for sinks
     * without transactions, written and synced). Rows of sequences it has already are skipped. On -1 nothing
     * of it counts: ERR_RETRY: away, a passing fault, or the position was moved by somebody else: the job
     * asks position() again. It finds the load committed after all (the answer was lost), or untouched (same
     * load again after a back-off), or moved by another consumer of this name (the job ends with 1).
     * ERR_FATAL: schema or rights are wrong. */
    int (*write)(struct sink *s, const struct load *load, struct err *e);

    /* From any other thread: makes a blocked call return soon with ERR_RETRY. */
    void (*stop)(struct sink *s);

    void (*close)(struct sink *s); /* NULL does nothing */
};

#endif
