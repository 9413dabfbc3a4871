/* ingest/versions.h - tells each change of what the sources ask for, once, and remembers what was told.
 *
 * A version that differs from what was told last goes into the spool as events; one that finds no room waits
 * and is tried again each second. What was told is kept in a small file beside the spool, which is replaced
 * only when the spool holds the events (synced): a listener that dies in between tells them again, which the
 * tables take for the same. The file goes with the spool, so a wiped one is told everything anew.
 *
 * Everything is on the loop's thread; the file is written on it, when a version was told.
 */
#ifndef ROOST_INGEST_VERSIONS_H
#define ROOST_INGEST_VERSIONS_H

#include "bridge/post.h"
#include "ingest/version.h"

#include <uv.h>

struct versions;

/* The way into the spool. */
struct versions_spool {
    int (*publish)(void *user, const struct post *event, struct err *e); /* as bridge_publish */
    void (*count)(void *user, uint64_t *appended, uint64_t *held);       /* newest frame, newest synced */
    void *user;
};

/* Reads the file (none is no error; one that cannot be read begins anew, with a warning). NULL: memory is
 * out. */
struct versions *versions_open(uv_loop_t *loop, const char *path, const struct versions_spool *spool,
                               struct err *e);

/* From version->since on the source asks for this. Nothing happens when it was told already. */
void versions_tell(struct versions *v, const char *source, const struct version *version);

/* Ends the versions of sources that are not in the configuration any more. */
void versions_forget(struct versions *v, bool (*configured)(void *user, const char *source), void *user);

/* Tries what waits a last time, frees everything and calls done(user) from the loop. */
void versions_close(struct versions *v, void (*done)(void *user), void *user);

#endif
