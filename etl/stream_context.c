/* etl/stream_context.c - the life of a context: made, started, awaited, stopped. */
#include "base/log.h"
#include "etl/stream_graph.h"
#include "etl/stream_time.h"

#include <stdlib.h>

static const struct log_context log_stream = {"etl", "stream"};

static int check_settings(const struct stream_settings *s, struct err *e)
{
    if (s->batch_interval_ms <= 0) {
        return err_set(e, ERR_FATAL, "Batch duration for StreamingContext cannot be null");
    }
    if (s->batch_interval_ms < STREAM_INTERVAL_MIN_MS || s->batch_interval_ms > STREAM_INTERVAL_MAX_MS) {
        return err_set(e, ERR_FATAL, "the batch interval of %lld ms is out of range: 10 ms to 1 h",
                       (long long)s->batch_interval_ms);
    }
    return 0;
}

struct stream_context *stream_context_new(struct stream_engine *engine,
                                          const struct stream_settings *settings, struct err *e)
{
    if (check_settings(settings, e) != 0) {
        return NULL;
    }
    struct stream_context *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(e, ERR_RETRY, "out of memory for a streaming context");
        return NULL;
    }
    c->engine = engine;
    c->settings = *settings;
    if (c->settings.task_attempts < 1) {
        c->settings.task_attempts = 1;
    }
    c->clock = settings->clock;
    if (!c->clock) {
        c->clock = c->own_clock = stream_clock_system();
    }
    if (!c->clock) {
        free(c);
        err_set(e, ERR_RETRY, "out of memory for a clock");
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    thread_condition_init(&c->changed);
    c->outputs_end = &c->outputs;
    c->made_end = &c->made;
    return c;
}

