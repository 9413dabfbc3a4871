#include "ingest/backoff.h"

const struct backoff_timing backoff_documented = {
    .ladders =
        {
            [BACKOFF_NETWORK] = {250, 16 * 1000},
            [BACKOFF_HTTP] = {5 * 1000, 320 * 1000},
            [BACKOFF_RATE_LIMIT] = {60 * 1000, 3600 * 1000},
            [BACKOFF_FINAL] = {60 * 1000, 3600 * 1000},
            [BACKOFF_SPEND] = {900 * 1000, 3600 * 1000},
        },
    .calm = 10 * 1000,
};

/* Step number n (from 1) of a ladder. */
static int64_t step_wait(const struct backoff_timing *timing, enum backoff_ladder ladder, unsigned n)
{
    int64_t first = timing->ladders[ladder].first, most = timing->ladders[ladder].most;
    int64_t wait = first;
    for (unsigned i = 1; i < n && wait < most; i++) {
        wait = ladder == BACKOFF_NETWORK ? wait + first : wait * 2;
    }
    return wait < most ? wait : most;
}

int64_t backoff_failed(struct backoff *b, const struct backoff_timing *timing, enum backoff_ladder ladder,
                       int64_t at_least)
{
    if (step_wait(timing, ladder, b->steps[ladder]) < timing->ladders[ladder].most || !b->steps[ladder]) {
        b->steps[ladder]++;
    }
    int64_t wait = step_wait(timing, ladder, b->steps[ladder]);
    if (at_least > BACKOFF_LONGEST_REQUEST_MS) {
        at_least = BACKOFF_LONGEST_REQUEST_MS;
    }
    return wait > at_least ? wait : at_least;
}

void backoff_established(struct backoff *b)
{
    b->steps[BACKOFF_HTTP] = 0;
    b->steps[BACKOFF_RATE_LIMIT] = 0;
    b->steps[BACKOFF_FINAL] = 0;
    b->steps[BACKOFF_SPEND] = 0;
}

int64_t backoff_dropped(struct backoff *b, const struct backoff_timing *timing, int64_t lived_ms,
                        uint64_t messages)
{
    bool calm = lived_ms >= timing->calm;
    if (calm || (messages && !b->at_once_spent)) {
        b->steps[BACKOFF_NETWORK] = 0;
        b->at_once_spent = !calm;
        return 0;
    }
    return backoff_failed(b, timing, BACKOFF_NETWORK, 0);
}

bool backoff_at_top(const struct backoff *b, const struct backoff_timing *timing, enum backoff_ladder ladder)
{
    return b->steps[ladder] && step_wait(timing, ladder, b->steps[ladder]) >= timing->ladders[ladder].most;
}
