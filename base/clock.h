/* base/clock.h - what time it is, and times as text.
 *
 * Wall times are milliseconds since 1970-01-01 UTC (they may jump); steady times are milliseconds of
 * CLOCK_BOOTTIME (they only go forward, also while the machine sleeps) and mean something only as
 * differences.
 */
#ifndef ROOST_BASE_CLOCK_H
#define ROOST_BASE_CLOCK_H

#include "base/view.h"

#include <stdint.h>

#define CLOCK_NONE INT64_MIN /* "no time": a column's NULL */

enum { CLOCK_TEXT_SIZE = 32 };

int64_t clock_wall_ms(void);
int64_t clock_steady_ms(void);
int64_t clock_steady_us(void); /* the same clock in microseconds, for durations of work */

/* RFC 3339 in UTC with milliseconds, "2018-10-10T20:19:24.211Z", into text; returns text. Years 0 to 9999. */
char *clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/* Reads RFC 3339 (any offset, any number of decimals; finer than milliseconds is cut off). 0, or -1 when it
 * is none. */
int clock_parse(struct view text, int64_t *wall_ms);

/* Milliseconds since 1970 of a date in the proleptic Gregorian calendar; month 1 to 12, day 1 to 31. */
int64_t clock_from_date(int year, int month, int day, int hour, int minute, int second, int millisecond);

#endif
