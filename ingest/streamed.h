/* ingest/streamed.h - a file that remembers which credentials have ever streamed.
 *
 * Servers say 401 and 403 also when they are ill, so a source that streamed before is asked again, while one
 * that never did is stopped soon. The file beside the spool has one line for each server and set of keys: a
 * random salt, and HMAC-SHA1 of them keyed by it. Neither keys nor names can be read from it, and the newest
 * 100 are kept. It is read and written whole, at most once in the life of a source each; only the service's
 * user may read it.
 */
#ifndef ROOST_INGEST_STREAMED_H
#define ROOST_INGEST_STREAMED_H

#include "base/err.h"
#include "base/view.h"

#include <stdbool.h>

enum { STREAMED_MARK_SIZE = 80 };

/* A mark by which an identity is known again and nothing else is told of it: a random salt and a hash keyed
 * by it, one word each, NUL-ended. -1: memory is out. */
int streamed_mark(const char *identity, char mark[STREAMED_MARK_SIZE]);

/* True: the mark was made of this identity. */
bool streamed_is_mark_of(struct view mark, const char *identity);

/* `identity` is all that identifies server and credentials. A file that is not there or cannot be read says
 * no. */
bool streamed_before(const char *path, const char *identity);

/* Adds them, without looking whether they are there. -1: the file cannot be written. */
int streamed_remember(const char *path, const char *identity, struct err *e);

#endif
