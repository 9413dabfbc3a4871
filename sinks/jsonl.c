#include "sinks/jsonl.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/number.h"
#include "base/watchdog.h"
#include "sinks/interrupt.h"
#include "sinks/memory_position.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 256 * 1024,
    LINES_MOST = CHUNK + 2 * POST_MAXIMUM_BYTES,
    POSITIONS_MOST = 1024 * 1024,
    STAMP_SIZE = 24
};

struct sink {
    const struct jsonl_settings *settings;
    char *position_path;
    int fd, interrupt;
    off_t size; /* of whole lines that are on disk, but for what a write is adding */
    ino_t inode;
    off_t known_size; /* as the position file has them, of the last save: behind it lines may be damaged */
    ino_t known_inode;
    bool unsaved; /* the last position_save failed: what is in memory is ahead of the file */
    struct buffer lines;
    struct memory_positions positions;
};

static const struct config_key keys[] = {
    {.name = "path",
     .type = CONFIG_PATH,
     .offset = offsetof(struct jsonl_settings, path),
     .required = true,
     .restart = true,
     .help = "The file that lines are appended to; its folder must exist."},
    {.name = "file_max",
     .type = CONFIG_SIZE,
     .offset = offsetof(struct jsonl_settings, file_max),
     .fallback = "256MiB",
     .restart = true,
     .min = 1024,
     .max = INT64_C(1) << 40,
     .help = "A file of this size is renamed to PATH.YYYYMMDDTHHMMSS.mmm and a new one is begun."},
    {.name = "files",
     .type = CONFIG_NUMBER,
     .offset = offsetof(struct jsonl_settings, files),
     .fallback = "0",
     .restart = true,
     .max = 100000,
     .help = "How many renamed files are kept; 0: all."},
};

const struct config_type_table jsonl_config = {
    .name = "jsonl",
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .settings_size = sizeof(struct jsonl_settings),
};

/* A full disk is waited for, whatever else would be final. */
static int fail(const char *path, const char *what, enum err_kind kind, struct err *e)
{
    return err_set(e, err_kind_of(errno) == ERR_RETRY ? ERR_RETRY : kind, "cannot %s %s: %s", what, path,
                   strerror(errno));
}

/* --- the position on disk: lines of "SEQUENCE CONSUMER SPOOL", and "SIZE = INODE" of the file --- */

static int position_read_line(struct sink *s, struct view line, struct err *e)
{
    const char *first = memchr(line.at, ' ', line.length);
    const char *second = first ? memchr(first + 1, ' ', line.length - (size_t)(first + 1 - line.at)) : NULL;
    uint64_t sequence;
    if (!second || number_parse_unsigned(view_make(line.at, (size_t)(first - line.at)), &sequence)) {
        return err_set(e, ERR_FATAL, "%s holds no positions: put it back, or remove it to write all again",
                       s->position_path);
    }
    struct view name = view_make(first + 1, (size_t)(second - first - 1));
    struct view spool = view_from(line, (size_t)(second + 1 - line.at));
    uint64_t inode;
    if (view_is(name, "=")) { /* no consumer has that name */
        bool known = number_parse_unsigned(spool, &inode) == 0 && sequence <= INT64_MAX;
        s->known_inode = known ? (ino_t)inode : 0;
        s->known_size = known ? (off_t)sequence : 0;
        return 0;
    }
    char *consumer = view_copy(name);
    int rc = consumer ? memory_position_set(&s->positions, consumer, spool, sequence, e)
                      : err_set(e, ERR_FATAL, "memory is out");
    free(consumer);
    return rc;
}

static int position_read(struct sink *s, struct err *e)
{
    struct buffer text = BUFFER(POSITIONS_MOST);
    int rc = 0;
    if (access(s->position_path, F_OK) != 0 && errno == ENOENT) {
        return 0;
    }
    if (file_read(s->position_path, &text, e)) {
        e->kind = ERR_FATAL;
        rc = -1;
    }
    struct view left = buffer_view(&text);
    while (rc == 0 && left.length > 0) {
        const char *end = memchr(left.at, '\n', left.length);
        size_t n = end ? (size_t)(end - left.at) : left.length;
        rc = position_read_line(s, view_make(left.at, n), e);
        left = view_from(left, end ? n + 1 : n);
    }
    buffer_free(&text);
    return rc;
}

