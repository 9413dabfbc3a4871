#include "simulator/pace.h"

#include <stdlib.h>

struct pace {
    double rate, speed;
    int64_t *offsets_ms; /* of each message after the first; NULL with a rate */
    size_t count;
    int64_t round_ms; /* from the first message to the first of the next round */
};

static int read_times(struct pace *p, const struct playlist *list, struct err *e)
{
    int64_t first = 0, latest = 0;
    p->offsets_ms = calloc(p->count, sizeof *p->offsets_ms);
    if (!p->offsets_ms) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    for (size_t i = 0; i < p->count; i++) {
        uint64_t id = playlist_at(list, i)->places.own_id;
        int64_t time = id > FRESH_OLDEST_ID ? fresh_time_of(id) : 0;
        first = first ? first : time;
        latest = time > latest ? time : latest;
        p->offsets_ms[i] = latest - first;
    }
    if (!first) {
        return err_set(e, ERR_FATAL, "no message has an id that tells its time: a speed needs one");
    }
    int64_t gap = p->offsets_ms[p->count - 1] / (int64_t)p->count;
    p->round_ms = p->offsets_ms[p->count - 1] + (gap ? gap : 1);
    return 0;
}

struct pace *pace_new(const struct playlist *list, double rate, double speed, struct err *e)
{
    struct pace *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    p->rate = rate;
    p->speed = speed;
    p->count = playlist_count(list);
    if (rate <= 0 && read_times(p, list, e) < 0) {
        pace_free(p);
        return NULL;
    }
    return p;
}

int64_t pace_at_us(const struct pace *p, uint64_t position)
{
    if (p->rate > 0) {
        return (int64_t)((double)position / p->rate * 1e6);
    }
    uint64_t round = position / p->count;
    double ms = (double)round * (double)p->round_ms + (double)p->offsets_ms[position % p->count];
    return (int64_t)(ms * 1000 / p->speed);
}

uint64_t pace_due(const struct pace *p, int64_t elapsed_us)
{
    if (p->rate > 0) {
        return 1 + (uint64_t)((double)elapsed_us / 1e6 * p->rate);
    }
    double ms = (double)elapsed_us / 1000 * p->speed;
    uint64_t round = (uint64_t)(ms / (double)p->round_ms);
    double left = ms - (double)round * (double)p->round_ms;
    size_t low = 0, high = p->count;
    while (low < high) { /* the first message that is later */
        size_t middle = low + (high - low) / 2;
        if ((double)p->offsets_ms[middle] <= left) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return round * p->count + low;
}

void pace_free(struct pace *pace)
{
    if (pace) {
        free(pace->offsets_ms);
        free(pace);
    }
}
