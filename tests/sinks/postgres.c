/* The load into PostgreSQL: what goes in comes out exactly, once, and everything that came is accounted for.
 */
#include "sinks/postgres.h"

#include "base/clock.h"
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

static void write_all(struct sink *s, struct made_load *m)
{
    struct err e;
    cr_assert_eq(sink_postgres.write(s, load_end(m), &e), 0, "%s", e.text);
    free(m);
}

static uint64_t position_of(struct sink *s)
{
    struct err e;
    uint64_t sequence;
    cr_assert_eq(sink_postgres.position(s, "etl", VIEW("spool-a"), &sequence, &e), 0, "%s", e.text);
    return sequence;
}

/* "received loaded duplicate filtered rejected events" of the latest batch. */
static const char *latest(const char *conninfo, char *into, size_t size)
{
    PGconn *c = cluster_connect(conninfo);
    cluster_ask(
        c,
        "SELECT concat_ws(' ', received, loaded, duplicate, filtered, rejected, events) FROM roost.batches "
        "ORDER BY id DESC LIMIT 1",
        into, size);
    PQfinish(c);
    return into;
}

static const struct view hard[] = {
    VIEW(""),
    VIEW("NULL"),
    VIEW("\\N"),
    VIEW("it's \"quoted\" \\ and \\\\ back"),
    VIEW("line\nbreak\r\nand\ttab"),
    VIEW("{braces,commas,\"quotes\"} {}"),
    VIEW("\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB \xF0\x9F\x87\xA9\xF0\x9F\x87\xAA"),
    VIEW("\xD8\xA7\xD9\x84\xD8\xB3\xD9\x84\xD8\xA7\xD9\x85 \xE2\x80\xAE"
         "dlrow\xE2\x80\xAC"),
    VIEW("\xE2\x80\xA8 and \xE2\x80\xA9"),
    VIEW("\x01\x02\x7F\xEF\xBF\xBD\xEF\xBF\xBF"),
    VIEW("__end __END"),
    VIEW("  spaces at both ends  "),
};
enum { HARD = sizeof hard / sizeof hard[0] };

Test(postgres, hard_texts_come_back_byte_for_byte)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    for (size_t i = 0; i < HARD; i++) {
        struct post *p = load_add_post(m, (int64_t)i);
        p->text = p->clean_text = p->author_name = hard[i];
        p->hashtags = (struct view_list){hard, i};
    }
    write_all(s, m);
    PGconn *c = cluster_connect(conninfo);
    for (size_t i = 0; i < HARD; i++) {
        char id[8];
        const char *values[] = {id, hard[i].at};
        snprintf(id, sizeof id, "%zu", i);
        PGresult *r =
            PQexecParams(c,
                         "SELECT text = $2 AND clean_text = $2 AND author_name = $2 AND "
                         "octet_length(text) = octet_length($2), text FROM roost.posts WHERE id = $1",
                         2, NULL, values, NULL, NULL, 0);
        cr_expect_str_eq(PQgetvalue(r, 0, 0), "t", "text %zu came back as \"%s\"", i, PQgetvalue(r, 0, 1));
        PQclear(r);
        for (size_t k = 0; k < i; k++) {
            char at[8];
            const char *item[] = {id, hard[k].at, at};
            snprintf(at, sizeof at, "%zu", k + 1);
            r = PQexecParams(
                c,
                "SELECT hashtags[$3::int] = $2 AND cardinality(hashtags) = $1::int FROM roost.posts "
                "WHERE id = $1::text",
                3, NULL, item, NULL, NULL, 0);
            cr_expect_str_eq(PQgetvalue(r, 0, 0), "t", "item %zu of the array of post %zu", k, i);
            PQclear(r);
        }
    }
    PQfinish(c);
    sink_postgres.close(s);
}

Test(postgres, every_type_of_column_and_its_null)
{
    char conninfo[CONNINFO_SIZE], text[200];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    struct post *p = load_add_post(m, 1);
    p->created_at = 1539202764211;
    p->author_followers = INT64_MAX;
    p->likes = -5;
    p->is_reply = 0;
    p->sensitive = 1;
    p->latitude = -33.25;
    p->longitude = 0.1;
    p->raw = VIEW("{\"a\": [1, \"\xC3\xA4\"]}");
    p->author_created_at = -1;
    p = load_add_post(m, 2); /* all optional fields absent */
    p->clean_text = view_none();
    write_all(s, m);
    PGconn *c = cluster_connect(conninfo);
    cluster_ask(
        c,
        "SELECT concat_ws(' ', extract(epoch FROM created_at)::numeric(20, 3), author_followers, likes, "
        "is_reply, sensitive, latitude, longitude, raw->'a'->>1, extract(epoch FROM "
        "author_created_at)::numeric(20, 3)) FROM roost.posts WHERE id = '1'",
        text, sizeof text);
    cr_expect_str_eq(text, "1539202764.211 9223372036854775807 -5 f t -33.25 0.1 \xC3\xA4 -0.001");
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FROM roost.posts WHERE id = '2' AND clean_text = '' AND likes IS "
                          "NULL AND is_reply IS NULL AND latitude IS NULL AND raw IS NULL AND author_id IS "
                          "NULL AND author_created_at IS NULL AND hashtags = '{}' AND withheld_in = '{}' "
                          "AND deleted_at IS NULL AND abs(extract(epoch FROM now() - loaded_at)) < 300 AND "
                          "batch_id = (SELECT id FROM roost.batches)"),
        1);
    PQfinish(c);
    sink_postgres.close(s);
}

