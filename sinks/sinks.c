#include "sinks/sinks.h"

#include "sinks/console.h"
#include "sinks/jsonl.h"
#include "sinks/postgres.h"

const struct sink_type *const sink_types[] = {&sink_postgres, &sink_console, &sink_jsonl};
const size_t sink_type_count = sizeof sink_types / sizeof sink_types[0];

const char *const sink_later_types[] = {"sqlite", "kafka", NULL};

static const struct config_type_table *const tables[] = {&postgres_config, &console_config, &jsonl_config,
                                                         NULL};

const struct config_kind sink_kind = {
    .section = "sink",
    .named = true,
    .settings_size = sizeof(struct sink_settings),
    .types = tables,
    .later_types = sink_later_types,
};

const struct sink_type *sink_type_find(const char *name)
{
    for (size_t i = 0; name && i < sink_type_count; i++) {
        if (strcmp(sink_types[i]->config->name, name) == 0) {
            return sink_types[i];
        }
    }
    return NULL;
}

int sink_migrate(const char *type, const void *settings, const char *name, bool *had_tables, struct err *e)
{
    bool postgres = type && strcmp(type, postgres_config.name) == 0;
    if (had_tables) {
        *had_tables = postgres;
    }
    return postgres ? postgres_migrate(settings, name, e) : 0;
}
