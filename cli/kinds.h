/* cli/kinds.h - the configuration as the whole program knows it: the sections of all rooms, read and checked.
 */
#ifndef ROOST_CLI_KINDS_H
#define ROOST_CLI_KINDS_H

#include "config/config.h"

/* Every kind of section there is: [source], [filter], [bridge], [etl], [sink], [service]. */
extern const struct config_kind *const all_kinds[];
extern const size_t all_kind_count;

/* Reads -c FILE (or --config FILE) from a subcommand's arguments; the default is /etc/roost/roost.conf. NULL:
 * the arguments are wrong, which has been said on stderr. */
struct command;
const char *kinds_path(const struct command *c, int argc, char **argv);

/* The same for a subcommand with up to `most` words beside the options: they are argv[optind] and what
 * follows. */
const char *kinds_path_and_words(const struct command *c, int argc, char **argv, int most);

/* The configuration, or NULL after printing every mistake on stderr, one a line (then the exit status is 2).
 * `used`: the sections this process works with, ended by NULL, so that `roost etl` need not be able to read
 * the sources' secrets; NULL: all. */
struct config *kinds_load(const char *path, const char *const *used);

/* The same for a running service: the mistakes go to its log, and the first one to *first. */
struct log_context;
struct config *kinds_reload(const char *path, const char *const *used, const struct log_context *log,
                            struct err *first);

#endif
