/* ingest/x_v2_post.h - a line of X's v2 filtered stream as a post.
 *
 * v2 sends a post in pieces: `data` is the post, `includes` has its author, the post it retweets, its media
 * and its place, `matching_rules` says why it was delivered (API document, sections 5.6 and 7.2). They are
 * joined here. The long text of a post is in `note_tweet`, that of a retweet with the original in `includes`;
 * the published OpenAPI calls the same things note_post, referenced_posts, edit_history_post_ids and
 * includes.posts, and both spellings are read. Guaranteed: any JSON is taken, a member of the wrong type
 * counts as absent, nothing grows faster than the message, and a post that v1.1 delivers too gives the same
 * id and time.
 */
#ifndef ROOST_INGEST_X_V2_POST_H
#define ROOST_INGEST_X_V2_POST_H

#include "base/arena.h"
#include "base/err.h"
#include "bridge/post.h"
#include "text/worker.h"

#include <cjson/cJSON.h>

/* The values of `expansions` and `*.fields` that the columns need; constants, ready to be joined by '&'. No
 * field that is delivered to enterprise access alone: one that an account may not have makes the server
 * refuse the request. */
#define X_V2_POST_TWEET_FIELDS                                                                               \
    "attachments,author_id,conversation_id,created_at,edit_history_tweet_ids,entities,geo,id,"               \
    "in_reply_to_user_id,lang,note_tweet,possibly_sensitive,public_metrics,referenced_tweets,text,withheld"
#define X_V2_POST_EXPANSIONS                                                                                 \
    "attachments.media_keys,author_id,geo.place_id,referenced_tweets.id,referenced_tweets.id.author_id"
#define X_V2_POST_USER_FIELDS  "created_at,id,name,public_metrics,username,verified"
#define X_V2_POST_PLACE_FIELDS "country_code,full_name,id"
#define X_V2_POST_MEDIA_FIELDS "media_key,preview_image_url,type,url"

/* True for a message whose `data` is a post: an object with an id and a text. Lines with `errors` beside it
 * (an included post that is gone) are posts too. */
bool x_v2_post_is_one(const cJSON *message);

/* Fills *p from the message, whose line after text_repair is `line` (ids that come only as numbers are read
 * from its digits). All but `source`, `received_at`, `keywords`, `topics` and `raw`, which stay absent. What
 * p points to lives in the tree, the line and the arena. -1 with ERR_REJECT: no id, no text or no time (the
 * message says which); with ERR_RETRY: the arena is full.
 *
 * As for v1.1 (ingest/tweet.h): entities, media and the quoted post are those of the original of a retweet,
 * because the text is; counts, `sensitive`, place and reply are those of the delivered post. The name in `RT
 * @name: ` is the original's author's as includes has it; without that user, the one in the delivered text. A
 * retweet whose original is missing keeps its text as delivered (text_source `cut` where it was cut). */
int x_v2_post_read(const cJSON *message, struct view line, struct text_worker *worker, struct arena *a,
                   struct post *p, struct err *e);

#endif
