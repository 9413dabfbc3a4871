/* ingest/outage.h - the time in which a source is not heard: from the end of its stream, or its first failed
 * attempt, to the next answer that streams; and which lines about it are worth a log.
 *
 * Logged is the beginning, the first attempt that fails, and each time the cause is another one. An outage
 * that begins within a minute of the last one that was logged stays quiet, unless it lasts a minute itself.
 * All-zero is the start.
 */
#ifndef ROOST_INGEST_OUTAGE_H
#define ROOST_INGEST_OUTAGE_H

#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

enum { OUTAGE_QUIET_MS = 60 * 1000 };

struct outage {
    bool open;
    bool first;      /* there was no stream before it */
    bool quiet;      /* a repeat that is not logged */
    bool top_logged; /* for the caller: that the longest wait was reached */
    int64_t began_wall, began_steady;
    uint64_t attempts;  /* that failed since, the one it began with not counted */
    const char *cause;  /* of roost.gaps: what it is blamed on at its beginning; a constant */
    const char *latest; /* the cause of the latest failure */
    char detail[200];   /* the beginning in words */
    struct log_repeat log;
};

/* A stream ended `silence` milliseconds ago, or an attempt failed: opens the outage, or counts the attempt.
 * `first`: there was no stream so far. True when a line about it is to be logged. */
bool outage_failed(struct outage *o, const char *cause, int64_t silence, const char *detail, bool first);

/* A stream is there: closes the outage and gives its length in milliseconds. True when a line is to be
 * logged. */
bool outage_over(struct outage *o, int64_t *lasted);

#endif
