#include "stage.h"
#include "words.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct call { /* user data of a function; freed by nobody before the process ends, so kept in a list */
    struct call *next;
    struct stage *stage;
    char function[200];
};

static struct call *calls;

__attribute__((destructor)) static void free_calls(void)
{
    while (calls) {
        struct call *next = calls->next;
        free(calls);
        calls = next;
    }
}

void stage_open(struct stage *s, struct stream_settings settings, size_t partitions)
{
    struct err e;
    *s = (struct stage){.interval = settings.batch_interval_ms};
    s->clock = stream_clock_manual(0);
    settings.clock = s->clock;
    s->engine = stream_engine_new(&(struct stream_engine_settings){.workers = 2}, &e);
    cr_assert_not_null(s->engine, "%s", e.text);
    s->context = stream_context_new(s->engine, &settings, &e);
    cr_assert_not_null(s->context, "%s", e.text);
    const struct stream_queue_settings queue = {
        .one_at_a_time = true, .partitions = partitions, .has_default = true};
    s->source = stream_queue_new(s->context, &queue, &s->queue, &e);
    cr_assert_not_null(s->source, "%s", e.text);
}

void stage_close(struct stage *s)
{
    stream_context_free(s->context);
    stream_engine_free(s->engine);
    stream_clock_free(s->clock);
}

void stage_push(struct stage *s, const cJSON *row)
{
    struct err e;
    if (!row || cJSON_IsNull(row)) {
        cr_assert_eq(stream_queue_push_none(s->queue, &e), 0);
        return;
    }
    size_t count = (size_t)cJSON_GetArraySize(row), i = 0;
    struct record *records = calloc(count + 1, sizeof *records);
    const cJSON *value;
    cJSON_ArrayForEach(value, row)
    {
        char *text = cJSON_PrintUnformatted(value);
        records[i++] = (struct record){text, strlen(text)};
    }
    cr_assert_eq(stream_queue_push(s->queue, records, count, &e), 0);
    for (i = 0; i < count; i++) {
        free(records[i].data);
    }
    free(records);
}

void stage_run(struct stage *s, int batches)
{
    for (int i = 0; i < batches; i++) {
        stream_clock_advance(s->clock, s->interval);
        cr_assert_eq(stream_await_batch(s->context, stream_clock_now(s->clock), 10000), 1,
                     "the batch came to no end");
    }
}

static cJSON *apply(struct task *task, struct record in, struct call *call)
{
    char error[200];
    cJSON *x = cJSON_ParseWithLength(in.data, in.size);
    cr_assert_not_null(x);
    atomic_fetch_add(&call->stage->calls, 1);
    cJSON *result = words_apply(call->function, x, error);
    cJSON_Delete(x);
    if (!result) {
        task_fail(task, "%s", error);
    }
    return result;
}

static struct record to_record(struct task *task, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    struct view kept = arena_view(task_arena(task), view_of(text));
    free(text);
    return (struct record){(void *)kept.at, kept.length};
}

static int map_words(struct task *task, struct record in, struct record *out, void *user)
{
    cJSON *value = apply(task, in, user);
    if (value) {
        *out = to_record(task, value);
        cJSON_Delete(value);
    }
    return value ? 0 : -1;
}

static int filter_words(struct task *task, struct record in, void *user)
{
    cJSON *value = apply(task, in, user);
    int keep = value ? cJSON_IsTrue(value) : -1;
    cJSON_Delete(value);
    return keep;
}

static int flat_map_words(struct task *task, struct record in, void *user)
{
    cJSON *list = apply(task, in, user);
    int result = list ? 0 : -1;
    const cJSON *each;
    cJSON_ArrayForEach(each, list)
    {
        if (result == 0) {
            result = task_emit(task, to_record(task, each));
        }
    }
    cJSON_Delete(list);
    return result;
}

struct dstream *stage_function(struct stage *s, struct dstream *parent, const char *operation,
                               const char *function)
{
    struct err e;
    if (!words_known(function)) {
        return NULL;
    }
    struct call *call = calloc(1, sizeof *call);
    call->next = calls;
    call->stage = s;
    snprintf(call->function, sizeof call->function, "%s", function);
    calls = call;
    if (strcmp(operation, "map") == 0) {
        return stream_map(parent, map_words, call, &e);
    }
    if (strcmp(operation, "filter") == 0) {
        return stream_filter(parent, filter_words, call, &e);
    }
    if (strcmp(operation, "flatMap") == 0) {
        return stream_flat_map(parent, flat_map_words, call, &e);
    }
    return NULL;
}

void seen_open(struct seen *seen)
{
    *seen = (struct seen){cJSON_CreateArray(), cJSON_CreateArray(), cJSON_CreateArray()};
}

void seen_close(struct seen *seen)
{
    cJSON_Delete(seen->rows);
    cJSON_Delete(seen->times);
    cJSON_Delete(seen->partitions);
}

int seen_batch(const struct batch *batch, void *user, struct err *e)
{
    (void)e;
    struct seen *seen = user;
    cJSON *row = cJSON_CreateArray();
    for (size_t p = 0; p < batch_partition_count(batch); p++) {
        size_t count;
        const struct record *records = batch_partition(batch, p, &count);
        for (size_t i = 0; i < count; i++) {
            cJSON_AddItemToArray(row, cJSON_ParseWithLength(records[i].data, records[i].size));
        }
    }
    cJSON_AddItemToArray(seen->rows, row);
    cJSON_AddItemToArray(seen->times, cJSON_CreateNumber((double)batch_time(batch)));
    cJSON_AddItemToArray(seen->partitions, cJSON_CreateNumber((double)batch_partition_count(batch)));
    return 0;
}
