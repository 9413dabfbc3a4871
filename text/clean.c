#include "text/clean.h"

#include "text/automaton.h"
#include "text/characters.h"
#include "text/link.h"
#include "text/lower.h"
#include "text/mention.h"

#include <stdlib.h>

struct clean {
    struct view text;          /* in lower case */
    struct view_list mentions; /* plain names (a-z 0-9 _) in lower case, sorted */
    const uint32_t *covered;   /* per byte: how many bytes from it on a listed string covers; NULL as above */
    size_t at, used;
    char *out;
    bool gap; /* white space is due before the next character */
};

static int compare_views(const void *a, const void *b)
{
    return view_compare(*(const struct view *)a, *(const struct view *)b);
}

static bool is_plain_name(struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (!is_name_point((unsigned char)name.at[i])) {
            return false;
        }
    }
    return name.length > 0;
}

/* Lowered strings of a list: those that are plain names, or those that are not. */
static struct view_list lowered(const struct text_worker *w, struct view_list list, bool plain,
                                struct arena *a)
{
    struct view *items = list.count ? arena_zeroed(a, list.count, sizeof *items) : NULL;
    size_t count = 0;
    for (size_t i = 0; items && i < list.count; i++) {
        if (list.items[i].length && is_plain_name(list.items[i]) == plain) {
            items[count++] = text_lower(w, list.items[i], a);
        }
    }
    return (struct view_list){items, items ? count : 0};
}

static bool link_is_found_anyway(struct view link)
{
    return link_protocol(link, 0) > 0;
}

/* A listed name goes on when a letter or digit follows, also behind a dot, hyphen or at sign ("@ada" is not
 * meant in
 * "@ada.example.org"). */
static bool name_goes_on(struct view text, size_t end)
{
    uint32_t next = point_at(text, end);
    if (end + 1 < text.length && (next == '.' || next == '-' || next == '@')) {
        next = point_at(text, end + 1);
    }
    return end < text.length && next != UTF8_BAD && (is_name_point(next) || is_accented_latin(next));
}

static bool stands_alone(struct view text, size_t start, size_t end)
{
    uint32_t before = point_before(text, start);
    return (before == POINT_NONE || !is_name_point(before)) && !name_goes_on(text, end);
}

/* All occurrences of the strings: lengths[i] gets that of the longest which ends behind byte i. Strings from
 * number `names` on are handles, which count only as whole ones. */
static void find_listed(const struct automaton *m, struct view text, uint32_t names, uint32_t *lengths)
{
    uint32_t state = 0, place;
    for (size_t i = 0; i < text.length; i++) {
        state = automaton_step(m, state, (unsigned char)text.at[i]);
        for (uint32_t n = automaton_longest(m, state, &place); n != AUTOMATON_NONE;
             n = automaton_shorter(m, &place)) {
            size_t length = automaton_length(m, n);
            if (n < names || stands_alone(text, i + 1 - length, i + 1)) {
                lengths[i] = (uint32_t)length;
                break;
            }
        }
    }
}

/* Turns "the longest that ends behind byte i" into "byte i is inside one", and that into lengths from i on.
 */
static void spread(uint32_t *lengths, size_t n)
{
    uint32_t left = 0;
    for (size_t i = n; i-- > 0;) {
        left = lengths[i] > left ? lengths[i] : left;
        lengths[i] = left > 0;
        left -= left > 0;
    }
    for (size_t i = n; i-- > 0;) {
        lengths[i] = lengths[i] ? (i + 1 < n ? lengths[i + 1] : 0) + 1 : 0;
    }
}

static struct view with_sign(struct view name, struct arena *a)
{
    char *at = arena_alloc(a, name.length + 1);
    if (!at) {
        return view_none();
    }
    at[0] = '@';
    memcpy(at + 1, name.at, name.length);
    return view_make(at, name.length + 1);
}

/* Where the strings stand that no rule finds: links without protocol, handles with a host. NULL: there are
 * none. */
