/* etl/stream_batches.c - the two threads of an active context.
 *
 * The driver waits for the next batch time, takes from each source what belongs to it, has the workers
 * compute the batch for each output operation, and hands the run on. The output thread calls the output
 * functions, in order of definition, run after run, and frees the run. At most 1 + `ahead` runs are between
 * the two, so that memory stays bounded when an output function is slow: periods that pass meanwhile are made
 * afterwards, in order.
 */
#include "base/log.h"
#include "base/watchdog.h"
#include "etl/stream_graph.h"
#include "etl/stream_time.h"

#include <stdlib.h>

static const struct log_context log_stream = {"etl", "stream"};

static void report(struct stream_context *c, enum stream_fault fault, const struct err *error)
{
    pthread_mutex_lock(&c->lock);
    c->fault = fault;
    c->numbers.failed_jobs++;
    if (!c->has_error) {
        c->has_error = true;
        c->error = *error;
    }
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->settings.failed) {
        c->settings.failed(c->settings.user, error);
    }
}

static void run_free(struct run *run)
{
    if (!run) {
        return;
    }
    for (size_t i = 0; run->batches && i < run->output_count; i++) {
        stream_batch_free(&run->batches[i]);
    }
    for (size_t i = 0; run->inputs && i < run->source_count; i++) {
        block_free_all(run->inputs[i]);
    }
    free(run->batches);
    free((void *)run->inputs);
    free(run->has_input);
    free(run);
}

static struct run *run_new(const struct stream_context *c, int64_t time)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        return NULL;
    }
    run->time = time;
    run->source_count = c->source_count;
    run->output_count = c->output_count;
    run->inputs = calloc(c->source_count ? c->source_count : 1, sizeof(struct block *));
    run->has_input = calloc(c->source_count ? c->source_count : 1, sizeof(bool));
    run->batches = calloc(c->output_count, sizeof *run->batches);
    if (!run->inputs || !run->has_input || !run->batches) {
        run_free(run);
        return NULL;
    }
    return run;
}

static int take_inputs(struct stream_context *c, struct run *run, struct err *e)
{
    for (size_t i = 0; i < c->source_count; i++) {
        const struct dstream *s = c->sources[i];
        int result = s->function.source->take(s->user, run->time, &run->inputs[i], e);
        if (result < 0) {
            return -1;
        }
        run->has_input[i] = result > 0;
    }
    return 0;
}

static void compute_outputs(struct stream_context *c, struct run *run)
{
    struct batch *batch = run->batches;
    for (const struct output *output = c->outputs; output; output = output->next, batch++) {
        batch->time = run->time;
        batch->exists = run->has_input[output->chain.source] &&
                        stream_time_is_due(run->time, c->zero, output->stream->slide_ms);
        if (batch->exists) {
            stream_compute(c, output, run->inputs[output->chain.source], batch);
        }
    }
}

static bool any_source_full(const struct stream_context *c)
{
    for (size_t i = 0; i < c->source_count; i++) {
        const struct stream_source_operations *operations = c->sources[i]->function.source;
        if (operations->full && operations->full(c->sources[i]->user)) {
            return true;
        }
    }
    return false;
}

static bool anything_waits(const struct stream_context *c)
{
    for (size_t i = 0; i < c->source_count; i++) {
        size_t records = 0, bytes = 0;
        const struct stream_source_operations *operations = c->sources[i]->function.source;
        if (operations->waiting) {
            operations->waiting(c->sources[i]->user, &records, &bytes);
        }
        if (records > 0) {
            return true;
        }
    }
    return false;
}

/* Waits for a place between the threads. False: stopping. */
static bool wait_for_place(struct stream_context *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->stopping && c->in_hand > c->settings.ahead) {
        thread_wait(&c->changed, &c->lock, THREAD_NEVER);
    }
    bool go_on = !c->stopping;
    pthread_mutex_unlock(&c->lock);
    return go_on;
}

enum call { CALL_END, CALL_BATCH, CALL_EARLY };

