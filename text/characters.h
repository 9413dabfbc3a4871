/* text/characters.h - the character classes of twitter-text and of Unicode, for the files of this room only.
 */
#ifndef ROOST_TEXT_CHARACTERS_H
#define ROOST_TEXT_CHARACTERS_H

#include "base/utf8.h"
#include "base/view.h"

#include <unicode/uchar.h>

#define POINT_NONE        0u /* "no character": before the first one of a text */
#define POINT_ZWJ         0x200Du
#define POINT_TEXT_STYLE  0xFE0Eu /* variation selectors 15 and 16 */
#define POINT_EMOJI_STYLE 0xFE0Fu
#define POINT_KEYCAP      0x20E3u
#define POINT_WIDE_AT     0xFF20u
#define POINT_WIDE_HASH   0xFF03u

static inline bool is_ascii_letter(uint32_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
}

static inline bool is_ascii_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_ascii_word(uint32_t c)
{
    return is_ascii_letter(c) || is_ascii_digit(c);
}

/* [A-Za-z0-9_]: what a name on X is made of. */
static inline bool is_name_point(uint32_t c)
{
    return is_ascii_word(c) || c == '_';
}

/* Unicode White_Space. */
static inline bool is_white(uint32_t c)
{
    return c < 0x80 ? c == ' ' || (c >= '\t' && c <= '\r') : c != UTF8_BAD && u_isUWhiteSpace((UChar32)c);
}

/* The code point at `at` without moving; UTF8_BAD at the end of the text. */
static inline uint32_t point_at(struct view text, size_t at)
{
    return at < text.length ? utf8_next(text, &at) : UTF8_BAD;
}

/* The code point that ends at byte `at`, or POINT_NONE at the start; UTF8_BAD when those bytes are none. */
uint32_t point_before(struct view text, size_t at);

/* Letters, marks, decimal digits: \p{L}\p{M}\p{Nd}. */
bool is_letter_or_mark(uint32_t c);
bool is_decimal_digit(uint32_t c);

/* Latin letters with accents, as twitter-text lists them: a mention or path may go on with them or not. */
bool is_accented_latin(uint32_t c);

#endif
