/* ingest/rules_blame.h - what a server says about a rule, said about the keyword lines that it came from. */
#ifndef ROOST_INGEST_RULES_BLAME_H
#define ROOST_INGEST_RULES_BLAME_H

#include "ingest/rules.h"

/* Calls each(user, line) for the lines (indices into the list) that `detail`, the server's words about this
 * rule, means. "(at position N)" means the alternative around character N of the rule; without a position, or
 * with one in no alternative, all lines of the rule may be meant. Returns how many it were. */
size_t rules_blame(const struct rules *rules, const struct rule *rule, struct view detail,
                   void (*each)(void *user, uint32_t line), void *user);

/* The rule with this value; NULL: none. */
const struct rule *rules_with_value(const struct rules *rules, struct view value);

#endif
