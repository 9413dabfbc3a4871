/* tests/threads/etl_stream.c - the DStream engine under ThreadSanitizer: receivers, driver, workers, outputs
 * and callers from outside at the same time, with immediate and graceful stops. Prints the first fault and
 * ends with 1. */
#include "etl/dstream.h"
#include "etl/sources.h"
#include "etl/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_uint stored, counted, mapped;

#define MUST(what)                                                                                           \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what);                         \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static void store_many(struct stream_receiver *r, void *user)
{
    (void)user;
    for (unsigned i = 0; i < 20000 && !stream_receiver_stopping(r); i++) {
        struct err e;
        if (stream_receiver_store(r, view_make((const char *)&i, sizeof i), view_none(), VIEW("origin"), i,
                                  &e) == 0) {
            atomic_fetch_add(&stored, 1);
        }
    }
    while (!stream_receiver_sleep(r, 1000)) {
    }
}

static int copy(struct task *task, struct record in, struct record *out, void *user)
{
    (void)user;
    unsigned *number = arena_alloc(task_arena(task), sizeof *number);
    *number = *(const unsigned *)in.data;
    *(unsigned *)task_scratch(task) += 1;
    *out = (struct record){number, sizeof *number};
    atomic_fetch_add(&mapped, 1);
    return 0;
}

static int count(const struct batch *batch, void *user, struct err *e)
{
    (void)user;
    (void)e;
    atomic_fetch_add(&counted, (unsigned)batch_count(batch));
    return 0;
}

static void *scratch_new(void *user, struct err *e)
{
    (void)user;
    (void)e;
    return calloc(1, sizeof(unsigned));
}

static void *look_on(void *context)
{
    struct stream_numbers numbers;
    struct err e;
    do {
        stream_count(context, &numbers);
    } while (stream_await_termination(context, 5, &e) == 0);
    return NULL;
}

static void run(bool graceful, int ahead, bool early)
{
    struct err e;
    atomic_store(&stored, 0);
    atomic_store(&counted, 0);
    struct stream_engine *engine = stream_engine_new(
        &(struct stream_engine_settings){.workers = 3, .scratch_new = scratch_new, .scratch_free = free}, &e);
    MUST(engine);
    struct stream_context *context = stream_context_new(
        engine, &(struct stream_settings){.batch_interval_ms = 20, .ahead = ahead, .early_when_full = early},
        &e);
    MUST(context);
    const struct stream_receiver_settings receivers[2] = {{.name = "one", .run = store_many},
                                                          {.name = "two", .run = store_many}};
    const struct block_limits limits = {10, 3000, 1 << 20, 200, 1 << 20};
    struct dstream *numbers = stream_map(stream_receive(context, receivers, 2, &limits, &e), copy, NULL, &e);
    MUST(stream_foreach_batch(numbers, count, NULL, &e) == 0);
    MUST(stream_start(context, &e) == 0);
    pthread_t onlooker;
    MUST(thread_start(&onlooker, look_on, context, "onlooker", &e) == 0);
    for (struct stream_numbers n = {0}; n.batches < 10;) {
        stream_count(context, &n);
        stream_await_batch(context, n.last_time + 1, 1000);
    }
    stream_stop(context, graceful);
    pthread_join(onlooker, NULL);
    MUST(!graceful || atomic_load(&stored) == atomic_load(&counted));
    stream_context_free(context);
    stream_engine_free(engine);
}

int main(void)
{
    for (int i = 0; i < 8; i++) {
        run(i & 1, i >> 1 & 1, i >> 2 & 1);
    }
    MUST(atomic_load(&mapped) > 0);
    return 0;
}
