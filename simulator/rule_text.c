#include "simulator/rule_text.h"

#include "base/utf8.h"

#include <stdlib.h>

#include <unicode/uchar.h>

enum { JOINER = 0x200D, NON_JOINER = 0x200C, TEXT_STYLE = 0xFE0E, EMOJI_STYLE = 0xFE0F };

#define HASH_START UINT64_C(0xCBF29CE484222325)

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint64_t never_zero(uint64_t hash)
{
    hash ^= hash >> 32;
    return hash ? hash : 1;
}

void rule_words_add(struct rule_words *words, uint64_t word)
{
    if (words->count == words->capacity) {
        size_t capacity = words->capacity ? words->capacity * 2 : 64;
        uint64_t *grown = realloc(words->items, capacity * sizeof *grown);
        if (!grown) {
            words->failed = true;
            return;
        }
        words->items = grown;
        words->capacity = capacity;
    }
    words->items[words->count++] = word;
}

void rule_words_free(struct rule_words *words)
{
    free(words->items);
    *words = (struct rule_words){0};
}

static uint64_t fold_into(uint64_t hash, uint32_t c)
{
    return mix(hash, (uint64_t)u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT));
}

static bool in_word(uint32_t c)
{
    if (c < 0x80) {
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    }
    return c != UTF8_BAD && c != TEXT_STYLE && c != EMOJI_STYLE &&
           (U_MASK(u_charType((UChar32)c)) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) != 0;
}

static bool is_flag_letter(uint32_t c)
{
    return c >= 0x1F1E6 && c <= 0x1F1FF;
}

static bool is_emoji(uint32_t c)
{
    return c != UTF8_BAD && c >= 0xA9 &&
           (is_flag_letter(c) || u_hasBinaryProperty((UChar32)c, UCHAR_EXTENDED_PICTOGRAPHIC));
}

static bool is_skin(uint32_t c)
{
    return c >= 0x1F3FB && c <= 0x1F3FF;
}

static uint32_t peek(struct view text, size_t at)
{
    return at < text.length ? utf8_next(text, &at) : 0;
}

/* The rest of an emoji whose first character c was read: its style, its skin, the other half of a flag, what
 * a joiner adds. *variant tells that there was any of these but a flag. */
static uint64_t read_emoji(struct view text, size_t *at, uint32_t c, bool *variant)
{
    uint64_t hash = mix(HASH_START, c);
    if (is_flag_letter(c) && is_flag_letter(peek(text, *at))) {
        return mix(hash, utf8_next(text, at));
    }
    for (uint32_t next; (next = peek(text, *at)) != 0;) {
        size_t behind = *at;
        utf8_next(text, &behind);
        bool style = next == TEXT_STYLE || next == EMOJI_STYLE;
        bool joined = next == JOINER && is_emoji(peek(text, behind));
        if (!style && !joined && !is_skin(next)) {
            break;
        }
        *variant = true;
        *at = behind;
        if (joined) {
            hash = mix(mix(hash, JOINER), utf8_next(text, at));
        } else if (!style) {
            hash = mix(hash, next);
        }
    }
    return hash;
}

static uint64_t read_word(struct view text, size_t *at, uint32_t c)
{
    uint64_t hash = fold_into(HASH_START, c);
    for (uint32_t next; (next = peek(text, *at)) != 0;) {
        size_t behind = *at;
        utf8_next(text, &behind);
        bool join = (next == JOINER || next == NON_JOINER) && in_word(peek(text, behind));
        if (!join && !in_word(next)) {
            break;
        }
        hash = join ? hash : fold_into(hash, next);
        *at = behind;
    }
    return hash;
}

/* Behind one of the three escapes that texts of the API hold, or where `at` was. */
static size_t skip_escape(struct view text, size_t at)
{
    static const struct view escapes[] = {{"&amp;", 5}, {"&lt;", 4}, {"&gt;", 4}};
    for (size_t i = 0; i < 3; i++) {
        if (view_starts(view_from(text, at), escapes[i])) {
            return at + escapes[i].length;
        }
    }
    return at;
}

void rule_text_words(struct view text, struct rule_words *into)
{
    for (size_t at = 0; at < text.length;) {
        if (text.at[at] == '&') {
            size_t behind = skip_escape(text, at);
            if (behind != at) {
                at = behind;
                continue;
            }
        }
        bool variant;
        uint32_t c = utf8_next(text, &at);
        if (in_word(c)) {
            rule_words_add(into, never_zero(read_word(text, &at, c)));
        } else if (is_emoji(c)) {
            rule_words_add(into, never_zero(read_emoji(text, &at, c, &variant)));
        }
    }
}

bool rule_text_is_word(struct view text)
{
    if (!text.length) {
        return false;
    }
    size_t at = 0;
    bool variant = false;
    uint32_t c = utf8_next(text, &at);
    if (in_word(c)) {
        read_word(text, &at, c);
    } else if (is_emoji(c)) {
        read_emoji(text, &at, c, &variant);
    } else {
        return false;
    }
    return at == text.length && !variant;
}

uint64_t rule_text_hash(struct view text)
{
    uint64_t hash = HASH_START;
    for (size_t at = 0; at < text.length;) {
        hash = fold_into(hash, utf8_next(text, &at));
    }
    return never_zero(hash);
}

uint64_t rule_text_fact(char role, uint64_t hash)
{
    return never_zero(mix(hash, (uint64_t)(unsigned char)role << 56 | 1));
}
