/* `roost migrate`: the tables come once, whole, whoever asks at the same time; what is wrong is said with
 * what to do. */
#include "sinks/migrate.h"

#include "bridge/post.h"
#include "sinks/schema.h"
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

Test(migrate, runs_twice)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    cluster_tables(conninfo);
    cluster_run(conninfo, "INSERT INTO roost.progress VALUES ('etl', 'a', 7)");
    cr_assert_eq(migrate_run(conninfo, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(cluster_count(conninfo, "SELECT sequence FROM roost.progress"), 7);
    cr_assert_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.schema_version"),
                 (int64_t)schema_version_count);
}

static void *migrate_at_once(void *conninfo)
{
    struct err e;
    return migrate_run(conninfo, NULL, &e) ? strdup(e.text) : NULL;
}

Test(migrate, four_at_once)
{
    char conninfo[CONNINFO_SIZE];
    pthread_t threads[4];
    cluster_database(conninfo);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, migrate_at_once, conninfo);
    }
    for (int i = 0; i < 4; i++) {
        void *text;
        pthread_join(threads[i], &text);
        cr_expect_null(text, "%s", (char *)text);
    }
    cr_assert_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.schema_version"),
                 (int64_t)schema_version_count);
}

Test(migrate, makes_the_columns_that_posts_have)
{
    static const char *const of_the_database[] = {"loaded_at", "batch_id", "deleted_at", "deleted_why"};
    char conninfo[CONNINFO_SIZE], sql[200], type[64];
    int64_t count = sizeof of_the_database / sizeof of_the_database[0];
    static const char *const types[] = {[POST_TEXT] = "text",
                                        [POST_LIST] = "ARRAY",
                                        [POST_NUMBER] = "bigint",
                                        [POST_FLAG] = "boolean",
                                        [POST_REAL] = "double precision",
                                        [POST_TIME] = "timestamp with time zone",
                                        [POST_JSON] = "jsonb"};
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    for (size_t i = 0; i < post_field_count; i++) {
        if (post_fields[i].use & POST_IN_TABLE) {
            snprintf(sql, sizeof sql,
                     "SELECT data_type FROM information_schema.columns WHERE table_schema = 'roost' AND "
                     "table_name = 'posts' AND column_name = '%s'",
                     post_fields[i].name);
            cr_expect_str_eq(cluster_ask(c, sql, type, sizeof type), types[post_fields[i].type],
                             "column %s: %s", post_fields[i].name, type);
            count++;
        }
    }
    cr_assert_eq(
        cluster_number(c, "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'roost' "
                          "AND table_name = 'posts'"),
        count, "roost.posts has columns that no post has");
    PQfinish(c);
}

Test(migrate, makes_all_tables_by_name_and_column)
{
    char conninfo[CONNINFO_SIZE], sql[500], text[500];
    static const char *const tables[][2] = {
        {"batches",
         "id,consumer,spool,first_sequence,last_sequence,received,loaded,duplicate,filtered,rejected,"
         "events,batch_time,started_at,finished_at,expired"},
        {"progress", "consumer,spool,sequence"},
        {"events", "network,source,kind,id,author_id,received_at,batch_id,body"},
        {"gaps", "source,started_at,ended_at,cause,detail,undelivered"},
        {"rejects", "rejected_at,batch_id,sequence,why,frame"},
        {"retention", "one,posts_before,batches_before,last_batch"},
        {"keyword_versions",
         "network,source,version,contents,number,rule_id,rule,tag,keywords,languages,began_at,"
         "ended_at"},
    };
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        snprintf(
            sql, sizeof sql,
            "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns "
            "WHERE table_schema = 'roost' AND table_name = '%s'",
            tables[i][0]);
        cr_expect_str_eq(cluster_ask(c, sql, text, sizeof text), tables[i][1]);
    }
    cr_expect_str_eq(
        cluster_ask(c,
                    "SELECT string_agg(attname, ',' ORDER BY ordinality) FROM pg_constraint, "
                    "unnest(conkey) WITH ORDINALITY JOIN pg_attribute ON attnum = unnest WHERE conrelid "
                    "= 'roost.posts'::regclass AND contype = 'p' AND attrelid = conrelid",
                    text, sizeof text),
        "id,network,created_at");
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'roost.posts'::regclass AND "
                          "attname = 'id' AND attcollation = '\"C\"'::regcollation"),
        1);
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'roost.posts'::regclass"), 3,
        "default, this month and the next");
    PQfinish(c);
}