static const uint32_t *covered_bytes(const struct text_worker *w, struct view text, struct view_list links,
                                     struct view_list mentions, struct arena *a)
{
    struct view_list handles = lowered(w, mentions, false, a);
    size_t room = links.count + handles.count, count = 0, bytes = 0;
    struct view *strings = room ? arena_zeroed(a, room, sizeof *strings) : NULL;
    if (!strings) {
        return NULL;
    }
    for (size_t i = 0; i < links.count; i++) {
        if (links.items[i].length && !link_is_found_anyway(links.items[i])) {
            strings[count] = text_lower(w, links.items[i], a);
            bytes += strings[count++].length;
        }
    }
    size_t first_handle = count;
    for (size_t i = 0; i < handles.count; i++) {
        strings[count] = with_sign(handles.items[i], a);
        bytes += strings[count++].length;
    }
    struct automaton *m = bytes ? automaton_new(bytes, count, a) : NULL;
    uint32_t *lengths = m ? arena_zeroed(a, text.length, sizeof *lengths) : NULL;
    if (!lengths || arena_failed(a)) {
        return NULL;
    }
    size_t names = 0;
    for (size_t i = 0; i < count; i++) {
        automaton_add(m, strings[i]);
        names = i + 1 <= first_handle ? automaton_count(m) : names;
    }
    if (automaton_finish(m, a)) {
        return NULL;
    }
    find_listed(m, text, (uint32_t)names, lengths);
    spread(lengths, text.length);
    return lengths;
}

static void put(struct clean *c, size_t bytes)
{
    if (c->gap && c->used) {
        c->out[c->used++] = ' ';
    }
    c->gap = false;
    memcpy(c->out + c->used, c->text.at + c->at, bytes);
    c->used += bytes;
}

static size_t white_space_after(struct view text, size_t at)
{
    while (at < text.length) {
        size_t start = at;
        if (is_white(utf8_next(text, &at))) {
            return start;
        }
    }
    return text.length;
}

/* The byte behind a mention whose at sign is at `start` and ends at `name`, or 0. */
static size_t mention_at(const struct clean *c, size_t start, size_t name)
{
    size_t end = mention_end(c->text, start, name);
    if (end || c->mentions.count == 0) {
        return end;
    }
    for (end = name; end < c->text.length && is_name_point((unsigned char)c->text.at[end]);) {
        end++;
    }
    struct view key = view_make(c->text.at + name, end - name);
    bool listed = bsearch(&key, c->mentions.items, c->mentions.count, sizeof key, compare_views) != NULL;
    return listed && stands_alone(c->text, start, end) ? end : 0;
}

/* The byte behind "rt @name:" (the text is in lower case), or 0. */
static size_t retweet_head(struct view text)
{
    size_t at = 0, sign = 0;
    while (at < text.length && is_white(point_at(text, at))) {
        utf8_next(text, &at);
    }
    if (!view_starts(view_from(text, at), VIEW("rt"))) {
        return 0;
    }
    for (at += 2, sign = at; sign < text.length && is_white(point_at(text, sign));) {
        utf8_next(text, &sign);
    }
    if (sign == at || !is_at_sign(point_at(text, sign))) {
        return 0;
    }
    utf8_next(text, &sign);
    for (at = sign; at < text.length; at++) {
        unsigned char c = (unsigned char)text.at[at];
        if (!is_name_point(c) && (at == sign || !(c == '.' || c == '-' || c == '@'))) {
            break;
        }
    }
    return at > sign && at < text.length && text.at[at] == ':' ? at + 1 : 0;
}

/* One character, or one thing that is removed. */
static void step(struct clean *c)
{
    size_t next = c->at;
    if (c->covered && c->covered[c->at]) {
        c->at += c->covered[c->at];
        return;
    }
    uint32_t point = utf8_next(c->text, &next);
    if (point == 'h' && link_protocol(c->text, c->at)) {
        c->at = white_space_after(c->text, c->at);
        return;
    }
    size_t mention = is_at_sign(point) ? mention_at(c, c->at, next) : 0;
    if (mention) {
        c->at = mention;
        return;
    }
    if (is_white(point)) {
        c->gap = true;
    } else {
        put(c, next - c->at);
    }
    c->at = next;
}

struct view text_clean(const struct text_worker *w, struct view text, struct view_list links,
                       struct view_list mentions, struct arena *a)
{
    struct clean c = {.text = text_lower(w, text, a)};
    if (view_absent(c.text)) {
        return view_none();
    }
    c.mentions = lowered(w, mentions, true, a);
    if (c.mentions.count > 1) {
        qsort((struct view *)c.mentions.items, c.mentions.count, sizeof *c.mentions.items, compare_views);
    }
    c.covered = covered_bytes(w, c.text, links, mentions, a);
    c.out = arena_alloc(a, c.text.length);
    if (arena_failed(a)) {
        return view_none();
    }
    c.at = retweet_head(c.text);
    while (c.at < c.text.length) {
        step(&c);
    }
    arena_shrink(a, c.out, c.text.length, c.used);
    return view_make(c.out, c.used);
}
