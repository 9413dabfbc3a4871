#include "bridge/spool_look.h"

#include "base/file.h"
#include "base/number.h"
#include "bridge/spool_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOKS = 20,      /* how often all is read again because segments went meanwhile */
    TAIL_LOOKS = 50, /* how often the end of the last segment is read again, */
    TAIL_STILL = 5,  /* and how often it may be the same before it counts as torn: */
    TAIL_WAIT_MS = 20
};

enum outcome { FAILED = -1, DONE, GONE, ENOUGH };

struct scan {
    const char *folder;
    int folder_fd;
    const struct spool_look_range *range;
    struct spool_look *look;
    uint64_t *firsts; /* of the segments, sorted */
    size_t count, capacity;
    uint64_t next;    /* the sequence that follows the last one read */
    uint64_t skipped; /* damaged bytes at the end of the segment before */
    uint64_t given;   /* highest sequence handed to the caller */
};

static int compare_firsts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int add_first(struct scan *s, uint64_t first, struct err *e)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 64;
        uint64_t *grown = realloc(s->firsts, capacity * sizeof *grown);
        if (!grown) {
            return err_set(e, ERR_RETRY, "out of memory");
        }
        s->firsts = grown;
        s->capacity = capacity;
    }
    s->firsts[s->count++] = first;
    return 0;
}

static int list_segments(struct scan *s, struct err *e)
{
    DIR *folder = opendir(s->folder);
    if (!folder) {
        return err_set(e, ERR_RETRY, "cannot read the folder %s: %s", s->folder, strerror(errno));
    }
    int result = 0;
    s->count = 0;
    for (const struct dirent *entry = readdir(folder); entry && result == 0; entry = readdir(folder)) {
        uint64_t first;
        if (segment_parse_name(entry->d_name, &first)) {
            result = add_first(s, first, e);
        }
    }
    closedir(folder);
    if (s->count) {
        qsort(s->firsts, s->count, sizeof *s->firsts, compare_firsts);
    }
    return result;
}

static void note(struct scan *s, struct spool_damage damage, uint64_t segment)
{
    if (s->look->damage_count < SPOOL_LOOK_DAMAGE_MAXIMUM) {
        segment_format_name(damage.segment, segment);
        s->look->damage[s->look->damage_count] = damage;
    }
    s->look->damage_count++;
}

/* The next good frame is `sequence`, or a higher one in a segment of that name: what lies between it and the
 * last one is missing. */
static void note_gap(struct scan *s, uint64_t sequence, uint64_t skipped, uint64_t segment)
{
    if (sequence > s->next) {
        note(s,
             (struct spool_damage){.kind = skipped ? SPOOL_DAMAGE_CORRUPT : SPOOL_DAMAGE_MISSING,
                                   .first = s->next,
                                   .last = sequence - 1,
                                   .bytes = skipped},
             segment);
        s->next = sequence;
    } else if (skipped) {
        note(s,
             (struct spool_damage){
                 .kind = SPOOL_DAMAGE_STRAY, .first = s->next, .last = s->next - 1, .bytes = skipped},
             segment);
    }
}

static enum outcome take(struct scan *s, const struct segment_record *record, struct err *e)
{
    struct spool_look *look = s->look;
    if (!look->frames++) {
        look->first = record->sequence;
    }
    look->last = record->sequence;
    s->next = record->sequence + 1;
    const struct spool_look_range *range = s->range;
    if (!range || record->sequence < range->from || record->sequence <= s->given) {
        return DONE;
    }
    s->given = record->sequence;
    const struct spool_frame frame = {record->sequence, record->checksum, record->payload};
    return range->frame && range->frame(range->user, &frame, e) ? FAILED : DONE;
}

/* The last segment ends in something that is no whole frame: it may be one that is being written. Waits a
 * little; true: the file has changed, *limit is its size now. */
static bool tail_changed(int fd, uint64_t *limit, int *looks)
{
    for (int still = 0; still < TAIL_STILL && (*looks)++ < TAIL_LOOKS; still++) {
        struct stat status;
        if (fstat(fd, &status) == 0 && (uint64_t)status.st_size != *limit) {
            *limit = (uint64_t)status.st_size;
            return true;
        }
        poll(NULL, 0, TAIL_WAIT_MS);
    }
    return false;
}

static void note_torn(struct scan *s, int fd, uint64_t offset, uint64_t limit, uint64_t segment)
{
    uint64_t guess = segment_guess_last(fd, offset, limit, s->next);
    note(s,
         (struct spool_damage){.kind = SPOOL_DAMAGE_TORN,
                               .first = s->next,
                               .last = guess ? guess : s->next - 1,
                               .bytes = limit - offset},
         segment);
}

