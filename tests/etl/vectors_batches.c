/* tests/etl/vectors_batches.c - Spark's own cases for batches, times, outputs and tasks hold. */
#include "etl/dstream.h"
#include "etl/stream_time.h"
#include "support/stage.h"
#include "support/vectors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- map, filter, flatMap ---- */

static struct dstream *add_stages(struct stage *s, struct dstream *stream, const cJSON *stages)
{
    const cJSON *stage;
    cJSON_ArrayForEach(stage, stages)
    {
        stream =
            stream ? stage_function(s, stream, vector_text(stage, "op"), vector_text(stage, "fn")) : NULL;
    }
    return stream;
}

static bool run_stream(const cJSON *c)
{
    struct stage s;
    struct seen seen;
    struct err e;
    const cJSON *input = cJSON_GetObjectItem(c, "input"), *row;
    size_t partitions = (size_t)vector_number(cJSON_GetObjectItem(c, "params"), "partitions", 2);
    int batches = (int)vector_number(c, "num_batches", cJSON_GetArraySize(input));
    stage_open(&s, (struct stream_settings){.batch_interval_ms = (int64_t)vector_number(c, "batch_ms", 0)},
               partitions);
    seen_open(&seen);
    struct dstream *stream = add_stages(&s, s.source, vector_param(c, "pre"));
    if (strcmp(vector_text(c, "operation"), "pipeline") == 0) {
        stream = add_stages(&s, stream, vector_param(c, "stages"));
    } else if (stream) {
        stream = stage_function(&s, stream, vector_text(c, "operation"), vector_param(c, "fn")->valuestring);
    }
    stream = add_stages(&s, stream, vector_param(c, "post"));
    bool here = stream != NULL;
    if (here) {
        stream_foreach_batch(stream, seen_batch, &seen, &e);
        cJSON_ArrayForEach(row, input)
        {
            stage_push(&s, row);
        }
        cr_assert_eq(stream_start(s.context, &e), 0, "%s: %s", vector_name(c), e.text);
        stage_run(&s, batches);
        vector_expect(c, seen.rows, cJSON_GetObjectItem(c, "expected"));
        vector_expect(c, seen.times, cJSON_GetObjectItem(c, "times_ms"));
    }
    stage_close(&s);
    seen_close(&seen);
    return here;
}

static const struct vector_handler basic[] = {
    {"map", run_stream}, {"filter", run_stream}, {"flatMap", run_stream}, {"pipeline", run_stream}};

Test(vectors, stateless_operations_give_what_spark_gives)
{
    int run = vectors_run("basic.json", basic, sizeof basic / sizeof basic[0]);
    cr_assert(run != 0, "no case was run");
}

/* ---- times ---- */

static int64_t argument(const cJSON *row, int index)
{
    return (int64_t)cJSON_GetArrayItem(row, index)->valuedouble;
}

static cJSON *steps(int64_t from, int64_t count, int64_t step)
{
    cJSON *list = cJSON_CreateArray();
    for (int64_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)(from + i * step)));
    }
    return list;
}

/* The batches in which a stream of that slide gives something, from the clock at start on. */
static cJSON *output_times(int64_t now, int64_t interval, int64_t count, int64_t slide)
{
    cJSON *list = cJSON_CreateArray();
    int64_t first = stream_time_first(now, interval, 0), zero = first - interval;
    for (int64_t time = first; cJSON_GetArraySize(list) < count; time += interval) {
        if (stream_time_is_due(time, zero, slide * interval)) {
            cJSON_AddItemToArray(list, cJSON_CreateNumber((double)time));
        }
    }
    return list;
}

