/* ingest/source_keys.h - have a source's server and credentials ever streamed, and are they the ones they
 * were?
 *
 * Part of struct source: asks and writes the file of ingest/streamed.h, and makes and knows its marks, with
 * what the protocol says identifies them, and wipes that again. On the loop's thread; the file is small and
 * read once.
 */
#ifndef ROOST_INGEST_SOURCE_KEYS_H
#define ROOST_INGEST_SOURCE_KEYS_H

#include "ingest/source.h"
#include "ingest/streamed.h"

/* False too without a file (path NULL), and when it cannot be read. */
bool source_keys_known(const struct source_protocol *protocol, void *state, const char *path);

/* Writes them down; nothing to do without a file. */
int source_keys_remember(const struct source_protocol *protocol, void *state, const char *path,
                         struct err *e);

/* A mark of url, server and credentials (streamed_mark). -1: memory is out, and `mark` is "". */
int source_keys_mark(const struct source_protocol *protocol, void *state, const char *url,
                     char mark[STREAMED_MARK_SIZE]);

/* True: the mark was made of these. */
bool source_keys_are(const struct source_protocol *protocol, void *state, const char *url, const char *mark);

/* True: these two states of the protocol, with their urls, have the same server and credentials. */
bool source_keys_same(const struct source_protocol *protocol, void *a, const char *a_url, void *b,
                      const char *b_url);

#endif