Test(postgres, nul_bytes_are_left_out)
{
    char conninfo[CONNINFO_SIZE], text[50];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    load_add_post(m, 1)->text = VIEW("a\0b\0");
    write_all(s, m);
    PGconn *c = cluster_connect(conninfo);
    cr_expect_str_eq(cluster_ask(c, "SELECT text FROM roost.posts", text, sizeof text), "ab");
    PQfinish(c);
    sink_postgres.close(s);
}

Test(postgres, doubled_keys_count_as_duplicates_within_a_load_and_across_loads)
{
    char conninfo[CONNINFO_SIZE], counts[100];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_of(1, 100, 10);
    load_add_post(m, 103);
    load_add_post(m, 109);
    write_all(s, m);
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "12 10 2 0 0 0");
    m = load_of(13, 105, 10); /* five are there already */
    load_add_post(m, 114);
    write_all(s, m);
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "11 5 6 0 0 0");
    write_all(s, load_of(24, 100, 3)); /* begins with the staging table, nothing is new */
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "3 0 3 0 0 0");
    write_all(s, load_of(27, 200, 3));
    write_all(s, load_of(30, 300, 3)); /* straight again */
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "3 3 0 0 0 0");
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 21);
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(loaded) FROM roost.batches"), 21);
    cr_expect_eq(position_of(s), 32u);
    sink_postgres.close(s);
}

Test(postgres, events_rejects_gaps_and_counts_are_kept)
{
    char conninfo[CONNINFO_SIZE], counts[100];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_of(1, 1, 2);
    struct post *p = load_add_event(m, POST_DELETE, "{\"delete\":{}}");
    p->id = VIEW("77");
    p->author_id = VIEW("88");
    load_add_event(m, POST_COUNT, "{\"received\":9,\"filtered\":4}");
    m->part.filtered = 4;
    load_add_event(m, POST_GAP,
                   "{\"started_at\":\"2018-10-10T20:00:00.000Z\",\"ended_at\":\"2018-10-10T20:01:00Z\","
                   "\"cause\":\"stall\",\"detail\":\"90 s without a byte\",\"undelivered\":12}");
    load_add_event(m, POST_GAP, "{\"cause\":\"stall\"}");
    load_add_event(m, POST_UNKNOWN, NULL);
    load_add_reject(m, "not\001json", "no JSON: byte 4 \xF0\x9F");
    write_all(s, m);
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "12 2 0 4 1 5");
    PGconn *c = cluster_connect(conninfo);
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FROM roost.events WHERE kind = 'delete' AND id = '77' AND "
                          "author_id = '88' AND body = '{\"delete\":{}}' AND network = 'x' AND source = "
                          "'covid'"),
        1);
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.events"), 5);
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.gaps"), 1);
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FROM roost.gaps WHERE source = 'covid' AND cause = 'stall' AND "
                          "ended_at - started_at = '1 min' AND undelivered = 12"),
        1);
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FROM roost.rejects WHERE frame = '\\x6e6f74016a736f6e' AND "
                          "sequence = 8 AND why LIKE 'no JSON: byte 4 %' AND batch_id = (SELECT id FROM "
                          "roost.batches)"),
        1);
    PQfinish(c);
    sink_postgres.close(s);
}

