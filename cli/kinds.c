/* cli/kinds.c - the one list of all sections, and what every subcommand with -c does first. */
#include "cli/kinds.h"

#include "base/log.h"
#include "bridge/settings.h"
#include "cli/check.h"
#include "cli/command.h"
#include "config/service.h"
#include "etl/settings.h"
#include "ingest/settings.h"
#include "sinks/sinks.h"

#include <getopt.h>
#include <stdio.h>

const struct config_kind *const all_kinds[] = {&source_kind, &filter_kind, &bridge_kind,
                                               &etl_kind,    &sink_kind,   &service_kind};
const size_t all_kind_count = sizeof all_kinds / sizeof *all_kinds;

const char *kinds_path_and_words(const struct command *c, int argc, char **argv, int most)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
    const char *path = "/etc/roost/roost.conf";
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        if (option == ':') {
            command_misuse(c, "%s needs a file", argv[optind - 1]);
            return NULL;
        }
        if (option == '?') {
            command_misuse(c, "unknown option %s", argv[optind - 1]);
            return NULL;
        }
        path = optarg;
    }
    if (argc - optind > most) {
        command_misuse(c, "unexpected argument %s", argv[optind + most]);
        return NULL;
    }
    return path;
}

const char *kinds_path(const struct command *c, int argc, char **argv)
{
    return kinds_path_and_words(c, argc, argv, 0);
}

struct config *kinds_load(const char *path, const char *const *used)
{
    struct config *c = config_load_for(path, all_kinds, all_kind_count, used);
    if (!c) {
        fputs("roost: out of memory\n", stderr);
        return NULL;
    }
    if (check_print_mistakes(c, stderr)) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *kinds_reload(const char *path, const char *const *used, const struct log_context *log,
                            struct err *first)
{
    struct config *c = config_load_for(path, all_kinds, all_kind_count, used);
    size_t mistakes = c ? config_mistakes(c) : 0;
    for (size_t i = 0; i < mistakes; i++) {
        log_error(log, "%s", config_mistake_text(c, i));
    }
    if (mistakes || !c) {
        err_set(first, ERR_FATAL, "%s", mistakes ? config_mistake_text(c, 0) : "memory is out");
        config_free(c);
        return NULL;
    }
    return c;
}
