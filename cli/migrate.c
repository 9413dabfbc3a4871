/* cli/migrate.c - `roost migrate`: creates or upgrades the tables of every sink that has some. */
#include "base/log.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "sinks/sinks.h"

static const struct log_context context = {"migrate", NULL};

static int migrate_sections(const struct config *config)
{
    bool any = false;
    for (const struct config_section *s = config_first(config, "sink"); s; s = config_next(s)) {
        struct err e;
        bool had_tables = false;
        if (sink_migrate(config_section_type(s), config_section_settings(s), config_section_name(s),
                         &had_tables, &e)) {
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

static int migrate_command_run(int argc, char **argv)
{
    const char *path = kinds_path(&migrate_command, argc, argv);
    static const char *const used[] = {"sink", NULL};
    struct config *config = path ? kinds_load(path, used) : NULL;
    if (!config) {
        return 2;
    }
    int status = migrate_sections(config);
    config_free(config);
    return status;
}

const struct command migrate_command = {
    .name = "migrate",
    .usage = "migrate [-c FILE]",
    .help =
        "Creates schema roost with its tables in the database of each postgres sink, or brings it to this\n"
        "version. Safe to run twice, and at the same time from two places.\n\n"
        "    -c FILE   the configuration (default /etc/roost/roost.conf)\n",
    .run = migrate_command_run,
};
