#include "config/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};

static const struct config_key keys[] = {
    {.name = "runtime_dir",
     .type = CONFIG_PATH,
     .offset = offsetof(struct service_settings, runtime_dir),
     .restart = true,
     .help =
         "Folder of the sockets that roost status asks; not given: /run/roost, else $XDG_RUNTIME_DIR, else "
         "spool_dir."},
    {.name = "log_level",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct service_settings, log_level),
     .fallback = "info",
     .choices = levels,
     .help = "What is logged: error, warning, notice, info or debug, each with what stands before it."},
};

const struct config_kind service_kind = {
    .section = "service",
    .optional = true,
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .settings_size = sizeof(struct service_settings),
};

size_t service_runtime_folders(const struct service_settings *settings, const char *spool_dir,
                               const char *folders[SERVICE_FOLDERS])
{
    const char *user = getenv("XDG_RUNTIME_DIR");
    size_t count = 0;
    if (settings && settings->runtime_dir) {
        folders[count++] = settings->runtime_dir;
        return count;
    }
    folders[count++] = "/run/roost";
    if (user && user[0] == '/') {
        folders[count++] = user;
    }
    if (spool_dir) {
        folders[count++] = spool_dir;
    }
    return count;
}

char *service_socket_path(const char *folder, const char *config_path, const char *service)
{
    const char *slash = strrchr(config_path, '/'), *name = slash ? slash + 1 : config_path;
    size_t length = strlen(name);
    char *path;
    if (length > 5 && strcmp(name + length - 5, ".conf") == 0) {
        length -= 5;
    }
    return asprintf(&path, "%s/%.*s.%s.status", folder, (int)length, name, service) < 0 ? NULL : path;
}