/* All records of an open segment. `below`: the name of the next one, UINT64_MAX: it is the last. */
static enum outcome read_records(struct scan *s, struct segment_reader *reader, uint64_t *limit,
                                 uint64_t segment, uint64_t below, struct err *e)
{
    struct segment_record record;
    int looks = 0;
    for (;;) {
        int found = segment_read(reader, *limit, &record, e);
        if (found < 0) {
            return FAILED;
        }
        if (found > 0 && record.sequence >= below) {
            return DONE; /* the copy in the next segment counts (after a failed sync) */
        }
        if (found > 0 && s->range && record.sequence > s->range->to) {
            return ENOUGH;
        }
        if (found > 0 && record.sequence >= s->next) {
            note_gap(s, record.sequence, record.skipped + s->skipped, segment);
            s->skipped = 0;
            if (take(s, &record, e) == FAILED) {
                return FAILED;
            }
        }
        if (found > 0) {
            continue;
        }
        if (record.skipped && below == UINT64_MAX && tail_changed(reader->fd, limit, &looks)) {
            segment_reader_free(reader); /* the window may hold bytes that were not written yet */
            segment_reader_init(reader, reader->fd, reader->offset);
            continue;
        }
        if (record.skipped && below == UINT64_MAX) {
            note_torn(s, reader->fd, reader->offset, *limit, segment);
        } else {
            s->skipped += record.skipped;
        }
        return DONE;
    }
}

static enum outcome scan_segment(struct scan *s, size_t index, struct err *e)
{
    uint64_t segment = s->firsts[index], below = index + 1 < s->count ? s->firsts[index + 1] : UINT64_MAX;
    char name[SEGMENT_NAME_SIZE];
    segment_format_name(name, segment);
    int fd = openat(s->folder_fd, name, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 && errno == ENOENT) {
        return GONE;
    }
    if (fd < 0 || fstat(fd, &status)) {
        err_set(e, ERR_RETRY, "cannot read %s/%s: %s", s->folder, name, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return FAILED;
    }
    note_gap(s, segment, s->skipped, segment);
    s->skipped = 0;
    struct segment_reader reader;
    uint64_t limit = (uint64_t)status.st_size;
    segment_reader_init(&reader, fd, 0);
    enum outcome outcome = read_records(s, &reader, &limit, segment, below, e);
    segment_reader_free(&reader);
    close(fd);
    s->look->bytes += limit;
    s->look->segments++;
    return outcome;
}

/* The number of the newest frame known to be synced. The file is written in place, so it is read until two
 * readings agree. Absent or of another form: 0, nothing is known. */
static int read_held(struct scan *s, struct err *e)
{
    char held[SPOOL_HELD_SIZE] = "", before[SPOOL_HELD_SIZE] = "-";
    for (int i = 0; i < LOOKS && strcmp(held, before) != 0; i++) {
        memcpy(before, held, sizeof before);
        held[0] = '\0';
        int fd = openat(s->folder_fd, "held", O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
            return 0;
        }
        ssize_t n = fd < 0 ? -1 : pread(fd, held, sizeof held - 1, 0);
        int failed = errno;
        if (fd >= 0) {
            close(fd);
        }
        if (n < 0) {
            return err_set(e, ERR_RETRY, "cannot read %s/held: %s", s->folder, strerror(failed));
        }
        held[n] = '\0';
    }
    if (number_parse_unsigned(view_trim(view_of(held)), &s->look->held)) {
        s->look->held = 0;
    }
    return 0;
}

static enum outcome scan_all(struct scan *s, struct err *e)
{
    struct spool_look *look = s->look;
    *look = (struct spool_look){0};
    s->skipped = 0;
    /* Positions before frames: they only rise, so none is ahead of the frames that are read after it. */
    if (spool_read_digits(s->folder, "identity", look->identity, SPOOL_IDENTITY_SIZE - 1, e) ||
        spool_load_consumers(s->folder, look->consumers, &look->consumer_count, e) || read_held(s, e) ||
        list_segments(s, e)) {
        if (e) {
            e->kind = ERR_RETRY;
        }
        return FAILED;
    }
    if (!s->count && !look->identity[0]) {
        err_set(e, ERR_FATAL,
                "no spool is in %s: neither an identity nor a segment; it is the spool_dir of [bridge], "
                "which roost listen fills",
                s->folder);
        return FAILED;
    }
    size_t begin = 0;
    while (s->range && begin + 1 < s->count && s->firsts[begin + 1] <= s->range->from) {
        begin++;
    }
    s->next = s->count ? s->firsts[begin] : 1;
    enum outcome outcome = DONE;
    for (size_t i = begin; i < s->count && outcome == DONE; i++) {
        outcome = s->range && s->firsts[i] > s->range->to ? ENOUGH : scan_segment(s, i, e);
    }
    look->last = s->next - 1;
    look->first = look->frames ? look->first : s->next;
    look->held = look->held < look->last || s->range ? look->held : look->last;
    return outcome;
}

int spool_look(const char *folder, const struct spool_look_range *range, struct spool_look *look,
               struct err *e)
{
    struct scan s = {.folder = folder, .range = range, .look = look};
    s.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.folder_fd < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        return err_set(e, absent ? ERR_FATAL : ERR_RETRY, "cannot look into the spool %s: %s", folder,
                       strerror(errno));
    }
    enum outcome outcome = GONE;
    for (int i = 0; i < LOOKS && outcome == GONE; i++) {
        outcome = scan_all(&s, e);
    }
    if (outcome == GONE) {
        err_set(e, ERR_RETRY, "the spool %s loses segments faster than it can be read", folder);
    }
    free(s.firsts);
    close(s.folder_fd);
    return outcome == DONE || outcome == ENOUGH ? 0 : -1;
}

uint64_t spool_look_behind(const struct spool_look *look, const struct spool_consumer *consumer)
{
    uint64_t has = consumer->acknowledged;
    if (has + 1 < look->first) {
        has = look->first - 1;
    }
    return look->held > has ? look->held - has : 0;
}
