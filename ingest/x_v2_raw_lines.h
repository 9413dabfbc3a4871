/* ingest/x_v2_raw_lines.h - which `= rule` lines a post has matched, by the tags of the rules it came
 * through.
 *
 * A raw rule is matched by the network alone. On the server it has our tag, an older one of ours if it was
 * there before, or another program's tag or none (then its id counts), if that program has the same rule.
 * Another program may use one tag for several rules; then a post of any of them counts for the line. One
 * thread.
 */
#ifndef ROOST_INGEST_X_V2_RAW_LINES_H
#define ROOST_INGEST_X_V2_RAW_LINES_H

#include "ingest/x_v2_rules.h"

struct x_v2_raw_lines;

/* NULL: memory is out. */
struct x_v2_raw_lines *x_v2_raw_lines_new(void);

/* Learns the raw rules anew: those of `rules` by their own tags, and where `state` (NULL: not known) says
 * which rule on the server stands for which, by that rule's tag or id. When memory is out nothing is known.
 */
void x_v2_raw_lines_learn(struct x_v2_raw_lines *known, const struct rules *rules,
                          const struct x_v2_rules_state *state);

/* Lines of the list (indices), by a rule as delivered. Returns how many; *lines is valid until the next
 * x_v2_raw_lines_learn. */
size_t x_v2_raw_lines_find(const struct x_v2_raw_lines *known, struct view rule, const size_t **lines);

/* NULL does nothing. */
void x_v2_raw_lines_free(struct x_v2_raw_lines *known);

#endif
