/* ingest/set_aside.h - where messages go that cannot be read: a file to look at later, never a reason to
 * stop.
 *
 * SPOOL_DIR/set-aside.ndjson holds one JSON object a line: source, received_at, why, and the message as
 * `text` (when it is UTF-8) or as `base64`. At 16 MiB the file becomes set-aside.ndjson.1, in place of the
 * one before; so at most 32 MiB are used, and the newest messages are there. Messages may hold posts: only
 * the service's user may read it. A file that cannot be written is logged, at most once a minute, and the
 * message is lost; the stream goes on.
 */
#ifndef ROOST_INGEST_SET_ASIDE_H
#define ROOST_INGEST_SET_ASIDE_H

#include "base/err.h"
#include "base/view.h"

#include <stdint.h>

enum { SET_ASIDE_FILE_LIMIT = 16 * 1024 * 1024 /* bytes */ };

struct set_aside;

/* For all sources of a process; the folder is there already, nothing is opened before the first message.
 * `limit` is SET_ASIDE_FILE_LIMIT, less in tests. NULL: memory is out. */
struct set_aside *set_aside_new(const char *spool_dir, int64_t limit);

/* Writes one line at once (no sync: it is no promise). `message` may be absent when nothing was kept of it;
 * `why` is a whole sentence part, as of struct err. One thread at a time. */
void set_aside_put(struct set_aside *s, const char *source, int64_t received_at, const char *why,
                   struct view message);

/* NULL does nothing. */
void set_aside_free(struct set_aside *s);

#endif