/* What needs a function of the engine, and what in C is an operator on the same int64_t. */
static cJSON *time_result(const char *name, const cJSON *row)
{
    int64_t a = argument(row, 0), b = cJSON_GetArraySize(row) > 1 ? argument(row, 1) : 0;
    int64_t third = cJSON_GetArraySize(row) > 2 ? argument(row, 2) : 0;
    const char *operation = strchr(name, '.');
    operation = operation ? operation + 1 : name;
#define IS(text) (strcmp(operation, text) == 0)
    if (IS("floor")) {
        return cJSON_CreateNumber((double)stream_time_floor(a, b, 0));
    }
    if (IS("floor_from")) {
        return cJSON_CreateNumber((double)stream_time_floor(a, b, third));
    }
    if (IS("is_multiple_of")) {
        return cJSON_CreateBool(stream_time_is_multiple(a, b));
    }
    if (IS("start_time") || IS("restart_time")) {
        return cJSON_CreateNumber((double)stream_time_first(a, b, third));
    }
    if (IS("until")) {
        return steps(a, stream_time_steps_until(a, b, third), third);
    }
    if (IS("to")) {
        return steps(a, stream_time_steps_until(a, b + 1, third), third);
    }
    if (IS("batch_times")) {
        return output_times(a, b, third, argument(row, 3));
    }
    if (IS("less")) {
        return cJSON_CreateBool(a < b);
    }
    if (IS("less_eq")) {
        return cJSON_CreateBool(a <= b);
    }
    if (IS("greater")) {
        return cJSON_CreateBool(a > b);
    }
    if (IS("greater_eq")) {
        return cJSON_CreateBool(a >= b);
    }
    if (IS("min") || IS("max")) {
        return cJSON_CreateNumber((double)((a < b) == IS("min") ? a : b));
    }
    if (IS("plus") || IS("minus") || IS("minus_time") || IS("minus_duration")) {
        return cJSON_CreateNumber((double)(IS("plus") ? a + b : a - b));
    }
    if (IS("times")) {
        return cJSON_CreateNumber((double)(a * b));
    }
    if (IS("div")) {
        return cJSON_CreateNumber((double)a / (double)b);
    }
    return IS("is_zero") ? cJSON_CreateBool(a == 0) : NULL;
#undef IS
}

static bool run_time(const cJSON *c)
{
    const cJSON *row;
    int at = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        cJSON *got = time_result(vector_text(c, "operation"), row);
        if (!got) {
            return false;
        }
        const cJSON *expected =
            cJSON_GetArrayItem(cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), at++), 0);
        vector_expect(c, got, expected);
        cJSON_Delete(got);
    }
    return true;
}

Test(vectors, batch_times_are_computed_as_spark_does)
{
    static const char *const names[] = {"duration.less",       "duration.less_eq", "duration.greater",
                                        "duration.greater_eq", "duration.plus",    "duration.minus",
                                        "duration.times",      "duration.div",     "duration.is_multiple_of",
                                        "duration.min",        "duration.max",     "duration.is_zero",
                                        "time.less",           "time.less_eq",     "time.greater",
                                        "time.greater_eq",     "time.plus",        "time.minus_time",
                                        "time.minus_duration", "time.floor",       "time.floor_from",
                                        "time.is_multiple_of", "time.min",         "time.max",
                                        "time.until",          "time.to",          "timer.start_time",
                                        "timer.restart_time",  "batch_times"};
    struct vector_handler handlers[sizeof names / sizeof names[0]];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        handlers[i] = (struct vector_handler){names[i], run_time};
    }
    cr_assert(vectors_run("time.json", handlers, sizeof names / sizeof names[0]) != 0);
}

/* ---- outputs ---- */

static struct buffer printed;

static int keep_print(void *user, struct view text, struct err *e)
{
    (void)user;
    (void)e;
    buffer_add_view(&printed, text);
    return 0;
}

static void show_value(struct buffer *line, const cJSON *value, bool python, bool inside)
{
    if (cJSON_IsArray(value)) {
        buffer_add_byte(line, '(');
        const cJSON *each;
        cJSON_ArrayForEach(each, value)
        {
            buffer_add_text(line, each == value->child ? "" : python ? ", " : ",");
            show_value(line, each, python, true);
        }
        buffer_add_byte(line, ')');
    } else if (cJSON_IsString(value)) {
        buffer_print(line, python && inside ? "'%s'" : "%s", value->valuestring);
    } else {
        buffer_add_number(line, (int64_t)value->valuedouble);
    }
}

static void show_record(struct buffer *line, struct record record, void *user)
{
    cJSON *value = cJSON_ParseWithLength(record.data, record.size);
    show_value(line, value, user != NULL, false);
    cJSON_Delete(value);
}

/* The lines of what was printed, each of which must end with a newline. */
static cJSON *printed_lines(void)
{
    cJSON *lines = cJSON_CreateArray();
    char *text = view_copy(buffer_view(&printed)), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (rest) {
            cJSON_AddItemToArray(lines, cJSON_CreateString(line));
        } else {
            cr_expect_str_empty(line, "the last line has no end");
        }
    }
    free(text);
    return lines;
}

