/* ingest/rules_judge.h - whether an x-v2 source's keywords can be rules: the mistakes of its configuration.
 */
#ifndef ROOST_INGEST_RULES_JUDGE_H
#define ROOST_INGEST_RULES_JUDGE_H

#include "ingest/rules.h"

/* Called by ingest/settings.c when the source's filter is complete: compiles the rules, reports what is wrong
 * with config_mistake and throws the rules away. A list that was not read whole is not judged. */
void rules_judge(struct config *c, const struct config_section *s);

/* The rules of an x-v2 source of a configuration without mistakes. NULL: memory is out. The source must
 * outlive them; rules_free. */
struct rules *rules_of_source(const struct source_x_v2_settings *source, struct err *e);

#endif
