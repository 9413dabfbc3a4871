#include "etl/thread.h"

#include "base/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct beginning {
    void *(*body)(void *);
    void *argument;
    const char *name;
};

static void *thread_main(void *argument)
{
    struct beginning begin = *(struct beginning *)argument;
    free(argument);
    watchdog_enter(begin.name);
    void *result = begin.body(begin.argument);
    watchdog_leave();
    return result;
}

int thread_start(pthread_t *thread, void *(*body)(void *), void *argument, const char *name, struct err *e)
{
    struct beginning *begin = malloc(sizeof *begin);
    if (!begin) {
        return err_set(e, ERR_RETRY, "out of memory for the thread %s", name);
    }
    *begin = (struct beginning){body, argument, name};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, thread_main, begin);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(begin);
        return err_set(e, ERR_RETRY, "cannot start the thread %s: %s", name, strerror(failed));
    }
    pthread_setname_np(*thread, name);
    return 0;
}

void thread_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int64_t thread_deadline(int64_t ms)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t shown = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    return ms < 0 || ms > THREAD_NEVER - shown ? THREAD_NEVER : shown + ms;
}

bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *held, int64_t deadline)
{
    bool in_time = true;
    watchdog_rest();
    if (deadline == THREAD_NEVER) {
        pthread_cond_wait(condition, held);
    } else {
        struct timespec end = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
        in_time = pthread_cond_timedwait(condition, held, &end) != ETIMEDOUT;
    }
    watchdog_resume();
    return in_time;
}
