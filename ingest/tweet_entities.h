/* ingest/tweet_entities.h - a tweet's text and what its entities name, in the v1.1 API and in v2: hashtags,
 * mentions, links and media, as lists of a post. */
#ifndef ROOST_INGEST_TWEET_ENTITIES_H
#define ROOST_INGEST_TWEET_ENTITIES_H

#include "base/arena.h"
#include "bridge/post.h"
#include "text/worker.h"

#include <cjson/cJSON.h>

/* Under which keys an API names them: the list and its item's member; of addresses the first member that says
 * something. */
struct tweet_entities_form {
    const char *hashtags[2], *cashtags[2], *mentions[2];
    const char *addresses[3];
    const char *media[3];   /* of extended_entities.media; NULL: the API has its media elsewhere */
    bool left_out_is_empty; /* no entities means that there are none: v2 leaves out what is empty */
};
extern const struct tweet_entities_form tweet_entities_v1, tweet_entities_v2;

/* Fills hashtags, cashtags, mentions, urls, links and (v1.1) media of *p from the object that holds
 * `entities` and `extended_entities` (a tweet, an extended_tweet, a note_tweet; may be NULL) and from `text`,
 * the text they count in: with its HTML escapes, since offsets are code points of the escaped text. Media are
 * `extended_entities` only: `entities.media` lists one item and calls it a photo. With entities, the first
 * four are there even when empty (items not NULL, count 0). A full arena shows in arena_failed. */
void tweet_entities(const struct tweet_entities_form *form, const cJSON *holder, struct view text,
                    struct text_worker *worker, struct arena *a, struct post *p);

/* The text that was chosen for a post. */
struct tweet_text {
    const cJSON *holder;   /* of its entities; may be NULL */
    struct view escaped;   /* with its HTML escapes */
    const char *source;    /* text_source */
    struct view retweeted; /* it is the whole text of a retweeted post by this name; absent: it is not */
};

/* Fills text, text_source and emoji of *p, and all that tweet_entities does. */
void tweet_text_store(const struct tweet_entities_form *form, const struct tweet_text *text,
                      struct text_worker *worker, struct arena *a, struct post *p);

/* The strings of a JSON array, empty ones and everything else left out. */
struct view_list tweet_strings(const cJSON *array, struct arena *a);

#endif
