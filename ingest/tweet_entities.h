/* ingest/tweet_entities.h - what a tweet's entities name: hashtags, mentions, links and media, as lists of a
 * post. */
#ifndef ROOST_INGEST_TWEET_ENTITIES_H
#define ROOST_INGEST_TWEET_ENTITIES_H

#include "base/arena.h"
#include "bridge/post.h"
#include "text/worker.h"

#include <cjson/cJSON.h>

/* Fills hashtags, cashtags, mentions, urls, media and links of *p from the object that holds `entities` and
 * `extended_entities` (a tweet or an extended_tweet, may be NULL) and from `text`, the text they count in:
 * with its HTML escapes, since offsets are code points of the escaped text. Media are `extended_entities`
 * only: `entities.media` lists one item and calls it a photo. With entities, the first four are there even
 * when empty (items not NULL, count 0). A full arena shows in arena_failed. */
void tweet_entities(const cJSON *holder, struct view text, struct text_worker *worker, struct arena *a,
                    struct post *p);

/* The strings of a JSON array, empty ones and everything else left out. */
struct view_list tweet_strings(const cJSON *array, struct arena *a);

#endif
