/* tests/etl/loader.c - a load reaches every sink exactly once, whatever a sink answers. */
#include "etl/loader.h"
#include "etl/thread.h"
#include "support/fake_sink.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>

static struct post post;
static struct load_row rows[100];
static struct load_part part;
static struct load whole;

/* Frames first to last, all posts. */
static const struct load *load_of(uint64_t first, uint64_t last)
{
    size_t count = (size_t)(last - first + 1);
    post_init(&post);
    post.text = post.clean_text = VIEW("text");
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct load_row){first + i, &post, VIEW("{}")};
    }
    part = (struct load_part){.spool = VIEW("spool"),
                              .first_sequence = first,
                              .last_sequence = last,
                              .received = count,
                              .posts = rows,
                              .post_count = count};
    whole = (struct load){.consumer = "etl", .parts = &part, .part_count = 1};
    return &whole;
}

static struct loader *loader_on(struct sink *sinks, size_t count)
{
    struct err e;
    struct loader_sink list[4];
    static const char *const names[] = {"first", "second", "third", "fourth"};
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct loader_sink){&fake_sink_type, &sinks[i], names[i]};
    }
    struct loader *l = loader_new("etl", list, count, &e);
    cr_assert_not_null(l, "%s", e.text);
    return l;
}

static void expect_once(const struct sink *s, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        cr_expect_eq(s->times[i], 1, "frame %llu was committed %u times", (unsigned long long)i, s->times[i]);
    }
}

Test(loader, without_a_sink_nothing_can_be_made)
{
    struct err e;
    cr_expect_null(loader_new("etl", NULL, 0, &e));
    cr_expect_eq(e.kind, ERR_FATAL);
}

Test(loader, a_lost_answer_is_recognised_and_nothing_is_written_twice)
{
    struct sink s;
    struct err e;
    fake_sink_open(&s);
    s.writes[0] = FAKE_LOST_ANSWER;
    struct loader *l = loader_on(&s, 1);
    cr_expect_eq(loader_load(l, load_of(1, 10), &e), 0, "%s", e.text);
    cr_expect_eq(loader_load(l, load_of(11, 20), &e), 0, "%s", e.text);
    loader_free(l);
    cr_expect_eq(s.write_calls, 2);
    expect_once(&s, 1, 20);
    fake_sink_close(&s);
}

Test(loader, away_then_back_loads_once)
{
    struct sink s;
    struct err e;
    fake_sink_open(&s);
    s.positions[0] = s.positions[2] = s.writes[0] = s.writes[1] = FAKE_AWAY;
    struct loader *l = loader_on(&s, 1);
    cr_expect_eq(loader_load(l, load_of(1, 10), &e), 0, "%s", e.text);
    loader_free(l);
    cr_expect_eq(s.write_calls, 3);
    cr_expect_eq(s.commits, 1);
    expect_once(&s, 1, 10);
    fake_sink_close(&s);
}

Test(loader, a_position_that_somebody_else_moved_ends_with_status_1)
{
    struct sink s;
    struct err e;
    fake_sink_open(&s);
    s.writes[0] = FAKE_MOVED;
    struct loader *l = loader_on(&s, 1);
    cr_expect_eq(loader_load(l, load_of(1, 10), &e), -1);
    cr_expect_eq(err_exit_status(&e), 1);
    cr_expect(strstr(e.text, "another roost etl"), "%s", e.text);
    loader_free(l);
    cr_expect_eq(s.commits, 0);
    fake_sink_close(&s);
}

Test(loader, a_fatal_answer_ends_with_status_2_and_names_the_sink)
{
    struct sink s;
    struct err e;
    uint64_t sequence;
    fake_sink_open(&s);
    s.positions[0] = s.writes[0] = FAKE_FATAL;
    struct loader *l = loader_on(&s, 1);
    cr_expect_eq(loader_position(l, VIEW("spool"), &sequence, &e), -1);
    cr_expect_eq(err_exit_status(&e), 2);
    cr_expect_str_eq(e.text, "sink first: no schema: run `roost migrate`");
    cr_expect_eq(loader_load(l, load_of(1, 10), &e), -1);
    cr_expect_eq(err_exit_status(&e), 2);
    loader_free(l);
    fake_sink_close(&s);
}

Test(loader, two_sinks_resume_at_the_lower_and_the_one_ahead_is_not_asked_to_write)
{
    struct sink s[2];
    struct err e;
    uint64_t sequence;
    fake_sink_open(&s[0]);
    fake_sink_open(&s[1]);
    s[0].position = 20;
    s[1].position = 5;
    struct loader *l = loader_on(s, 2);
    cr_expect_eq(loader_position(l, VIEW("spool"), &sequence, &e), 0);
    cr_expect_eq(sequence, 5);
    cr_expect_eq(loader_load(l, load_of(6, 15), &e), 0, "%s", e.text);
    cr_expect_eq(loader_load(l, load_of(16, 30), &e), 0, "%s", e.text);
    loader_free(l);
    cr_expect_eq(s[0].write_calls, 1, "it had the first load as a whole");
    cr_expect_eq(s[1].write_calls, 2);
    expect_once(&s[0], 21, 30);
    expect_once(&s[1], 6, 30);
    fake_sink_close(&s[0]);
    fake_sink_close(&s[1]);
}

