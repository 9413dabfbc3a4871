/* cli/migrate.h - the work of `roost migrate`, for `roost setup` too. */
#ifndef ROOST_CLI_MIGRATE_H
#define ROOST_CLI_MIGRATE_H

#include "config/config.h"

#include <stdint.h>

/* Makes or upgrades the tables of every sink of the configuration, and tries again for wait_ms real
 * milliseconds in all while a database is away or busy. Says on the log what it did and what is wrong.
 * Returns the exit status: 0, 1, 2 as `roost migrate --help` has it. Blocks. */
int migrate_sections(const struct config *config, int64_t wait_ms);

#endif
