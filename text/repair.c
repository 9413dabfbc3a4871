#include "text/repair.h"

#include "base/utf8.h"

enum { ESCAPE_BYTES = 6 /* of \uXXXX */ };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next bytes of a line that are not NUL: a NUL is dropped, so it must not hide an escape that its going
 * makes. */
struct window {
    char bytes[2 * ESCAPE_BYTES];
    size_t ends[2 * ESCAPE_BYTES]; /* where in the line the byte ends */
    size_t count;
};

static struct window look(struct view line, size_t at)
{
    struct window w = {.count = 0};
    for (; at < line.length && w.count < sizeof w.bytes; at++) {
        if (line.at[at]) {
            w.bytes[w.count] = line.at[at];
            w.ends[w.count++] = at + 1;
        }
    }
    return w;
}

/* The code unit of the \u escape at w.bytes[from], or -1. */
static long escape_unit(const struct window *w, size_t from)
{
    if (w->count < from + ESCAPE_BYTES || w->bytes[from] != '\\' || w->bytes[from + 1] != 'u') {
        return -1;
    }
    long unit = 0;
    for (size_t i = from + 2; i < from + ESCAPE_BYTES; i++) {
        int digit = hex_value(w->bytes[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high(long unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(long unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

enum need { NEED_NOTHING, NEED_SURROGATE, NEED_NUL };

/* What the escape at the head of the window needs, and how many of the window's bytes it has: 1 for a
 * backslash before something that no escape may be, so that what follows is looked at by itself. */
static enum need escape_need(const struct window *w, size_t *bytes)
{
    long unit = escape_unit(w, 0);
    *bytes = ESCAPE_BYTES;
    if (unit == 0) {
        return NEED_NUL;
    }
    if (is_high(unit) && is_low(escape_unit(w, ESCAPE_BYTES))) {
        *bytes = 2 * ESCAPE_BYTES;
        return NEED_NOTHING;
    }
    if (is_high(unit) || is_low(unit)) {
        return NEED_SURROGATE;
    }
    if (unit < 0) {
        *bytes = w->count > 1 && (unsigned char)w->bytes[1] < 0x80 ? 2 : 1;
    }
    return NEED_NOTHING;
}

/* Bytes from `at` on that certainly need nothing, in steps of eight: ASCII, no NUL, no backslash. */
static size_t skip_plain(struct view line, size_t at)
{
    const uint64_t low = 0x0101010101010101u, high = 0x8080808080808080u;
    for (uint64_t eight; at + sizeof eight <= line.length; at += sizeof eight) {
        memcpy(&eight, line.at + at, sizeof eight);
        uint64_t slash = eight ^ (low * '\\');
        if ((eight | (eight - low) | (slash - low)) & high) {
            break;
        }
    }
    return at;
}

/* The first byte of something that needs repair; line.length: nothing does. */
static size_t find_need(struct view line)
{
    size_t at = 0;
    while ((at = skip_plain(line, at)) < line.length) {
        unsigned char c = (unsigned char)line.at[at];
        size_t start = at;
        if (c == '\\') {
            struct window w = look(line, at);
            size_t bytes;
            /* A NUL in the window is a need too, but this function stops at it in its turn. */
            if (escape_need(&w, &bytes) != NEED_NOTHING || memchr(line.at + at, 0, w.ends[bytes - 1] - at)) {
                return start;
            }
            at = w.ends[bytes - 1];
        } else if (c == 0 || (c >= 0x80 && utf8_next(line, &at) == UTF8_BAD)) {
            return start;
        } else if (c < 0x80) {
            at++;
        }
    }
    return line.length;
}

struct repair {
    struct view line;
    size_t at;
    struct buffer *out;
    struct text_repairs *counts;
    size_t guard; /* until out is this long, dropping something could complete a broken \u escape before it */
};

static void repair_escape(struct repair *r)
{
    struct window w = look(r->line, r->at);
    size_t bytes;
    enum need need = escape_need(&w, &bytes);
    size_t end = w.ends[bytes - 1];
    r->counts->nul_bytes += end - r->at - bytes;
    r->at = end;
    if (need == NEED_NOTHING) {
        if (bytes == 2 && w.bytes[1] == 'u') {
            r->guard = r->out->length + ESCAPE_BYTES;
        }
        buffer_append(r->out, w.bytes, bytes);
        return;
    }
    if (need == NEED_SURROGATE) {
        r->counts->surrogates++;
    } else {
        r->counts->nul_escapes++;
    }
    if (need == NEED_SURROGATE || r->out->length < r->guard) {
        buffer_add_view(r->out, VIEW("\\ufffd"));
    }
}

static void repair_rest(struct repair *r)
{
    while (r->at < r->line.length && !buffer_failed(r->out)) {
        size_t start = r->at;
        r->at = skip_plain(r->line, r->at);
        buffer_append(r->out, r->line.at + start, r->at - start);
        if (r->at == r->line.length) {
            return;
        }
        unsigned char c = (unsigned char)r->line.at[r->at];
        if (c == '\\') {
            repair_escape(r);
        } else if (c == 0) {
            r->counts->nul_bytes++;
            r->at++;
        } else {
            start = r->at;
            if (utf8_next(r->line, &r->at) == UTF8_BAD) {
                r->counts->invalid_utf8++;
                buffer_add_view(r->out, VIEW("\xEF\xBF\xBD"));
            } else {
                buffer_append(r->out, r->line.at + start, r->at - start);
            }
        }
    }
}

int text_repair(struct view line, struct buffer *scratch, struct text_repairs *counts, struct view *result)
{
    size_t clean = find_need(line);
    if (clean == line.length) {
        *result = line;
        return 0;
    }
    buffer_reset(scratch);
    /* From the start, since a broken escape in the clean part can reach into what is dropped. */
    struct repair r = {.line = line, .out = scratch, .counts = counts};
    repair_rest(&r);
    *result = buffer_view(scratch);
    return buffer_failed(scratch) ? -1 : 0;
}

/* The length of the entity at v.at[at], an '&', and what it stands for; 0: none of the three. */
static size_t html_entity(struct view v, size_t at, char *means)
{
    static const struct {
        struct view name;
        char means;
    } entities[] = {{{"&amp;", 5}, '&'}, {{"&lt;", 4}, '<'}, {{"&gt;", 4}, '>'}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        if (view_starts(view_from(v, at), entities[i].name)) {
            *means = entities[i].means;
            return entities[i].name.length;
        }
    }
    return 0;
}

struct view text_unescape_html(struct view v, struct arena *a)
{
    const char *sign = v.at && v.length ? memchr(v.at, '&', v.length) : NULL;
    char means;
    while (sign && !html_entity(v, (size_t)(sign - v.at), &means)) {
        size_t next = (size_t)(sign - v.at) + 1;
        sign = memchr(v.at + next, '&', v.length - next);
    }
    if (!sign) {
        return v;
    }
    char *out = arena_alloc(a, v.length);
    if (!out) {
        return view_none();
    }
    size_t used = 0;
    for (size_t at = 0; at < v.length; used++) {
        size_t n = v.at[at] == '&' ? html_entity(v, at, &out[used]) : 0;
        if (!n) {
            out[used] = v.at[at];
            n = 1;
        }
        at += n;
    }
    arena_shrink(a, out, v.length, used);
    return view_make(out, used);
}
