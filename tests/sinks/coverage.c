/* roost.coverage: rows made by hand, sums known beforehand. */
#include "tests/sinks/support/cluster.h"

#include <criterion/criterion.h>
#include <stdio.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

static void heard(PGconn *c, const char *source, const char *from, const char *to)
{
    char sql[500];
    snprintf(sql, sizeof sql,
             "INSERT INTO roost.events (network, source, kind, received_at, batch_id, body) VALUES "
             "('x', '%s', 'count', '2026-05-01 %sZ', 1, "
             "'{\"from\":\"2026-05-01T%s.000Z\",\"to\":\"2026-05-01T%s.000Z\",\"received\":1}')",
             source, to, from, to);
    PQclear(PQexec(c, sql));
}

static void missed(PGconn *c, const char *source, const char *from, const char *to, const char *cause,
                   const char *undelivered)
{
    char sql[500];
    snprintf(sql, sizeof sql,
             "INSERT INTO roost.gaps (source, started_at, ended_at, cause, undelivered) VALUES "
             "('%s', '2026-05-01 %sZ', '2026-05-01 %sZ', '%s', %s)",
             source, from, to, cause, undelivered);
    PQclear(PQexec(c, sql));
}

/* One line per hour: "10 3600 0 0 5". */
static void expect(PGconn *c, const char *source, const char *wanted)
{
    char sql[600], text[500];
    snprintf(sql, sizeof sql,
             "SELECT string_agg(concat_ws(' ', to_char(hour AT TIME ZONE 'UTC', 'HH24'), "
             "covered_seconds::integer, gap_seconds::integer, unknown_seconds::integer, undelivered), ', ' "
             "ORDER BY hour) FROM roost.coverage WHERE source = '%s'",
             source);
    cr_expect_str_eq(cluster_ask(c, sql, text, sizeof text), wanted);
}

Test(coverage, hours_are_cut_exactly_and_the_unknown_is_not_covered)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    PQclear(PQexec(c, "SET timezone = 'Asia/Kolkata'")); /* hours that are not UTC's */
    heard(c, "s", "09:59:30", "10:00:30");
    heard(c, "s", "10:00:30", "11:00:00");
    heard(c, "s", "11:00:00", "11:00:10");
    expect(c, "s", "09 30 0 3570 0, 10 3600 0 0 0, 11 10 0 3590 0");
    PQfinish(c);
}

Test(coverage, a_gap_over_hours_is_cut_and_overlaps_count_once)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    heard(c, "s", "10:00:00", "10:30:00");
    heard(c, "s", "10:10:00", "10:40:00");                   /* twice told */
    missed(c, "s", "10:39:00", "10:50:00", "stall", "NULL"); /* its first minute was also told as heard */
    missed(c, "s", "10:45:00", "12:00:00", "killed", "NULL");
    missed(c, "s", "10:45:00", "12:00:00", "killed", "NULL");
    expect(c, "s", "10 2340 1260 0 0, 11 0 3600 0 0");
    PQfinish(c);
}

Test(coverage, sources_are_apart_and_an_open_outage_is_unknown)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    heard(c, "a", "10:00:00", "11:00:00");
    missed(c, "b", "10:00:00", "10:00:01", "network", "NULL");
    cluster_run(
        conninfo,
        "INSERT INTO roost.gaps (source, started_at, cause) VALUES ('a', '2026-05-01 11:00Z', 'http')");
    cluster_run(conninfo,
                "INSERT INTO roost.events (kind, source, batch_id, body) VALUES ('count', 'a', 1, '{}')");
    expect(c, "a", "10 3600 0 0 0");
    expect(c, "b", "10 0 1 3599 0");
    PQfinish(c);
}

Test(coverage, undelivered_posts_are_summed_and_are_no_gap)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    heard(c, "s", "10:00:00", "11:00:00");
    missed(c, "s", "10:10:00", "10:20:00", "limit", "7");
    missed(c, "s", "10:20:00", "10:30:00", "limit", "5");
    missed(c, "s", "12:00:00", "12:00:00", "limit", "1");
    missed(c, "", "13:00:00", "13:00:00", "corrupt", "3");
    expect(c, "s", "10 3600 0 0 12, 12 0 0 3600 1");
    expect(c, "", "13 0 0 3600 3");
    PQfinish(c);
}
