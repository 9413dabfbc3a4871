/* Months of roost.posts: made ahead, never by a post's own time, and nothing is lost when rows move. */
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

#define THIS_MONTH "posts_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"

/* Takes this month's partition away, as if the month had come unnoticed. */
static void drop_this_month(const char *conninfo)
{
    cluster_run(conninfo, "DO $$ BEGIN EXECUTE 'DROP TABLE roost." THIS_MONTH "; END $$");
}

static int64_t partitions(const char *conninfo)
{
    return cluster_count(conninfo,
                         "SELECT count(*) FROM pg_inherits WHERE inhparent = 'roost.posts'::regclass");
}

static void write_all(struct sink *s, struct made_load *m)
{
    struct err e;
    cr_assert_eq(sink_postgres.write(s, load_end(m), &e), 0, "%s", e.text);
    free(m);
}

Test(partitions, are_made_ahead_when_the_sink_connects)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    drop_this_month(conninfo);
    cr_assert_eq(partitions(conninfo), 2);
    struct sink *s = sink_on(conninfo);
    write_all(s, load_of(1, 1, 3));
    cr_expect_eq(partitions(conninfo), 3);
    sink_postgres.close(s);
}

Test(partitions, no_post_makes_one)
{
    static const int64_t times[] = {0, -1, 1359677059987, 4102444800000, 9000000000000};
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        load_add_post(m, (int64_t)i)->created_at = times[i];
    }
    load_add_post(m, 100)->created_at = clock_wall_ms();
    write_all(s, m);
    cr_expect_eq(partitions(conninfo), 3);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default"), 5);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 6);
    sink_postgres.close(s);
}

Test(partitions, rows_move_out_of_the_default_when_their_month_comes)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    drop_this_month(conninfo);
    cluster_run(
        conninfo,
        "INSERT INTO roost.posts (network, id, created_at, source, received_at, batch_id, text, clean_text, "
        "hashtags) SELECT 'x', i::text, date_trunc('month', now(), 'UTC') + i * interval '1 hour', 's', "
        "now(), 1, 'text ' || i, '', ARRAY['a', 'b'] FROM generate_series(0, 99) i");
    cluster_run(conninfo,
                "INSERT INTO roost.posts (network, id, created_at, source, received_at, batch_id, text, "
                "clean_text) VALUES ('x', 'before', date_trunc('month', now(), 'UTC') - interval '1 "
                "microsecond', 's', now(), 1, '', '')");
    cr_assert_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default"), 101);
    struct sink *s = sink_on(conninfo);
    write_all(s, load_of(1, 1, 3));
    cr_expect_eq(partitions(conninfo), 3);
    cr_expect_eq(
        cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default WHERE created_at >= '2020-01-01'"),
        1);
    cr_expect_eq(cluster_count(conninfo,
                               "SELECT count(*) FROM roost.posts WHERE text = 'text ' || id AND hashtags = "
                               "'{a,b}' AND tableoid = ('roost." THIS_MONTH ")::regclass"),
                 100);
    cr_expect_eq(cluster_count(conninfo,
                               "SELECT count(*) FROM pg_constraint WHERE conrelid = ('roost." THIS_MONTH
                               ")::regclass AND contype = 'c'"),
                 0);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM pg_index WHERE indrelid = ('roost." THIS_MONTH
                                         ")::regclass"),
                 4, "the key, created_at, hashtags, keywords");
    /* The key holds in the new partition as before. */
    cr_expect_eq(
        cluster_count(conninfo,
                      "WITH again AS (INSERT INTO roost.posts (network, id, created_at, source, received_at, "
                      "batch_id, text, clean_text) SELECT network, id, created_at, source, received_at, 1, "
                      "'', '' FROM roost.posts ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM "
                      "again"),
        0);
    sink_postgres.close(s);
}

Test(partitions, an_operator_can_make_one_for_an_archive)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    load_add_post(m, 1)->created_at = 1359677059987; /* 2013-02-01T00:04:19.987Z */
    load_add_post(m, 2)->created_at = 1359676799999; /* the last millisecond of January */
    write_all(s, m);
    cluster_run(conninfo, "SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY';"
                          "SELECT roost.make_partition('2013-02-14')");
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_2013_02"), 1);
    cr_expect_eq(cluster_count(conninfo, "SELECT roost.make_partition('2013-02-28')::int"), 0);
    m = load_begin(3);
    load_add_post(m, 1)->created_at = 1359677059987;
    load_add_post(m, 3)->created_at = 1359677059988;
    write_all(s, m);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_2013_02"), 2);
    cr_expect_eq(cluster_count(conninfo, "SELECT duplicate FROM roost.batches ORDER BY id DESC LIMIT 1"), 1);
    sink_postgres.close(s);
}

Test(partitions, a_reader_of_the_default_delays_no_load)
{
    char conninfo[CONNINFO_SIZE], text[10];
    cluster_tables(conninfo);
    drop_this_month(conninfo);
    PGconn *reader = cluster_connect(conninfo);
    cluster_ask(reader, "BEGIN", text, sizeof text);
    cluster_ask(reader, "SELECT count(*) FROM roost.posts", text, sizeof text);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    load_add_post(m, 1)->created_at = clock_wall_ms();
    write_all(s, m);
    cr_expect_eq(partitions(conninfo), 2);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default"), 1);
    cluster_ask(reader, "COMMIT", text, sizeof text);
    PQfinish(reader);
    sink_postgres.close(s);
    s = sink_on(conninfo);
    write_all(s, load_of(2, 2, 1));
    cr_expect_eq(
        cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default WHERE created_at > '2020-01-01'"),
        0);
    sink_postgres.close(s);
}

Test(partitions, a_role_that_may_only_write_loads_into_the_default)
{
    char conninfo[CONNINFO_SIZE], writer[CONNINFO_SIZE + 40];
    cluster_tables(conninfo);
    drop_this_month(conninfo);
    cluster_run(conninfo, "CREATE ROLE writer LOGIN; GRANT USAGE ON SCHEMA roost TO writer;"
                          "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA roost TO writer;"
                          "GRANT USAGE ON ALL SEQUENCES IN SCHEMA roost TO writer");
    snprintf(writer, sizeof writer, "%s user=writer", conninfo);
    struct sink *s = sink_on(writer);
    write_all(s, load_of(1, 1, 3));
    write_all(s, load_of(4, 1, 4));
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts_default"), 4);
    sink_postgres.close(s);
    cluster_run(conninfo, "REVOKE SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA roost FROM writer");
    struct err e;
    struct made_load *m = load_of(8, 8, 1);
    s = sink_on(writer);
    cr_expect_eq(sink_postgres.write(s, &m->load, &e), -1);
    cr_expect_eq(e.kind, ERR_FATAL, "%s", e.text);
    cr_expect_not_null(strstr(e.text, "grant"), "%s", e.text);
    free(m);
    sink_postgres.close(s);
    cluster_run(conninfo, "DROP OWNED BY writer; DROP ROLE writer");
}
