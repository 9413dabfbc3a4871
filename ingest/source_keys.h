/* ingest/source_keys.h - have a source's server and credentials ever streamed?
 *
 * Part of struct source: asks and writes the file of ingest/streamed.h with what the protocol says identifies
 * them, and wipes that again. On the loop's thread; the file is small and read once.
 */
#ifndef ROOST_INGEST_SOURCE_KEYS_H
#define ROOST_INGEST_SOURCE_KEYS_H

#include "ingest/source.h"

/* False too without a file (path NULL), and when it cannot be read. */
bool source_keys_known(const struct source_protocol *protocol, void *state, const char *path);

/* Writes them down; nothing to do without a file. */
int source_keys_remember(const struct source_protocol *protocol, void *state, const char *path,
                         struct err *e);

#endif
