/* tests/etl/job.c - the whole job, from a real bridge to a sink that fails as told. */
#include "etl/job.h"
#include "base/clock.h"
#include "etl/thread.h"
#include "support/bridge_thread.h"
#include "support/fake_sink.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>

enum { POSTS = 3000 };

struct running {
    struct job *job;
    pthread_t thread;
    int status;
};

static void *run_job(void *argument)
{
    struct running *running = argument;
    running->status = job_run(running->job);
    return NULL;
}

static struct running start(const struct job_settings *settings, struct sink *sinks, size_t count)
{
    struct err e;
    struct loader_sink list[2] = {{&fake_sink_type, &sinks[0], "first"},
                                  {&fake_sink_type, &sinks[count - 1], "second"}};
    struct running running = {.job = job_open(settings, list, count, &e)};
    cr_assert_not_null(running.job, "%s", e.text);
    return running;
}

static int finish(struct running *running)
{
    job_stop(running->job);
    pthread_join(running->thread, NULL);
    job_free(running->job);
    return running->status;
}

static struct job_settings settings_for(const struct bridge_thread *b, const char *const *address)
{
    return (struct job_settings){.bridges = address,
                                 .bridge_count = 1,
                                 .consumer = "etl",
                                 .token_file = b->token_file,
                                 .batch_interval_ms = 50,
                                 .workers = 2};
}

static void wait_for_posts(struct running *running, uint64_t posts, uint64_t events)
{
    struct job_numbers numbers;
    int64_t deadline = thread_deadline(30000);
    do {
        job_count(running->job, &numbers);
        cr_assert(thread_deadline(0) < deadline, "only %llu posts were loaded",
                  (unsigned long long)numbers.posts);
        poll(NULL, 0, 5);
    } while (numbers.posts < posts || numbers.events < events);
}

static void expect_each_once(const struct sink *s)
{
    for (int i = 1; i <= POSTS; i++) {
        cr_assert_eq(s->times[i], 1, "frame %d was committed %u times", i, s->times[i]);
    }
    cr_expect_eq(s->posts, POSTS);
    cr_expect_eq(s->events, 1);
    cr_expect_eq(s->rejects, 0);
    cr_expect_eq(s->received, POSTS + 1 + 3, "frames, and the filtered of the count event");
    cr_expect_eq(s->position, POSTS + 1);
    cr_expect_str_eq(s->last_text, "Post 3000 of #Many");
    cr_expect_str_eq(s->last_clean, "post 3000 of #many");
}

Test(job, every_frame_of_the_spool_reaches_the_sink_once_also_over_a_restart)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, POSTS);
    fake_sink_open(&sink);
    sink.writes[0] = FAKE_LOST_ANSWER;
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    struct running running = start(&settings, &sink, 1);
    pthread_create(&running.thread, NULL, run_job, &running);
    wait_for_posts(&running, POSTS, 1);
    cr_expect_eq(finish(&running), 0);
    unsigned asked = sink.position_calls;
    running = start(&settings, &sink, 1);
    pthread_create(&running.thread, NULL, run_job, &running);
    while (fake_sink_count(&sink, &sink.position_calls) == asked) {
        poll(NULL, 0, 5);
    }
    cr_expect_eq(finish(&running), 0);
    expect_each_once(&sink);
    bridge_thread_close(&bridge);
    fake_sink_close(&sink);
}

Test(job, two_sinks_at_different_positions_both_end_with_everything_once)
{
    struct bridge_thread bridge;
    struct sink sinks[2];
    bridge_thread_open(&bridge, POSTS);
    fake_sink_open(&sinks[0]);
    fake_sink_open(&sinks[1]);
    sinks[1].position = 1000;
    memset(sinks[1].times + 1, 1, 1000);
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    struct running running = start(&settings, sinks, 2);
    pthread_create(&running.thread, NULL, run_job, &running);
    wait_for_posts(&running, POSTS, 0);
    cr_expect_eq(finish(&running), 0);
    for (int i = 1; i <= POSTS; i++) {
        cr_assert(sinks[0].times[i] == 1 && sinks[1].times[i] == 1, "frame %d", i);
    }
    bridge_thread_close(&bridge);
    fake_sink_close(&sinks[0]);
    fake_sink_close(&sinks[1]);
}

/* A sink that is at frame 77 of this spool; runs until all posts of the bridges and so many events came. */
static void run_after(struct sink *sink, const char *spool, const struct job_settings *settings,
                      uint64_t posts, uint64_t events)
{
    fake_sink_open(sink);
    snprintf(sink->spool, sizeof sink->spool, "%s", spool);
    sink->position = 77;
    struct running running = start(settings, sink, 1);
    pthread_create(&running.thread, NULL, run_job, &running);
    wait_for_posts(&running, posts, events);
    cr_expect_eq(finish(&running), 0);
    cr_expect_eq(sink->events, events);
}

