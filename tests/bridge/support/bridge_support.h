/* What the bridge's tests share: a folder of their own, a loop that runs until something is so, a small
 * lower(). */
#ifndef ROOST_TESTS_BRIDGE_SUPPORT_H
#define ROOST_TESTS_BRIDGE_SUPPORT_H

#include "base/buffer.h"
#include "base/random.h"

#include <stdbool.h>
#include <uv.h>

/* A new folder under /tmp; support_remove deletes it with all that is in it and frees the path. */
char *support_folder(void);
void support_remove(char *folder);

/* The path of a file in a folder; the caller frees it. */
char *support_path(const char *folder, const char *name);

/* The one segment file in a spool folder (the last by name, if there are several); the caller frees it. */
char *support_last_segment(const char *folder);
size_t support_count_segments(const char *folder);

/* Runs the loop until `is_so` says so or 10 s have passed; what it said last. */
bool support_run_until(uv_loop_t *loop, bool (*is_so)(void *user), void *user);

/* Runs the loop for some milliseconds, for what must not happen. */
void support_run_for(uv_loop_t *loop, unsigned ms);

/* Python's str.lower() for the characters that the tests use: ASCII, U+212A and U+0130. The caller frees the
 * buffer. */
struct buffer support_lower(struct view text);

/* How often `marker` occurs in text, overlapping ones too. */
size_t support_occurrences(struct view text, struct view marker);

/* A text made to break framing: pieces of the marker in any case, Kelvin signs, dotted I, line breaks, other
 * scripts. */
void support_nasty_text(struct random *r, struct view marker, struct buffer *into);

#endif
