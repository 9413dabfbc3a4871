/* base/log.h - one event, one line on stderr.
 *
 * Any thread may log; a line is written with one write(2), so lines never mix. Under systemd (JOURNAL_STREAM
 * names what stderr is) a line goes to journald with fields: ROOST_MODULE; ROOST_SOURCE, ROOST_SINK or
 * ROOST_BRIDGE, whichever the context's instance is; ROOST_BATCH. Where journald's socket does not take it,
 * the line is written to stderr behind its "<N>" priority. Elsewhere it begins with the local time. Secrets
 * and post texts are never logged, at no level: callers pass names, counts, addresses and positions.
 */
#ifndef ROOST_BASE_LOG_H
#define ROOST_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { /* syslog's numbers (RFC 5424, table 2), as sd-daemon(3) prints them */
                 LOG_LEVEL_ERROR = 3,
                 LOG_LEVEL_WARNING = 4,
                 LOG_LEVEL_NOTICE = 5,
                 LOG_LEVEL_INFO = 6,
                 LOG_LEVEL_DEBUG = 7
};

/* Which part speaks: "ingest", "covid" prints as "ingest covid: ". `instance` may be NULL. */
struct log_context {
    const char *module;
    const char *instance;
};

/* Lines above this level are dropped; LOG_LEVEL_INFO at start. Any thread. */
void log_set_level(enum log_level most);

/* For services: from now on events that repeat are collapsed. Of one kind (the same words of the same part,
 * whatever numbers and names are in them) LOG_BURST lines are printed in a minute of clock_steady_ms; what
 * comes beyond is counted, and the minute's end is a line with the latest of them and the count. Called by
 * main, before any thread is made. */
void log_collapse(void);
enum { LOG_BURST = 30, LOG_BURST_MS = 60 * 1000 };

/* Says the counts that are due: all of them at the end, else those whose minute is over. To be called now and
 * then. Any thread. */
void log_settle(bool all);

/* What this thread logs from now on is about the batch of this time (ROOST_BATCH); CLOCK_NONE: about none. */
void log_set_batch(int64_t batch_time);

/* The datagram of journald's native protocol for one line; how many bytes of `entry` it took. */
size_t log_journal_entry(char *entry, size_t size, enum log_level level, const struct log_context *context,
                         const char *line);

void log_at(enum log_level level, const struct log_context *context, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(context, ...)   log_at(LOG_LEVEL_ERROR, context, __VA_ARGS__)
#define log_warning(context, ...) log_at(LOG_LEVEL_WARNING, context, __VA_ARGS__)
#define log_notice(context, ...)  log_at(LOG_LEVEL_NOTICE, context, __VA_ARGS__)
#define log_info(context, ...)    log_at(LOG_LEVEL_INFO, context, __VA_ARGS__)
#define log_debug(context, ...)   log_at(LOG_LEVEL_DEBUG, context, __VA_ARGS__)

/* For an event that may repeat: one of these beside each such line. */
struct log_repeat {
    int64_t last_ms; /* 0: never printed */
    uint64_t held;   /* repeats not printed since then */
};

/* Returns 1 when the line should be printed now: the first time and then at most once in gap_ms milliseconds.
 * *held gets the number of repeats left out since the last line. One thread at a time for one log_repeat. */
int log_every(struct log_repeat *repeat, int64_t gap_ms, uint64_t *held);

#endif
