#include "tests/ingest/support/keywords.h"

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

void keyword_set_end(struct keyword_set *set)
{
    free(set->items);
    arena_free(set->arena);
}
