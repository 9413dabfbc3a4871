/* tests/sinks/support/cluster.h - a real PostgreSQL for the tests of sinks/, made by
 * tests/support/postgres.sh.
 *
 * A program that says CLUSTER_BEFORE_ALL and CLUSTER_AFTER_ALL has one, started before its first test and
 * removed after its last (also when the program is killed: the script watches it); each test makes a database
 * of its own in it. Tests that kill or restart a server start one of their own. Without server programs on
 * this machine such tests are skipped, visibly.
 */
#ifndef ROOST_TESTS_SINKS_SUPPORT_CLUSTER_H
#define ROOST_TESTS_SINKS_SUPPORT_CLUSTER_H

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum { CONNINFO_SIZE = 300 };

void cluster_begin(void);
void cluster_end(void);

/* clang-format off */
/* On two lines: criterion names a hook after its line. */
#define CLUSTER_BEFORE_ALL ReportHook(PRE_ALL)(struct criterion_test_set *tests) { (void)tests; cluster_begin(); }
#define CLUSTER_AFTER_ALL  ReportHook(POST_ALL)(struct criterion_global_stats *stats) { (void)stats; cluster_end(); }
/* clang-format on */

/* A new, empty database in the program's cluster. Skips the test where there is no PostgreSQL. */
void cluster_database(char conninfo[CONNINFO_SIZE]);

/* The same with roost's tables. */
void cluster_tables(char conninfo[CONNINFO_SIZE]);

struct own_cluster {
    char folder[64];
    char conninfo[CONNINFO_SIZE];
};

void own_cluster_start(struct own_cluster *c);
void own_cluster_do(const struct own_cluster *c, const char *verb); /* stop, restart, kill, up */

/* A connection for the test itself; fails the test if there is none. */
PGconn *cluster_connect(const char *conninfo);

/* Runs SQL; the first column of the first row as text ("" for null or no row), in a buffer of the caller's.
 * Fails the test on any error. */
const char *cluster_ask(PGconn *connection, const char *sql, char *into, size_t size);
int64_t cluster_number(PGconn *connection, const char *sql);

/* Runs SQL on a connection of its own. */
void cluster_run(const char *conninfo, const char *sql);
int64_t cluster_count(const char *conninfo, const char *sql);

#endif
