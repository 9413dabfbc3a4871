/* cli/check.h - `roost check -c FILE`: is this configuration right, and what does it mean? Offline: no server
 * is asked. */
#ifndef ROOST_CLI_CHECK_H
#define ROOST_CLI_CHECK_H

#include "config/config.h"

#include <stdio.h>

/* Prints every mistake of a configuration, one a line, as each subcommand does before it gives up. Returns
 * how many. */
size_t check_print_mistakes(const struct config *c, FILE *errors);

/* With mistakes: prints them to `errors` and returns 2. Else prints to `out` how each keyword line was
 * understood, which part of it the source's server cannot express, and what the sections amount to, without
 * any secret, and returns 0 (1: memory is out). Kinds that the config was not loaded with are left out. */
int check_run(const struct config *c, FILE *out, FILE *errors);

#endif
