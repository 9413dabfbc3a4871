#include "etl/block.h"
#include "base/arena.h"
#include "etl/thread.h"

#include <stdlib.h>

struct block {
    struct block *next;
    struct arena *arena;
    struct record *records;
    size_t count, capacity, bytes;
    struct record_range range;
};

struct block_generator {
    pthread_mutex_t lock;
    pthread_cond_t taken;
    struct block_limits limits;
    struct stream_clock *clock;
    void (*full)(void *user);
    void *user;
    struct block *first, *last; /* closed and open blocks, in order */
    bool open;                  /* the last one may still grow */
    int64_t period;             /* of the open block: begins at this multiple of the interval */
    size_t records, bytes;
    bool is_full, stopped;
};

struct block *block_new(void)
{
    struct block *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    b->arena = arena_new(SIZE_MAX);
    if (!b->arena) {
        free(b);
        return NULL;
    }
    return b;
}

void block_free_all(struct block *list)
{
    while (list) {
        struct block *next = list->next;
        arena_free(list->arena);
        free(list->records);
        free(list);
        list = next;
    }
}

static int room_for_one(struct block *b)
{
    if (b->count < b->capacity) {
        return 0;
    }
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    struct record *records = reallocarray(b->records, capacity, sizeof *records);
    if (!records) {
        return -1;
    }
    b->records = records;
    b->capacity = capacity;
    return 0;
}

int block_add(struct block *b, struct view head, struct view body, struct err *e)
{
    size_t size = head.length + body.length;
    char *copy = room_for_one(b) == 0 ? arena_alloc(b->arena, size) : NULL;
    if (!copy) {
        return err_set(e, ERR_RETRY, "out of memory for a received record of %zu bytes", size);
    }
    if (head.length > 0) {
        memcpy(copy, head.at, head.length);
    }
    if (body.length > 0) {
        memcpy(copy + head.length, body.at, body.length);
    }
    b->records[b->count++] = (struct record){copy, size};
    b->bytes += size;
    return 0;
}

const struct record *block_records(const struct block *b, size_t *count)
{
    *count = b->count;
    return b->records;
}

const struct record_range *block_range(const struct block *b)
{
    return &b->range;
}

struct block *block_next(const struct block *b)
{
    return b->next;
}

void block_link(struct block *b, struct block *next)
{
    b->next = next;
}

struct block_generator *block_generator_new(const struct block_limits *limits, struct stream_clock *clock,
                                            void (*full)(void *user), void *user, struct err *e)
{
    if (limits->interval_ms <= 0) {
        err_set(e, ERR_FATAL, "the block interval of %lld ms should be a positive value",
                (long long)limits->interval_ms);
        return NULL;
    }
    if (!limits->waiting_records || !limits->waiting_bytes || !limits->block_records ||
        !limits->block_bytes) {
        err_set(e, ERR_FATAL, "a limit of a block generator is 0: each should be a positive value");
        return NULL;
    }
    struct block_generator *g = calloc(1, sizeof *g);
    if (!g) {
        err_set(e, ERR_RETRY, "out of memory for a block generator");
        return NULL;
    }
    pthread_mutex_init(&g->lock, NULL);
    thread_condition_init(&g->taken);
    g->limits = *limits;
    g->clock = clock;
    g->full = full;
    g->user = user;
    return g;
}

/* Whether the open block takes a record of this origin, now. */
static bool open_block_fits(const struct block_generator *g, struct view origin, int64_t period)
{
    const struct block *b = g->last;
    return g->open && period == g->period && b->count < g->limits.block_records &&
           b->bytes < g->limits.block_bytes && view_equal(b->range.origin, origin);
}

static struct block *open_block(struct block_generator *g, struct view origin, uint64_t sequence)
{
    int64_t now = stream_clock_now(g->clock);
    int64_t period = now / g->limits.interval_ms;
    if (open_block_fits(g, origin, period)) {
        return g->last;
    }
    struct block *b = block_new();
    if (!b) {
        return NULL;
    }
    b->range = (struct record_range){arena_view(b->arena, origin), sequence, sequence};
    if (g->last) {
        g->last->next = b;
    } else {
        g->first = b;
    }
    g->last = b;
    g->open = true;
    g->period = period;
    return b;
}

static bool has_room(const struct block_generator *g, size_t size)
{
    return g->records == 0 || (g->records < g->limits.waiting_records && g->bytes < g->limits.waiting_bytes &&
                               size <= g->limits.waiting_bytes - g->bytes);
}

/* Waits for room with the lock held. */
static void wait_for_room(struct block_generator *g, size_t size)
{
    while (!g->stopped && !has_room(g, size)) {
        if (!g->is_full) {
            g->is_full = true;
            if (g->full) {
                pthread_mutex_unlock(&g->lock);
                g->full(g->user);
                pthread_mutex_lock(&g->lock);
                continue;
            }
        }
        thread_wait(&g->taken, &g->lock, THREAD_NEVER);
    }
}

int block_generator_add(struct block_generator *g, struct view head, struct view body, struct view origin,
                        uint64_t sequence, struct err *e)
{
    int result = -1;
    size_t size = head.length + body.length;
    pthread_mutex_lock(&g->lock);
    wait_for_room(g, size);
    if (g->stopped) {
        err_set(e, ERR_FATAL, "Cannot add data as BlockGenerator has not been started or has been stopped");
        goto unlock;
    }
    struct block *b = open_block(g, origin, sequence);
    if (!b) {
        err_set(e, ERR_RETRY, "out of memory for a block of received records");
        goto unlock;
    }
    result = block_add(b, head, body, e);
    if (result == 0) {
        b->range.last = sequence;
        g->records++;
        g->bytes += size;
    }
unlock:
    pthread_mutex_unlock(&g->lock);
    return result;
}

struct block *block_generator_take(struct block_generator *g)
{
    pthread_mutex_lock(&g->lock);
    struct block *list = g->first;
    g->first = g->last = NULL;
    g->open = g->is_full = false;
    g->records = g->bytes = 0;
    pthread_cond_broadcast(&g->taken);
    pthread_mutex_unlock(&g->lock);
    return list;
}

void block_generator_waiting(struct block_generator *g, size_t *records, size_t *bytes)
{
    pthread_mutex_lock(&g->lock);
    *records = g->records;
    *bytes = g->bytes;
    pthread_mutex_unlock(&g->lock);
}

bool block_generator_full(struct block_generator *g)
{
    pthread_mutex_lock(&g->lock);
    bool full = g->is_full;
    pthread_mutex_unlock(&g->lock);
    return full;
}

void block_generator_stop(struct block_generator *g)
{
    pthread_mutex_lock(&g->lock);
    g->stopped = true;
    pthread_cond_broadcast(&g->taken);
    pthread_mutex_unlock(&g->lock);
}

void block_generator_free(struct block_generator *g)
{
    if (g) {
        block_free_all(g->first);
        pthread_cond_destroy(&g->taken);
        pthread_mutex_destroy(&g->lock);
        free(g);
    }
}
