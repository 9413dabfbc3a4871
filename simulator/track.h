/* simulator/track.h - the `track` parameter of statuses/filter: phrases, tokens of a tweet, and which match.
 *
 * The rules are those X documented for v1.1 ("Streaming API request parameters: track"): a comma is OR, a
 * space is AND, order and case do not matter, whole tokens are compared, accents count. What a tweet's tokens
 * are follows from the documented examples:
 * - a word without the punctuation around it; where punctuation other than ' - _ . & + stands inside, also
 * its parts;
 * - #tag, @name and $CASH, each with and without its sign; what follows the name (the 's of @name's) is a
 * word of its own;
 * - of a URL the whole, with and without protocol, never with "www." nor a slash at its end, and its
 * alphanumeric pieces. A t.co link in a text stands for the expanded and displayed URL of its entity, and has
 * no pieces of its own. Searched are text and extended_tweet.full_text with their entities, of the tweet, of
 * the retweeted and of the quoted one.
 *
 * Tokens are kept as 64-bit hashes of their case-folded UTF-8: two different words are taken for the same
 * once in 2^64.
 */
#ifndef ROOST_SIMULATOR_TRACK_H
#define ROOST_SIMULATOR_TRACK_H

#include "base/arena.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

enum {
    TRACK_PHRASES = 400,    /* per connection; more: HTTP 413 */
    TRACK_PHRASE_BYTES = 60 /* of UTF-8; 0 or more: HTTP 406 */
};

struct track_tokens {
    const uint64_t *hashes; /* sorted, each once */
    size_t count;
};

/* The tokens of a tweet (a parsed v1.1 object), in `memory`. -1: memory is out (the arena's limit included).
 */
int track_tokens_of(const cJSON *tweet, struct arena *memory, struct track_tokens *tokens);

struct track;

/* Compiles a decoded `track` value. NULL: *status is the HTTP status that answers it (406 or 413; 500: memory
 * is out). The caller frees the result. */
struct track *track_compile(const char *value, int *status);

/* Some phrase has all its terms among the tokens. Pure. */
bool track_match(const struct track *track, const struct track_tokens *tokens);

/* NULL does nothing. */
void track_free(struct track *track);

#endif
