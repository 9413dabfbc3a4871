/* One session of the database per consumer's name: a second one waits, whatever the first one is doing. */
#include "tests/sinks/support/cluster.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

CLUSTER_BEFORE_ALL
CLUSTER_AFTER_ALL

static int ask(struct sink *s, const char *consumer, uint64_t *sequence, struct err *e)
{
    return sink_postgres.position(s, consumer, VIEW("spool-a"), sequence, e);
}

static int64_t roost_sessions(PGconn *watch)
{
    return cluster_number(watch, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'roost' AND "
                                 "datname = current_database()");
}

Test(lock, a_second_session_of_the_name_is_refused_and_told_whose_it_is)
{
    char conninfo[CONNINFO_SIZE], process[64];
    struct err e;
    uint64_t sequence;
    cluster_tables(conninfo);
    PGconn *watch = cluster_connect(conninfo);
    struct sink *first = sink_on(conninfo), *second = sink_on(conninfo);
    cr_assert_eq(ask(first, "etl", &sequence, &e), 0, "%s", e.text);
    snprintf(process, sizeof process, "(process %lld",
             (long long)cluster_number(
                 watch, "SELECT pid FROM pg_stat_activity WHERE application_name = 'roost' AND datname = "
                        "current_database()"));
    cr_assert_eq(ask(second, "etl", &sequence, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_not_null(strstr(e.text, process), "%s", e.text);
    cr_expect_not_null(strstr(e.text, "connected since 2"), "%s", e.text);
    struct made_load *m = load_of(1, 1, 5);
    cr_expect_eq(sink_postgres.write(second, &m->load, &e), -1, "nor does it write");
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_eq(cluster_count(conninfo, "SELECT count(*) FROM roost.posts"), 0);
    cr_assert_eq(sink_postgres.write(first, &m->load, &e), 0, "%s", e.text);
    free(m);
    sink_postgres.close(first);
    cr_assert_eq(ask(second, "etl", &sequence, &e), 0, "closed, it lets the next one in: %s", e.text);
    cr_expect_eq(sequence, 5u);
    PQfinish(watch);
    sink_postgres.close(second);
}

Test(lock, other_names_work_side_by_side_and_a_look_takes_nothing)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    uint64_t sequence;
    cluster_tables(conninfo);
    struct sink *sinks[3] = {sink_on(conninfo), sink_on(conninfo), sink_on(conninfo)};
    cr_expect_eq(sink_postgres.look(sinks[0], &e), 0, "%s", e.text);
    cr_expect_eq(ask(sinks[1], "etl", &sequence, &e), 0, "%s", e.text);
    cr_expect_eq(ask(sinks[2], "etl2", &sequence, &e), 0, "%s", e.text);
    for (int i = 0; i < 3; i++) {
        sink_postgres.close(sinks[i]);
    }
}

Test(lock, a_lost_session_is_followed_by_a_new_one_of_the_same_sink)
{
    char conninfo[CONNINFO_SIZE];
    struct err e;
    uint64_t sequence;
    cluster_tables(conninfo);
    struct sink *s = sink_on(conninfo);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(ask(s, "etl", &sequence, &e), 0, "%s", e.text);
        cluster_run(conninfo, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                              "= 'roost' AND datname = current_database()");
        cr_assert_eq(ask(s, "etl", &sequence, &e), -1, "the loss is noticed");
        cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    }
    sink_postgres.close(s);
}

struct writing {
    struct sink *sink;
    struct made_load *load;
    struct err e;
    int rc;
};

static void *write_in_thread(void *user)
{
    struct writing *w = user;
    w->rc = sink_postgres.write(w->sink, &w->load->load, &w->e);
    return NULL;
}

/* The first one's connection is closed while the server waits, in its COMMIT, for a standby that is not
 * there: the batch is committed, but nobody sees it yet. */
Test(lock, the_successor_is_told_no_position_before_the_predecessors_commit_is_done)
{
    struct own_cluster c;
    struct err e;
    uint64_t sequence = 99;
    pthread_t thread;
    own_cluster_start(&c);
    struct writing w = {.sink = sink_on(c.conninfo), .load = load_of(1, 1, 10)};
    cr_assert_eq(ask(w.sink, "etl", &sequence, &w.e), 0, "%s", w.e.text);
    cluster_run(c.conninfo, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    cluster_run(c.conninfo, "SELECT pg_reload_conf()");
    PGconn *watch = cluster_connect(c.conninfo);
    const struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};
    while (!cluster_number(watch,
                           "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND "
                           "setting = 'nobody'")) {
        nanosleep(&moment, NULL);
    }
    pthread_create(&thread, NULL, write_in_thread, &w);
    while (!cluster_number(watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")) {
        nanosleep(&moment, NULL);
    }
    sink_postgres.stop(w.sink);
    pthread_join(thread, NULL);
    cr_expect_eq(w.rc, -1);
    sink_postgres.close(w.sink);
    struct sink *successor = sink_on(c.conninfo);
    cr_expect_eq(ask(successor, "etl", &sequence, &e), -1, "told %llu", (unsigned long long)sequence);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    cr_expect_eq(roost_sessions(watch), 2);
    cluster_run(c.conninfo, "ALTER SYSTEM RESET synchronous_standby_names");
    cluster_run(c.conninfo, "SELECT pg_reload_conf()");
    while (ask(successor, "etl", &sequence, &e) != 0) {
        cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text);
    }
    cr_expect_eq(sequence, 10u);
    cr_expect_eq(cluster_number(watch, "SELECT count(*) FROM roost.posts"), 10);
    free(w.load);
    PQfinish(watch);
    sink_postgres.close(successor);
    own_cluster_do(&c, "stop");
}
