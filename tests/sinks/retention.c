/* What is older than `keep` goes, whole months and what belongs to them, and nothing else does; who reads
 * meanwhile delays neither readers nor loads. */
#include "sinks/postgres_retention.h"
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

static const int64_t day = 24 * 3600 * 1000;
static const struct log_context context = {"sink", "main"};

/* One round; keep in days, now as text. */
static int round_of(const char *conninfo, int64_t keep_days, int64_t now_ms, struct err *e)
{
    struct postgres_link *link = postgres_link_new(conninfo, e);
    cr_assert_not_null(link);
    cr_assert_eq(postgres_link_connect(link, NULL, e), 0, "%s", e->text);
    int rc = postgres_retention_run(link, keep_days * day, now_ms, &context, e);
    postgres_link_free(link);
    return rc;
}

static void expect_round(const char *conninfo, int64_t keep_days, const char *now)
{
    struct err e;
    int64_t now_ms;
    cr_assert_eq(clock_parse(view_of(now), &now_ms), 0);
    cr_assert_eq(round_of(conninfo, keep_days, now_ms, &e), 0, "%s", e.text);
}

static void add_month(const char *conninfo, const char *month)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT roost.make_partition('%s-01')", month);
    cluster_run(conninfo, sql);
}

/* Posts of one batch, with these times. */
static void add_posts(const char *conninfo, int64_t batch, int64_t first_id, int count,
                      const char *created_at)
{
    char sql[500];
    snprintf(sql, sizeof sql,
             "INSERT INTO roost.posts (network, id, created_at, source, received_at, batch_id, text, "
             "clean_text) SELECT 'x', i::text, timestamptz '%s' + (i - %lld) * interval '1 ms', 's', now(), "
             "%lld, '', '' FROM generate_series(%lld, %lld) i",
             created_at, (long long)first_id, (long long)batch, (long long)first_id,
             (long long)first_id + count - 1);
    cluster_run(conninfo, sql);
}

static void add_batch(const char *conninfo, int64_t id, int64_t first, int64_t loaded,
                      const char *finished_at)
{
    char sql[700];
    snprintf(
        sql, sizeof sql,
        "INSERT INTO roost.batches (id, consumer, spool, first_sequence, last_sequence, received, loaded, "
        "duplicate, filtered, rejected, events, batch_time, started_at, finished_at) VALUES (%lld, 'etl', "
        "'a', %lld, %lld, %lld, %lld, 0, 0, 1, 1, '%s', '%s', '%s'); "
        "INSERT INTO roost.events (kind, source, batch_id, received_at, body) VALUES ('count', 's', %lld, "
        "'%s', '{}'); INSERT INTO roost.rejects VALUES ('%s', %lld, %lld, 'why', 'frame'); "
        "INSERT INTO roost.progress VALUES ('etl', 'a', %lld) ON CONFLICT (consumer, spool) DO UPDATE SET "
        "sequence = excluded.sequence",
        (long long)id, (long long)first, (long long)(first + loaded + 1), (long long)loaded + 2,
        (long long)loaded, finished_at, finished_at, finished_at, (long long)id, finished_at, finished_at,
        (long long)id, (long long)first, (long long)(first + loaded + 1));
    cluster_run(conninfo, sql);
}

static int64_t tables_like(const char *conninfo, const char *pattern)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pg_class WHERE relnamespace = 'roost'::regnamespace AND relkind = 'r' AND "
             "relname ~ '%s'",
             pattern);
    return cluster_count(conninfo, sql);
}

Test(retention, whole_months_go_when_their_end_is_older_than_keep)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    add_month(conninfo, "2020-02");
    add_month(conninfo, "2020-03");
    add_posts(conninfo, 1, 1, 10, "2020-01-31T23:59:59.000Z");
    add_posts(conninfo, 1, 11, 10, "2020-02-01T00:00:00Z");
    add_posts(conninfo, 1, 21, 10, "2020-03-01T00:00:00Z");
    expect_round(conninfo, 30, "2020-03-01T23:59:59.999Z");
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 30,
                 "January is 30 days old a millisecond later");
    expect_round(conninfo, 30, "2020-03-02T00:00:00Z");
    cr_expect_eq(cluster_count(conninfo, "SELECT min(id::bigint) FROM roost.posts"), 11);
    cr_expect_eq(tables_like(conninfo, "^posts_2020"), 2);
    expect_round(conninfo, 1, "2020-04-02T00:00:00Z");
    cr_expect_eq(tables_like(conninfo, "^posts_2020"), 0);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 0);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.retention WHERE posts_before = "
                                         "'2020-04-01Z' AND batches_before = '2020-03-31Z'"),
                 1);
}

