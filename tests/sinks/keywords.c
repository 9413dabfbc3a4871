/* roost.keyword_versions: what was in force when, however often and in whatever order it is told. */
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

enum { BODIES = 64, BODY_SIZE = 600 };

struct fixture {
    char conninfo[CONNINFO_SIZE];
    struct sink *sink;
    char bodies[BODIES][BODY_SIZE];
    size_t body_count;
    uint64_t sequence;
};

static void make(struct fixture *f)
{
    *f = (struct fixture){.sequence = 1};
    cluster_tables(f->conninfo);
    f->sink = sink_on(f->conninfo);
}

static void drop(struct fixture *f)
{
    sink_postgres.close(f->sink);
}

/* One event in a batch of its own. */
static void write_body(struct fixture *f, const char *consumer, const char *body)
{
    struct err e;
    struct made_load *m = load_begin(f->sequence++);
    load_add_event(m, POST_KEYWORDS, body)->source = VIEW("x");
    load_end(m);
    m->load.consumer = consumer;
    cr_assert_eq(sink_postgres.write(f->sink, &m->load, &e), 0, "%s", e.text);
    free(m);
}

/* Version `name` since second `since`: a rule, and lines in no rule. */
static void tell(struct fixture *f, const char *name, int since)
{
    char *body = f->bodies[f->body_count++];
    snprintf(body, BODY_SIZE,
             "{\"version\":\"%s\",\"contents\":\"c%s\",\"since\":\"2026-01-02T03:04:%02d.000Z\",\"part\":1,"
             "\"parts\":1,\"languages\":[\"en\",\"de\"],\"rules\":[{\"number\":1,\"id\":\"17\",\"tag\":"
             "\"roost:x:%s:1\",\"rule\":\"(tea OR #tea)\",\"keywords\":[\"tea\",\"%s\"]},{\"number\":2,"
             "\"keywords\":[\"-sugar\"]}]}",
             name, name, since, name, name);
    write_body(f, "etl", body);
}

static void end_at(struct fixture *f, int second)
{
    char *body = f->bodies[f->body_count++];
    snprintf(body, BODY_SIZE, "{\"ended_at\":\"2026-01-02T03:04:%02d.000Z\"}", second);
    write_body(f, "etl", body);
}

/* "VERSION began-ended" of each first row, in order. */
static void expect_history(struct fixture *f, const char *expected)
{
    char text[500];
    PGconn *c = cluster_connect(f->conninfo);
    cluster_ask(
        c,
        "SELECT string_agg(format('%s %s-%s', version, extract(second FROM began_at)::int, extract(second "
        "FROM ended_at)::int), ', ' ORDER BY began_at) FROM roost.keyword_versions WHERE number = 1",
        text, sizeof text);
    cr_expect_str_eq(text, expected);
    cr_expect_eq(
        cluster_number(c, "SELECT count(*) FILTER (WHERE number = 1) - count(*) FILTER (WHERE number = 2) "
                          "FROM roost.keyword_versions"),
        0);
    PQfinish(c);
}

Test(keywords, a_version_has_its_rules_and_ends_where_the_next_begins)
{
    struct fixture f;
    make(&f);
    tell(&f, "aaaaaaaa", 10);
    expect_history(&f, "aaaaaaaa 10-");
    tell(&f, "bbbbbbbb", 20);
    expect_history(&f, "aaaaaaaa 10-20, bbbbbbbb 20-");
    cr_expect_eq(
        cluster_count(f.conninfo,
                      "SELECT count(*) FROM roost.keyword_versions WHERE network = 'x' AND source = 'x' AND "
                      "languages = '{en,de}' AND ((rule_id = '17' AND rule = '(tea OR #tea)' AND tag = "
                      "'roost:x:' || version || ':1' AND keywords = ARRAY['tea', version]) OR (rule_id IS "
                      "NULL AND rule IS NULL AND tag IS NULL AND keywords = '{-sugar}'))"),
        4);
    cr_expect_eq(cluster_count(f.conninfo, "SELECT sum(events) FROM roost.batches"), 2);
    cr_expect_eq(cluster_count(f.conninfo, "SELECT count(*) FROM roost.events WHERE kind = 'keywords'"), 2);
    drop(&f);
}

