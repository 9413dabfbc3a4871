/* etl/stream_task.c - one partition through a fused chain: each record goes through all steps before the next
 * begins. */
#include "base/clock.h"
#include "etl/stream_graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct task {
    const struct chain *chain;
    size_t next; /* the step that records given by task_emit go to */
    struct arena *arena;
    void *scratch;
    int64_t time;
    size_t partition;
    struct record *records; /* what came out */
    size_t count, capacity, most;
    bool failed, enough;
    enum stream_fault fault;
    struct err error;
};

struct arena *task_arena(struct task *task)
{
    return task->arena;
}

void *task_scratch(struct task *task)
{
    return task->scratch;
}

int64_t task_time(const struct task *task)
{
    return task->time;
}

size_t task_partition(const struct task *task)
{
    return task->partition;
}

int task_fail(struct task *task, const char *format, ...)
{
    if (!task->failed) {
        char text[ERR_TEXT_SIZE];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        err_set(&task->error, ERR_RETRY, "%s", text);
        task->failed = true;
        task->fault = STREAM_USER_ERROR;
    }
    return -1;
}

static int task_out_of_memory(struct task *task)
{
    if (!task->failed) {
        err_set(&task->error, ERR_RETRY,
                "a partition of the batch needs more memory than there is (limit: %d MiB)",
                STREAM_PARTITION_MAXIMUM / (1024 * 1024));
        task->failed = true;
        task->fault = STREAM_ENGINE_ERROR;
    }
    return -1;
}

static int collect(struct task *task, struct record record)
{
    if (task->count == task->capacity) {
        size_t capacity = task->capacity ? task->capacity * 2 : 64;
        struct record *records = reallocarray(task->records, capacity, sizeof *records);
        if (!records) {
            return task_out_of_memory(task);
        }
        task->records = records;
        task->capacity = capacity;
    }
    task->records[task->count++] = record;
    task->enough = task->count >= task->most;
    return task->enough ? -1 : 0;
}

/* A record through the steps from `at` on. -1: the task has failed, or has enough. */
static int push(struct task *task, size_t at, struct record record)
{
    for (; at < task->chain->count; at++) {
        const struct step *step = &task->chain->steps[at];
        if (step->operation == STREAM_FLAT_MAP) {
            size_t outer = task->next;
            task->next = at + 1;
            int result = step->function.flat_map(task, record, step->user);
            task->next = outer;
            return result;
        }
        if (step->operation == STREAM_FILTER) {
            int keep = step->function.filter(task, record, step->user);
            if (keep <= 0) {
                return keep;
            }
            continue;
        }
        struct record out = record;
        if (step->function.map(task, record, &out, step->user) != 0) {
            return -1;
        }
        record = out;
    }
    return collect(task, record);
}

int task_emit(struct task *task, struct record record)
{
    return task->failed || task->enough ? -1 : push(task, task->next, record);
}

static void run_records(struct task *task, const struct block *block)
{
    size_t count;
    const struct record *records = block_records(block, &count);
    for (size_t i = 0; i < count && !task->failed && !task->enough; i++) {
        int result = push(task, 0, records[i]);
        if (arena_failed(task->arena)) {
            task_out_of_memory(task);
        } else if (result < 0 && !task->failed && !task->enough) {
            task_fail(task, "a function of the stream failed and did not say why");
        }
    }
}

struct computation {
    struct stream_context *context;
    const struct output *output;
    struct batch *batch;
    struct block **blocks;
    struct task *tasks;
};

/* Runs on a worker. */
static void run_task(void *user, size_t index, void *scratch)
{
    struct computation *all = user;
    struct task *task = &all->tasks[index];
    int attempts = all->context->settings.task_attempts;
    for (int attempt = 0; attempt < attempts; attempt++) {
        task->failed = task->enough = false;
        task->count = 0;
        if (!task->arena) {
            task->arena = arena_new(STREAM_PARTITION_MAXIMUM);
        }
        if (!task->arena) {
            task_out_of_memory(task);
            continue;
        }
        arena_reset(task->arena);
        task->scratch = scratch;
        task->chain = &all->output->chain;
        task->time = all->batch->time;
        task->partition = index;
        task->most = all->output->most;
        if (task->most > 0) {
            run_records(task, all->blocks[index]);
        }
        if (!task->failed) {
            return;
        }
    }
}

static void gather(struct computation *all)
{
    struct batch *batch = all->batch;
    for (size_t i = 0; i < batch->part_count; i++) {
        struct task *task = &all->tasks[i];
        batch->parts[i] =
            (struct batch_part){task->records, task->count, task->arena, *block_range(all->blocks[i])};
        batch->count += task->count;
        if (task->failed && !batch->failed) {
            batch->failed = true;
            batch->error = task->error;
            batch->fault = task->fault;
        }
    }
}

void stream_compute(struct stream_context *c, const struct output *output, struct block *blocks,
                    struct batch *batch)
{
    struct computation all = {.context = c, .output = output, .batch = batch};
    size_t count = 0;
    for (const struct block *b = blocks; b; b = block_next(b)) {
        count++;
    }
    batch->started_at = clock_wall_ms();
    if (count == 0) {
        return;
    }
    batch->parts = calloc(count, sizeof *batch->parts);
    all.tasks = calloc(count, sizeof *all.tasks);
    all.blocks = calloc(count, sizeof(struct block *));
    if (!batch->parts || !all.tasks || !all.blocks) {
        batch->failed = true;
        batch->fault = STREAM_ENGINE_ERROR;
        err_set(&batch->error, ERR_RETRY, "out of memory for a batch of %zu partitions", count);
        goto done;
    }
    batch->part_count = count;
    for (size_t i = 0; blocks; blocks = block_next(blocks)) {
        all.blocks[i++] = blocks;
    }
    stream_engine_run(c->engine, count, run_task, &all);
    gather(&all);
done:
    free((void *)all.blocks);
    free(all.tasks);
}

void stream_batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->part_count; i++) {
        free(batch->parts[i].records);
        arena_free(batch->parts[i].arena);
    }
    free(batch->parts);
    *batch = (struct batch){0};
}

int64_t batch_time(const struct batch *batch)
{
    return batch->time;
}

int64_t batch_started_at(const struct batch *batch)
{
    return batch->started_at;
}

size_t batch_count(const struct batch *batch)
{
    return batch->count;
}

size_t batch_partition_count(const struct batch *batch)
{
    return batch->part_count;
}

const struct record *batch_partition(const struct batch *batch, size_t partition, size_t *count)
{
    *count = batch->parts[partition].count;
    return batch->parts[partition].records;
}

const struct record_range *batch_partition_range(const struct batch *batch, size_t partition)
{
    return &batch->parts[partition].range;
}