Test(migrate, conservation_is_a_constraint)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    PGconn *c = cluster_connect(conninfo);
    PGresult *r =
        PQexec(c, "INSERT INTO roost.batches (consumer, spool, first_sequence, last_sequence, received, "
                  "loaded, duplicate, filtered, rejected, events, batch_time, started_at, finished_at) "
                  "VALUES ('etl', 'a', 1, 5, 5, 1, 1, 1, 0, 1, now(), now(), now())");
    cr_assert_str_eq(PQresultErrorField(r, PG_DIAG_SQLSTATE), "23514");
    PQclear(r);
    PQfinish(c);
}

Test(migrate, removed_posts_and_other_networks_are_not_in_the_view_tweets)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    cluster_run(conninfo,
                "INSERT INTO roost.posts (network, id, created_at, source, received_at, batch_id, text, "
                "clean_text, deleted_at) VALUES ('x', '1', now(), 's', now(), 1, '', '', NULL), "
                "('x', '2', now(), 's', now(), 1, '', '', now()), "
                "('bluesky', '3', now(), 's', now(), 1, '', '', NULL)");
    cr_assert_eq(cluster_count(conninfo, "SELECT sum(id::bigint) FROM roost.tweets"), 1);
}

/* The tables as a roost that knew the first `count` versions left them. */
static void make_older_tables(const char *conninfo, size_t count)
{
    cluster_run(conninfo,
                "CREATE SCHEMA roost; CREATE TABLE roost.schema_version (version integer PRIMARY KEY, what "
                "text NOT NULL, roost text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
    for (size_t i = 0; i < count; i++) {
        char sql[200];
        cluster_run(conninfo, schema_versions[i].sql);
        snprintf(sql, sizeof sql, "INSERT INTO roost.schema_version VALUES (%d, '%s', '0.1.0')",
                 schema_versions[i].number, schema_versions[i].what);
        cluster_run(conninfo, sql);
    }
}

Test(migrate, rules_come_to_tables_with_rows_in_every_partition)
{
    char conninfo[CONNINFO_SIZE], text[500];
    struct err e;
    cluster_database(conninfo);
    make_older_tables(conninfo, 2);
    cluster_run(
        conninfo,
        "SELECT roost.make_partition('2020-05-01'); "
        "INSERT INTO roost.posts (network, id, created_at, source, received_at, batch_id, text, clean_text, "
        "hashtags) VALUES ('x', '1', '2020-05-05', 's', now(), 1, 'in a month', '', '{a,b}'), "
        "('x', '2', '2015-01-01', 's', now(), 1, 'in the default partition', '', '{}')");
    cr_assert_eq(migrate_run(conninfo, NULL, &e), 0, "%s", e.text);
    PGconn *c = cluster_connect(conninfo);
    cr_expect_str_eq(
        cluster_ask(c,
                    "SELECT string_agg(id || ' ' || text || ' ' || hashtags::text || rules::text, ',' "
                    "ORDER BY id) FROM roost.tweets",
                    text, sizeof text),
        "1 in a month {a,b}{},2 in the default partition {}{}");
    /* New rows take them, old months and a month that is made of the default partition's rows too. */
    cr_expect_str_eq(
        cluster_ask(c,
                    "INSERT INTO roost.posts (network, id, created_at, source, received_at, batch_id, "
                    "text, clean_text, rules) VALUES ('x', '3', '2020-05-06', 's', now(), 1, '', '', "
                    "'{one,two}'), ('x', '4', '2015-01-02', 's', now(), 1, '', '', '{three}'); "
                    "SELECT roost.make_partition('2015-01-01'); "
                    "SELECT string_agg(id || rules::text, ',' ORDER BY id) FROM roost.tweets",
                    text, sizeof text),
        "1{},2{},3{one,two},4{three}");
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.posts_2015_01"), 2);
    PQfinish(c);
}

static void expect_failure(const char *conninfo, enum err_kind kind, const char *part)
{
    struct err e = {.text = ""};
    cr_assert_eq(migrate_run(conninfo, NULL, &e), -1);
    cr_expect_eq(e.kind, kind, "%s", e.text);
    cr_expect_not_null(strstr(e.text, part), "\"%s\" does not say \"%s\"", e.text, part);
}

Test(migrate, a_newer_schema_is_left_alone)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    cluster_run(conninfo,
                "INSERT INTO roost.schema_version (version, what, roost) VALUES (999, 'future', '9.9')");
    expect_failure(conninfo, ERR_FATAL, "version 999");
}

