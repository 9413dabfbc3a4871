/* ingest/x_v2_answer.h - the answers of X's v2 API about tokens and rules, read (API
 * document, 5.2, 5.3, 5.7).
 *
 * Read tolerantly: fields that are not known are passed over, `errors` may stand beside `data`, a problem may
 * be the whole answer or one of `errors`, with `detail` or `details`, with its type at either host, or be
 * v1.1's code and message. What is neither JSON nor an object is an error. Pure functions, any thread.
 */
#ifndef ROOST_INGEST_X_V2_ANSWER_H
#define ROOST_INGEST_X_V2_ANSWER_H

#include "ingest/rules_change.h"

/* One thing that the server would not do. */
struct x_v2_complaint {
    struct view type;   /* the last part of the type's path: "duplicate-rules"; or empty */
    struct view title;  /* or empty */
    struct view detail; /* one or several sentences; or empty */
    struct view value;  /* the rule that it is about; absent where it names none */
    struct view id;     /* likewise */
    int64_t code;       /* v1.1's; 0: none */
};

struct x_v2_answer {
    const struct rules_held *rules; /* of `data`; those without id or value are left out and counted */
    size_t rule_count, rules_unreadable;
    struct view next_token; /* of meta; absent on the last page */
    const struct x_v2_complaint *problems;
    size_t problem_count;
    struct view access_token; /* of a token's answer; absent: none, or its type is not bearer */
};

/* Views point into the arena. -1: ERR_REJECT, the body is not a JSON object in UTF-8; ERR_RETRY, memory. */
int x_v2_answer_read(struct view body, struct arena *a, struct x_v2_answer *answer, struct err *e);

/* The rule is there already: success. */
bool x_v2_complaint_is_duplicate(const struct x_v2_complaint *p);

/* The server or the account is ill or spent, whatever it was asked: no word about a rule. */
bool x_v2_complaint_may_pass(const struct x_v2_complaint *p);

/* The account has no room for the rule. */
bool x_v2_complaint_is_cap(const struct x_v2_complaint *p);

/* " (TITLE: DETAIL)" of the first problem into out, printable, cut to fit; "" without one. size is at least
 * 8. */
void x_v2_answer_quote(const struct x_v2_answer *answer, char *out, size_t size);

#endif
