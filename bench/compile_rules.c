/* bench/compile_rules.c - how long keyword lists take to become rules, and to be compared with a server's
 * list.
 *
 * Usage: compile_rules. Prints a line for 10, 1,000 and 100,000 lines (made with a fixed seed: words, pairs,
 * phrases, tags, mentions, an exclusion). 100,000 lines go with an enterprise account's limits.
 */
#include "base/clock.h"
#include "base/random.h"
#include "ingest/rules_change.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, LINES_MEMORY = 512 * 1024 * 1024 };

static void make_word(struct random *r, char word[16])
{
    size_t length = 3 + random_below(r, 9);
    for (size_t i = 0; i < length; i++) {
        word[i] = (char)('a' + random_below(r, 26));
    }
    word[length] = '\0';
}

static void make_line(struct random *r, size_t number, char line[64])
{
    char a[16], b[16];
    make_word(r, a);
    make_word(r, b);
    switch (number == 0 ? 9 : random_below(r, 9)) {
    case 4:
        snprintf(line, 64, "%s %s", a, b);
        break;
    case 5:
        snprintf(line, 64, "\"%s %s\"", a, b);
        break;
    case 6:
        snprintf(line, 64, "#%s", a);
        break;
    case 7:
        snprintf(line, 64, "@%s", a);
        break;
    case 8:
        snprintf(line, 64, "%s-%s", a, b);
        break;
    case 9:
        snprintf(line, 64, "-%s", a);
        break;
    default:
        snprintf(line, 64, "%s", a);
    }
}

static void complain(void *user, struct config_place place, const char *text)
{
    (void)user;
    fprintf(stderr, "line %u: %s\n", place.line, text);
}

static struct rules *compile(const struct filter_settings *filter, const struct rules_limits *limits)
{
    struct err e;
    struct rules *rules =
        rules_compile(filter, "bench", limits, &(struct rules_mistakes){complain, NULL}, &e);
    if (!rules) {
        fprintf(stderr, "compile_rules: %s\n", e.text);
        exit(1);
    }
    return rules;
}

/* The time that comparing takes, and how many rules one line less changes. */
static int64_t compare(const struct rules *before, const struct rules *after, size_t *added)
{
    struct rules_held *held = calloc(before->count + 1, sizeof *held);
    struct arena *a = arena_new(LINES_MEMORY);
    struct rules_change change = {0};
    struct err e;
    for (size_t i = 0; held && i < before->count; i++) {
        held[i] = (struct rules_held){before->items[i].tag, before->items[i].value, before->items[i].tag};
    }
    int64_t began = clock_steady_us();
    if (!held || !a || rules_change_find(after, held, before->count, a, &change, &e)) {
        exit(1);
    }
    int64_t took = clock_steady_us() - began;
    *added = change.add_count;
    arena_free(a);
    free(held);
    return took;
}

static void measure(size_t count, const struct rules_limits *limits)
{
    static const char *const languages[] = {"en", "id"};
    struct random r = {20260727};
    struct arena *memory = arena_new(LINES_MEMORY);
    struct filter_keyword *keywords = calloc(count, sizeof *keywords);
    struct filter_settings filter = {.keywords = keywords,
                                     .keyword_count = count,
                                     .languages = languages,
                                     .language_count = 2,
                                     .replies = true,
                                     .quotes = true};
    char line[64];
    struct err e;
    for (size_t i = 0; i < count; i++) {
        make_line(&r, i, line);
        if (!memory || !keywords || keyword_parse(view_of(line), memory, &keywords[i].keyword, &e) != 1) {
            exit(1);
        }
        keywords[i].place = (struct config_place){"bench", (unsigned)i + 1};
    }
    int64_t best = INT64_MAX;
    struct rules *rules = NULL;
    for (int i = 0; i < ROUNDS; i++) {
        rules_free(rules);
        int64_t began = clock_steady_us();
        rules = compile(&filter, limits);
        int64_t took = clock_steady_us() - began;
        best = took < best ? took : best;
    }
    filter.keyword_count--;
    struct rules *less = compile(&filter, limits);
    size_t added = 0;
    int64_t compared = compare(rules, less, &added);
    printf("%9zu %12.2f %9zu %12.2f %12zu\n", count, (double)best / 1000, rules->count,
           (double)compared / 1000, added);
    rules_free(less);
    rules_free(rules);
    free(keywords);
    arena_free(memory);
}

int main(void)
{
    const struct rules_limits usual = {1024, 1000}, enterprise = {2048, 25000};
    printf("%9s %12s %9s %12s %12s\n", "lines", "compile, ms", "rules", "compare, ms", "new rules");
    measure(10, &usual);
    measure(1000, &usual);
    measure(100000, &enterprise);
    return 0;
}
