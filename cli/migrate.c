/* cli/migrate.c - `roost migrate`: creates or upgrades the tables of every sink that has some.
 *
 * It runs before each start of the service, so a database that is away is waited for, some time, and what is
 * left to the service manager's next start ends with 1.
 */
#include "cli/migrate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "sinks/sinks.h"

#include <getopt.h>
#include <time.h>

enum { WAIT_MS = 30 * 1000, WAIT_MOST_S = 24 * 3600, PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 5000 };

static const struct log_context context = {"migrate", NULL};

static void pause_ms(int64_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* One section, again and again while its database is away or busy and there is time. */
static int migrate_section(const struct config_section *s, int64_t deadline_ms, bool *had_tables,
                           struct err *e)
{
    int64_t pause = PAUSE_FIRST_MS;
    bool away = false;
    while (sink_migrate(config_section_type(s), config_section_settings(s), config_section_name(s),
                        had_tables, e)) {
        int64_t left = deadline_ms - clock_real_ms();
        if (e->kind != ERR_RETRY || left <= 0) {
            return -1;
        }
        if (!away) {
            log_warning(&context, "[sink %s]: %s; trying again for %lld s", config_section_name(s), e->text,
                        (long long)(left + 999) / 1000);
        }
        away = true;
        pause_ms(pause < left ? pause : left);
        pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
    }
    return 0;
}

int migrate_sections(const struct config *config, int64_t wait_ms)
{
    bool any = false;
    int64_t deadline_ms = clock_real_ms() + wait_ms;
    for (const struct config_section *s = config_first(config, "sink"); s; s = config_next(s)) {
        struct err e;
        bool had_tables = false;
        if (migrate_section(s, deadline_ms, &had_tables, &e)) {
            log_error(&context, "[sink %s]: %s", config_section_name(s), e.text);
            return err_exit_status(&e);
        }
        any |= had_tables;
    }
    if (!any) {
        log_notice(&context, "no sink of this configuration keeps tables: nothing to do");
    }
    return 0;
}

/* NULL: the arguments are wrong, which has been said. */
static const char *read_arguments(int argc, char **argv, int64_t *wait_ms)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"wait", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
    const char *path = "/etc/roost/roost.conf";
    int64_t seconds;
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        if (option == ':' || option == '?') {
            command_misuse(&migrate_command, option == ':' ? "%s needs a value" : "unknown option %s",
                           argv[optind - 1]);
            return NULL;
        }
        if (option == 'c') {
            path = optarg;
        } else if (number_parse(view_of(optarg), 0, WAIT_MOST_S, &seconds)) {
            command_misuse(&migrate_command, "--wait %s: a number of seconds from 0 to %d is right", optarg,
                           (int)WAIT_MOST_S);
            return NULL;
        } else {
            *wait_ms = seconds * 1000;
        }
    }
    if (optind < argc) {
        command_misuse(&migrate_command, "unexpected argument %s", argv[optind]);
        return NULL;
    }
    return path;
}

static int migrate_command_run(int argc, char **argv)
{
    int64_t wait_ms = WAIT_MS;
    const char *path = read_arguments(argc, argv, &wait_ms);
    static const char *const used[] = {"sink", NULL};
    struct config *config = path ? kinds_load(path, used) : NULL;
    if (!config) {
        return 2;
    }
    int status = migrate_sections(config, wait_ms);
    config_free(config);
    return status;
}

const struct command migrate_command = {
    .name = "migrate",
    .usage = "migrate [-c FILE] [--wait SECONDS]",
    .help =
        "Creates schema roost with its tables in the database of each postgres sink, or brings it to this\n"
        "version. Safe to run twice, at the same time from two places, and while roost etl works. Silent "
        "when\n"
        "there is nothing to do.\n\n"
        "    -c FILE         the configuration (default /etc/roost/roost.conf)\n"
        "    --wait SECONDS  how long to try while the database is away or a table is locked (default 30)\n\n"
        "Exit status: 0 the tables are there; 1 the database could not be reached, or was busy, in that "
        "time;\n"
        "2 usage, configuration, credentials or rights are wrong, or the tables are of a newer roost.\n",
    .run = migrate_command_run,
};
