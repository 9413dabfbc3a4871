/* bridge/settings.h - the key table of [bridge]. */
#ifndef ROOST_BRIDGE_SETTINGS_H
#define ROOST_BRIDGE_SETTINGS_H

#include "config/config.h"

#include <stdint.h>

enum bridge_plain { BRIDGE_PLAIN_TEXT, BRIDGE_PLAIN_JSON, BRIDGE_PLAIN_OFF };
enum bridge_start { BRIDGE_START_NOW, BRIDGE_START_ON_CLIENT };
enum bridge_when_full { BRIDGE_WHEN_FULL_STOP, BRIDGE_WHEN_FULL_DROP_OLDEST };

struct bridge_settings {
    char *listen;       /* as address_parse reads it; local */
    char *end_marker;   /* 2 to 32 bytes of printable ASCII, no upper case, at least one letter */
    int plain;          /* enum bridge_plain */
    int start;          /* enum bridge_start; the bridge reports the first client, the caller acts on it */
    char *spool_dir;    /* absolute; not given: bridge_default_spool */
    int64_t spool_max;  /* bytes; at least 16 MiB */
    int64_t spool_sync; /* least milliseconds between the starts of two syncs; 0: back to back */
    int when_full;      /* enum bridge_when_full */
};

extern const struct config_kind bridge_kind;

/* Where the spool is when the file does not say: /var/lib/roost/spool, and for the configuration of a
 * template unit, a file /etc/roost/NAME.conf (or below a prefix: PREFIX/etc/roost) that is not roost.conf, in
 * /var/lib/roost/NAME/spool, so that two services never share one by accident. `folder`: the file's,
 * absolute. The caller frees it; NULL: memory is out. */
char *bridge_default_spool(const char *folder, const char *path);

/* The checks of single values, also of use to other rooms' tables. 0, or -1 with what would be right. */
int bridge_check_address(const char *value, struct err *why); /* of a client: any address */
int bridge_check_listen(const char *value, struct err *why);  /* of a bridge: a local address */
int bridge_check_marker(const char *value, struct err *why);

#endif