static void expect_latest(struct sink *sinks, size_t count, const char *spool, uint64_t sequence)
{
    struct err e;
    struct sink_latest latest;
    struct loader *l = loader_on(sinks, count);
    cr_assert_eq(loader_latest(l, VIEW("new"), &latest, &e), 0, "%s", e.text);
    cr_expect_str_eq(latest.spool, spool);
    cr_expect_eq(latest.sequence, sequence);
    loader_free(l);
}

static void stand(struct sink *s, const char *spool, uint64_t position)
{
    snprintf(s->spool, sizeof s->spool, "%s", spool);
    s->position = position;
}

Test(loader, the_spool_read_before_is_what_all_sinks_have_of_it)
{
    struct sink s[2];
    fake_sink_open(&s[0]);
    fake_sink_open(&s[1]);
    stand(&s[0], "old", 20);
    stand(&s[1], "old", 5);
    expect_latest(s, 2, "old", 5);
    stand(&s[1], "another", 3);
    expect_latest(s, 2, "old", 20);
    stand(&s[0], "", 0);
    expect_latest(s, 2, "another", 3);
    stand(&s[1], "", 0);
    expect_latest(s, 2, "", 0);
    fake_sink_close(&s[0]);
    fake_sink_close(&s[1]);
}

Test(loader, a_spool_that_one_sink_knows_has_none_before_it)
{
    struct sink s[2];
    fake_sink_open(&s[0]);
    fake_sink_open(&s[1]);
    stand(&s[0], "old", 20);
    stand(&s[1], "new", 5); /* the first one was added later, say */
    expect_latest(s, 2, "", 0);
    fake_sink_close(&s[0]);
    fake_sink_close(&s[1]);
}

Test(loader, a_sink_that_is_away_is_waited_for_when_asked_what_was_before)
{
    struct sink s;
    fake_sink_open(&s);
    stand(&s, "old", 20);
    s.first_latest = FAKE_AWAY;
    expect_latest(&s, 1, "old", 20);
    cr_expect_eq(s.latest_calls, 2);
    s.latest_calls = 0;
    s.first_latest = FAKE_FATAL;
    struct err e;
    struct sink_latest latest;
    struct loader *l = loader_on(&s, 1);
    cr_expect_eq(loader_latest(l, VIEW("new"), &latest, &e), -1);
    cr_expect_eq(err_exit_status(&e), 2);
    loader_free(l);
    fake_sink_close(&s);
}

Test(loader, an_answer_lost_by_the_sink_that_is_ahead_is_recognised)
{
    struct sink s[2];
    struct err e;
    fake_sink_open(&s[0]);
    fake_sink_open(&s[1]);
    s[0].position = 20;
    s[0].writes[0] = FAKE_LOST_ANSWER;
    s[1].position = 5;
    struct loader *l = loader_on(s, 2);
    cr_expect_eq(loader_load(l, load_of(6, 30), &e), 0, "%s", e.text);
    loader_free(l);
    cr_expect_eq(s[0].commits, 1);
    expect_once(&s[0], 21, 30);
    expect_once(&s[1], 6, 30);
    fake_sink_close(&s[0]);
    fake_sink_close(&s[1]);
}

/* ---- stopping ---- */

struct loading {
    struct loader *loader;
    int result;
    struct err error;
};

static void *load_in_thread(void *argument)
{
    struct loading *loading = argument;
    loading->result = loader_load(loading->loader, load_of(1, 10), &loading->error);
    return NULL;
}

static void stop_while(enum fake_answer always, unsigned stops, int64_t grace_ms)
{
    struct sink s;
    pthread_t thread;
    fake_sink_open(&s);
    s.always = always;
    struct loading loading = {.loader = loader_on(&s, 1)};
    pthread_create(&thread, NULL, load_in_thread, &loading);
    while (fake_sink_count(&s, &s.write_calls) == 0) {
        poll(NULL, 0, 1);
    }
    int64_t before = thread_deadline(0);
    loader_stop(loading.loader, grace_ms);
    pthread_join(thread, NULL);
    cr_expect(thread_deadline(0) - before < 5000);
    cr_expect_eq(loading.result, -1);
    cr_expect(loader_stopping(loading.loader));
    cr_expect_eq(s.stop_calls, stops);
    loader_free(loading.loader);
    fake_sink_close(&s);
}

Test(loader, a_stop_gives_up_a_sink_that_is_away_at_once)
{
    stop_while(FAKE_AWAY, 0, 60000);
}

Test(loader, a_stop_interrupts_a_call_that_hangs_when_its_grace_is_over)
{
    stop_while(FAKE_HANG, 1, 50);
}
