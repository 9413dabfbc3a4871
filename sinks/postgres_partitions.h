/* sinks/postgres_partitions.h - this month's and the next month's partitions of roost.posts, made ahead.
 *
 * Each in a transaction of its own, never inside a batch's; roost.make_partition (schema/) does the work and
 * waits at most 2 s for its locks. Without its partition a post goes to roost.posts_default, so a failure
 * delays nothing: it is logged once an hour and tried again. The months are those of base/clock.h, in UTC.
 * The sink makes them on a new connection, before its first batch; after that its keeper does.
 */
#ifndef ROOST_SINKS_POSTGRES_PARTITIONS_H
#define ROOST_SINKS_POSTGRES_PARTITIONS_H

#include "base/log.h"
#include "sinks/postgres_link.h"

struct postgres_partitions {
    struct log_repeat repeat;
};

/* Makes those of the two that are not there. False: it could not, and the link may be closed. */
bool postgres_partitions_keep(struct postgres_partitions *p, struct postgres_link *link,
                              const struct log_context *log);

#endif
