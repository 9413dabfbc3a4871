#include "text/characters.h"
#include "text/clean.h"
#include "text/handles.h"
#include "text/lower.h"

/* What UAX #29 makes of ASCII: letters, digits and '_' join; "can't", "3.14" and "1,000" hold together. */
enum join { JOIN_NEVER, JOIN_LETTERS = 1, JOIN_DIGITS = 2 };

static int joins(unsigned char c)
{
    switch (c) {
    case '.':
    case '\'':
        return JOIN_LETTERS | JOIN_DIGITS;
    case ',':
    case ';':
        return JOIN_DIGITS;
    default:
        return JOIN_NEVER;
    }
}

/* The byte behind the word part at `at`: what stands there is a letter, a digit or '_'. */
static size_t ascii_word_end(struct view text, size_t at)
{
    for (; at < text.length; at++) {
        unsigned char c = (unsigned char)text.at[at];
        if (is_name_point(c)) {
            continue;
        }
        int how = joins(c);
        unsigned char before = (unsigned char)text.at[at - 1];
        unsigned char after = at + 1 < text.length ? (unsigned char)text.at[at + 1] : 0;
        bool letters = (how & JOIN_LETTERS) && is_ascii_letter(before) && is_ascii_letter(after);
        bool digits = (how & JOIN_DIGITS) && is_ascii_digit(before) && is_ascii_digit(after);
        if (!letters && !digits) {
            break;
        }
    }
    return at;
}

static int64_t count_ascii(struct view text)
{
    int64_t count = 0;
    for (size_t at = 0; at < text.length;) {
        if (!is_name_point((unsigned char)text.at[at])) {
            at++;
            continue;
        }
        size_t end = ascii_word_end(text, at);
        for (; at < end; at++) {
            if (is_ascii_word((unsigned char)text.at[at])) {
                count++;
                at = end - 1;
            }
        }
    }
    return count;
}

/* ASCII, and nothing in it on which versions of ICU differ: a colon between letters joins them until ICU 70,
 * an at sign is part of a word in ICU 72. Few texts have either, so the installed ICU is asked. */
static bool is_simple(struct view text)
{
    if (!text_is_ascii(text) || (text.length && memchr(text.at, '@', text.length))) {
        return false;
    }
    const char *end = text.at + text.length;
    for (const char *at = text.at; at < end && (at = memchr(at, ':', (size_t)(end - at))); at++) {
        if (at > text.at && at + 1 < end && is_name_point((unsigned char)at[-1]) &&
            is_name_point((unsigned char)at[1])) {
            return false;
        }
    }
    return true;
}

static bool has_letter_or_digit(struct view word)
{
    for (size_t at = 0; at < word.length;) {
        uint32_t c = utf8_next(word, &at);
        if (c != UTF8_BAD && u_isalnum((UChar32)c)) {
            return true;
        }
    }
    return false;
}

int64_t text_word_count(struct text_worker *w, struct view text)
{
    if (text.length > TEXT_MAXIMUM) {
        return -1;
    }
    if (is_simple(text)) {
        return count_ascii(text);
    }
    UBreakIterator *words = handles_on(w, w->words, text);
    if (!words) {
        return -1;
    }
    int64_t count = 0;
    int32_t start = 0;
    for (int32_t end = ubrk_next(words); end != UBRK_DONE; start = end, end = ubrk_next(words)) {
        count += has_letter_or_digit(view_make(text.at + start, (size_t)(end - start)));
    }
    return count;
}
