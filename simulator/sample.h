/* simulator/sample.h - a stream made up: v1.1 messages that look like the real ones, the same for the same
 * seed.
 *
 * Tweets in seventeen languages and as many scripts as they need, about topics that return (sample_topics),
 * by a few hundred invented users; with hashtags, cashtags, mentions, links, media, places, emoji, line
 * breaks and escapes; retweets, quotes, quotes in retweets, replies, long texts with extended_tweet; deletes,
 * limits and other control messages between them. On the wire they have the form of the real stream: ASCII
 * with \uXXXX, "\/", < > { } escaped in strings, keys in v1.1's order, snowflake ids that agree with
 * created_at and timestamp_ms. No text is anybody's.
 */
#ifndef ROOST_SIMULATOR_SAMPLE_H
#define ROOST_SIMULATOR_SAMPLE_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_COUNT_MAX = 1000000 };

#define SAMPLE_START_MS                                                                                      \
    INT64_C(1667296800000) /* 2022-11-01T10:00:00Z: the last weeks in which such a stream was open */

/* Appends `count` messages, one a line (LF), about two a second from start_ms on. -1: *into is full, or
 * memory is out. */
int sample_write(size_t count, uint64_t seed, int64_t start_ms, struct buffer *into, struct err *e);

/* The words that the sample is about, for a `track` parameter: most tweets have one of them, some have none.
 */
struct view_list sample_topics(void);

#endif
