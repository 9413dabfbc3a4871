/* ingest/x_v2_version.h - the rules of an x-v2 source as they stand on the server, as a version. */
#ifndef ROOST_INGEST_X_V2_VERSION_H
#define ROOST_INGEST_X_V2_VERSION_H

#include "ingest/source.h"
#include "ingest/x_v2_rules.h"

/* Tells the rules after a successful X_V2_RULES_APPLY: each with id and tag of the rule on the server that
 * stands for it, an older one of ours or another program's among them. Not told when memory is out (logged).
 */
void x_v2_version_tell(const struct x_v2_rules_result *result, source_in_force *tell, void *user);

#endif
