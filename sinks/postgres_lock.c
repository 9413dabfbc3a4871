#include "sinks/postgres_lock.h"

#include "sinks/postgres_error.h"

#include <stdio.h>

/* The key is the database's own hash, so that every roost of whatever version has the same. */
#define KEY "hashtextextended('roost consumer ' || $1, 0)"

/* Whose lock it is. Where the session is from is shown to its own role and to monitors only. */
static int name_holder(struct postgres_link *link, const char *consumer, struct err *e)
{
    static const char sql[] =
        "SELECT a.pid, coalesce(' from ' || host(a.client_addr), ''), coalesce(', connected since ' || "
        "to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), '') FROM pg_locks AS l JOIN pg_stat_activity "
        "AS "
        "a USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = "
        "(SELECT "
        "oid FROM pg_database WHERE datname = current_database()) AND ((l.classid::bigint << 32) | "
        "l.objid::bigint) = " KEY;
    const char *values[] = {consumer};
    PGresult *result;
    if (postgres_link_ask(link, sql, 1, values, &result, e)) {
        return -1;
    }
    bool seen = PQntuples(result) > 0;
    err_set(e, ERR_RETRY,
            "consumer \"%s\" is at work in another session of this database%s%s%s%s%s: another roost etl of "
            "this name runs, or what a killed one had sent is still being done",
            consumer, seen ? " (process " : "", seen ? PQgetvalue(result, 0, 0) : "",
            seen ? PQgetvalue(result, 0, 1) : "", seen ? PQgetvalue(result, 0, 2) : "", seen ? ")" : "");
    PQclear(result);
    return -1;
}

int postgres_lock_take(struct postgres_link *link, const char *consumer, struct err *e)
{
    char wait[64];
    const char *values[] = {consumer};
    struct err ignored;
    snprintf(wait, sizeof wait, "SET lock_timeout = %d", POSTGRES_LOCK_MS);
    if (postgres_link_run(link, wait, e)) {
        return -1;
    }
    int rc = postgres_link_ask(link, "SELECT pg_advisory_lock(" KEY ")", 1, values, NULL, e);
    bool busy = rc && postgres_error_is_lock(postgres_link_state(link));
    if (postgres_link_run(link, "SET lock_timeout = 0", rc ? &ignored : e)) {
        return -1;
    }
    return busy ? name_holder(link, consumer, e) : rc;
}

void postgres_lock_drop(struct postgres_link *link)
{
    struct err ignored;
    if (postgres_link_is_open(link)) {
        postgres_link_run(link, "SELECT pg_advisory_unlock_all()", &ignored);
    }
}