Test(postgres, what_the_database_refuses_is_set_aside_and_the_rest_loads)
{
    char conninfo[CONNINFO_SIZE], counts[100];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_begin(1);
    static char long_id[9000];
    for (size_t i = 0; i + 1 < sizeof long_id; i++) {
        long_id[i] = (char)('a' + rand() % 26); /* compressed it would fit an index row */
    }
    for (int i = 0; i < 100; i++) {
        struct post *p = load_add_post(m, i);
        if (i == 3) {
            p->raw = VIEW("{\"no json");
        } else if (i == 50) {
            p->created_at = INT64_MAX - 1;
        } else if (i == 51) {
            p->created_at = CLOCK_NONE;
        } else if (i == 52) {
            p->created_at = -300000000000000;
        } else if (i == 77) {
            p->text = VIEW("\xFF\xFE");
        } else if (i == 98) {
            p->id = view_of(long_id);
        }
    }
    load_add_post(m, 3); /* the twin of a refused one is not refused */
    load_add_event(m, POST_UNKNOWN, "{\"good\":1}");
    load_add_event(m, POST_UNKNOWN, "{bad");
    load_end(m);
    write_all(s, m);
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "103 95 0 0 7 1");
    PGconn *c = cluster_connect(conninfo);
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.posts"), 95);
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.posts WHERE id = '3'"), 1);
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.events"), 1);
    cr_expect_str_eq(
        cluster_ask(c, "SELECT string_agg(sequence::text, ' ' ORDER BY sequence) FROM roost.rejects", counts,
                    sizeof counts),
        "4 51 52 53 78 99 103");
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.rejects WHERE convert_from(frame, 'UTF8') = "
                                   "'{\"the\":\"frame\"}' AND why <> ''"),
                 6);
    PQfinish(c);
    cr_expect_eq(position_of(s), 103u);
    sink_postgres.close(s);
}

Test(postgres, frames_that_are_in_already_are_skipped)
{
    char conninfo[CONNINFO_SIZE], counts[100];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    write_all(s, load_of(1, 1, 5));
    write_all(s, load_of(1, 1, 5)); /* whole: no batch at all */
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.batches"), 1);
    struct made_load *m = load_begin(4);
    load_add_post(m, 4);
    load_add_event(m, POST_COUNT, "{\"filtered\":3}"); /* sequence 5: skipped, and so is what it counts */
    load_add_event(m, POST_COUNT, "{\"filtered\":2}");
    load_add_post(m, 6);
    m->part.filtered = 5;
    write_all(s, m);
    cr_expect_str_eq(latest(conninfo, counts, sizeof counts), "4 1 0 2 0 1");
    cr_expect_eq(cluster_count(conninfo, "SELECT first_sequence FROM roost.batches ORDER BY id DESC LIMIT 1"),
                 6);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 6);
    sink_postgres.close(s);
}

Test(postgres, several_spools_in_one_load_have_a_batch_row_each)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    uint64_t sequence;
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *a = load_of(1, 1, 5), *b = load_of(1, 4, 5);
    struct load_part parts[2] = {a->part, b->part};
    parts[1].spool = VIEW("spool-b");
    struct load load = a->load;
    load.parts = parts;
    load.part_count = 2;
    cr_assert_eq(sink_postgres.write(s, &load, &e), 0, "%s", e.text);
    cr_expect_eq(cluster_count(conninfo, "SELECT loaded FROM roost.batches WHERE spool = 'spool-a'"), 5);
    cr_expect_eq(
        cluster_count(conninfo, "SELECT loaded FROM roost.batches WHERE spool = 'spool-b' AND duplicate = 2"),
        3);
    cr_assert_eq(sink_postgres.position(s, "etl", VIEW("spool-b"), &sequence, &e), 0, "%s", e.text);
    cr_expect_eq(sequence, 5u);
    free(a);
    free(b);
    sink_postgres.close(s);
}

static void expect_latest(struct sink *s, const char *consumer, const char *spool, uint64_t sequence)
{
    struct err e;
    struct sink_latest latest;
    cr_assert_eq(sink_postgres.latest(s, consumer, &latest, &e), 0, "%s", e.text);
    cr_expect_str_eq(latest.spool, spool);
    cr_expect_eq(latest.sequence, sequence);
}

static void write_to(struct sink *s, const char *consumer, const char *spool, uint64_t first, int64_t id)
{
    struct made_load *m = load_of(first, id, 5);
    m->load.consumer = consumer;
    m->part.spool = view_of(spool);
    write_all(s, m);
}

Test(postgres, the_spool_written_last_is_the_one_of_the_newest_batch)
{
    char conninfo[CONNINFO_SIZE];
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    expect_latest(s, "etl", "", 0);
    write_to(s, "etl", "spool-b", 1, 1);
    write_to(s, "etl", "spool-a", 1, 6);
    expect_latest(s, "etl", "spool-a", 5);
    write_to(s, "etl", "spool-b", 6, 11);
    write_to(s, "another", "spool-c", 1, 16);
    expect_latest(s, "etl", "spool-b", 10);
    expect_latest(s, "nobody", "", 0);
    cluster_run(conninfo, "DELETE FROM roost.batches");
    expect_latest(s, "etl", "", 0);
    expect_latest(s, "another", "spool-c", 5);
    cluster_run(conninfo, "UPDATE roost.progress SET spool = repeat('x', 33) WHERE consumer = 'another'");
    expect_latest(s, "another", "", 0);
    sink_postgres.close(s);
}

