/* etl/stream_receiver.c - sources that receive: a thread and a block generator each. */
#include "etl/stream_graph.h"

#include <stdlib.h>

struct stream_receiver {
    struct stream_receiver_settings settings;
    struct block_generator *generator;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    bool running; /* the thread was started and not joined */
    pthread_t thread;
};

struct receivers {
    size_t count;
    struct stream_receiver list[];
};

static void *receiver_main(void *argument)
{
    struct stream_receiver *r = argument;
    r->settings.run(r, r->settings.user);
    return NULL;
}

int stream_receiver_store(struct stream_receiver *r, struct view head, struct view body, struct view origin,
                          uint64_t sequence, struct err *e)
{
    return block_generator_add(r->generator, head, body, origin, sequence, e);
}

bool stream_receiver_stopping(struct stream_receiver *r)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

bool stream_receiver_sleep(struct stream_receiver *r, int64_t ms)
{
    int64_t deadline = thread_deadline(ms);
    pthread_mutex_lock(&r->lock);
    while (!r->stopping && thread_wait(&r->changed, &r->lock, deadline)) {
    }
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

static void tell_to_stop(struct stream_receiver *r)
{
    pthread_mutex_lock(&r->lock);
    bool first = !r->stopping;
    r->stopping = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    block_generator_stop(r->generator);
    if (first && r->running && r->settings.interrupt) {
        r->settings.interrupt(r->settings.user);
    }
}

static void receivers_stop(void *source)
{
    struct receivers *all = source;
    for (size_t i = 0; i < all->count; i++) {
        tell_to_stop(&all->list[i]);
    }
    for (size_t i = 0; i < all->count; i++) {
        struct stream_receiver *r = &all->list[i];
        if (r->running) {
            pthread_join(r->thread, NULL);
            r->running = false;
        }
    }
}

static void receiver_is_full(void *context)
{
    stream_source_is_full(context);
}

static int receivers_start(void *source, struct stream_clock *clock, struct err *e)
{
    (void)clock;
    struct receivers *all = source;
    for (size_t i = 0; i < all->count; i++) {
        struct stream_receiver *r = &all->list[i];
        if (thread_start(&r->thread, receiver_main, r, r->settings.name, e) != 0) {
            receivers_stop(all);
            return -1;
        }
        r->running = true;
    }
    return 0;
}

static int receivers_take(void *source, int64_t time, struct block **blocks, struct err *e)
{
    (void)time;
    (void)e;
    struct receivers *all = source;
    struct block *last = NULL;
    *blocks = NULL;
    for (size_t i = 0; i < all->count; i++) {
        struct block *taken = block_generator_take(all->list[i].generator);
        if (last) {
            block_link(last, taken);
        } else {
            *blocks = last = taken;
        }
        while (last && block_next(last)) {
            last = block_next(last);
        }
    }
    return 1;
}

static void receivers_waiting(void *source, size_t *records, size_t *bytes)
{
    struct receivers *all = source;
    *records = *bytes = 0;
    for (size_t i = 0; i < all->count; i++) {
        size_t r, b;
        block_generator_waiting(all->list[i].generator, &r, &b);
        *records += r;
        *bytes += b;
    }
}

static bool receivers_full(void *source)
{
    struct receivers *all = source;
    for (size_t i = 0; i < all->count; i++) {
        if (block_generator_full(all->list[i].generator)) {
            return true;
        }
    }
    return false;
}

static void receivers_free(void *source)
{
    struct receivers *all = source;
    for (size_t i = 0; i < all->count; i++) {
        block_generator_free(all->list[i].generator);
        if (all->list[i].settings.free) {
            all->list[i].settings.free(all->list[i].settings.user);
        }
        pthread_cond_destroy(&all->list[i].changed);
        pthread_mutex_destroy(&all->list[i].lock);
    }
    free(all);
}

static const struct stream_source_operations receiver_operations = {
    .start = receivers_start,
    .take = receivers_take,
    .stop = receivers_stop,
    .waiting = receivers_waiting,
    .full = receivers_full,
    .free = receivers_free,
};

struct dstream *stream_receive(struct stream_context *c, const struct stream_receiver_settings *receivers,
                               size_t count, const struct block_limits *limits, struct err *e)
{
    struct receivers *all = calloc(1, sizeof *all + count * sizeof all->list[0]);
    if (!all) {
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for %zu receivers", count);
        return NULL;
    }
    struct dstream *stream = NULL;
    bool made = true;
    for (; made && all->count < count; all->count++) {
        struct stream_receiver *r = &all->list[all->count];
        r->settings = receivers[all->count];
        pthread_mutex_init(&r->lock, NULL);
        thread_condition_init(&r->changed);
        r->generator = block_generator_new(limits, c->clock, receiver_is_full, c, e);
        made = r->generator != NULL;
    }
    if (made) {
        stream = stream_source(c, &receiver_operations, all, e);
    }
    for (size_t i = 0; !stream && i < all->count; i++) {
        all->list[i].settings.free = NULL;
    }
    if (!stream) {
        receivers_free(all);
    }
    return stream;
}
