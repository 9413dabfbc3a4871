#include "text/matcher.h"

#include "text/automaton.h"
#include "text/lower.h"
#include "text/token.h"

#include <stdlib.h>

/* Stands before and behind a tag in what the automaton reads, so that it is found only whole and never in a
 * text: a control character is a gap there. */
#define TAG_EDGE '\x01'

enum { NEEDLES_A_PART = 3 }; /* at most: its words, these joined, the name */

struct part {
    uint32_t keyword;
    bool excluded;
    bool tag; /* looked for in the lists of tags, not among words */
};

struct matcher {
    struct arena *arena; /* all of this but the struct itself */
    struct automaton *automaton;
    struct part *parts; /* a keyword's parts side by side */
    size_t part_count;
    uint32_t *wanted; /* per keyword: parts that must be there */
    /* Which parts a string of the automaton proves: uses[first_use[s]] up to uses[first_use[s + 1]]. */
    uint32_t *uses, *first_use;
};

/* A string to look for, and the part that it proves. */
struct needle {
    struct view text;
    uint32_t part, string;
};

struct needles {
    struct needle *items;
    size_t count, bytes;
};

static char sign_of(enum keyword_kind kind)
{
    switch (kind) {
    case KEYWORD_HASHTAG:
        return '#';
    case KEYWORD_MENTION:
        return '@';
    case KEYWORD_CASHTAG:
        return '$';
    case KEYWORD_WORD:
    case KEYWORD_PHRASE:
    default:
        return 0;
    }
}

static struct view tag_needle(struct view name, char sign, struct arena *a)
{
    struct view folded = text_fold(name, a);
    char *at = view_absent(folded) ? NULL : arena_alloc(a, folded.length + 3);
    if (!at) {
        return view_none();
    }
    at[0] = TAG_EDGE;
    at[1] = sign;
    memcpy(at + 2, folded.at, folded.length);
    at[folded.length + 2] = TAG_EDGE;
    return view_make(at, folded.length + 3);
}

static void add_needle(struct needles *n, struct view text, uint32_t part)
{
    if (text.length) {
        n->items[n->count++] = (struct needle){.text = text, .part = part};
        n->bytes += text.length;
    }
}

/* A word's or phrase's token text; where its ends may be inside a run of such a script, without the space
 * there. */
static void add_words(struct needles *n, struct view text, uint32_t part, struct arena *a)
{
    struct view folded = text_fold(text, a);
    struct view tokens = view_absent(folded) ? folded : token_text(folded, a);
    if (view_absent(tokens) || token_count(tokens) == 0) {
        return;
    }
    struct view joined = token_join_unspaced(tokens, a);
    bool first = token_first_is_unspaced(tokens), last = token_last_is_unspaced(tokens);
    add_needle(n, view_make(tokens.at + first, tokens.length - first - last), part);
    if (!view_absent(joined) && joined.length != tokens.length) {
        add_needle(n, view_make(joined.at + first, joined.length - first - last), part);
    }
}

/* A name keeps the underscores at its ends, which a word loses, where '@' or '#' stands before it. */
static void add_name(struct needles *n, struct view word, uint32_t part, struct arena *a)
{
    struct view folded = text_fold(word, a);
    if (!folded.length || (folded.at[0] != '_' && folded.at[folded.length - 1] != '_')) {
        return;
    }
    char *name = arena_alloc(a, folded.length + 1);
    if (!name) {
        return;
    }
    name[0] = '@';
    memcpy(name + 1, folded.at, folded.length);
    struct view tokens = token_text(view_make(name, folded.length + 1), a);
    if (!view_absent(tokens) && token_count(tokens) == 1) {
        add_needle(n, tokens, part);
    }
}

