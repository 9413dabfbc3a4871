/* base/arena.h - memory with one lifetime: taken piece by piece, given back at once.
 *
 * Running out (past the limit, or malloc failing) is latched: every later call returns NULL too, and the
 * owner asks arena_failed() once at the end instead of checking each step. Not safe for two threads at once;
 * an arena may move from thread to thread when the hand-over itself synchronises.
 */
#ifndef ROOST_BASE_ARENA_H
#define ROOST_BASE_ARENA_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* An empty arena that never holds more than `limit` bytes. NULL when memory is out. The caller frees it. */
struct arena *arena_new(size_t limit);

/* n bytes aligned for any type, not zeroed; n = 0 gives a valid pointer. NULL once failed. */
void *arena_alloc(struct arena *a, size_t n);

/* count * size bytes, zeroed; an overflow of the product fails. */
void *arena_zeroed(struct arena *a, size_t count, size_t size);

/* A copy of v in the arena, followed by a NUL that is not counted. The absent view stays absent. */
struct view arena_view(struct arena *a, struct view v);

/* Gives back the end of the latest allocation: it was n bytes, `used` stay. For builders that guess high. */
void arena_shrink(struct arena *a, void *latest, size_t n, size_t used);

/* True when any call since the last reset got NULL. */
bool arena_failed(const struct arena *a);

/* Bytes handed out since the last reset, padding included. */
size_t arena_used(const struct arena *a);

/* Overwrites all that was handed out, for contents that are secret: before a reset or a free. */
void arena_wipe(struct arena *a);

/* Everything goes, and so does a latched failure; one block is kept for the next use. */
void arena_reset(struct arena *a);

/* NULL does nothing. */
void arena_free(struct arena *a);

#endif
