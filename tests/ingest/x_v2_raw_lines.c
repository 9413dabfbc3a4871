/* Which `= rule` lines a post has matched, by what the rules on the server are called. */
#include "ingest/x_v2_raw_lines.h"

#include "tests/ingest/support/keywords.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void expect_line(const struct x_v2_raw_lines *known, const char *rule, size_t line)
{
    const size_t *lines = NULL;
    size_t count = x_v2_raw_lines_find(known, view_of(rule), &lines);
    cr_expect_eq(count, 1, "%s: %zu", rule, count);
    cr_expect(count != 1 || lines[0] == line, "%s", rule);
}

static void expect_none(const struct x_v2_raw_lines *known, const char *rule)
{
    const size_t *lines = NULL;
    cr_expect_eq(x_v2_raw_lines_find(known, view_of(rule), &lines), 0, "%s", rule);
}

Test(x_v2_raw_lines, are_known_by_our_tag_an_older_one_and_another_programs_tag_or_id)
{
    struct keyword_set set;
    struct err e;
    keyword_set_begin(&set);
    keyword_set_fill(&set,
                     (const char *[]){"tea", "= from:ada", "= from:bob", "= from:cy", "= from:dee", NULL});
    struct rules *rules = keyword_set_rules(&set, "x", 1024, 1000);
    struct x_v2_raw_lines *known = x_v2_raw_lines_new();
    cr_assert(rules && known);
    x_v2_raw_lines_learn(known, rules, NULL);
    for (size_t i = 0; i < rules->count; i++) {
        char tag[RULES_TAG_SIZE];
        snprintf(tag, sizeof tag, "%.*s", VIEW_PRINT(rules->items[i].tag));
        if (rules->items[i].raw) {
            expect_line(known, tag, rules->items[i].lines[0]);
        } else {
            expect_none(known, tag);
        }
    }
    expect_none(known, "7");
    const struct rules_held held[] = {{VIEW("5"), VIEW("from:ada"), VIEW("roost:x:00000000:1")},
                                      {VIEW("6"), VIEW("from:bob"), VIEW("theirs")},
                                      {VIEW("7"), VIEW("from:cy"), {0}},
                                      {VIEW("8"), VIEW("from:dee"), VIEW("theirs")},
                                      {VIEW("9"), VIEW("from:eve"), VIEW("others")}};
    struct arena *a = arena_new(1 << 20);
    struct x_v2_rules_state state = {.rules = rules, .held = held, .held_count = 5};
    cr_assert_eq(rules_change_find(rules, held, 5, a, &state.change, &e), 0, "%s", e.text);
    x_v2_raw_lines_learn(known, rules, &state);
    expect_line(known, "roost:x:00000000:1", 1);
    expect_line(known, "7", 3);
    expect_none(known, "others");
    const size_t *lines = NULL;
    cr_expect_eq(x_v2_raw_lines_find(known, VIEW("theirs"), &lines), 2);
    cr_expect(lines && lines[0] + lines[1] == 2 + 4, "one tag for two of the lines");
    arena_free(a);
    x_v2_raw_lines_free(known);
    rules_free(rules);
    keyword_set_end(&set);
}