static int position_save(struct sink *s, struct err *e)
{
    struct buffer text = BUFFER(POSITIONS_MOST);
    struct memory_position_entry entry;
    for (size_t i = 0; memory_position_entry(&s->positions, i, &entry); i++) {
        buffer_print(&text, "%" PRIu64 " %s %s\n", entry.sequence, entry.consumer, entry.spool);
    }
    if (s->fd >= 0) {
        buffer_print(&text, "%" PRId64 " = %" PRIu64 "\n", (int64_t)s->size, (uint64_t)s->inode);
    }
    int rc = buffer_failed(&text) ? err_set(e, ERR_RETRY, "memory is out")
                                  : file_replace(s->position_path, buffer_view(&text), 0640, e);
    if (rc) {
        e->kind = ERR_RETRY;
    }
    s->unsaved = rc != 0;
    if (!rc && s->fd >= 0) {
        s->known_size = s->size;
        s->known_inode = s->inode;
    }
    buffer_free(&text);
    return rc;
}

/* --- the file --- */

/* Where the first NUL behind `from` is, else `size`: no line holds one, but power loss leaves them where
 * bytes did not come to the disk and later ones did. -1: cannot read. */
static off_t before_zeros(int fd, off_t from, off_t size)
{
    char block[65536];
    while (from < size) {
        ssize_t n = pread(fd, block, sizeof block, from);
        const char *zero = n > 0 ? memchr(block, '\0', (size_t)n) : NULL;
        if (n <= 0) {
            return n < 0 ? -1 : from;
        }
        if (zero) {
            return from + (zero - block);
        }
        from += n;
    }
    return size;
}

/* Where the last whole line ends, at `least` or behind it. */
static off_t whole_lines(int fd, off_t least, off_t size)
{
    char block[4096];
    while (size > least) {
        off_t from = size - least > (off_t)sizeof block ? size - (off_t)sizeof block : least;
        ssize_t n = pread(fd, block, (size_t)(size - from), from);
        const char *end = n > 0 ? memrchr(block, '\n', (size_t)n) : NULL;
        if (n < 0) {
            return -1;
        }
        if (end) {
            return from + (end - block) + 1;
        }
        size = from;
    }
    return least;
}

/* What of the open file stays: of a file that the position file knows, all that was on disk then, and whole
 * lines behind it; of another one, all up to its last line's end. -1: cannot read. */
static off_t good_size(const struct sink *s, int fd, const struct stat *status)
{
    bool known = status->st_ino == s->known_inode && status->st_size >= s->known_size;
    off_t least = known ? s->known_size : 0;
    off_t end = known ? before_zeros(fd, least, status->st_size) : status->st_size;
    return end < 0 ? -1 : whole_lines(fd, least, end);
}

static int file_open(struct sink *s, enum err_kind kind, struct err *e)
{
    const char *path = s->settings->path;
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) {
        return fail(path, "open", kind, e);
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        err_set(e, ERR_FATAL, "%s is written by another process: give each sink a file of its own", path);
        goto fail;
    }
    /* The sync: a killed process may have left lines in memory alone. */
    if (fstat(fd, &status) || (s->size = good_size(s, fd, &status)) < 0 || ftruncate(fd, s->size) ||
        fdatasync(fd)) {
        fail(path, "read", kind, e);
        goto fail;
    }
    s->fd = fd;
    s->inode = status.st_ino;
    return 0;

fail:
    close(fd);
    return -1;
}

static int sync_folder(const char *path, struct err *e)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) ? fail(path, "sync the folder of", ERR_RETRY, e) : 0;
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static void print_stamp(char stamp[STAMP_SIZE])
{
    char time[CLOCK_TEXT_SIZE]; /* 2018-10-10T20:19:24.211Z */
    size_t n = 0;
    clock_format(clock_wall_ms(), time);
    for (const char *at = time; *at && *at != 'Z' && n + 1 < STAMP_SIZE; at++) {
        if (*at != '-' && *at != ':') {
            stamp[n++] = *at;
        }
    }
    stamp[n] = '\0';
}