Test(retention, a_month_that_somebody_detached_to_keep_it_stays)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    add_month(conninfo, "2020-02");
    add_posts(conninfo, 1, 1, 10, "2020-01-15Z");
    add_posts(conninfo, 1, 11, 10, "2020-02-15Z");
    cluster_run(conninfo, "ALTER TABLE roost.posts DETACH PARTITION roost.posts_2020_01; CREATE TABLE "
                          "roost.posts_of_mine (id int); CREATE TABLE roost.\"posts_2020_02_expired; x\" ()");
    expect_round(conninfo, 30, "2021-01-01T00:00:00Z");
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_2020_01"), 10);
    cr_expect_eq(tables_like(conninfo, "^posts_(2020_02$|of_mine|2020_02_expired; x)"), 2);
}

Test(retention, old_rows_of_the_default_partition_go_in_pieces_and_the_others_stay)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    add_batch(conninfo, 7, 1, 12003, "2030-06-01Z");
    add_posts(conninfo, 7, 1, 12000, "2013-01-01Z");
    add_posts(conninfo, 7, 20001, 1, "2029-12-01Z");
    add_posts(conninfo, 7, 20002, 2, "2099-01-01Z");
    struct err e;
    int64_t now_ms;
    cr_assert_eq(clock_parse(VIEW("2025-06-01T00:00:00Z"), &now_ms), 0);
    cr_assert_eq(round_of(conninfo, 180, now_ms, &e), 0, "%s", e.text);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default"), 3);
    cr_expect_eq(cluster_count(conninfo, "SELECT expired FROM roost.batches WHERE id = 7"), 12000);
}

Test(retention, batches_go_with_their_events_and_rejects_and_those_that_stay_can_be_recounted)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    add_month(conninfo, "2020-02");
    add_batch(conninfo, 1, 1, 10, "2020-01-10T00:00:00Z");
    add_posts(conninfo, 1, 1, 10, "2020-01-09T23:59:58Z");
    add_batch(conninfo, 2, 13, 10, "2020-02-01T00:00:00.100Z"); /* the turn of the month lies in it */
    add_posts(conninfo, 2, 11, 4, "2020-01-31T23:59:59Z");
    add_posts(conninfo, 2, 15, 6, "2020-02-01T00:00:00Z");
    add_batch(conninfo, 3, 25, 10, "2020-02-02T00:00:00Z");
    add_posts(conninfo, 3, 21, 10, "2020-02-02T00:00:00Z");
    cluster_run(conninfo, "INSERT INTO roost.gaps (source, started_at, cause) VALUES ('s', '2019-01-01', "
                          "'network')");
    expect_round(conninfo, 30, "2020-03-05T00:00:00Z");
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(id) FROM roost.batches"), 5);
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(batch_id) FROM roost.events"), 5);
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(batch_id) FROM roost.rejects"), 5);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.gaps"), 1);
    cr_expect_eq(cluster_count(conninfo, "SELECT last_batch FROM roost.retention"), 1);
    cr_expect_eq(cluster_count(conninfo,
                               "SELECT count(*) FROM roost.batches b WHERE loaded <> expired + (SELECT "
                               "count(*) FROM roost.posts p WHERE p.batch_id = b.id)"),
                 0);
    cr_expect_eq(cluster_count(conninfo, "SELECT expired FROM roost.batches WHERE id = 2"), 4);
    /* The last batch says how far the consumer is, however old it is. */
    expect_round(conninfo, 30, "2025-03-05T00:00:00Z");
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(id) FROM roost.batches"), 3);
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(batch_id) FROM roost.events"), 3);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 0);
}

Test(retention, what_a_killed_process_left_is_counted_and_dropped)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    add_batch(conninfo, 1, 1, 10, "2020-03-10T00:00:00Z");
    add_posts(conninfo, 1, 1, 10, "2020-01-09T23:59:58Z");
    cluster_run(conninfo, "ALTER TABLE roost.posts DETACH PARTITION roost.posts_2020_01; "
                          "ALTER TABLE roost.posts_2020_01 RENAME TO posts_2020_01_expired");
    add_month(conninfo, "2020-01"); /* it may be made again meanwhile */
    add_posts(conninfo, 1, 11, 5, "2020-01-10Z");
    expect_round(conninfo, 30, "2020-03-12T00:00:00Z");
    cr_expect_eq(tables_like(conninfo, "^posts_2020"), 0);
    cr_expect_eq(cluster_count(conninfo, "SELECT expired FROM roost.batches"), 15);
}