static void add_keyword(struct matcher *m, struct needles *n, const struct keyword *k, uint32_t index,
                        struct arena *a)
{
    for (size_t i = 0; i < k->part_count; i++) {
        const struct keyword_part *part = &k->parts[i];
        uint32_t number = (uint32_t)m->part_count++;
        m->parts[number] = (struct part){index, part->excluded, sign_of(part->kind) != 0};
        m->wanted[index] += !part->excluded;
        char sign = sign_of(part->kind);
        if (sign) {
            add_needle(n, tag_needle(part->text, sign, a), number);
            continue;
        }
        add_words(n, part->text, number, a);
        if (part->kind == KEYWORD_WORD) {
            add_name(n, part->text, number, a);
        }
    }
}

static int build_automaton(struct matcher *m, struct needles *n)
{
    m->automaton = automaton_new(n->bytes, n->count, m->arena);
    if (!m->automaton) {
        return -1;
    }
    for (size_t i = 0; i < n->count; i++) {
        n->items[i].string = automaton_add(m->automaton, n->items[i].text);
    }
    size_t strings = automaton_count(m->automaton);
    m->uses = arena_zeroed(m->arena, n->count, sizeof *m->uses);
    m->first_use = arena_zeroed(m->arena, strings + 2, sizeof *m->first_use);
    if (arena_failed(m->arena) || automaton_finish(m->automaton, m->arena)) {
        return -1;
    }
    /* Counting sort by string: first how many begin two places on, then sums, then filling moves each start
     * on. */
    for (size_t i = 0; i < n->count; i++) {
        m->first_use[n->items[i].string + 2]++;
    }
    for (size_t s = 2; s < strings + 2; s++) {
        m->first_use[s] += m->first_use[s - 1];
    }
    for (size_t i = 0; i < n->count; i++) {
        m->uses[m->first_use[n->items[i].string + 1]++] = n->items[i].part;
    }
    return 0;
}

static int compile(struct matcher *m, const struct keyword *keywords, size_t count, struct arena *scratch)
{
    size_t parts = 0;
    for (size_t i = 0; i < count; i++) {
        parts += keywords[i].part_count;
    }
    m->parts = arena_zeroed(m->arena, parts, sizeof *m->parts);
    m->wanted = arena_zeroed(m->arena, count, sizeof *m->wanted);
    struct needles n = {.items = arena_zeroed(scratch, NEEDLES_A_PART * parts, sizeof *n.items)};
    if (!m->parts || !m->wanted || !n.items || count >= UINT32_MAX || parts >= UINT32_MAX) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        add_keyword(m, &n, &keywords[i], (uint32_t)i, scratch);
    }
    return arena_failed(scratch) ? -1 : build_automaton(m, &n);
}

struct matcher *matcher_new(const struct keyword *keywords, size_t count, struct err *e)
{
    struct matcher *m = calloc(1, sizeof *m);
    struct arena *scratch = arena_new(SIZE_MAX / 4);
    if (m) {
        m->arena = arena_new(SIZE_MAX / 4);
    }
    if (!m || !scratch || !m->arena || compile(m, keywords, count, scratch)) {
        err_set(e, ERR_RETRY, "memory is out: no room to compile %zu keywords", count);
        matcher_free(m);
        m = NULL;
    }
    arena_free(scratch);
    return m;
}

void matcher_free(struct matcher *m)
{
    if (m) {
        arena_free(m->arena);
        free(m);
    }
}

struct match {
    const struct matcher *matcher;
    struct arena *arena;
    uint64_t *seen;    /* one bit a part */
    uint64_t *strings; /* one bit a string of the automaton: a second occurrence proves nothing new */
    uint32_t *hits;    /* parts seen, each once */
    size_t count, room;
    bool in_tags; /* what is being searched: tags, else words */
};

/* Sets a bit; false when it was set before. */
static bool set_first(uint64_t *bits, uint32_t index)
{
    uint64_t bit = UINT64_C(1) << (index % 64);
    bool first = !(bits[index / 64] & bit);
    bits[index / 64] |= bit;
    return first;
}

