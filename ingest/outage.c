#include "ingest/outage.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static void begin(struct outage *o, const char *cause, int64_t silence, const char *detail, bool first)
{
    uint64_t held;
    struct log_repeat log = o->log;
    *o = (struct outage){.open = true, .cause = cause, .first = first};
    o->began_wall = clock_wall_ms() - silence;
    o->began_steady = clock_steady_ms() - silence;
    o->quiet = !log_every(&log, OUTAGE_QUIET_MS, &held);
    o->log = log;
    snprintf(o->detail, sizeof o->detail, "%.*s", (int)sizeof o->detail - 1, detail);
}

bool outage_failed(struct outage *o, const char *cause, int64_t silence, const char *detail, bool first)
{
    bool begins = !o->open;
    if (begins) {
        begin(o, cause, silence, detail, first);
    } else {
        o->attempts++;
    }
    bool news = begins || o->attempts == 1 || strcmp(o->latest, cause) != 0;
    o->latest = cause;
    if (o->quiet && clock_steady_ms() - o->began_steady > OUTAGE_QUIET_MS) {
        o->quiet = false;
        news = true;
    }
    return news && !o->quiet;
}

bool outage_over(struct outage *o, int64_t *lasted)
{
    *lasted = clock_steady_ms() - o->began_steady;
    o->open = false;
    return !o->quiet || *lasted > OUTAGE_QUIET_MS;
}
