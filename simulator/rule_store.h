/* simulator/rule_store.h - the rules of one app on the server: added, deleted, listed, and asked which match.
 *
 * They outlive connections. A message is asked once for all rules and the answer is kept until the rules
 * change; only rules that hold one of the message's facts are looked at, so that a thousand rules cost little
 * more than one.
 */
#ifndef ROOST_SIMULATOR_RULE_STORE_H
#define ROOST_SIMULATOR_RULE_STORE_H

#include "simulator/rule.h"

#include <stdint.h>

enum { RULE_STORE_MOST = 100000, RULE_STORE_LENGTH_MOST = 4096 };

struct rule_store_limits {
    size_t number, length; /* rules of an app, code points of a rule */
    bool enterprise;
    int64_t delay_ms; /* after so long an added rule begins to work */
};

struct rule_store_item {
    uint64_t id;
    char *value, *tag; /* tag NULL: none */
    struct rule *rule;
    int64_t active_ms; /* steady; it works from then on */
    uint64_t stamp;    /* the question it was last looked at for */
};

struct rule_store;

/* `messages`: indices asked about are below it. NULL when memory is out. The caller frees it. */
struct rule_store *rule_store_new(const struct rule_store_limits *limits, size_t messages);

size_t rule_store_count(const struct rule_store *rules);
const struct rule_store_item *rule_store_at(const struct rule_store *rules, size_t index); /* by age */
const struct rule_store_item *rule_store_with_value(const struct rule_store *rules, struct view value);
const struct rule_store_item *rule_store_with_id(const struct rule_store *rules, struct view id);

/* Adds a rule that rule_parse made (taken over, also when it fails). NULL: memory is out. The item is valid
 * until the next change. */
const struct rule_store_item *rule_store_add(struct rule_store *rules, struct rule *rule, struct view value,
                                             struct view tag, int64_t wall_ms, int64_t steady_ms);

void rule_store_delete(struct rule_store *rules, uint64_t id);

/* The rules that match message number `index`: a JSON array of objects with id and tag (empty: it has none);
 * absent: no rule. Valid until the next change. */
struct view rule_store_match(struct rule_store *rules, size_t index, const struct rule_facts *facts,
                             int64_t steady_ms);

/* NULL does nothing. */
void rule_store_free(struct rule_store *rules);

#endif
