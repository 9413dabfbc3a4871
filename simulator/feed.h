/* simulator/feed.h - a place in a play list: what comes next, and what it looks like when it is sent.
 *
 * Positions count messages from 0 and go on growing when the list begins again; the message at position p is
 * number p % count of the list. There is one feed per account, or a single one for a stream with a rate.
 */
#ifndef ROOST_SIMULATOR_FEED_H
#define ROOST_SIMULATOR_FEED_H

#include "simulator/posts.h"

struct feed {
    const struct playlist *list;
    uint64_t position; /* of the next message */
    uint64_t end;      /* there is none from here on; UINT64_MAX: for ever */
    uint64_t *fresh;   /* the newest id of each message; NULL: recorded ids stay */
    int64_t shift_ms;  /* how much later than the recording this pass is */
};

/* A feed at the beginning. -1: memory is out. */
int feed_init(struct feed *f, const struct playlist *list, bool loop, uint64_t total, bool fresh_ids);

static inline bool feed_at_end(const struct feed *f)
{
    return f->position >= f->end;
}

/* The message at the position, and its index in the list; it does not move on. Not at the end. */
const struct playlist_message *feed_next(const struct feed *f, size_t *index);

/* The bytes of that message as they are sent now: as recorded, or, with fresh ids, written into *scratch
 * (emptied first). last_id is the newest id given out by the whole simulator. Must be called for each message
 * that is passed, sent or not, so that later messages can refer to it. */
struct view feed_render(struct feed *f, size_t index, int64_t now_ms, uint64_t *last_id,
                        struct buffer *scratch, bool wanted);

/* A message of this feed once more, with the id that it was given last; changes nothing. */
struct view feed_render_again(const struct feed *f, size_t index, struct buffer *scratch);

/* The same message as a payload of API v2, with the id that feed_render gave it last: now, or when it was
 * sent. Changes nothing. */
struct view feed_render_payload(const struct feed *f, size_t index, const struct posts_item *post,
                                struct buffer *scratch);

void feed_free(struct feed *f);

#endif
