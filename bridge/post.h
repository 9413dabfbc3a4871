/* bridge/post.h - the one record that crosses the bridge: a post of any network, or an event about posts.
 *
 * A struct post owns nothing: its views point into an arena, a JSON tree or a frame that must outlive it.
 * Times are milliseconds since 1970 UTC. An absent field (a column's NULL) has the absent value of its type,
 * as post_init sets it: absent view, POST_NO_NUMBER, POST_NO_FLAG, NaN, CLOCK_NONE; an absent list (items ==
 * NULL) is an empty array column. The fields are the columns of roost.posts by name; the JSON form is public
 * (`plain = json`), versioned, one line.
 */
#ifndef ROOST_BRIDGE_POST_H
#define ROOST_BRIDGE_POST_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "base/view.h"

#include <stdint.h>

#define POST_NO_NUMBER INT64_MIN
#define POST_NO_FLAG   (-1)

enum {
    POST_VERSION = 1,
    POST_MAXIMUM_BYTES = 4 * 1024 * 1024 /* of its JSON: a 1 MiB message with store_raw fits */
};

enum post_kind { /* the value of "kind", in this order in post_kind_names[] */
                 POST_POST,
                 POST_DELETE,
                 POST_SCRUB_GEO,
                 POST_WITHHELD,
                 POST_LIMIT,
                 POST_WARNING,
                 POST_DISCONNECT,
                 POST_GAP,
                 POST_COUNT,
                 POST_KEYWORDS,
                 POST_UNKNOWN,
                 POST_KIND_COUNT
};

extern const char *const post_kind_names[POST_KIND_COUNT]; /* "post", "delete", "scrub_geo", ... */

struct post {
    enum post_kind kind;
    struct view network; /* "x", "bluesky", "mastodon" */
    struct view id;      /* of the post; of an event: what it is about, may be absent */
    int64_t created_at;  /* from the id alone where the network allows it; CLOCK_NONE for events */
    struct view source;  /* the section's name in the configuration */
    int64_t received_at;

    struct view author_id, author_handle, author_name;
    int64_t author_followers, author_following, author_posts;
    int author_verified; /* 1, 0 or POST_NO_FLAG, as all flags */
    int64_t author_created_at;

    struct view lang;
    struct view text; /* never absent in a post; may be empty */
    struct view text_source;
    struct view clean_text; /* made by roost etl; absent on the bridge */
    struct view_list hashtags, cashtags, mentions, urls, media, keywords, topics, rules, emoji;
    struct view_list links; /* links as they stand in `text` where they do not begin with http:// or https://,
                             * so that cleaning can find them; crosses the bridge, is no column */

    int is_retweet, is_quote, is_reply;
    struct view retweet_of, retweet_author, quote_of, reply_to, reply_to_author, conversation_id, edit_of;
    int64_t likes, retweets, replies, quotes;
    struct view app;
    int sensitive;
    struct view place, country;
    double latitude, longitude;
    int64_t word_count; /* made by roost etl */
    double sentiment;
    struct view_list withheld_in;

    struct view raw;  /* a post: the line as received, after repair (JSON), only with store_raw */
    struct view body; /* an event: its message as JSON, after repair; absent in posts */
};

enum post_field_type { POST_TEXT, POST_LIST, POST_NUMBER, POST_FLAG, POST_REAL, POST_TIME, POST_JSON };

enum post_field_use {                     /* bits */
                      POST_ON_BRIDGE = 1, /* written to and read from the frame's JSON */
                      POST_IN_TABLE = 2   /* a column of roost.posts */
};

struct post_field {
    const char *name; /* JSON key and column */
    size_t offset;    /* in struct post */
    enum post_field_type type;
    int use;
};

/* Every field of struct post but kind and body, in the order of the columns: writer, reader and sinks go by
 * it. */
extern const struct post_field post_fields[];
extern const size_t post_field_count;

/* All fields absent, kind POST_POST. */
void post_init(struct post *p);

/* Appends the post or event as one line of JSON without a line end: {"v":1,"kind":"post","network":...};
 * absent fields and absent lists are left out. `raw` and `body` must be valid JSON texts; line breaks in them
 * become spaces. Fails only by the buffer's latch. */
void post_write(struct buffer *b, const struct post *p);

/* Reads a frame's JSON. Strings, lists and the post live in the arena. ERR_REJECT when it is no JSON, of
 * another version, of an unknown kind, or a field has the wrong type: the message names the field and the
 * byte where it can. Keys that are not known are passed over. */
int post_read(struct view json, struct arena *a, struct post *p, struct err *e);

#endif
