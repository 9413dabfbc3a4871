/* ingest/x_v2_api.h - calls of X's v2 API beside the stream: signed, repeated where that helps, never
 * blocking.
 *
 * A call is one HTTP request (http_ask) with the account's bearer token. Without a token it is fetched first,
 * with API key and secret (API document, 5.2), and once more when the server says 401. What may pass is tried
 * again: no connection, a broken or slow answer, 5xx and answers that are no JSON after short waits; 429 when
 * the server says that it may be (x-rate-limit-reset, Retry-After, else from a minute on). What does not pass
 * is told. One call at a time; all on the loop's thread.
 */
#ifndef ROOST_INGEST_X_V2_API_H
#define ROOST_INGEST_X_V2_API_H

#include "ingest/http_stream.h"
#include "ingest/x_v2_answer.h"

#include <uv.h>

/* How long a call tries. */
struct x_v2_patience {
    int64_t network_ms;   /* the wait after the first network failure, then doubling */
    int64_t http_ms;      /* after the first 5xx, likewise */
    int64_t rate_ms;      /* after a 429 that does not say how long, likewise */
    int64_t wait_most_ms; /* a longer wait is not begun: the call fails with ERR_RETRY */
    int64_t total_ms;     /* for one attempt */
    unsigned attempts;    /* at most, for one call; a fetched token does not count */
};

/* 5 attempts from 250 ms, 5 s and 60 s on, waits up to 16 min (a window of rate limits has 15), 30 s each. */
extern const struct x_v2_patience x_v2_patience_usual;

struct x_v2_account {
    const char *url;          /* the API's base, without a slash at its end or with one */
    const char *bearer_token; /* NULL: fetched with */
    const char *api_key, *api_secret;
    bool accept_any_certificate;
};

/* Strings belong to the configuration. */
struct x_v2_account x_v2_account_of(const struct source_x_v2_settings *source);

struct x_v2_outcome {
    int result; /* 0: answered; -1: e says why not */
    int status; /* answered: 2xx, or a 4xx that is not about token, money, rights or rates */
    const struct x_v2_answer *answer; /* answered */
    struct err e;                     /* ERR_FATAL: token, rights, address; ERR_RETRY: everything else */
};

struct x_v2_call {
    const char *method; /* "GET" or "POST" */
    const char *path;   /* from the slash behind the base on, with the query. Copied. */
    struct view body;   /* POST: JSON. Copied. */
    int64_t delay_ms;   /* waited before the first attempt */
};

struct x_v2_api;

/* waits(user, ms, why) tells of each wait before another attempt; may be NULL. NULL: memory is out. */
struct x_v2_api *x_v2_api_new(uv_loop_t *loop, const struct x_v2_account *account,
                              const struct x_v2_patience *patience,
                              void (*waits)(void *user, int64_t ms, const char *why), void *user,
                              struct err *e);

/* Begins a call; none may be running. done(user, outcome) comes later, from the loop; what outcome points to
 * lives until done returns or the next call begins, which may be from inside it. -1: memory is out. */
int x_v2_api_call(struct x_v2_api *api, const struct x_v2_call *call,
                  void (*done)(void *user, const struct x_v2_outcome *outcome), void *user, struct err *e);

/* Only fetches a token, in place of the one in use. answer is empty. -1 (ERR_FATAL): without API key and
 * secret there is no other. */
int x_v2_api_fetch_token(struct x_v2_api *api, void (*done)(void *user, const struct x_v2_outcome *outcome),
                         void *user, struct err *e);

/* How the last request of the call that ended last went, for source_answer_judge: response NULL (and `text`)
 * when no answer came. Valid until the next call. */
const struct http_result *x_v2_api_answer(const struct x_v2_api *api);

/* The token in use; NULL: none yet. A secret. Valid until the next call. */
const char *x_v2_api_token(const struct x_v2_api *api);

/* Ends the running call, if any; done is not called for it. */
void x_v2_api_cancel(struct x_v2_api *api);

/* Cancels and gives all back; closed(user) (may be NULL) comes from the loop. NULL does nothing. */
void x_v2_api_free(struct x_v2_api *api, void (*closed)(void *user), void *user);

#endif
