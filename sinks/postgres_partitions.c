#include "sinks/postgres_partitions.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

enum { SAY_MS = 60 * 60 * 1000 };

static const char make_sql[] =
    "SELECT roost.make_partition(month::date), to_char(month, 'YYYY-MM') FROM (SELECT date_trunc('month', "
    "$1::timestamptz AT TIME ZONE 'UTC') + $2::interval) AS asked (month)";

static int make(struct postgres_link *link, const char *ahead, const struct log_context *log, struct err *e)
{
    PGresult *result;
    char now[CLOCK_TEXT_SIZE];
    const char *values[] = {clock_format(clock_wall_ms(), now), ahead};
    if (postgres_link_ask(link, make_sql, 2, values, &result, e)) {
        return -1;
    }
    if (strcmp(PQgetvalue(result, 0, 0), "t") == 0) {
        log_info(log, "made the partition of roost.posts for %s", PQgetvalue(result, 0, 1));
    }
    PQclear(result);
    return 0;
}

bool postgres_partitions_keep(struct postgres_partitions *p, struct postgres_link *link,
                              const struct log_context *log)
{
    struct err e;
    uint64_t held;
    if (make(link, "0", log, &e) == 0 && make(link, "1 month", log, &e) == 0) {
        return true;
    }
    if (log_every(&p->repeat, SAY_MS, &held)) {
        log_warning(log,
                    "a month's partition of roost.posts cannot be made, its posts go to roost.posts_default "
                    "until it can: %s",
                    e.text);
    }
    return false;
}
