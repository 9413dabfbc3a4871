/* base/wipe.h - secrets are overwritten before their memory is given back.
 *
 * A freed block keeps its bytes until somebody writes over them: they could reach a core file, or a reader of
 * memory who comes later. What is wiped is the block itself: a buffer that grew has left copies behind, so
 * one for secrets takes its room at once (buffer_reserve).
 */
#ifndef ROOST_BASE_WIPE_H
#define ROOST_BASE_WIPE_H

#include "base/buffer.h"

/* Overwrites a string on the heap up to its NUL, and frees it. NULL does nothing. */
void wipe_string(char *string);

/* Overwrites all that the buffer has room for, and frees it as buffer_free does. */
void wipe_buffer(struct buffer *b);

#endif
