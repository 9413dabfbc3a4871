#include "tests/sinks/support/cluster.h"

#include "base/log.h"
#include "sinks/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How the program tells its tests, which are processes of their own, where the cluster is. */
#define CLUSTER_VARIABLE "ROOST_TEST_CLUSTER"

static const char *script(char *path, size_t size)
{
    const char *source = getenv("SOURCE");
    snprintf(path, size, "%s/tests/support/postgres.sh", source ? source : ".");
    return path;
}

/* 0, or the script's exit status; its output in `line`. */
static int run_script(const char *verb, const char *folder, pid_t owner, char *line, size_t size)
{
    char path[600], command[900];
    snprintf(command, sizeof command, "'%s' %s '%s' %d", script(path, sizeof path), verb, folder, (int)owner);
    FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c): a fixed script of ours */
    if (!out) {
        return -1;
    }
    if (!fgets(line, (int)size, out)) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    int status = pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char shared_folder[64];

void cluster_begin(void)
{
    char line[CONNINFO_SIZE];
    snprintf(shared_folder, sizeof shared_folder, "/tmp/roost-pg-XXXXXX");
    if (!mkdtemp(shared_folder)) {
        perror("mkdtemp");
        return;
    }
    int status = run_script("start", shared_folder, getpid(), line, sizeof line);
    if (status == 3) {
        fprintf(stderr, "%s\n", line);
        rmdir(shared_folder);
    }
    setenv(CLUSTER_VARIABLE, status == 0 ? line : status == 3 ? "none" : "broken", 1);
}

void cluster_end(void)
{
    char line[CONNINFO_SIZE];
    if (shared_folder[0]) {
        run_script("stop", shared_folder, getpid(), line, sizeof line);
    }
}

void cluster_database(char conninfo[CONNINFO_SIZE])
{
    const char *cluster = getenv(CLUSTER_VARIABLE);
    log_set_level(LOG_LEVEL_WARNING);
    cr_assert_not_null(cluster);
    cr_assert_str_neq(cluster, "broken", "the private PostgreSQL did not start");
    if (strcmp(cluster, "none") == 0) {
        cr_skip_test("skipped: no PostgreSQL server programs (initdb) on this machine");
    }
    char sql[100];
    snprintf(sql, sizeof sql, "CREATE DATABASE test_%d TEMPLATE template0", (int)getpid());
    cluster_run(cluster, sql);
    const char *end = strstr(cluster, " dbname=");
    snprintf(conninfo, CONNINFO_SIZE, "%.*s dbname=test_%d", (int)(end - cluster), cluster, (int)getpid());
}

void cluster_tables(char conninfo[CONNINFO_SIZE])
{
    struct err e;
    cluster_database(conninfo);
    cr_assert_eq(migrate_run(conninfo, NULL, &e), 0, "%s", e.text);
}

void own_cluster_start(struct own_cluster *c)
{
    struct err e;
    snprintf(c->folder, sizeof c->folder, "/tmp/roost-pg-XXXXXX");
    cr_assert_not_null(mkdtemp(c->folder));
    int status = run_script("start", c->folder, getpid(), c->conninfo, sizeof c->conninfo);
    if (status == 3) {
        fprintf(stderr, "%s\n", c->conninfo);
        rmdir(c->folder);
        cr_skip_test("skipped: no PostgreSQL server programs (initdb) on this machine");
    }
    cr_assert_eq(status, 0, "the private PostgreSQL did not start");
    cr_assert_eq(migrate_run(c->conninfo, NULL, &e), 0, "%s", e.text);
}

void own_cluster_do(const struct own_cluster *c, const char *verb)
{
    char line[CONNINFO_SIZE];
    cr_assert_eq(run_script(verb, c->folder, getpid(), line, sizeof line), 0, "postgres.sh %s failed", verb);
}

PGconn *cluster_connect(const char *conninfo)
{
    PGconn *connection = PQconnectdb(conninfo);
    cr_assert_eq(PQstatus(connection), CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQsetClientEncoding(connection, "UTF8");
    return connection;
}

const char *cluster_ask(PGconn *connection, const char *sql, char *into, size_t size)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, "%s: %s", sql,
              PQerrorMessage(connection));
    snprintf(into, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return into;
}

int64_t cluster_number(PGconn *connection, const char *sql)
{
    char text[64];
    return strtoll(cluster_ask(connection, sql, text, sizeof text), NULL, 10);
}

void cluster_run(const char *conninfo, const char *sql)
{
    char text[64];
    PGconn *connection = cluster_connect(conninfo);
    cluster_ask(connection, sql, text, sizeof text);
    PQfinish(connection);
}

int64_t cluster_count(const char *conninfo, const char *sql)
{
    PGconn *connection = cluster_connect(conninfo);
    int64_t count = cluster_number(connection, sql);
    PQfinish(connection);
    return count;
}
