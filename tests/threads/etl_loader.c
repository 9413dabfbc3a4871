/* tests/threads/etl_loader.c - the loader under ThreadSanitizer: sinks that fail now and then, positions
 * asked from other threads meanwhile, and a stop in the middle. The sinks are a test double of etl/sink.h. */
#include "base/random.h"
#include "etl/loader.h"
#include "etl/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(what)                                                                                           \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what);                         \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

struct sink { /* everything but `stopped` belongs to the sink's thread */
    struct random random;
    uint64_t position, rows;
    atomic_bool stopped;
};

static int sink_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                         struct err *e)
{
    (void)consumer;
    (void)spool;
    *sequence = s->position;
    return random_below(&s->random, 8) == 0 ? err_set(e, ERR_RETRY, "away") : 0;
}

static int sink_latest(struct sink *s, const char *consumer, struct sink_latest *latest, struct err *e)
{
    (void)consumer;
    *latest = (struct sink_latest){"before", s->position + 1};
    return random_below(&s->random, 8) == 0 ? err_set(e, ERR_RETRY, "away") : 0;
}

static int sink_write(struct sink *s, const struct load *load, struct err *e)
{
    const struct load_part *part = &load->parts[0];
    uint64_t chance = random_below(&s->random, 40);
    if (chance == 0) {
        return err_set(e, ERR_RETRY, "away");
    }
    s->rows += part->last_sequence - s->position;
    s->position = part->last_sequence;
    return chance == 1 ? err_set(e, ERR_RETRY, "the answer was lost") : 0;
}

static void sink_stop(struct sink *s)
{
    atomic_store(&s->stopped, true);
}

static const struct sink_type type = {
    .position = sink_position, .latest = sink_latest, .write = sink_write, .stop = sink_stop};

static void *ask_positions(void *loader)
{
    uint64_t sequence, last = 0;
    struct sink_latest latest;
    struct err e;
    while (loader_latest(loader, VIEW("spool"), &latest, &e) == 0 &&
           loader_position(loader, VIEW("spool"), &sequence, &e) == 0) {
        MUST(sequence >= last);
        MUST(!latest.spool[0] || latest.sequence == 1);
        last = sequence;
    }
    return NULL;
}

int main(void)
{
    struct sink sinks[3] = {{.random = {1}}, {.random = {2}}, {.random = {3}}};
    struct loader_sink list[3];
    struct err e;
    for (int i = 0; i < 3; i++) {
        list[i] = (struct loader_sink){&type, &sinks[i], "test"};
    }
    struct loader *loader = loader_new("etl", list, 3, &e);
    MUST(loader);
    pthread_t asker;
    MUST(thread_start(&asker, ask_positions, loader, "asker", &e) == 0);
    uint64_t at = 0;
    for (int i = 0; i < 100; i++, at += 5) {
        const struct load_part part = {
            .spool = VIEW("spool"), .first_sequence = at + 1, .last_sequence = at + 5};
        const struct load load = {.consumer = "etl", .parts = &part, .part_count = 1};
        MUST(loader_load(loader, &load, &e) == 0);
    }
    loader_stop(loader, 1000);
    pthread_join(asker, NULL);
    loader_free(loader);
    for (int i = 0; i < 3; i++) {
        MUST(sinks[i].rows == at && sinks[i].position == at);
    }
    return 0;
}
