#include "sinks/migrate.h"

#include "base/clock.h"
#include "base/version.h"
#include "sinks/postgres_error.h"
#include "sinks/postgres_link.h"
#include "sinks/postgres_partitions.h"
#include "sinks/postgres_schema.h"
#include "sinks/schema.h"

#include <stdio.h>
#include <string.h>

/* The advisory lock's key: "roost" in ASCII. */
static const char lock_sql[] = "SET lock_timeout = '60s'; SELECT pg_advisory_lock(491495846772);"
                               "SET lock_timeout = '1s'";
static const char unlock_sql[] = "SELECT pg_advisory_unlock(491495846772)";

static const char version_sql[] = "CREATE TABLE roost.schema_version ("
                                  " version integer PRIMARY KEY,"
                                  " what text NOT NULL,"
                                  " roost text NOT NULL,"
                                  " applied_at timestamptz NOT NULL DEFAULT now())";

static int check_encoding(struct postgres_link *link, struct err *e)
{
    PGresult *result;
    if (postgres_link_ask(link, "SELECT current_setting('server_encoding'), current_database()", 0, NULL,
                          &result, e)) {
        return -1;
    }
    int rc = 0;
    if (strcmp(PQgetvalue(result, 0, 0), "UTF8") != 0) {
        rc = err_set(e, ERR_FATAL,
                     "database \"%s\" has the encoding %s, posts need UTF8: make another with "
                     "createdb -E UTF8 -T template0 NAME",
                     PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return rc;
}

/* CREATE SCHEMA IF NOT EXISTS asks for the right to create even if there is nothing to create, so it is asked
 * first: an administrator may have made the schema for a role that can do nothing else. */
static int make_schema(struct postgres_link *link, struct err *e)
{
    PGresult *result;
    if (postgres_link_ask(link, "SELECT to_regnamespace('roost') IS NOT NULL", 0, NULL, &result, e)) {
        return -1;
    }
    bool there = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    return there ? 0 : postgres_link_run(link, "CREATE SCHEMA roost", e);
}

static int apply(struct postgres_link *link, const struct schema_version *v, struct err *e)
{
    char number[16];
    snprintf(number, sizeof number, "%d", v->number);
    const char *values[] = {number, v->what, version_number};
    if (postgres_link_run(link, "BEGIN", e)) {
        return -1;
    }
    if (v->number == 1 && (make_schema(link, e) || postgres_link_run(link, version_sql, e))) {
        return -1;
    }
    if (postgres_link_run(link, v->sql, e) ||
        postgres_link_ask(link, "INSERT INTO roost.schema_version (version, what, roost) VALUES ($1, $2, $3)",
                          3, values, NULL, e)) {
        return -1;
    }
    return postgres_link_run(link, "COMMIT", e);
}

static int bring_up(struct postgres_link *link, const struct log_context *log, struct err *e)
{
    int version, known = (int)schema_version_count;
    if (postgres_schema_version(link, &version, e)) {
        return -1;
    }
    if (version > known) {
        return err_set(
            e, ERR_FATAL,
            "the tables are of version %d, this roost knows versions up to %d: it is older than the one "
            "that made them; nothing was changed",
            version, known);
    }
    for (int i = version; i < known; i++) {
        if (apply(link, &schema_versions[i], e)) {
            return err_wrap(e, "version %d (%s) of the tables", schema_versions[i].number,
                            schema_versions[i].what);
        }
        log_info(log, "the tables are now of version %d (%s)", schema_versions[i].number,
                 schema_versions[i].what);
    }
    return postgres_schema_check(link, e);
}

/* Nothing to do is the usual case, at each start of the service: it takes no lock. */
static int is_up(struct postgres_link *link, bool *up, struct err *e)
{
    int version;
    if (postgres_schema_version(link, &version, e)) {
        return -1;
    }
    *up = version == (int)schema_version_count;
    return *up ? postgres_schema_check(link, e) : 0;
}

static int bring_up_alone(struct postgres_link *link, const struct log_context *log, struct err *e)
{
    if (postgres_link_run(link, lock_sql, e)) {
        return postgres_error_is_lock(postgres_link_state(link))
                   ? err_set(e, ERR_RETRY,
                             "another `roost migrate` has been at work on this database for a minute")
                   : -1;
    }
    if (bring_up(link, log, e)) {
        return postgres_error_is_lock(postgres_link_state(link))
                   ? err_wrap(e, "somebody works with the tables, and a change waits for a second at most")
                   : -1;
    }
    struct err ignored; /* the lock goes with the session at the latest */
    (void)postgres_link_run(link, unlock_sql, &ignored);
    return 0;
}

int migrate_run(const char *conninfo, const struct log_context *log, struct err *e)
{
    int rc = -1;
    struct postgres_partitions partitions = {0};
    struct postgres_link *link = postgres_link_new(conninfo, e);
    if (!link) {
        return err_wrap(e, "conninfo");
    }
    if (postgres_link_connect(link, NULL, e) || check_encoding(link, e)) {
        goto end;
    }
    bool up;
    if (is_up(link, &up, e) || (!up && bring_up_alone(link, log, e))) {
        goto end;
    }
    (void)postgres_partitions_keep(&partitions, link, log);
    rc = 0;
end:
    if (rc && e->kind == ERR_REJECT) {
        e->kind = ERR_FATAL; /* here a refused value is a fault of the SQL, not of somebody's post */
    }
    postgres_link_free(link);
    return rc;
}
