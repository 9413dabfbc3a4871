#include "ingest/rules_parts.h"

#include "base/checksum.h"
#include "ingest/rule_syntax.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MEMORY_MAXIMUM = 1024 * 1024 * 1024, /* of one list: about ten times the lines */
    TEXT_SCRATCH = 1024 * 1024,          /* one line is 64 KiB long and asked for in three forms */
    MISTAKES_TOLD = 100,                 /* of lines; then their number */
    EXCLUSIONS_SHARE = 2,                /* exclusions take at most one half of a rule */
    CONDITIONS_SHARE = 4,                /* languages and switches leave at least one quarter */
    ANCHOR_REACH = 2,                    /* rooms in which an anchor is the smallest, to each side */
    CUT_FROM = 7,                        /* a rule may end from seven tenths of its room on */
    CUT_OF = 10,
    OR_LENGTH = 4, /* " OR " */
    BRACKETS = 2
};

/* What one line wants; several lines may want the same. */
struct entry {
    struct view text;
    uint32_t line;
    uint32_t checksum;
    size_t length;
};

/* A stretch of the sorted entries with one text, or, in a cut list, with one rule. */
struct stretch {
    size_t first, end;
};

struct compiler {
    struct rules *rules;
    struct arena *arena;
    struct rules_writer writer;
    const struct rules_mistakes *mistakes;
    size_t told, mistaken;

    struct entry *wanted, *excluded, *raw;
    size_t wanted_count, excluded_count, raw_count;
    struct stretch *terms; /* the different ones among `wanted` */
    size_t term_count;
    size_t *before; /* per term: the lengths of all terms before it, with " OR " */
    bool *anchors;  /* per term: a rule always begins with it */
    size_t common_length, room;
};

/* Behind the public part, which callers see. */
struct rules_memory {
    struct rules rules;
    struct arena *arena;
};

static void tell(struct compiler *c, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct compiler *c, struct config_place place, const char *format, ...)
{
    struct err text;
    va_list arguments;
    c->mistaken++;
    if (c->told == MISTAKES_TOLD) {
        return;
    }
    c->told++;
    va_start(arguments, format);
    vsnprintf(text.text, sizeof text.text, format, arguments);
    va_end(arguments);
    c->mistakes->tell(c->mistakes->user, place, text.text);
}

static const struct config_place nowhere = {NULL, 0};

static struct config_place place_of(const struct compiler *c, uint32_t line)
{
    return c->rules->filter->keywords[line].place;
}

/* --- what the lines become --- */

static void add_raw(struct compiler *c, uint32_t line, struct view rule)
{
    struct err why;
    size_t length = rule_length_of(rule), most = (size_t)c->rules->limits.rule_length;
    if (rule_syntax_check(rule, &why)) {
        tell(c, place_of(c, line), "this is no rule of X: %s", why.text);
    } else if (length > most) {
        tell(c, place_of(c, line),
             "this rule has %zu characters, and %zu are allowed (rule_length): make two of it", length, most);
    } else {
        c->raw[c->raw_count++] = (struct entry){.text = rule, .line = line, .length = length};
    }
}

static void add_line(struct compiler *c, uint32_t line, struct view *alternatives)
{
    const struct keyword *k = &c->rules->filter->keywords[line].keyword;
    if (!view_absent(k->rule)) {
        alternatives[line] = k->rule;
        add_raw(c, line, k->rule);
        return;
    }
    struct view text = rules_write_line(&c->writer, k);
    alternatives[line] = text;
    if (!view_absent(text)) {
        c->wanted[c->wanted_count++] = (struct entry){.text = text,
                                                      .line = line,
                                                      .checksum = checksum_crc32c(0, text.at, text.length),
                                                      .length = rule_length_of(text)};
    }
    for (size_t i = 0; i < k->part_count; i++) {
        text = k->parts[i].excluded ? rules_write_exclusion(&c->writer, &k->parts[i]) : view_none();
        if (!view_absent(text)) {
            c->excluded[c->excluded_count++] =
                (struct entry){.text = text, .line = line, .length = rule_length_of(text)};
        }
    }
}

static size_t excluded_parts(const struct filter_settings *filter)
{
    size_t count = 0;
    for (size_t i = 0; i < filter->keyword_count; i++) {
        for (size_t k = 0; k < filter->keywords[i].keyword.part_count; k++) {
            count += filter->keywords[i].keyword.parts[k].excluded;
        }
    }
    return count;
}

