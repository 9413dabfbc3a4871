/* config/service.h - the key table of [service]: what both services share, whatever they do. */
#ifndef ROOST_CONFIG_SERVICE_H
#define ROOST_CONFIG_SERVICE_H

#include "config/config.h"

struct service_settings {
    char *runtime_dir; /* absolute; NULL: see service_runtime_folders */
    int log_level;     /* index into error, warning, notice, info, debug */
};

extern const struct config_kind service_kind;

/* Where the status socket of a service may be, in this order: runtime_dir alone if it is set; else
 * /run/roost, $XDG_RUNTIME_DIR, and spool_dir. At most SERVICE_FOLDERS strings, which belong to the settings,
 * the environment, the caller. Returns how many. `settings` NULL: the defaults. `spool_dir` NULL: not known.
 */
enum { SERVICE_FOLDERS = 3 };
size_t service_runtime_folders(const struct service_settings *settings, const char *spool_dir,
                               const char *folders[SERVICE_FOLDERS]);

/* "FOLDER/INSTANCE.SERVICE.status", INSTANCE being the base name of the configuration file without ".conf".
 * On the heap; NULL: memory is out. */
char *service_socket_path(const char *folder, const char *config_path, const char *service);

#endif
