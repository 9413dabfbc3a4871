#include "sinks/postgres_schema.h"

#include "base/number.h"
#include "bridge/post.h"
#include "sinks/schema.h"

#include <string.h>

int postgres_schema_version(struct postgres_link *link, int *version, struct err *e)
{
    PGresult *result;
    int64_t number = 0;
    *version = 0;
    if (postgres_link_ask(link, "SELECT to_regclass('roost.schema_version') IS NOT NULL", 0, NULL, &result,
                          e)) {
        return -1;
    }
    bool there = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    if (!there) {
        return 0;
    }
    if (postgres_link_ask(link, "SELECT coalesce(max(version), 0) FROM roost.schema_version", 0, NULL,
                          &result, e)) {
        return -1;
    }
    int bad = number_parse(view_of(PQgetvalue(result, 0, 0)), 0, INT32_MAX, &number);
    PQclear(result);
    *version = (int)number;
    return bad ? err_set(e, ERR_FATAL, "roost.schema_version holds no number that can be a version") : 0;
}

static const char *type_name(enum post_field_type type)
{
    switch (type) {
    case POST_TEXT:
        return "text";
    case POST_LIST:
        return "text[]";
    case POST_NUMBER:
        return "bigint";
    case POST_FLAG:
        return "boolean";
    case POST_REAL:
        return "double precision";
    case POST_TIME:
        return "timestamp with time zone";
    case POST_JSON:
        return "jsonb";
    }
    return "";
}

static const char *column_type(const PGresult *columns, const char *name)
{
    for (int i = 0; i < PQntuples(columns); i++) {
        if (strcmp(PQgetvalue(columns, i, 0), name) == 0) {
            return PQgetvalue(columns, i, 1);
        }
    }
    return "missing";
}

static int check_columns(struct postgres_link *link, struct err *e)
{
    static const char sql[] = "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                              " WHERE attrelid = 'roost.posts'::regclass AND attnum > 0 AND NOT attisdropped";
    PGresult *columns;
    if (postgres_link_ask(link, sql, 0, NULL, &columns, e)) {
        return -1;
    }
    int rc = 0;
    for (size_t i = 0; i < post_field_count && rc == 0; i++) {
        const char *type = column_type(columns, post_fields[i].name);
        const char *wanted = type_name(post_fields[i].type);
        if ((post_fields[i].use & POST_IN_TABLE) && strcmp(type, wanted) != 0) {
            rc = err_set(e, ERR_FATAL,
                         "column roost.posts.%s is %s, not %s: the tables are not as this roost knows them; "
                         "put it back, or load into a new database (`roost migrate -c FILE`)",
                         post_fields[i].name, type, wanted);
        }
    }
    PQclear(columns);
    return rc;
}

int postgres_schema_check(struct postgres_link *link, struct err *e)
{
    int version, known = (int)schema_version_count;
    if (postgres_schema_version(link, &version, e)) {
        return -1;
    }
    if (version == 0) {
        return err_set(e, ERR_FATAL, "the database has no tables of roost: run `roost migrate -c FILE`");
    }
    if (version < known) {
        return err_set(
            e, ERR_FATAL,
            "the tables are of version %d, this roost writes version %d: run `roost migrate -c FILE`",
            version, known);
    }
    if (version > known) {
        return err_set(e, ERR_FATAL,
                       "the tables are of version %d, this roost knows versions up to %d: a newer roost ran "
                       "`roost migrate`; install that one here",
                       version, known);
    }
    return check_columns(link, e);
}
