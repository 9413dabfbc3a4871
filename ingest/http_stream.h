/* ingest/http_stream.h - one HTTP request with an endless answer, on a libuv loop.
 *
 * libcurl's multi interface does the work; this file lends it the loop's file watchers and timer, keeps a
 * clock of its own for stalls (libcurl's low-speed limit takes a healthy idle stream for dead: it averages
 * keep-alives away), and sorts every way a request can end into one of four. Guarantees: a connection is used
 * for one request and never reused; no redirect is followed (it is reported as a status); certificates are
 * verified (but for accept_any_certificate); a caller that cannot take more pauses, and then the server waits
 * in TCP's window; memory is bounded by libcurl's buffers (16 KiB read at once, decompressed).
 *
 * Everything happens on the loop's thread. Every function may be called from inside a callback, but
 * http_stream_start only from inside `end`.
 */
#ifndef ROOST_INGEST_HTTP_STREAM_H
#define ROOST_INGEST_HTTP_STREAM_H

#include "base/err.h"
#include "base/view.h"
#include "ingest/http_response.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum http_end {
    HTTP_END_CLEAN,   /* status 200 and the body ended as HTTP says it may */
    HTTP_END_NETWORK, /* no connection, or it broke: `text` says why, in libcurl's words */
    HTTP_END_STATUS,  /* any other status than 200: `response` and the beginning of the body say why */
    HTTP_END_STALL    /* no byte for stall_ms, before or after the answer's head */
};

struct http_result {
    enum http_end end;
    const char *text;                     /* HTTP_END_NETWORK, HTTP_END_STALL; never NULL */
    const struct http_response *response; /* NULL: no head of an answer came */
    struct view body;                     /* HTTP_END_STATUS: at most HTTP_BODY_KEPT bytes */
};

/* Views and pointers are valid during the call, and until http_stream_start. */
struct http_stream_events {
    void (*response)(void *user,
                     const struct http_response *response);    /* only with status 200: the head is here */
    void (*body)(void *user, struct view bytes);               /* only with status 200; never empty */
    void (*end)(void *user, const struct http_result *result); /* the last one */
    void *user;
};

struct http_stream_request {
    const char *method;         /* "GET" or "POST" */
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value" lines, ended by NULL; NULL: none. Copied. */
    const char *form;           /* POST: the body, application/x-www-form-urlencoded. Copied. */
    int64_t connect_ms;         /* the longest time for name, connection and TLS together */
    int64_t stall_ms; /* the longest time without a byte; also bounds the wait for the answer's head */
    bool accept_any_certificate; /* whoever answers is believed: nothing of a certificate is checked */
};

struct http_stream;

/* An idle stream on this loop. NULL (ERR_RETRY): memory is out. */
struct http_stream *http_stream_new(uv_loop_t *loop, const struct http_stream_events *events, struct err *e);

/* Begins a request; an earlier one that still runs is cancelled first. Events come later, never from inside
 * this call. -1 (ERR_RETRY): libcurl would not take it. */
int http_stream_start(struct http_stream *s, const struct http_stream_request *request, struct err *e);

/* Ends the running request, if any: its connection is closed and no further event comes, not even `end`. */
void http_stream_cancel(struct http_stream *s);

/* No more body events after this (bytes that libcurl has read already wait in it), until http_stream_resume.
 * While paused the stall clock stands still. A new start is not paused. Resuming hands over, as body events
 * and before it returns, what libcurl has read and decompressed meanwhile (libcurl 7.88 from its buffer of
 * paused writes, 8.14 from its client writers, both inside curl_easy_pause), and may give `end`. */
void http_stream_pause(struct http_stream *s);
void http_stream_resume(struct http_stream *s);

/* Cancels and gives everything back. The loop needs to turn for it: closed(user) (which may be NULL) is
 * called from the loop when nothing of the stream is left on it. s must not be used after this call. */
void http_stream_free(struct http_stream *s, void (*closed)(void *user), void *user);

#endif
