#include "sinks/postgres_retention.h"

#include "base/clock.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MONTH_SIZE = 8,  /* "YYYY-MM" and NUL */
    TABLE_SIZE = 14, /* "posts_YYYY_MM" and NUL */
    DAY_MS = 24 * 3600 * 1000,
    MONTHS_MOST = 12 * 100 /* in one round; the next takes the rest */
};

struct round {
    struct postgres_link *link;
    const struct log_context *log;
    char first_kept[MONTH_SIZE];          /* the first month that stays */
    char posts_before[CLOCK_TEXT_SIZE];   /* its beginning */
    char batches_before[CLOCK_TEXT_SIZE]; /* a day earlier: clocks of network, roost and server may differ */
};

static int64_t count_of(const PGresult *rows)
{
    int64_t count;
    if (PQntuples(rows) < 1 || number_parse(view_of(PQgetvalue(rows, 0, 0)), 0, INT64_MAX, &count)) {
        return 0;
    }
    return count;
}

/* What both clocks say: a machine that starts with a wrong time must not take years away. */
static int agreed_time(struct postgres_link *link, int64_t *now_ms, struct err *e)
{
    PGresult *rows;
    int64_t server;
    if (clock_test_speed()) {
        return 0;
    }
    if (postgres_link_ask(link, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", 0, NULL,
                          &rows, e)) {
        return -1;
    }
    server = count_of(rows);
    PQclear(rows);
    *now_ms = server < *now_ms ? server : *now_ms;
    return 0;
}

static void set_bounds(struct round *r, int64_t oldest_kept_ms)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t month = CLOCK_NONE;
    clock_format(oldest_kept_ms, text);
    snprintf(r->first_kept, sizeof r->first_kept, "%.7s", text);
    snprintf(r->posts_before, sizeof r->posts_before, "%.7s-01T00:00:00.000Z", text);
    clock_parse(view_of(r->posts_before), &month);
    clock_format(month - DAY_MS, r->batches_before);
}

/* --- months --- */

/* Is it "posts_YYYY_MM"? Only such a name is put into SQL as it is. */
static bool is_month(const char *name, size_t length)
{
    static const char form[] = "posts_0000_00";
    if (length != sizeof form - 1) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (form[i] == '0' ? !digit : name[i] != form[i]) {
            return false;
        }
    }
    return true;
}

struct months {
    char names[MONTHS_MOST][TABLE_SIZE];
    size_t count;
};

static int list_months(struct round *r, const char *sql, int parameters, struct months *found, struct err *e)
{
    const char *values[] = {r->first_kept};
    PGresult *rows;
    found->count = 0;
    if (postgres_link_ask(r->link, sql, parameters, values, &rows, e)) {
        return -1;
    }
    for (int i = 0; i < PQntuples(rows) && found->count < MONTHS_MOST; i++) {
        const char *name = PQgetvalue(rows, i, 0);
        if (is_month(name, strlen(name))) {
            snprintf(found->names[found->count++], TABLE_SIZE, "%s", name);
        }
    }
    PQclear(rows);
    return 0;
}

/* A transaction of these statements. After a failure nothing of it is left, nor open. */
static int transact(struct round *r, const char *statements, struct err *e)
{
    struct err ignored;
    if (postgres_link_run(r->link, statements, e) == 0) {
        return 0;
    }
    if (postgres_link_is_open(r->link) && postgres_link_run(r->link, "ROLLBACK", &ignored)) {
        postgres_link_drop(r->link);
    }
    return -1;
}

/* The month leaves roost.posts. Whoever writes or reads posts waits while this waits, so it gives up soon and
 * comes again; each lock takes 100 ms at most. Under its new name the month can be made again, for posts that
 * come late, and it cannot be taken for one that somebody detached to keep it. */
static int detach(struct round *r, const char *name, struct err *e)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "BEGIN; SET LOCAL lock_timeout = '100ms'; LOCK TABLE roost.retention IN ACCESS EXCLUSIVE MODE;"
             "ALTER TABLE roost.posts DETACH PARTITION roost.%s;"
             "ALTER TABLE roost.%s RENAME TO %s_expired; COMMIT",
             name, name, name);
    return transact(r, sql, e);
}

/* Its rows are counted for the batches that stay, then it is gone. Only who reads this very table waits. */
static int drop(struct round *r, const char *name, struct err *e)
{
    char sql[900];
    snprintf(
        sql, sizeof sql,
        "BEGIN; SET LOCAL lock_timeout = '2s'; LOCK TABLE roost.retention IN ACCESS EXCLUSIVE MODE;"
        "LOCK TABLE roost.%s_expired IN ACCESS EXCLUSIVE MODE;"
        "UPDATE roost.batches b SET expired = expired + gone.rows FROM (SELECT p.batch_id, count(*) AS rows "
        "FROM roost.%s_expired p JOIN roost.batches k ON k.id = p.batch_id WHERE k.batch_time >= '%s' "
        "GROUP BY 1) gone WHERE b.id = gone.batch_id;"
        "DROP TABLE roost.%s_expired; COMMIT",
        name, name, r->batches_before, name);
    if (transact(r, sql, e)) {
        return -1;
    }
    log_notice(r->log, "the posts of %.4s-%.2s are older than keep and were removed", name + 6, name + 11);
    return 0;
}

