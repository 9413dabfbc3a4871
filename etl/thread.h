/* etl/thread.h - the few things every thread of this room needs: start one, wait with an end.
 *
 * Each has its slot at the watchdog (base/watchdog.h), named as the thread, and is idle there while it waits
 * here. Threads of this room take no signals (they are for the service's own loop). Deadlines are
 * milliseconds of CLOCK_MONOTONIC; condition variables must be made with thread_condition_init, so that a
 * jump of the wall clock neither shortens nor lengthens a wait.
 */
#ifndef ROOST_ETL_THREAD_H
#define ROOST_ETL_THREAD_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define THREAD_NEVER INT64_MAX

/* Starts body(argument) with all signals blocked; `name` (at most 15 bytes) is what ps and a debugger show.
 * The caller joins it. -1: ERR_RETRY, no thread was made. */
int thread_start(pthread_t *thread, void *(*body)(void *), void *argument, const char *name, struct err *e);

void thread_condition_init(pthread_cond_t *condition);

/* The deadline `ms` milliseconds from now; negative: THREAD_NEVER. */
int64_t thread_deadline(int64_t ms);

/* Waits for a signal of the condition, at most until the deadline. False when the deadline has passed. May
 * wake up without a signal: call it in a loop that checks. */
bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *held, int64_t deadline);

#endif
