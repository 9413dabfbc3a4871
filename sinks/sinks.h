/* sinks/sinks.h - the sinks there are, and the configuration's [sink NAME] sections made of them. */
#ifndef ROOST_SINKS_SINKS_H
#define ROOST_SINKS_SINKS_H

#include "etl/sink.h"

extern const struct sink_type *const sink_types[];
extern const size_t sink_type_count;

/* Values of `type` that a later version has; ended by NULL. */
extern const char *const sink_later_types[];

/* The kind "sink", named, with the tables of all types: for config_load. Settings begin with struct
 * sink_settings. */
extern const struct config_kind sink_kind;

/* The type of a section as config_section_type gives it; NULL: none of this name. */
const struct sink_type *sink_type_find(const char *name);

/* `roost migrate` for a section: makes or upgrades what its type keeps in a database. 0 also for types that
 * have nothing to make; *had_tables (may be NULL) says whether this one has. Errors as migrate_run
 * (sinks/migrate.h). */
int sink_migrate(const char *type, const void *settings, const char *name, bool *had_tables, struct err *e);

#endif
