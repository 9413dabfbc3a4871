#include "sinks/postgres_keeper.h"

#include "base/clock.h"
#include "base/watchdog.h"
#include "sinks/interrupt.h"
#include "sinks/postgres_error.h"
#include "sinks/postgres_link.h"
#include "sinks/postgres_partitions.h"
#include "sinks/postgres_retention.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_MS = 10 * 60 * 1000, /* of the clock, between two looks */
    MONTH_MS = 60 * 1000,     /* the same, when a month could not be made */
    LOCK_FIRST_MS = 2 * 1000, /* real, when something held a lock; doubled each time */
    SAY_MS = 60 * 60 * 1000
};

struct postgres_keeper {
    struct log_context log;
    struct postgres_link *link;
    int64_t keep_ms;
    int stopped; /* an interrupt */
    pthread_t thread;
    bool started;
    struct postgres_partitions partitions;
    struct log_repeat repeat;
    int64_t lock_ms; /* the next wait for a lock */
};

/* True: something held a lock, or the like; what can be done soon is not done. */
static bool remove_old(struct postgres_keeper *k)
{
    struct err e;
    uint64_t held;
    if (k->keep_ms == 0 || postgres_retention_run(k->link, k->keep_ms, clock_wall_ms(), &k->log, &e) == 0) {
        return false;
    }
    bool locked = postgres_error_is_lock(postgres_link_state(k->link));
    if (interrupt_wait(k->stopped, -1, 0, 0) != INTERRUPT_RAISED && log_every(&k->repeat, SAY_MS, &held)) {
        log_warning(&k->log, "what is older than keep cannot be removed now, and is tried again: %s", e.text);
    }
    return locked;
}

/* Returns how long to wait until the next look: real milliseconds. */
static int64_t look(struct postgres_keeper *k)
{
    struct err ignored; /* the sink says that the server is away */
    int64_t wait_ms = clock_timer_ms(LOOK_MS);
    if (postgres_link_connect(k->link, NULL, &ignored)) {
        return wait_ms;
    }
    if (!postgres_partitions_keep(&k->partitions, k->link, &k->log)) {
        wait_ms = clock_timer_ms(MONTH_MS);
    }
    bool locked = postgres_link_is_open(k->link) && remove_old(k);
    postgres_link_drop(k->link);
    if (!locked) {
        k->lock_ms = LOCK_FIRST_MS;
        return wait_ms;
    }
    int64_t lock_ms = k->lock_ms;
    k->lock_ms = lock_ms < wait_ms ? 2 * lock_ms : lock_ms;
    return lock_ms < wait_ms ? lock_ms : wait_ms;
}

static void *keeper_main(void *argument)
{
    struct postgres_keeper *k = argument;
    int64_t wait_ms;
    watchdog_enter("sink keeper");
    do {
        wait_ms = look(k);
    } while (interrupt_wait(k->stopped, -1, 0, clock_real_ms() + wait_ms) != INTERRUPT_RAISED);
    watchdog_leave();
    return NULL;
}

/* The service's signals are for its own thread. */
static int start_thread(struct postgres_keeper *k, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&k->thread, NULL, keeper_main, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        return err_set(e, ERR_RETRY, "cannot make a thread: %s", strerror(failed));
    }
    pthread_setname_np(k->thread, "sink keeper");
    k->started = true;
    return 0;
}

struct postgres_keeper *postgres_keeper_start(const char *conninfo, int64_t keep_ms,
                                              const struct log_context *log, struct err *e)
{
    struct postgres_keeper *k = calloc(1, sizeof *k);
    if (!k) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    k->log = *log;
    k->keep_ms = keep_ms;
    k->lock_ms = LOCK_FIRST_MS;
    k->stopped = interrupt_new(e);
    if (k->stopped < 0) {
        goto fail;
    }
    k->link = postgres_link_new(conninfo, e);
    if (!k->link) {
        goto fail;
    }
    postgres_link_set_name(k->link, "roost keeper");
    if (start_thread(k, e)) {
        goto fail;
    }
    return k;
fail:
    postgres_keeper_free(k);
    return NULL;
}

void postgres_keeper_stop(struct postgres_keeper *k)
{
    interrupt_raise(k->stopped);
    postgres_link_stop(k->link);
}

void postgres_keeper_free(struct postgres_keeper *k)
{
    if (!k) {
        return;
    }
    if (k->started) {
        postgres_keeper_stop(k);
        pthread_join(k->thread, NULL);
    }
    postgres_link_free(k->link);
    if (k->stopped >= 0) {
        close(k->stopped);
    }
    free(k);
}
