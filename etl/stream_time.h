/* etl/stream_time.h - arithmetic of batch times (DStream semantics, section 1).
 *
 * Times are milliseconds since 1970, durations milliseconds, both int64_t: comparing, adding and subtracting
 * them are C's own operators. Steps and intervals must be greater than 0.
 */
#ifndef ROOST_ETL_STREAM_TIME_H
#define ROOST_ETL_STREAM_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* The greatest zero + k * step (k whole, also negative) that is not after `time`. */
static inline int64_t stream_time_floor(int64_t time, int64_t step, int64_t zero)
{
    int64_t rest = (time - zero) % step;
    return time - (rest < 0 ? rest + step : rest);
}

/* The first batch time strictly after `now`. `phase` is any batch time of the first run, so that times keep
 * their phase over a restart; 0 for a new context. */
static inline int64_t stream_time_first(int64_t now, int64_t interval, int64_t phase)
{
    return stream_time_floor(now, interval, phase) + interval;
}

static inline bool stream_time_is_multiple(int64_t duration, int64_t step)
{
    return duration % step == 0;
}

/* A stream of this slide gives a batch at `time`: after zero, and a whole number of slides after it. */
static inline bool stream_time_is_due(int64_t time, int64_t zero, int64_t slide)
{
    return time > zero && stream_time_is_multiple(time - zero, slide);
}

/* How many of from, from + step, ... are before `to`. */
static inline int64_t stream_time_steps_until(int64_t from, int64_t to, int64_t step)
{
    return to <= from ? 0 : (to - from + step - 1) / step;
}

#endif
