#include "base/rate.h"

#include <stddef.h>
#include <string.h>

/* Empties the buckets between the latest one in use and the one of now. */
static void turn(uint32_t *buckets, size_t count, int64_t *latest, int64_t now)
{
    if (now - *latest >= (int64_t)count) {
        memset(buckets, 0, count * sizeof *buckets);
        *latest = now;
    }
    while (*latest < now) {
        buckets[++*latest % (int64_t)count] = 0;
    }
}

static void turn_both(struct rate *r, int64_t now_ms)
{
    turn(r->fine, RATE_FINE, &r->fine_at, now_ms / RATE_FINE_MS);
    turn(r->coarse, RATE_COARSE, &r->coarse_at, now_ms / RATE_COARSE_MS);
}

void rate_add(struct rate *r, int64_t now_ms, uint32_t count)
{
    r->began_ms = r->began_ms ? r->began_ms : now_ms;
    turn_both(r, now_ms);
    r->fine[r->fine_at % RATE_FINE] += count;
    r->coarse[r->coarse_at % RATE_COARSE] += count;
}

double rate_per_second(struct rate *r, int64_t now_ms)
{
    uint64_t sum = 0;
    turn_both(r, now_ms);
    for (size_t i = 0; i < RATE_FINE; i++) {
        sum += r->fine[i];
    }
    /* The bucket of now is not full yet. */
    int64_t covered = (RATE_FINE - 1) * (int64_t)RATE_FINE_MS + now_ms % RATE_FINE_MS;
    int64_t since = now_ms - r->began_ms;
    covered = since < covered ? since : covered;
    return (double)sum * 1000.0 / (double)(covered < 1000 ? 1000 : covered);
}

uint64_t rate_last_hour(struct rate *r, int64_t now_ms)
{
    uint64_t sum = 0;
    turn_both(r, now_ms);
    for (size_t i = 0; i < RATE_COARSE; i++) {
        sum += r->coarse[i];
    }
    return sum;
}
