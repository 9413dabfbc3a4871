/* ingest/source_seen.h - the ids of posts that were taken while two streams of a source are open, so that
 * what comes by both is published once.
 *
 * Part of struct source. Of bounded size: when it is full, or an id is no number, posts may go out twice,
 * which the sinks notice by their keys. It never says of a post that was not added that it was.
 */
#ifndef ROOST_INGEST_SOURCE_SEEN_H
#define ROOST_INGEST_SOURCE_SEEN_H

#include "base/view.h"

#include <stdbool.h>

enum { SOURCE_SEEN_MOST = 48 * 1024 /* ids; a switch of 10 s at 4,000 a second */ };

struct source_seen;

/* Empty; NULL: memory is out. */
struct source_seen *source_seen_new(void);

void source_seen_add(struct source_seen *seen, struct view id);
bool source_seen_has(const struct source_seen *seen, struct view id);

/* NULL does nothing. */
void source_seen_free(struct source_seen *seen);

#endif
