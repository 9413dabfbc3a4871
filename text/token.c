#include "text/token.h"

#include "text/characters.h"
#include "text/link.h"

#include <unicode/uscript.h>

enum kind { GAP, WORD, UNSPACED, MARK, JOINER, APOSTROPHE, EMOJI, SKIPPED };

enum { SOFT_HYPHEN = 0xAD, SHORT_PIECE = 2 };

bool token_point_is_unspaced(uint32_t c)
{
    if (c < 0x0E00 || c == UTF8_BAD) {
        return false;
    }
    UErrorCode status = U_ZERO_ERROR;
    switch (uscript_getScript((UChar32)c, &status)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_THAI:
    case USCRIPT_LAO:
    case USCRIPT_KHMER:
    case USCRIPT_MYANMAR:
        return true;
    case USCRIPT_COMMON: /* the long vowel mark U+30FC and its like belong to several */
        return uscript_hasScript((UChar32)c, USCRIPT_KATAKANA) || uscript_hasScript((UChar32)c, USCRIPT_HAN);
    default:
        return false;
    }
}

static enum kind kind_of(uint32_t c)
{
    if (c < 0x80) {
        return is_name_point(c) ? WORD : c == '\'' ? APOSTROPHE : GAP;
    }
    switch (c) {
    case UTF8_BAD:
        return GAP;
    case 0x2019:
    case 0x02BC:
    case 0xFF07:
        return APOSTROPHE;
    case SOFT_HYPHEN:
    case POINT_TEXT_STYLE:
    case POINT_EMOJI_STYLE:
        return SKIPPED;
    case 0x200C:
    case POINT_ZWJ:
        return JOINER;
    default:
        break;
    }
    uint32_t general = U_GET_GC_MASK((UChar32)c);
    if (general & U_GC_M_MASK) {
        return MARK;
    }
    if (general & (U_GC_L_MASK | U_GC_N_MASK)) {
        return token_point_is_unspaced(c) ? UNSPACED : WORD;
    }
    return u_hasBinaryProperty((UChar32)c, UCHAR_EMOJI) ? EMOJI : GAP;
}

struct writer {
    struct view text;
    size_t at;
    char *out;
    size_t used;
    enum kind word; /* of the word being written; GAP: none is */
    bool is_name;   /* it stands behind '@' or '#' */
    size_t piece;   /* characters of it since its start or its last apostrophe */
};

static void put(struct writer *w, struct view bytes)
{
    memcpy(w->out + w->used, bytes.at, bytes.length);
    w->used += bytes.length;
}

static void end_word(struct writer *w)
{
    if (w->word == GAP) {
        return;
    }
    while (w->word == WORD && !w->is_name && w->out[w->used - 1] == '_') {
        w->used--;
    }
    if (w->out[w->used - 1] != ' ') {
        w->out[w->used++] = ' ';
    }
    w->word = GAP;
}

static void begin_word(struct writer *w, enum kind kind, size_t start)
{
    end_word(w);
    uint32_t before = point_before(w->text, start);
    w->word = kind;
    w->is_name = before == '@' || before == '#' || before == POINT_WIDE_AT || before == POINT_WIDE_HASH;
    w->piece = 0;
}

/* A mark of a script without spaces is one of its characters; another belongs to the word before it. */
static enum kind kind_of_mark(const struct writer *w, size_t start)
{
    if (token_point_is_unspaced(point_at(w->text, start))) {
        return UNSPACED;
    }
    return w->word == GAP || w->word == EMOJI ? WORD : w->word;
}

static void put_word(struct writer *w, enum kind kind, struct view bytes, size_t start)
{
    kind = kind == MARK ? kind_of_mark(w, start) : kind;
    if (w->word != kind) {
        begin_word(w, kind, start);
    }
    w->piece++;
    bool cut = bytes.at[0] == '_' && !w->is_name && w->out[w->used - 1] == ' ';
    if (!cut) {
        put(w, bytes);
    }
}

/* The bytes of a link, or of its protocol alone, that are no words; 0: none begins at `at`. */
static size_t link_gap(struct view text, size_t at)
{
    size_t protocol = link_protocol(text, at);
    if (!protocol || !view_starts(view_from(text, at + protocol), VIEW("t.co/"))) {
        return protocol;
    }
    size_t end = at + protocol + 5;
    while (end < text.length && is_ascii_word((unsigned char)text.at[end])) {
        end++;
    }
    return end - at;
}

/* No letter of the word before `at` follows there, whatever stands between that does not count. */
static bool word_ends(struct view text, size_t at)
{
    while (at < text.length) {
        uint32_t c = utf8_next(text, &at);
        enum kind kind = kind_of(c);
        if (c != '_' && kind != SKIPPED && kind != JOINER) {
            return kind != WORD && (kind != MARK || token_point_is_unspaced(c));
        }
    }
    return true;
}

