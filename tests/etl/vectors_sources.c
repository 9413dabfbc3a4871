/* tests/etl/vectors_sources.c - Spark's own cases for the life of a context and for sources hold. */
#include "etl/block.h"
#include "etl/dstream.h"
#include "etl/sources.h"
#include "etl/thread.h"
#include "support/server.h"
#include "support/stage.h"
#include "support/vectors.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static void wait_for_waiting(struct stream_context *c, uint64_t records)
{
    struct stream_numbers numbers;
    int64_t deadline = thread_deadline(20000);
    do {
        stream_count(c, &numbers);
        cr_assert(thread_deadline(0) < deadline, "only %llu records came",
                  (unsigned long long)numbers.waiting_records);
        poll(NULL, 0, 1);
    } while (numbers.waiting_records < records);
}

/* ---- life of a context ---- */

struct life {
    struct stream_engine *engine;
    struct stream_context *contexts[2];
    struct dstream *inputs[2];
};

static const char *const states[] = {"initialized", "active", "stopped"};
static const char *const faults[] = {"", "illegal_argument", "illegal_state", "engine_error", "user_error"};

static int nothing(const struct batch *batch, void *user, struct err *e)
{
    (void)batch;
    (void)user;
    (void)e;
    return 0;
}

static int fail_map(struct task *task, struct record in, struct record *out, void *user)
{
    (void)in;
    (void)out;
    return task_fail(task, "%s", (const char *)user);
}

static struct dstream *make_input(struct stream_context *c)
{
    struct err e;
    static char byte[1] = "1";
    const struct record one = {byte, 1};
    struct stream_queue *queue;
    const struct stream_queue_settings settings = {
        .one_at_a_time = true, .partitions = 1, .has_default = true, .records = &one, .count = 1};
    struct dstream *input = stream_queue_new(c, &settings, &queue, &e);
    cr_assert_not_null(input, "%s", e.text);
    return input;
}

static cJSON *error_of(struct stream_context *c, const struct err *e)
{
    cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "error", faults[stream_fault(c)]);
    cJSON_AddStringToObject(result, "message", e->text);
    return result;
}

static cJSON *state_of(struct stream_context *c)
{
    return cJSON_CreateString(states[stream_context_state(c)]);
}

static void define(struct stream_context *c, const char *step)
{
    struct err e;
    struct dstream *input = make_input(c);
    if (strstr(step, "input only")) {
        return;
    }
    if (strstr(step, "map that fails")) {
        input = stream_map(input, fail_map, (void *)"error in map task", &e);
    }
    cr_assert_eq(stream_foreach_batch(input, nothing, NULL, &e), 0);
}

/* One step of a script, of the context at `which`. NULL: a step for a later version. */
static cJSON *do_step(struct life *life, const char *step, int64_t interval)
{
    struct err e;
    int which = strchr(step, 'B') ? 1 : 0;
    struct stream_context **c = &life->contexts[which];
#define BEGINS(text) (strncmp(step, text, strlen(text)) == 0)
    if (strstr(step, "transform")) {
        return NULL;
    }
    if (BEGINS("new")) {
        *c = stream_context_new(life->engine, &(struct stream_settings){.batch_interval_ms = interval}, &e);
    } else if (BEGINS("define")) {
        define(*c, step);
    } else if (BEGINS("add input")) {
        life->inputs[strchr(step, '2') ? 1 : 0] = make_input(*c);
    } else if (BEGINS("output on input 2")) {
        stream_foreach_batch(life->inputs[1], nothing, NULL, &e);
    } else if (BEGINS("start")) {
        if (stream_start(*c, &e) != 0) {
            return error_of(*c, &e);
        }
    } else if (BEGINS("run 2 batches")) {
        struct stream_numbers numbers;
        do {
            stream_count(*c, &numbers);
            stream_await_batch(*c, numbers.last_time + 1, 10000);
        } while (numbers.batches < 2);
    } else if (BEGINS("await")) {
        const char *number = strpbrk(step, "0123456789");
        int result = stream_await_termination(*c, number ? strtol(number, NULL, 10) : 20000, &e);
        return result < 0 ? error_of(*c, &e) : number ? cJSON_CreateBool(result) : state_of(*c);
    } else if (BEGINS("stop")) {
        stream_stop(*c, false);
    } else if (!BEGINS("state")) {
        return NULL;
    }
    return state_of(*c);
#undef BEGINS
}

