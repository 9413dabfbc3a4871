#include "ingest/versions.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "base/watchdog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FILE = 1024 * 1024, EVERY_MS = 1000, WARN_EVERY_MS = 60 * 1000, NETWORK_SIZE = 32 };

static const struct log_context context = {"keywords", NULL};

/* As it stands in the file. */
struct told {
    char name[VERSION_NAME_SIZE], contents[VERSION_NAME_SIZE]; /* "": nothing was told */
    char network[NETWORK_SIZE];
};

struct entry {
    struct entry *next;
    char *source;
    struct told told;
    int64_t since;               /* of the last version, told or not */
    struct version_parts *parts; /* being told; NULL: nothing is */
    size_t published;            /* of its events */
    bool gone;                   /* the source left: being ended */
    bool end_published;
    int64_t gone_at;
    uint64_t last_frame; /* in which the telling, or the end, went into the spool */
};

struct versions {
    char *path;
    struct versions_spool spool;
    struct entry *first;
    uv_timer_t timer;
    struct log_repeat warned;
    bool unwritten; /* the file is older than the entries, and nobody writes it */

    /* The worker's, while it writes: a sync may take long, and the loop must not wait for a disk. */
    uv_work_t work;
    struct buffer bytes;
    int write_status;
    struct err write_error;
    bool writing, closing;

    void (*done)(void *user);
    void *done_user;
};

/* --- entries and the file --- */

static struct entry *find(struct versions *v, struct view source)
{
    struct entry *n = v->first;
    while (n && !view_is(source, n->source)) {
        n = n->next;
    }
    return n;
}

static struct entry *find_or_add(struct versions *v, struct view source)
{
    struct entry *n = find(v, source);
    if (n) {
        return n;
    }
    n = calloc(1, sizeof *n);
    char *name = view_copy(source);
    if (!n || !name) {
        free(n);
        free(name);
        return NULL;
    }
    n->source = name;
    n->next = v->first;
    v->first = n;
    return n;
}

static void entry_free(struct entry *n)
{
    version_parts_free(n->parts);
    free(n->source);
    free(n);
}

/* "VERSION CONTENTS SINCE NETWORK SOURCE" */
static int read_line(struct versions *v, const char *line)
{
    struct told told = {0};
    int64_t since;
    int name_at = 0;
    if (sscanf(line, "%8s %8s %" SCNd64 " %31s %n", told.name, told.contents, &since, told.network,
               &name_at) != 4 ||
        !line[name_at]) {
        return -1;
    }
    struct entry *n = find_or_add(v, view_of(line + name_at));
    if (n) {
        n->told = told;
        n->since = since;
    }
    return 0;
}

static void read_file(struct versions *v)
{
    struct buffer file = BUFFER(MOST_FILE);
    struct err e = {0};
    int status = access(v->path, F_OK) ? 0 : file_read(v->path, &file, &e);
    char *rest = status ? NULL : view_copy(buffer_view(&file));
    for (char *line = rest, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (read_line(v, line)) {
            status = err_set(&e, ERR_REJECT, "%s: a line is none of this file", v->path);
        }
    }
    if (status) {
        log_warning(&context, "%s; the keywords in force are told again", e.text);
    }
    free(rest);
    buffer_free(&file);
}

static void on_worker(uv_work_t *work)
{
    struct versions *v = work->data;
    watchdog_errand_runs("versions file");
    v->write_status = file_replace(v->path, buffer_view(&v->bytes), 0640, &v->write_error);
}

static void go_on(struct versions *v);
static void close_timer(struct versions *v);
static void start_write(struct versions *v);

static void on_written(uv_work_t *work, int cancelled)
{
    struct versions *v = work->data;
    uint64_t held;
    watchdog_errand_done("versions file");
    v->writing = false;
    buffer_free(&v->bytes);
    v->unwritten |= cancelled || v->write_status;
    if (!cancelled && v->write_status && log_every(&v->warned, WARN_EVERY_MS, &held)) {
        log_warning(&context, "%s; after a restart the keywords in force are told again",
                    v->write_error.text);
    }
    if (!v->closing) {
        if (v->unwritten) {
            go_on(v);
        }
        return;
    }
    if (v->unwritten && !cancelled && !v->write_status) { /* entries changed while it was written */
        start_write(v);
    }
    if (!v->writing) {
        close_timer(v);
    }
}

static void start_write(struct versions *v)
{
    if (v->writing) {
        return;
    }
    v->bytes = BUFFER(MOST_FILE);
    for (const struct entry *n = v->first; n; n = n->next) {
        if (n->told.name[0]) {
            buffer_print(&v->bytes, "%s %s %" PRId64 " %s %s\n", n->told.name, n->told.contents, n->since,
                         n->told.network, n->source);
        }
    }
    v->work.data = v;
    v->writing =
        !buffer_failed(&v->bytes) && uv_queue_work(v->timer.loop, &v->work, on_worker, on_written) == 0;
    v->unwritten = !v->writing;
    if (v->writing) {
        watchdog_errand_given("versions file");
    } else {
        buffer_free(&v->bytes); /* memory is out: the timer tries again */
    }
}

/* --- telling --- */

static bool publish(struct versions *v, const struct entry *n, struct buffer *body)
{
    struct post event;
    struct err e;
    post_init(&event);
    event.kind = POST_KEYWORDS;
    event.network = view_of(n->gone ? n->told.network : n->parts->network);
    event.source = view_of(n->source);
    event.received_at = clock_wall_ms();
    event.body = buffer_view(body);
    return !buffer_failed(body) && v->spool.publish(v->spool.user, &event, &e) == 0;
}

