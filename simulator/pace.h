/* simulator/pace.h - when each message of a play list is due: at a rate, or by the messages' own times.
 *
 * A message's own time is that of its id (a snowflake); one without comes with the message before it, and one
 * that is older than that as well: a stream does not go back. When the list begins again, its first message
 * is due the mean distance of two messages behind the last.
 */
#ifndef ROOST_SIMULATOR_PACE_H
#define ROOST_SIMULATOR_PACE_H

#include "simulator/playlist.h"

struct pace;

/* rate: messages a second, above 0; or 0, and speed: how many times as fast as recorded. NULL: no message has
 * a time, or memory is out. The caller frees it; the list is not used afterwards. */
struct pace *pace_new(const struct playlist *list, double rate, double speed, struct err *e);

/* When the message at `position` is due: microseconds after the start. */
int64_t pace_at_us(const struct pace *pace, uint64_t position);

/* How many messages are due that long after the start; at least 1. */
uint64_t pace_due(const struct pace *pace, int64_t elapsed_us);

/* NULL does nothing. */
void pace_free(struct pace *pace);

#endif
