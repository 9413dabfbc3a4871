/* sinks/schema.h - the SQL of schema/NNNN_what.sql, as it was when the binary was built (embed.cmake makes
 * the source).
 */
#ifndef ROOST_SINKS_SCHEMA_H
#define ROOST_SINKS_SCHEMA_H

#include <stddef.h>

struct schema_version {
    int number;       /* from 1, in order, without holes */
    const char *what; /* of the file's name: "tables" */
    const char *sql;  /* any number of statements; they run in one transaction */
};

extern const struct schema_version schema_versions[];
extern const size_t schema_version_count; /* also the number of the newest */

#endif
