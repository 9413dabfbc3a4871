/* ingest/tweet.h - a tweet of the v1.1 API as a post.
 *
 * A tweet comes in four shapes: short, long (a cut `text` beside a whole `extended_tweet`), retweet and
 * quote, and in each of them the longest text stands elsewhere (API document, section 3.1). Here one object
 * is chosen from which text and entities come; all else belongs to the tweet as delivered. Guaranteed: any
 * JSON is taken, a member of the wrong type counts as absent, nothing grows faster than the message, and the
 * same tweet gives the same post whichever way it came (`created_at` is the time in its id, so `timestamp_ms`
 * changes nothing).
 */
#ifndef ROOST_INGEST_TWEET_H
#define ROOST_INGEST_TWEET_H

#include "base/arena.h"
#include "base/err.h"
#include "bridge/post.h"
#include "text/worker.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum {
    TWEET_LIST_MOST = 1000 /* items kept of hashtags, urls ...; a tweet of 280 characters has at most 140 */
};

/* True for an object with an id and a text, or with `in_reply_to_status_id` (always there, if only as null).
 */
bool tweet_is_one(const cJSON *message);

/* Fills *p from the tweet, whose line after text_repair is `line` (ids that come only as numbers are read
 * from its digits). All but `source`, `received_at`, `keywords`, `topics` and `raw`, which stay absent. What
 * p points to lives in the tree, the line and the arena. -1 with ERR_REJECT: no id, no text or no time (the
 * message says which); with ERR_RETRY: the arena is full.
 *
 * Lower case: hashtags, cashtags and mentions; each value once, in the order of appearance. urls and media
 * stay as delivered, because the paths of addresses tell case apart. Counts and `sensitive` are those of the
 * delivered tweet, also for a retweet. A reply is a tweet that answers another tweet; one that only begins
 * with "@name" has `reply_to_author` alone. */
int tweet_to_post(const cJSON *tweet, struct view line, struct text_worker *worker, struct arena *a,
                  struct post *p, struct err *e);

/* "Wed Oct 10 20:19:24 +0000 2018" as milliseconds, whatever the locale; CLOCK_NONE when it is no such date.
 */
int64_t tweet_time(struct view text);

#endif
