/* The positions of the known consumers, and their file: one line "NAME SEQUENCE" each.
 *
 * The file is written at most once a second, on a worker, and may lag: a position in it is never higher than
 * what was acknowledged. A consumer does not go by it; it says itself where it stopped. It only decides what
 * may be dropped.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "bridge/frame.h"
#include "bridge/spool_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WRITE_GAP_MS = 1000 };

static struct spool_consumer *find(struct spool *s, struct view name)
{
    for (size_t i = 0; i < s->consumer_count; i++) {
        if (view_is(name, s->consumers[i].name)) {
            return &s->consumers[i];
        }
    }
    return NULL;
}

static void add(struct spool *s, struct view name, uint64_t acknowledged)
{
    struct spool_consumer *c = &s->consumers[s->consumer_count++];
    snprintf(c->name, sizeof c->name, "%.*s", VIEW_PRINT(name));
    c->acknowledged = acknowledged;
}

static void read_line(struct spool *s, struct view line)
{
    const char *space = line.length ? memchr(line.at, ' ', line.length) : NULL;
    struct view name = view_make(line.at, space ? (size_t)(space - line.at) : line.length);
    uint64_t acknowledged;
    if (!space || !frame_consumer_name(name) || find(s, name) ||
        s->consumer_count == SPOOL_CONSUMERS_MAXIMUM ||
        number_parse_unsigned(view_from(line, name.length + 1), &acknowledged)) {
        return; /* a damaged line forgets one position at most, and that consumer says where it stopped */
    }
    add(s, name, acknowledged);
}

int spool_read_consumers(struct spool *s, struct err *e)
{
    char path[SPOOL_FOLDER_MAXIMUM + 64];
    spool_path(s, path, "consumers");
    if (access(path, F_OK) && errno == ENOENT) {
        return 0;
    }
    struct buffer bytes = BUFFER(64 * 1024);
    int result = file_read(path, &bytes, e);
    struct view rest = buffer_view(&bytes);
    while (result == 0 && rest.length) {
        const char *end = memchr(rest.at, '\n', rest.length);
        size_t length = end ? (size_t)(end - rest.at) : rest.length;
        read_line(s, view_make(rest.at, length));
        rest = view_from(rest, length + 1);
    }
    buffer_free(&bytes);
    return result;
}

static void write_file(uv_work_t *work)
{
    struct spool *s = work->data;
    char path[SPOOL_FOLDER_MAXIMUM + 64];
    spool_path(s, path, "consumers");
    s->consumers_status = file_replace(path, buffer_view(&s->consumers_bytes), 0640, &s->consumers_error);
}

static void plan(struct spool *s)
{
    s->consumers_changed = true;
    spool_need_timers(s);
    if (!s->closing && !uv_is_active((uv_handle_t *)&s->consumers_timer)) {
        uv_timer_start(&s->consumers_timer, spool_on_consumers_timer, WRITE_GAP_MS, 0);
    }
}

static void after_write(uv_work_t *work, int status)
{
    struct spool *s = work->data;
    s->consumers_writing = false;
    s->consumers_failed = s->consumers_status || status;
    if (s->consumers_failed) {
        /* Nothing is lost by this: the position on disk is older, so more is kept than must be. */
        log_warning(&(struct log_context){"bridge", "spool"}, "%s; it is tried again",
                    s->consumers_error.text);
        plan(s);
    }
    spool_finish(s);
}

/* Their lines, for the worker; what changes from here on is for the next writing. */
static void collect(struct spool *s)
{
    buffer_reset(&s->consumers_bytes);
    for (size_t i = 0; i < s->consumer_count; i++) {
        buffer_print(&s->consumers_bytes, "%s %llu\n", s->consumers[i].name,
                     (unsigned long long)s->consumers[i].acknowledged);
    }
    s->consumers_changed = false;
}

int spool_save_consumers(struct spool *s, struct err *e)
{
    char path[SPOOL_FOLDER_MAXIMUM + 64];
    spool_path(s, path, "consumers");
    collect(s);
    return file_replace(path, buffer_view(&s->consumers_bytes), 0640, e);
}

void spool_write_consumers(struct spool *s)
{
    if (s->consumers_writing) {
        return;
    }
    collect(s);
    s->consumers_failed = false;
    s->consumers_work.data = s;
    s->consumers_writing = !buffer_failed(&s->consumers_bytes) &&
                           uv_queue_work(s->loop, &s->consumers_work, write_file, after_write) == 0;
    if (!s->consumers_writing) {
        s->consumers_failed = true;
        plan(s);
    }
}

void spool_on_consumers_timer(uv_timer_t *timer)
{
    struct spool *s = timer->data;
    if (!s->consumers_changed) {
        return;
    }
    if (s->consumers_writing) {
        plan(s);
        return;
    }
    spool_write_consumers(s);
}

int spool_add_consumer(struct spool *s, const char *name, struct err *e)
{
    if (find(s, view_of(name))) {
        return 0;
    }
    if (!frame_consumer_name(view_of(name))) {
        return err_set(e, ERR_FATAL, "a consumer's name has 1 to 63 of a-z A-Z 0-9 _ - .");
    }
    if (s->consumer_count == SPOOL_CONSUMERS_MAXIMUM) {
        return err_set(e, ERR_RETRY, "the spool remembers %d consumers already, which is the limit",
                       SPOOL_CONSUMERS_MAXIMUM);
    }
    add(s, view_of(name), spool_first(s) - 1);
    s->consumers_changed = true;
    spool_write_consumers(s);
    return 0;
}

void spool_acknowledge(struct spool *s, const char *name, uint64_t sequence)
{
    struct spool_consumer *c = find(s, view_of(name));
    if (!c || sequence <= c->acknowledged || sequence > s->held) {
        return;
    }
    c->acknowledged = sequence;
    plan(s);
    spool_drop(s);
}

void spool_rewind(struct spool *s, const char *name, uint64_t sequence)
{
    struct spool_consumer *c = find(s, view_of(name));
    if (c && sequence < c->acknowledged) {
        c->acknowledged = sequence;
        plan(s);
    }
}

bool spool_acknowledged(const struct spool *s, const char *name, uint64_t *sequence)
{
    for (size_t i = 0; i < s->consumer_count; i++) {
        if (strcmp(s->consumers[i].name, name) == 0) {
            *sequence = s->consumers[i].acknowledged;
            return true;
        }
    }
    return false;
}

void spool_reset_consumers(struct spool *s)
{
    for (size_t i = 0; i < s->consumer_count; i++) {
        s->consumers[i].acknowledged = spool_first(s) - 1;
    }
    s->consumers_changed = true; /* written with the next change, or at closing */
}

uint64_t spool_all_acknowledged(const struct spool *s)
{
    uint64_t lowest = s->consumer_count ? UINT64_MAX : 0;
    for (size_t i = 0; i < s->consumer_count; i++) {
        if (s->consumers[i].acknowledged < lowest) {
            lowest = s->consumers[i].acknowledged;
        }
    }
    return lowest;
}
