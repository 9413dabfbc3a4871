/* sinks/migrate.h - `roost migrate`: the tables of roost, made or brought to this binary's version.
 *
 * Versions run in order, each in a transaction of its own together with its row in roost.schema_version. An
 * advisory lock lets one migration of a database run at a time; a second one waits and then finds nothing to
 * do. Locks on tables are waited for 5 s at most, so that a forgotten session delays a migration, not the
 * service.
 */
#ifndef ROOST_SINKS_MIGRATE_H
#define ROOST_SINKS_MIGRATE_H

#include "base/err.h"
#include "base/log.h"

/* Connects with conninfo and migrates; says on the log what it did. ERR_RETRY: the server is away or busy;
 * ERR_FATAL: no such database, no rights, a wrong password, an encoding other than UTF8, or tables of a newer
 * roost. Blocks. */
int migrate_run(const char *conninfo, const struct log_context *log, struct err *e);

#endif
