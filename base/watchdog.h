/* base/watchdog.h - does every thread of this process get on?
 *
 * The problem: a service whose main loop turns while one of its threads hangs looks healthy to its manager.
 * The design: each thread has a slot and counts its progress there; the main loop judges all slots now and
 * then (watchdog_judge) and tells the manager only when all get on. base/DESIGN.md, "The watchdog", has the
 * limits and which calls are sliced how.
 *
 * A thread's own slot is found by itself (thread-local); in a thread without one, and in programs that never
 * judge, all this does nothing. Slots belong to the process.
 */
#ifndef ROOST_BASE_WATCHDOG_H
#define ROOST_BASE_WATCHDOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCHDOG_NAME_SIZE = 32, WATCHDOG_SLOTS = 512 };

/* ---- for threads ---- */

/* This thread has a slot from here on, and is busy. `name` is copied, 1 to 31 bytes. Beyond WATCHDOG_SLOTS a
 * thread is not watched (there are at most 256 workers and 32 sinks). */
void watchdog_enter(const char *name);
void watchdog_leave(void);

/* It has got on. Only where it holds no lock: the test hook stops here for good. */
void watchdog_progress(void);

/* Waits for work, or has it again. */
void watchdog_rest(void);
void watchdog_resume(void);

/* Around one system call that cannot be sliced (fdatasync(2), the resolver); not nested. */
void watchdog_call_begins(void);
void watchdog_call_ends(void);

/* How long a wait may be before progress is counted again: 5000 ms, less with a short WATCHDOG_USEC. */
int watchdog_slice_ms(void);

/* ---- for work that a pool's threads do, each piece one call that cannot be sliced ---- */

void watchdog_errand_given(const char *name); /* by whoever gives it to the pool */
void watchdog_errand_runs(const char *name);  /* on the pool's thread, first of all */
void watchdog_errand_done(const char *name);  /* by whoever gave it, when it is back */

/* ---- for the main loop ---- */

/* `limit_us`: half of the manager's WATCHDOG_USEC, or 0: there is none, and 15 s is the limit. For main,
 * before there are threads. */
void watchdog_set_limit(int64_t limit_us);

/* How often to judge, in milliseconds of real time. */
int watchdog_judge_ms(void);

/* True: every busy thread has got on within the limit. `say` (may be NULL) is called once when a thread
 * begins to hang (`hangs`), and once when it gets on again; still_ms is how long it stood still. One thread
 * judges. */
bool watchdog_judge(void (*say)(void *user, const char *name, int64_t still_ms, bool hangs), void *user);

/* The name of the index-th thread that hangs, as judged last; NULL: there are no more. The judging thread. */
const char *watchdog_hanging(size_t index);

/* ---- the test hook ---- */

/* ROOST_TEST_HANG: "NAME" or "NAME=FILE". For main alone, before there are threads; `spec` lives on. -1: the
 * name is empty or too long. */
int watchdog_use_test_hang(const char *spec, struct err *e);

#endif
