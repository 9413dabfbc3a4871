/* ingest/x_v2_problem.h - what the v2 API says is wrong, in an answer's body or in the stream, and what to
 * do.
 *
 * A problem has a `type`, an address of which only the last part of the path counts ("usage-capped"; it
 * stands at x.com or at twitter.com), a title, a detail, and for connections a `connection_issue` or a
 * `disconnect_type` (API document, section 5.7). An answer is one such object or has them in `errors`; in the
 * stream they stand in `errors` without `data`. Any JSON is taken.
 */
#ifndef ROOST_INGEST_X_V2_PROBLEM_H
#define ROOST_INGEST_X_V2_PROBLEM_H

#include "ingest/message.h"
#include "ingest/source.h"

#include <cjson/cJSON.h>

enum x_v2_problem_kind {
    X_V2_PROBLEM_OTHER,       /* not known, or about one post: the stream goes on */
    X_V2_PROBLEM_DISCONNECT,  /* the server ends the stream; opening it again is right */
    X_V2_PROBLEM_FORCED,      /* the same, for another connection of the account */
    X_V2_PROBLEM_ILL,         /* the server or the app's state is ill */
    X_V2_PROBLEM_RULES,       /* the account has no rules, or wrong ones */
    X_V2_PROBLEM_CONNECTIONS, /* the account has as many connections as it may */
    X_V2_PROBLEM_RATE,        /* too many requests */
    X_V2_PROBLEM_SPENT,       /* the account has read the posts that it may, or has no credits left */
    X_V2_PROBLEM_FORBIDDEN,   /* this app may not do this */
    X_V2_PROBLEM_REQUEST      /* the request is wrong */
};

/* Views point into the tree; absent where not said. */
struct x_v2_problem {
    enum x_v2_problem_kind kind;
    struct view type;  /* the last part of its path */
    struct view issue; /* connection_issue or disconnect_type */
    struct view title, detail, reason, period;
};

/* The problem of an answer or of a message without `data`: of several the first whose kind is known. False:
 * there is none. */
bool x_v2_problem_find(const cJSON *tree, struct x_v2_problem *p);

/* What it means for the next attempt. reaction->cause NULL: nothing, the status or the stream's end decides.
 * The bounds of a spent period are reckoned from wall_ms. */
void x_v2_problem_react(const struct x_v2_problem *p, int64_t wall_ms, struct source_reaction *reaction);

/* What it means and what to do, as the second half of a message; NULL: the status says it better. */
const char *x_v2_problem_advice(const struct x_v2_problem *p);

/* The server's words, one line of printable ASCII without quotes, cut to fit; "" when there are none or when
 * they repeat `secret` (may be NULL). size is at least 8. */
void x_v2_problem_words(const struct x_v2_problem *p, const char *secret, char *out, size_t size);

/* The messages of the v2 filtered stream, for message_reader_new: posts, and `errors` alone as events
 * `disconnect` (the server ends the stream) or `unknown`. */
extern const struct message_form message_form_x_v2;

#endif
