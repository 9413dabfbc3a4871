/* simulator/selection.h - which tweets a connection gets: the parameters of statuses/filter and
 * statuses/sample.
 *
 * `track`, `follow` and `locations` are ORed; `language` and `filter_level` narrow what they select ("POST
 * statuses/filter", "Standard stream parameters", archived February 2024). What of a tweet is looked at is
 * read from its JSON once, into a struct selection_facts, so that asking costs no parsing.
 */
#ifndef ROOST_SIMULATOR_SELECTION_H
#define ROOST_SIMULATOR_SELECTION_H

#include "base/arena.h"
#include "simulator/parameters.h"
#include "simulator/track.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SELECTION_FOLLOW = 5000, /* user ids per connection; more: HTTP 413 */
    SELECTION_BOXES = 25     /* location boxes; more: HTTP 413 */
};

struct selection_box {
    double west, south, east, north; /* degrees */
};

struct selection_facts {
    struct track_tokens tokens;
    char language[16]; /* as delivered, lower case; "" when the tweet has no `lang` */
    int level;         /* filter_level: 0 none, 1 low, 2 medium */
    uint64_t users[3]; /* author, author of the retweeted, user replied to; 0: none */
    bool has_place;    /* `place` holds a box, or (has_point) `coordinates` a point as a box without size */
    bool has_point, retweet;
    struct selection_box place;
};

/* Reads a parsed v1.1 tweet. -1: memory is out. */
int selection_facts_of(const cJSON *tweet, struct arena *memory, struct selection_facts *facts);

struct selection;

/* Compiles the parameters of a request; those it does not know are ignored, as the service did.
 * needs_predicate: at least one of track, follow, locations must be given (filter.json, not sample.json).
 * NULL: *status is the HTTP status and *body a text for its answer (a constant). The caller frees the result.
 */
struct selection *selection_compile(const struct parameters *p, bool needs_predicate, int *status,
                                    const char **body);

bool selection_match(const struct selection *filter, const struct selection_facts *facts);

/* NULL does nothing. */
void selection_free(struct selection *filter);

#endif