Test(migrate, says_what_is_wrong_with_the_server_or_the_rights)
{
    char conninfo[CONNINFO_SIZE], other[CONNINFO_SIZE + 40];
    cluster_database(conninfo);
    const char *end = strstr(conninfo, " dbname=");
    snprintf(other, sizeof other, "%.*s dbname=not_there", (int)(end - conninfo), conninfo);
    expect_failure(other, ERR_FATAL, "createdb");
    expect_failure("host=/nowhere dbname=roost", ERR_RETRY, "/nowhere");
    expect_failure("host='never closed", ERR_FATAL, "libpq cannot parse it");
    cluster_run(conninfo, "CREATE ROLE reader LOGIN");
    snprintf(other, sizeof other, "%s user=reader", conninfo);
    expect_failure(other, ERR_FATAL, "grant");
    snprintf(other, sizeof other, "%s user=nobody_knows", conninfo);
    expect_failure(other, ERR_FATAL, "pg_hba.conf");
    cluster_run(conninfo, "DROP ROLE reader");
}

Test(migrate, an_encoding_that_cannot_hold_posts_is_refused)
{
    char conninfo[CONNINFO_SIZE], other[CONNINFO_SIZE];
    cluster_database(conninfo);
    cluster_run(conninfo,
                "CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    const char *end = strstr(conninfo, " dbname=");
    snprintf(other, sizeof other, "%.*s dbname=latin", (int)(end - conninfo), conninfo);
    expect_failure(other, ERR_FATAL, "LATIN1");
}

Test(migrate, a_sink_without_tables_says_what_to_do)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    uint64_t sequence;
    cluster_database(conninfo);
    struct sink *s = sink_on(conninfo);
    cr_assert_eq(sink_postgres.position(s, "etl", VIEW("a"), &sequence, &e), -1);
    cr_expect_eq(e.kind, ERR_FATAL);
    cr_expect_not_null(strstr(e.text, "roost migrate -c FILE"), "%s", e.text);
    cr_assert_eq(migrate_run(conninfo, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(sink_postgres.position(s, "etl", VIEW("a"), &sequence, &e), 0, "%s", e.text);
    cr_expect_eq(sequence, 0u);
    sink_postgres.close(s);
}

Test(migrate, a_column_of_another_type_stops_the_sink_instead_of_rejecting_everything)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    uint64_t sequence;
    cluster_tables(conninfo);
    cluster_run(conninfo, "DROP VIEW roost.tweets; ALTER TABLE roost.posts ALTER likes TYPE integer");
    struct sink *s = sink_on(conninfo);
    cr_assert_eq(sink_postgres.position(s, "etl", VIEW("a"), &sequence, &e), -1);
    cr_expect_eq(e.kind, ERR_FATAL);
    cr_expect_not_null(strstr(e.text, "roost.posts.likes is integer"), "%s", e.text);
    sink_postgres.close(s);
}

Test(migrate, keyword_versions_come_to_tables_of_the_version_before)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    cluster_database(conninfo);
    make_older_tables(conninfo, 3);
    cluster_run(conninfo,
                "INSERT INTO roost.events (kind, source, batch_id, body) VALUES ('count', 'x', 1, '{}')");
    cr_assert_eq(migrate_run(conninfo, NULL, &e), 0, "%s", e.text);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.events"), 1);
    struct sink *sink = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    load_add_event(m, POST_KEYWORDS,
                   "{\"version\":\"a\",\"contents\":\"c\",\"since\":\"2026-01-02T03:04:05.000Z\","
                   "\"languages\":[],\"rules\":[{\"number\":1,\"keywords\":[\"tea\"]}]}")
        ->source = VIEW("x");
    load_end(m);
    cr_assert_eq(sink_postgres.write(sink, &m->load, &e), 0, "%s", e.text);
    cr_expect_eq(
        cluster_count(conninfo, "SELECT count(*) FROM roost.keyword_versions WHERE keywords = '{tea}'"), 1);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM pg_description WHERE objoid = "
                                         "'roost.keyword_versions'::regclass"),
                 13, "the table and its columns say what they are");
    sink_postgres.close(sink);
    free(m);
}