static void expect_step(const cJSON *c, const cJSON *got, const cJSON *expected)
{
    if (!cJSON_IsObject(expected)) {
        vector_expect(c, got, expected);
        return;
    }
    cr_expect_str_eq(vector_text(got, "error"), vector_text(expected, "error"), "%s", vector_name(c));
    cr_expect(strstr(vector_text(got, "message"), vector_text(expected, "message_contains")), "%s: %s",
              vector_name(c), vector_text(got, "message"));
}

static bool run_script(const cJSON *c)
{
    struct life life = {0};
    struct err e;
    bool here = true;
    int at = 0;
    const cJSON *row;
    life.engine = stream_engine_new(&(struct stream_engine_settings){.workers = 1}, &e);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        /* Real time goes by: the batches are made short. */
        cJSON *got = here ? do_step(&life, row->child->valuestring, 20) : NULL;
        here = got != NULL;
        if (here) {
            expect_step(c, got, cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), at)->child);
        }
        cJSON_Delete(got);
        at++;
    }
    stream_context_free(life.contexts[0]);
    stream_context_free(life.contexts[1]);
    stream_engine_free(life.engine);
    return here;
}

static bool run_definition(const cJSON *c)
{
    if (strcmp(vector_param(c, "action")->valuestring, "new context without a batch duration") != 0) {
        return false;
    }
    struct err e;
    struct stream_engine *engine = stream_engine_new(&(struct stream_engine_settings){.workers = 1}, &e);
    cr_expect_null(stream_context_new(engine, &(struct stream_settings){0}, &e));
    cr_expect(strstr(e.text, vector_text(cJSON_GetObjectItem(c, "expected_error"), "message_contains")));
    cr_expect_eq(e.kind, ERR_FATAL);
    stream_engine_free(engine);
    return true;
}

struct storing {
    atomic_uint stored;
    struct stream_receiver *receiver;
};

static void store_until_stopped(struct stream_receiver *r, void *user)
{
    struct storing *storing = user;
    while (!stream_receiver_stopping(r)) {
        struct err e;
        unsigned number = atomic_load(&storing->stored) + 1;
        if (stream_receiver_store(r, view_make((const char *)&number, sizeof number), view_none(),
                                  view_none(), 0, &e) == 0) {
            atomic_store(&storing->stored, number);
        }
        stream_receiver_sleep(r, 1);
    }
}

static int count_records(const struct batch *batch, void *user, struct err *e)
{
    (void)e;
    atomic_fetch_add((atomic_uint *)user, (unsigned)batch_count(batch));
    return 0;
}

static const struct block_limits roomy = {200, 1000000, 1 << 28, 1000000, 1 << 28};

static void stop_gracefully_once(struct stream_engine *engine, int64_t interval, const cJSON *c)
{
    struct err e;
    struct storing storing = {0};
    atomic_uint counted = 0;
    struct stream_context *context =
        stream_context_new(engine, &(struct stream_settings){.batch_interval_ms = interval}, &e);
    const struct stream_receiver_settings receiver = {
        .name = "storing", .run = store_until_stopped, .user = &storing};
    stream_foreach_batch(stream_receive(context, &receiver, 1, &roomy, &e), count_records, &counted, &e);
    cr_assert_eq(stream_start(context, &e), 0, "%s", e.text);
    struct stream_numbers numbers;
    do {
        stream_count(context, &numbers);
        stream_await_batch(context, numbers.last_time + 1, 10000);
    } while (numbers.batches < 3);
    stream_stop(context, true);
    cr_expect_eq(atomic_load(&counted), atomic_load(&storing.stored), "%s: %u of %u", vector_name(c),
                 atomic_load(&counted), atomic_load(&storing.stored));
    stream_context_free(context);
}

static bool run_graceful_stop(const cJSON *c)
{
    struct err e;
    struct stream_engine *engine = stream_engine_new(&(struct stream_engine_settings){.workers = 2}, &e);
    for (int i = 0; i < 3; i++) {
        stop_gracefully_once(engine, (int64_t)vector_number(c, "batch_ms", 100), c);
    }
    stream_engine_free(engine);
    return true;
}

static const struct vector_handler life[] = {
    {"context_script", run_script}, {"definition", run_definition}, {"graceful_stop", run_graceful_stop}};