Test(postgres, a_position_that_somebody_moved_is_seen_and_nothing_is_written)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    write_all(s, load_of(1, 1, 5));
    cluster_run(conninfo, "UPDATE roost.progress SET sequence = 7");
    struct made_load *m = load_of(6, 6, 5);
    cr_assert_eq(sink_postgres.write(s, &m->load, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY);
    cr_expect_not_null(strstr(e.text, "another consumer"), "%s", e.text);
    free(m);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.batches"), 1);
    cr_expect_eq(position_of(s), 7u);
    write_all(s, load_of(8, 8, 5));
    cr_expect_eq(cluster_count(conninfo, "SELECT sequence FROM roost.progress"), 12);
    sink_postgres.close(s);
}

struct blocked {
    struct sink *sink;
    struct made_load *load;
    struct err e;
    int rc;
};

static void *write_blocked(void *user)
{
    struct blocked *b = user;
    b->rc = sink_postgres.write(b->sink, &b->load->load, &b->e);
    return NULL;
}

/* Waits until somebody waits for a lock. */
static void await_waiting(PGconn *c)
{
    while (cluster_number(c,
                          "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM "
                          "pg_database WHERE datname = current_database())") == 0) {
        struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
        nanosleep(&moment, NULL);
    }
}

Test(postgres, stop_ends_a_write_that_waits_for_a_lock)
{
    char conninfo[CONNINFO_SIZE], text[10];
    uint64_t sequence;
    pthread_t thread;
    cluster_tables(conninfo);
    struct blocked b = {.sink = sink_on(conninfo), .load = load_of(1, 1, 10)};
    cr_assert_eq(position_of(b.sink), 0u);
    PGconn *c = cluster_connect(conninfo);
    cluster_ask(c, "BEGIN", text, sizeof text);
    cluster_ask(c, "LOCK TABLE roost.posts IN SHARE MODE", text, sizeof text);
    pthread_create(&thread, NULL, write_blocked, &b);
    PGconn *watch = cluster_connect(conninfo);
    await_waiting(watch);
    int64_t told = clock_steady_ms();
    sink_postgres.stop(b.sink);
    pthread_join(thread, NULL);
    cr_expect_lt(clock_steady_ms() - told, 1000);
    cr_expect_eq(b.rc, -1);
    cr_expect_eq(b.e.kind, ERR_RETRY, "%s", b.e.text);
    cr_expect_eq(sink_postgres.position(b.sink, "etl", VIEW("spool-a"), &sequence, &b.e), -1,
                 "it stays stopped");
    cluster_ask(c, "COMMIT", text, sizeof text);
    sink_postgres.close(b.sink);
    b.sink = sink_on(conninfo);
    cr_expect_eq(position_of(b.sink), 0u);
    write_blocked(&b);
    cr_expect_eq(b.rc, 0, "%s", b.e.text);
    cr_expect_eq(cluster_number(c, "SELECT count(*) FROM roost.posts"), 10);
    PQfinish(c);
    PQfinish(watch);
    free(b.load);
    sink_postgres.close(b.sink);
}

Test(postgres, stop_ends_a_connect_that_nobody_answers)
{
    struct err e;
    uint64_t sequence;
    /* 192.0.2.0/24 is never routed (RFC 5737); where the network says so at once, that is fine too. */
    struct sink *s = sink_on("host=192.0.2.1 dbname=roost connect_timeout=1");
    int64_t begin = clock_steady_ms();
    cr_expect_eq(sink_postgres.position(s, "etl", VIEW("a"), &sequence, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_lt(clock_steady_ms() - begin, 5000);
    sink_postgres.stop(s);
    begin = clock_steady_ms();
    cr_expect_eq(sink_postgres.position(s, "etl", VIEW("a"), &sequence, &e), -1);
    cr_expect_lt(clock_steady_ms() - begin, 500);
    sink_postgres.close(s);
}

Test(postgres, a_load_that_does_not_add_up_is_refused)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_of(1, 1, 3);
    m->part.received = 4;
    cr_assert_eq(sink_postgres.write(s, &m->load, &e), -1);
    cr_expect_eq(e.kind, ERR_FATAL, "%s", e.text);
    free(m);
    sink_postgres.close(s);
}

Test(postgres, thousands_of_rows_with_long_texts_cross_in_pieces)
{
    char conninfo[CONNINFO_SIZE];
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    struct made_load *m = load_of(1, 1, LOAD_MOST);
    for (size_t i = 0; i < LOAD_MOST; i++) {
        m->posts[i].text = view_of(text);
    }
    write_all(s, m);
    cr_expect_eq(cluster_count(conninfo, "SELECT sum(length(text)) FROM roost.posts"), LOAD_MOST * 2999);
    sink_postgres.close(s);
}
