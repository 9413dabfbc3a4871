#include "text/link.h"

#include "text/characters.h"

/* Numbers of twitter-text: a link of at most 4,096 characters, a t.co slug of at most 40; a label of at most
 * 63 and a host of at most 253 characters as in DNS (RFC 1035). */
enum { LINK_MOST = 4096, SLUG_MOST = 40, LABEL_MOST = 63, HOST_MOST = 253, NESTED_MOST = 2 };

static bool same_ascii(struct view text, size_t at, const char *lower)
{
    for (; *lower; at++, lower++) {
        if (at >= text.length || (text.at[at] | 0x20) != (*lower | 0x20)) {
            return false;
        }
    }
    return true;
}

size_t link_protocol(struct view text, size_t at)
{
    if (!same_ascii(text, at, "http")) {
        return 0;
    }
    size_t n = at + 4 < text.length && (text.at[at + 4] | 0x20) == 's' ? 5 : 4;
    return view_starts(view_from(text, at + n), VIEW("://")) ? n + 3 : 0;
}

/* Inside a label: not ASCII punctuation, white space, direction marks or broken bytes. */
static bool is_label_point(uint32_t c)
{
    if (c < 0x80) {
        return is_ascii_word(c);
    }
    if (c == UTF8_BAD || is_white(c)) {
        return false;
    }
    uint32_t kinds = U_GET_GC_MASK((UChar32)c);
    return (kinds & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK | U_GC_S_MASK)) || c == 0x30FB || c == 0x200C ||
           c == POINT_ZWJ;
}

struct label {
    size_t start, end; /* bytes */
    size_t ascii_end;  /* behind its leading ASCII letters */
    size_t points;
    bool ascii, letters;   /* all of it */
    bool underscore, edge; /* has '_'; begins or ends with '-' or '_' */
};

static struct label read_label(struct view text, size_t at)
{
    struct label l = {.start = at, .end = at, .ascii_end = at, .ascii = true, .letters = true};
    uint32_t c = UTF8_BAD, first = UTF8_BAD;
    for (size_t next = at; next < text.length && l.points <= HOST_MOST; l.end = next, l.points++) {
        uint32_t point = utf8_next(text, &next);
        if (point != '-' && point != '_' && !is_label_point(point)) {
            break;
        }
        c = point;
        first = l.points ? first : c;
        l.underscore |= c == '_';
        l.ascii &= c < 0x80;
        l.letters &= is_letter_or_mark(c);
        l.ascii_end = is_ascii_letter(c) && l.ascii_end == l.end ? next : l.ascii_end;
    }
    l.edge = first == '-' || first == '_' || c == '-' || c == '_';
    return l;
}

/* The end of the top-level domain if l can be one: two ASCII letters or more, or letters of another script.
 * ASCII letters that go on in another script ("comだよ") end where those begin. 0: it cannot. */
static size_t top_level_end(const struct label *l)
{
    if (l->ascii_end >= l->start + 2 &&
        (l->ascii_end == l->end || (!l->ascii && !l->edge && !l->underscore))) {
        return l->ascii_end;
    }
    return !l->ascii && l->letters ? l->end : 0;
}

/* The byte behind the host at `at`, or 0: two labels or more, the last a top-level domain, the one before
 * without '_'. The longest that fits, so "example.com.x1" is "example.com". */
static size_t host_end(struct view text, size_t at)
{
    size_t end = 0, points = 0;
    bool domain = false; /* the label before may be the registered one */
    for (;;) {
        struct label l = read_label(text, at);
        points += l.points + 1;
        if (l.points == 0 || l.points > LABEL_MOST || points > HOST_MOST || l.edge) {
            return end;
        }
        size_t top = l.ascii && same_ascii(text, l.start, "xn--") ? l.end : top_level_end(&l);
        if (domain && top) {
            end = top;
        }
        bool goes_on = l.end < text.length && text.at[l.end] == '.' && !(domain && top && top < l.end);
        if (!goes_on) {
            return end;
        }
        domain = !l.underscore;
        at = l.end + 1;
    }
}

