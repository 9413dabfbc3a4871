#include "bridge/segment.h"

#include "base/number.h"
#include "bridge/frame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    WINDOW = 256 * 1024,
    RECORD_MAXIMUM = SEGMENT_HEAD_SIZE + FRAME_PAYLOAD_MAXIMUM,
    GUESS_REACH = 1000000
};

static const unsigned char magic[4] = {0xF5, 'r', 'f', '1'};

void segment_format_name(char name[SEGMENT_NAME_SIZE], uint64_t first)
{
    snprintf(name, SEGMENT_NAME_SIZE, "segment-%020llu.v1", (unsigned long long)first);
}

bool segment_parse_name(const char *name, uint64_t *first)
{
    struct view v = view_of(name);
    return v.length == 31 && view_starts(v, VIEW("segment-")) && view_is(view_from(v, 28), ".v1") &&
           number_parse_unsigned(view_make(v.at + 8, 20), first) == 0 && *first > 0;
}

static void put_number(unsigned char *at, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (unsigned char)(number >> 8 * i);
    }
}

static uint64_t get_number(const char *at, unsigned bytes)
{
    uint64_t number = 0;
    for (unsigned i = bytes; i; i--) {
        number = number << 8 | (unsigned char)at[i - 1];
    }
    return number;
}

void segment_make_head(unsigned char head[SEGMENT_HEAD_SIZE], uint64_t sequence, struct view payload)
{
    memcpy(head, magic, sizeof magic);
    put_number(head + 4, payload.length, 4);
    put_number(head + 8, sequence, 8);
    put_number(head + 16, frame_checksum(sequence, payload), 4);
}

void segment_reader_init(struct segment_reader *r, int fd, uint64_t offset)
{
    *r = (struct segment_reader){
        .fd = fd, .offset = offset, .window_at = offset, .window = BUFFER(WINDOW + RECORD_MAXIMUM)};
}

void segment_reader_free(struct segment_reader *r)
{
    buffer_free(&r->window);
}

/* Reads on until the window holds `need` bytes at r->offset, or as many as there are before the limit.
 * Returns how many it holds there, -1 on error. */
static int64_t fill(struct segment_reader *r, uint64_t limit, size_t need, struct err *e)
{
    uint64_t window_end = r->window_at + r->window.length;
    if (r->offset < r->window_at || r->offset > window_end) {
        buffer_reset(&r->window);
        r->window_at = r->offset;
    }
    while (r->window_at + r->window.length < r->offset + need && r->window_at + r->window.length < limit) {
        bool passed = r->offset > r->window_at; /* there is something to drop */
        if (passed && (r->window.length > WINDOW / 2 || r->window.length == r->offset - r->window_at)) {
            buffer_drop(&r->window, (size_t)(r->offset - r->window_at));
            r->window_at = r->offset;
        }
        uint64_t at = r->window_at + r->window.length;
        uint64_t want = limit - at < WINDOW ? limit - at : WINDOW;
        char *into = buffer_reserve(&r->window, (size_t)want);
        ssize_t n = into ? pread(r->fd, into, (size_t)want, (off_t)at) : -1;
        if (n < 0 && into && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(e, ERR_RETRY, "cannot read a segment of the spool at byte %llu: %s",
                           (unsigned long long)at, into ? strerror(errno) : "out of memory");
        }
        if (n == 0) {
            break;
        }
        r->window.length += (size_t)n;
    }
    uint64_t held = r->window_at + r->window.length;
    held = held < limit ? held : limit;
    return held > r->offset ? (int64_t)(held - r->offset) : 0;
}

