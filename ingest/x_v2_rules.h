/* ingest/x_v2_rules.h - makes the rules of an account on X be the wanted ones, or says what that would take.
 *
 * list -> difference -> dry run of the additions -> the difference's steps (additions, then deletions) ->
 * list again, for the ids. Nothing blocks; the stream that runs meanwhile is not touched. Rules of other
 * programs are never touched. The dry run comes before any change: when the server refuses one rule, none is
 * changed. A duplicate is success. Everything is on the loop's thread, and every function may be called from
 * a callback.
 */
#ifndef ROOST_INGEST_X_V2_RULES_H
#define ROOST_INGEST_X_V2_RULES_H

#include "base/log.h"
#include "ingest/rules_change.h"
#include "ingest/x_v2_api.h"

/* The server's list and what it takes to make it the wanted one. Valid during the callback. */
struct x_v2_rules_state {
    const struct rules *rules;
    const struct rules_held *held;
    size_t held_count;
    struct rules_change change;
};

/* A rule that the server does not take; all of it valid during the callback. */
struct x_v2_rules_refusal {
    const struct rule *rule; /* NULL: the server did not say which */
    struct view why;         /* its words; never empty */
};

struct x_v2_rules_result {
    int result;       /* 0: the server's rules are (apply) or were looked at (plan); -1: e says why not */
    struct err e;     /* ERR_FATAL also for rules that were refused */
    bool changed;     /* something was added or deleted, also on failure */
    int64_t begun_at; /* wall time: of the first change, or now where none was needed */
    size_t added, removed;                /* as far as it came */
    const struct x_v2_rules_state *state; /* the last list; NULL on failure. After apply `keep` and `foreign`
                                           * say which rule on the server stands for which wanted one. */
};

/* All but end may be NULL. */
struct x_v2_rules_events {
    void (*planned)(void *user, const struct x_v2_rules_state *state); /* before any change */
    void (*begins)(void *user, const struct x_v2_rules_state *state);  /* the server takes the additions: the
                                                                        * first change comes now */
    void (*waits)(void *user, size_t added); /* added rules, so many by now, are given time to work before
                                              * the first removal */
    void (*refused)(void *user, const struct x_v2_rules_refusal *refusal);
    void (*end)(void *user, const struct x_v2_rules_result *result); /* the last one */
    void *user;
};

enum x_v2_rules_what {
    X_V2_RULES_PLAN, /* only look */
    X_V2_RULES_APPLY
};

struct x_v2_rules;

/* Begins; the api must be idle, belongs to this job until `end`, and must outlive it, as the rules must.
 * Events come later, from the loop. NULL: memory is out. */
struct x_v2_rules *x_v2_rules_start(struct x_v2_api *api, const struct rules *rules,
                                    enum x_v2_rules_what what, const struct x_v2_rules_events *events,
                                    struct err *e);

/* Logs as errors which keyword lines, with file and line, a refusal is about. */
void x_v2_rules_log_refusal(const struct log_context *log, const struct rules *rules,
                            const struct x_v2_rules_refusal *refusal);

/* Removals that follow additions wait so long (milliseconds; 0, as without this call: not at all): a rule
 * works some time after it was added, and until then the old ones must. */
void x_v2_rules_let_work(struct x_v2_rules *job, int64_t wait_ms);

/* Ends it, wherever it is (an addition under way may or may not have been done), and gives it back; no
 * further event comes. Also after `end`, and from inside of `end`, not of the other events. NULL does
 * nothing. */
void x_v2_rules_free(struct x_v2_rules *job);

#endif
