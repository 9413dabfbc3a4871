#include "text/entities.h"

#include "text/characters.h"
#include "text/link.h"
#include "text/mention.h"

/* twitter-text: a cashtag has at most six letters, and two more behind a dot or underscore. */
enum { CASH_MOST = 6, CASH_SUFFIX_MOST = 2, FIRST_ROOM = 16 };

struct scan {
    struct view text;
    struct arena *arena;
    struct text_entity *items;
    size_t count, room;
    size_t token;    /* where the ASCII run without white space began that the scan is in */
    size_t bare_for; /* the token that bare_end is about, plus one; 0: none yet */
    size_t bare_end;
};

static int add(struct scan *s, enum text_entity_kind kind, size_t start, size_t name, size_t end)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : FIRST_ROOM;
        struct text_entity *grown = arena_zeroed(s->arena, room, sizeof *grown);
        if (!grown) {
            return -1;
        }
        if (s->count) {
            memcpy(grown, s->items, s->count * sizeof *grown);
        }
        s->items = grown;
        s->room = room;
    }
    s->items[s->count++] = (struct text_entity){kind, start, end, view_make(s->text.at + name, end - name)};
    return 0;
}

static bool is_tag_point(uint32_t c)
{
    static const uint32_t special[] = {'_',    0xB7,   0x5BE,  0x5F3,  0x5F4,  0xF0B,  0xF0C,  0x200C, 0x200D,
                                       0x3003, 0x301C, 0x309B, 0x309C, 0x30A0, 0x30FB, 0xA67E, 0xFF5E};
    if (c < 0x80) {
        return is_name_point(c);
    }
    if (is_letter_or_mark(c) || is_decimal_digit(c)) {
        return true;
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (special[i] == c) {
            return true;
        }
    }
    return false;
}

static bool is_hash(uint32_t c)
{
    return c == '#' || c == POINT_WIDE_HASH;
}

static bool is_direction_mark(uint32_t c)
{
    return (c >= 0x202A && c <= 0x202E) || c == 0x61C || c == 0x200E || c == 0x200F ||
           (c >= 0x2066 && c <= 0x2069);
}

/* Inside something like "example.com/#part", which is a link although it has no protocol. */
static bool in_bare_link(struct scan *s, size_t at)
{
    if (at == s->token) {
        return false;
    }
    if (s->bare_for != s->token + 1) {
        s->bare_for = s->token + 1;
        s->bare_end = link_bare_end(s->text, s->token);
    }
    return s->bare_end > at;
}

/* Each find_ function is at a sign that ends at byte `name`, and returns the byte behind its entity, or 0:
 * none. */

static size_t find_hashtag(struct scan *s, size_t start, size_t name)
{
    uint32_t before = point_before(s->text, start), next = point_at(s->text, name);
    bool styled = before == POINT_TEXT_STYLE || before == POINT_EMOJI_STYLE;
    if ((before != POINT_NONE && !styled && (is_tag_point(before) || before == '&')) ||
        next == POINT_EMOJI_STYLE || next == POINT_KEYCAP || in_bare_link(s, start)) {
        return 0;
    }
    size_t end = name;
    bool letter = false;
    for (size_t at = name; at < s->text.length;) {
        next = utf8_next(s->text, &at);
        if (!is_tag_point(next)) {
            break;
        }
        letter |= is_letter_or_mark(next);
        end = at;
    }
    bool ended = !is_hash(point_at(s->text, end)) && !view_starts(view_from(s->text, end), VIEW("://"));
    return letter && ended ? end : 0;
}

static size_t letters_end(struct view text, size_t at)
{
    while (at < text.length && is_ascii_letter((unsigned char)text.at[at])) {
        at++;
    }
    return at;
}

static bool cashtag_may_end(struct view text, size_t at)
{
    uint32_t next = point_at(text, at);
    return at == text.length || is_white(next) ||
           (next > 0 && next < 0x80 && strchr("!#%&'()*+,\\-./:;<=>?@[]^_{|}~$", (int)next));
}

static size_t find_cashtag(struct scan *s, size_t start, size_t name)
{
    uint32_t before = point_before(s->text, start);
    size_t end = letters_end(s->text, name);
    if ((before != POINT_NONE && !is_white(before) && !is_direction_mark(before)) || end == name ||
        end - name > CASH_MOST) {
        return 0;
    }
    if (end < s->text.length && (s->text.at[end] == '.' || s->text.at[end] == '_')) {
        size_t suffix = letters_end(s->text, end + 1), n = suffix - end - 1;
        if (n >= 1 && n <= CASH_SUFFIX_MOST && cashtag_may_end(s->text, suffix)) {
            return suffix;
        }
    }
    return cashtag_may_end(s->text, end) ? end : 0;
}

static size_t find_link(struct scan *s, size_t start)
{
    size_t protocol = link_protocol(s->text, start);
    if (!protocol) {
        return 0;
    }
    uint32_t before = point_before(s->text, start);
    bool barred = is_ascii_word(before) || is_at_sign(before) || is_hash(before) || before == '$' ||
                  before == 0xFFFE || before == 0xFEFF || before == 0xFFFF;
    return before != POINT_NONE && barred ? 0 : link_end(s->text, start, start + protocol);
}

/* What begins with the code point c at `start`, which ends at `next`. Returns where the scan goes on. */
static size_t step(struct scan *s, uint32_t c, size_t start, size_t next, int *failed)
{
    size_t end = 0, name = next;
    enum text_entity_kind kind = TEXT_LINK;
    if (c == 'h' || c == 'H') {
        end = find_link(s, start);
        name = start;
    } else if (is_hash(c)) {
        end = find_hashtag(s, start, next);
        kind = TEXT_HASHTAG;
    } else if (is_at_sign(c)) {
        end = in_bare_link(s, start) ? 0 : mention_end(s->text, start, next);
        kind = TEXT_MENTION;
    } else if (c == '$') {
        end = find_cashtag(s, start, next);
        kind = TEXT_CASHTAG;
    }
    if (!end) {
        return next;
    }
    *failed = add(s, kind, start, name, end);
    return end;
}

int text_entities(struct view text, struct arena *a, struct text_entities *found)
{
    struct scan s = {.text = text, .arena = a};
    int failed = 0;
    for (size_t at = 0; at < text.length && !failed;) {
        size_t start = at;
        uint32_t c = utf8_next(text, &at);
        at = step(&s, c, start, at, &failed);
        if (c >= 0x80 || is_white(c)) {
            s.token = at;
        }
    }
    *found = failed ? (struct text_entities){NULL, 0} : (struct text_entities){s.items, s.count};
    return failed;
}

struct view_list text_entity_names(const struct text_entities *found, enum text_entity_kind kind,
                                   struct arena *a)
{
    struct view_list list = {NULL, 0};
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        count += found->items[i].kind == kind;
    }
    struct view *names = count ? arena_zeroed(a, count, sizeof *names) : NULL;
    if (!names) {
        return list;
    }
    for (size_t i = 0; i < found->count; i++) {
        if (found->items[i].kind == kind) {
            names[list.count++] = found->items[i].name;
        }
    }
    list.items = names;
    return list;
}
