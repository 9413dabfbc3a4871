/* The positions of the known consumers, and their file: one line "NAME SEQUENCE" each.
 *
 * The file is written at most once a second, on a worker, and may lag: a position in it is never higher than
 * what was acknowledged. A consumer does not go by it; it says itself where it stopped. It only decides what
 * may be dropped.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "base/watchdog.h"
#include "bridge/frame.h"
#include "bridge/spool_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_GAP_MS = 1000, WARN_EVERY_MS = 60 * 1000 };

static struct spool_consumer *find_in(struct spool_consumer *consumers, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++) {
        if (view_is(name, consumers[i].name)) {
            return &consumers[i];
        }
    }
    return NULL;
}

static struct spool_consumer *find(struct spool *s, struct view name)
{
    return find_in(s->consumers, s->consumer_count, name);
}

static void add(struct spool_consumer *consumers, size_t *count, struct view name, uint64_t acknowledged)
{
    struct spool_consumer *c = &consumers[(*count)++];
    snprintf(c->name, sizeof c->name, "%.*s", VIEW_PRINT(name));
    c->acknowledged = acknowledged;
}

static void read_line(struct spool_consumer *consumers, size_t *count, struct view line)
{
    const char *space = line.length ? memchr(line.at, ' ', line.length) : NULL;
    struct view name = view_make(line.at, space ? (size_t)(space - line.at) : line.length);
    uint64_t acknowledged;
    if (!space || !frame_consumer_name(name) || find_in(consumers, *count, name) ||
        *count == SPOOL_CONSUMERS_MAXIMUM ||
        number_parse_unsigned(view_from(line, name.length + 1), &acknowledged)) {
        return; /* a damaged line forgets one position at most, and that consumer says where it stopped */
    }
    add(consumers, count, name, acknowledged);
}

int spool_load_consumers(const char *folder, struct spool_consumer *consumers, size_t *count, struct err *e)
{
    char path[SPOOL_FOLDER_MAXIMUM + 64];
    snprintf(path, sizeof path, "%s/consumers", folder);
    *count = 0;
    if (access(path, F_OK) && errno == ENOENT) {
        return 0;
    }
    struct buffer bytes = BUFFER(64 * 1024);
    int result = file_read(path, &bytes, e);
    struct view rest = buffer_view(&bytes);
    while (result == 0 && rest.length) {
        const char *end = memchr(rest.at, '\n', rest.length);
        size_t length = end ? (size_t)(end - rest.at) : rest.length;
        read_line(consumers, count, view_make(rest.at, length));
        rest = view_from(rest, length + 1);
    }
    buffer_free(&bytes);
    return result;
}

int spool_read_consumers(struct spool *s, struct err *e)
{
    return spool_load_consumers(s->folder, s->consumers, &s->consumer_count, e);
}

static void write_file(uv_work_t *work)
{
    struct spool *s = work->data;
    watchdog_errand_runs("consumers file");
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
    watchdog_errand_done("consumers file");
    s->consumers_writing = false;
    s->consumers_failed = s->consumers_status || status;
    if (s->consumers_failed) {
        /* Nothing is lost by this: the position on disk is older, so more is kept than must be. */
        uint64_t held;
        if (log_every(&s->consumers_warned, WARN_EVERY_MS, &held)) {
            log_warning(&(struct log_context){"bridge", "spool"}, "%s; it is tried again each second",
                        s->consumers_error.text);
        }
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
    if (s->consumers_writing) {
        watchdog_errand_given("consumers file");
    } else {
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
    add(s->consumers, &s->consumer_count, view_of(name), spool_first(s) - 1);
    s->consumers_changed = true;
    spool_write_consumers(s);
    return 0;
}

/* Takes a consumer out of the list in memory. */
static int forget(struct spool *s, const char *name, struct err *e)
{
    struct spool_consumer *c = find(s, view_of(name));
    if (!c) {
        return err_set(e, ERR_REJECT, "the spool %s knows no consumer %s", s->folder, name);
    }
    s->consumer_count--;
    size_t behind = s->consumer_count - (size_t)(c - s->consumers);
    memmove(c, c + 1, behind * sizeof *c);
    return 0;
}

int spool_forget_consumer(struct spool *s, const char *name, struct err *e)
{
    if (s->consumers_writing) {
        return err_set(e, ERR_RETRY, "the consumers' positions are being written: try again in a moment");
    }
    if (forget(s, name, e)) {
        return -1;
    }
    /* Room first: on a full disk the file can be written only then. */
    spool_drop(s);
    struct err why;
    int result = spool_save_consumers(s, &why);
    if (result) {
        err_set(e, ERR_RETRY, "consumer %s is forgotten, but not on disk yet, which is tried again: %s", name,
                why.text);
        plan(s);
    }
    spool_give_room(s);
    return result;
}

/* What root wrote for the service's user must stay readable and writable for that one: the folder's owner. */
static int give_to_owner(struct spool *s, const char *name, struct err *e)
{
    struct stat status;
    if (geteuid() != 0) {
        return 0;
    }
    if (fstat(s->folder_fd, &status) || fchownat(s->folder_fd, name, status.st_uid, status.st_gid, 0)) {
        return err_set(e, ERR_RETRY, "cannot give %s/%s to the folder's owner: %s", s->folder, name,
                       strerror(errno));
    }
    return 0;
}

int spool_forget_closed(const char *folder, const char *name, struct err *e)
{
    struct spool *s = NULL;
    int result = spool_lock_only(folder, &s, e);
    if (result == 0) {
        result = give_to_owner(s, "lock", e) || spool_read_consumers(s, e) || forget(s, name, e) ||
                         spool_save_consumers(s, e) || give_to_owner(s, "consumers", e)
                     ? -1
                     : 0;
    }
    spool_free(s);
    return result;
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

void spool_name_owed(const struct spool *s, uint64_t first, uint64_t last, struct buffer *text)
{
    for (size_t i = 0; i < s->consumer_count; i++) {
        const struct spool_consumer *c = &s->consumers[i];
        uint64_t from = c->acknowledged < first ? first : c->acknowledged + 1;
        uint64_t lacking = from <= last ? last - from + 1 : 0;
        if (lacking) {
            buffer_print(text, "%s%s (%llu of them)", text->length ? ", " : "", c->name,
                         (unsigned long long)lacking);
        }
    }
}

const struct spool_consumer *spool_consumers(const struct spool *s, size_t *count)
{
    *count = s->consumer_count;
    return s->consumers;
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
