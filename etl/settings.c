#include "etl/settings.h"
#include "bridge/settings.h"
#include "etl/dstream.h"

#include <string.h>

enum { CONSUMER_MAXIMUM = 63, WORKERS_MAXIMUM = 256 };

static int check_consumer(const char *value, struct err *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t length = strlen(value);
    if (length == 0 || length > CONSUMER_MAXIMUM || strspn(value, allowed) != length) {
        return err_set(why, ERR_FATAL, "1 to 63 characters of a-z A-Z 0-9 _ - .");
    }
    return 0;
}

static void check_section(struct config *c, const struct config_section *s, void *settings)
{
    const struct etl_settings *etl = settings;
    struct config_place place = config_key_place(s, "bridge");
    for (size_t i = 0; i < etl->bridge.count; i++) {
        struct err why;
        if (bridge_check_address(etl->bridge.items[i], &why) != 0) {
            config_mistake(c, place, "bridge = %s: %s", etl->bridge.items[i], why.text);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(etl->bridge.items[i], etl->bridge.items[k]) == 0) {
                config_mistake(c, place, "bridge = %s is named twice: once is right", etl->bridge.items[i]);
            }
        }
    }
}

static const struct config_key keys[] = {
    {.name = "bridge",
     .type = CONFIG_LIST,
     .offset = offsetof(struct etl_settings, bridge),
     .fallback = "127.0.0.1:5555",
     .restart = true,
     .help = "The bridges to read from, comma separated: HOST:PORT, [IPv6]:PORT or a Unix socket's path."},
    {.name = "bridge_token",
     .type = CONFIG_SECRET,
     .offset = offsetof(struct etl_settings, bridge_token),
     .restart = true,
     .help = "The bridge's token; only where this user cannot read it in the bridge's spool_dir."},
    {.name = "consumer",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct etl_settings, consumer),
     .fallback = "etl",
     .restart = true,
     .check = check_consumer,
     .help = "This consumer's name at the bridge and in roost.progress."},
    {.name = "batch_interval",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct etl_settings, batch_interval),
     .fallback = "1s",
     .restart = true,
     .min = STREAM_INTERVAL_MIN_MS,
     .max = STREAM_INTERVAL_MAX_MS,
     .help = "How long posts are gathered before they are loaded together."},
    {.name = "workers",
     .type = CONFIG_NUMBER,
     .offset = offsetof(struct etl_settings, workers),
     .fallback = "0",
     .restart = true,
     .min = 0,
     .max = WORKERS_MAXIMUM,
     .help = "Threads that clean and enrich; 0: one per core."},
};

const struct config_kind etl_kind = {
    .section = "etl",
    .optional = true,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .settings_size = sizeof(struct etl_settings),
    .check = check_section,
};
