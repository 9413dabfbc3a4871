#include "ingest/set_aside.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <oauth.h> /* base64 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A message of 1 MiB all of control characters, each escaped with six bytes, and the rest. */
enum { LONGEST_LINE = 7 * 1024 * 1024, LOG_GAP_MS = 60 * 1000 };

struct set_aside {
    char *path, *older_path;
    int64_t limit, size;
    int file; /* -1: not open */
    struct log_repeat trouble;
};

static const struct log_context context = {"ingest", NULL};

struct set_aside *set_aside_new(const char *spool_dir, int64_t limit)
{
    struct set_aside *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->file = -1;
    s->limit = limit;
    if (asprintf(&s->path, "%s/set-aside.ndjson", spool_dir) < 0) {
        s->path = NULL;
    }
    if (!s->path || asprintf(&s->older_path, "%s.1", s->path) < 0) {
        free(s->path);
        free(s);
        return NULL;
    }
    return s;
}

static void close_file(struct set_aside *s)
{
    if (s->file >= 0) {
        close(s->file);
        s->file = -1;
    }
}

static int open_file(struct set_aside *s)
{
    if (s->file >= 0) {
        return 0;
    }
    s->file = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    if (s->file < 0 || fstat(s->file, &status)) {
        return -1;
    }
    s->size = status.st_size;
    return 0;
}

static void add_line(struct buffer *b, const char *source, int64_t received_at, const char *why,
                     struct view message)
{
    char time[CLOCK_TEXT_SIZE];
    buffer_add_text(b, "{\"source\":");
    json_add_string(b, view_of(source));
    buffer_print(b, ",\"received_at\":\"%s\",\"why\":", clock_format(received_at, time));
    json_add_string(b, view_of(why));
    if (!view_absent(message) && utf8_valid(message) && !memchr(message.at, '\0', message.length)) {
        buffer_add_text(b, ",\"text\":");
        json_add_string(b, message);
    } else if (!view_absent(message)) {
        char *base64 = oauth_encode_base64((int)message.length, (const unsigned char *)message.at);
        buffer_add_text(b, ",\"base64\":");
        json_add_string(b, view_of(base64));
        free(base64);
    }
    buffer_add_text(b, "}\n");
}

/* A short write would leave half a line before the next one: the file is cut back. */
static int write_line(struct set_aside *s, struct view line)
{
    if (open_file(s)) {
        return -1;
    }
    if (s->size && s->size + (int64_t)line.length > s->limit) {
        close_file(s);
        if (rename(s->path, s->older_path) || open_file(s)) {
            return -1;
        }
    }
    ssize_t n = write(s->file, line.at, line.length);
    if (n != (ssize_t)line.length) {
        int why = n < 0 ? errno : ENOSPC;
        if (n > 0 && ftruncate(s->file, s->size)) {
            why = errno;
        }
        errno = why;
        return -1;
    }
    s->size += n;
    return 0;
}

void set_aside_put(struct set_aside *s, const char *source, int64_t received_at, const char *why,
                   struct view message)
{
    struct buffer b = BUFFER(LONGEST_LINE);
    add_line(&b, source, received_at, why, message);
    errno = EFBIG;
    uint64_t held;
    if ((buffer_failed(&b) || write_line(s, buffer_view(&b))) && log_every(&s->trouble, LOG_GAP_MS, &held)) {
        log_warning(&context,
                    "%s: an unreadable message could not be set aside: %s (%llu more in the last minute)",
                    s->path, strerror(errno), (unsigned long long)held);
    }
    buffer_free(&b);
}

void set_aside_free(struct set_aside *s)
{
    if (s) {
        close_file(s);
        free(s->path);
        free(s->older_path);
        free(s);
    }
}
