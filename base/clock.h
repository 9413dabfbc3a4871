/* base/clock.h - what time it is, and times as text.
 *
 * Wall times are milliseconds since 1970-01-01 UTC (they may jump); steady times are milliseconds of
 * CLOCK_BOOTTIME (they only go forward, also while the machine sleeps) and mean something only as
 * differences.
 */
#ifndef ROOST_BASE_CLOCK_H
#define ROOST_BASE_CLOCK_H

#include "base/err.h"
#include "base/view.h"

#include <stdint.h>

#define CLOCK_NONE INT64_MIN /* "no time": a column's NULL */

enum { CLOCK_TEXT_SIZE = 32, CLOCK_TEST_SPEED_MOST = 10000 };

int64_t clock_wall_ms(void);
int64_t clock_steady_ms(void);
int64_t clock_steady_us(void); /* the same clock in microseconds, for durations of work */

/* ---- the test hook ----
 *
 * Tests make the wall clock jump, and time go faster, by a file that all programs of a test share. It has 40
 * bytes, numbers in the machine's byte order, and must stay as long as it is (a shorter one ends its readers
 * with SIGBUS):
 *
 *     0   "roostclk"
 *     8   base: a moment of CLOCK_BOOTTIME in microseconds, not in the future
 *    16   the wall time at the base in microseconds since 1970
 *    24   speed, 1 to 10000: how fast wall and steady time go, both counted from the base
 *    32   offset in milliseconds, added to wall times only; the one field that may change, in one store
 *
 * While it is in use the machine's own wall clock is not looked at. Timers and poll(2) know nothing of it:
 * what waits for a time of this clock asks clock_timer_ms how long that really takes. What waits for work of
 * this machine (an answer of the database, a local socket) goes by clock_real_ms. Without a file all this
 * costs one test of a pointer.
 */

/* Takes the time from such a file from now on. For main alone: once, before anything asks for a time and
 * before there are threads. -1, ERR_FATAL: the file cannot be read or is none. */
int clock_use_test_file(const char *path, struct err *e);

/* The speed of the file in use; 0: none is, the time is the machine's. */
int64_t clock_test_speed(void);

/* How many real milliseconds `ms` of the clock's time last, rounded up: what to give to uv_timer_start,
 * epoll_wait, libcurl. `ms` itself without the hook, and when it is 0 or negative ("no limit"). */
int64_t clock_timer_ms(int64_t ms);

/* CLOCK_MONOTONIC in microseconds whatever the hook says: as real, but it stands still while the machine
 * sleeps, so nothing is late after it has slept. */
int64_t clock_monotonic_us(void);

/* CLOCK_BOOTTIME in milliseconds whatever the hook says: for deadlines of work that takes real time. */
int64_t clock_real_ms(void);

/* The wall clock as if the hook's speed were 1; its jumps are in it. For intervals that must not go faster.
 */
int64_t clock_paced_wall_ms(void);

/* RFC 3339 in UTC with milliseconds, "2018-10-10T20:19:24.211Z", into text; returns text. Years 0 to 9999. */
char *clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/* Reads RFC 3339 (any offset, any number of decimals; finer than milliseconds is cut off). 0, or -1 when it
 * is none. */
int clock_parse(struct view text, int64_t *wall_ms);

/* Milliseconds since 1970 of a date in the proleptic Gregorian calendar; month 1 to 12, day 1 to 31. */
int64_t clock_from_date(int year, int month, int day, int hour, int minute, int second, int millisecond);

#endif
