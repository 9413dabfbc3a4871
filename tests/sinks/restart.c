/* The server goes away at any moment: the sink says so, keeps nothing half, and goes on when it is back. */
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t position_of(struct sink *s)
{
    struct err e;
    uint64_t sequence;
    cr_assert_eq(sink_postgres.position(s, "etl", VIEW("spool-a"), &sequence, &e), 0, "%s", e.text);
    return sequence;
}

static int write_of(struct sink *s, uint64_t first, size_t count, struct err *e)
{
    struct made_load *m = load_of(first, (int64_t)first, count);
    int rc = sink_postgres.write(s, &m->load, e);
    free(m);
    return rc;
}

Test(restart, between_two_writes)
{
    struct own_cluster c;
    struct err e;
    own_cluster_start(&c);
    struct sink *s = sink_on(c.conninfo);
    cr_assert_eq(write_of(s, 1, 10, &e), 0, "%s", e.text);
    own_cluster_do(&c, "restart");
    cr_expect_eq(write_of(s, 11, 10, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_eq(position_of(s), 10u);
    cr_expect_eq(write_of(s, 11, 10, &e), 0, "%s", e.text);
    cr_expect_eq(cluster_count(c.conninfo, "SELECT count(*) FROM roost.posts"), 20);
    sink_postgres.close(s);
    own_cluster_do(&c, "stop");
}

Test(restart, away_for_a_while)
{
    struct own_cluster c;
    struct err e;
    uint64_t sequence;
    own_cluster_start(&c);
    struct sink *s = sink_on(c.conninfo);
    own_cluster_do(&c, "kill");
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(sink_postgres.position(s, "etl", VIEW("spool-a"), &sequence, &e), -1);
        cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
        cr_expect_eq(write_of(s, 1, 10, &e), -1);
        cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    }
    own_cluster_do(&c, "up");
    cr_expect_eq(position_of(s), 0u);
    cr_expect_eq(write_of(s, 1, 10, &e), 0, "%s", e.text);
    sink_postgres.close(s);
    own_cluster_do(&c, "stop");
}

struct writing {
    struct sink *sink;
    struct err e;
    int rc;
};

static void *write_in_thread(void *user)
{
    struct writing *w = user;
    w->rc = write_of(w->sink, 1, 2000, &w->e);
    return NULL;
}

static void await(PGconn *c, const char *condition)
{
    while (cluster_number(c, condition) == 0) {
        struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
        nanosleep(&moment, NULL);
    }
}

Test(restart, killed_in_the_middle_of_a_write)
{
    struct own_cluster c;
    struct err e;
    pthread_t thread;
    char text[10];
    own_cluster_start(&c);
    struct writing w = {.sink = sink_on(c.conninfo)};
    cr_assert_eq(position_of(w.sink), 0u);
    /* roost.batches is locked, so the write stops with its posts in and before its end. */
    PGconn *holder = cluster_connect(c.conninfo), *watch = cluster_connect(c.conninfo);
    cluster_ask(holder, "BEGIN", text, sizeof text);
    cluster_ask(holder, "LOCK TABLE roost.batches IN ACCESS EXCLUSIVE MODE", text, sizeof text);
    pthread_create(&thread, NULL, write_in_thread, &w);
    await(watch, "SELECT count(*) FROM pg_locks WHERE NOT granted");
    own_cluster_do(&c, "kill");
    pthread_join(thread, NULL);
    cr_expect_eq(w.rc, -1);
    cr_expect_eq(w.e.kind, ERR_RETRY, "%s", w.e.text);
    PQfinish(holder);
    PQfinish(watch);
    own_cluster_do(&c, "up");
    cr_expect_eq(position_of(w.sink), 0u);
    cr_expect_eq(cluster_count(c.conninfo, "SELECT count(*) FROM roost.posts"), 0);
    cr_expect_eq(write_of(w.sink, 1, 2000, &e), 0, "%s", e.text);
    cr_expect_eq(cluster_count(c.conninfo, "SELECT count(*) FROM roost.posts"), 2000);
    cr_expect_eq(cluster_count(c.conninfo, "SELECT count(*) FROM roost.batches WHERE loaded = 2000"), 1);
    sink_postgres.close(w.sink);
    own_cluster_do(&c, "stop");
}

Test(restart, a_commit_whose_answer_is_lost_is_seen_and_not_repeated)
{
    struct own_cluster c;
    pthread_t thread;
    own_cluster_start(&c);
    struct writing w = {.sink = sink_on(c.conninfo)};
    cr_assert_eq(position_of(w.sink), 0u);
    /* Every COMMIT now waits for a standby that does not exist, after it is done here. */
    cluster_run(c.conninfo, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    cluster_run(c.conninfo, "SELECT pg_reload_conf()");
    PGconn *watch = cluster_connect(c.conninfo);
    await(watch,
          "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'nobody'");
    pthread_create(&thread, NULL, write_in_thread, &w);
    await(watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'");
    cluster_number(watch,
                   "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'COMMIT'");
    pthread_join(thread, NULL);
    cr_expect_eq(w.rc, -1);
    cr_expect_eq(w.e.kind, ERR_RETRY, "%s", w.e.text);
    cr_expect_eq(position_of(w.sink), 2000u, "it was committed after all");
    write_in_thread(&w);
    cr_expect_eq(w.rc, 0, "what is in already is skipped: %s", w.e.text);
    cr_expect_eq(cluster_number(watch, "SELECT count(*) FROM roost.posts"), 2000);
    cr_expect_eq(cluster_number(watch, "SELECT count(*) FROM roost.batches"), 1);
    PQfinish(watch);
    sink_postgres.close(w.sink);
    own_cluster_do(&c, "stop");
}

Test(restart, a_session_ended_by_an_administrator)
{
    struct own_cluster c;
    struct err e;
    own_cluster_start(&c);
    struct sink *s = sink_on(c.conninfo);
    cr_assert_eq(write_of(s, 1, 10, &e), 0, "%s", e.text);
    cluster_run(c.conninfo,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'roost'");
    cr_expect_eq(write_of(s, 11, 10, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_eq(write_of(s, 11, 10, &e), 0, "it goes on without position() as well: %s", e.text);
    cr_expect_eq(cluster_count(c.conninfo, "SELECT count(*) FROM roost.posts"), 20);
    sink_postgres.close(s);
    own_cluster_do(&c, "stop");
}
