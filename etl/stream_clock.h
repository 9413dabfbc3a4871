/* etl/stream_clock.h - the clock of a streaming context, which can be replaced by one that a test moves by
 * hand.
 *
 * The system's clock shows wall time, but never goes back: after a step back of the wall clock it goes on
 * evenly from where it was (batch times must rise, and waiting for the old time to come again would stop the
 * stream). A step forward is followed.
 */
#ifndef ROOST_ETL_STREAM_CLOCK_H
#define ROOST_ETL_STREAM_CLOCK_H

#include <stdint.h>

struct stream_clock;

/* NULL when memory is out. The caller frees it after the contexts that use it. */
struct stream_clock *stream_clock_system(void);

/* A clock that stands at now_ms until it is advanced. */
struct stream_clock *stream_clock_manual(int64_t now_ms);

void stream_clock_free(struct stream_clock *c); /* NULL does nothing */

/* All below: any thread. */

int64_t stream_clock_now(struct stream_clock *c);

/* Moves a manual clock forward and wakes who waits for it. Nothing happens to a system clock. */
void stream_clock_advance(struct stream_clock *c, int64_t ms);

/* How often stream_clock_wake was called. */
uint64_t stream_clock_wakes(struct stream_clock *c);

/* Waits until the clock shows `until`, or until a wake after the `seen` first ones. To miss none: read
 * stream_clock_wakes, then look at what would be the reason of a wake, then wait. */
void stream_clock_wait(struct stream_clock *c, int64_t until, uint64_t seen);

/* Ends all waits. */
void stream_clock_wake(struct stream_clock *c);

#endif