/* The apostrophe ends at w->at. A word goes on behind it, is divided at it, or has ended before it. */
static void put_apostrophe(struct writer *w)
{
    size_t after = w->at;
    uint32_t next = point_at(w->text, after);
    if (w->word != WORD || w->is_name || next == '_' || kind_of(next) != WORD || w->out[w->used - 1] == ' ' ||
        w->out[w->used - 1] == '_' || (next == 'h' && link_gap(w->text, after))) {
        end_word(w);
        return;
    }
    utf8_next(w->text, &after);
    bool possessive = next == 's' && word_ends(w->text, after);
    if (w->piece > SHORT_PIECE && !possessive) {
        put(w, VIEW("'"));
        w->piece = 0;
        return;
    }
    end_word(w);
    put(w, VIEW("' "));
}

static bool is_regional(uint32_t c)
{
    return c >= 0x1F1E6 && c <= 0x1F1FF;
}

/* The rest of an emoji whose first character is written: skin tone, keycap, tags, joined emoji, the flag's
 * second half. */
static void put_emoji_rest(struct writer *w, uint32_t base)
{
    bool flag = is_regional(base);
    while (w->at < w->text.length) {
        size_t start = w->at, next = start;
        uint32_t c = utf8_next(w->text, &next);
        bool joined = c == POINT_ZWJ && kind_of(point_at(w->text, next)) == EMOJI;
        bool part = c == POINT_KEYCAP || (c >= 0xE0020 && c <= 0xE007F) || (flag && is_regional(c)) ||
                    (c != UTF8_BAD && u_hasBinaryProperty((UChar32)c, UCHAR_EMOJI_MODIFIER));
        if (joined) {
            utf8_next(w->text, &next);
        } else if (!part && kind_of(c) != SKIPPED) {
            return;
        }
        if (joined || part) {
            put(w, view_make(w->text.at + start, next - start));
        }
        flag = false;
        w->at = next;
    }
}

static void step(struct writer *w)
{
    size_t start = w->at;
    uint32_t c = utf8_next(w->text, &w->at);
    size_t gap = c == 'h' ? link_gap(w->text, start) : 0;
    enum kind kind = gap ? GAP : kind_of(c);
    struct view bytes = view_make(w->text.at + start, w->at - start);
    switch (kind) {
    case WORD:
    case UNSPACED:
    case MARK:
        put_word(w, kind, bytes, start);
        return;
    case EMOJI:
        begin_word(w, EMOJI, start);
        put(w, bytes);
        put_emoji_rest(w, c);
        end_word(w);
        return;
    case APOSTROPHE:
        put_apostrophe(w);
        return;
    case JOINER: {
        enum kind next = kind_of(point_at(w->text, w->at));
        if (w->word != GAP && w->out[w->used - 1] != ' ' && (next == w->word || next == MARK)) {
            put(w, bytes);
        }
        return;
    }
    case SKIPPED:
        return;
    case GAP:
    default:
        end_word(w);
        w->at = gap ? start + gap : w->at;
    }
}

struct view token_text(struct view folded, struct arena *a)
{
    /* At the worst each byte is a word of its own, or an apostrophe that divides one: three bytes. */
    size_t room = 3 * folded.length + 2;
    struct writer w = {.text = folded, .out = arena_alloc(a, room), .word = GAP};
    if (!w.out) {
        return view_none();
    }
    w.out[w.used++] = ' ';
    while (w.at < folded.length) {
        step(&w);
    }
    end_word(&w);
    arena_shrink(a, w.out, room, w.used);
    return view_make(w.out, w.used);
}

size_t token_count(struct view tokens)
{
    size_t spaces = 0;
    for (size_t i = 0; i < tokens.length; i++) {
        spaces += tokens.at[i] == ' ';
    }
    return spaces ? spaces - 1 : 0;
}

bool token_first_is_unspaced(struct view tokens)
{
    return token_point_is_unspaced(point_at(tokens, 1));
}

bool token_last_is_unspaced(struct view tokens)
{
    size_t end = tokens.length - 1;
    uint32_t c = point_before(tokens, end);
    while (end > 0 && c != UTF8_BAD && c >= 0x80 && (U_GET_GC_MASK((UChar32)c) & U_GC_M_MASK) &&
           !token_point_is_unspaced(c)) {
        do {
            end--;
        } while (end > 0 && ((unsigned char)tokens.at[end] & 0xC0) == 0x80);
        c = point_before(tokens, end);
    }
    return token_point_is_unspaced(c);
}

struct view token_join_unspaced(struct view tokens, struct arena *a)
{
    char *out = arena_alloc(a, tokens.length);
    if (!out) {
        return view_none();
    }
    size_t used = 0;
    for (size_t i = 0; i < tokens.length; i++) {
        bool inner = tokens.at[i] == ' ' && i > 0 && i + 1 < tokens.length;
        if (inner && token_point_is_unspaced(point_at(tokens, i + 1)) &&
            token_last_is_unspaced(view_make(tokens.at, i + 1))) {
            continue;
        }
        out[used++] = tokens.at[i];
    }
    return used == tokens.length ? tokens : view_make(out, used);
}
