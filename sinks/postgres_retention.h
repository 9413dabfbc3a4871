/* sinks/postgres_retention.h - removes what is older than `keep`: posts by whole months, and the bookkeeping
 * of the same time.
 *
 * Every step is a short transaction of its own, so that nothing waits for it: a month is detached under
 * locks that are waited for 100 ms at most (ALTER TABLE ... DETACH PARTITION CONCURRENTLY would need none of
 * them, but the server refuses it where there is a default partition), then dropped when nobody sees it as a
 * part of roost.posts any more; rows are deleted some thousands at a time. A process that is killed in
 * between leaves a table roost.posts_YYYY_MM_expired, which the next round takes. What each step takes is
 * written down with it (roost.batches.expired, roost.retention), for `roost audit`. DESIGN.md says why.
 */
#ifndef ROOST_SINKS_POSTGRES_RETENTION_H
#define ROOST_SINKS_POSTGRES_RETENTION_H

#include "base/log.h"
#include "sinks/postgres_link.h"

#include <stdint.h>

/* The bounds of `keep`. Below a month nothing is gained: whole months go. */
#define POSTGRES_KEEP_LEAST_MS INT64_C(86400000)           /* 1 day */
#define POSTGRES_KEEP_MOST_MS  (INT64_C(36500) * 86400000) /* 100 years */

/* One round on a link that is open and used for nothing else: removes all months that ended keep_ms or longer
 * before now_ms (ms since 1970; unless the test clock is in use, the server's own clock must agree), and what
 * belongs to them. Says on the log which months went. 0: nothing is left to remove. -1: ERR_RETRY or
 * ERR_FATAL as postgres_error.h; what was done stays done, and the next round goes on from there. Blocks;
 * postgres_link_stop ends it. */
int postgres_retention_run(struct postgres_link *link, int64_t keep_ms, int64_t now_ms,
                           const struct log_context *log, struct err *e);

#endif
