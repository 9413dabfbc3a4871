/* Lost frames are told by several, and sum(undelivered) is what the tables lack all the same. */
#include "bridge/gap.h"
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

enum { BODIES = 16 };

struct fixture {
    char conninfo[CONNINFO_SIZE];
    struct sink *sink;
    struct buffer bodies[BODIES];
    size_t body_count;
    int64_t now, next_id;
};

static void make(struct fixture *f)
{
    *f = (struct fixture){.now = 1539202764000, .next_id = 1};
    cluster_tables(f->conninfo);
    f->sink = sink_on(f->conninfo);
}

static void drop(struct fixture *f)
{
    sink_postgres.close(f->sink);
    for (size_t i = 0; i < f->body_count; i++) {
        buffer_free(&f->bodies[i]);
    }
}

static void add_posts(struct fixture *f, struct made_load *m, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        load_add_post(m, f->next_id++);
    }
}

/* A gap as the bridge or the receiver makes it, each a moment later than the one before. */
static void add_gap(struct fixture *f, struct made_load *m, const char *cause, uint64_t first, uint64_t last)
{
    struct buffer *body = &f->bodies[f->body_count++];
    *body = BUFFER(GAP_BODY_MAXIMUM);
    f->now += 1000;
    gap_write(body, &(struct gap){.from = f->now,
                                  .to = f->now,
                                  .cause = cause,
                                  .detail = "frames",
                                  .undelivered = (int64_t)(last - first + 1),
                                  .first = first,
                                  .last = last});
    load_add_event(m, POST_GAP, buffer_string(body))->source = VIEW("");
}

static void write_load(struct fixture *f, struct made_load *m)
{
    struct err e;
    load_end(m);
    cr_assert_eq(sink_postgres.write(f->sink, &m->load, &e), 0, "%s", e.text);
    free(m);
}

static int64_t lacking(const struct fixture *f, const char *cause)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT coalesce(sum(undelivered), -1) FROM roost.gaps WHERE cause LIKE '%s'",
             cause);
    return cluster_count(f->conninfo, sql);
}

Test(gaps, what_the_consumer_has_told_itself_is_not_counted_again)
{
    struct fixture f;
    make(&f);
    struct made_load *m = load_begin(1);
    add_posts(&f, m, 10);
    write_load(&f, m);
    /* Away while 11 to 100 and then 101 to 200 went; 200 is the place of its own row. */
    m = load_begin(200);
    add_gap(&f, m, "spool", 11, 200);
    add_posts(&f, m, 5);
    add_gap(&f, m, "spool_full", 11, 100);
    write_load(&f, m);
    m = load_begin(207);
    add_gap(&f, m, "spool_full", 101, 200);
    write_load(&f, m);
    cr_expect_eq(lacking(&f, "spool"), 190);
    cr_expect_eq(lacking(&f, "spool_full"), 0);
    cr_expect_eq(cluster_count(f.conninfo,
                               "SELECT count(*) FROM roost.gaps WHERE cause = 'spool_full' AND detail LIKE "
                               "'frames (%a row of cause spool counts them)'"),
                 2);
    drop(&f);
}

Test(gaps, a_new_consumer_lacks_what_went_before_it_came_as_the_listener_counts_it)
{
    struct fixture f;
    make(&f);
    struct made_load *m = load_begin(101);
    add_posts(&f, m, 3);
    add_gap(&f, m, "spool_full", 41, 60); /* 1 to 40 went when nobody was known */
    add_gap(&f, m, "spool_full", 61, 100);
    write_load(&f, m);
    m = load_begin(110);
    add_gap(&f, m, "spool", 106, 110);
    add_gap(&f, m, "spool_full", 101, 110); /* it had some, and has told the others itself */
    write_load(&f, m);
    cr_expect_eq(lacking(&f, "spool_full"), 20 + 40);
    cr_expect_eq(lacking(&f, "spool"), 5);
    drop(&f);
}

Test(gaps, a_consumer_that_had_all_lacks_nothing)
{
    struct fixture f;
    make(&f);
    struct made_load *m = load_begin(1);
    add_posts(&f, m, 60);
    write_load(&f, m);
    m = load_begin(61);
    add_posts(&f, m, 40);
    add_gap(&f, m, "spool_full", 1, 80);
    write_load(&f, m);
    cr_expect_eq(lacking(&f, "%"), 0);
    drop(&f);
}

Test(gaps, a_damaged_frame_is_counted_once_however_often_it_is_found_or_dropped)
{
    struct fixture f;
    make(&f);
    struct made_load *m = load_begin(1);
    add_posts(&f, m, 10);
    m->part.last_sequence = 11; /* 11 and 12 are damaged */
    add_gap(&f, m, "spool", 11, 12);
    add_posts(&f, m, 10);
    add_gap(&f, m, "corrupt", 11, 12);
    write_load(&f, m);
    m = load_begin(24);
    add_gap(&f, m, "corrupt", 11, 12); /* by the next listener */
    add_gap(&f, m, "spool_full", 1, 20);
    write_load(&f, m);
    cr_expect_eq(lacking(&f, "%"), 2);
    drop(&f);
}

Test(gaps, one_without_its_frames_counts_as_it_says)
{
    struct fixture f;
    make(&f);
    struct made_load *m = load_begin(1);
    load_add_event(m, POST_GAP,
                   "{\"started_at\":\"2018-10-10T20:00:00.000Z\",\"ended_at\":\"2018-10-10T20:00:00.000Z\","
                   "\"cause\":\"spool_full\",\"detail\":\"of an earlier version\",\"undelivered\":12}");
    write_load(&f, m);
    cr_expect_eq(lacking(&f, "spool_full"), 12);
    drop(&f);
}
