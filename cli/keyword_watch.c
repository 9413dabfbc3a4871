#include "cli/keyword_watch.h"

#include "base/checksum.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "ingest/settings.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUIET_MS = 1000,  /* real: after the last event of a writing editor */
    MOST_MS = 5000,   /* real: after the first one of somebody who never stops */
    FILES_MOST = 200, /* a section each; further ones are not watched */
    FILE_MAXIMUM = 64 * 1024 * 1024
};

static const struct log_context context = {"keywords", NULL};

struct watched {
    char *path;
    int64_t length; /* of the contents; -1: it cannot be read */
    uint32_t sum;
};

struct folder {
    uv_fs_event_t handle; /* first, so that the handle is the folder */
    char *path;
};

struct keyword_watch {
    uv_loop_t *loop;
    uv_timer_t timer;
    bool (*changed)(void *user);
    void *user;
    struct watched files[FILES_MOST];
    size_t file_count;
    struct folder *folders[2 * FILES_MOST];
    size_t folder_count;
    int64_t first_ms; /* of the events not looked at yet; 0: none */
    bool closing;
};

/* ---- contents ---- */

static void look_at(struct watched *f)
{
    struct buffer text = BUFFER(FILE_MAXIMUM);
    struct err ignored; /* reading it anew says what is wrong */
    bool read = file_read(f->path, &text, &ignored) == 0;
    f->length = read ? (int64_t)text.length : -1;
    f->sum = read ? checksum_crc32c(0, text.data, text.length) : 0;
    buffer_free(&text);
}

/* Has any other contents? Then they are known. */
static bool look_at_all(struct keyword_watch *w)
{
    bool differ = false;
    for (size_t i = 0; i < w->file_count; i++) {
        struct watched before = w->files[i];
        look_at(&w->files[i]);
        differ |= before.length != w->files[i].length || before.sum != w->files[i].sum;
    }
    return differ;
}

void keyword_watch_note(struct keyword_watch *w)
{
    if (w) {
        look_at_all(w);
    }
}

/* ---- events ---- */

static void on_folder_closed(uv_handle_t *handle)
{
    struct folder *f = (struct folder *)handle;
    free(f->path);
    free(f);
}

static void drop_folders(struct keyword_watch *w)
{
    while (w->folder_count) {
        uv_close((uv_handle_t *)&w->folders[--w->folder_count]->handle, on_folder_closed);
    }
}

static void watch_folders(struct keyword_watch *w);

static void on_quiet(uv_timer_t *timer)
{
    struct keyword_watch *w = timer->data;
    struct watched before[FILES_MOST];
    memcpy(before, w->files, sizeof before);
    w->first_ms = 0;
    /* Anew, for a folder may have been put in the place of another, or a link lead elsewhere. */
    drop_folders(w);
    watch_folders(w);
    if (look_at_all(w) && !w->changed(w->user)) {
        memcpy(w->files, before, sizeof before);
        uv_timer_start(&w->timer, on_quiet, QUIET_MS, 0);
    }
}

/* Events of other files in the folder mean nothing; those of ".." names are how a container's files are
 * exchanged (a link "..data" leads to another folder). */
static bool is_of_interest(const struct keyword_watch *w, const char *name)
{
    bool found = !name || strncmp(name, "..", 2) == 0;
    for (size_t i = 0; i < w->file_count && !found; i++) {
        char real[PATH_MAX];
        const char *own = strrchr(w->files[i].path, '/');
        const char *target = realpath(w->files[i].path, real) ? strrchr(real, '/') : NULL;
        found = (own && strcmp(own + 1, name) == 0) || (target && strcmp(target + 1, name) == 0);
    }
    return found;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct keyword_watch *w = handle->data;
    (void)events;
    if (w->closing || status < 0 || !is_of_interest(w, name)) {
        return;
    }
    int64_t now = clock_real_ms();
    w->first_ms = w->first_ms ? w->first_ms : now;
    if (!uv_is_active((uv_handle_t *)&w->timer) || now - w->first_ms < MOST_MS - QUIET_MS) {
        uv_timer_start(&w->timer, on_quiet, QUIET_MS, 0);
    }
}

/* ---- what is watched ---- */

static void watch_folder_of(struct keyword_watch *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    struct folder *f = calloc(1, sizeof *f);
    char *folder = length ? strndup(path, length) : strdup("/");
    bool known = false;
    for (size_t i = 0; folder && i < w->folder_count; i++) {
        known |= strcmp(w->folders[i]->path, folder) == 0;
    }
    if (!f || !folder || known) {
        free(f);
        free(folder);
        return;
    }
    f->path = folder;
    f->handle.data = w;
    uv_fs_event_init(w->loop, &f->handle);
    w->folders[w->folder_count++] = f;
    int failed = uv_fs_event_start(&f->handle, on_event, folder, 0);
    if (failed) {
        log_warning(&context, "%s cannot be watched: %s; SIGHUP still reads the keywords anew", folder,
                    uv_strerror(failed));
    }
}

static void watch_folders(struct keyword_watch *w)
{
    for (size_t i = 0; i < w->file_count; i++) {
        char real[PATH_MAX];
        watch_folder_of(w, w->files[i].path);
        if (realpath(w->files[i].path, real)) {
            watch_folder_of(w, real);
        }
    }
}

static const struct watched *find(const struct watched *files, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].path, path) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

static void add_file(struct keyword_watch *w, const struct filter_keys *keys, const struct watched *before,
                     size_t before_count)
{
    const char *path = keys->keywords_file;
    if (!keys->watch || !path || w->file_count == FILES_MOST || find(w->files, w->file_count, path)) {
        return;
    }
    const struct watched *known = find(before, before_count, path);
    struct watched added = known ? *known : (struct watched){.length = -1};
    added.path = strdup(path);
    if (!added.path) {
        return;
    }
    if (!known) {
        look_at(&added);
    }
    w->files[w->file_count++] = added;
}

static void free_files(struct watched *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(files[i].path);
    }
}

void keyword_watch_set(struct keyword_watch *w, const struct config *config)
{
    struct watched before[FILES_MOST];
    size_t before_count = w->file_count;
    memcpy(before, w->files, sizeof before);
    w->file_count = 0;
    const struct filter_section_settings *filter = config_settings(config, "filter");
    add_file(w, &filter->keys, before, before_count);
    for (const struct config_section *s = config_first(config, "source"); s; s = config_next(s)) {
        const struct source_settings *source = config_section_settings(s);
        add_file(w, &source->keys, before, before_count);
    }
    free_files(before, before_count);
    drop_folders(w);
    watch_folders(w);
}

struct keyword_watch *keyword_watch_open(uv_loop_t *loop, bool (*changed)(void *user), void *user,
                                         struct err *e)
{
    struct keyword_watch *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    w->loop = loop;
    w->changed = changed;
    w->user = user;
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    return w;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void keyword_watch_close(struct keyword_watch *w)
{
    if (!w) {
        return;
    }
    w->closing = true;
    drop_folders(w);
    free_files(w->files, w->file_count);
    w->file_count = 0;
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}