Test(vectors, a_context_lives_as_sparks_does)
{
    cr_assert(vectors_run("lifecycle.json", life, sizeof life / sizeof life[0]) != 0);
}

/* ---- queue ---- */

static struct record *records_of(const cJSON *row, size_t *count)
{
    struct record *records = calloc((size_t)cJSON_GetArraySize(row) + 1, sizeof *records);
    const cJSON *value;
    *count = 0;
    cJSON_ArrayForEach(value, row)
    {
        char *text = cJSON_PrintUnformatted(value);
        records[(*count)++] = (struct record){text, strlen(text)};
    }
    return records;
}

static void free_records(struct record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(records[i].data);
    }
    free(records);
}

static bool run_queue(const cJSON *c)
{
    if (vector_param(c, "checkpoint")) {
        return false;
    }
    struct err e;
    struct stage s;
    struct seen seen;
    struct stream_queue *queue;
    size_t count;
    struct record *standard = records_of(vector_param(c, "default"), &count);
    stage_open(&s, (struct stream_settings){.batch_interval_ms = (int64_t)vector_number(c, "batch_ms", 0)},
               2);
    seen_open(&seen);
    const struct stream_queue_settings settings = {.one_at_a_time =
                                                       cJSON_IsTrue(vector_param(c, "one_at_a_time")),
                                                   .partitions = 2,
                                                   .has_default = cJSON_IsArray(vector_param(c, "default")),
                                                   .records = standard,
                                                   .count = count};
    struct dstream *stream = stream_queue_new(s.context, &settings, &queue, &e);
    free_records(standard, count);
    stream_foreach_batch(stream, seen_batch, &seen, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    const cJSON *row, *batch;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        cJSON_ArrayForEach(batch, row)
        {
            struct record *records = records_of(batch, &count);
            cr_assert_eq(stream_queue_push(queue, records, count, &e), 0);
            free_records(records, count);
        }
        stage_run(&s, 1);
    }
    vector_expect(c, seen.rows, cJSON_GetObjectItem(c, "expected"));
    vector_expect(c, seen.times, cJSON_GetObjectItem(c, "times_ms"));
    stage_close(&s);
    seen_close(&seen);
    return true;
}

/* ---- socket ---- */

struct lines {
    cJSON *rows;
};

static int keep_lines(const struct batch *batch, void *user, struct err *e)
{
    (void)e;
    cJSON *row = cJSON_CreateArray();
    for (size_t p = 0; p < batch_partition_count(batch); p++) {
        size_t count;
        const struct record *records = batch_partition(batch, p, &count);
        for (size_t i = 0; i < count; i++) {
            /* cJSON ends a text at \u0000, in the vector as here; that the rest is there too is tested in
             * stream.c. */
            char *text = view_copy(view_make(records[i].data, records[i].size));
            cJSON_AddItemToArray(row, cJSON_CreateString(text));
            free(text);
        }
    }
    cJSON_AddItemToArray(((struct lines *)user)->rows, row);
    return 0;
}

static size_t bytes_of(const cJSON *piece, char *bytes)
{
    const char *hex = vector_text(piece, "hex");
    size_t n = 0;
    if (cJSON_IsString(piece)) {
        n = strlen(piece->valuestring);
        memcpy(bytes, piece->valuestring, n);
        return n;
    }
    for (; hex[0]; hex += 2) {
        const char digits[3] = {hex[0], hex[1], '\0'};
        bytes[n++] = (char)strtol(digits, NULL, 16);
    }
    return n;
}

struct socket_stage {
    struct stage s;
    struct server server;
    struct lines lines;
};

static void socket_stage_open(struct socket_stage *t, int64_t restart_ms)
{
    struct err e;
    stage_open(&t->s, (struct stream_settings){.batch_interval_ms = 1000}, 1);
    t->lines.rows = cJSON_CreateArray();
    const struct stream_socket_settings settings = {t->server.address, restart_ms, restart_ms};
    struct dstream *stream = stream_socket_text(t->s.context, &settings, &e);
    cr_assert_not_null(stream, "%s", e.text);
    stream_foreach_batch(stream, keep_lines, &t->lines, &e);
    cr_assert_eq(stream_start(t->s.context, &e), 0, "%s", e.text);
}

static void socket_stage_close(struct socket_stage *t)
{
    stage_close(&t->s);
    server_close(&t->server);
    cJSON_Delete(t->lines.rows);
}

