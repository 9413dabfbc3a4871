#include "ingest/ledger_file.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/watchdog.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_FILE = 16 * 1024 * 1024,
    EVERY_MS = 900, /* with the time that a write takes, the file is a second old at most */
    WARN_EVERY_MS = 60 * 1000
};

static const struct log_context context = {"ledger", NULL};

struct kept {
    struct kept *next;
    char *name;
    bool taken;
    struct ledger_entry entry;
};

struct ledger {
    char *path;
    char boot[LEDGER_BOOT_SIZE];
    struct kept *first, **end;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_work_t work;
    struct buffer bytes; /* the worker's while `writing` */
    struct err error;    /* of the worker */
    int failed;          /* of the worker */
    bool changed, writing, closing;
    uv_mutex_t file; /* held by who replaces it */
    bool overtaken;  /* under `file`: what the worker has is older than the file */
    struct log_repeat warned;
    void (*done)(void *user);
    void *done_user;
};

/* --- reading --- */

static void read_boot(struct ledger *l)
{
    struct buffer text = BUFFER(LEDGER_BOOT_SIZE - 1);
    if (file_read("/proc/sys/kernel/random/boot_id", &text, NULL) == 0) {
        struct view id = view_trim(buffer_view(&text));
        memcpy(l->boot, id.at, id.length);
        l->boot[id.length] = '\0';
    }
    buffer_free(&text);
}

static struct kept *add(struct ledger *l, char *name)
{
    struct kept *k = calloc(1, sizeof *k);
    if (!k || !name) {
        free(k);
        free(name);
        return NULL;
    }
    k->name = name;
    *l->end = k;
    l->end = &k->next;
    return k;
}

static int read_line(struct ledger *l, struct view line, struct err *e)
{
    char *name;
    struct ledger_entry entry;
    if (ledger_read(line, &name, &entry, e)) {
        return -1;
    }
    struct kept *k = add(l, name);
    if (!k) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    k->entry = entry;
    return 0;
}

static void read_file(struct ledger *l)
{
    struct buffer file = BUFFER(MOST_FILE);
    struct err e = {0};
    int status = access(l->path, F_OK) ? 0 : file_read(l->path, &file, &e);
    struct view rest = buffer_view(&file);
    for (size_t number = 1; !status && rest.length; number++) {
        const char *end = memchr(rest.at, '\n', rest.length);
        struct view line = view_make(rest.at, end ? (size_t)(end - rest.at) : rest.length);
        status = read_line(l, line, &e);
        if (status) {
            err_wrap(&e, "%s, line %zu", l->path, number);
        }
        rest = view_from(rest, line.length + 1);
    }
    if (status) {
        log_warning(&context, "%s; since when its sources are not heard is unknown now", e.text);
    }
    buffer_free(&file);
}

/* --- writing --- */

static void start_write(struct ledger *l);

static void write_file(struct ledger *l)
{
    l->failed = file_replace(l->path, buffer_view(&l->bytes), 0640, &l->error);
}

static void on_worker(uv_work_t *work)
{
    struct ledger *l = work->data;
    watchdog_errand_runs("sources file");
    uv_mutex_lock(&l->file);
    if (!l->overtaken) {
        write_file(l);
    }
    uv_mutex_unlock(&l->file);
}

static void say_failed(struct ledger *l)
{
    uint64_t held;
    if (l->failed && log_every(&l->warned, WARN_EVERY_MS, &held)) {
        log_warning(&context, "%s; when the sources were last heard is not kept", l->error.text);
    }
}

