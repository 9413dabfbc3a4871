#include "ingest/rule_syntax.h"

#include <stddef.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

struct reader {
    struct view rule;
    size_t at;
    int depth;
    bool stands; /* something in it may stand alone */
    struct err *err;
};

/* Operators that need another one beside them. */
static const char *const leaning[] = {"is",
                                      "has",
                                      "lang",
                                      "sample",
                                      "followers_count",
                                      "tweets_count",
                                      "posts_count",
                                      "following_count",
                                      "listed_count",
                                      "min_followers",
                                      "url_title",
                                      "url_description",
                                      "url_contains",
                                      "source",
                                      "in_reply_to_tweet_id",
                                      "retweets_of_tweet_id"};

static int wrong(struct reader *r, size_t at, const char *why)
{
    return err_set(r->err, ERR_FATAL, "at character %zu of the rule: %s", at + 1, why);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_spaces(struct reader *r)
{
    while (r->at < r->rule.length && is_space(r->rule.at[r->at])) {
        r->at++;
    }
}

static bool at_end(const struct reader *r)
{
    return r->at >= r->rule.length;
}

/* The length of the piece at `at`: up to white space or a bracket, with quotes and [ ] whole. 0: it does not
 * close, or nothing is there. */
static size_t piece_length(struct view rule, size_t at)
{
    size_t i = at;
    while (i < rule.length && !is_space(rule.at[i]) && rule.at[i] != '(' && rule.at[i] != ')') {
        char close = rule.at[i] == '"' ? '"' : rule.at[i] == '[' ? ']' : 0;
        if (close) {
            const char *end = memchr(rule.at + i + 1, close, rule.length - i - 1);
            if (!end) {
                return 0;
            }
            i = (size_t)(end - rule.at);
        }
        i++;
    }
    return i - at;
}

static bool is_word(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 0x80 || (u >= '0' && u <= '9') || ((u | 0x20) >= 'a' && (u | 0x20) <= 'z') || u == '_';
}

/* A keyword, #tag, @name or $cash without quotes. */
static int check_word(struct reader *r, size_t at, struct view word)
{
    size_t sign = strchr("#@$", word.at[0]) != NULL;
    if (view_is(word, "AND")) {
        return wrong(r, at, "AND is no operator: a space means it");
    }
    for (size_t i = sign; i < word.length; i++) {
        if (!is_word(word.at[i])) {
            return wrong(r, at + i, "a keyword with punctuation must be in double quotes");
        }
    }
    return word.length > sign ? 0 : wrong(r, at, "a sign stands alone");
}

static bool leans(struct view name)
{
    for (size_t i = 0; i < COUNT(leaning); i++) {
        if (view_is(name, leaning[i])) {
            return true;
        }
    }
    return false;
}

/* After a quoted phrase: nothing, or ~N. */
static int check_behind(struct reader *r, size_t at, struct view behind)
{
    bool near = behind.length == 2 && behind.at[0] == '~' && behind.at[1] >= '1' && behind.at[1] <= '9';
    return behind.length == 0 || near ? 0 : wrong(r, at, "behind a phrase comes a space, a bracket or ~N");
}

static int check_operator(struct reader *r, size_t at, struct view piece, size_t colon, bool negated)
{
    struct view name = view_make(piece.at, colon), value = view_from(piece, colon + 1);
    if (name.length == 0 || value.length == 0) {
        return wrong(r, at, "an operator has a name before its colon and a value right behind it");
    }
    bool nullcast = view_is(name, "is") && view_is(value, "nullcast");
    if (negated && (view_is(name, "sample") || view_is(name, "embedding"))) {
        return wrong(r, at, "sample: and embedding: cannot be negated");
    }
    if (!negated && nullcast) {
        return wrong(r, at, "is:nullcast must be negated: -is:nullcast");
    }
    r->stands = r->stands || (!negated && !leans(name));
    return 0;
}

static int read_piece(struct reader *r, bool negated)
{
    size_t at = r->at, length = piece_length(r->rule, at);
    struct view piece = view_make(r->rule.at + at, length);
    if (!length) {
        return wrong(r, at, "a double quote or [ that does not close");
    }
    r->at += length;
    if (piece.at[0] == '"') {
        const char *end = memchr(piece.at + 1, '"', length - 1);
        size_t inside = (size_t)(end - piece.at) - 1;
        r->stands = r->stands || !negated;
        return view_trim(view_make(piece.at + 1, inside)).length
                   ? check_behind(r, at + inside + 2, view_from(piece, inside + 2))
                   : wrong(r, at, "an empty phrase");
    }
    const char *colon = memchr(piece.at, ':', length);
    if (colon) {
        return check_operator(r, at, piece, (size_t)(colon - piece.at), negated);
    }
    r->stands = r->stands || !negated;
    return check_word(r, at, piece);
}

static int read_alternatives(struct reader *r);

static int read_group(struct reader *r)
{
    size_t open = r->at++;
    if (++r->depth > RULE_SYNTAX_DEPTH) {
        return wrong(r, open, "too many brackets in brackets");
    }
    if (read_alternatives(r)) {
        return -1;
    }
    if (at_end(r) || r->rule.at[r->at] != ')') {
        return wrong(r, open, "this bracket does not close");
    }
    r->at++;
    r->depth--;
    return 0;
}

static bool at_or(const struct reader *r)
{
    struct view rest = view_from(r->rule, r->at);
    return view_starts(rest, VIEW("OR")) && piece_length(r->rule, r->at) == 2;
}

/* What stands between two ORs: at least one item. */
static int read_items(struct reader *r)
{
    size_t count = 0;
    for (skip_spaces(r); !at_end(r) && r->rule.at[r->at] != ')' && !at_or(r); skip_spaces(r)) {
        bool negated = r->rule.at[r->at] == '-';
        r->at += negated;
        if (at_end(r) || is_space(r->rule.at[r->at]) || r->rule.at[r->at] == ')') {
            return wrong(r, r->at - 1, "a hyphen stands alone");
        }
        bool group = r->rule.at[r->at] == '(';
        if (group && negated) {
            return wrong(r, r->at - 1, "a group cannot be negated: write -snow -day");
        }
        if (group ? read_group(r) : read_piece(r, negated)) {
            return -1;
        }
        count++;
    }
    return count ? 0 : wrong(r, r->at, "nothing stands here: OR and brackets need something on each side");
}

static int read_alternatives(struct reader *r)
{
    for (;;) {
        if (read_items(r)) {
            return -1;
        }
        if (at_end(r) || !at_or(r)) {
            return 0;
        }
        r->at += 2;
    }
}

int rule_syntax_check(struct view rule, struct err *e)
{
    struct reader r = {.rule = rule, .err = e};
    for (size_t i = 0; i < rule.length; i++) {
        if (((unsigned char)rule.at[i] < ' ' && rule.at[i] != '\t') || rule.at[i] == 0x7F) {
            return wrong(&r, i, "a control character");
        }
    }
    if (read_alternatives(&r)) {
        return -1;
    }
    if (!at_end(&r)) {
        return wrong(&r, r.at, "a bracket closes that was not opened");
    }
    return r.stands
               ? 0
               : err_set(e, ERR_FATAL,
                         "nothing in the rule may stand alone: besides is:, has:, lang:, numbers and what "
                         "is negated it needs a keyword, a name, a place or the like");
}

/* --- alternatives --- */

/* The byte behind the item at `at`, which is no space; the rest when something does not close. */
static size_t item_end(struct view rule, size_t at)
{
    if (rule.at[at] == '-') {
        at++;
    }
    if (at >= rule.length || rule.at[at] != '(') {
        size_t length = at < rule.length ? piece_length(rule, at) : 0;
        return length ? at + length : at < rule.length && rule.at[at] == ')' ? at + 1 : rule.length;
    }
    int depth = 0;
    while (at < rule.length) {
        char c = rule.at[at];
        depth += (c == '(') - (c == ')');
        if (c == '(' || c == ')' || is_space(c)) {
            at++;
        } else {
            size_t length = piece_length(rule, at);
            at = length ? at + length : rule.length;
        }
        if (depth == 0) {
            return at;
        }
    }
    return rule.length;
}

static bool is_condition(struct view item)
{
    return view_starts(item, VIEW("-")) || view_starts(item, VIEW("lang:")) ||
           view_starts(item, VIEW("(lang:"));
}

/* The rule without the conditions at its end, and without the bracket around all of it. */
static struct view core_of(struct view rule)
{
    size_t end = 0, items = 0;
    for (size_t at = 0; at < rule.length;) {
        if (is_space(rule.at[at])) {
            at++;
            continue;
        }
        size_t next = item_end(rule, at);
        if (!is_condition(view_make(rule.at + at, next - at))) {
            end = next;
            items++;
        }
        at = next;
    }
    struct view core = view_make(rule.at, end);
    bool group = items == 1 && end > 2 && core.at[0] == '(' && core.at[end - 1] == ')';
    return group ? view_make(core.at + 1, end - 2) : core;
}

void rule_syntax_alternatives(struct view rule, void (*each)(void *user, struct view text), void *user)
{
    struct view core = rule.length ? core_of(rule) : rule;
    size_t start = 0;
    for (size_t at = 0; at < core.length;) {
        if (is_space(core.at[at])) {
            at++;
            continue;
        }
        size_t next = item_end(core, at);
        if (next - at == 2 && !memcmp(core.at + at, "OR", 2)) {
            each(user, view_trim(view_make(core.at + start, at - start)));
            start = next;
        }
        at = next;
    }
    each(user, view_trim(view_from(core, start)));
}
