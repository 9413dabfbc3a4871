/* ingest/http_ask.h - one HTTP request with an answer of bounded size in bounded time, on a libuv loop.
 *
 * For questions beside the stream (tokens, rules). A connection is used for one request; no redirect is
 * followed; certificates are verified; proxies are as libcurl's environment says; the answer may be gzipped,
 * and the bound counts what comes out of it. Nothing blocks. Everything happens on the loop's thread, and
 * every function may be called from inside the callback.
 */
#ifndef ROOST_INGEST_HTTP_ASK_H
#define ROOST_INGEST_HTTP_ASK_H

#include "base/err.h"
#include "base/view.h"
#include "ingest/http_response.h"

#include <stdbool.h>
#include <uv.h>

struct http_ask_request {
    const char *method;          /* "GET" or "POST" */
    const char *url;             /* http or https */
    const char *const *headers;  /* "Name: value" lines, ended by NULL; NULL: none. Copied. */
    struct view body;            /* POST; its type is one of the headers. Copied. */
    int64_t connect_ms;          /* the longest time for name, connection and TLS together */
    int64_t total_ms;            /* the longest time from here to the last byte */
    size_t body_maximum;         /* bytes of the answer */
    bool accept_any_certificate; /* for the configuration's long-named key alone */
};

enum http_ask_end {
    HTTP_ASK_ANSWERED, /* a whole answer, of any status */
    HTTP_ASK_NETWORK,  /* no connection, or it broke before the answer's end: `text` says why */
    HTTP_ASK_SLOW,     /* total_ms or connect_ms are over; `text` is libcurl's */
    HTTP_ASK_LONG      /* more than body_maximum bytes */
};

struct http_ask_result {
    enum http_ask_end end;
    const char *text;                     /* what happened, in words; never NULL, "" when answered */
    const struct http_response *response; /* HTTP_ASK_ANSWERED; else NULL */
    struct view body;                     /* HTTP_ASK_ANSWERED */
};

struct http_ask;

/* answered(user, result) is called once for each request that was started and not cancelled; what result
 * points to lives until it returns or the next request is started, and is then overwritten, since it may be a
 * token. NULL (ERR_RETRY): memory is out. */
struct http_ask *http_ask_new(uv_loop_t *loop,
                              void (*answered)(void *user, const struct http_ask_result *result), void *user,
                              struct err *e);

/* Begins a request; none may be running. answered comes later, never from inside this call. -1 (ERR_RETRY):
 * libcurl would not take it. */
int http_ask_start(struct http_ask *a, const struct http_ask_request *request, struct err *e);

/* Ends the running request, if any: its connection is closed and answered is not called for it. */
void http_ask_cancel(struct http_ask *a);

/* Cancels and gives everything back. closed(user) (which may be NULL) is called from the loop when nothing is
 * left on it. NULL does nothing. */
void http_ask_free(struct http_ask *a, void (*closed)(void *user), void *user);

#endif