static void collect(const struct ledger *l, struct buffer *into)
{
    buffer_reset(into);
    for (const struct kept *k = l->first; k; k = k->next) {
        if (k->entry.begun || k->entry.row_count || k->entry.ladder.kept) {
            ledger_write(into, k->name, &k->entry);
            buffer_add_byte(into, '\n');
        }
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ledger *l = handle->data;
    void (*done)(void *user) = l->done;
    void *user = l->done_user;
    collect(l, &l->bytes);
    if (!buffer_failed(&l->bytes)) {
        write_file(l);
        say_failed(l);
    }
    for (struct kept *k = l->first, *next; k; k = next) {
        next = k->next;
        free(k->name);
        free(k);
    }
    buffer_free(&l->bytes);
    uv_mutex_destroy(&l->file);
    free(l->path);
    free(l);
    if (done) {
        done(user);
    }
}

static void on_written(uv_work_t *work, int status)
{
    struct ledger *l = work->data;
    watchdog_errand_done("sources file");
    (void)status; /* never cancelled */
    l->writing = l->overtaken = false;
    say_failed(l);
    if (l->closing) {
        uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    } else if (l->changed) {
        start_write(l);
    }
}

static void start_write(struct ledger *l)
{
    struct ledger_moment now = ledger_now(l->boot);
    for (struct kept *k = l->first; k; k = k->next) {
        k->entry.alive = k->taken ? now : k->entry.alive;
    }
    collect(l, &l->bytes);
    if (buffer_failed(&l->bytes)) {
        return; /* memory is out: the next second tries again */
    }
    l->changed = false;
    l->writing = uv_queue_work(l->loop, &l->work, on_worker, on_written) == 0;
    if (l->writing) {
        watchdog_errand_given("sources file");
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct ledger *l = timer->data;
    bool any = l->changed;
    for (const struct kept *k = l->first; k; k = k->next) {
        any |= k->taken && k->entry.begun;
    }
    if (any && !l->writing) {
        start_write(l);
    }
}

/* --- entries --- */

const char *ledger_boot(const struct ledger *l)
{
    return l->boot;
}

struct ledger_entry *ledger_take(struct ledger *l, const char *name)
{
    struct kept *k = l->first;
    while (k && strcmp(k->name, name) != 0) {
        k = k->next;
    }
    k = k ? k : add(l, strdup(name));
    if (!k) {
        return NULL;
    }
    k->taken = true;
    return &k->entry;
}

void ledger_give_back(struct ledger *l, const struct ledger_entry *entry)
{
    for (struct kept *k = l->first; k; k = k->next) {
        k->taken &= &k->entry != entry;
    }
    ledger_changed(l);
}

static uint64_t every_ms(void)
{
    return (uint64_t)clock_timer_ms(EVERY_MS);
}

/* What changes in the same turn of the loop is in the same write. */
void ledger_changed(struct ledger *l)
{
    l->changed = true;
    if (!l->writing && !l->closing) {
        uv_timer_start(&l->timer, on_timer, 0, every_ms());
    }
}

void ledger_write_now(struct ledger *l)
{
    struct buffer bytes = BUFFER(MOST_FILE);
    struct err e;
    collect(l, &bytes);
    uv_mutex_lock(&l->file);
    int failed = buffer_failed(&bytes) ? -1 : file_replace(l->path, buffer_view(&bytes), 0640, &e);
    l->overtaken = !failed && l->writing;
    uv_mutex_unlock(&l->file);
    buffer_free(&bytes);
    if (failed) {
        ledger_changed(l); /* tried again, and said, by the worker */
    }
}

/* What the source left is handed out; true: all of it was taken. */
static bool forget(struct kept *k, const struct ledger_moment *now,
                   bool (*row)(void *user, const char *name, const struct ledger_row *row), void *user)
{
    struct ledger_row rows[LEDGER_ROWS + LEDGER_LEGS];
    size_t count = k->entry.row_count;
    memcpy(rows, k->entry.rows, count * sizeof *rows);
    count += ledger_end(&k->entry, now, rows + count);
    for (size_t i = 0; i < count; i++) {
        if (!row(user, k->name, &rows[i]) && k->entry.row_count < LEDGER_ROWS) {
            k->entry.rows[k->entry.row_count++] = rows[i];
        }
    }
    return k->entry.row_count == 0;
}

void ledger_forget(struct ledger *l, bool (*row)(void *user, const char *name, const struct ledger_row *row),
                   void *user)
{
    struct ledger_moment now = ledger_now(l->boot);
    for (struct kept **at = &l->first; *at;) {
        struct kept *k = *at;
        if (k->taken || !forget(k, &now, row, user)) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        free(k->name);
        free(k);
    }
    l->end = &l->first;
    while (*l->end) {
        l->end = &(*l->end)->next;
    }
    ledger_changed(l);
}

/* --- opening and closing --- */

struct ledger *ledger_open(uv_loop_t *loop, const char *path, struct err *e)
{
    struct ledger *l = calloc(1, sizeof *l);
    char *copy = strdup(path);
    if (!l || !copy || uv_mutex_init(&l->file)) {
        free(l);
        free(copy);
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    l->path = copy;
    l->loop = loop;
    l->end = &l->first;
    l->bytes = BUFFER(MOST_FILE);
    l->work.data = l;
    read_boot(l);
    read_file(l);
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, on_timer, every_ms(), every_ms());
    return l;
}

void ledger_close(struct ledger *l, void (*done)(void *user), void *user)
{
    l->closing = true;
    l->done = done;
    l->done_user = user;
    uv_timer_stop(&l->timer);
    if (!l->writing) {
        uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    }
}