static int remove_months(struct round *r, struct err *e)
{
    static const char leavings[] =
        "SELECT left(relname, 13) FROM pg_class WHERE relnamespace = 'roost'::regnamespace AND relkind = 'r' "
        "AND relname ~ '^posts_[0-9]{4}_[0-9]{2}_expired$' ORDER BY 1";
    static const char old[] =
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = "
        "'roost.posts'::regclass AND relname ~ '^posts_[0-9]{4}_[0-9]{2}$' AND relname < 'posts_' || "
        "replace($1, '-', '_') ORDER BY 1";
    struct months found;
    if (list_months(r, leavings, 0, &found, e)) {
        return -1;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (drop(r, found.names[i], e)) {
            return -1;
        }
    }
    if (list_months(r, old, 1, &found, e)) {
        return -1;
    }
    for (size_t i = 0; i < found.count; i++) {
        if (detach(r, found.names[i], e) || drop(r, found.names[i], e)) {
            return -1;
        }
    }
    return 0;
}

/* --- rows --- */

#define PIECE "5000" /* rows of a transaction: some tens of milliseconds, and little for the server's log */

/* $1: what is older goes. Each returns how many rows it took. */
static const char default_sql[] =
    "WITH old AS (SELECT ctid FROM ONLY roost.posts_default WHERE created_at < $1::timestamptz LIMIT " PIECE
    "), gone AS (DELETE FROM ONLY roost.posts_default d USING old WHERE d.ctid = old.ctid AND d.created_at < "
    "$1::timestamptz RETURNING batch_id), counted AS (SELECT batch_id, count(*) AS rows FROM gone GROUP BY "
    "1), "
    "told AS (UPDATE roost.batches b SET expired = expired + rows FROM counted WHERE b.id = "
    "counted.batch_id) SELECT count(*) FROM gone";

/* The last batch of each spool stays: it says where the consumer is, and which spool came last. */
static const char batches_sql[] =
    "WITH old AS (SELECT id FROM roost.batches b WHERE batch_time < "
    "$1::timestamptz AND NOT EXISTS (SELECT FROM roost.progress p WHERE p.consumer = b.consumer AND p.spool "
    "= b.spool AND p.sequence <= b.last_sequence) ORDER BY batch_time LIMIT " PIECE
    "), gone AS (DELETE FROM roost.batches b USING old WHERE b.id = old.id RETURNING b.id), told AS (UPDATE "
    "roost.retention SET last_batch = greatest(last_batch, (SELECT max(id) FROM gone)) WHERE EXISTS (SELECT "
    "FROM gone)) SELECT count(*) FROM gone";

/* Events and rejects go with their batch, so that the counts of the batches that stay hold. */
static const char events_sql[] =
    "WITH old AS (SELECT ctid FROM roost.events e WHERE received_at < $1::timestamptz AND NOT EXISTS (SELECT "
    "FROM roost.batches b WHERE b.id = e.batch_id) ORDER BY received_at LIMIT " PIECE
    "), gone AS (DELETE FROM roost.events e USING old WHERE e.ctid = old.ctid RETURNING 1) SELECT count(*) "
    "FROM gone";

static const char rejects_sql[] =
    "WITH old AS (SELECT ctid FROM roost.rejects r WHERE rejected_at < $1::timestamptz AND NOT EXISTS "
    "(SELECT "
    "FROM roost.batches b WHERE b.id = r.batch_id) LIMIT " PIECE
    "), gone AS (DELETE FROM roost.rejects r USING old WHERE r.ctid = old.ctid RETURNING 1) SELECT count(*) "
    "FROM gone";

static int remove_rows(struct round *r, const char *sql, const char *before, int64_t *removed, struct err *e)
{
    const char *values[] = {before};
    *removed = 0;
    for (int64_t count = 1; count > 0; *removed += count) {
        PGresult *rows;
        if (postgres_link_ask(r->link, sql, 1, values, &rows, e)) {
            return -1;
        }
        count = count_of(rows);
        PQclear(rows);
    }
    return 0;
}

/* Before anything goes: an audit in the middle of a round knows what it cannot recount. */
static int mark(struct round *r, struct err *e)
{
    static const char sql[] =
        "INSERT INTO roost.retention AS r (posts_before, batches_before) VALUES ($1::timestamptz, "
        "$2::timestamptz) ON CONFLICT (one) DO UPDATE SET posts_before = excluded.posts_before, "
        "batches_before = excluded.batches_before WHERE r.posts_before < excluded.posts_before";
    const char *values[] = {r->posts_before, r->batches_before};
    return postgres_link_ask(r->link, sql, 2, values, NULL, e);
}

int postgres_retention_run(struct postgres_link *link, int64_t keep_ms, int64_t now_ms,
                           const struct log_context *log, struct err *e)
{
    struct round r = {.link = link, .log = log};
    int64_t posts, batches, events, rejects;
    if (agreed_time(link, &now_ms, e)) {
        return -1;
    }
    if (now_ms <= keep_ms) {
        return 0; /* nothing is as old as that */
    }
    set_bounds(&r, now_ms - keep_ms);
    if (postgres_link_run(link, "SET lock_timeout = '2s'", e) || mark(&r, e) || remove_months(&r, e) ||
        remove_rows(&r, default_sql, r.posts_before, &posts, e) ||
        remove_rows(&r, batches_sql, r.batches_before, &batches, e) ||
        remove_rows(&r, events_sql, r.batches_before, &events, e) ||
        remove_rows(&r, rejects_sql, r.batches_before, &rejects, e)) {
        return -1;
    }
    if (posts + batches + events + rejects > 0) {
        log_info(log,
                 "older than keep, and removed: %" PRId64 " posts of the default partition, %" PRId64
                 " batches, %" PRId64 " events, %" PRId64 " rejects",
                 posts, batches, events, rejects);
    }
    return 0;
}
