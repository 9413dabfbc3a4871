#include "simulator/feed.h"

#include <stdlib.h>

int feed_init(struct feed *f, const struct playlist *list, bool loop, uint64_t total, bool fresh_ids)
{
    *f = (struct feed){.list = list, .end = loop ? UINT64_MAX : playlist_count(list)};
    if (total && total < f->end) {
        f->end = total;
    }
    if (fresh_ids) {
        f->fresh = calloc(playlist_count(list), sizeof *f->fresh);
        return f->fresh ? 0 : -1;
    }
    return 0;
}

const struct playlist_message *feed_next(const struct feed *f, size_t *index)
{
    *index = (size_t)(f->position % playlist_count(f->list));
    return playlist_at(f->list, *index);
}

struct moment {
    const struct feed *feed;
    int64_t now_ms;
};

static uint64_t fresh_id(void *context, uint64_t recorded)
{
    const struct moment *m = context;
    size_t index = playlist_find(m->feed->list, recorded);
    if (index != SIZE_MAX && m->feed->fresh[index]) {
        return m->feed->fresh[index];
    }
    int64_t then = fresh_time_of(recorded) + m->feed->shift_ms;
    /* Played faster than recorded, it could come from the future. */
    int64_t latest = m->now_ms - 1000;
    return fresh_first_id(then < latest ? then : latest) | (recorded & 0x3FFFFF);
}

struct view feed_render(struct feed *f, size_t index, int64_t now_ms, uint64_t *last_id,
                        struct buffer *scratch, bool wanted)
{
    const struct playlist_message *message = playlist_at(f->list, index);
    if (!f->fresh) {
        return message->text;
    }
    if (index == 0) {
        f->shift_ms = playlist_start_ms(f->list) ? now_ms - playlist_start_ms(f->list) : 0;
    }
    if (message->tweet || message->payload) {
        uint64_t first = fresh_first_id(now_ms);
        *last_id = *last_id < first ? first : *last_id + 1;
        f->fresh[index] = *last_id;
    }
    if (!wanted || !message->places.count) {
        return message->text;
    }
    buffer_reset(scratch);
    struct moment m = {f, now_ms};
    fresh_write(message->text, &message->places, f->fresh[index], now_ms, fresh_id, &m, scratch);
    return buffer_failed(scratch) ? message->text : buffer_view(scratch);
}

struct view feed_render_again(const struct feed *f, size_t index, struct buffer *scratch)
{
    const struct playlist_message *message = playlist_at(f->list, index);
    buffer_reset(scratch);
    if (!f->fresh || !message->places.count || !f->fresh[index]) {
        return message->text;
    }
    int64_t now_ms = fresh_time_of(f->fresh[index]);
    struct moment m = {f, now_ms};
    fresh_write(message->text, &message->places, f->fresh[index], now_ms, fresh_id, &m, scratch);
    return buffer_failed(scratch) ? message->text : buffer_view(scratch);
}

struct view feed_render_payload(const struct feed *f, size_t index, const struct posts_item *post,
                                struct buffer *scratch)
{
    buffer_reset(scratch);
    if (!f->fresh || !post->places.count || !f->fresh[index]) {
        return post->payload;
    }
    int64_t now_ms = fresh_time_of(f->fresh[index]);
    struct moment m = {f, now_ms};
    fresh_write(post->payload, &post->places, f->fresh[index], now_ms, fresh_id, &m, scratch);
    return buffer_failed(scratch) ? post->payload : buffer_view(scratch);
}

void feed_free(struct feed *f)
{
    free(f->fresh);
    f->fresh = NULL;
}
