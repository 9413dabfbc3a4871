/* tests/fuzz/x_v2_answer.c - fuzz target: any bytes as an answer about tokens and rules. What comes out is
 * whole: rules have id and value, a token could stand in a header; and the difference to any list can be
 * found. */
#include "ingest/x_v2_answer.h"

#include "text/keyword.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *user, struct config_place place, const char *text)
{
    (void)user, (void)place, (void)text;
}

static void compare(const struct x_v2_answer *answer, struct arena *a)
{
    struct filter_keyword keywords[2] = {{.place = {"k", 1}}, {.place = {"k", 2}}};
    const struct filter_settings filter = {
        .keywords = keywords, .keyword_count = 2, .retweets = true, .replies = true, .quotes = true};
    struct rules_change change;
    struct err e;
    if (keyword_parse(VIEW("cat"), a, &keywords[0].keyword, &e) != 1 ||
        keyword_parse(VIEW("= from:ada"), a, &keywords[1].keyword, &e) != 1) {
        return;
    }
    struct rules *rules = rules_compile(&filter, "a", &(struct rules_limits){1024, 3},
                                        &(struct rules_mistakes){ignore, NULL}, &e);
    if (rules && rules_change_find(rules, answer->rules, answer->rule_count, a, &change, &e) == 0) {
        size_t add = 0, remove = 0;
        for (size_t i = 0; i < change.step_count; i++) {
            add += change.steps[i].add;
            remove += change.steps[i].remove;
        }
        if (add != change.add_count || remove != change.remove_count ||
            change.keep_count + change.foreign_count + add != rules->count) {
            abort();
        }
    }
    rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(64 << 20);
    struct x_v2_answer answer;
    struct err e;
    char quote[100];
    if (a && x_v2_answer_read(view_make((const char *)data, size), a, &answer, &e) == 0) {
        for (size_t i = 0; i < answer.rule_count; i++) {
            if (!answer.rules[i].id.length || !answer.rules[i].value.length) {
                abort();
            }
        }
        for (size_t i = 0; i < answer.access_token.length; i++) {
            if (answer.access_token.at[i] <= ' ') {
                abort();
            }
        }
        x_v2_answer_quote(&answer, quote, sizeof quote);
        compare(&answer, a);
    }
    arena_free(a);
    return 0;
}
