/* ingest/x_v2_errands.h - what has to be done at the v2 API before its stream is asked for, and by whom.
 *
 * x_v2 knows when a bearer token is missing or was refused, and when the server says that rules are missing;
 * this is the interface of the one who then asks the API. One errand at a time, on the loop's thread.
 */
#ifndef ROOST_INGEST_X_V2_ERRANDS_H
#define ROOST_INGEST_X_V2_ERRANDS_H

#include "ingest/settings.h"
#include "ingest/source.h"

#include <uv.h>

struct x_v2_errand {
    const char *token; /* to use; NULL: fetch one with api_key and api_secret first */
    bool rules; /* the server has said that it has no rules that work: without them there is no stream */
};

/* What came of it; valid during the call. failed NULL: all of it is done. Its `why` is the whole message (no
 * secret in it), its reaction as of an answer; what was fetched before the failure is given all the same. */
struct x_v2_errand_result {
    const char *token; /* the one that was fetched; NULL: none was */
    const struct source_verdict *failed;
};

struct x_v2_errands {
    /* NULL: ERR_FATAL or ERR_RETRY. Settings outlive it. */
    void *(*open)(const struct source_x_v2_settings *settings, struct err *e);
    /* Whom to tell, from the loop, which rules are on the server from a moment on. NULL: it is not known. */
    void (*watch)(void *self, source_in_force *tell, void *user);
    /* Is there something to do? For the rules at a source's first stream, which nobody but this one can tell
     * and then does unasked; a missing token and a demand for rules are x_v2's to know. NULL: never. */
    bool (*due)(void *self);
    /* Begins. done(user, result) is called from the loop later, once, never inside this call, and not after
     * cancel. -1 with ERR_RETRY (climbs the network's ladder) or ERR_FATAL (the source stops). */
    int (*start)(void *self, uv_loop_t *loop, const struct x_v2_errand *errand,
                 void (*done)(void *user, const struct x_v2_errand_result *result), void *user,
                 struct err *e);
    /* The stream is open, or no longer. What is looked at now and then is looked at beside an open stream
     * alone: else the source waits as its ladders say, and nothing is asked meanwhile. NULL: never. */
    void (*streams)(void *self, bool open);
    /* Beside an open stream: the rules shall be those of `next`, which differs in its list and limits alone.
     * Takes the place of an earlier proposal that is not adopted. False: not now (memory, or an errand is
     * under way). NULL: never. */
    bool (*propose)(void *self, const struct source_x_v2_settings *next);
    /* Begins with what was proposed. decided(user, true) is called from the loop when the server has taken
     * the dry run and the additions begin: from then on `lines` speaks of the new list. decided(user, false):
     * the old rules stay, and the log says why. Neither comes after quit or another proposal. */
    bool (*change)(void *self, void (*decided)(void *user, bool adopted), void *user);
    /* Do the rules (those proposed, if there are any) lack exclusions of the list, so that they are left to
     * the local filter? NULL: never. */
    bool (*leaves_exclusions)(void *self);
    /* Which keyword lines a post has matched that came through the rule with this tag (or id, without one):
     * indices in the filter's list, of lines that only the network can match (`= rule`). *lines stays valid
     * until the rules change. Returns how many. NULL: not known. */
    size_t (*lines)(void *self, struct view rule, const size_t **lines);
    /* Gives up what runs and takes everything off the loop; closed(user) when that is done, perhaps inside
     * this call. Then `close`. Where nothing was ever started, close may come alone. */
    void (*quit)(void *self, void (*closed)(void *user), void *user);
    void (*close)(void *self);
};

#endif
