/* base/buffer.h - bytes that grow, never past a maximum.
 *
 * The first failure (maximum reached, memory out) is latched: later appends do nothing, and the owner asks
 * buffer_failed() once, after the last append. A failed append leaves what was there before it. `data` may be
 * NULL while length is 0.
 */
#ifndef ROOST_BASE_BUFFER_H
#define ROOST_BASE_BUFFER_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;
    size_t length, capacity, maximum;
    bool failed;
};

/* An empty buffer that will hold at most `maximum` bytes; allocates nothing yet. */
#define BUFFER(most) ((struct buffer){.maximum = (most)})

/* Makes room for n more bytes and returns where they go, or NULL (latched). The caller adds to length itself.
 */
char *buffer_reserve(struct buffer *b, size_t n);

void buffer_append(struct buffer *b, const void *bytes, size_t n);
void buffer_add_view(struct buffer *b, struct view v); /* the absent view adds nothing */
void buffer_add_text(struct buffer *b, const char *string);
void buffer_add_byte(struct buffer *b, char c);
void buffer_add_number(struct buffer *b, int64_t number); /* in decimal digits */
void buffer_print(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first n bytes (at most all); what follows moves to the front. */
void buffer_drop(struct buffer *b, size_t n);

/* Empties it, keeps the memory, forgets a latched failure. */
void buffer_reset(struct buffer *b);

bool buffer_failed(const struct buffer *b);

/* All bytes as a view, valid until the next change; never absent. */
struct view buffer_view(const struct buffer *b);

/* The contents as a string ended by NUL, or NULL (latched). Valid until the next change. */
const char *buffer_string(struct buffer *b);

/* Gives the memory back; the buffer is then empty and may be used again. */
void buffer_free(struct buffer *b);

#endif