static void hit(struct match *x, uint32_t part)
{
    if (x->matcher->parts[part].tag != x->in_tags || !set_first(x->seen, part)) {
        return;
    }
    if (x->count == x->room) {
        size_t room = x->room ? 2 * x->room : 16;
        uint32_t *grown = arena_zeroed(x->arena, room, sizeof *grown);
        if (!grown) {
            return;
        }
        if (x->count) {
            memcpy(grown, x->hits, x->count * sizeof *grown);
        }
        x->hits = grown;
        x->room = room;
    }
    x->hits[x->count++] = part;
}

static void hit_string(struct match *x, uint32_t string)
{
    const struct matcher *m = x->matcher;
    if (!set_first(x->strings, string)) {
        return;
    }
    for (uint32_t i = m->first_use[string]; i < m->first_use[string + 1]; i++) {
        hit(x, m->uses[i]);
    }
}

static void search(struct match *x, struct view text)
{
    const struct automaton *m = x->matcher->automaton;
    uint32_t state = 0, place;
    for (size_t i = 0; i < text.length; i++) {
        state = automaton_step(m, state, (unsigned char)text.at[i]);
        for (uint32_t s = automaton_longest(m, state, &place); s != AUTOMATON_NONE;
             s = automaton_shorter(m, &place)) {
            hit_string(x, s);
        }
    }
}

static void search_words(struct match *x, struct view text)
{
    struct view folded = text_fold(text, x->arena);
    struct view tokens = view_absent(folded) ? folded : token_text(folded, x->arena);
    search(x, tokens);
}

static void search_tags(struct match *x, struct view_list tags, enum keyword_kind kind)
{
    for (size_t i = 0; i < tags.count; i++) {
        search(x, tag_needle(tags.items[i], sign_of(kind), x->arena));
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The hits in order are runs of one keyword each. */
static int judge(struct match *x, struct matcher_result *result)
{
    const struct matcher *m = x->matcher;
    uint32_t *matched = arena_zeroed(x->arena, x->count, sizeof *matched);
    uint32_t *excluded = arena_zeroed(x->arena, x->count, sizeof *excluded);
    if (arena_failed(x->arena)) {
        return -1;
    }
    if (x->count > 1) {
        qsort(x->hits, x->count, sizeof *x->hits, compare_numbers);
    }
    for (size_t i = 0; i < x->count;) {
        uint32_t keyword = m->parts[x->hits[i]].keyword, wanted = 0, barred = 0;
        for (; i < x->count && m->parts[x->hits[i]].keyword == keyword; i++) {
            *(m->parts[x->hits[i]].excluded ? &barred : &wanted) += 1;
        }
        if (wanted && wanted == m->wanted[keyword]) {
            matched[result->matched_count++] = keyword;
        }
        if (barred) {
            excluded[result->excluded_count++] = keyword;
        }
    }
    result->matched = matched;
    result->excluded = excluded;
    return 0;
}

int matcher_match(const struct matcher *m, const struct matcher_input *input, struct arena *a,
                  struct matcher_result *result)
{
    *result = (struct matcher_result){NULL, 0, NULL, 0};
    struct match x = {.matcher = m, .arena = a};
    x.seen = arena_zeroed(a, m->part_count / 64 + 1, sizeof *x.seen);
    x.strings = arena_zeroed(a, automaton_count(m->automaton) / 64 + 1, sizeof *x.strings);
    if (!x.seen || !x.strings) {
        return -1;
    }
    search_words(&x, input->text);
    for (size_t i = 0; i < input->hashtags.count; i++) {
        search_words(&x, input->hashtags.items[i]);
    }
    for (size_t i = 0; i < input->urls.count; i++) {
        search_words(&x, input->urls.items[i]);
    }
    x.in_tags = true; /* last: a word's string that occurs in a tag counts as seen */
    search_tags(&x, input->hashtags, KEYWORD_HASHTAG);
    search_tags(&x, input->mentions, KEYWORD_MENTION);
    search_tags(&x, input->cashtags, KEYWORD_CASHTAG);
    return judge(&x, result);
}
