#include "text/keyword.h"

#include "text/characters.h"
#include "text/entities.h"
#include "text/lower.h"
#include "text/token.h"

struct parse {
    struct view line;
    size_t at;
    struct arena *arena;
    struct keyword_part *parts;
    size_t count;
    struct err *err;
};

/* A keyword in a message is cut to this many bytes. */
enum { SHOWN_MOST = 100 };

/* A view cut between characters, so that a message stays UTF-8. */
static struct view shown(struct view v)
{
    while (v.length > SHOWN_MOST || (v.length > SHOWN_MOST - 4 && !utf8_valid(v))) {
        v.length--;
    }
    return v;
}

static struct view trimmed(struct view v)
{
    size_t start = 0, next = 0;
    while (next < v.length && is_white(utf8_next(v, &next))) {
        start = next;
    }
    size_t end = start;
    for (next = start; next < v.length;) {
        end = is_white(utf8_next(v, &next)) ? end : next;
    }
    return view_make(v.at + start, end - start);
}

static size_t word_end(struct view line, size_t at)
{
    for (size_t next = at; next < line.length; at = next) {
        if (is_white(utf8_next(line, &next))) {
            return at;
        }
    }
    return line.length;
}

static bool has_word(struct view text, struct arena *a)
{
    struct view tokens = token_text(text_fold(text, a), a);
    return token_count(tokens) > 0;
}

static int wrong(struct parse *p, const char *why, struct view what)
{
    what = shown(what);
    return err_set(p->err, ERR_FATAL, "'%.*s' %s", VIEW_PRINT(what), why);
}

/* The whole of `entity` (with its sign) is one entity of this kind by the networks' rule. */
static bool is_entity(struct view entity, enum text_entity_kind kind, struct arena *a)
{
    struct text_entities found;
    return text_entities(entity, a, &found) == 0 && found.count == 1 && found.items[0].kind == kind &&
           found.items[0].start == 0 && found.items[0].end == entity.length;
}

static bool is_handle(struct view name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (!is_name_point(c) && (i == 0 || !strchr(".-@", c))) {
            return false;
        }
    }
    return name.length > 0;
}

/* Finds the kind of an unquoted word and checks it; *text loses its sign. */
static int classify(struct parse *p, struct view whole, struct view *text, enum keyword_kind *kind)
{
    size_t sign = 0;
    uint32_t first = utf8_next(*text, &sign);
    struct view with_sign = *text;
    *kind = KEYWORD_WORD;
    if (first == '#' || first == POINT_WIDE_HASH) {
        *kind = KEYWORD_HASHTAG;
    } else if (first == '@' || first == POINT_WIDE_AT) {
        *kind = KEYWORD_MENTION;
    } else if (first == '$') {
        *kind = KEYWORD_CASHTAG;
    }
    if (*kind != KEYWORD_WORD) {
        *text = view_from(*text, sign);
    }
    switch (*kind) {
    case KEYWORD_HASHTAG:
        return is_entity(with_sign, TEXT_HASHTAG, p->arena)
                   ? 0
                   : wrong(p,
                           "is no hashtag: one has letters, digits and '_', at least one letter, and nothing "
                           "else",
                           whole);
    case KEYWORD_MENTION:
        return is_handle(*text) ? 0 : wrong(p, "is no mention: write @ and the name, as @name", whole);
    case KEYWORD_CASHTAG:
        return is_entity(with_sign, TEXT_CASHTAG, p->arena)
                   ? 0
                   : wrong(
                         p,
                         "is no cashtag: one has 1 to 6 letters; to look for a sum, put it in double quotes",
                         whole);
    case KEYWORD_WORD:
    case KEYWORD_PHRASE:
    default:
        return has_word(*text, p->arena) ? 0 : wrong(p, "has no letter, digit or emoji to look for", whole);
    }
}

static bool is_curly_quote(uint32_t c)
{
    return c >= 0x201C && c <= 0x201F;
}