/* Waits until the batch of `time` is to be made, or all is done. */
static enum call wait_for_time(struct stream_context *c, int64_t time)
{
    for (;;) {
        uint64_t wakes = stream_clock_wakes(c->clock);
        pthread_mutex_lock(&c->lock);
        bool stopping = c->stopping, draining = c->draining;
        pthread_mutex_unlock(&c->lock);
        if (stopping || (draining && !anything_waits(c))) {
            return CALL_END;
        }
        if (stream_clock_now(c->clock) >= time) {
            return CALL_BATCH;
        }
        if (c->settings.early_when_full && any_source_full(c)) {
            return CALL_EARLY;
        }
        stream_clock_wait(c->clock, time, wakes);
    }
}

/* The next batch time after `time`, which leaves out periods when the clock is too far ahead. */
static int64_t time_after(struct stream_context *c, int64_t time)
{
    int64_t interval = c->settings.batch_interval_ms, most = c->settings.most_periods_behind;
    int64_t newest = stream_time_floor(stream_clock_now(c->clock), interval, c->zero);
    int64_t behind = (newest - time) / interval;
    if (most > 0 && behind > most) {
        log_warning(&log_stream, "the clock is %lld batch intervals ahead: the batches between are left out",
                    (long long)behind);
        return newest;
    }
    return time + interval;
}

static void hand_on(struct stream_context *c, struct run *run)
{
    pthread_mutex_lock(&c->lock);
    *c->made_end = run;
    c->made_end = &run->next;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* One batch, from its sources to the output thread. */
static void make_batch(struct stream_context *c, int64_t time)
{
    struct err error;
    struct run *run = run_new(c, time);
    if (!run) {
        err_set(&error, ERR_RETRY, "out of memory for the batch of %lld ms", (long long)time);
        report(c, STREAM_ENGINE_ERROR, &error);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->in_hand++;
    pthread_mutex_unlock(&c->lock);
    run->began = stream_clock_now(c->clock);
    if (take_inputs(c, run, &error) != 0) {
        for (size_t i = 0; i < run->output_count; i++) {
            run->batches[i] = (struct batch){
                .time = time, .exists = true, .failed = true, .error = error, .fault = STREAM_ENGINE_ERROR};
        }
    } else {
        compute_outputs(c, run);
    }
    hand_on(c, run);
}

void *stream_driver(void *context)
{
    struct stream_context *c = context;
    int64_t next = c->zero + c->settings.batch_interval_ms;
    while (wait_for_place(c)) {
        watchdog_progress();
        enum call call = wait_for_time(c, next);
        if (call == CALL_END) {
            break;
        }
        make_batch(c, next);
        if (call == CALL_BATCH) {
            next = time_after(c, next);
        }
    }
    pthread_mutex_lock(&c->lock);
    c->driver_ended = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* The next run; NULL: the end. What was made is dropped once the context is stopping. */
static struct run *next_run(struct stream_context *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->made && !(c->stopping && c->driver_ended)) {
        thread_wait(&c->changed, &c->lock, THREAD_NEVER);
    }
    struct run *run = c->made;
    if (run) {
        c->made = run->next;
        if (!c->made) {
            c->made_end = &c->made;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return run;
}

/* Whether output functions are not called any more. */
static bool is_silent(struct stream_context *c)
{
    pthread_mutex_lock(&c->lock);
    bool silent = c->stopping || (c->settings.stop_at_error && c->has_error);
    pthread_mutex_unlock(&c->lock);
    return silent;
}

static void run_outputs(struct stream_context *c, struct run *run)
{
    const struct batch *batch = run->batches;
    for (const struct output *output = c->outputs; output; output = output->next, batch++) {
        struct err error = {0};
        if (!batch->exists || is_silent(c)) {
            continue;
        }
        if (batch->failed) {
            report(c, batch->fault, &batch->error);
        } else if (output->function(batch, output->user, &error) != 0) {
            report(c, STREAM_USER_ERROR, &error);
        }
    }
}

static void complete(struct stream_context *c, struct run *run)
{
    int64_t now = stream_clock_now(c->clock);
    int64_t time = run->time, began = run->began;
    run_free(run);
    pthread_mutex_lock(&c->lock);
    c->in_hand--;
    c->numbers.batches++;
    c->numbers.last_time = time;
    c->numbers.scheduling_delay_ms = began > time ? began - time : 0;
    c->numbers.processing_delay_ms = now - began;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

void *stream_outputs(void *context)
{
    struct stream_context *c = context;
    for (struct run *run; (run = next_run(c)) != NULL;) {
        watchdog_progress();
        run_outputs(c, run);
        complete(c, run);
    }
    return NULL;
}