static bool run_socket_lines(const cJSON *c)
{
    struct socket_stage t;
    const cJSON *row, *expected = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0);
    server_open(&t.server);
    socket_stage_open(&t, 100000);
    server_accept(&t.server);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        char bytes[4096];
        server_send(&t.server, bytes, bytes_of(row->child, bytes));
    }
    if (cJSON_IsTrue(vector_param(c, "connection_closed"))) {
        server_hang_up(&t.server);
    }
    wait_for_waiting(t.s.context, (uint64_t)cJSON_GetArraySize(expected));
    stage_run(&t.s, 1);
    vector_expect(c, cJSON_GetArrayItem(t.lines.rows, 0), expected);
    socket_stage_close(&t);
    return true;
}

static bool run_socket_batches(const cJSON *c)
{
    struct socket_stage t;
    const cJSON *row;
    int at = 0;
    server_open(&t.server);
    socket_stage_open(&t, 100000);
    server_accept(&t.server);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        char bytes[4096];
        if (row->child) {
            server_send(&t.server, bytes, bytes_of(row->child, bytes));
        }
        const cJSON *expected = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), at++);
        wait_for_waiting(t.s.context, (uint64_t)cJSON_GetArraySize(expected));
        stage_run(&t.s, 1);
    }
    vector_expect(c, t.lines.rows, cJSON_GetObjectItem(c, "expected"));
    socket_stage_close(&t);
    return true;
}

/* The delay is a setting; here it is a hundredth of Spark's, so that the test is short. */
static bool run_socket_restart(const cJSON *c)
{
    struct socket_stage t;
    server_reserve(&t.server);
    socket_stage_open(&t, vector_param(c, "receiver_restart_delay_ms")->valueint / 100);
    stage_run(&t.s, 2);
    server_listen(&t.server);
    server_accept(&t.server);
    const cJSON *last = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "input"), 2);
    const char *sent = cJSON_GetArrayItem(last, 1)->valuestring;
    server_send(&t.server, sent, strlen(sent));
    wait_for_waiting(t.s.context, 1);
    stage_run(&t.s, 1);
    vector_expect(c, cJSON_GetArrayItem(t.lines.rows, 2),
                  cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0));
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetArrayItem(t.lines.rows, 0)), 0);
    socket_stage_close(&t);
    return true;
}

/* ---- blocks ---- */

static struct view view_text(const char *text)
{
    return view_of(text);
}

/* All blocks of a generator as lists of texts; frees them. */
static cJSON *blocks_taken(struct block_generator *g)
{
    cJSON *blocks = cJSON_CreateArray();
    struct block *list = block_generator_take(g);
    for (const struct block *b = list; b; b = block_next(b)) {
        size_t count;
        const struct record *records = block_records(b, &count);
        cJSON *block = cJSON_CreateArray();
        for (size_t i = 0; i < count; i++) {
            char *text = view_copy(view_make(records[i].data, records[i].size));
            cJSON *value = cJSON_Parse(text);
            cJSON_AddItemToArray(block, value ? value : cJSON_CreateString(text));
            free(text);
        }
        cJSON_AddItemToArray(blocks, block);
    }
    block_free_all(list);
    return blocks;
}

static bool run_blocks(const cJSON *c)
{
    struct err e;
    struct block_limits limits = roomy;
    limits.interval_ms = vector_param(c, "block_interval_ms")->valueint;
    int64_t interval = (int64_t)vector_number(c, "batch_ms", 0), batch = interval;
    struct stream_clock *clock = stream_clock_manual(0);
    struct block_generator *g = block_generator_new(&limits, clock, NULL, NULL, &e);
    cJSON *batches = cJSON_CreateArray();
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        int64_t at = cJSON_GetArrayItem(row, 0)->valueint;
        for (; at > batch; batch += interval) {
            stream_clock_advance(clock, batch - stream_clock_now(clock));
            cJSON_AddItemToArray(batches, blocks_taken(g));
        }
        stream_clock_advance(clock, at - stream_clock_now(clock));
        block_generator_add(g, view_text(cJSON_GetArrayItem(row, 1)->valuestring), view_none(), view_none(),
                            0, &e);
    }
    cJSON_AddItemToArray(batches, blocks_taken(g));
    vector_expect(c, batches, cJSON_GetObjectItem(c, "expected"));
    cJSON_Delete(batches);
    block_generator_free(g);
    stream_clock_free(clock);
    return true;
}

