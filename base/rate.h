/* base/rate.h - how many in the last minute and the last hour, without a timer.
 *
 * Counts go into buckets of 5 s and of 1 min as they happen; what is older is overwritten when somebody
 * counts or asks. All-zero is a rate that has counted nothing. Times are milliseconds of a clock that only
 * goes forward (clock_steady_ms).
 */
#ifndef ROOST_BASE_RATE_H
#define ROOST_BASE_RATE_H

#include <stdint.h>

enum { RATE_FINE = 12, RATE_FINE_MS = 5000, RATE_COARSE = 60, RATE_COARSE_MS = 60000 };

struct rate {
    int64_t began_ms; /* of the first count; 0: none yet */
    int64_t fine_at, coarse_at;
    uint32_t fine[RATE_FINE], coarse[RATE_COARSE];
};

void rate_add(struct rate *r, int64_t now_ms, uint32_t count);

/* Per second over the last minute, or since the first count where that is later; 0 when there was none. */
double rate_per_second(struct rate *r, int64_t now_ms);

/* In the last hour. */
uint64_t rate_last_hour(struct rate *r, int64_t now_ms);

#endif