static bool is_rotated(const char *name, const char *base)
{
    size_t n = strlen(base);
    return strncmp(name, base, n) == 0 && name[n] == '.' && name[n + 1] >= '0' && name[n + 1] <= '9' &&
           strlen(name + n + 1) == strlen("20181010T201924.211");
}

/* Removes the oldest renamed files beyond `files`; their names sort by time. What cannot be removed stays. */
static void remove_old(const struct sink *s)
{
    char folder[PATH_MAX], base[PATH_MAX], path[PATH_MAX * 2];
    struct dirent **names;
    int64_t kept = 0;
    snprintf(folder, sizeof folder, "%s", s->settings->path);
    snprintf(path, sizeof path, "%s", s->settings->path);
    snprintf(base, sizeof base, "%s", basename(path));
    const char *in = dirname(folder);
    int count = s->settings->files ? scandir(in, &names, NULL, alphasort) : -1;
    for (int i = count - 1; i >= 0; i--) {
        if (is_rotated(names[i]->d_name, base) && ++kept > s->settings->files) {
            snprintf(path, sizeof path, "%s/%s", in, names[i]->d_name);
            unlink(path);
        }
        free(names[i]);
    }
    if (count >= 0) {
        free(names);
    }
}

static int rotate(struct sink *s, struct err *e)
{
    char stamp[STAMP_SIZE], to[PATH_MAX * 2];
    const char *path = s->settings->path;
    print_stamp(stamp);
    snprintf(to, sizeof to, "%s.%s", path, stamp);
    /* A second rotation within the same millisecond must not replace the first one's file. (Nobody else makes
     * such names: PATH is locked. With link and unlink, power loss may leave two names or none.) */
    bool taken = access(to, F_OK) == 0;
    if (taken || rename(path, to)) {
        errno = taken ? EEXIST : errno;
        return fail(to, "rename the full file to", ERR_RETRY, e);
    }
    close(s->fd);
    s->fd = -1;
    if (file_open(s, ERR_RETRY, e) || sync_folder(path, e)) {
        return -1;
    }
    remove_old(s);
    return 0;
}

/* Before lines go into a file that the position file does not know: from here on it knows. */
static int make_known(struct sink *s, struct err *e)
{
    bool known = s->inode == s->known_inode && s->size >= s->known_size;
    return known ? 0 : position_save(s, e);
}

/* --- a load --- */

static int send(struct sink *s, struct err *e)
{
    for (size_t at = 0; at < s->lines.length;) {
        if (interrupt_wait(s->interrupt, -1, 0, 0) == INTERRUPT_RAISED) {
            return err_set(e, ERR_RETRY, "told to stop");
        }
        ssize_t written = write(s->fd, s->lines.data + at, s->lines.length - at);
        if (written > 0) {
            at += (size_t)written;
        } else if (written < 0 && errno != EINTR) {
            return fail(s->settings->path, "write to", ERR_RETRY, e);
        }
    }
    buffer_reset(&s->lines);
    return 0;
}

static int add_line(struct sink *s, const struct post *p, struct err *e)
{
    post_write(&s->lines, p);
    buffer_add_byte(&s->lines, '\n');
    if (buffer_failed(&s->lines)) {
        return err_set(e, ERR_RETRY, "memory is out for a line of JSON");
    }
    return s->lines.length >= CHUNK ? send(s, e) : 0;
}

/* Posts and events of a part behind the position, merged by sequence. */
static int add_part(struct sink *s, const struct load_part *part, uint64_t position, struct err *e)
{
    size_t post = 0, event = 0;
    while (post < part->post_count || event < part->event_count) {
        bool is_post = event >= part->event_count ||
                       (post < part->post_count && part->posts[post].sequence < part->events[event].sequence);
        const struct load_row *row = is_post ? &part->posts[post++] : &part->events[event++];
        if (row->sequence > position && add_line(s, row->post, e)) {
            return -1;
        }
    }
    return 0;
}

static int write_lines(struct sink *s, const struct load *load, struct err *e)
{
    buffer_reset(&s->lines);
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        if (add_part(s, part, memory_position_get(&s->positions, load->consumer, part->spool), e)) {
            return -1;
        }
    }
    if (send(s, e)) {
        return -1;
    }
    return fdatasync(s->fd) ? fail(s->settings->path, "sync", ERR_RETRY, e) : 0;
}

