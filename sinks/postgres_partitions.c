#include "sinks/postgres_partitions.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

enum { LOOK_MS = 10 * 60 * 1000, AGAIN_MS = 60 * 1000, SAY_MS = 60 * 60 * 1000 };

static const char make_sql[] =
    "SELECT roost.make_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + $1::interval)::date),"
    " to_char(now() AT TIME ZONE 'UTC' + $1::interval, 'YYYY-MM')";

static int make(struct postgres_link *link, const char *ahead, const struct log_context *log, struct err *e)
{
    PGresult *result;
    if (postgres_link_ask(link, make_sql, 1, &ahead, &result, e)) {
        return -1;
    }
    if (strcmp(PQgetvalue(result, 0, 0), "t") == 0) {
        log_info(log, "made the partition of roost.posts for %s", PQgetvalue(result, 0, 1));
    }
    PQclear(result);
    return 0;
}

void postgres_partitions_keep(struct postgres_partitions *p, struct postgres_link *link,
                              const struct log_context *log)
{
    struct err e;
    int64_t now = clock_steady_ms();
    if (now < p->next_ms) {
        return;
    }
    if (make(link, "0", log, &e) == 0 && make(link, "1 month", log, &e) == 0) {
        p->next_ms = now + LOOK_MS;
        return;
    }
    p->next_ms = now + AGAIN_MS;
    uint64_t held;
    if (log_every(&p->repeat, SAY_MS, &held)) {
        log_warning(log,
                    "a month's partition of roost.posts cannot be made, its posts go to roost.posts_default "
                    "until it can: %s",
                    e.text);
    }
}