static int read_lines(struct compiler *c)
{
    const struct filter_settings *filter = c->rules->filter;
    size_t count = filter->keyword_count;
    struct view *alternatives = arena_zeroed(c->arena, count + 1, sizeof *alternatives);
    c->wanted = arena_zeroed(c->arena, count + 1, sizeof *c->wanted);
    c->raw = arena_zeroed(c->arena, count + 1, sizeof *c->raw);
    c->excluded = arena_zeroed(c->arena, excluded_parts(filter) + 1, sizeof *c->excluded);
    if (!alternatives || !c->wanted || !c->raw || !c->excluded || count >= UINT32_MAX) {
        return -1;
    }
    c->rules->alternatives = alternatives;
    for (uint32_t i = 0; i < count; i++) {
        add_line(c, i, alternatives);
    }
    return arena_failed(c->arena) || buffer_failed(&c->writer.text) ? -1 : 0;
}

/* --- what follows in every rule --- */

static int by_text(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = view_compare(x->text, y->text);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int by_line(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = (x->line > y->line) - (x->line < y->line);
    return order ? order : view_compare(x->text, y->text);
}

/* Each text once, from its first line. Sorted by text before and after. */
static size_t drop_repeats(struct entry *entries, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !view_equal(entries[i].text, entries[kept - 1].text)) {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}

/* The exclusions that find room, from the top of the list on; how many. */
static size_t choose_exclusions(struct compiler *c, size_t length)
{
    size_t most = (size_t)c->rules->limits.rule_length / EXCLUSIONS_SHARE;
    qsort(c->excluded, c->excluded_count, sizeof *c->excluded, by_text);
    size_t count = drop_repeats(c->excluded, c->excluded_count), taken = 0;
    qsort(c->excluded, count, sizeof *c->excluded, by_line);
    while (taken < count && length + 1 + c->excluded[taken].length <= most) {
        length += 1 + c->excluded[taken++].length;
    }
    c->rules->exclusions = count;
    c->rules->exclusions_left_out = count - taken;
    if (taken < count && c->rules->filter->local_filter == FILTER_LOCAL_NO) {
        tell(c, place_of(c, c->excluded[taken].line),
             "the exclusions from here on find no room in a rule of %lld characters, of which they take at "
             "most one "
             "half, and local_filter = no keeps roost from doing their work: leave some out, or set "
             "local_filter = auto",
             (long long)c->rules->limits.rule_length);
    }
    return taken;
}

static int write_common(struct compiler *c)
{
    struct buffer *b = &c->writer.text;
    const struct rules_limits *limits = &c->rules->limits;
    buffer_reset(b);
    size_t left_out = rules_write_conditions(&c->writer, c->rules->filter);
    c->rules->languages_left_out = left_out;
    if (left_out && left_out == c->rules->filter->language_count) {
        tell(c, nowhere,
             "X has no code for any of its languages, so it can be asked for none of them: name others");
    }
    size_t conditions = rule_length_of(buffer_view(b));
    size_t most = (size_t)limits->rule_length - (size_t)limits->rule_length / CONDITIONS_SHARE;
    if (conditions > most) {
        tell(c, nowhere,
             "its languages and switches take %zu of the %lld characters of a rule (rule_length): name fewer "
             "languages, or divide them among sources",
             conditions, (long long)limits->rule_length);
    }
    size_t taken = choose_exclusions(c, conditions);
    qsort(c->excluded, taken, sizeof *c->excluded, by_text);
    for (size_t i = 0; i < taken; i++) {
        buffer_add_byte(b, ' ');
        buffer_add_view(b, c->excluded[i].text);
    }
    struct view common = buffer_view(b);
    c->rules->common = arena_view(c->arena, common.at ? common : VIEW(""));
    c->common_length = rule_length_of(common);
    size_t taken_away = c->common_length + (c->common_length ? BRACKETS : 0);
    c->room = taken_away < (size_t)limits->rule_length ? (size_t)limits->rule_length - taken_away : 0;
    return buffer_failed(b) || arena_failed(c->arena) ? -1 : 0;
}

/* --- packing --- */

static size_t term_length(const struct compiler *c, size_t term)
{
    return c->wanted[c->terms[term].first].length;
}

static int find_terms(struct compiler *c)
{
    qsort(c->wanted, c->wanted_count, sizeof *c->wanted, by_text);
    c->terms = arena_zeroed(c->arena, c->wanted_count + 1, sizeof *c->terms);
    for (size_t i = 0; c->terms && i < c->wanted_count; i++) {
        if (i == 0 || !view_equal(c->wanted[i].text, c->wanted[i - 1].text)) {
            c->terms[c->term_count++].first = i;
        }
        c->terms[c->term_count - 1].end = i + 1;
    }
    return c->terms ? 0 : -1;
}

static void judge_lengths(struct compiler *c)
{
    for (size_t i = 0; i < c->term_count; i++) {
        const struct entry *w = &c->wanted[c->terms[i].first];
        if (w->length > c->room) {
            tell(c, place_of(c, w->line),
                 "this keyword alone makes a rule of %zu characters, and %lld are allowed (rule_length; "
                 "languages, "
                 "switches and exclusions take %zu of them): write a shorter one",
                 w->length + (size_t)c->rules->limits.rule_length - c->room,
                 (long long)c->rules->limits.rule_length, (size_t)c->rules->limits.rule_length - c->room);
        }
    }
}

static uint32_t term_checksum(const struct compiler *c, size_t term)
{
    return c->wanted[c->terms[term].first].checksum;
}

/* Marks the terms whose checksum is the smallest within `reach` on one side; a term is passed over on one
 * side once and for all when a smaller one has come, so each is looked at twice. */
static void mark_smallest(struct compiler *c, size_t *stack, size_t reach, bool forward)
{
    size_t depth = 0, n = c->term_count;
    for (size_t i = 0; i < n; i++) {
        size_t term = forward ? i : n - 1 - i;
        while (depth && term_checksum(c, stack[depth - 1]) > term_checksum(c, term)) {
            depth--;
        }
        if (depth) {
            size_t a = c->before[stack[depth - 1]], b = c->before[term];
            c->anchors[term] = c->anchors[term] && (a > b ? a - b : b - a) > reach;
        }
        stack[depth++] = term;
    }
}

/* Anchors: terms with the smallest checksum far and wide. They depend on what stands around them alone, so a
 * change never moves anything beyond the next one. Less than a rule's room from an end of the list there is
 * none, so that a short list is not cut up. */
static int find_anchors(struct compiler *c)
{
    size_t *stack = arena_zeroed(c->arena, c->term_count + 1, sizeof *stack);
    c->before = arena_zeroed(c->arena, c->term_count + 1, sizeof *c->before);
    c->anchors = arena_zeroed(c->arena, c->term_count + 1, sizeof *c->anchors);
    if (!stack || !c->before || !c->anchors) {
        return -1;
    }
    for (size_t i = 0; i < c->term_count; i++) {
        c->before[i + 1] = c->before[i] + term_length(c, i) + OR_LENGTH;
    }
    size_t total = c->before[c->term_count];
    for (size_t i = 0; i < c->term_count; i++) {
        c->anchors[i] = c->before[i] > c->room && total - c->before[i] > c->room;
    }
    mark_smallest(c, stack, ANCHOR_REACH * c->room, true);
    mark_smallest(c, stack, ANCHOR_REACH * c->room, false);
    return 0;
}

/* Where the rule that begins with term `start` ends. Each term fits into the room. */
static size_t cut(const struct compiler *c, size_t start, bool brimful)
{
    size_t total = 0, best = 0, i = start;
    uint32_t lowest = 0;
    for (; i < c->term_count; i++) {
        size_t more = term_length(c, i) + (i > start ? OR_LENGTH : 0);
        if (!brimful && i > start && c->anchors[i]) {
            return i;
        }
        if (total + more > c->room) {
            break;
        }
        total += more;
        if (!brimful && i + 1 < c->term_count && total * CUT_OF >= c->room * CUT_FROM) {
            uint32_t next = term_checksum(c, i + 1);
            if (!best || next < lowest) {
                best = i + 1;
                lowest = next;
            }
        }
    }
    return i == c->term_count || !best ? i : best;
}

static size_t cut_all(const struct compiler *c, struct stretch *cuts, bool brimful)
{
    size_t count = 0;
    for (size_t start = 0; start < c->term_count; count++) {
        size_t end = cut(c, start, brimful);
        cuts[count] = (struct stretch){start, end};
        start = end;
    }
    return count;
}

static struct rule make_packed(struct compiler *c, struct stretch cut_at, uint32_t *lines)
{
    struct buffer *b = &c->writer.text;
    struct rule rule = {.lines = lines};
    bool bracket = false;
    buffer_reset(b);
    for (size_t i = cut_at.first; i < cut_at.end; i++) {
        struct view text = c->wanted[c->terms[i].first].text;
        bracket = bracket || i > cut_at.first || memmem(text.at, text.length, " OR ", OR_LENGTH);
    }
    bracket = bracket && c->common_length;
    buffer_add_text(b, bracket ? "(" : "");
    for (size_t i = cut_at.first; i < cut_at.end; i++) {
        buffer_add_text(b, i > cut_at.first ? " OR " : "");
        buffer_add_view(b, c->wanted[c->terms[i].first].text);
        for (size_t k = c->terms[i].first; k < c->terms[i].end; k++) {
            lines[rule.line_count++] = c->wanted[k].line;
        }
    }
    buffer_add_text(b, bracket ? ")" : "");
    buffer_add_view(b, c->rules->common);
    rule.value = arena_view(c->arena, buffer_view(b));
    rule.length = rule_length_of(rule.value);
    return rule;
}

/* --- the list --- */

struct rule_list {
    struct rule *items;
    size_t count;
};

static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = *(const struct rule *const *)a, *y = *(const struct rule *const *)b;
    int order = view_compare(x->value, y->value);
    return order ? order : (x > y) - (x < y);
}

