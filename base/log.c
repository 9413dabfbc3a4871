#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level most_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level most)
{
    most_level = most;
}

static int print_head(char *line, size_t size, enum log_level level, const struct log_context *context)
{
    int n;
    if (getenv("JOURNAL_STREAM")) {
        n = snprintf(line, size, "<%d>", (int)level);
    } else {
        static const char *const names[] = {"", "", "", "ERROR ", "WARNING ", "", "", "debug "};
        time_t now = (time_t)(clock_wall_ms() / 1000);
        struct tm parts;
        localtime_r(&now, &parts);
        char stamp[24];
        strftime(stamp, sizeof stamp, "%H:%M:%S", &parts);
        n = snprintf(line, size, "%s %s", stamp, names[level]);
    }
    if (context && context->module) {
        const char *instance = context->instance;
        n += snprintf(line + n, size - (size_t)n, "%s%s%s: ", context->module, instance ? " " : "",
                      instance ? instance : "");
    }
    return n;
}

void log_at(enum log_level level, const struct log_context *context, const char *format, ...)
{
    if (level > most_level) {
        return;
    }
    int saved_errno = errno;
    char line[4096];
    size_t size = sizeof line - 1;
    size_t used = (size_t)print_head(line, size / 2, level, context);
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line + used, size - used, format, arguments);
    va_end(arguments);
    used += n < 0 ? 0 : (size_t)n;
    if (used >= size) {
        used = size - 1;
    }
    for (size_t i = 0; i < used; i++) {
        if (line[i] == '\n' || line[i] == '\r') {
            line[i] = ' '; /* one event stays one line, whatever a server's message holds */
        }
    }
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written; /* with stderr gone there is nobody left to tell */
    errno = saved_errno;
}

int log_every(struct log_repeat *repeat, int64_t gap_ms, uint64_t *held)
{
    int64_t now = clock_steady_ms();
    if (repeat->last_ms && now - repeat->last_ms < gap_ms) {
        repeat->held++;
        return 0;
    }
    *held = repeat->held;
    *repeat = (struct log_repeat){.last_ms = now};
    return 1;
}
