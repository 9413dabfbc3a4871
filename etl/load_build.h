/* etl/load_build.h - a batch of items as the load that sinks take: one part per spool, in order of sequence.
 */
#ifndef ROOST_ETL_LOAD_BUILD_H
#define ROOST_ETL_LOAD_BUILD_H

#include "base/arena.h"
#include "etl/dstream.h"
#include "etl/sink.h"

/* The load of a batch of struct item, in the arena; it points into the batch. A batch without frames gives
 * part_count 0. -1: the arena is full. */
int load_build(const struct batch *batch, const char *consumer, struct arena *a, struct load *load,
               struct err *e);

#endif