/* A raw rule may be, to the letter, one that stands before it: the first stays, with the lines of both. */
static int merge_equal(struct compiler *c, struct rule_list *list)
{
    struct rule **sorted = arena_zeroed(c->arena, list->count + 1, sizeof *sorted);
    if (!sorted) {
        return -1;
    }
    for (size_t i = 0; i < list->count; i++) {
        sorted[i] = &list->items[i];
    }
    qsort(sorted, list->count, sizeof *sorted, compare_rules);
    for (size_t i = 0, first; i < list->count; i = first) {
        size_t lines = sorted[i]->line_count;
        for (first = i + 1; first < list->count && view_equal(sorted[first]->value, sorted[i]->value);
             first++) {
            lines += sorted[first]->line_count;
        }
        if (first == i + 1) {
            continue;
        }
        uint32_t *all = arena_zeroed(c->arena, lines, sizeof *all);
        size_t used = 0;
        for (size_t k = i; all && k < first; k++) {
            memcpy(all + used, sorted[k]->lines, sorted[k]->line_count * sizeof *all);
            used += sorted[k]->line_count;
            sorted[k]->line_count = 0;
        }
        if (!all) {
            return -1;
        }
        sorted[i]->lines = all;
        sorted[i]->line_count = used;
    }
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].line_count) {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
    return 0;
}

