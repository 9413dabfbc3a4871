#include "etl/load_build.h"
#include "etl/steps.h"

#include <inttypes.h>

/* A part while it grows: the lists are written through these. */
struct growing {
    struct load_part *part;
    struct load_row *posts, *events;
    struct load_reject *rejects;
};

static const struct item *item_of(struct record record)
{
    return (const struct item *)record.data;
}

static struct load_part *find_part(struct load_part *parts, size_t count, struct view spool)
{
    for (size_t i = 0; i < count; i++) {
        if (view_equal(parts[i].spool, spool)) {
            return &parts[i];
        }
    }
    return NULL;
}

static void count_item(struct load_part *part, const struct item *item)
{
    part->reject_count += !item->post;
    part->post_count += item->post && item->post->kind == POST_POST;
    part->event_count += item->post && item->post->kind != POST_POST;
    part->filtered += item->filtered;
    part->received += 1 + item->filtered;
    if (part->first_sequence == 0 || item->sequence < part->first_sequence) {
        part->first_sequence = item->sequence;
    }
    if (item->sequence > part->last_sequence) {
        part->last_sequence = item->sequence;
    }
}

/* Finds the spools of the batch and counts what each gave. */
static size_t count_parts(const struct batch *batch, struct load_part *parts)
{
    size_t found = 0;
    for (size_t p = 0; p < batch_partition_count(batch); p++) {
        size_t count;
        const struct record *records = batch_partition(batch, p, &count);
        struct view spool = batch_partition_range(batch, p)->origin;
        struct load_part *part = find_part(parts, found, spool);
        if (!part && count > 0) {
            part = &parts[found++];
            *part = (struct load_part){.spool = spool};
        }
        for (size_t i = 0; i < count; i++) {
            count_item(part, item_of(records[i]));
        }
    }
    return found;
}

static void place_item(struct growing *g, const struct item *item)
{
    struct load_part *part = g->part;
    if (!item->post) {
        g->rejects[part->reject_count++] = (struct load_reject){item->sequence, item->frame, item->why};
        return;
    }
    const struct load_row row = {item->sequence, item->post, item->frame};
    if (item->post->kind == POST_POST) {
        g->posts[part->post_count++] = row;
    } else {
        g->events[part->event_count++] = row;
    }
}

/* The lists of one part. Partitions come in order, and so do a spool's frames in them. */
static int fill_part(const struct batch *batch, struct load_part *part, struct arena *a)
{
    struct growing g = {part, arena_zeroed(a, part->post_count, sizeof *g.posts),
                        arena_zeroed(a, part->event_count, sizeof *g.events),
                        arena_zeroed(a, part->reject_count, sizeof *g.rejects)};
    if (arena_failed(a)) {
        return -1;
    }
    part->posts = g.posts;
    part->events = g.events;
    part->rejects = g.rejects;
    part->post_count = part->event_count = part->reject_count = 0;
    for (size_t p = 0; p < batch_partition_count(batch); p++) {
        size_t count;
        const struct record *records = batch_partition(batch, p, &count);
        if (count > 0 && view_equal(batch_partition_range(batch, p)->origin, part->spool)) {
            for (size_t i = 0; i < count; i++) {
                place_item(&g, item_of(records[i]));
            }
        }
    }
    return 0;
}

int load_build(const struct batch *batch, const char *consumer, struct arena *a, struct load *load,
               struct err *e)
{
    size_t most = batch_partition_count(batch);
    struct load_part *parts = arena_zeroed(a, most, sizeof *parts);
    if (!parts) {
        goto full;
    }
    size_t count = count_parts(batch, parts);
    for (size_t i = 0; i < count; i++) {
        if (fill_part(batch, &parts[i], a) != 0) {
            goto full;
        }
    }
    *load = (struct load){.consumer = consumer,
                          .batch_time = batch_time(batch),
                          .started_at = batch_started_at(batch),
                          .parts = parts,
                          .part_count = count};
    return 0;
full:
    return err_set(e, ERR_RETRY, "out of memory for the load of the batch of %" PRId64 " ms",
                   batch_time(batch));
}
