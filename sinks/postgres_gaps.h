/* sinks/postgres_gaps.h - gap events as rows of roost.gaps, so that sum(undelivered) is what the tables lack.
 *
 * The problem: frames that the spool dropped or found damaged are told by the listener (`spool_full`,
 * `corrupt`) to every consumer, whatever each of them had, and by a consumer that passes over them (`spool`).
 * The design: a consumer tells of every frame that it passes over, in the place of the last of them, so it
 * either has or has told whatever lies behind the first frame that it was given. A listener's event names its
 * frames, and of these only those before that first frame count.
 */
#ifndef ROOST_SINKS_POSTGRES_GAPS_H
#define ROOST_SINKS_POSTGRES_GAPS_H

#include "bridge/post.h"
#include "sinks/postgres_link.h"

/* Writes the row of a gap event that came from `spool` to `consumer`, inside the transaction of its batch,
 * whose rows of roost.events and roost.batches are written already. The body has the columns by name; an
 * event whose body lacks them stays an event only. The same gap is one row, though it may come twice: to two
 * consumers of one database, and again from a listener that was killed before it had noted that it was told.
 */
int postgres_gaps_write(struct postgres_link *link, const char *consumer, const char *spool,
                        const struct post *event, struct err *e);

#endif
