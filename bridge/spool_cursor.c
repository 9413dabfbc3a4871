/* Reading the spool in order, whatever is written, dropped or damaged meanwhile. */
#include "bridge/spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spool_cursor {
    struct spool *spool;
    uint64_t next;    /* lowest sequence that may still be given */
    bool started;     /* a frame was given or looked for: from here on a jump in the numbers is damage */
    uint64_t segment; /* `first` of the segment that is open; 0: none */
    uint64_t id;      /* and which file of that name */
    int fd;
    uint64_t skipped; /* damaged bytes passed over at the end of the segment before */
    struct segment_reader reader;
};

void spool_remember_damage(struct spool *s, uint64_t first, uint64_t last)
{
    size_t at = s->damage_count < SPOOL_REMEMBERED_DAMAGE ? s->damage_count++
                                                          : (size_t)(first % SPOOL_REMEMBERED_DAMAGE);
    s->damage[at] = (struct spool_range){first, last};
}

void spool_note_damage(struct spool *s, uint64_t first, uint64_t last, uint64_t bytes, const char *name)
{
    for (size_t i = 0; i < s->damage_count; i++) {
        if (s->damage[i].first == first && s->damage[i].last == last) {
            return;
        }
    }
    spool_remember_damage(s, first, last);
    uint64_t count = last - first + 1;
    struct spool_report report = {.what = SPOOL_CORRUPT, .first = first, .last = last, .bytes = bytes};
    if (first <= last) {
        spool_report(s, report,
                     "frames %llu to %llu (%llu in all) are missing from the spool %s: %llu damaged bytes "
                     "before the next good frame in %s",
                     (unsigned long long)first, (unsigned long long)last, (unsigned long long)count,
                     s->folder, (unsigned long long)bytes, name);
        return;
    }
    spool_report(s, report, "%llu bytes in %s/%s before frame %llu belong to no frame; none is missing",
                 (unsigned long long)bytes, s->folder, name, (unsigned long long)first);
}

struct spool_cursor *spool_read_from(struct spool *s, uint64_t from, struct err *e)
{
    struct spool_cursor *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(e, ERR_RETRY, "out of memory");
        return NULL;
    }
    c->spool = s;
    c->next = from ? from : 1;
    c->fd = -1;
    return c;
}

static void close_segment(struct spool_cursor *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        segment_reader_free(&c->reader);
    }
    c->fd = -1;
    c->segment = 0;
}

void spool_close_cursor(struct spool_cursor *c)
{
    if (c) {
        close_segment(c);
        free(c);
    }
}

/* The segment that may hold c->next and begins behind `after`: the last one that begins at or below it, else
 * the next. */
static const struct spool_segment *choose(const struct spool_cursor *c, uint64_t after)
{
    const struct spool *s = c->spool;
    const struct spool_segment *chosen = NULL;
    for (size_t i = 0; i < s->segment_count; i++) {
        const struct spool_segment *segment = &s->segments[i];
        if (segment->first > after && (!chosen || segment->first <= c->next)) {
            chosen = segment;
        }
    }
    return chosen;
}

static int open_segment(struct spool_cursor *c, const struct spool_segment *segment, struct err *e)
{
    char name[SEGMENT_NAME_SIZE];
    segment_format_name(name, segment->first);
    int fd = openat(c->spool->folder_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(e, ERR_RETRY, "cannot open %s/%s: %s", c->spool->folder, name, strerror(errno));
    }
    close_segment(c);
    c->fd = fd;
    c->segment = segment->first;
    c->id = segment->id;
    segment_reader_init(&c->reader, fd, 0);
    return 0;
}

/* The open segment and, in *below, the first sequence that belongs to the next one (UINT64_MAX: none). NULL:
 * it was dropped, or replaced after a failed sync. */
static const struct spool_segment *open_one(const struct spool_cursor *c, uint64_t *below)
{
    const struct spool *s = c->spool;
    for (size_t i = 0; i < s->segment_count; i++) {
        if (s->segments[i].id == c->id) {
            *below = i + 1 < s->segment_count ? s->segments[i + 1].first : UINT64_MAX;
            return &s->segments[i];
        }
    }
    return NULL;
}

/* The next record that counts in the open segment: 1; 0: none yet, or no more (record->skipped bytes are
 * left); -1. */
static int next_record(struct spool_cursor *c, uint64_t limit, uint64_t below, struct segment_record *record,
                       struct err *e)
{
    for (;;) {
        int found = segment_read(&c->reader, limit, record, e);
        if (found <= 0) {
            return found;
        }
        if (record->sequence >= below) {
            record->skipped = 0; /* a copy of it, made after a failed sync, is in the next segment */
            return 0;
        }
        if (record->sequence >= c->next) {
            return 1;
        }
    }
}

static int give(struct spool_cursor *c, const struct segment_record *record, struct spool_frame *frame)
{
    if (record->sequence > c->spool->held) {
        c->reader.offset = record->offset - record->skipped;
        return 0;
    }
    if (record->sequence > c->next && c->started) {
        char name[SEGMENT_NAME_SIZE];
        segment_format_name(name, c->segment);
        spool_note_damage(c->spool, c->next, record->sequence - 1, record->skipped + c->skipped, name);
    }
    c->skipped = 0;
    c->started = true;
    c->next = record->sequence + 1;
    *frame = (struct spool_frame){record->sequence, record->checksum, record->payload};
    return 1;
}

int spool_next(struct spool_cursor *c, struct spool_frame *frame, struct err *e)
{
    if (c->next < spool_first(c->spool)) {
        c->next = spool_first(c->spool); /* what was dropped has been reported */
    }
    for (;;) {
        uint64_t below = 0, left = 0;
        const struct spool_segment *segment = c->fd >= 0 ? open_one(c, &below) : NULL;
        const struct spool_segment *following = NULL;
        if (segment) {
            struct segment_record record;
            int found = next_record(c, segment->size, below, &record, e);
            if (found) {
                return found < 0 ? -1 : give(c, &record, frame);
            }
            left = record.skipped;
            following = choose(c, c->segment);
        } else {
            following = choose(c, 0);
        }
        if (!following) {
            return 0;
        }
        if (open_segment(c, following, e)) {
            return -1;
        }
        c->skipped += left;
        c->started = c->started || following->first <= c->next;
    }
}
