/* tests/etl/stream.c - the engine's own promises: laziness, order, partitions, bounded memory, back-pressure,
 * errors. */
#include "etl/dstream.h"
#include "etl/sources.h"
#include "etl/thread.h"
#include "support/server.h"
#include "support/stage.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static const struct stream_settings second = {.batch_interval_ms = 1000};

static void push_numbers(struct stage *s, int count)
{
    cJSON *row = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        cJSON_AddItemToArray(row, cJSON_CreateNumber(i));
    }
    stage_push(s, row);
    cJSON_Delete(row);
}

Test(stream, no_function_is_called_that_no_output_asks_for)
{
    struct stage s;
    struct seen seen;
    struct err e;
    stage_open(&s, second, 2);
    seen_open(&seen);
    cr_assert_not_null(stage_function(&s, s.source, "map", "x -> x + 1"));
    stream_foreach_batch(s.source, seen_batch, &seen, &e);
    push_numbers(&s, 10);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stage_run(&s, 1);
    cr_expect_eq(cJSON_GetArraySize(seen.rows), 1);
    cr_expect_eq(atomic_load(&s.calls), 0, "a map without an output was computed");
    stage_close(&s);
    seen_close(&seen);
}

static int check_partitions(const struct batch *batch, void *user, struct err *e)
{
    size_t n = *(size_t *)user, p = batch_partition_count(batch), at = 0;
    cr_expect_eq(p, 3);
    for (size_t i = 0; i < p; i++) {
        size_t count;
        const struct record *records = batch_partition(batch, i, &count);
        cr_expect_eq(count, (i + 1) * n / p - i * n / p, "partition %zu of %zu records", i, n);
        for (size_t k = 0; k < count; k++, at++) {
            char text[20];
            snprintf(text, sizeof text, "%zu", at);
            cr_expect(view_is(view_make(records[k].data, records[k].size), text),
                      "record %zu is out of order", at);
        }
    }
    cr_expect_eq(at, n);
    return at == n ? 0 : err_set(e, ERR_FATAL, "wrong");
}

Test(stream, a_batch_is_cut_at_floor_i_n_p_and_keeps_its_order)
{
    for (size_t n = 0; n < 12; n++) {
        struct stage s;
        struct err e;
        stage_open(&s, second, 3);
        stream_foreach_batch(stage_function(&s, s.source, "filter", "x -> true"), check_partitions, &n, &e);
        push_numbers(&s, (int)n);
        cr_assert_eq(stream_start(s.context, &e), 0);
        stage_run(&s, 1);
        stage_close(&s);
    }
}

