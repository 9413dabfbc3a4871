/* bridge/spool_view.h - reading a spool's files without being its owner: for looking and recounting.
 *
 * Takes no lock, writes nothing, and works while `roost listen` writes and drops segments: what was there
 * when the view was opened is read in order of sequence, a segment that goes meanwhile is passed over, a
 * record that is still being written ends the view. It does not know what is held (synced); its caller has a
 * position to go by.
 */
#ifndef ROOST_BRIDGE_SPOOL_VIEW_H
#define ROOST_BRIDGE_SPOOL_VIEW_H

#include "base/err.h"
#include "bridge/spool.h"

#include <stdint.h>

struct spool_view;

/* The spool in this folder as it is now. NULL: the folder cannot be read (ERR_RETRY), memory is out. The
 * caller closes it. */
struct spool_view *spool_view_open(const char *folder, struct err *e);

/* What the file `identity` says; "" when there is none that is right. */
const char *spool_view_identity(const struct spool_view *v);

/* The next frame, each sequence once. 1: *frame is filled, its payload valid until the next call; 0: no more;
 * -1: a file cannot be read (ERR_RETRY). */
int spool_view_next(struct spool_view *v, struct spool_frame *frame, struct err *e);

/* Once spool_view_next gave 0: the highest sequence that this spool is known to have given out; 0: none. */
uint64_t spool_view_end(const struct spool_view *v);

/* Bytes passed over so far that are no record, between records and at the ends of segments but the last. */
uint64_t spool_view_damaged(const struct spool_view *v);

void spool_view_close(struct spool_view *v); /* NULL does nothing */

#endif
