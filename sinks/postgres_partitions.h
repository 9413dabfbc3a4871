/* sinks/postgres_partitions.h - this month's and the next month's partitions of roost.posts, made ahead.
 *
 * Each in a transaction of its own, never inside a batch's; roost.make_partition (schema/) does the work and
 * waits at most 2 s for its locks. Without its partition a post goes to roost.posts_default, so a failure
 * delays nothing: it is logged once an hour and tried again. The months are the server's, in UTC.
 */
#ifndef ROOST_SINKS_POSTGRES_PARTITIONS_H
#define ROOST_SINKS_POSTGRES_PARTITIONS_H

#include "base/log.h"
#include "sinks/postgres_link.h"

struct postgres_partitions {
    int64_t next_ms; /* steady time of the next look; 0: now */
    struct log_repeat repeat;
};

/* Looks whether the partitions are there when it is time to (on a new connection: set next_ms to 0), and
 * makes them. After a failure the link may be closed. */
void postgres_partitions_keep(struct postgres_partitions *p, struct postgres_link *link,
                              const struct log_context *log);

#endif
