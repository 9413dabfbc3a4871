/* etl/settings.h - the key table of [etl]. */
#ifndef ROOST_ETL_SETTINGS_H
#define ROOST_ETL_SETTINGS_H

#include "config/config.h"

#include <stdint.h>

struct etl_settings {
    struct config_list bridge; /* addresses, as bridge/address.h reads them; at least one */
    char *bridge_token;        /* NULL: the file `token` in the bridge's spool_dir */
    char *consumer;
    int64_t batch_interval; /* ms */
    int64_t workers;        /* 0: one per core */
};

extern const struct config_kind etl_kind;

#endif