static const char another_spool[] = "0123456789abcdef0123456789abcdef";

Test(job, a_spool_that_the_sinks_do_not_know_gets_a_gap_that_names_the_one_they_know)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, POSTS);
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    run_after(&sink, another_spool, &settings, POSTS, 2);
    cr_expect_eq(sink.latest_calls, 1);
    fake_sink_close(&sink);
    bridge_thread_close(&bridge);
}

Test(job, a_name_in_the_database_that_is_no_identity_makes_no_gap)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, POSTS);
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    run_after(&sink, "by-hand 1 x", &settings, POSTS, 1);
    fake_sink_close(&sink);
    bridge_thread_close(&bridge);
}

Test(job, with_two_bridges_nobody_can_tell_which_one_had_the_spool_before)
{
    struct bridge_thread bridge;
    struct sink sink;
    char nobody[100];
    bridge_thread_open(&bridge, POSTS);
    snprintf(nobody, sizeof nobody, "%s/nobody", bridge.folder); /* the other one is away */
    const char *const addresses[2] = {bridge.address, nobody};
    struct job_settings settings = settings_for(&bridge, addresses);
    settings.bridge_count = 2;
    run_after(&sink, another_spool, &settings, POSTS, 1);
    cr_expect_eq(sink.latest_calls, 0);
    fake_sink_close(&sink);
    bridge_thread_close(&bridge);
}

/* Runs a job that ends by itself. */
static int status_of(const struct job_settings *settings, struct sink *sink)
{
    struct running running = start(settings, sink, 1);
    running.status = job_run(running.job);
    job_free(running.job);
    return running.status;
}

Test(job, a_database_without_schema_ends_it_with_2)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, 1);
    fake_sink_open(&sink);
    sink.positions[0] = FAKE_FATAL;
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    cr_expect_eq(status_of(&settings, &sink), 2);
    cr_expect_eq(sink.write_calls, 0);
    bridge_thread_close(&bridge);
    fake_sink_close(&sink);
}

Test(job, a_position_that_was_moved_ends_it_with_1_and_nothing_is_loaded_after_it)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, POSTS);
    fake_sink_open(&sink);
    sink.writes[0] = FAKE_MOVED;
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    cr_expect_eq(status_of(&settings, &sink), 1);
    cr_expect_eq(sink.commits, 0);
    cr_expect_eq(sink.write_calls, 1);
    bridge_thread_close(&bridge);
    fake_sink_close(&sink);
}

Test(job, a_wrong_token_ends_it_with_2)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, 1);
    fake_sink_open(&sink);
    const char *address = bridge.address;
    struct job_settings settings = settings_for(&bridge, &address);
    settings.token = "0123456789abcdef0123456789abcdef";
    cr_expect_eq(status_of(&settings, &sink), 2);
    bridge_thread_close(&bridge);
    fake_sink_close(&sink);
}

Test(job, with_the_database_away_a_stop_gives_up_the_batch_and_ends_with_0)
{
    struct bridge_thread bridge;
    struct sink sink;
    bridge_thread_open(&bridge, POSTS);
    fake_sink_open(&sink);
    sink.always = FAKE_AWAY;
    const char *address = bridge.address;
    const struct job_settings settings = settings_for(&bridge, &address);
    struct running running = start(&settings, &sink, 1);
    pthread_create(&running.thread, NULL, run_job, &running);
    while (fake_sink_count(&sink, &sink.write_calls) < 2) {
        poll(NULL, 0, 5);
    }
    int64_t before = clock_steady_ms();
    cr_expect_eq(finish(&running), 0);
    cr_expect(clock_steady_ms() - before < 5000);
    cr_expect_eq(sink.commits, 0);
    bridge_thread_close(&bridge);
    fake_sink_close(&sink);
}

Test(job, without_a_bridge_it_waits_and_can_be_stopped_even_before_it_runs)
{
    struct sink sink;
    fake_sink_open(&sink);
    const char *address = "/tmp/roost-no-bridge-here.sock";
    const struct job_settings settings = {
        .bridges = &address, .bridge_count = 1, .consumer = "etl", .batch_interval_ms = 50};
    struct running running = start(&settings, &sink, 1);
    job_stop(running.job);
    cr_expect_eq(job_run(running.job), 0);
    job_free(running.job);
    fake_sink_close(&sink);
}
