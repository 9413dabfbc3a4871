/* cli/spool.h - what `roost spool` and `roost consumer` print alike. */
#ifndef ROOST_CLI_SPOOL_H
#define ROOST_CLI_SPOOL_H

#include "bridge/spool_look.h"

#include <stdio.h>

/* A line "consumer NAME acknowledged SEQUENCE behind by N frames" each, aligned; one that says so when there
 * is none. */
void spool_print_consumers(const struct spool_look *look, FILE *out);

#endif