Test(stream, a_jump_of_the_clock_makes_every_period_passed_in_order)
{
    struct stage s;
    struct seen seen;
    struct err e;
    stage_open(&s, second, 1);
    seen_open(&seen);
    stream_foreach_batch(s.source, seen_batch, &seen, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stream_clock_advance(s.clock, 5999);
    cr_assert_eq(stream_await_batch(s.context, 5000, 10000), 1);
    cJSON *times = cJSON_Parse("[1000,2000,3000,4000,5000]");
    cr_expect(cJSON_Compare(seen.times, times, true));
    cJSON_Delete(times);
    stage_close(&s);
    seen_close(&seen);
}

Test(stream, a_clock_too_far_ahead_leaves_out_whole_periods_when_asked_to)
{
    struct stage s;
    struct seen seen;
    struct err e;
    struct stream_settings settings = second;
    settings.most_periods_behind = 3;
    stage_open(&s, settings, 1);
    seen_open(&seen);
    stream_foreach_batch(s.source, seen_batch, &seen, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stream_clock_advance(s.clock, 100500);
    cr_assert_eq(stream_await_batch(s.context, 100000, 10000), 1);
    cJSON *times = cJSON_Parse("[1000,100000]");
    cr_expect(cJSON_Compare(seen.times, times, true));
    cJSON_Delete(times);
    stage_close(&s);
    seen_close(&seen);
}

Test(stream, definitions_after_start_and_after_stop_are_refused_in_sparks_words)
{
    struct stage s;
    struct seen seen;
    struct err e;
    stage_open(&s, second, 1);
    seen_open(&seen);
    stream_foreach_batch(s.source, seen_batch, &seen, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    cr_expect_null(stream_map(s.source, NULL, NULL, &e));
    cr_expect_str_eq(
        e.text, "Adding new inputs, transformations, and output operations after starting a context is not "
                "supported");
    cr_expect_eq(stream_fault(s.context), STREAM_ILLEGAL_STATE);
    stream_stop(s.context, false);
    cr_expect_eq(stream_foreach_batch(s.source, seen_batch, &seen, &e), -1);
    cr_expect(strstr(e.text, "after stopping a context is not supported"));
    stage_close(&s);
    seen_close(&seen);
}

Test(stream, an_interval_out_of_range_is_refused)
{
    struct err e;
    struct stream_engine *engine = stream_engine_new(&(struct stream_engine_settings){.workers = 1}, &e);
    cr_expect_null(stream_context_new(engine, &(struct stream_settings){.batch_interval_ms = 9}, &e));
    cr_expect_null(stream_context_new(engine, &(struct stream_settings){.batch_interval_ms = 3600001}, &e));
    cr_expect(strstr(e.text, "10 ms to 1 h"));
    stream_engine_free(engine);
}

static int fail_always(const struct batch *batch, void *user, struct err *e)
{
    (void)batch;
    (*(int *)user)++;
    return err_set(e, ERR_RETRY, "the output failed");
}

Test(stream, a_failed_output_stops_the_others_only_when_asked_to)
{
    for (int stop = 0; stop < 2; stop++) {
        struct stage s;
        struct seen seen;
        struct err e;
        int failed = 0;
        struct stream_settings settings = second;
        settings.stop_at_error = stop;
        stage_open(&s, settings, 1);
        seen_open(&seen);
        stream_foreach_batch(s.source, fail_always, &failed, &e);
        stream_foreach_batch(s.source, seen_batch, &seen, &e);
        cr_assert_eq(stream_start(s.context, &e), 0);
        stage_run(&s, 3);
        cr_expect_eq(failed, stop ? 1 : 3);
        cr_expect_eq(cJSON_GetArraySize(seen.rows), stop ? 0 : 3);
        cr_expect_eq(stream_await_termination(s.context, 0, &e), -1);
        cr_expect_str_eq(e.text, "the output failed");
        stage_close(&s);
        seen_close(&seen);
    }
}

static void *no_scratch(void *user, struct err *e)
{
    (void)user;
    err_set(e, ERR_FATAL, "no data for a worker");
    return NULL;
}

Test(stream, a_worker_that_cannot_be_made_ready_is_an_error_of_the_engine)
{
    struct err e;
    cr_expect_null(
        stream_engine_new(&(struct stream_engine_settings){.workers = 3, .scratch_new = no_scratch}, &e));
    cr_expect_str_eq(e.text, "no data for a worker");
}

static int eat_memory(struct task *task, struct record in, struct record *out, void *user)
{
    (void)user;
    *out = in;
    return arena_alloc(task_arena(task), (size_t)600 * 1024 * 1024) ? 0 : -1;
}

Test(stream, a_partition_over_its_limit_fails_its_job_with_a_message)
{
    struct stage s;
    struct seen seen;
    struct err e;
    stage_open(&s, second, 1);
    seen_open(&seen);
    stream_foreach_batch(stream_map(s.source, eat_memory, NULL, &e), seen_batch, &seen, &e);
    push_numbers(&s, 1);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stage_run(&s, 2);
    cr_expect_eq(stream_await_termination(s.context, 0, &e), -1);
    cr_expect(strstr(e.text, "memory"), "%s", e.text);
    cr_expect_eq(cJSON_GetArraySize(seen.rows), 1, "the next batch is not harmed");
    stage_close(&s);
    seen_close(&seen);
}

Test(stream, pprint_computes_no_more_than_it_shows)
{
    struct stage s;
    struct err e;
    stage_open(&s, second, 1);
    freopen("/dev/null", "w", stdout);
    const struct stream_print print = {.records = 3};
    stream_pprint(stage_function(&s, s.source, "flatMap", "x -> [x, x * 2]"), &print, &e);
    push_numbers(&s, 1000);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stage_run(&s, 1);
    cr_expect_eq(atomic_load(&s.calls), 2, "four records are enough to know that there are more than three");
    stage_close(&s);
}

/* ---- receivers ---- */

enum { FLOOD = 1000000, WAITING = 20000 };

static void flood(struct stream_receiver *r, void *user)
{
    atomic_uint *stored = user;
    struct err e;
    for (unsigned i = 0; i < FLOOD; i++) {
        if (stream_receiver_store(r, view_make((const char *)&i, sizeof i), view_none(), view_none(), 0,
                                  &e) != 0) {
            return;
        }
        atomic_store(stored, i + 1);
    }
}

static const struct block_limits narrow = {200, WAITING, 1 << 24, 1000, 1 << 20};

static int add_one(struct task *task, struct record in, struct record *out, void *user)
{
    (void)user;
    unsigned *next = arena_alloc(task_arena(task), sizeof *next);
    *next = *(const unsigned *)in.data + 1;
    *out = (struct record){next, sizeof *next};
    return 0;
}

static int every_thousandth(struct task *task, struct record in, void *user)
{
    (void)task;
    (void)user;
    return *(const unsigned *)in.data % 1000 == 0;
}

struct total {
    unsigned seen, last, largest;
    bool in_order;
};

static int add_up(const struct batch *batch, void *user, struct err *e)
{
    (void)e;
    struct total *total = user;
    for (size_t p = 0; p < batch_partition_count(batch); p++) {
        size_t count;
        const struct record *records = batch_partition(batch, p, &count);
        for (size_t i = 0; i < count; i++) {
            unsigned number = *(const unsigned *)records[i].data;
            total->in_order = total->in_order && number == total->last + 1000;
            total->last = number;
            total->seen++;
        }
    }
    return 0;
}

Test(stream, a_million_records_flow_in_order_through_a_bounded_queue)
{
    struct stage s;
    struct err e;
    atomic_uint stored = 0;
    struct total total = {.in_order = true};
    struct stream_settings settings = second;
    settings.early_when_full = true;
    settings.ahead = 1;
    stage_open(&s, settings, 1);
    const struct stream_receiver_settings receiver = {.name = "flood", .run = flood, .user = &stored};
    struct dstream *numbers = stream_receive(s.context, &receiver, 1, &narrow, &e);
    struct dstream *more = stream_map(numbers, add_one, NULL, &e);
    stream_foreach_batch(stream_filter(more, every_thousandth, NULL, &e), add_up, &total, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    struct stream_numbers now;
    for (int64_t deadline = thread_deadline(60000);
         atomic_load(&stored) < FLOOD && thread_deadline(0) < deadline;) {
        stream_count(s.context, &now);
        cr_assert(now.waiting_records <= WAITING, "%llu records wait",
                  (unsigned long long)now.waiting_records);
        poll(NULL, 0, 1);
    }
    stage_run(&s, 2);
    stream_stop(s.context, false);
    cr_expect_eq(total.seen, FLOOD / 1000, "%u", total.seen);
    cr_expect(total.in_order);
    stage_close(&s);
}

Test(stream, a_full_queue_stops_the_receiver_until_a_batch_takes_it)
{
    struct stage s;
    struct err e;
    atomic_uint stored = 0;
    struct total total = {.in_order = true};
    stage_open(&s, second, 1);
    const struct stream_receiver_settings receiver = {.name = "flood", .run = flood, .user = &stored};
    stream_foreach_batch(stream_receive(s.context, &receiver, 1, &narrow, &e), add_up, &total, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    while (atomic_load(&stored) < WAITING) {
        poll(NULL, 0, 1);
    }
    poll(NULL, 0, 30);
    cr_expect_eq(atomic_load(&stored), WAITING, "the receiver went on although its queue is full");
    stage_run(&s, 1);
    while (atomic_load(&stored) < 2 * WAITING) {
        poll(NULL, 0, 1);
    }
    stage_close(&s);
}

Test(stream, a_record_larger_than_the_queue_still_passes)
{
    struct err e;
    struct stream_clock *clock = stream_clock_manual(0);
    const struct block_limits tiny = {200, 10, 10, 10, 10};
    struct block_generator *g = block_generator_new(&tiny, clock, NULL, NULL, &e);
    char large[100] = "large";
    cr_expect_eq(block_generator_add(g, view_make(large, sizeof large), view_none(), view_none(), 0, &e), 0);
    struct block *b = block_generator_take(g);
    size_t count;
    cr_expect_eq(block_records(b, &count)[0].size, sizeof large);
    block_free_all(b);
    block_generator_free(g);
    stream_clock_free(clock);
}

Test(stream, a_block_never_mixes_origins_and_knows_its_range)
{
    struct err e;
    struct stream_clock *clock = stream_clock_manual(0);
    const struct block_limits limits = {200, 100, 1000, 100, 1000};
    struct block_generator *g = block_generator_new(&limits, clock, NULL, NULL, &e);
    block_generator_add(g, VIEW("a"), view_none(), VIEW("one"), 7, &e);
    block_generator_add(g, VIEW("b"), view_none(), VIEW("one"), 9, &e);
    block_generator_add(g, VIEW("c"), view_none(), VIEW("two"), 1, &e);
    struct block *list = block_generator_take(g);
    const struct record_range *range = block_range(list);
    cr_expect(view_is(range->origin, "one") && range->first == 7 && range->last == 9);
    range = block_range(block_next(list));
    cr_expect(view_is(range->origin, "two") && range->first == 1 && range->last == 1);
    cr_expect_null(block_next(block_next(list)));
    block_free_all(list);
    block_generator_free(g);
    stream_clock_free(clock);
}

static int keep_first(const struct batch *batch, void *user, struct err *e)
{
    (void)e;
    if (batch_count(batch) > 0) {
        size_t count;
        const struct record *records = batch_partition(batch, 0, &count);
        *(char **)user = view_copy(view_make(records[0].data, records[0].size));
    }
    return 0;
}

Test(stream, a_line_keeps_its_NUL_and_bad_bytes_become_U_FFFD)
{
    struct stage s;
    struct server server;
    struct err e;
    char *line = NULL;
    server_open(&server);
    stage_open(&s, second, 1);
    const struct stream_socket_settings settings = {server.address, 100, 100};
    stream_foreach_batch(stream_socket_text(s.context, &settings, &e), keep_first, &line, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    server_accept(&server);
    server_send(&server, "a\0\xff\n", 4);
    struct stream_numbers now;
    do {
        stream_count(s.context, &now);
        poll(NULL, 0, 1);
    } while (now.waiting_records < 1);
    stage_run(&s, 1);
    cr_expect_arr_eq(line, "a\0\xef\xbf\xbd", 6);
    free(line);
    stage_close(&s);
    server_close(&server);
}

Test(stream, an_address_that_is_none_is_refused_when_defined)
{
    struct stage s;
    struct err e;
    stage_open(&s, second, 1);
    const struct stream_socket_settings settings = {"nonsense", 100, 100};
    cr_expect_null(stream_socket_text(s.context, &settings, &e));
    cr_expect_eq(stream_fault(s.context), STREAM_ILLEGAL_ARGUMENT);
    stage_close(&s);
}

Test(stream, the_system_clock_never_goes_back)
{
    struct stream_clock *clock = stream_clock_system();
    int64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t now = stream_clock_now(clock);
        cr_assert(now >= last);
        last = now;
    }
    stream_clock_free(clock);
}
