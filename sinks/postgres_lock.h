/* sinks/postgres_lock.h - one session of the database per consumer's name.
 *
 * The problem: a roost etl is killed while the server still works on what it sent (a COMMIT that waits, a
 * COPY whose bytes are in the server's socket). Its successor asks for the position, is told the old one, and
 * then finds it moved. The design: whoever asks for a position or writes holds a session-level advisory lock
 * of the database, keyed by the consumer's name. The server gives it back when the session ends, which is
 * after all that it was sent is committed or rolled back; so a position that is asked for under the lock
 * stays. The compare-and-set of roost.progress remains what keeps two writers apart; this makes them wait.
 */
#ifndef ROOST_SINKS_POSTGRES_LOCK_H
#define ROOST_SINKS_POSTGRES_LOCK_H

#include "sinks/postgres_link.h"

enum { POSTGRES_LOCK_MS = 2000 /* how long the server waits: a session that is ending needs milliseconds */ };

/* Takes the lock of this consumer for the link's session; once per session. ERR_RETRY: another session has
 * it, and the message names that one as far as this role may see it. */
int postgres_lock_take(struct postgres_link *link, const char *consumer, struct err *e);

/* Gives back all locks of the session, for who closes it and wants a successor at once. */
void postgres_lock_drop(struct postgres_link *link);

#endif