static int make_list(struct compiler *c, const struct stretch *cuts, size_t cut_count, struct rule_list *list)
{
    uint32_t *lines = arena_zeroed(c->arena, c->wanted_count + c->raw_count + 1, sizeof *lines);
    list->items = arena_zeroed(c->arena, cut_count + c->raw_count + 1, sizeof *list->items);
    if (!lines || !list->items) {
        return -1;
    }
    for (size_t i = 0; i < cut_count; i++) {
        list->items[list->count] = make_packed(c, cuts[i], lines);
        lines += list->items[list->count++].line_count;
    }
    for (size_t i = 0; i < c->raw_count; i++) {
        *lines = c->raw[i].line;
        list->items[list->count++] = (struct rule){.value = c->raw[i].text,
                                                   .length = c->raw[i].length,
                                                   .lines = lines++,
                                                   .line_count = 1,
                                                   .raw = true};
    }
    return merge_equal(c, list);
}

static int pack(struct compiler *c)
{
    struct rule_list list = {NULL, 0};
    struct stretch *cuts = arena_zeroed(c->arena, c->term_count + 1, sizeof *cuts);
    if (!cuts || find_anchors(c)) {
        return -1;
    }
    size_t count = cut_all(c, cuts, false), most = (size_t)c->rules->limits.rules_maximum;
    if (count + c->raw_count > most) {
        c->rules->brimful = true;
        count = cut_all(c, cuts, true);
    }
    if (make_list(c, cuts, count, &list)) {
        return -1;
    }
    c->rules->items = list.items;
    c->rules->count = list.count;
    for (size_t i = 0; i < list.count; i++) {
        c->rules->longest =
            list.items[i].length > c->rules->longest ? list.items[i].length : c->rules->longest;
    }
    if (list.count > most) {
        tell(c, nowhere,
             "its keywords take %zu rules, and %zu are allowed (rules_maximum): leave some out, raise "
             "rules_maximum and "
             "rule_length if the account has more, or divide the keywords among accounts",
             list.count, most);
    }
    return 0;
}

