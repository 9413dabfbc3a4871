/* simulator/playlist.h - what a stream plays: recorded messages in memory, ready to be filtered and sent.
 *
 * A file holds one JSON object a line (CR at line ends and empty lines are dropped). Each line is parsed
 * once, when it is loaded: what has a `text` and a `user` is a tweet and goes to whom it matches; everything
 * else (delete, limit, unknown, lines that are no JSON) is delivered to all, as recorded. Bytes are never
 * changed, only by fresh ids. Payloads of API v2 are known by their `data`; simulator/posts.h has more of
 * them.
 */
#ifndef ROOST_SIMULATOR_PLAYLIST_H
#define ROOST_SIMULATOR_PLAYLIST_H

#include "base/buffer.h"
#include "base/err.h"
#include "simulator/fresh.h"
#include "simulator/selection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAYLIST_BYTES_MAX                                                                                   \
    ((size_t)2 << 30) /* of one file; more does not fit in memory beside what is known of it */
#define PLAYLIST_MESSAGE_MAX ((size_t)64 << 20)

struct playlist_message {
    struct view text; /* without line end */
    bool tweet;
    bool payload;                 /* of API v2: delivered to streams of v2 only */
    struct selection_facts facts; /* of a tweet */
    struct fresh_places places;
};

struct playlist;

/* Loads the messages of a file, and between them, spread evenly, those of a second one (NULL: none). NULL: a
 * file cannot be read or is too large, holds no message, or memory is out. The caller frees it. */
struct playlist *playlist_load(const char *path, const char *control_path, struct err *e);

/* The same from memory: takes the buffer's bytes over (it is empty afterwards). */
struct playlist *playlist_from(struct buffer *lines, const char *control_path, struct err *e);

size_t playlist_count(const struct playlist *list);

/* Message number `index` (from 0, below the count). */
const struct playlist_message *playlist_at(const struct playlist *list, size_t index);

/* The index of the tweet with that id, or SIZE_MAX. The first one where an id occurs twice. */
size_t playlist_find(const struct playlist *list, uint64_t id);

/* The recorded time of the first tweet, Unix ms; 0 when there is none with a snowflake id. */
int64_t playlist_start_ms(const struct playlist *list);

/* Lines that are no JSON, and tweets. */
size_t playlist_broken(const struct playlist *list);
size_t playlist_tweets(const struct playlist *list);

/* NULL does nothing. */
void playlist_free(struct playlist *list);

#endif
