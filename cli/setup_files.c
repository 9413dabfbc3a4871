/* cli/setup_files.c - the configuration, written whole or not at all.
 *
 * All files are written into ETC_DIR/.setup first (for a look alone: into a folder of /tmp) and read there as
 * the services will read them; only when nothing is wrong each is renamed into its place, the configuration
 * last. Signals that end the program wait so long, and a rest of one that was killed is removed by the next
 * run, so no secret lies about.
 */
#include "base/clock.h"
#include "base/file.h"
#include "cli/check.h"
#include "cli/kinds.h"
#include "cli/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIGURATION "roost.conf"
#define KEYWORDS      "keywords.txt"

enum { CONFIGURATION_MAXIMUM = 64 * 1024, FILE_COUNT = SETUP_SECRET_COUNT + 2, FILE_MODE = 0640 };

/* A file to be written; the configuration is the last. */
struct target {
    const char *name;
    struct view text;
    bool secret;
};

struct targets {
    struct target items[FILE_COUNT];
    size_t count;
    struct buffer configuration;
};

static char *path_in(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

char *setup_path(const struct setup *s, const char *name)
{
    return path_in(s->etc_dir, name);
}

/* ---- what is there ---- */

static bool is_same(const char *path, struct view text)
{
    struct buffer there = BUFFER(SETUP_TEXT_MAXIMUM);
    struct err ignored;
    bool same = file_read(path, &there, &ignored) == 0 && view_equal(buffer_view(&there), text);
    setup_wipe(&there);
    return same;
}

/* A file that is as the installation brought it, which keeps a copy of each (deploy/DESIGN.md). */
static bool is_as_installed(const char *path, struct view text)
{
    const char *slash = strrchr(path, '/');
    char *copy = path_in("/usr/share/roost", slash ? slash + 1 : path);
    bool as_installed = copy && is_same(copy, text);
    free(copy);
    return as_installed;
}

/* Does it say nothing: comments and empty lines? */
static bool says_nothing(struct view text)
{
    while (text.at && text.length) {
        const char *end = memchr(text.at, '\n', text.length);
        struct view line = view_trim(view_make(text.at, end ? (size_t)(end - text.at) : text.length));
        if (line.length && line.at[0] != '#' && line.at[0] != ';') {
            return false;
        }
        text = end ? view_from(text, (size_t)(end - text.at) + 1) : view_none();
    }
    return true;
}

/* Somebody's own, which is not to be replaced without being told so. One that cannot be read is, too. */
static bool is_somebodys(const char *path)
{
    struct buffer text = BUFFER(SETUP_TEXT_MAXIMUM);
    struct err ignored;
    bool theirs = access(path, F_OK) == 0 || errno != ENOENT;
    if (theirs && file_read(path, &text, &ignored) == 0) {
        theirs = !says_nothing(buffer_view(&text)) && !is_as_installed(path, buffer_view(&text));
    }
    setup_wipe(&text);
    return theirs;
}

bool setup_has_configuration(const struct setup *s)
{
    char *path = setup_path(s, CONFIGURATION);
    bool has = path && is_somebodys(path);
    free(path);
    return has;
}

/* ---- the configuration's text ---- */

/* A value; quotes where white space and ; would begin a comment. Values hold no quotes themselves. */
static void add_key(struct buffer *b, const char *key, const char *value)
{
    bool quote = strchr(value, ';') || value[0] == ' ';
    buffer_print(b, "%s = %s%s%s\n", key, quote ? "\"" : "", value, quote ? "\"" : "");
}

/* Secrets by their whole path: a relative one would be looked for among the credentials of the unit. */
static void add_secrets(const struct setup *s, const char *folder, struct buffer *b)
{
    for (int i = 0; i < SETUP_SECRET_COUNT; i++) {
        if (s->secrets[i].length) {
            buffer_print(b, "%s_file = %s/%s\n", setup_secret_names[i], folder, setup_secret_names[i]);
        }
    }
}

static void configuration_text(const struct setup *s, const char *folder, struct buffer *b)
{
    struct buffer conninfo = BUFFER(CONFIGURATION_MAXIMUM);
    setup_sink_conninfo(s, &conninfo);
    const char *database = buffer_string(&conninfo);
    buffer_print(b, "# Made by roost setup; `roost check` says how it is understood.\n[source main]\n");
    add_key(b, "type", s->network);
    if (s->url && s->url[0]) {
        add_key(b, "url", s->url);
    }
    add_secrets(s, folder, b);
    buffer_print(b, "\n[filter]\nkeywords_file = " KEYWORDS "\n");
    if (s->languages && s->languages[0]) {
        add_key(b, "languages", s->languages);
    }
    buffer_print(b, "\n[sink main]\ntype = postgres\n");
    add_key(b, "conninfo", database ? database : "");
    buffer_free(&conninfo);
}

/* For the files as they will stand in `folder`. */
static int make_targets(const struct setup *s, const char *folder, struct targets *t, struct err *e)
{
    *t = (struct targets){.configuration = BUFFER(CONFIGURATION_MAXIMUM)};
    configuration_text(s, folder, &t->configuration);
    for (int i = 0; i < SETUP_SECRET_COUNT; i++) {
        if (s->secrets[i].length) {
            t->items[t->count++] = (struct target){setup_secret_names[i], buffer_view(&s->secrets[i]), true};
        }
    }
    t->items[t->count++] = (struct target){KEYWORDS, buffer_view(&s->keywords), false};
    t->items[t->count++] = (struct target){CONFIGURATION, buffer_view(&t->configuration), false};
    return buffer_failed(&t->configuration) ? err_set(e, ERR_RETRY, "out of memory") : 0;
}

/* ---- writing ---- */

static int write_staged(const char *stage, const struct target *t, const struct passwd *owner, struct err *e)
{
    char *path = path_in(stage, t->name);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    size_t written = 0;
    while (fd >= 0 && written < t->text.length) {
        ssize_t n = write(fd, t->text.at + written, t->text.length - written);
        if (n < 0 && errno != EINTR) {
            break;
        }
        written += n > 0 ? (size_t)n : 0;
    }
    bool group = geteuid() == 0; /* else they are ours, and stay so */
    int rc =
        fd < 0 || written < t->text.length || (group && fchown(fd, 0, owner->pw_gid)) ||
                fchmod(fd, FILE_MODE) || fsync(fd)
            ? err_set(e, err_kind_of(errno), "cannot write %s: %s", path ? path : t->name, strerror(errno))
            : 0;
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return rc;
}

/* The files of a stage, and itself. */
static void remove_stage(const char *stage)
{
    for (int i = 0; i < FILE_COUNT; i++) {
        const char *name = i < SETUP_SECRET_COUNT    ? setup_secret_names[i]
                           : i == SETUP_SECRET_COUNT ? KEYWORDS
                                                     : CONFIGURATION;
        char *path = path_in(stage, name);
        if (path) {
            unlink(path);
        }
        free(path);
    }
    rmdir(stage);
}

static int fill_stage(const char *stage, const struct targets *t, const struct passwd *owner, struct err *e)
{
    for (size_t i = 0; i < t->count; i++) {
        if (write_staged(stage, &t->items[i], owner, e)) {
            return -1;
        }
    }
    return 0;
}

/* Where files are made first: beside their place, or in /tmp when they are only looked at. On the heap. */
static char *make_stage(const struct setup *s, struct err *e)
{
    char *stage = s->dry_run ? strdup("/tmp/roost-setup-XXXXXX") : setup_path(s, ".setup");
    if (!stage) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    if (!s->dry_run) {
        remove_stage(stage); /* of a run that was killed */
    }
    if (s->dry_run ? !mkdtemp(stage) : mkdir(stage, 0700)) {
        err_set(e, err_kind_of(errno), "cannot make %s: %s", stage, strerror(errno));
        free(stage);
        return NULL;
    }
    return stage;
}

/* As `roost check` does, with the mistakes of the keywords named by the file that they will be in. */
static int check_stage(const struct setup *s, const char *stage, struct err *e)
{
    char *path = path_in(stage, CONFIGURATION);
    struct config *c = path ? config_load(path, all_kinds, all_kind_count) : NULL;
    size_t mistakes = c ? config_mistakes(c) : 0;
    int rc = c ? 0 : err_set(e, ERR_RETRY, "out of memory");
    for (size_t i = 0; i < mistakes; i++) {
        const char *text = config_mistake_text(c, i);
        bool staged = strncmp(text, stage, strlen(stage)) == 0;
        fprintf(stderr, "%s%s\n", staged ? s->etc_dir : "", staged ? text + strlen(stage) : text);
    }
    if (mistakes) {
        rc = err_set(e, ERR_FATAL,
                     "with these answers the configuration would have mistakes; nothing was changed");
    }
    config_free(c);
    free(path);
    return rc;
}

/* What is replaced stays beside it, with its owner and mode. */
static int keep_old(const char *path, struct err *e)
{
    char time[CLOCK_TEXT_SIZE], *kept = NULL;
    clock_format(clock_wall_ms(), time);
    if (asprintf(&kept, "%s.%.19s", path, time) < 0) {
        return err_set(e, ERR_RETRY, "out of memory");
    }
    int rc =
        link(path, kept) && errno != EEXIST
            ? err_set(e, err_kind_of(errno), "cannot keep the old %s as %s: %s", path, kept, strerror(errno))
            : 0;
    if (rc == 0) {
        printf("the old %s is kept as %s\n", path, kept);
    }
    free(kept);
    return rc;
}

static int put(const struct setup *s, const char *stage, const struct target *t, bool *changed, struct err *e)
{
    char *from = path_in(stage, t->name), *to = setup_path(s, t->name);
    int rc = 0;
    if (!from || !to) {
        rc = err_set(e, ERR_RETRY, "out of memory");
        goto end;
    }
    if (is_same(to, t->text)) {
        goto end;
    }
    *changed = true;
    if (!t->secret && is_somebodys(to)) {
        rc = keep_old(to, e);
    }
    if (rc == 0 && rename(from, to)) {
        rc = err_set(e, err_kind_of(errno), "cannot put %s in its place: %s", to, strerror(errno));
    }
    if (rc == 0) {
        printf("wrote %s\n", to);
    }
end:
    free(from);
    free(to);
    return rc;
}

static void sync_folder(const struct setup *s)
{
    int fd = open(s->etc_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* As they will stand in `folder`: written into the stage. */
static int stage_files(const struct setup *s, const char *stage, const char *folder,
                       const struct passwd *owner, struct targets *t, struct err *e)
{
    remove_stage(stage);
    if (mkdir(stage, 0700)) {
        return err_set(e, err_kind_of(errno), "cannot make %s: %s", stage, strerror(errno));
    }
    return make_targets(s, folder, t, e) || fill_stage(stage, t, owner, e) ? -1 : 0;
}

/* First with secrets named where they lie now, so that all can be read and judged; then as they will be. */
static int write_all(const struct setup *s, const char *stage, const struct passwd *owner, bool *changed,
                     struct err *e)
{
    struct targets t = {.count = 0};
    int rc = stage_files(s, stage, stage, owner, &t, e) || check_stage(s, stage, e) ? -1 : 0;
    buffer_free(&t.configuration);
    if (rc || s->dry_run) {
        return rc;
    }
    rc = stage_files(s, stage, s->etc_dir, owner, &t, e);
    for (size_t i = 0; rc == 0 && i < t.count; i++) {
        rc = put(s, stage, &t.items[i], changed, e);
    }
    sync_folder(s);
    buffer_free(&t.configuration);
    return rc;
}

static void show(const struct setup *s)
{
    struct targets t;
    struct err ignored;
    if (make_targets(s, s->etc_dir, &t, &ignored) == 0) {
        printf("\n%s/" CONFIGURATION ":\n\n", s->etc_dir);
        for (struct view rest = t.items[t.count - 1].text; rest.length;) {
            const char *end = memchr(rest.at, '\n', rest.length);
            size_t length = end ? (size_t)(end - rest.at) : rest.length;
            printf("%s%.*s\n", length ? "    " : "", (int)length, rest.at);
            rest = view_from(rest, length + 1);
        }
        printf("\n");
    }
    buffer_free(&t.configuration);
}

int setup_write_files(const struct setup *s, bool *changed, struct err *e)
{
    const struct passwd *owner = getpwnam(s->user);
    sigset_t ending, before;
    *changed = false;
    if (!owner) {
        return err_set(
            e, ERR_FATAL,
            "there is no user %s on this machine: install the package, or make it (useradd --system "
            "--home /var/lib/roost %s)",
            s->user, s->user);
    }
    if (s->dry_run) {
        show(s);
    }
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGQUIT);
    sigprocmask(SIG_BLOCK, &ending, &before);
    char *stage = make_stage(s, e);
    int rc = stage ? write_all(s, stage, owner, changed, e) : -1;
    if (stage) {
        remove_stage(stage);
    }
    free(stage);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}
