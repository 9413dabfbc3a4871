/* Opening a spool: what a crash, a power loss or a bad disk left, made into something that can be trusted.
 *
 * Only the last segment is read whole here: appends go on behind its last good record, and the numbers behind
 * that. All segments are synced, which costs nothing for those that were. Damage in earlier ones is found,
 * passed over and reported when a cursor comes to it.
 */
#include "base/file.h"
#include "base/number.h"
#include "base/random.h"
#include "bridge/spool_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A higher word than this beyond the last frame is taken for damage of the file `held`. */
enum { HELD_REACH = 1000000 };

int spool_read_digits(const char *folder, const char *name, char *text, size_t digits, struct err *e)
{
    char path[SPOOL_FOLDER_MAXIMUM + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    text[0] = '\0';
    if (access(path, F_OK) && errno == ENOENT) {
        return 0;
    }
    struct buffer bytes = BUFFER(256);
    int result = file_read(path, &bytes, e);
    struct view found = view_trim(buffer_view(&bytes));
    if (result == 0 && found.length == digits) {
        memcpy(text, found.at, digits);
        text[digits] = '\0';
        if (strspn(text, "0123456789abcdef") != digits) {
            text[0] = '\0';
        }
    }
    buffer_free(&bytes);
    return result;
}

static int write_digits(struct spool *s, const char *name, const char *text, mode_t mode, struct err *e)
{
    char path[SPOOL_FOLDER_MAXIMUM + 64], line[SPOOL_TOKEN_SIZE + 1];
    spool_path(s, path, name);
    int n = snprintf(line, sizeof line, "%s\n", text);
    return file_replace(path, view_make(line, (size_t)n), mode, e);
}

int spool_write_identity(struct spool *s, struct err *e)
{
    random_hex(s->identity, (SPOOL_IDENTITY_SIZE - 1) / 2);
    return write_digits(s, "identity", s->identity, 0640, e);
}

static int read_token(struct spool *s, struct err *e)
{
    if (spool_read_digits(s->folder, "token", s->token, SPOOL_TOKEN_SIZE - 1, e)) {
        return -1;
    }
    if (s->token[0]) {
        return 0;
    }
    random_hex(s->token, (SPOOL_TOKEN_SIZE - 1) / 2);
    return write_digits(s, "token", s->token, 0600, e);
}

static int add_segment(struct spool *s, const char *name, uint64_t first, struct err *e)
{
    struct stat status;
    if (fstatat(s->folder_fd, name, &status, 0)) {
        return err_set(e, err_kind_of(errno), "cannot read %s/%s: %s", s->folder, name, strerror(errno));
    }
    if (spool_reserve_segment(s, e)) {
        return -1;
    }
    uint64_t size = (uint64_t)status.st_size;
    s->segments[s->segment_count++] = (struct spool_segment){
        .first = first, .size = size, .synced = size, .id = ++s->segment_ids, .fd = -1};
    s->bytes += size;
    return 0;
}

static int compare_segments(const void *a, const void *b)
{
    uint64_t x = ((const struct spool_segment *)a)->first, y = ((const struct spool_segment *)b)->first;
    return (x > y) - (x < y);
}

static int list_segments(struct spool *s, struct err *e)
{
    DIR *folder = opendir(s->folder);
    if (!folder) {
        return err_set(e, err_kind_of(errno), "cannot read the folder %s: %s", s->folder, strerror(errno));
    }
    int result = 0;
    for (const struct dirent *entry = readdir(folder); entry && result == 0; entry = readdir(folder)) {
        uint64_t first;
        if (segment_parse_name(entry->d_name, &first)) {
            result = add_segment(s, entry->d_name, first, e);
        }
    }
    closedir(folder);
    if (s->segment_count) {
        qsort(s->segments, s->segment_count, sizeof *s->segments, compare_segments);
    }
    /* What a copy after a failed sync left when it was itself cut short: its records are still where they
     * were. */
    unlinkat(s->folder_fd, "rescue.new", 0);
    return result;
}

/* Up to which frame the spool was synced in its last life, by its own word; 0: it does not say. */
static uint64_t read_held(const struct spool *s)
{
    char text[SPOOL_HELD_SIZE];
    uint64_t held = 0;
    int fd = openat(s->folder_fd, "held", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (fd >= 0) {
        close(fd);
    }
    bool whole = n == SPOOL_HELD_SIZE - 1 && text[n - 1] == '\n';
    return whole && number_parse_unsigned(view_make(text, (size_t)n - 1), &held) == 0 ? held : 0;
}

static void report_cut(struct spool *s, uint64_t bytes, uint64_t first, uint64_t last, const char *name)
{
    uint64_t count = last - first + 1;
    struct spool_report report = {.what = SPOOL_CUT, .first = first, .last = last, .bytes = bytes};
    if (first <= last && !bytes) {
        spool_remember_damage(s, first, last);
        spool_report(
            s, report, "the end of %s/%s is gone: frames %llu to %llu (%llu in all) were held and are lost",
            s->folder, name, (unsigned long long)first, (unsigned long long)last, (unsigned long long)count);
        return;
    }
    if (first <= last) {
        spool_remember_damage(s, first, last);
        spool_report(s, report,
                     "cut %llu damaged bytes off the end of %s/%s: frames %llu to %llu (%llu in all) were "
                     "there and are "
                     "lost",
                     (unsigned long long)bytes, s->folder, name, (unsigned long long)first,
                     (unsigned long long)last, (unsigned long long)count);
        return;
    }
    spool_report(s, report, "cut %llu bytes of an unfinished frame off the end of %s/%s",
                 (unsigned long long)bytes, s->folder, name);
}

/* Cuts off what follows the last good record of the last segment, and reports what was lost with it. If
 * numbers were used there, those seen in the damaged bytes or held before (a file that lost its end shows
 * nothing of them), a new segment, durably named after the next one, comes first: once the tail is gone
 * nothing else tells that they were. */
static int cut_tail(struct spool *s, uint64_t good, uint64_t held, const char *name, struct err *e)
{
    size_t cut = s->segment_count - 1;
    struct spool_segment *last = &s->segments[cut];
    uint64_t tail = last->size - good, next = s->next;
    uint64_t lost = tail ? segment_guess_last(last->fd, good, last->size, next) : 0;
    if (held >= next && held - next < HELD_REACH && held > lost) {
        lost = held;
    }
    if (lost) {
        s->next = lost + 1;
        if (spool_open_segment(s, s->next, e)) {
            return -1;
        }
        if (fsync(s->folder_fd)) {
            return err_set(e, ERR_RETRY, "cannot sync the spool %s: %s", s->folder, strerror(errno));
        }
        last = &s->segments[cut];
    }
    if (tail && ftruncate(last->fd, (off_t)good)) {
        return err_set(e, ERR_RETRY, "cannot cut %s/%s: %s", s->folder, name, strerror(errno));
    }
    if (tail || lost) {
        report_cut(s, tail, next, lost ? lost : next - 1, name);
    }
    last->size = last->synced = good; /* sync_all follows */
    s->bytes -= tail;
    if (lost && good == 0) {
        spool_remove_segment(s, cut, true);
    } else if (lost) {
        close(last->fd);
        last->fd = -1;
    }
    return 0;
}

/* Reads the last segment through: sets s->next, cuts the torn tail, reports damage. */
static int recover_last(struct spool *s, uint64_t held, struct err *e)
{
    struct spool_segment *last = &s->segments[s->segment_count - 1];
    char name[SEGMENT_NAME_SIZE];
    segment_format_name(name, last->first);
    last->fd = openat(s->folder_fd, name, O_RDWR | O_CLOEXEC);
    if (last->fd < 0) {
        return err_set(e, err_kind_of(errno), "cannot open %s/%s: %s", s->folder, name, strerror(errno));
    }
    struct segment_reader reader;
    struct segment_record record;
    segment_reader_init(&reader, last->fd, 0);
    s->next = last->first;
    int found;
    while ((found = segment_read(&reader, last->size, &record, e)) > 0) {
        if (record.sequence < s->next) {
            continue; /* written twice around a failed sync; the first one counts */
        }
        if (record.skipped) {
            spool_note_damage(s, s->next, record.sequence - 1, record.skipped, name);
        }
        s->next = record.sequence + 1;
    }
    uint64_t good = reader.offset;
    segment_reader_free(&reader);
    return found < 0 ? -1 : cut_tail(s, good, held, name, e);
}

/* What a killed process left in the page cache was never promised; now it is synced before it is. */
static int sync_all(struct spool *s, struct err *e)
{
    struct spool_segment *last = &s->segments[s->segment_count - 1];
    for (size_t i = 0; i + 1 < s->segment_count; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_format_name(name, s->segments[i].first);
        int fd = openat(s->folder_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || s->settings.sync_file(fd)) {
            err_set(e, ERR_RETRY, "cannot sync %s/%s: %s", s->folder, name, strerror(errno));
            if (fd >= 0) {
                close(fd);
            }
            return -1;
        }
        close(fd);
    }
    if (s->settings.sync_file(last->fd) || fsync(s->folder_fd)) {
        return err_set(e, ERR_RETRY, "cannot sync the spool %s: %s", s->folder, strerror(errno));
    }
    last->synced = last->size;
    s->folder_dirty = false;
    s->named_ids = s->segment_ids;
    s->held = s->next - 1;
    return 0;
}

/* wiped: it had frames, and its segments are gone, so their numbers would be given out again. */
static int check_identity(struct spool *s, bool wiped, struct err *e)
{
    bool had_frames = s->next > 1;
    if (spool_read_digits(s->folder, "identity", s->identity, SPOOL_IDENTITY_SIZE - 1, e)) {
        return -1;
    }
    bool had_identity = s->identity[0] != '\0';
    if (!had_identity && spool_write_identity(s, e)) {
        return -1;
    }
    if (!had_identity && had_frames) {
        spool_reset_consumers(s);
        spool_report(
            s,
            (struct spool_report){.what = SPOOL_NEW_IDENTITY, .first = s->segments[0].first, .last = s->held},
            "the spool %s had lost its identity; it is now %s", s->folder, s->identity);
    }
    for (size_t i = 0; i < s->consumer_count; i++) {
        wiped |= s->consumers[i].acknowledged > s->held;
    }
    return wiped ? spool_renew(s, e) : 0;
}

int spool_recover(struct spool *s, struct err *e)
{
    uint64_t held = read_held(s);
    if (list_segments(s, e)) {
        return -1;
    }
    bool wiped = held && !s->segment_count;
    if ((s->segment_count ? recover_last(s, held, e) : spool_open_segment(s, s->next, e)) || sync_all(s, e) ||
        spool_read_consumers(s, e) || check_identity(s, wiped, e) || read_token(s, e) ||
        (s->consumers_changed && spool_save_consumers(s, e))) {
        return -1;
    }
    s->held_fd = openat(s->folder_fd, "held", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    spool_tell_held(s);
    spool_drop(s);
    spool_keep_reserve(s);
    return 0;
}
