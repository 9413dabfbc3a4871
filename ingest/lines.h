/* ingest/lines.h - cuts a stream's body into messages, wherever the network cut it.
 *
 * A message ends with CR LF; a lone LF may stand inside one, a CR never does; an empty line is a keep-alive.
 * Streams asked for with `delimited=length` are read too and need no setting: when the stream begins with a
 * line of digits alone, such lines are the length in bytes of what follows (line end included); when it
 * begins with a message, a line of digits is a message too, so that no message can pose as a length. Length
 * lines may end with LF or CR LF, and a LF alone where a message would begin is a keep-alive too, since
 * servers disagree. A message over the limit is thrown away as it comes and reported once; memory is bounded
 * by the limit. A length over the limit is not believed: such a message is thrown away up to its CR LF, so
 * that no number can swallow the stream. (The prefix names the room: config has a lines.h of its own.)
 */
#ifndef ROOST_INGEST_LINES_H
#define ROOST_INGEST_LINES_H

#include "base/view.h"

#include <stdint.h>

enum { LINES_MESSAGE_LIMIT = 1024 * 1024 /* bytes; tweets with everything in them stay below 100 KiB */ };

enum ingest_lines_kind {
    LINES_MORE,       /* the input is used up: call again with the next bytes */
    LINES_MESSAGE,    /* a whole message, without its line end, never empty */
    LINES_KEEP_ALIVE, /* an empty line */
    LINES_TOO_LONG    /* a message over the limit was thrown away */
};

struct ingest_lines_item {
    struct view message; /* LINES_MESSAGE; valid until the next call, and while the input is */
    uint64_t length;     /* bytes of the message, also of one thrown away */
};

struct ingest_lines;

/* Nothing read yet. `limit` (1 or more) is the longest message kept, in bytes. NULL when memory is out. */
struct ingest_lines *ingest_lines_new(size_t limit);

/* The next thing in *input, which moves behind what was read. When memory is out a message is thrown away and
 * reported as LINES_TOO_LONG. */
enum ingest_lines_kind ingest_lines_next(struct ingest_lines *l, struct view *input,
                                         struct ingest_lines_item *item);

/* The stream ended: returns how many bytes of an unfinished message are thrown away (0: none, the cut was
 * clean) and is ready for a new stream. */
uint64_t ingest_lines_end(struct ingest_lines *l);

/* NULL does nothing. */
void ingest_lines_free(struct ingest_lines *l);

#endif
