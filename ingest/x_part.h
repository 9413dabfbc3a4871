/* ingest/x_part.h - what posts of X have in common, whichever of its APIs they come by.
 *
 * One post must give one row, so all that both forms share is read here: the time that an id holds, the shape
 * of a retweet's text, stored language codes, ids that come only as numbers. Any JSON is taken; a member of
 * the wrong type counts as absent. Results live in the tree, the line or the arena.
 */
#ifndef ROOST_INGEST_X_PART_H
#define ROOST_INGEST_X_PART_H

#include "base/arena.h"
#include "bridge/post.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* Ids above this one hold their time: ms since 1970 = (id >> 22) + X_PART_EPOCH_MS (API document,
 * section 7.1). */
#define X_PART_LAST_PLAIN_ID INT64_C(29700859247)
#define X_PART_EPOCH_MS      INT64_C(1288834974657)

/* A member that is an object; else NULL. */
const cJSON *x_part_object(const cJSON *object, const char *key);

/* A string member that says something: the APIs write "" where they know nothing. */
struct view x_part_text(const cJSON *object, const char *key);

/* A count; POST_NO_NUMBER when it is absent or below zero (-1: the server did not wait for it). */
int64_t x_part_count(const cJSON *object, const char *key);

/* True for 1 to 19 digits that fit 63 bits. */
bool x_part_is_id(struct view v);

/* An id of the message: member `text_key` of `object` if it is a string of 1 to 19 digits, else the digits of
 * the number that stands in the line at path[0] / ... (at most 19 too); absent when there is neither. */
struct view x_part_id(const cJSON *object, const char *text_key, struct view line, const char *const *path,
                      size_t depth);

/* When a post was made, in ms since 1970: from its id alone where that holds its time, so that a post has one
 * time whichever way it came; else as delivered (CLOCK_NONE: not at all). */
int64_t x_part_created_at(struct view id, int64_t delivered);

/* The language code that is stored: `in` and `iw` become `id` and `he`, others stay. */
struct view x_part_language(struct view code);

/* "RT @name: " and the original's text; absent when the arena is full. */
struct view x_part_retweet(struct arena *a, struct view name, struct view text);

/* The text ends with an ellipsis, as one that the API has cut does. */
bool x_part_is_cut(struct view text);

/* Sets latitude and longitude from a GeoJSON point, if it is one on this earth. */
void x_part_point(const cJSON *point, struct post *p);

/* The client of member `source`: the text inside its anchor, or all of it where there is none ("web"). */
struct view x_part_app(const cJSON *tweet, struct arena *a);

#endif