/* A load while something is locked, in ms. */
static int64_t time_of_load(struct sink *s, uint64_t sequence)
{
    struct err e;
    struct made_load *m = load_of(sequence, (int64_t)sequence, 3);
    int64_t began = clock_real_ms();
    cr_assert_eq(sink_postgres.write(s, load_end(m), &e), 0, "%s", e.text);
    free(m);
    return clock_real_ms() - began;
}

Test(retention, a_reader_delays_the_removal_and_the_removal_delays_nobody)
{
    char conninfo[CONNINFO_SIZE], text[10];
    struct err e;
    int64_t now_ms;
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    add_posts(conninfo, 1, 100, 10, "2020-01-09T23:59:58Z");
    struct sink *s = sink_on(conninfo);
    time_of_load(s, 1);
    PGconn *reader = cluster_connect(conninfo);
    cluster_ask(reader, "BEGIN", text, sizeof text);
    cluster_ask(reader, "SELECT count(*) FROM roost.posts", text, sizeof text);
    cr_assert_eq(clock_parse(VIEW("2020-06-01T00:00:00Z"), &now_ms), 0);
    int64_t began = clock_real_ms();
    cr_assert_eq(round_of(conninfo, 30, now_ms, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_lt(clock_real_ms() - began, 2000, "it waits 100 ms for a lock that others queue behind");
    time_of_load(s, 4);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 16);
    cluster_ask(reader, "COMMIT", text, sizeof text);
    PQfinish(reader);
    expect_round(conninfo, 30, "2020-06-01T00:00:00Z");
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts WHERE created_at < '2020-06-01'"),
                 0);
    sink_postgres.close(s);
}

Test(retention, an_audit_in_progress_holds_the_months_in_their_places)
{
    char conninfo[CONNINFO_SIZE], text[10];
    struct err e;
    int64_t now_ms;
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    PGconn *audit = cluster_connect(conninfo);
    cluster_ask(audit,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE roost.retention IN ACCESS SHARE "
                "MODE; SELECT 1",
                text, sizeof text);
    cr_assert_eq(clock_parse(VIEW("2020-06-01T00:00:00Z"), &now_ms), 0);
    cr_expect_eq(round_of(conninfo, 30, now_ms, &e), -1);
    cr_expect_eq(tables_like(conninfo, "^posts_2020_01$"), 1);
    PQfinish(audit);
    expect_round(conninfo, 30, "2020-06-01T00:00:00Z");
    cr_expect_eq(tables_like(conninfo, "^posts_2020_01"), 0);
}

Test(retention, a_clock_far_ahead_of_the_servers_removes_nothing_too_early)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    load_add_post(m, 1)->created_at = clock_wall_ms();
    cr_assert_eq(sink_postgres.write(s, load_end(m), &e), 0, "%s", e.text);
    sink_postgres.close(s);
    free(m);
    cr_assert_eq(round_of(conninfo, 30, clock_wall_ms() + 3650 * day, &e), 0, "%s", e.text);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 1);
    cr_expect_eq(round_of(conninfo, 36500, 5, &e), 0, "a time before 1970 is nobody's month");
}

Test(retention, a_role_that_owns_nothing_is_told_what_it_lacks)
{
    char conninfo[CONNINFO_SIZE], writer[CONNINFO_SIZE + 40];
    struct err e;
    int64_t now_ms;
    cluster_tables(conninfo);
    add_month(conninfo, "2020-01");
    cluster_run(conninfo, "CREATE ROLE janitor LOGIN; GRANT USAGE ON SCHEMA roost TO janitor; "
                          "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA roost TO janitor");
    snprintf(writer, sizeof writer, "%s user=janitor", conninfo);
    cr_assert_eq(clock_parse(VIEW("2020-06-01T00:00:00Z"), &now_ms), 0);
    cr_expect_eq(round_of(writer, 30, now_ms, &e), -1);
    cr_expect_eq(e.kind, ERR_FATAL, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "as the same role"), "%s", e.text);
    cr_expect_eq(tables_like(conninfo, "^posts_2020_01$"), 1);
    cluster_run(conninfo, "DROP OWNED BY janitor; DROP ROLE janitor");
}
