/* simulator/payload.h - a tweet of v1.1 as the filtered stream of v2 would have delivered it.
 *
 * Everything that v2 can say and the tweet knows, as if all fields and expansions had been asked for: data,
 * includes (users, tweets, places, media), errors for what a reference names and nobody has. Attributes
 * without a value are left out, ids are strings, times ISO 8601 with milliseconds (X developer documents,
 * 2026, and the recorded payloads of 2021).
 */
#ifndef ROOST_SIMULATOR_PAYLOAD_H
#define ROOST_SIMULATOR_PAYLOAD_H

#include "base/view.h"

#include <stdbool.h>

#include <cjson/cJSON.h>

/* A tweet by its id (digits), as a new tree that payload_of frees; NULL: it is not known. */
typedef cJSON *payload_find(void *context, struct view id);

struct payload_options {
    size_t note_above;  /* code points of a text from which it is a note_tweet with a cut text (280 on X) */
    bool embellish;     /* some tweets are edits, some withheld: for the sample, which has none by itself */
    payload_find *find; /* asked for the tweet that is answered; may be NULL */
    void *context;
};

/* NULL: the tweet has no id_str or no user, or memory is out. The caller deletes the tree. */
cJSON *payload_of(const cJSON *tweet, const struct payload_options *options);

/* A payload of v2: an object `data` with the strings id and text. */
bool payload_is(const cJSON *json);

#endif
