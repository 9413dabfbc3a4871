#include "ingest/x_v2_version.h"

#include "base/arena.h"

#include <stdio.h>

enum { MEMORY_MOST = 64 * 1024 * 1024 };

static void name_rules(struct version_rule *rules, const struct x_v2_rules_state *state,
                       const struct rules_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct rules_held *held = &state->held[pairs[i].held];
        rules[pairs[i].wanted].id = held->id;
        rules[pairs[i].wanted].tag = held->tag;
    }
}

/* The lines that stand in no rule, as a rule without a value. */
static void add_unasked(struct version_rule *rule, uint32_t *lines, const struct rules *rules)
{
    for (uint32_t i = 0; i < rules->filter->keyword_count; i++) {
        if (!rules->rule_of_line[i]) {
            lines[rule->line_count++] = i;
        }
    }
    rule->lines = lines;
}

void x_v2_version_tell(const struct x_v2_rules_result *result, source_in_force *tell, void *user)
{
    const struct x_v2_rules_state *state = result->state;
    const struct rules *wanted = state->rules;
    struct arena *a = arena_new(MEMORY_MOST);
    struct version_rule *rules = a ? arena_zeroed(a, wanted->count + 1, sizeof *rules) : NULL;
    uint32_t *unasked = a ? arena_zeroed(a, wanted->filter->keyword_count + 1, sizeof *unasked) : NULL;
    if (!rules || !unasked) {
        log_warning(&(struct log_context){"ingest", wanted->source},
                    "there is no memory to tell which keywords are in force");
        arena_free(a);
        return;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        rules[i].value = wanted->items[i].value;
        rules[i].lines = wanted->items[i].lines;
        rules[i].line_count = wanted->items[i].line_count;
    }
    name_rules(rules, state, state->change.keep, state->change.keep_count);
    name_rules(rules, state, state->change.foreign, state->change.foreign_count);
    add_unasked(&rules[wanted->count], unasked, wanted);
    struct version version = {.network = "x",
                              .filter = wanted->filter,
                              .rules = rules,
                              .rule_count = wanted->count + (rules[wanted->count].line_count > 0),
                              .since = result->begun_at};
    snprintf(version.name, sizeof version.name, "%s", wanted->version);
    tell(user, &version);
    arena_free(a);
}
