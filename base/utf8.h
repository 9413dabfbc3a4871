/* base/utf8.h - code points in and out of UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF, shortest
 * form only). */
#ifndef ROOST_BASE_UTF8_H
#define ROOST_BASE_UTF8_H

#include "base/view.h"

#include <stdint.h>

#define UTF8_BAD 0xFFFFFFFFu

/* The code point at byte *at of text, which must be below text.length; *at moves behind it. On bytes that are
 * not UTF-8: UTF8_BAD, and *at moves behind the longest prefix of a code point, at least one byte (as Unicode
 * recommends for U+FFFD replacement, "maximal subpart"). */
uint32_t utf8_next(struct view text, size_t *at);

/* Writes a code point (not a surrogate, at most U+10FFFF) as 1 to 4 bytes; returns how many. */
size_t utf8_put(uint32_t point, char out[4]);

/* All of it is UTF-8. */
bool utf8_valid(struct view text);

/* Number of code points; a bad subpart counts as one. */
size_t utf8_count(struct view text);

/* The byte at which code point number `index` (from 0) begins, counting as utf8_next does; past the end: the
 * length. */
size_t utf8_offset(struct view text, size_t index);

#endif
