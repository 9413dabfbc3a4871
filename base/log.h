/* base/log.h - one event, one line on stderr.
 *
 * Any thread may log; a line is written with one write(2), so lines never mix. Under systemd (JOURNAL_STREAM
 * is set) each line begins with its "<N>" priority and journald adds the time; elsewhere a line begins with
 * the local time. Secrets and post texts are never logged, at no level: callers pass names, counts, addresses
 * and positions.
 */
#ifndef ROOST_BASE_LOG_H
#define ROOST_BASE_LOG_H

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

/* Lines above this level are dropped; LOG_LEVEL_INFO at start. Called by main, before any thread is made. */
void log_set_level(enum log_level most);

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
