/* simulator/fresh.h - recorded messages made new: other ids and times, everything else byte for byte.
 *
 * A stream played again and again would bring the same ids each time, from years ago. So the places in a
 * message that hold a tweet's id or time are found once, and a copy with new values is written when the
 * message is sent; nothing is parsed then. A new id holds the new time, as snowflake ids do: (ms -
 * 1288834974657) << 22, plus a number that makes it unique. A reference to another tweet of the same play
 * list (reply, quote, retweeted original, deletion) names that tweet's newest id; one to a tweet outside is
 * moved by as much time as this pass is later than the recording. Ids inside of URLs, of users and of media
 * stay.
 */
#ifndef ROOST_SIMULATOR_FRESH_H
#define ROOST_SIMULATOR_FRESH_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

/* Unix milliseconds of a snowflake id; ids of before November 2010 hold no time and are left alone. */
#define FRESH_EPOCH_MS  INT64_C(1288834974657)
#define FRESH_OLDEST_ID UINT64_C(29700859247)

static inline int64_t fresh_time_of(uint64_t id)
{
    return (int64_t)(id >> 22) + FRESH_EPOCH_MS;
}

/* The first id of a moment. */
static inline uint64_t fresh_first_id(int64_t wall_ms)
{
    return (uint64_t)(wall_ms - FRESH_EPOCH_MS) << 22;
}

enum fresh_kind {
    FRESH_ID,         /* digits of a tweet's id */
    FRESH_CREATED_AT, /* "Wed Oct 10 20:19:24 +0000 2018" of the tweet `id` */
    FRESH_TIMESTAMP,  /* digits of timestamp_ms of this message */
    FRESH_CREATED_ISO /* "2018-10-10T20:19:24.000Z" of the tweet `id`, as API v2 writes it */
};

struct fresh_place {
    uint32_t offset, length; /* in the message, without quotes */
    enum fresh_kind kind;
    uint64_t id; /* of the tweet it belongs to or names; 0: the message's own time */
};

struct fresh_places {
    const struct fresh_place *items;
    size_t count;
    uint64_t own_id; /* of the tweet that the message is; 0: it is none */
};

/* Finds the places in one message (JSON text), the list in `memory`. What is no JSON has no places. -1:
 * memory. */
int fresh_find(struct view message, struct arena *memory, struct fresh_places *places);

/* The same in a payload of API v2: ids and times of `data` and of the included tweets. */
int fresh_find_payload(struct view payload, struct arena *memory, struct fresh_places *places);

/* What a recorded id becomes; asked of the caller while writing. */
typedef uint64_t fresh_id_of(void *context, uint64_t recorded_id);

/* Appends the message with its places rewritten: the own id is own_id, the own time now_ms, others as id_of
 * says. */
void fresh_write(struct view message, const struct fresh_places *places, uint64_t own_id, int64_t now_ms,
                 fresh_id_of *id_of, void *context, struct buffer *into);

/* Appends a time as v1.1 writes it, "Wed Oct 10 20:19:24 +0000 2018". */
void fresh_add_created_at(struct buffer *into, int64_t wall_ms);

#endif
