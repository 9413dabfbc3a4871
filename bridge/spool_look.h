/* bridge/spool_look.h - looking into a spool from outside, also while another process writes it.
 *
 * The problem: who asks what is in a spool must not change it, and must not be in the way of the process that
 * has it or is about to open it. The design: plain reading. No lock is taken, nothing is written, nothing is
 * cut; damage is described as opening would treat it. What the writer drops, adds or replaces meanwhile is
 * met by reading again: a look is of one moment near the call, and its numbers fit each other.
 *
 * Blocking calls, for any thread; nothing is shared with a struct spool.
 */
#ifndef ROOST_BRIDGE_SPOOL_LOOK_H
#define ROOST_BRIDGE_SPOOL_LOOK_H

#include "base/err.h"
#include "bridge/segment.h"
#include "bridge/spool.h"

enum { SPOOL_LOOK_DAMAGE_MAXIMUM = 100 };

enum spool_damage_kind {
    SPOOL_DAMAGE_TORN,    /* the end of the last segment is no whole frame; opening cuts it off */
    SPOOL_DAMAGE_CORRUPT, /* damaged bytes in the middle, and frames first to last are missing there */
    SPOOL_DAMAGE_MISSING, /* first to last are missing, and no bytes are in their place: an opening cut them
                           * off, or a segment is gone */
    SPOOL_DAMAGE_STRAY    /* damaged bytes between two frames that follow each other */
};

struct spool_damage {
    enum spool_damage_kind kind;
    uint64_t first, last; /* sequences; first > last: none */
    uint64_t bytes;
    char segment[SEGMENT_NAME_SIZE]; /* the file in which it ends */
};

struct spool_look {
    char identity[SPOOL_IDENTITY_SIZE]; /* empty: the spool has lost it */
    uint64_t first;                     /* oldest frame kept; last + 1 when nothing is kept */
    uint64_t last;                      /* newest frame; 0: none ever */
    uint64_t held;                      /* newest that is known to be synced; 0: none */
    uint64_t frames;                    /* good ones */
    uint64_t bytes;                     /* of all segments */
    size_t segments;
    struct spool_consumer consumers[SPOOL_CONSUMERS_MAXIMUM];
    size_t consumer_count;
    struct spool_damage damage[SPOOL_LOOK_DAMAGE_MAXIMUM]; /* the first ones, by sequence */
    size_t damage_count;                                   /* of all; may be more than the array holds */
};

struct spool_look_range {
    uint64_t from, to; /* sequences, both included */
    /* Called for each good frame of the range, in order, each once. Not 0 ends the look with -1; *e is the
     * callee's. NULL: only the look is wanted. */
    int (*frame)(void *user, const struct spool_frame *frame, struct err *e);
    void *user;
};

/* Fills *look. range NULL: the whole spool; else only the segments that the range needs are read, and
 * first, last, frames, bytes, segments and damage are of what was read. -1: ERR_FATAL: no spool is in
 * `folder`; ERR_RETRY: it cannot be read. */
int spool_look(const char *folder, const struct spool_look_range *range, struct spool_look *look,
               struct err *e);

/* How many held frames a consumer has not acknowledged: an upper bound where numbers are missing. */
uint64_t spool_look_behind(const struct spool_look *look, const struct spool_consumer *consumer);

#endif
