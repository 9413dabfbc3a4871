#include "base/number.h"
#include "base/utf8.h"
#include "simulator/rule_nodes.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { BOX_SIDE_MILES = 25, RADIUS_MILES = 25 };

static const double MILE_KM = 1.609344;

enum value_kind {
    VALUE_WORDS,  /* words of a text */
    VALUE_FACT,   /* any value, folded */
    VALUE_NAME,   /* a name without @, or an id */
    VALUE_NUMBER, /* an id */
    VALUE_CHOICE, /* one of a list */
    VALUE_RANGE,
    VALUE_PART,
    VALUE_CIRCLE,
    VALUE_BOX,
    VALUE_CONTEXT,
    VALUE_SAMPLE,
    VALUE_NEVER,
    VALUE_EMBEDDING
};

struct rule_operator {
    const char *name;
    enum value_kind kind;
    bool standalone;
    int role; /* of a fact, enum rule_text_kind, or enum rule_count */
    const char *choices;
};

/* The table of operators of the documents; those whose kind is not documented need another one beside them.
 */
static const struct rule_operator OPERATORS[] = {
    {"url", VALUE_WORDS, true, RULE_URL, NULL},
    {"from", VALUE_NAME, true, RULE_FROM, NULL},
    {"to", VALUE_NAME, true, RULE_TO, NULL},
    {"retweets_of", VALUE_NAME, true, RULE_RETWEETS_OF, NULL},
    {"bio", VALUE_WORDS, true, RULE_BIO, NULL},
    {"bio_name", VALUE_WORDS, true, RULE_BIO_NAME, NULL},
    {"bio_location", VALUE_WORDS, true, RULE_BIO_LOCATION, NULL},
    {"from_affiliate_of", VALUE_NEVER, true, 0, NULL},
    {"to_affiliate_of", VALUE_NEVER, true, 0, NULL},
    {"context", VALUE_CONTEXT, true, RULE_CONTEXT, NULL},
    {"entity", VALUE_FACT, true, RULE_ENTITY, NULL},
    {"conversation_id", VALUE_NUMBER, true, RULE_CONVERSATION, NULL},
    {"place", VALUE_FACT, true, RULE_PLACE, NULL},
    {"place_country", VALUE_FACT, true, RULE_COUNTRY, NULL},
    {"point_radius", VALUE_CIRCLE, true, 0, NULL},
    {"bounding_box", VALUE_BOX, true, 0, NULL},
    {"embedding", VALUE_EMBEDDING, true, 0, NULL},
    {"is", VALUE_CHOICE, false, RULE_IS, "retweet reply quote verified nullcast "},
    {"has", VALUE_CHOICE, false, RULE_HAS, "hashtags cashtags links mentions media images video_link geo "},
    {"lang", VALUE_CHOICE, false, RULE_LANG,
     "am ar bg bn ca cs da de el en es et eu fa fi fr gu hi hr hu hy in it iw ja ka kn ko lt lv ml mr nl no "
     "pl pt ro ru sk sl sr sv ta te th tr uk ur vi zh-cn zh-tw bo bs ckb cy dv hi-latn ht is km lo my ne or "
     "pa "
     "ps sd si tl ug und zh he id "},
    {"sample", VALUE_SAMPLE, false, 0, NULL},
    {"followers_count", VALUE_RANGE, false, RULE_FOLLOWERS, NULL},
    {"tweets_count", VALUE_RANGE, false, RULE_POSTS, NULL},
    {"following_count", VALUE_RANGE, false, RULE_FOLLOWING, NULL},
    {"listed_count", VALUE_RANGE, false, RULE_LISTED, NULL},
    {"min_followers", VALUE_RANGE, false, RULE_FOLLOWERS, NULL},
    {"url_title", VALUE_WORDS, false, RULE_URL_TITLE, NULL},
    {"url_description", VALUE_WORDS, false, RULE_URL_DESCRIPTION, NULL},
    {"url_contains", VALUE_PART, false, 0, NULL},
    {"source", VALUE_WORDS, false, RULE_SOURCE, NULL},
    {"in_reply_to_tweet_id", VALUE_NUMBER, false, RULE_REPLY_TO_POST, NULL},
    {"retweets_of_tweet_id", VALUE_NUMBER, false, RULE_RETWEET_OF_POST, NULL},
};

