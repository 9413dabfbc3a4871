/* sinks/postgres_keys.h - which posts of a load have a key that an earlier one of it has.
 *
 * A hash set over (id, network, created_at), made for one load: a doubled key inside a load would make the
 * whole COPY fail, and finding it here costs less than one page of the server's.
 */
#ifndef ROOST_SINKS_POSTGRES_KEYS_H
#define ROOST_SINKS_POSTGRES_KEYS_H

#include "bridge/post.h"

#include <stdbool.h>
#include <stddef.h>

struct postgres_keys;

/* A set for at most `most` posts, which outlive it. NULL: memory is out. */
struct postgres_keys *postgres_keys_new(size_t most);

/* True: a post with this key is in the set; false: there was none, now there is. */
bool postgres_keys_seen(struct postgres_keys *k, const struct post *p);

/* NULL does nothing. */
void postgres_keys_free(struct postgres_keys *k);

#endif