static uint64_t newest_frame(const struct versions *v)
{
    uint64_t appended, held;
    v->spool.count(v->spool.user, &appended, &held);
    return appended;
}

/* Publishes what waits. True: all of it is in the spool, perhaps not synced yet. */
static bool publish_waiting(struct versions *v, struct entry *n)
{
    const size_t wanted = n->gone ? 1 : n->parts->count;
    bool taken = n->gone ? !n->end_published : n->published < wanted;
    while (taken) {
        struct buffer body = BUFFER(VERSION_BODY_MAXIMUM);
        if (n->gone) {
            version_write_end(&body, n->gone_at);
        } else {
            version_write(&body, n->parts, n->published);
        }
        taken = publish(v, n, &body);
        buffer_free(&body);
        if (!taken) {
            return false;
        }
        n->end_published = n->gone;
        n->published += !n->gone;
        n->last_frame = newest_frame(v);
        taken = !n->gone && n->published < wanted;
    }
    return true;
}

/* What was published is in the spool for good. */
static void settle(struct versions *v, struct entry *n)
{
    n->told = (struct told){0};
    if (n->parts) {
        snprintf(n->told.name, sizeof n->told.name, "%s", n->parts->name);
        snprintf(n->told.contents, sizeof n->told.contents, "%s", n->parts->contents);
        snprintf(n->told.network, sizeof n->told.network, "%s", n->parts->network);
    }
    version_parts_free(n->parts);
    n->parts = NULL;
    v->unwritten = true;
}

/* Goes on with everything; true: nothing waits. */
static bool advance(struct versions *v)
{
    uint64_t appended, held;
    bool waits = false;
    for (struct entry **at = &v->first; *at;) {
        struct entry *n = *at;
        bool open = n->parts || n->gone;
        bool published = open && publish_waiting(v, n);
        v->spool.count(v->spool.user, &appended, &held);
        if (published && held >= n->last_frame) {
            settle(v, n);
            if (n->gone) {
                *at = n->next;
                entry_free(n);
                continue;
            }
        } else {
            waits |= open;
        }
        at = &n->next;
    }
    if (v->unwritten) {
        start_write(v);
    }
    return !waits && !v->unwritten;
}

static void on_timer(uv_timer_t *timer)
{
    if (advance(timer->data)) {
        uv_timer_stop(timer);
    }
}

static void go_on(struct versions *v)
{
    const uint64_t every_ms = (uint64_t)clock_timer_ms(EVERY_MS);
    if (!advance(v)) {
        uv_timer_start(&v->timer, on_timer, every_ms, every_ms);
    }
}

void versions_tell(struct versions *v, const char *source, const struct version *version)
{
    struct entry *n = find_or_add(v, view_of(source));
    struct version_parts *parts = n ? version_split(version) : NULL;
    if (!parts) {
        log_warning(&context, "there is no memory to tell the keywords of source %s", source);
        return;
    }
    bool known = n->parts ? version_same(n->parts, parts->name, parts->contents)
                          : version_same(parts, n->told.name, n->told.contents);
    if (known && !n->gone) {
        version_parts_free(parts);
        return;
    }
    version_parts_free(n->parts);
    n->gone = n->end_published = false;
    n->parts = parts;
    n->published = 0;
    /* In the tables one version follows another, also when this machine's clock was set back. */
    parts->since = parts->since > n->since ? parts->since : n->since + 1;
    n->since = parts->since;
    log_info(&context, "version %s of what source %s asks for is in force", parts->name, source);
    go_on(v);
}

void versions_forget(struct versions *v, bool (*configured)(void *user, const char *source), void *user)
{
    for (struct entry *n = v->first; n; n = n->next) {
        if (n->gone || configured(user, n->source)) {
            continue;
        }
        if (n->parts) { /* some of it may be told */
            snprintf(n->told.network, sizeof n->told.network, "%s", n->parts->network);
        }
        version_parts_free(n->parts);
        n->parts = NULL;
        n->gone = true;
        n->gone_at = clock_wall_ms();
        n->gone_at = n->gone_at > n->since ? n->gone_at : n->since + 1;
    }
    go_on(v);
}

/* --- opening and closing --- */

struct versions *versions_open(uv_loop_t *loop, const char *path, const struct versions_spool *spool,
                               struct err *e)
{
    struct versions *v = calloc(1, sizeof *v);
    char *copy = strdup(path);
    if (!v || !copy) {
        free(v);
        free(copy);
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    v->path = copy;
    v->spool = *spool;
    read_file(v);
    uv_timer_init(loop, &v->timer);
    v->timer.data = v;
    return v;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct versions *v = handle->data;
    void (*done)(void *user) = v->done;
    void *user = v->done_user;
    for (struct entry *n = v->first, *next; n; n = next) {
        next = n->next;
        entry_free(n);
    }
    free(v->path);
    free(v);
    if (done) {
        done(user);
    }
}

static void close_timer(struct versions *v)
{
    uv_close((uv_handle_t *)&v->timer, on_timer_closed);
}

void versions_close(struct versions *v, void (*done)(void *user), void *user)
{
    v->done = done;
    v->done_user = user;
    v->closing = true;
    advance(v);
    uv_timer_stop(&v->timer);
    if (!v->writing) {
        close_timer(v);
    }
}
