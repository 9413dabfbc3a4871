/* simulator/rules.h - the rules of one app on the server: added, deleted, listed, and asked which match.
 *
 * They outlive connections. A message is asked once for all rules and the answer is kept until the rules
 * change; only rules that hold one of the message's facts are looked at, so that a thousand rules cost little
 * more than one.
 */
#ifndef ROOST_SIMULATOR_RULES_H
#define ROOST_SIMULATOR_RULES_H

#include "simulator/rule.h"

#include <stdint.h>

enum { RULES_MOST = 100000, RULES_LENGTH_MOST = 4096 };

struct rules_limits {
    size_t number, length; /* rules of an app, code points of a rule */
    bool enterprise;
    int64_t delay_ms; /* after so long an added rule begins to work */
};

struct rules_item {
    uint64_t id;
    char *value, *tag; /* tag NULL: none */
    struct rule *rule;
    int64_t active_ms; /* steady; it works from then on */
    uint64_t stamp;    /* the question it was last looked at for */
};

struct rules;

/* `messages`: indices asked about are below it. NULL when memory is out. The caller frees it. */
struct rules *rules_new(const struct rules_limits *limits, size_t messages);

size_t rules_count(const struct rules *rules);
const struct rules_item *rules_at(const struct rules *rules, size_t index); /* by age */
const struct rules_item *rules_with_value(const struct rules *rules, struct view value);
const struct rules_item *rules_with_id(const struct rules *rules, struct view id);

/* Adds a rule that rule_parse made (taken over, also when it fails). NULL: memory is out. The item is valid
 * until the next change. */
const struct rules_item *rules_add(struct rules *rules, struct rule *rule, struct view value, struct view tag,
                                   int64_t wall_ms, int64_t steady_ms);

void rules_delete(struct rules *rules, uint64_t id);

/* The rules that match message number `index`: a JSON array of objects with id and tag (empty: it has none);
 * absent: no rule. Valid until the next change. */
struct view rules_match(struct rules *rules, size_t index, const struct rule_facts *facts, int64_t steady_ms);

/* NULL does nothing. */
void rules_free(struct rules *rules);

#endif
