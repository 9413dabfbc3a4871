/* etl/stream_queue.c - the queue source: batches that the program itself puts in. */
#include "etl/stream_graph.h"

#include <stdlib.h>

struct queued {
    struct queued *next;
    bool none; /* "no batch at this time" */
    struct block *blocks;
};

struct stream_queue {
    pthread_mutex_t lock;
    bool one_at_a_time, has_default;
    size_t partitions;
    struct queued *first, **end;
    struct record *standard; /* the default batch: copies, one piece of memory each */
    size_t standard_count;
};

/* n records as blocks, cut at floor(i * n / p). An empty batch has p empty partitions. */
static int cut(const struct record *records, size_t n, size_t p, struct block **list, struct err *e)
{
    struct block *last = NULL;
    *list = NULL;
    for (size_t i = 0; i < p; i++) {
        struct block *b = block_new();
        if (!b) {
            block_free_all(*list);
            return err_set(e, ERR_RETRY, "out of memory for a queued batch");
        }
        if (last) {
            block_link(last, b);
        } else {
            *list = b;
        }
        last = b;
        for (size_t at = i * n / p; at < (i + 1) * n / p; at++) {
            if (block_add(b, view_make(records[at].data, records[at].size), view_none(), e) != 0) {
                block_free_all(*list);
                return -1;
            }
        }
    }
    return 0;
}

static int push(struct stream_queue *q, struct block *blocks, bool none, struct err *e)
{
    struct queued *item = calloc(1, sizeof *item);
    if (!item) {
        block_free_all(blocks);
        return err_set(e, ERR_RETRY, "out of memory for a queued batch");
    }
    *item = (struct queued){.none = none, .blocks = blocks};
    pthread_mutex_lock(&q->lock);
    *q->end = item;
    q->end = &item->next;
    pthread_mutex_unlock(&q->lock);
    return 0;
}

int stream_queue_push(struct stream_queue *q, const struct record *records, size_t count, struct err *e)
{
    struct block *blocks;
    return cut(records, count, q->partitions, &blocks, e) == 0 ? push(q, blocks, false, e) : -1;
}

int stream_queue_push_none(struct stream_queue *q, struct err *e)
{
    return push(q, NULL, true, e);
}

static struct queued *pop(struct stream_queue *q)
{
    struct queued *item = q->first;
    if (item) {
        q->first = item->next;
        if (!q->first) {
            q->end = &q->first;
        }
    }
    return item;
}

/* Appends a queued batch to the list and frees its place in the queue. */
static void unite(struct block **list, struct queued *item)
{
    struct block *last = *list;
    while (last && block_next(last)) {
        last = block_next(last);
    }
    if (last) {
        block_link(last, item->blocks);
    } else {
        *list = item->blocks;
    }
    free(item);
}

static int queue_take(void *source, int64_t time, struct block **blocks, struct err *e)
{
    (void)time;
    struct stream_queue *q = source;
    *blocks = NULL;
    pthread_mutex_lock(&q->lock);
    struct queued *item = pop(q);
    bool found = item != NULL, none = item && item->none;
    if (item) {
        unite(blocks, item);
    }
    while (found && !q->one_at_a_time && (item = pop(q)) != NULL) {
        unite(blocks, item);
    }
    pthread_mutex_unlock(&q->lock);
    if (found) {
        return !none || *blocks;
    }
    if (!q->has_default) {
        return 0;
    }
    return cut(q->standard, q->standard_count, q->partitions, blocks, e) == 0 ? 1 : -1;
}

static void queue_waiting(void *source, size_t *records, size_t *bytes)
{
    struct stream_queue *q = source;
    *records = *bytes = 0;
    pthread_mutex_lock(&q->lock);
    for (const struct queued *item = q->first; item; item = item->next) {
        for (const struct block *b = item->blocks; b; b = block_next(b)) {
            size_t count;
            const struct record *list = block_records(b, &count);
            *records += count;
            for (size_t i = 0; i < count; i++) {
                *bytes += list[i].size;
            }
        }
    }
    pthread_mutex_unlock(&q->lock);
}

static void queue_free(void *source)
{
    struct stream_queue *q = source;
    for (struct queued *item; (item = pop(q)) != NULL;) {
        block_free_all(item->blocks);
        free(item);
    }
    for (size_t i = 0; i < q->standard_count; i++) {
        free(q->standard[i].data);
    }
    free(q->standard);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static int keep_default(struct stream_queue *q, const struct stream_queue_settings *settings)
{
    q->standard = calloc(settings->count ? settings->count : 1, sizeof *q->standard);
    for (size_t i = 0; q->standard && i < settings->count; i++) {
        size_t size = settings->records[i].size;
        void *copy = malloc(size ? size : 1);
        if (!copy) {
            return -1;
        }
        if (size > 0) {
            memcpy(copy, settings->records[i].data, size);
        }
        q->standard[q->standard_count++] = (struct record){copy, size};
    }
    return q->standard ? 0 : -1;
}

static const struct stream_source_operations queue_operations = {
    .take = queue_take,
    .waiting = queue_waiting,
    .free = queue_free,
};

struct dstream *stream_queue_new(struct stream_context *c, const struct stream_queue_settings *settings,
                                 struct stream_queue **queue, struct err *e)
{
    struct stream_queue *q = calloc(1, sizeof *q);
    if (!q) {
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for a queue source");
        return NULL;
    }
    pthread_mutex_init(&q->lock, NULL);
    q->one_at_a_time = settings->one_at_a_time;
    q->has_default = settings->has_default;
    q->partitions = settings->partitions ? settings->partitions : 1;
    q->end = &q->first;
    if (keep_default(q, settings) != 0) {
        stream_fail(c, STREAM_ENGINE_ERROR, e, "out of memory for a queue's default batch");
        goto fail;
    }
    struct dstream *stream = stream_source(c, &queue_operations, q, e);
    if (!stream) {
        goto fail;
    }
    *queue = q;
    return stream;
fail:
    queue_free(q);
    return NULL;
}