Test(keywords, told_again_by_a_new_spool_or_a_killed_listener_are_the_same_rows)
{
    struct fixture f;
    make(&f);
    tell(&f, "aaaaaaaa", 10);
    tell(&f, "aaaaaaaa", 15);
    expect_history(&f, "aaaaaaaa 10-");
    tell(&f, "bbbbbbbb", 20);
    tell(&f, "bbbbbbbb", 20);
    expect_history(&f, "aaaaaaaa 10-20, bbbbbbbb 20-");
    tell(&f, "aaaaaaaa", 30);
    expect_history(&f, "aaaaaaaa 10-20, bbbbbbbb 20-30, aaaaaaaa 30-");
    drop(&f);
}

Test(keywords, a_second_consumer_of_the_database_changes_nothing)
{
    struct fixture f;
    make(&f);
    tell(&f, "aaaaaaaa", 10);
    tell(&f, "aaaaaaaa", 15);
    tell(&f, "bbbbbbbb", 20);
    end_at(&f, 25);
    tell(&f, "aaaaaaaa", 30);
    size_t told = f.body_count;
    f.sequence = 1;
    for (size_t i = 0; i < told; i++) {
        write_body(&f, "second", f.bodies[i]);
        expect_history(&f, "aaaaaaaa 10-20, bbbbbbbb 20-25, aaaaaaaa 30-");
    }
    drop(&f);
}

Test(keywords, a_version_that_comes_late_ends_where_the_next_began)
{
    struct fixture f;
    make(&f);
    tell(&f, "bbbbbbbb", 20);
    tell(&f, "aaaaaaaa", 10);
    expect_history(&f, "aaaaaaaa 10-20, bbbbbbbb 20-");
    drop(&f);
}

Test(keywords, parts_of_one_version_come_together)
{
    struct fixture f;
    make(&f);
    tell(&f, "aaaaaaaa", 10);
    for (int part = 1; part <= 3; part++) {
        char *body = f.bodies[f.body_count++];
        snprintf(
            body, BODY_SIZE,
            "{\"version\":\"bbbbbbbb\",\"contents\":\"cc\",\"since\":\"2026-01-02T03:04:20.000Z\",\"part\":%"
            "d,"
            "\"parts\":3,\"languages\":[],\"rules\":[{\"number\":%d,\"rule\":\"r\",\"keywords\":[\"k%d\"]}]}",
            part, part, part);
        write_body(&f, "etl", body);
    }
    cr_expect_eq(cluster_count(f.conninfo,
                               "SELECT count(*) FROM roost.keyword_versions WHERE ended_at IS NULL AND "
                               "version = 'bbbbbbbb' AND languages = '{}'"),
                 3);
    cr_expect_eq(cluster_count(f.conninfo,
                               "SELECT count(*) FROM roost.keyword_versions WHERE version = 'aaaaaaaa' "
                               "AND ended_at = '2026-01-02T03:04:20Z'"),
                 2);
    drop(&f);
}

Test(keywords, a_body_that_lacks_something_stays_an_event_only)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "{\"ended_at\":7}",
        "{\"ended_at\":\"yesterday\"}",
        "{\"version\":\"a\",\"contents\":\"c\",\"since\":\"2026-01-02T03:04:05.000Z\",\"languages\":[]}",
        "{\"version\":\"a\",\"contents\":\"c\",\"since\":\"2026-01-02T03:04:05.000Z\",\"languages\":[],"
        "\"rules\":[7]}",
        "{\"version\":\"a\",\"contents\":\"c\",\"since\":\"2026-01-02T03:04:05.000Z\",\"languages\":[],"
        "\"rules\":"
        "[{\"number\":1,\"keywords\":\"tea\"}]}",
        "{\"version\":\"a\",\"contents\":\"c\",\"since\":\"2026-01-02T03:04:05.000Z\",\"languages\":[],"
        "\"rules\":"
        "[{\"number\":1.5,\"keywords\":[]}]}",
        "{\"version\":\"a\",\"contents\":\"c\",\"since\":\"2026-01-02T03:04:05.000Z\",\"languages\":{},"
        "\"rules\":[]}",
    };
    const size_t count = sizeof bodies / sizeof *bodies;
    struct fixture f;
    make(&f);
    for (size_t i = 0; i < count; i++) {
        write_body(&f, "etl", bodies[i]);
    }
    cr_expect_eq(cluster_count(f.conninfo, "SELECT count(*) FROM roost.keyword_versions"), 0);
    cr_expect_eq(cluster_count(f.conninfo, "SELECT count(*) FROM roost.events"), (int64_t)count);
    drop(&f);
}
