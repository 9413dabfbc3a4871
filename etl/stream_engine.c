/* etl/stream_engine.c - the worker threads. Work is a number of equal-looking tasks; whoever is free takes
 * the next one, so that uneven partitions even out. */
#include "base/watchdog.h"
#include "etl/stream_graph.h"

#include <stdlib.h>
#include <unistd.h>

struct worker {
    struct stream_engine *engine;
    pthread_t thread;
    void *scratch;
};

struct stream_engine {
    struct stream_engine_settings settings;
    struct worker *workers;
    size_t count; /* threads that were started */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    size_t ready, unable; /* workers that have their scratch; that could not make it */
    struct err error;     /* of one that could not */
    bool ending;
    void (*job)(void *user, size_t index, void *scratch);
    void *user;
    size_t next, tasks, running;
    struct stream_context *active;
};

static void work_off(struct worker *w)
{
    struct stream_engine *engine = w->engine;
    while (engine->next < engine->tasks) {
        size_t index = engine->next++;
        engine->running++;
        pthread_mutex_unlock(&engine->lock);
        watchdog_progress();
        engine->job(engine->user, index, w->scratch);
        pthread_mutex_lock(&engine->lock);
        engine->running--;
    }
    if (engine->running == 0) {
        pthread_cond_broadcast(&engine->done);
    }
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct stream_engine *engine = w->engine;
    struct err error = {0};
    bool able = true;
    if (engine->settings.scratch_new) {
        w->scratch = engine->settings.scratch_new(engine->settings.user, &error);
        able = w->scratch != NULL;
    }
    pthread_mutex_lock(&engine->lock);
    engine->ready += able;
    engine->unable += !able;
    if (!able) {
        engine->error = error;
    }
    pthread_cond_broadcast(&engine->done);
    while (able && !engine->ending) {
        work_off(w);
        if (!engine->ending) {
            thread_wait(&engine->work, &engine->lock, THREAD_NEVER);
        }
    }
    pthread_mutex_unlock(&engine->lock);
    if (w->scratch && engine->settings.scratch_free) {
        engine->settings.scratch_free(w->scratch);
    }
    return NULL;
}

static size_t worker_count(int wanted)
{
    if (wanted > 0) {
        return (size_t)wanted;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (size_t)cores : 1;
}

struct stream_engine *stream_engine_new(const struct stream_engine_settings *settings, struct err *e)
{
    size_t wanted = worker_count(settings->workers);
    struct stream_engine *engine = calloc(1, sizeof *engine);
    if (!engine) {
        err_set(e, ERR_RETRY, "out of memory for the stream engine");
        return NULL;
    }
    engine->settings = *settings;
    pthread_mutex_init(&engine->lock, NULL);
    thread_condition_init(&engine->work);
    thread_condition_init(&engine->done);
    engine->workers = calloc(wanted, sizeof *engine->workers);
    if (!engine->workers) {
        err_set(e, ERR_RETRY, "out of memory for %zu workers", wanted);
        goto fail;
    }
    for (; engine->count < wanted; engine->count++) {
        struct worker *w = &engine->workers[engine->count];
        w->engine = engine;
        if (thread_start(&w->thread, worker_main, w, "etl worker", e) != 0) {
            goto fail;
        }
    }
    pthread_mutex_lock(&engine->lock);
    while (engine->ready + engine->unable < wanted) {
        thread_wait(&engine->done, &engine->lock, THREAD_NEVER);
    }
    bool failed = engine->unable > 0;
    if (failed && e) {
        *e = engine->error;
    }
    pthread_mutex_unlock(&engine->lock);
    if (!failed) {
        return engine;
    }
fail:
    stream_engine_free(engine);
    return NULL;
}

void stream_engine_free(struct stream_engine *engine)
{
    if (!engine) {
        return;
    }
    pthread_mutex_lock(&engine->lock);
    engine->ending = true;
    pthread_cond_broadcast(&engine->work);
    pthread_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < engine->count; i++) {
        pthread_join(engine->workers[i].thread, NULL);
    }
    free(engine->workers);
    pthread_cond_destroy(&engine->done);
    pthread_cond_destroy(&engine->work);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

void stream_engine_run(struct stream_engine *engine, size_t count,
                       void (*job)(void *user, size_t index, void *scratch), void *user)
{
    if (count == 0) {
        return;
    }
    pthread_mutex_lock(&engine->lock);
    engine->job = job;
    engine->user = user;
    engine->next = 0;
    engine->tasks = count;
    pthread_cond_broadcast(&engine->work);
    while (engine->next < engine->tasks || engine->running > 0) {
        thread_wait(&engine->done, &engine->lock, THREAD_NEVER);
    }
    engine->tasks = engine->next = 0;
    pthread_mutex_unlock(&engine->lock);
}

bool stream_engine_claim(struct stream_engine *engine, struct stream_context *c)
{
    pthread_mutex_lock(&engine->lock);
    bool free_to_take = engine->active == NULL;
    if (free_to_take) {
        engine->active = c;
    }
    pthread_mutex_unlock(&engine->lock);
    return free_to_take;
}

void stream_engine_release(struct stream_engine *engine, struct stream_context *c)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->active == c) {
        engine->active = NULL;
    }
    pthread_mutex_unlock(&engine->lock);
}
