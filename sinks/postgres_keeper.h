/* sinks/postgres_keeper.h - the housekeeping of a database on a thread and a connection of its own, so that
 * no batch waits for it: months made ahead (postgres_partitions), and what is older than `keep` removed
 * (postgres_retention).
 *
 * The connection is opened for each look and closed after it: a look takes milliseconds each ten minutes.
 * What fails is logged once an hour and tried again, sooner when only a lock was in the way. Two keepers of
 * one database do no harm.
 */
#ifndef ROOST_SINKS_POSTGRES_KEEPER_H
#define ROOST_SINKS_POSTGRES_KEEPER_H

#include "base/err.h"
#include "base/log.h"

#include <stdint.h>

struct postgres_keeper;

/* Starts the thread, which begins with a look. keep_ms 0: nothing is ever removed. The log context is copied,
 * its strings must outlive the keeper. NULL: ERR_RETRY or ERR_FATAL. */
struct postgres_keeper *postgres_keeper_start(const char *conninfo, int64_t keep_ms,
                                              const struct log_context *log, struct err *e);

/* From any thread: whatever it is at ends soon. */
void postgres_keeper_stop(struct postgres_keeper *k);

/* Stops it and waits for its end. NULL does nothing. */
void postgres_keeper_free(struct postgres_keeper *k);

#endif
