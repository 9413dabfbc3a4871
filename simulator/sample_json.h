/* simulator/sample_json.h - one made-up tweet as v1.1 JSON, byte for byte in the wire form of the real
 * stream. */
#ifndef ROOST_SIMULATOR_SAMPLE_JSON_H
#define ROOST_SIMULATOR_SAMPLE_JSON_H

#include "simulator/sample_text.h"

struct sample_counts {
    unsigned quotes, replies, retweets, likes;
};

struct sample_tweet {
    uint64_t id;
    int64_t ms;
    unsigned user, language;
    const struct sample_text *text; /* the whole text; of a retweet "RT @name: ..." as it is delivered */
    struct view source;
    uint64_t reply_to, reply_to_user; /* 0: none; the user alone: a mention at the start */
    const char *reply_to_handle;
    unsigned place;                /* SAMPLE_PLACE_COUNT: none */
    bool has_point;                /* also exact coordinates inside of the place */
    struct view retweeted, quoted; /* JSON objects; absent: none */
    uint64_t quoted_id;            /* 0: no quote; with `quoted` absent the quoted tweet is gone */
    bool sensitive, medium;
    struct sample_counts counts;
};

/* Appends the object. nested: it stands inside another one, without timestamp_ms. */
void sample_json_tweet(const struct sample_tweet *tweet, struct sample_maker *m, bool nested,
                       struct buffer *into);

/* Appends text as the real stream wrote strings: quotes, ASCII only, "\/", < > { } as \u003c... */
void sample_json_string(struct buffer *into, struct view text);

/* Appends "key":NUMBER,"key_str":"NUMBER", or both null for 0, with a comma behind. */
void sample_json_id(struct buffer *into, const char *key, uint64_t id);

void sample_json_user(const struct sample_user *user, struct buffer *into);

#endif
