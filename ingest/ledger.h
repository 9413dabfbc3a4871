/* ingest/ledger.h - what is known of when a source was heard: across outages, stops and kills of the
 * listener.
 *
 * The problem: an outage may begin in one life of the listener and end in another, the clock may be set in
 * between, and a killed listener writes nothing. The design: one small entry per source, kept in a file
 * beside the spool (ledger_file.h) with the time at which the listener was last known to be alive. An outage
 * is a row of legs, each with its cause, each ending where the next begins: a stop or a kill inside an outage
 * begins a leg, and so does the first failure after it; starts that end in the same way before they connect
 * (a crash loop) are one leg. When the source streams again all legs become rows of roost.gaps at once; they
 * touch without holes, and within one boot their lengths are those of CLOCK_BOOTTIME, whatever was done to
 * the clock.
 *
 * A source's ledger begins with its first stream and ends when it leaves the configuration. Nothing here
 * reads a clock but ledger_now, nor a file.
 */
#ifndef ROOST_INGEST_LEDGER_H
#define ROOST_INGEST_LEDGER_H

#include "base/buffer.h"
#include "base/err.h"
#include "ingest/backoff.h"
#include "ingest/streamed.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    LEDGER_BOOT_SIZE = 40, /* /proc/sys/kernel/random/boot_id has 36 characters */
    LEDGER_CAUSE_SIZE = 16,
    LEDGER_DETAIL_SIZE = 200,
    LEDGER_KEYS_SIZE = STREAMED_MARK_SIZE,
    LEDGER_LEGS = 8, /* in one outage; the last one lasts to the end, whatever comes then */
    LEDGER_ROWS =
        4 * LEDGER_LEGS /* nothing is read or connected while rows wait, so one outage's are the most */
};

/* One moment on both clocks, in milliseconds (base/clock.h); steady means something within one boot. */
struct ledger_moment {
    int64_t wall, steady;
    char boot[LEDGER_BOOT_SIZE];
};

struct ledger_leg {
    struct ledger_moment from;
    char cause[LEDGER_CAUSE_SIZE]; /* of roost.gaps */
    char detail[LEDGER_DETAIL_SIZE];
};

/* A row of roost.gaps to be; wall times. */
struct ledger_row {
    int64_t from, to;
    char cause[LEDGER_CAUSE_SIZE];
    char detail[LEDGER_DETAIL_SIZE];
    int64_t undelivered; /* posts; -1: not known */
};

/* Time in which the source was heard, and which no `count` event has told of yet. Wall times. */
struct ledger_heard {
    bool due;
    int64_t from, to;
};

/* How far the ladders are climbed, so that the next life does not begin at their feet. */
struct ledger_ladder {
    bool kept;
    struct backoff climbed;
    struct ledger_moment from;
    int64_t wait;                /* from then on no attempt, for so many milliseconds; 0: there is no wait */
    char keys[LEDGER_KEYS_SIZE]; /* whose ladders they are: server and credentials, as streamed_mark */
};

/* All-zero is a source that was never connected. */
struct ledger_entry {
    bool begun;                 /* it has streamed: there is a ledger */
    bool running;               /* some listener has it, or had when it was killed */
    struct ledger_moment alive; /* when that was last known; after a clean stop: the stop */
    struct ledger_moment
        counted;      /* up to here `count` events say that it was heard; of use while it streams */
    size_t leg_count; /* 0 and begun: it streams */
    struct ledger_leg legs[LEDGER_LEGS];
    /* What is over and is to be told: kept until it is taken, over the lives of the listener. */
    struct ledger_heard heard;
    size_t row_count;
    struct ledger_row rows[LEDGER_ROWS];
    struct ledger_ladder ladder;
};

/* Both clocks as of now. `boot`: this boot's identity. */
struct ledger_moment ledger_now(const char *boot);

/* `m` in wall time. In the boot of `now`: reckoned back from it, so that a clock that was set does not count;
 * else as it was written down then. */
int64_t ledger_wall(const struct ledger_moment *m, const struct ledger_moment *now);

/* The source is not heard from `from` on, for this cause. Inside an outage it begins a leg when the listener
 * went away in another way than before (stopped, killed, reload) or is back and fails; else the leg that
 * lasts goes on. True when the entry has changed. Without a ledger, or with all legs in use, nothing changes.
 */
bool ledger_lost(struct ledger_entry *entry, const struct ledger_moment *from, const char *cause,
                 const char *detail);

/* A listener begins with this source. When the last one ended without a stop, a leg `killed` begins at the
 * time at which it was last alive, or at which it noted the leg before. True when it was killed in the middle
 * of a stream: up to entry->alive the source was heard, and from entry->counted on no `count` event has said
 * so. */
bool ledger_resume(struct ledger_entry *entry, const struct ledger_moment *now);

/* What is left of the ladder's wait, 0 to the whole of it. */
int64_t ledger_wait_left(const struct ledger_ladder *ladder, const struct ledger_moment *now);

/* From `from` to `to` (wall times) the source was heard, which is to be told; joined with what is due
 * already. */
void ledger_heard(struct ledger_entry *entry, int64_t from, int64_t to);

/* The listener gives the source back: cause "stopped" or "reload". */
void ledger_stop(struct ledger_entry *entry, const struct ledger_moment *now, const char *cause,
                 const char *detail);

/* The source streams. The outage's legs become rows, oldest first; how many. */
size_t ledger_streams(struct ledger_entry *entry, const struct ledger_moment *now,
                      struct ledger_row rows[LEDGER_LEGS]);

/* The source has left the configuration: the rows of an outage that it left behind, up to the time at which a
 * listener was last there. The ledger is then empty; entry->rows must have been taken before. */
size_t ledger_end(struct ledger_entry *entry, const struct ledger_moment *now,
                  struct ledger_row rows[LEDGER_LEGS]);

/* The entry as one JSON object, and back. -1 with ERR_REJECT: it is none (and *entry is all-zero). */
void ledger_write(struct buffer *into, const char *name, const struct ledger_entry *entry);
int ledger_read(struct view json, char **name, struct ledger_entry *entry, struct err *e);

#endif