/* A record exactly at r->offset: 1; 0: no good one; -1: cannot read. */
static int read_here(struct segment_reader *r, uint64_t limit, struct segment_record *record, struct err *e)
{
    int64_t held = fill(r, limit, SEGMENT_HEAD_SIZE, e);
    if (held < SEGMENT_HEAD_SIZE) {
        return held < 0 ? -1 : 0;
    }
    const char *head = r->window.data + (r->offset - r->window_at);
    uint64_t length = get_number(head + 4, 4);
    if (memcmp(head, magic, sizeof magic) != 0 || !length || length > FRAME_PAYLOAD_MAXIMUM) {
        return 0;
    }
    size_t whole = SEGMENT_HEAD_SIZE + (size_t)length;
    held = fill(r, limit, whole, e);
    if (held < (int64_t)whole) {
        return held < 0 ? -1 : 0;
    }
    head = r->window.data + (r->offset - r->window_at);
    *record = (struct segment_record){.sequence = get_number(head + 8, 8),
                                      .payload = view_make(head + SEGMENT_HEAD_SIZE, (size_t)length),
                                      .checksum = (uint32_t)get_number(head + 16, 4),
                                      .offset = r->offset,
                                      .end = r->offset + whole};
    return record->sequence && frame_checksum(record->sequence, record->payload) == record->checksum;
}

/* Moves r->offset to the next place at or behind it where a record may begin. 1 found, 0 none, -1 cannot
 * read. */
static int find_magic(struct segment_reader *r, uint64_t limit, struct err *e)
{
    for (;;) {
        int64_t held = fill(r, limit, sizeof magic, e);
        if (held < (int64_t)sizeof magic) {
            return held < 0 ? -1 : 0;
        }
        const char *at = r->window.data + (r->offset - r->window_at);
        const char *hit = memmem(at, (size_t)held, magic, sizeof magic);
        if (hit) {
            r->offset += (uint64_t)(hit - at);
            return 1;
        }
        r->offset += (uint64_t)held - (sizeof magic - 1); /* the magic may lie across the window's end */
    }
}

int segment_read(struct segment_reader *r, uint64_t limit, struct segment_record *record, struct err *e)
{
    uint64_t from = r->offset;
    *record = (struct segment_record){0};
    for (;;) {
        int found = read_here(r, limit, record, e);
        if (found > 0) {
            record->skipped = record->offset - from;
            r->offset = record->end;
            return 1;
        }
        if (found == 0 && r->offset < limit) {
            r->offset++;
            found = find_magic(r, limit, e);
        }
        if (found > 0) {
            continue;
        }
        r->offset = from;
        *record = (struct segment_record){.skipped = found == 0 && limit > from ? limit - from : 0};
        return found;
    }
}

/* Whether the record at r->offset is whole and its checksum that of number `from`: only its number is
 * damaged. */
static bool was_number(struct segment_reader *r, uint64_t limit, uint64_t from)
{
    const char *head = r->window.data + (r->offset - r->window_at);
    size_t length = (size_t)get_number(head + 4, 4);
    if (!length || length > FRAME_PAYLOAD_MAXIMUM ||
        fill(r, limit, SEGMENT_HEAD_SIZE + length, NULL) < (int64_t)(SEGMENT_HEAD_SIZE + length)) {
        return false;
    }
    head = r->window.data + (r->offset - r->window_at);
    return frame_checksum(from, view_make(head + SEGMENT_HEAD_SIZE, length)) ==
           (uint32_t)get_number(head + 16, 4);
}

uint64_t segment_guess_last(int fd, uint64_t offset, uint64_t limit, uint64_t from)
{
    struct segment_reader r;
    segment_reader_init(&r, fd, offset);
    uint64_t last = 0;
    while (r.offset < limit && find_magic(&r, limit, NULL) > 0) {
        int64_t there = fill(&r, limit, SEGMENT_HEAD_SIZE, NULL);
        if (there >= 16) {
            uint64_t sequence = get_number(r.window.data + (r.offset - r.window_at) + 8, 8);
            if (there >= SEGMENT_HEAD_SIZE && was_number(&r, limit, last ? last + 1 : from)) {
                sequence = last ? last + 1 : from;
            }
            if (sequence >= from && sequence - from < GUESS_REACH && sequence > last) {
                last = sequence;
            }
        }
        r.offset++;
    }
    segment_reader_free(&r);
    return last;
}
