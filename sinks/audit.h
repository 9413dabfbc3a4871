/* sinks/audit.h - what the tables of one database say about themselves and about frames: for `roost audit`.
 *
 * All answers come from one snapshot (REPEATABLE READ, READ ONLY), taken by audit_open, so services may go on
 * working; only the removal of old months waits meanwhile. Nothing is judged here. Memory is bounded: rows
 * come through a cursor, frames are looked up some at a time. Errors as sinks/migrate.h; after one, only
 * audit_close may be called. One thread.
 */
#ifndef ROOST_SINKS_AUDIT_H
#define ROOST_SINKS_AUDIT_H

#include "base/clock.h"
#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit;

/* Connects, checks the schema, takes the snapshot. Blocks. NULL: ERR_RETRY or ERR_FATAL (`roost migrate`). */
struct audit *audit_open(const char *conninfo, struct err *e);

/* What `keep` has removed from these tables (roost.retention), in ms since 1970; CLOCK_NONE: nothing. */
struct audit_removed {
    int64_t posts_before;   /* posts created before this are gone, or going */
    int64_t batches_before; /* of batches of a time before this the rows need not be there */
    int64_t last_batch;     /* the highest id of a batch that was removed; 0: none */
};

int audit_removed(struct audit *a, struct audit_removed *removed, struct err *e);

/* How far a consumer is in a spool; -1: no such row. The strings live until the call returns. */
struct audit_position {
    const char *consumer, *spool;
    int64_t progress;      /* roost.progress */
    int64_t last_sequence; /* the highest one in roost.batches */
};

/* Calls take for each consumer and spool. */
int audit_positions(struct audit *a, void (*take)(void *user, const struct audit_position *p), void *user,
                    struct err *e);

/* A row of roost.batches beside what the other tables hold with its id. */
struct audit_batch {
    int64_t id;
    bool known; /* false: only the other tables name it; then consumer ... events mean nothing */
    const char *consumer, *spool;
    int64_t first_sequence, last_sequence, received, loaded, duplicate, filtered, rejected, events;
    int64_t post_rows, event_rows, reject_rows;
    int64_t filtered_told; /* sum of the `filtered` figures of its count events */
    int64_t expired;       /* of loaded: rows that `keep` removed */
    int64_t batch_time;    /* ms */
};

/* Calls take for each batch: by consumer, spool and first sequence, unknown ones last. take returns -1 to
 * end with its error. It may ask the functions below. */
int audit_batches(struct audit *a, int (*take)(void *user, const struct audit_batch *b, struct err *e),
                  void *user, struct err *e);

/* Calls take for each post that has several rows (keys that differ in created_at alone). */
int audit_doubled(struct audit *a,
                  void (*take)(void *user, const char *network, const char *id, int64_t rows), void *user,
                  struct err *e);

/* How many of the frames first to last of a spool rows of roost.gaps account for: cause spool, corrupt or
 * spool_full, with "frames FIRST to LAST" in the detail (a detail that names a spool counts for that one
 * only). */
int audit_explained(struct audit *a, const char *spool, uint64_t first, uint64_t last, uint64_t *frames,
                    struct err *e);

enum audit_kind { AUDIT_POST, AUDIT_EVENT, AUDIT_UNREADABLE };

/* A frame and, once looked up, where it is. */
struct audit_frame {
    uint64_t sequence;
    enum audit_kind what;
    struct view network, id;   /* of a post */
    int64_t created_at;        /* of a post, ms */
    struct view event, source; /* of an event: its kind, and where it came from */
    int64_t received_at;       /* of an event, ms; CLOCK_NONE is never found */
    int64_t rows;              /* of posts with its network and id; events that are it, in its batch */
    bool here;                 /* one of the rows was written with a batch that has this frame */
    bool rejected;             /* is in roost.rejects; asked only where rows is 0 */
};

enum { AUDIT_FRAMES_MAXIMUM = 1000 }; /* looked up at a time */

int audit_look_up(struct audit *a, const char *spool, struct audit_frame *frames, size_t count,
                  struct err *e);

void audit_close(struct audit *a); /* NULL does nothing */

#endif
