/* cli/neighbours.c - reads the [bridge] of each file beside the configuration, whatever else is wrong with
 * it. */
#include "cli/neighbours.h"

#include "bridge/settings.h"
#include "cli/kinds.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_configuration(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && dot != entry->d_name && !strcmp(dot, ".conf");
}

static void blame(const struct bridge_settings *mine, const char *path, struct err *e)
{
    static const char *const used[] = {"bridge", NULL};
    struct config *c = config_load_for(path, all_kinds, all_kind_count, used);
    const struct bridge_settings *theirs = c ? config_settings(c, "bridge") : NULL;
    bool address = theirs && theirs->listen && !strcmp(theirs->listen, mine->listen);
    bool spool = theirs && theirs->spool_dir && !strcmp(theirs->spool_dir, mine->spool_dir);
    if (address || spool) {
        size_t length = strlen(e->text);
        snprintf(e->text + length, sizeof e->text - length,
                 "; %s has the same %s%s%s: give one of them another in its [bridge]", path,
                 address ? "listen" : "", address && spool ? " and the same " : "", spool ? "spool_dir" : "");
    }
    config_free(c);
}

int neighbours_blame(const struct config *c, struct err *e)
{
    const struct bridge_settings *mine = config_settings(c, "bridge");
    const char *slash = strrchr(config_path(c), '/');
    const char *own = slash ? slash + 1 : config_path(c);
    struct dirent **entries = NULL;
    int count = scandir(config_folder(c), &entries, is_configuration, alphasort);
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (strcmp(entries[i]->d_name, own) != 0 &&
            asprintf(&path, "%s/%s", config_folder(c), entries[i]->d_name) >= 0) {
            blame(mine, path, e);
            free(path);
        }
        free(entries[i]);
    }
    free(entries);
    return -1;
}