struct parser {
    struct view text; /* the rule's own copy, in which the nodes may point */
    size_t at;
    unsigned depth;
    bool enterprise, failed; /* memory */
    bool positive, standalone;
    struct rule *rule;
    struct rule_problems *problems;
};

__attribute__((format(printf, 3, 4))) static void refuse(struct parser *p, size_t at, const char *format, ...)
{
    struct rule_problems *all = p->problems;
    if (all->count == RULE_PROBLEMS) {
        return;
    }
    char *into = all->details[all->count++];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(into, RULE_PROBLEM_SIZE - 40, format, arguments);
    va_end(arguments);
    /* A cut in the middle of a character would make the answer no UTF-8. */
    size_t length = n < 0 ? 0 : strlen(into);
    while (length && (n >= RULE_PROBLEM_SIZE - 40) && ((unsigned char)into[length - 1] & 0x80)) {
        length--;
    }
    size_t position = utf8_count(view_make(p->text.at, at)) + 1;
    snprintf(into + length, RULE_PROBLEM_SIZE - length, " (at position %zu).", position);
}

static bool refused(const struct parser *p)
{
    return p->problems->count || p->failed;
}

static uint32_t new_node(struct parser *p, enum rule_node_kind kind)
{
    struct rule *r = p->rule;
    if (r->node_count == r->node_capacity) {
        size_t capacity = r->node_capacity ? r->node_capacity * 2 : 8;
        struct rule_node *grown = realloc(r->nodes, capacity * sizeof *grown);
        if (!grown) {
            p->failed = true;
            return 0;
        }
        r->nodes = grown;
        r->node_capacity = capacity;
    }
    r->nodes[r->node_count] = (struct rule_node){.kind = kind, .near = -1};
    return (uint32_t)r->node_count++;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool skip_spaces(struct parser *p)
{
    while (p->at < p->text.length && is_space(p->text.at[p->at])) {
        p->at++;
    }
    return p->at < p->text.length;
}

static char peek(const struct parser *p)
{
    return p->at < p->text.length ? p->text.at[p->at] : '\0';
}

/* Up to a space or parenthesis. */
static struct view read_bare(struct parser *p)
{
    size_t from = p->at;
    while (p->at < p->text.length && !is_space(peek(p)) && peek(p) != '(' && peek(p) != ')') {
        p->at++;
    }
    return view_make(p->text.at + from, p->at - from);
}

/* Between `from` and the closing character; the parser stands on the opening one. Absent: it never closes. */
static struct view read_enclosed(struct parser *p, char closing)
{
    size_t from = ++p->at;
    const char *end = memchr(p->text.at + from, closing, p->text.length - from);
    if (!end) {
        p->at = p->text.length;
        return view_none();
    }
    p->at = (size_t)(end - p->text.at) + 1;
    return view_make(p->text.at + from, (size_t)(end - p->text.at) - from);
}

/* ---- values ---- */

static void set_words(struct parser *p, uint32_t node, enum rule_text_kind kind, struct view text, size_t at)
{
    struct rule *r = p->rule;
    size_t first = r->words.count;
    rule_text_words(text, &r->words);
    size_t count = r->words.count - first;
    p->failed = p->failed || r->words.failed;
    if (!count) {
        refuse(p, at, "There is no word in '%.*s'", VIEW_PRINT(text));
        return;
    }
    struct rule_node *n = &r->nodes[node];
    n->text = (uint8_t)kind;
    if (count == 1) {
        n->kind = RULE_FACT;
        n->fact = rule_facts_word(kind, r->words.items[first]);
        r->words.count = first;
        return;
    }
    n->kind = RULE_WORDS;
    n->first = (uint32_t)first;
    n->count = (uint32_t)count;
}

static void set_fact(struct parser *p, uint32_t node, int role, struct view value)
{
    struct rule_node *n = &p->rule->nodes[node];
    n->kind = RULE_FACT;
    n->fact = rule_text_fact((char)role, rule_text_hash(value));
}

static bool is_name(struct view v)
{
    for (size_t i = 0; i < v.length; i++) {
        char c = (char)(v.at[i] | 0x20);
        if (!((c >= 'a' && c <= 'z') || (v.at[i] >= '0' && v.at[i] <= '9') || v.at[i] == '_')) {
            return false;
        }
    }
    return v.length && v.length <= 20;
}

static bool is_digits(struct view v)
{
    uint64_t number;
    return number_parse_unsigned(v, &number) == 0;
}

static bool is_choice(const char *choices, struct view value)
{
    for (const char *at = choices; *at;) {
        size_t length = strcspn(at, " ");
        if (length == value.length && strncasecmp(at, value.at, length) == 0) {
            return true;
        }
        at += length + 1;
    }
    return false;
}

/* "1..10", or "500": that many or more. */
static bool set_range(struct rule_node *n, int count, struct view value)
{
    const char *dots = memmem(value.at, value.length, "..", 2);
    size_t length = dots ? (size_t)(dots - value.at) : value.length;
    n->kind = RULE_RANGE;
    n->fact = (uint64_t)count;
    n->most = INT64_MAX;
    return number_parse(view_make(value.at, length), 0, INT64_MAX, &n->least) == 0 &&
           (!dots || number_parse(view_from(value, length + 2), n->least, INT64_MAX, &n->most) == 0);
}

/* Numbers parted by spaces; the last may have a unit behind it, which *unit gets. */
static bool read_numbers(struct view value, double *into, size_t count, const char **unit)
{
    char text[200], *at = text;
    if (value.length >= sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", VIEW_PRINT(value));
    for (size_t i = 0; i < count; i++) {
        char *end;
        into[i] = strtod(at, &end);
        if (end == at || !(into[i] >= -1000 && into[i] <= 1000)) {
            return false;
        }
        at = end;
    }
    at += strspn(at, " ");
    *unit = strncasecmp(at, "km", 2) == 0 ? "km" : strncasecmp(at, "mi", 2) == 0 ? "mi" : "";
    return at[strlen(*unit)] == '\0';
}

static bool on_earth(double lon, double lat)
{
    return lon >= -180 && lon <= 180 && lat >= -90 && lat <= 90;
}

static bool set_circle(struct rule_node *n, struct view value)
{
    double v[3];
    const char *unit;
    if (!read_numbers(value, v, 3, &unit) || !*unit || !on_earth(v[0], v[1])) {
        return false;
    }
    double radius = strcmp(unit, "mi") == 0 ? v[2] * MILE_KM : v[2];
    n->kind = RULE_CIRCLE;
    n->west = v[0];
    n->south = v[1];
    n->east = radius;
    return radius > 0 && radius < RADIUS_MILES * MILE_KM;
}

static bool set_box(struct rule_node *n, struct view value)
{
    double v[4];
    const char *unit;
    if (!read_numbers(value, v, 4, &unit) || *unit || !on_earth(v[0], v[1]) || !on_earth(v[2], v[3]) ||
        v[0] >= v[2] || v[1] >= v[3]) {
        return false;
    }
    n->kind = RULE_BOX;
    n->west = v[0];
    n->south = v[1];
    n->east = v[2];
    n->north = v[3];
    /* A degree of latitude is 69 miles, one of longitude less towards the poles. */
    return (v[2] - v[0]) * 69 * cos((v[1] + v[3]) / 2 * M_PI / 180) < BOX_SIDE_MILES &&
           (v[3] - v[1]) * 69 < BOX_SIDE_MILES;
}

static bool set_context(struct parser *p, uint32_t node, struct view value)
{
    const char *dot = memchr(value.at, '.', value.length);
    if (!dot) {
        return false;
    }
    struct view domain = view_make(value.at, (size_t)(dot - value.at));
    struct view entity = view_from(value, domain.length + 1);
    set_fact(p, node, RULE_CONTEXT, value);
    return (is_digits(domain) || view_is(domain, "*")) && (is_digits(entity) || view_is(entity, "*")) &&
           !(view_is(domain, "*") && view_is(entity, "*"));
}

static bool set_sample(struct parser *p, uint32_t node, struct view value)
{
    int64_t percent;
    if (number_parse(value, 1, 100, &percent) < 0) {
        return false;
    }
    /* It is for the whole rule: here it stands as something that is always there. */
    p->rule->sample = (unsigned)percent;
    p->rule->nodes[node].kind = RULE_AND;
    p->rule->nodes[node].first = 0;
    return true;
}

static bool set_value(struct parser *p, const struct rule_operator *o, uint32_t node, struct view value,
                      bool quoted, size_t at)
{
    struct rule_node *n = &p->rule->nodes[node];
    switch (o->kind) {
    case VALUE_WORDS:
        if (!quoted && !rule_text_is_word(value)) {
            refuse(p, at, "The value of '%s' holds punctuation and must be quoted", o->name);
            return true;
        }
        set_words(p, node, (enum rule_text_kind)o->role, value, at);
        return true;
    case VALUE_FACT:
        set_fact(p, node, o->role, value);
        return value.length > 0;
    case VALUE_NAME:
        set_fact(p, node, o->role, value);
        return !quoted && is_name(value);
    case VALUE_NUMBER:
        set_fact(p, node, o->role, value);
        return is_digits(value);
    case VALUE_CHOICE:
        set_fact(p, node, o->role, value);
        return is_choice(o->choices, value);
    case VALUE_RANGE:
        return set_range(n, o->role, value);
    case VALUE_PART:
        n->kind = RULE_CONTAINS;
        n->part = value;
        return value.length > 0;
    case VALUE_CIRCLE:
        return set_circle(n, value);
    case VALUE_BOX:
        return set_box(n, value);
    case VALUE_CONTEXT:
        return set_context(p, node, value);
    case VALUE_SAMPLE:
        return set_sample(p, node, value);
    case VALUE_NEVER:
        n->kind = RULE_NEVER;
        return is_name(value);
    case VALUE_EMBEDDING:
        n->kind = RULE_NEVER;
        return value.length > 0;
    }
    return false;
}

/* ---- operands ---- */

static const struct rule_operator *operator_named(struct view name)
{
    for (size_t i = 0; i < sizeof OPERATORS / sizeof *OPERATORS; i++) {
        if (name.length == strlen(OPERATORS[i].name) &&
            strncasecmp(name.at, OPERATORS[i].name, name.length) == 0) {
            return &OPERATORS[i];
        }
    }
    return NULL;
}

static void check_negation(struct parser *p, const struct rule_operator *o, struct view value, bool negated,
                           size_t at)
{
    bool nullcast =
        o->kind == VALUE_CHOICE && o->role == RULE_IS && value.length == 8 && is_choice("nullcast ", value);
    if (nullcast && !negated) {
        refuse(p, at, "The operator 'is:nullcast' must be negated");
    } else if (negated && (o->kind == VALUE_SAMPLE || o->kind == VALUE_EMBEDDING)) {
        refuse(p, at, "The operator '%s' cannot be negated", o->name);
    } else if (o->kind == VALUE_EMBEDDING && !p->enterprise) {
        refuse(p, at, "The operator '%s' is not available at your access level", o->name);
    }
    p->positive = p->positive || !negated;
    p->standalone = p->standalone || (o->standalone && !negated);
}

static uint32_t read_operator(struct parser *p, size_t colon, bool negated)
{
    size_t start = p->at;
    struct view name = view_make(p->text.at + start, colon - start);
    const struct rule_operator *o = operator_named(name);
    if (!o) {
        refuse(p, start, "Reference to invalid operator '%.*s'", VIEW_PRINT(name));
        refuse(p, start, "Reference to invalid field '%.*s'", VIEW_PRINT(name));
        return 0;
    }
    p->at = colon + 1;
    size_t at = p->at;
    bool quoted = peek(p) == '"', bracket = peek(p) == '[';
    struct view value = quoted ? read_enclosed(p, '"') : bracket ? read_enclosed(p, ']') : read_bare(p);
    if (!value.at) {
        refuse(p, at, "missing '%c'", quoted ? '"' : ']');
        return 0;
    }
    uint32_t node = new_node(p, RULE_NEVER);
    bool shape = bracket == (o->kind == VALUE_CIRCLE || o->kind == VALUE_BOX);
    if (!p->failed && (!shape || !set_value(p, o, node, value, quoted, at))) {
        refuse(p, at, "Reference to invalid value '%.*s' of operator '%s'",
               (int)(value.length < 60 ? value.length : 60), value.at, o->name);
    }
    if (!refused(p)) {
        check_negation(p, o, value, negated, start);
        p->rule->nodes[node].negated = negated;
    }
    return node;
}

static uint32_t read_phrase(struct parser *p, bool negated)
{
    size_t start = p->at;
    struct view text = read_enclosed(p, '"');
    if (!text.at) {
        refuse(p, start, "missing '\"'");
        return 0;
    }
    uint32_t node = new_node(p, RULE_NEVER);
    if (p->failed) {
        return 0;
    }
    set_words(p, node, RULE_BODY, text, start);
    if (peek(p) == '~') {
        size_t at = ++p->at;
        int64_t near;
        if (number_parse(read_bare(p), 1, RULE_PROXIMITY, &near) < 0) {
            refuse(p, at, "The distance of a proximity operator is 1 to %d", RULE_PROXIMITY);
            return 0;
        }
        p->rule->nodes[node].near = (int)near;
    }
    p->rule->nodes[node].negated = negated;
    p->positive = p->positive || !negated;
    p->standalone = p->standalone || !negated;
    return node;
}

static bool is_name_letter(char c)
{
    return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Words and underscores. */
static bool is_tag(struct view v)
{
    bool any = false;
    while (v.length) {
        const char *line = memchr(v.at, '_', v.length);
        size_t length = line ? (size_t)(line - v.at) : v.length;
        if (length && !rule_text_is_word(view_make(v.at, length))) {
            return false;
        }
        any = any || length;
        v = view_from(v, length + (line != NULL));
    }
    return any;
}

static uint32_t read_word(struct parser *p, bool negated)
{
    size_t start = p->at;
    struct view word = read_bare(p);
    uint32_t node = new_node(p, RULE_NEVER);
    if (p->failed) {
        return 0;
    }
    struct view rest = view_from(word, 1);
    char sign = word.length ? word.at[0] : ' ';
    if (sign == '#' && is_tag(rest)) {
        set_fact(p, node, RULE_HASHTAG, rest);
    } else if (sign == '@' && is_name(rest)) {
        set_fact(p, node, RULE_MENTION, rest);
    } else if (sign == '$' && is_name(rest)) {
        set_fact(p, node, RULE_CASHTAG, rest);
    } else if (word.length == 2 && strncasecmp(word.at, "or", 2) == 0) {
        refuse(
            p, start,
            "Ambiguous use of or as a keyword. Use a capital \"OR\" to logically join two clauses, or \"or\" "
            "to find occurrences of or in text");
    } else if (word.length == 3 && strncasecmp(word.at, "and", 3) == 0) {
        refuse(p, start,
               "Ambiguous use of and as a keyword. Use a space to logically join two clauses, or \"and\" to "
               "find occurrences of and in text");
    } else if (rule_text_is_word(word)) {
        set_words(p, node, RULE_BODY, word, start);
    } else {
        refuse(p, start, "Keyword '%.*s' holds punctuation and must be quoted",
               (int)(word.length < 60 ? word.length : 60), word.at);
    }
    p->rule->nodes[node].negated = negated;
    p->positive = p->positive || !negated;
    p->standalone = p->standalone || !negated;
    return node;
}

static uint32_t read_any(struct parser *p);

static uint32_t read_operand(struct parser *p)
{
    size_t start = p->at;
    bool negated = peek(p) == '-';
    p->at += negated;
    char c = peek(p);
    if (c == '(') {
        if (negated) {
            refuse(p, start, "A group cannot be negated: negate each of its operators");
            return 0;
        }
        if (++p->depth > RULE_DEPTH) {
            refuse(p, start, "Parentheses are nested more than %d deep", RULE_DEPTH);
            return 0;
        }
        p->at++;
        uint32_t node = read_any(p);
        p->depth--;
        if (!refused(p) && peek(p) != ')') {
            refuse(p, p->at, "missing ')'");
        }
        p->at++;
        return node;
    }
    if (c == '"') {
        return read_phrase(p, negated);
    }
    size_t colon = p->at;
    while (colon < p->text.length && is_name_letter(p->text.at[colon])) {
        colon++;
    }
    if (colon > p->at && colon < p->text.length && p->text.at[colon] == ':') {
        return read_operator(p, colon, negated);
    }
    return read_word(p, negated);
}

static bool at_or(const struct parser *p)
{
    return p->text.length - p->at >= 2 && memcmp(p->text.at + p->at, "OR", 2) == 0 &&
           (p->at + 2 == p->text.length || is_space(p->text.at[p->at + 2]) || p->text.at[p->at + 2] == '(');
}

/* Operands joined by spaces, up to OR, ')' or the end. */
static uint32_t read_all(struct parser *p)
{
    uint32_t group = new_node(p, RULE_AND), last = 0;
    while (!refused(p) && skip_spaces(p) && peek(p) != ')' && !at_or(p)) {
        uint32_t node = read_operand(p);
        if (refused(p)) {
            return 0;
        }
        *(last ? &p->rule->nodes[last].next : &p->rule->nodes[group].first) = node;
        last = node;
    }
    if (!refused(p) && !last) {
        refuse(p, p->at, "no viable alternative at input '%.*s'", p->at < p->text.length ? 1 : 5,
               p->at < p->text.length ? p->text.at + p->at : "<EOF>");
    }
    return group;
}

static uint32_t read_any(struct parser *p)
{
    uint32_t group = new_node(p, RULE_OR), last = 0;
    while (!refused(p)) {
        uint32_t node = read_all(p);
        if (refused(p)) {
            return 0;
        }
        *(last ? &p->rule->nodes[last].next : &p->rule->nodes[group].first) = node;
        last = node;
        if (!at_or(p)) {
            break;
        }
        p->at += 2;
    }
    return group;
}

static void check_whole(struct parser *p)
{
    if (refused(p)) {
        return;
    }
    if (p->at < p->text.length) {
        refuse(p, p->at, "missing EOF at '%.*s'", 1, p->text.at + p->at);
    } else if (!p->positive) {
        refuse(p, 0, "Rules must contain at least one positive, non-stopword clause");
    } else if (!p->standalone) {
        refuse(p, 0, "Rules must contain at least one standalone operator");
    }
}

/* The rule's own copy: what url_contains looks for is compared in lower case. */
static struct view keep_text(struct rule *rule, struct view text)
{
    rule->text = view_copy(text);
    return view_make(rule->text, text.length);
}

static void lower_parts(struct rule *rule)
{
    for (size_t i = 0; i < rule->node_count; i++) {
        const struct rule_node *n = &rule->nodes[i];
        for (size_t j = 0; n->kind == RULE_CONTAINS && j < n->part.length; j++) {
            char *c = rule->text + (n->part.at - rule->text) + j;
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
        }
    }
}

struct rule *rule_parse(struct view text, size_t longest, bool enterprise, struct rule_problems *problems)
{
    *problems = (struct rule_problems){0};
    struct rule *rule = calloc(1, sizeof *rule);
    struct parser p = {.enterprise = enterprise, .rule = rule, .problems = problems};
    if (!rule) {
        return NULL;
    }
    rule->sample = 100;
    p.text = keep_text(rule, text);
    if (!p.text.at) {
        rule_free(rule);
        return NULL;
    }
    size_t length = utf8_count(text);
    if (!utf8_valid(text) || memchr(text.at, '\0', text.length)) {
        refuse(&p, 0, "The rule is no text");
    } else if (length > longest) {
        problems->count = 1;
        problems->length = true;
        snprintf(problems->details[0], RULE_PROBLEM_SIZE,
                 "Rules cannot be longer than %zu characters; this one has %zu.", longest, length);
    } else {
        read_any(&p);
        check_whole(&p);
    }
    if (refused(&p)) {
        rule_free(rule);
        return NULL;
    }
    lower_parts(rule);
    return rule;
}
