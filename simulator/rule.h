/* simulator/rule.h - one rule of the filtered stream of API v2: is it valid, and does a post match it?
 *
 * Space is AND, OR is OR and binds weaker, '-' negates one operator, parentheses group ("Build a rule" and
 * "Operators", X developer documents, August 2026). Written apart from any code that makes rules. Stricter
 * than the service may be: a negated group is refused, since the documents say not to write one; "and" and
 * "or" that are no operators must be quoted, as the service asks.
 *
 * from_affiliate_of:, to_affiliate_of: and embedding: are read and never match: no payload says anything of
 * them.
 */
#ifndef ROOST_SIMULATOR_RULE_H
#define ROOST_SIMULATOR_RULE_H

#include "base/view.h"
#include "simulator/rule_facts.h"

#include <stdbool.h>

enum { RULE_PROBLEMS = 4, RULE_PROBLEM_SIZE = 200, RULE_DEPTH = 100, RULE_PROXIMITY = 6 };

/* Why a rule is refused, in the words of the service as far as they are known. */
struct rule_problems {
    char details[RULE_PROBLEMS][RULE_PROBLEM_SIZE];
    size_t count;
    bool length; /* the rule is too long: the only problem that has a type of its own */
};

struct rule;

/* Reads a rule of at most `longest` code points; `enterprise` allows embedding:. NULL: *problems says why,
 * with positions in code points from 1, or is empty when memory is out. The caller frees the rule. */
struct rule *rule_parse(struct view text, size_t longest, bool enterprise, struct rule_problems *problems);

/* Pure. */
bool rule_match(const struct rule *rule, const struct rule_facts *facts);

/* The facts of which a matching post has at least one, appended to `cover`. False, and nothing appended, when
 * there is no such set: the rule must be asked of every post. */
bool rule_cover(const struct rule *rule, struct rule_words *cover);

/* NULL does nothing. */
void rule_free(struct rule *rule);

#endif
