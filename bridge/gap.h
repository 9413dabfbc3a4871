/* bridge/gap.h - the body of a `gap` event: the columns of roost.gaps by name (design, section 7).
 */
#ifndef ROOST_BRIDGE_GAP_H
#define ROOST_BRIDGE_GAP_H

#include "base/buffer.h"
#include "bridge/post.h"

struct gap {
    int64_t from, to;  /* wall times */
    const char *cause; /* of roost.gaps */
    const char *detail;
    int64_t undelivered;  /* posts or frames; -1: not known */
    uint64_t first, last; /* which frames of the spool it crosses in; 0: it is not about frames */
};

enum { GAP_BODY_MAXIMUM = 8192 };

/* Appends
 * {"started_at":...,"ended_at":...,"cause":...,"detail":...,"undelivered":...,"first":...,"last":...}; the
 * last three only where known. */
void gap_write(struct buffer *body, const struct gap *gap);

/* An event of this source, received now, with a body that gap_write has made and that must outlive it. The
 * empty source: frames of any source. */
void gap_event(struct post *event, const char *source, const struct buffer *body);

#endif
