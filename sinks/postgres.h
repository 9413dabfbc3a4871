/* sinks/postgres.h - the sink `type = postgres`: posts, events and the consumer's position in one transaction
 * a batch.
 *
 * How a row travels is told in DESIGN.md. Its functions are the table sink_postgres, as etl/sink.h describes
 * them.
 */
#ifndef ROOST_SINKS_POSTGRES_H
#define ROOST_SINKS_POSTGRES_H

#include "etl/sink.h"

struct postgres_settings {
    struct sink_settings sink;
    char *conninfo; /* of the key conninfo, or of its file conninfo_file */
    int64_t keep;   /* ms: older posts are removed by whole months; 0: never */
};

extern const struct config_type_table postgres_config;
extern const struct sink_type sink_postgres;

/* `roost migrate` for one [sink NAME] section of this type: migrate_run with its conninfo. */
int postgres_migrate(const void *settings, const char *name, struct err *e);

#endif
