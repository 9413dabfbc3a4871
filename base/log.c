#include "base/log.h"

#include "base/clock.h"
#include "base/number.h"
#include "base/view.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { LINE_MAXIMUM = 4096, KINDS = 64, KEPT_TEXT = 400, NAME_SIZE = 64 };

static _Atomic enum log_level most_level = LOG_LEVEL_INFO;
static _Thread_local int64_t batch = CLOCK_NONE;

void log_set_level(enum log_level most)
{
    atomic_store(&most_level, most);
}

void log_set_batch(int64_t batch_time)
{
    batch = batch_time;
}

/* ---- writing one line ---- */

/* JOURNAL_STREAM is "DEVICE:INODE" of what systemd gave as stderr; a program whose stderr goes elsewhere
 * inherits the variable too. */
static bool is_journal(void)
{
    struct stat status;
    uint64_t device, inode;
    const char *stream = getenv("JOURNAL_STREAM"), *colon = stream ? strchr(stream, ':') : NULL;
    return colon && number_parse_unsigned(view_make(stream, (size_t)(colon - stream)), &device) == 0 &&
           number_parse_unsigned(view_of(colon + 1), &inode) == 0 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

static const char *field_of_instance(const char *module)
{
    static const char *const fields[][2] = {
        {"ingest", "ROOST_SOURCE"}, {"sink", "ROOST_SINK"}, {"etl", "ROOST_BRIDGE"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(module, fields[i][0]) == 0) {
            return fields[i][1];
        }
    }
    return "ROOST_INSTANCE";
}

size_t log_journal_entry(char *entry, size_t size, enum log_level level, const struct log_context *context,
                         const char *line)
{
    char time[CLOCK_TEXT_SIZE];
    const char *module = context && context->module ? context->module : NULL;
    const char *instance = module ? context->instance : NULL;
    int n =
        snprintf(entry, size, "PRIORITY=%d\nSYSLOG_IDENTIFIER=roost\n%s%s%s%s%s%s%s%s%s%sMESSAGE=%s\n",
                 (int)level, module ? "ROOST_MODULE=" : "", module ? module : "", module ? "\n" : "",
                 instance ? field_of_instance(module) : "", instance ? "=" : "", instance ? instance : "",
                 instance ? "\n" : "", batch == CLOCK_NONE ? "" : "ROOST_BATCH=",
                 batch == CLOCK_NONE ? "" : clock_format(batch, time), batch == CLOCK_NONE ? "" : "\n", line);
    if (n < 0 || (size_t)n >= size) {
        entry[size - 2] = '\n';
        return size - 1;
    }
    return (size_t)n;
}

/* False: journald is not there, or takes nothing now. */
static bool send_to_journal(enum log_level level, const struct log_context *context, const char *line)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
    char entry[LINE_MAXIMUM + 512];
    size_t length = log_journal_entry(entry, sizeof entry, level, context, line);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool sent = fd >= 0 && sendto(fd, entry, length, MSG_NOSIGNAL, (const struct sockaddr *)&address,
                                  sizeof address) == (ssize_t)length;
    if (fd >= 0) {
        close(fd);
    }
    return sent;
}

static void write_to_stderr(enum log_level level, bool journal, const char *line)
{
    char whole[LINE_MAXIMUM + 64], stamp[24];
    int n;
    if (journal) {
        n = snprintf(whole, sizeof whole, "<%d>%s\n", (int)level, line);
    } else {
        static const char *const names[] = {"", "", "", "ERROR ", "WARNING ", "", "", "debug "};
        time_t now = (time_t)(clock_wall_ms() / 1000);
        struct tm parts;
        localtime_r(&now, &parts);
        strftime(stamp, sizeof stamp, "%H:%M:%S", &parts);
        n = snprintf(whole, sizeof whole, "%s %s%s\n", stamp, names[level], line);
    }
    ssize_t written = n > 0 ? write(STDERR_FILENO, whole, (size_t)n) : 0;
    (void)written; /* with stderr gone there is nobody left to tell */
}

static void write_line(enum log_level level, const struct log_context *context, const char *line)
{
    bool journal = is_journal();
    if (!journal || !send_to_journal(level, context, line)) {
        write_to_stderr(level, journal, line);
    }
}

/* ---- what repeats ---- */

