#include "tests/ingest/support/keywords.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

void keyword_set_begin(struct keyword_set *set)
{
    *set = (struct keyword_set){.arena = arena_new(256 * 1024 * 1024)};
    set->filter.retweets = set->filter.replies = set->filter.quotes = true;
}

void keyword_set_add(struct keyword_set *set, const char *line)
{
    struct err e;
    if (set->filter.keyword_count == set->room) {
        set->room = set->room ? set->room * 2 : 16;
        set->items = realloc(set->items, set->room * sizeof *set->items);
        set->filter.keywords = set->items;
    }
    struct filter_keyword *item = &set->items[set->filter.keyword_count];
    if (!set->items || keyword_parse(view_of(line), set->arena, &item->keyword, &e) != 1) {
        fprintf(stderr, "the test's keyword '%s' is none\n", line);
        abort();
    }
    item->place = (struct config_place){"list", (unsigned)set->filter.keyword_count + 1};
    set->filter.keyword_count++;
}

void keyword_set_fill(struct keyword_set *set, const char *const *lines)
{
    for (; *lines; lines++) {
        keyword_set_add(set, *lines);
    }
}

static void no_mistake(void *user, struct config_place place, const char *text)
{
    (void)user, (void)place;
    cr_expect(false, "%s", text);
}

struct rules *keyword_set_rules(const struct keyword_set *set, const char *source, int64_t length,
                                int64_t most)
{
    struct err e;
    struct rules *rules = rules_compile(&set->filter, source, &(struct rules_limits){length, most},
                                        &(struct rules_mistakes){no_mistake, NULL}, &e);
    cr_assert(rules, "%s", e.text);
    return rules;
}

void keyword_set_end(struct keyword_set *set)
{
    free(set->items);
    arena_free(set->arena);
}