static int number_lines(struct compiler *c)
{
    uint32_t *numbers = arena_zeroed(c->arena, c->rules->filter->keyword_count + 1, sizeof *numbers);
    for (uint32_t i = 0; numbers && i < c->rules->count; i++) {
        for (size_t k = 0; k < c->rules->items[i].line_count; k++) {
            numbers[c->rules->items[i].lines[k]] = i + 1;
        }
    }
    c->rules->rule_of_line = numbers;
    return numbers ? 0 : -1;
}

/* --- tags --- */

char *rules_tag_prefix(const char *source, char prefix[RULES_TAG_SIZE])
{
    snprintf(prefix, RULES_TAG_SIZE, "roost:%s:", source);
    return prefix;
}

static void write_tags(struct compiler *c)
{
    char prefix[RULES_TAG_SIZE], tag[RULES_TAG_SIZE + 32];
    rules_tag_prefix(c->rules->source, prefix);
    struct rule *items = (struct rule *)c->rules->items;
    for (size_t i = 0; i < c->rules->count; i++) {
        int length = snprintf(tag, sizeof tag, "%s%s:%zu", prefix, c->rules->version, i + 1);
        items[i].tag = arena_view(c->arena, view_make(tag, (size_t)length));
    }
}

/* -1: memory is out. */
static int compile(struct compiler *c)
{
    if (read_lines(c) || write_common(c) || find_terms(c)) {
        return -1;
    }
    judge_lengths(c);
    if (!c->mistaken && !c->term_count && !c->raw_count) {
        tell(c, nowhere,
             "no keyword that X can be asked for: exclusions alone ask for nothing, and names of other "
             "networks are "
             "none of X's");
    }
    if (c->mistaken) {
        return 0;
    }
    if (pack(c) || number_lines(c)) {
        return -1;
    }
    version_name(c->rules->filter, c->rules->version);
    write_tags(c);
    return buffer_failed(&c->writer.text) || arena_failed(c->arena) ? -1 : 0;
}

static void tell_the_rest(struct compiler *c)
{
    if (c->mistaken > c->told) {
        char text[120];
        snprintf(text, sizeof text, "%zu more of its keywords cannot be rules for the same reasons",
                 c->mistaken - c->told);
        c->mistakes->tell(c->mistakes->user, nowhere, text);
    }
}

struct rules *rules_compile(const struct filter_settings *filter, const char *source,
                            const struct rules_limits *limits, const struct rules_mistakes *mistakes,
                            struct err *e)
{
    struct rules_memory *memory = calloc(1, sizeof *memory);
    struct arena *arena = arena_new(MEMORY_MAXIMUM);
    struct text_worker *worker = text_worker_new(e);
    struct compiler c = {.arena = arena,
                         .mistakes = mistakes,
                         .writer = {.worker = worker, .arena = arena, .text = BUFFER(TEXT_SCRATCH)}};
    bool done = false;
    if (!memory || !arena || !worker) {
        err_set(e, ERR_RETRY, "no memory for the rules of %zu keywords", filter->keyword_count);
        goto out;
    }
    memory->arena = arena;
    memory->rules.filter = filter;
    memory->rules.source = source;
    memory->rules.limits = *limits;
    c.rules = &memory->rules;
    if (compile(&c)) {
        err_set(e, ERR_RETRY, "no memory for the rules of %zu keywords", filter->keyword_count);
    } else if (c.mistaken) {
        tell_the_rest(&c);
        err_set(e, ERR_FATAL, "the keywords of [source %s] cannot be made rules", source);
    } else {
        done = true;
    }
out:
    buffer_free(&c.writer.text);
    text_worker_free(worker);
    if (!done) {
        arena_free(arena);
        free(memory);
        return NULL;
    }
    return &memory->rules;
}

void rules_free(struct rules *rules)
{
    if (rules) {
        struct rules_memory *memory = (struct rules_memory *)rules;
        arena_free(memory->arena);
        free(memory);
    }
}