void stream_context_free(struct stream_context *c)
{
    if (!c) {
        return;
    }
    stream_stop(c, false);
    stream_graph_free(c);
    stream_clock_free(c->own_clock);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

enum stream_state stream_context_state(struct stream_context *c)
{
    pthread_mutex_lock(&c->lock);
    enum stream_state state = c->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

enum stream_fault stream_fault(struct stream_context *c)
{
    pthread_mutex_lock(&c->lock);
    enum stream_fault fault = c->fault;
    pthread_mutex_unlock(&c->lock);
    return fault;
}

static void set_state(struct stream_context *c, enum stream_state state)
{
    pthread_mutex_lock(&c->lock);
    c->state = state;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void stop_sources(struct stream_context *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct stream_source_operations *operations = c->sources[i]->function.source;
        if (operations->stop) {
            operations->stop(c->sources[i]->user);
        }
    }
}

static int start_sources(struct stream_context *c, struct err *e)
{
    for (size_t i = 0; i < c->source_count; i++) {
        const struct stream_source_operations *operations = c->sources[i]->function.source;
        if (operations->start && operations->start(c->sources[i]->user, c->clock, e) != 0) {
            stop_sources(c, i);
            pthread_mutex_lock(&c->lock);
            c->fault = STREAM_ENGINE_ERROR;
            pthread_mutex_unlock(&c->lock);
            return -1;
        }
    }
    return 0;
}

static void tell_to_stop(struct stream_context *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    stream_clock_wake(c->clock);
}

static int start_threads(struct stream_context *c, struct err *e)
{
    if (thread_start(&c->output_thread, stream_outputs, c, "etl output", e) != 0) {
        return -1;
    }
    if (thread_start(&c->driver, stream_driver, c, "etl driver", e) != 0) {
        pthread_mutex_lock(&c->lock);
        c->stopping = c->driver_ended = true;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->output_thread, NULL);
        return -1;
    }
    return 0;
}

int stream_start(struct stream_context *c, struct err *e)
{
    enum stream_state state = stream_context_state(c);
    if (state == STREAM_ACTIVE) {
        log_warning(&log_stream, "StreamingContext has already been started");
        return 0;
    }
    if (state == STREAM_STOPPED) {
        return stream_fail(c, STREAM_ILLEGAL_STATE, e, "StreamingContext has already been stopped");
    }
    if (stream_compile(c, e) != 0) {
        goto stopped;
    }
    if (!stream_engine_claim(c->engine, c)) {
        stream_fail(
            c, STREAM_ILLEGAL_STATE, e,
            "Only one StreamingContext may be started: another one of this engine is running, stop it first");
        goto stopped;
    }
    c->zero = stream_time_first(stream_clock_now(c->clock), c->settings.batch_interval_ms, 0) -
              c->settings.batch_interval_ms;
    if (start_sources(c, e) != 0) {
        goto release;
    }
    set_state(c, STREAM_ACTIVE);
    if (start_threads(c, e) != 0) {
        goto sources;
    }
    return 0;
sources:
    stop_sources(c, c->source_count);
release:
    stream_engine_release(c->engine, c);
stopped:
    set_state(c, STREAM_STOPPED);
    return -1;
}

/* Waits until the driver has made batches of all that was received, at most 10 intervals. */
static void drain(struct stream_context *c)
{
    int64_t deadline = thread_deadline(10 * c->settings.batch_interval_ms);
    stop_sources(c, c->source_count);
    pthread_mutex_lock(&c->lock);
    c->draining = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    stream_clock_wake(c->clock);
    pthread_mutex_lock(&c->lock);
    bool in_time = true;
    while (in_time && !(c->driver_ended && c->in_hand == 0)) {
        in_time = thread_wait(&c->changed, &c->lock, deadline);
    }
    pthread_mutex_unlock(&c->lock);
    if (!in_time) {
        log_warning(&log_stream,
                    "the graceful stop took longer than 10 batch intervals: what is left is dropped");
    }
}

void stream_stop(struct stream_context *c, bool graceful)
{
    pthread_mutex_lock(&c->lock);
    while (c->stop_in_progress) {
        thread_wait(&c->changed, &c->lock, THREAD_NEVER);
    }
    enum stream_state state = c->state;
    c->stop_in_progress = state == STREAM_ACTIVE;
    pthread_mutex_unlock(&c->lock);
    if (state != STREAM_ACTIVE) {
        set_state(c, STREAM_STOPPED);
        return;
    }
    if (graceful) {
        drain(c);
    }
    tell_to_stop(c);
    stop_sources(c, c->source_count);
    pthread_join(c->driver, NULL);
    pthread_join(c->output_thread, NULL);
    stream_engine_release(c->engine, c);
    pthread_mutex_lock(&c->lock);
    c->stop_in_progress = false;
    pthread_mutex_unlock(&c->lock);
    set_state(c, STREAM_STOPPED);
}

int stream_await_termination(struct stream_context *c, int64_t timeout_ms, struct err *e)
{
    int64_t deadline = thread_deadline(timeout_ms);
    int result = 0;
    pthread_mutex_lock(&c->lock);
    bool in_time = true;
    while (in_time && !c->has_error && c->state != STREAM_STOPPED) {
        in_time = thread_wait(&c->changed, &c->lock, deadline);
    }
    if (c->has_error) {
        if (e) {
            *e = c->error;
        }
        result = -1;
    } else if (c->state == STREAM_STOPPED) {
        result = 1;
    }
    pthread_mutex_unlock(&c->lock);
    return result;
}

int stream_await_batch(struct stream_context *c, int64_t time, int64_t timeout_ms)
{
    int64_t deadline = thread_deadline(timeout_ms);
    pthread_mutex_lock(&c->lock);
    bool in_time = true;
    while (in_time && c->numbers.last_time < time && c->state != STREAM_STOPPED) {
        in_time = thread_wait(&c->changed, &c->lock, deadline);
    }
    int result = c->numbers.last_time >= time;
    pthread_mutex_unlock(&c->lock);
    return result;
}

void stream_count(struct stream_context *c, struct stream_numbers *numbers)
{
    pthread_mutex_lock(&c->lock);
    *numbers = c->numbers;
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->source_count; i++) {
        size_t records = 0, bytes = 0;
        const struct stream_source_operations *operations = c->sources[i]->function.source;
        if (operations->waiting) {
            operations->waiting(c->sources[i]->user, &records, &bytes);
        }
        numbers->waiting_records += records;
        numbers->waiting_bytes += bytes;
    }
}

void stream_source_is_full(struct stream_context *c)
{
    if (c->settings.early_when_full) {
        stream_clock_wake(c->clock);
    }
}
