/* bridge/segment.h - one file of the spool: records one after the other, and a reader that trusts none of
 * them.
 *
 * The problem: a file may end in the middle of a record (power loss), or hold bytes that a disk has changed.
 * A record begins with a magic number whose first byte is in no UTF-8 text, so in no payload; a reader that
 * finds a bad record looks for the next magic number, and loses nothing but what is damaged. Lengths are
 * believed only when the checksum over the bytes that they claim is right. The bytes are in
 * bridge/PROTOCOL.md, "On disk".
 */
#ifndef ROOST_BRIDGE_SEGMENT_H
#define ROOST_BRIDGE_SEGMENT_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SEGMENT_HEAD_SIZE = 20,
    SEGMENT_NAME_SIZE = 40 /* "segment-00000000000000000001.v1" and NUL */
};

/* The name of the file whose first record has this sequence. */
void segment_format_name(char name[SEGMENT_NAME_SIZE], uint64_t first);
bool segment_parse_name(const char *name, uint64_t *first);

/* A record's bytes before its payload. */
void segment_make_head(unsigned char head[SEGMENT_HEAD_SIZE], uint64_t sequence, struct view payload);

struct segment_record {
    uint64_t sequence;
    struct view payload; /* valid until the next call on its reader */
    uint32_t checksum;   /* frame_checksum of both, verified */
    uint64_t offset;     /* where the record begins in the file */
    uint64_t end;        /* where the next one would */
    uint64_t skipped;    /* damaged bytes passed over just before it */
};

struct segment_reader {
    int fd;             /* the caller's; read with pread(2) only */
    uint64_t offset;    /* where the next record is looked for */
    uint64_t window_at; /* file offset of window's first byte */
    struct buffer window;
};

/* A reader at an offset; allocates nothing yet. */
void segment_reader_init(struct segment_reader *r, int fd, uint64_t offset);

/* The next good record that ends at or before `limit` (bytes of the file that count). 1: *record is filled;
 * 0: there is none: *record only tells, in `skipped`, how many bytes are left over, and the reader stays
 * where it is; -1: the file cannot be read (ERR_RETRY). */
int segment_read(struct segment_reader *r, uint64_t limit, struct segment_record *record, struct err *e);

/* The highest sequence that a damaged stretch of the file seems to hold, by the heads in it, within
 * [from, from + 1,000,000); 0: none. So that a number that may have been given out is never given out again.
 * A head whose checksum is right for the number that is expected there counts as that number. */
uint64_t segment_guess_last(int fd, uint64_t offset, uint64_t limit, uint64_t from);

void segment_reader_free(struct segment_reader *r);

#endif