static bool is_cyrillic(uint32_t c)
{
    return c >= 0x400 && c <= 0x4FF;
}

static bool is_path_point(uint32_t c)
{
    if (is_ascii_word(c) || is_cyrillic(c) || is_accented_latin(c) || c == 0x2013) {
        return true;
    }
    return c > 0 && c < 0x80 && strchr("!*';:=+,.$/%#[]-_~@|&", (int)c);
}

static bool is_path_end(uint32_t c)
{
    if (is_ascii_word(c) || is_cyrillic(c) || is_accented_latin(c)) {
        return true;
    }
    return c > 0 && c < 0x80 && strchr("=_#/+-", (int)c);
}

/* The byte behind a pair of parentheses in a path, with at most one pair inside; 0: not closed. */
static size_t parentheses_end(struct view text, size_t at)
{
    int depth = 0;
    size_t start = at;
    while (at < text.length && at - start < LINK_MOST) {
        uint32_t c = utf8_next(text, &at);
        if (c == '(') {
            if (++depth > NESTED_MOST) {
                return 0;
            }
        } else if (c == ')') {
            if (--depth == 0) {
                return at;
            }
        } else if (!is_path_point(c)) {
            return 0;
        }
    }
    return 0;
}

static size_t path_end(struct view text, size_t at)
{
    size_t end = at, start = at;
    while (at < text.length && at - start < LINK_MOST) {
        size_t here = at;
        uint32_t c = utf8_next(text, &at);
        if (c == '(') {
            size_t closed = parentheses_end(text, here);
            if (!closed) {
                break;
            }
            at = end = closed;
        } else if (!is_path_point(c)) {
            break;
        } else if (is_path_end(c)) {
            end = at;
        }
    }
    return end;
}

static size_t query_end(struct view text, size_t at)
{
    size_t end = at, start = at;
    if (at >= text.length || text.at[at] != '?') {
        return end;
    }
    for (at++; at < text.length && at - start < LINK_MOST; at++) {
        unsigned char c = (unsigned char)text.at[at];
        if (!is_ascii_word(c) && (c == 0 || c >= 0x80 || !strchr("!?*'@();:&=+$/%#[]-_.,~|", c))) {
            break;
        }
        if (is_ascii_word(c) || strchr("-_&=#/", c)) {
            end = at + 1;
        }
    }
    return end;
}

static size_t path_and_query_end(struct view text, size_t at)
{
    if (at < text.length && text.at[at] == '/') {
        at = path_end(text, at);
    }
    return query_end(text, at);
}

/* X's shortener: letters and digits only, and a query. 0: the slug is too long. */
static size_t short_link_end(struct view text, size_t slug)
{
    size_t at = slug;
    while (at < text.length && is_ascii_word((unsigned char)text.at[at])) {
        at++;
    }
    return at - slug > SLUG_MOST ? 0 : query_end(text, at);
}

size_t link_end(struct view text, size_t start, size_t host)
{
    size_t at = host_end(text, host);
    if (!at) {
        return 0;
    }
    struct view name = view_make(text.at + host, at - host);
    if (name.length == 4 && same_ascii(name, 0, "t.co") && at + 1 < text.length && text.at[at] == '/' &&
        is_ascii_word((unsigned char)text.at[at + 1])) {
        return short_link_end(text, at + 1);
    }
    if (at < text.length && (text.at[at] == '@' || text.at[at] == '-' || text.at[at] == '_')) {
        return 0;
    }
    if (at + 1 < text.length && text.at[at] == ':' && is_ascii_digit((unsigned char)text.at[at + 1])) {
        for (at++; at < text.length && is_ascii_digit((unsigned char)text.at[at]); at++) {
        }
    }
    at = path_and_query_end(text, at);
    return at - start > LINK_MOST ? 0 : at;
}

size_t link_bare_end(struct view text, size_t start)
{
    size_t at = host_end(text, start);
    return at && at < text.length && text.at[at] == '/' ? path_and_query_end(text, at) : 0;
}