static int check_word_form(struct parse *p, struct view word)
{
    uint32_t first = point_at(word, 0);
    if (view_starts(word, VIEW("--")) || first == 0x2013 || first == 0x2014 || first == 0x2212) {
        return wrong(p, "does not begin with one hyphen: write what to exclude as -word", word);
    }
    for (size_t at = 0; at < word.length;) {
        uint32_t c = utf8_next(word, &at);
        if (c == ',') {
            return wrong(p,
                         "has a comma: write one keyword a line (a line is one keyword, whose words must all "
                         "be there), "
                         "or put a comma that belongs to a phrase in double quotes",
                         word);
        }
        if (c == '"') {
            return wrong(
                p, "has a double quote in the middle of a word: a phrase begins and ends at white space",
                word);
        }
        if (is_curly_quote(c)) {
            return wrong(p, "has a curly quote: write a phrase in straight double quotes, \"two words\"",
                         word);
        }
    }
    return 0;
}

static int read_phrase(struct parse *p, struct keyword_part *part, size_t begin)
{
    size_t open = p->at;
    const char *close = memchr(p->line.at + open + 1, '"', p->line.length - open - 1);
    if (!close) {
        return wrong(p, "opens a double quote that does not end on this line", view_from(p->line, begin));
    }
    size_t end = (size_t)(close - p->line.at);
    struct view inside = trimmed(view_make(p->line.at + open + 1, end - open - 1));
    struct view whole = view_make(p->line.at + begin, end + 1 - begin);
    if (word_end(p->line, end + 1) != end + 1) {
        return wrong(p, "must be followed by white space", whole);
    }
    if (inside.length == 0 || !has_word(inside, p->arena)) {
        return wrong(p, "has no letter, digit or emoji to look for", whole);
    }
    part->kind = KEYWORD_PHRASE;
    part->text = inside;
    p->at = end + 1;
    return 0;
}

static int read_part(struct parse *p)
{
    struct keyword_part *part = &p->parts[p->count];
    size_t begin = p->at, end = word_end(p->line, begin);
    if (p->line.at[p->at] == '-') {
        part->excluded = true;
        p->at++;
    }
    if (p->at == end) {
        return wrong(p, "stands alone: write what to exclude right behind it, as -word", VIEW("-"));
    }
    if (p->line.at[p->at] == '"') {
        if (read_phrase(p, part, begin)) {
            return -1;
        }
    } else {
        struct view whole = view_make(p->line.at + begin, end - begin);
        part->text = view_make(p->line.at + p->at, end - p->at);
        if (check_word_form(p, whole) || classify(p, whole, &part->text, &part->kind)) {
            return -1;
        }
        p->at = end;
    }
    p->count++;
    return 0;
}

static int read_rule(struct keyword *k, struct err *e)
{
    k->rule = trimmed(view_from(k->line, 1));
    if (k->rule.length == 0) {
        return err_set(e, ERR_FATAL,
                       "'=' stands alone: write a rule of the network behind it, as = cat has:images");
    }
    return 1;
}

static bool is_comment(struct view line)
{
    return line.at[0] == '#' && (line.length == 1 || is_white(point_at(line, 1)));
}

int keyword_parse(struct view line, struct arena *a, struct keyword *k, struct err *e)
{
    *k = (struct keyword){.line = trimmed(line), .rule = view_none()};
    if (k->line.length == 0 || is_comment(k->line)) {
        k->line.length = 0;
        return 0;
    }
    if (!utf8_valid(k->line)) {
        return err_set(e, ERR_FATAL, "the keyword is not UTF-8: save the file as UTF-8");
    }
    k->line = arena_view(a, k->line);
    if (!view_absent(k->line) && k->line.at[0] == '=') {
        return read_rule(k, e);
    }
    /* A part has one byte at least and white space behind it. */
    size_t room = k->line.length / 2 + 1;
    struct parse p = {.line = k->line, .arena = a, .err = e};
    p.parts = arena_zeroed(a, room, sizeof *p.parts);
    int result = p.parts ? 1 : -1;
    while (result > 0 && p.at < p.line.length) {
        size_t start = p.at;
        if (is_white(utf8_next(p.line, &p.at))) {
            continue;
        }
        p.at = start;
        result = read_part(&p) ? -1 : 1;
    }
    if (arena_failed(a)) {
        return err_set(e, ERR_RETRY, "memory is out: no room for a keyword of %zu bytes", line.length);
    }
    k->parts = p.parts;
    k->part_count = p.count;
    return result;
}
