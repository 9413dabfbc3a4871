/* simulator/posts.h - the messages of a play list as API v2 delivers them, and what rules ask of them.
 *
 * A recorded payload of v2 is taken as it is, a tweet of v1.1 is made one (simulator/payload.h); what is
 * neither (deletions, limits) does not exist on a stream of v2.
 */
#ifndef ROOST_SIMULATOR_POSTS_H
#define ROOST_SIMULATOR_POSTS_H

#include "base/err.h"
#include "simulator/playlist.h"
#include "simulator/rule_facts.h"

struct posts_item {
    struct view payload; /* absent: the message is no post */
    struct fresh_places places;
    struct rule_facts facts;
};

struct posts;

/* For all messages of the list, which must last as long. embellish: the list is the sample (payload.h). NULL:
 * memory is out. The caller frees it. */
struct posts *posts_make(const struct playlist *list, bool embellish, struct err *e);

/* Of message number `index` of the list. */
const struct posts_item *posts_at(const struct posts *posts, size_t index);

size_t posts_count(const struct posts *posts); /* messages that are posts */

/* NULL does nothing. */
void posts_free(struct posts *posts);

#endif
