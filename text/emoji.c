#include "text/characters.h"
#include "text/entities.h"
#include "text/handles.h"
#include "text/lower.h"

#include <stdint.h>

static bool is_regional(uint32_t c)
{
    return c >= 0x1F1E6 && c <= 0x1F1FF;
}

/* Signs that have an emoji form and are drawn as one also without being asked to. */
static bool is_shown_in_colour(uint32_t c)
{
    return u_hasBinaryProperty((UChar32)c, UCHAR_EMOJI_PRESENTATION) ||
           (((c >= 0x2600 && c <= 0x27BF) || c >= 0x1F000) && u_hasBinaryProperty((UChar32)c, UCHAR_EMOJI));
}

static bool is_emoji(struct view cluster)
{
    size_t at = 0;
    uint32_t base = utf8_next(cluster, &at), second = point_at(cluster, at);
    if (is_regional(base)) {
        return is_regional(second);
    }
    if (base == UTF8_BAD || second == POINT_TEXT_STYLE || !u_hasBinaryProperty((UChar32)base, UCHAR_EMOJI)) {
        return false;
    }
    bool digit = base < 0x80; /* 0 to 9, # and * are Emoji too: they need the keycap */
    bool keycap = false, asked = false;
    while (at < cluster.length) {
        uint32_t c = utf8_next(cluster, &at);
        keycap |= c == POINT_KEYCAP;
        asked |= c == POINT_EMOJI_STYLE ||
                 (c != UTF8_BAD && u_hasBinaryProperty((UChar32)c, UCHAR_EMOJI_MODIFIER));
    }
    return digit ? keycap : keycap || asked || is_shown_in_colour(base);
}

/* Cheap: is there anything that an emoji could be made of? */
static bool may_have_emoji(struct view text)
{
    for (size_t at = 0; at < text.length;) {
        if ((unsigned char)text.at[at] < 0x80) {
            at++;
            continue;
        }
        uint32_t c = utf8_next(text, &at);
        if (c != UTF8_BAD && (c == POINT_KEYCAP || u_hasBinaryProperty((UChar32)c, UCHAR_EMOJI))) {
            return true;
        }
    }
    return false;
}

/* Emoji clusters of the text into `into`, as many as there is room for; returns how many there are. */
static size_t collect(struct text_worker *w, struct view text, struct view *into, size_t room)
{
    UBreakIterator *clusters = handles_on(w, w->clusters, text);
    size_t count = 0;
    int32_t start = 0;
    for (int32_t end = clusters ? ubrk_next(clusters) : UBRK_DONE; end != UBRK_DONE;
         end = ubrk_next(clusters)) {
        struct view cluster = view_make(text.at + start, (size_t)(end - start));
        start = end;
        if (cluster.length > 1 && is_emoji(cluster)) {
            if (count < room) {
                into[count] = cluster;
            }
            count++;
        }
    }
    return count;
}

static size_t hash_of(struct view v)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < v.length; i++) {
        hash = (hash ^ (unsigned char)v.at[i]) * 1099511628211u;
    }
    return (size_t)(hash ^ hash >> 32);
}

/* Keeps the first of each; returns how many are left. `table` has `size` (a power of two, over count) places,
 * all 0; one that is taken has the index of an item plus one. */
static size_t remove_repeats(struct view *items, size_t count, size_t *table, size_t size)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t place = hash_of(items[i]) & (size - 1);
        while (table[place] && !view_equal(items[table[place] - 1], items[i])) {
            place = (place + 1) & (size - 1);
        }
        if (!table[place]) {
            items[kept] = items[i];
            table[place] = ++kept;
        }
    }
    return kept;
}

struct view_list text_emoji(struct text_worker *w, struct view text, struct arena *a)
{
    const struct view_list none = {NULL, 0};
    if (text.length > TEXT_MAXIMUM) {
        arena_alloc(a, SIZE_MAX);
        return none;
    }
    if (!may_have_emoji(text)) {
        return none;
    }
    enum { FEW = 64 };
    struct view *items = arena_zeroed(a, FEW, sizeof *items);
    size_t count = items ? collect(w, text, items, FEW) : 0;
    if (count > FEW) {
        items = arena_zeroed(a, count, sizeof *items);
        count = items ? collect(w, text, items, count) : 0;
    }
    if (count == 0) {
        return none;
    }
    size_t size = 4;
    while (size < 2 * count) {
        size *= 2;
    }
    size_t *table = arena_zeroed(a, size, sizeof *table);
    if (!table) {
        return none;
    }
    return (struct view_list){items, remove_repeats(items, count, table, size)};
}