/* One batch, at its own time: the clock begins just before it. */
static void print_row(const cJSON *c, const cJSON *row, int64_t time, const cJSON *expected)
{
    bool python = strcmp(vector_param(c, "flavour")->valuestring, "python") == 0;
    struct stage s;
    struct err e;
    stage_open(&s, (struct stream_settings){.batch_interval_ms = 1000}, 2);
    stream_clock_advance(s.clock, time - 1000);
    const struct stream_print print = {.records = (size_t)vector_param(c, "num")->valueint,
                                       .milliseconds = !python,
                                       .show = show_record,
                                       .write = keep_print,
                                       .user = python ? (void *)"python" : NULL};
    printed = BUFFER(1 << 20);
    cr_assert_eq(stream_pprint(s.source, &print, &e), 0);
    stage_push(&s, row);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stage_run(&s, 1);
    cJSON *lines = printed_lines();
    vector_expect(c, lines, expected);
    cJSON_Delete(lines);
    buffer_free(&printed);
    stage_close(&s);
}

static bool run_print(const cJSON *c)
{
    setenv("TZ", "UTC0", 1);
    tzset();
    const cJSON *row;
    int at = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "input"))
    {
        int64_t time = (int64_t)cJSON_GetArrayItem(vector_param(c, "times_ms"), at)->valuedouble;
        print_row(c, row, time, cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), at));
        at++;
    }
    return true;
}

static void expect_error(const cJSON *c, struct stage *s)
{
    struct err e;
    const cJSON *error = cJSON_GetObjectItem(c, "expected_error");
    cr_expect_eq(stream_await_termination(s->context, 0, &e), -1, "%s", vector_name(c));
    cr_expect(strstr(e.text, vector_text(error, "message_contains")), "%s: %s", vector_name(c), e.text);
    cr_expect_eq(stream_fault(s->context), STREAM_USER_ERROR, "%s", vector_name(c));
}

static bool run_failing_map(const cJSON *c)
{
    struct stage s;
    struct seen seen;
    struct err e;
    const cJSON *input = cJSON_GetObjectItem(c, "input"), *expected = cJSON_GetObjectItem(c, "expected"),
                *row;
    stage_open(&s, (struct stream_settings){.batch_interval_ms = (int64_t)vector_number(c, "batch_ms", 0)},
               2);
    seen_open(&seen);
    stream_foreach_batch(stage_function(&s, s.source, "map", vector_param(c, "fn")->valuestring), seen_batch,
                         &seen, &e);
    cJSON_ArrayForEach(row, input)
    {
        stage_push(&s, row);
    }
    cr_assert_eq(stream_start(s.context, &e), 0);
    stage_run(&s, cJSON_GetArraySize(input));
    expect_error(c, &s);
    if (cJSON_IsArray(expected)) {
        vector_expect(c, seen.rows, expected);
        vector_expect(c, seen.times, cJSON_GetObjectItem(c, "times_ms"));
    }
    stage_close(&s);
    seen_close(&seen);
    return true;
}

static void run_rows(const cJSON *c, struct stage *s)
{
    struct err e;
    const cJSON *input = cJSON_GetObjectItem(c, "input"), *row;
    cJSON_ArrayForEach(row, input)
    {
        stage_push(s, row);
    }
    cr_assert_eq(stream_start(s->context, &e), 0, "%s", e.text);
    stage_run(s, cJSON_GetArraySize(input));
}

static bool run_foreach_lazy(const cJSON *c)
{
    struct stage s;
    struct seen seen;
    struct err e;
    if (vector_param(c, "actions")->valueint != 1 || cJSON_IsTrue(vector_param(c, "persist"))) {
        return false; /* an output of this engine is one action */
    }
    stage_open(&s, (struct stream_settings){.batch_interval_ms = 1000}, 2);
    seen_open(&seen);
    struct dstream *stream = add_stages(&s, s.source, vector_param(c, "pre"));
    for (int i = 0; i < vector_param(c, "output_operations")->valueint; i++) {
        stream_foreach_batch(stream, seen_batch, &seen, &e);
    }
    run_rows(c, &s);
    const cJSON *expected = cJSON_GetArrayItem(cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0), 0);
    cr_expect_eq(cJSON_GetArraySize(seen.rows), (int)vector_number(expected, "calls", -1), "%s",
                 vector_name(c));
    cr_expect_eq(atomic_load(&s.calls), (int)vector_number(expected, "map_calls", -1), "%s", vector_name(c));
    stage_close(&s);
    seen_close(&seen);
    return true;
}