static int write_load(struct sink *s, const struct load *load, struct err *e)
{
    if ((s->unsaved && position_save(s, e)) || (s->fd < 0 && file_open(s, ERR_RETRY, e))) {
        return -1;
    }
    if ((s->size >= s->settings->file_max && rotate(s, e)) || make_known(s, e)) {
        return -1;
    }
    if (write_lines(s, load, e)) {
        /* The lines of this load go, also those of a failed sync; the next call opens the file anew. */
        if (s->fd >= 0 && ftruncate(s->fd, s->size) == 0) {
            (void)fdatasync(s->fd);
        }
        close(s->fd);
        s->fd = -1;
        return -1;
    }
    struct stat status;
    if (fstat(s->fd, &status) == 0) {
        s->size = status.st_size;
    }
    for (size_t i = 0; i < load->part_count; i++) {
        const struct load_part *part = &load->parts[i];
        if (part->last_sequence > memory_position_get(&s->positions, load->consumer, part->spool) &&
            memory_position_set(&s->positions, load->consumer, part->spool, part->last_sequence, e)) {
            return -1;
        }
    }
    return position_save(s, e);
}

/* Its syncs, and writes that wait for a slow disk, cannot be sliced. */
static int jsonl_write(struct sink *s, const struct load *load, struct err *e)
{
    watchdog_call_begins();
    int rc = write_load(s, load, e);
    watchdog_call_ends();
    return rc;
}

static int jsonl_position(struct sink *s, const char *consumer, struct view spool, uint64_t *sequence,
                          struct err *e)
{
    /* The lines of a write whose position could not be saved are on disk, but only a saved position is
     * committed. */
    if (s->unsaved && position_save(s, e)) {
        return -1;
    }
    *sequence = memory_position_get(&s->positions, consumer, spool);
    return 0;
}

/* The entries are in the order in which they were set, in memory and in the file. */
static int jsonl_latest(struct sink *s, const char *consumer, struct sink_latest *latest, struct err *e)
{
    struct memory_position_entry entry;
    *latest = (struct sink_latest){0};
    if (s->unsaved && position_save(s, e)) {
        return -1;
    }
    for (size_t i = 0; memory_position_entry(&s->positions, i, &entry); i++) {
        if (strcmp(entry.consumer, consumer) == 0 && strlen(entry.spool) < sizeof latest->spool) {
            snprintf(latest->spool, sizeof latest->spool, "%s", entry.spool);
            latest->sequence = entry.sequence;
        }
    }
    return 0;
}

static void jsonl_close(struct sink *s)
{
    if (!s) {
        return;
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->interrupt >= 0) {
        close(s->interrupt);
    }
    memory_position_free(&s->positions);
    buffer_free(&s->lines);
    free(s->position_path);
    free(s);
}

static struct sink *jsonl_open(const void *settings, const char *name, struct err *e)
{
    struct sink *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_FATAL, "[sink %s]: memory is out", name);
        return NULL;
    }
    s->settings = settings;
    s->fd = -1;
    s->lines = BUFFER(LINES_MOST);
    s->interrupt = interrupt_new(e);
    if (s->interrupt < 0) {
        goto fail;
    }
    if (asprintf(&s->position_path, "%s.position", s->settings->path) < 0) {
        s->position_path = NULL;
        err_set(e, ERR_FATAL, "memory is out");
        goto fail;
    }
    /* The position may be one that a killed process renamed and did not sync; it will be acknowledged. */
    if (position_read(s, e) || file_open(s, ERR_FATAL, e) || sync_folder(s->settings->path, e)) {
        goto fail;
    }
    return s;

fail:
    err_wrap(e, "[sink %s]", name);
    jsonl_close(s);
    return NULL;
}

static void jsonl_stop(struct sink *s)
{
    interrupt_raise(s->interrupt);
}

const struct sink_type sink_jsonl = {
    .config = &jsonl_config,
    .open = jsonl_open,
    .position = jsonl_position,
    .latest = jsonl_latest,
    .write = jsonl_write,
    .stop = jsonl_stop,
    .close = jsonl_close,
};
