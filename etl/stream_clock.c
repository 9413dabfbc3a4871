#include "etl/stream_clock.h"
#include "base/clock.h"
#include "etl/thread.h"

#include <stdlib.h>

enum { LONGEST_WAIT_MS = 1000 }; /* so that a step forward of the wall clock is noticed */

struct stream_clock {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool manual;
    int64_t shown;  /* what the clock showed last */
    int64_t steady; /* the steady clock at that moment */
    uint64_t wakes;
};

static struct stream_clock *clock_new(bool manual, int64_t shown)
{
    struct stream_clock *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    thread_condition_init(&c->changed);
    c->manual = manual;
    c->shown = shown;
    c->steady = clock_real_ms();
    return c;
}

struct stream_clock *stream_clock_system(void)
{
    return clock_new(false, clock_paced_wall_ms());
}

struct stream_clock *stream_clock_manual(int64_t now_ms)
{
    return clock_new(true, now_ms);
}

void stream_clock_free(struct stream_clock *c)
{
    if (c) {
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
        free(c);
    }
}

static int64_t now_locked(struct stream_clock *c)
{
    if (!c->manual) {
        int64_t steady = clock_real_ms(), wall = clock_paced_wall_ms();
        int64_t even = c->shown + (steady - c->steady);
        c->shown = wall > even ? wall : even;
        c->steady = steady;
    }
    return c->shown;
}

int64_t stream_clock_now(struct stream_clock *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t now = now_locked(c);
    pthread_mutex_unlock(&c->lock);
    return now;
}

void stream_clock_advance(struct stream_clock *c, int64_t ms)
{
    pthread_mutex_lock(&c->lock);
    if (c->manual && ms > 0) {
        c->shown += ms;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
}

uint64_t stream_clock_wakes(struct stream_clock *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t wakes = c->wakes;
    pthread_mutex_unlock(&c->lock);
    return wakes;
}

void stream_clock_wait(struct stream_clock *c, int64_t until, uint64_t seen)
{
    pthread_mutex_lock(&c->lock);
    while (c->wakes == seen) {
        int64_t left = until - now_locked(c);
        if (left <= 0) {
            break;
        }
        int64_t most = left < LONGEST_WAIT_MS ? left : LONGEST_WAIT_MS;
        thread_wait(&c->changed, &c->lock, c->manual ? THREAD_NEVER : thread_deadline(most));
    }
    pthread_mutex_unlock(&c->lock);
}

void stream_clock_wake(struct stream_clock *c)
{
    pthread_mutex_lock(&c->lock);
    c->wakes++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}