static bool run_foreach_count(const cJSON *c)
{
    struct stage s;
    struct seen seen;
    struct err e;
    stage_open(&s, (struct stream_settings){.batch_interval_ms = 1000}, 2);
    seen_open(&seen);
    stream_foreach_batch(s.source, seen_batch, &seen, &e);
    run_rows(c, &s);
    int elements = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, seen.rows)
    {
        elements += cJSON_GetArraySize(row);
    }
    const cJSON *expected = cJSON_GetArrayItem(cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0), 0);
    cr_expect_eq(cJSON_GetArraySize(seen.rows), (int)vector_number(expected, "calls", -1));
    cr_expect_eq(elements, (int)vector_number(expected, "elements", -1));
    stage_close(&s);
    seen_close(&seen);
    return true;
}

struct named_output {
    const char *name;
    cJSON *rows;
    bool first;
};

static int note_name(const struct batch *batch, void *user, struct err *e)
{
    (void)e;
    struct named_output *output = user;
    char text[100];
    snprintf(text, sizeof text, "%s@%lld", output->name, (long long)batch_time(batch));
    if (output->first) {
        cJSON_AddItemToArray(output->rows, cJSON_CreateArray());
    }
    cJSON_AddItemToArray(cJSON_GetArrayItem(output->rows, cJSON_GetArraySize(output->rows) - 1),
                         cJSON_CreateString(text));
    return 0;
}

static bool run_output_order(const cJSON *c)
{
    struct stage s;
    struct err e;
    if (vector_param(c, "concurrent_jobs")->valueint != 1) {
        return false;
    }
    struct named_output outputs[8];
    cJSON *rows = cJSON_CreateArray();
    const cJSON *name;
    size_t count = 0;
    stage_open(
        &s,
        (struct stream_settings){.batch_interval_ms = (int64_t)vector_number(c, "batch_ms", 0), .ahead = 1},
        2);
    cJSON_ArrayForEach(name, vector_param(c, "outputs"))
    {
        outputs[count] = (struct named_output){name->valuestring, rows, count == 0};
        stream_foreach_batch(s.source, note_name, &outputs[count++], &e);
    }
    run_rows(c, &s);
    vector_expect(c, rows, cJSON_GetObjectItem(c, "expected"));
    stage_close(&s);
    cJSON_Delete(rows);
    return true;
}

static const struct vector_handler outputs[] = {{"print", run_print},
                                                {"failing_map", run_failing_map},
                                                {"foreach_lazy", run_foreach_lazy},
                                                {"foreach_count", run_foreach_count},
                                                {"output_order", run_output_order}};

Test(vectors, output_operations_do_what_sparks_do)
{
    cr_assert(vectors_run("output.json", outputs, sizeof outputs / sizeof outputs[0]) != 0);
}

/* ---- tasks ---- */

struct failing {
    int fails;
    atomic_int attempts;
};

static int fail_some_times(struct task *task, struct record in, struct record *out, void *user)
{
    struct failing *failing = user;
    *out = in;
    int attempt = atomic_fetch_add(&failing->attempts, 1) + 1;
    return attempt <= failing->fails ? task_fail(task, "attempt %d", attempt) : 0;
}

static bool run_task_retry(const cJSON *c)
{
    struct stage s;
    struct seen seen;
    struct err e;
    struct failing failing = {.fails = vector_param(c, "task_fails_times")->valueint};
    stage_open(&s,
               (struct stream_settings){.batch_interval_ms = 1000,
                                        .task_attempts = vector_param(c, "max_failures")->valueint},
               1);
    seen_open(&seen);
    stream_foreach_batch(stream_map(s.source, fail_some_times, &failing, &e), seen_batch, &seen, &e);
    cJSON *row = cJSON_Parse("[1]");
    stage_push(&s, row);
    cJSON_Delete(row);
    cr_assert_eq(stream_start(s.context, &e), 0);
    stage_run(&s, 1);
    const cJSON *expected = cJSON_GetArrayItem(cJSON_GetArrayItem(cJSON_GetObjectItem(c, "expected"), 0), 0);
    cr_expect_eq(atomic_load(&failing.attempts), (int)vector_number(expected, "attempts", -1), "%s",
                 vector_name(c));
    bool failed = stream_await_termination(s.context, 0, &e) < 0;
    cr_expect_eq(failed, strcmp(vector_text(expected, "job"), "fails") == 0, "%s", vector_name(c));
    stage_close(&s);
    seen_close(&seen);
    return true;
}

static const struct vector_handler scheduling[] = {{"task_retry", run_task_retry}};

Test(vectors, a_task_is_tried_as_often_as_spark_tries_it)
{
    cr_assert(vectors_run("scheduling.json", scheduling, sizeof scheduling / sizeof scheduling[0]) != 0);
}