/* One kind of line, and how many of it this minute. */
struct kind {
    uint64_t key; /* 0: free */
    int64_t began_ms;
    uint64_t printed, held;
    enum log_level level;
    char module[NAME_SIZE], instance[NAME_SIZE];
    char latest[KEPT_TEXT]; /* of those held */
};

static struct {
    bool on;
    pthread_mutex_t lock;
    struct kind kinds[KINDS];
} repeats = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_collapse(void)
{
    repeats.on = true;
}

static uint64_t hash(uint64_t h, const char *text)
{
    for (; text && *text; text++) {
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    }
    return (h ^ 0xff) * UINT64_C(1099511628211);
}

/* The same words of the same part; where the words are an argument ("%s"), these. */
static uint64_t key_of(enum log_level level, const struct log_context *context, const char *format,
                       const char *line)
{
    uint64_t h = hash(UINT64_C(14695981039346656037) + (uint64_t)level, context ? context->module : NULL);
    h = hash(h, context ? context->instance : NULL);
    h = hash(h, strcmp(format, "%s") == 0 ? line : format);
    return h ? h : 1;
}

/* Says how many were left out, and frees the place. The lock is held, by which lines stay in order. */
static void settle(struct kind *k)
{
    char line[KEPT_TEXT + 128];
    const struct log_context context = {k->module[0] ? k->module : NULL, k->instance[0] ? k->instance : NULL};
    if (k->held) {
        snprintf(line, sizeof line, "%s (the latest of %llu such lines that were left out within a minute)",
                 k->latest, (unsigned long long)k->held);
        write_line(k->level, &context, line);
    }
    k->key = 0;
    k->held = k->printed = 0;
}

static struct kind *find_kind(uint64_t key, int64_t now)
{
    struct kind *found = NULL, *oldest = &repeats.kinds[0];
    for (size_t i = 0; i < KINDS; i++) {
        struct kind *k = &repeats.kinds[i];
        if (k->key == key && now - k->began_ms < LOG_BURST_MS) {
            return k;
        }
        if (k->key && now - k->began_ms >= LOG_BURST_MS) {
            settle(k);
        }
        found = !found && !k->key ? k : found;
        oldest = k->began_ms < oldest->began_ms ? k : oldest;
    }
    if (!found) {
        settle(oldest);
        found = oldest;
    }
    found->key = key;
    found->began_ms = now;
    return found;
}

/* True: it is counted only. */
static bool is_held(enum log_level level, const struct log_context *context, const char *format,
                    const char *line)
{
    pthread_mutex_lock(&repeats.lock);
    struct kind *k = find_kind(key_of(level, context, format, line), clock_steady_ms());
    bool held = k->printed >= LOG_BURST;
    if (held) {
        k->held++;
        k->level = level;
        snprintf(k->module, sizeof k->module, "%s", context && context->module ? context->module : "");
        snprintf(k->instance, sizeof k->instance, "%s",
                 context && context->instance ? context->instance : "");
        snprintf(k->latest, sizeof k->latest, "%.*s", KEPT_TEXT - 1, line);
    } else {
        k->printed++;
    }
    pthread_mutex_unlock(&repeats.lock);
    return held;
}

void log_settle(bool all)
{
    int64_t now = clock_steady_ms();
    pthread_mutex_lock(&repeats.lock);
    for (size_t i = 0; i < KINDS; i++) {
        struct kind *k = &repeats.kinds[i];
        if (k->key && (all || now - k->began_ms >= LOG_BURST_MS)) {
            settle(k);
        }
    }
    pthread_mutex_unlock(&repeats.lock);
}

/* ---- logging ---- */

void log_at(enum log_level level, const struct log_context *context, const char *format, ...)
{
    if (level > atomic_load(&most_level)) {
        return;
    }
    int saved_errno = errno;
    char line[LINE_MAXIMUM];
    int used = 0;
    if (context && context->module) {
        const char *instance = context->instance;
        used = snprintf(line, sizeof line / 2, "%s%s%s: ", context->module, instance ? " " : "",
                        instance ? instance : "");
        used = used < (int)sizeof line / 2 ? used : (int)sizeof line / 2 - 1;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
    va_end(arguments);
    for (char *c = line; *c; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' '; /* one event stays one line, whatever a server's message holds */
        }
    }
    if (!repeats.on || !is_held(level, context, format, line)) {
        write_line(level, context, line);
    }
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
