/* sinks/migrate.h - `roost migrate`: the tables of roost, made or brought to this binary's version.
 *
 * Versions run in order, each in a transaction of its own together with its row in roost.schema_version. An
 * advisory lock lets one migration of a database run at a time; a second one waits and then finds nothing to
 * do. Each lock on a table is waited for 1 s at most, so that a forgotten session delays a migration, not the
 * service, which may go on writing meanwhile: versions only add, and what an older roost writes stays right.
 */
#ifndef ROOST_SINKS_MIGRATE_H
#define ROOST_SINKS_MIGRATE_H

#include "base/err.h"
#include "base/log.h"

/* Connects with conninfo and migrates; says on the log what it did, and nothing when there was nothing to do.
 * ERR_RETRY: the server is away or busy, or a table is locked; what was done stays done, and another call
 * goes on from there. ERR_FATAL: no such database, no rights, a wrong password, an encoding other than UTF8,
 * or tables of a newer roost. Blocks. */
int migrate_run(const char *conninfo, const struct log_context *log, struct err *e);

#endif
