#include "bridge/spool_view.h"

#include "base/file.h"
#include "bridge/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct spool_view {
    DIR *folder;
    char *path; /* of the folder, for messages */
    char identity[SPOOL_IDENTITY_SIZE];
    uint64_t *segments; /* first sequences, rising */
    size_t count, capacity, at;
    int fd;        /* of the segment before `at`; -1: none is open */
    uint64_t size; /* of it, when it was opened */
    struct segment_reader reader;
    uint64_t last; /* sequence given last, or the end that a segment's name tells */
    uint64_t damaged;
};

static int read_identity(struct spool_view *v, struct err *e)
{
    struct buffer path = BUFFER(64 * 1024), bytes = BUFFER(256);
    buffer_print(&path, "%s/identity", v->path);
    const char *name = buffer_string(&path);
    int rc = 0;
    if (!name) {
        rc = err_set(e, ERR_RETRY, "out of memory");
    } else if (access(name, F_OK) == 0) {
        rc = file_read(name, &bytes, e);
    }
    struct view digits = view_trim(buffer_view(&bytes));
    if (rc == 0 && digits.length == SPOOL_IDENTITY_SIZE - 1) {
        memcpy(v->identity, digits.at, digits.length);
        if (strspn(v->identity, "0123456789abcdef") != digits.length) {
            v->identity[0] = '\0';
        }
    }
    buffer_free(&path);
    buffer_free(&bytes);
    return rc;
}

static int add_segment(struct spool_view *v, uint64_t first, struct err *e)
{
    if (v->count == v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 64;
        uint64_t *grown = reallocarray(v->segments, capacity, sizeof *grown);
        if (!grown) {
            return err_set(e, ERR_RETRY, "out of memory for the spool's list of files");
        }
        v->segments = grown;
        v->capacity = capacity;
    }
    v->segments[v->count++] = first;
    return 0;
}

static int compare_sequences(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int list_segments(struct spool_view *v, struct err *e)
{
    for (const struct dirent *entry = readdir(v->folder); entry; entry = readdir(v->folder)) {
        uint64_t first;
        if (segment_parse_name(entry->d_name, &first) && add_segment(v, first, e)) {
            return -1;
        }
    }
    if (v->count) {
        qsort(v->segments, v->count, sizeof *v->segments, compare_sequences);
    }
    return 0;
}

struct spool_view *spool_view_open(const char *folder, struct err *e)
{
    struct spool_view *v = calloc(1, sizeof *v);
    if (!v) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    v->fd = -1;
    v->path = strdup(folder);
    v->folder = v->path ? opendir(folder) : NULL;
    if (!v->folder) {
        err_set(e, ERR_RETRY, "cannot read the spool %s: %s", folder, strerror(errno));
        goto fail;
    }
    if (read_identity(v, e) || list_segments(v, e)) {
        goto fail;
    }
    return v;
fail:
    spool_view_close(v);
    return NULL;
}

const char *spool_view_identity(const struct spool_view *v)
{
    return v->identity;
}

static void close_segment(struct spool_view *v)
{
    if (v->fd >= 0) {
        close(v->fd);
        segment_reader_free(&v->reader);
        v->fd = -1;
    }
}

/* Opens the next segment that is still there. 1: one is open; 0: there is no more. */
static int open_next(struct spool_view *v, struct err *e)
{
    close_segment(v);
    while (v->at < v->count) {
        char name[SEGMENT_NAME_SIZE];
        uint64_t first = v->segments[v->at++];
        segment_format_name(name, first);
        if (first - 1 > v->last) {
            v->last = first - 1;
        }
        int fd = openat(dirfd(v->folder), name, O_RDONLY | O_CLOEXEC);
        struct stat status;
        if (fd < 0 && errno == ENOENT) {
            continue; /* everybody has acknowledged it since the folder was read */
        }
        if (fd < 0 || fstat(fd, &status)) {
            err_set(e, ERR_RETRY, "cannot read %s/%s: %s", v->path, name, strerror(errno));
            if (fd >= 0) {
                close(fd);
            }
            return -1;
        }
        v->fd = fd;
        v->size = (uint64_t)status.st_size;
        segment_reader_init(&v->reader, fd, 0);
        return 1;
    }
    return 0;
}

int spool_view_next(struct spool_view *v, struct spool_frame *frame, struct err *e)
{
    for (;;) {
        struct segment_record record = {.skipped = 0};
        int found = v->fd < 0 ? 0 : segment_read(&v->reader, v->size, &record, e);
        if (found < 0) {
            return err_wrap(e, "%s", v->path);
        }
        if (found == 0) {
            /* What is left at the very end may be a record that is being written. */
            v->damaged += v->at < v->count ? record.skipped : 0;
            found = open_next(v, e);
            if (found <= 0) {
                return found;
            }
            continue;
        }
        v->damaged += record.skipped;
        if (record.sequence > v->last) { /* else it was copied to the next segment after a failed sync */
            v->last = record.sequence;
            *frame = (struct spool_frame){record.sequence, record.checksum, record.payload};
            return 1;
        }
    }
}

uint64_t spool_view_end(const struct spool_view *v)
{
    return v->last;
}

uint64_t spool_view_damaged(const struct spool_view *v)
{
    return v->damaged;
}

void spool_view_close(struct spool_view *v)
{
    if (v) {
        close_segment(v);
        if (v->folder) {
            closedir(v->folder);
        }
        free(v->segments);
        free(v->path);
        free(v);
    }
}