static bool run_tasks(const cJSON *c)
{
    struct err e;
    struct block_limits limits = roomy;
    limits.interval_ms = vector_param(c, "block_interval_ms")->valueint;
    struct stream_clock *clock = stream_clock_manual(0);
    struct block_generator *g = block_generator_new(&limits, clock, NULL, NULL, &e);
    for (int ms = 0; ms < (int)vector_number(c, "batch_ms", 0); ms++) {
        block_generator_add(g, VIEW("1"), view_none(), view_none(), 0, &e);
        stream_clock_advance(clock, 1);
    }
    cJSON *blocks = blocks_taken(g);
    const cJSON *expected = cJSON_GetArrayItem(cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0), 0);
    cr_expect_eq(cJSON_GetArraySize(blocks), expected->valueint, "%s: %d", vector_name(c),
                 cJSON_GetArraySize(blocks));
    cJSON_Delete(blocks);
    block_generator_free(g);
    stream_clock_free(clock);
    return true;
}

static bool run_generator(const cJSON *c)
{
    struct err e;
    struct stream_clock *clock = stream_clock_manual(0);
    struct block_generator *g = block_generator_new(&roomy, clock, NULL, NULL, &e);
    const cJSON *error = cJSON_GetObjectItem(c, "expected_error"), *row, *value;
    if (cJSON_IsObject(error)) {
        block_generator_stop(g);
        cr_expect_eq(block_generator_add(g, VIEW("1"), view_none(), view_none(), 0, &e), -1);
        cr_expect(strstr(e.text, vector_text(error, "message_contains")));
    } else {
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
        {
            cJSON_ArrayForEach(value, row)
            {
                char *text = cJSON_PrintUnformatted(value);
                cr_expect_eq(block_generator_add(g, view_of(text), view_none(), view_none(), 0, &e), 0);
                free(text);
            }
        }
        block_generator_stop(g);
        block_generator_stop(g);
        cJSON *blocks = blocks_taken(g);
        vector_expect(c, blocks, cJSON_GetObjectItem(c, "expected"));
        cJSON_Delete(blocks);
    }
    block_generator_free(g);
    stream_clock_free(clock);
    return true;
}

struct storer {
    struct stream_receiver *receiver;
    int count;
};

static void *store_many(void *argument)
{
    struct storer *storer = argument;
    struct err e;
    for (int i = 0; i < storer->count; i++) {
        stream_receiver_store(storer->receiver, VIEW("1"), view_none(), view_none(), 0, &e);
    }
    return NULL;
}

static void store_from_threads(struct stream_receiver *r, void *user)
{
    const cJSON *c = user;
    struct storer storer = {r, vector_param(c, "records_per_thread")->valueint};
    pthread_t threads[64];
    int count = vector_param(c, "threads")->valueint;
    for (int i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, store_many, &storer);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static bool run_threads(const cJSON *c)
{
    struct err e;
    struct stage s;
    atomic_uint counted = 0;
    stage_open(&s, (struct stream_settings){.batch_interval_ms = 1000}, 1);
    const struct stream_receiver_settings receiver = {
        .name = "threads", .run = store_from_threads, .user = (void *)c};
    stream_foreach_batch(stream_receive(s.context, &receiver, 1, &roomy, &e), count_records, &counted, &e);
    cr_assert_eq(stream_start(s.context, &e), 0);
    unsigned all = (unsigned)cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0)->child->valueint;
    for (int64_t deadline = thread_deadline(20000);
         atomic_load(&counted) < all && thread_deadline(0) < deadline;) {
        stage_run(&s, 1);
    }
    cr_expect_eq(atomic_load(&counted), all, "%s", vector_name(c));
    stage_close(&s);
    return true;
}

static const struct vector_handler sources[] = {{"queue_stream", run_queue},
                                                {"socket_lines", run_socket_lines},
                                                {"socket_batches", run_socket_batches},
                                                {"socket_restart", run_socket_restart},
                                                {"blocks", run_blocks},
                                                {"tasks_per_receiver", run_tasks},
                                                {"block_generator", run_generator},
                                                {"receiver_threads", run_threads}};

Test(vectors, sources_give_the_batches_that_sparks_give)
{
    cr_assert(vectors_run("sources.json", sources, sizeof sources / sizeof sources[0]) != 0);
}
