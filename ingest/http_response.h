/* ingest/http_response.h - what is of interest in the head of an HTTP answer, and in the body of a bad one.
 */
#ifndef ROOST_INGEST_HTTP_RESPONSE_H
#define ROOST_INGEST_HTTP_RESPONSE_H

#include "base/view.h"

#include <curl/curl.h>
#include <stdint.h>

enum { HTTP_BODY_KEPT = 2048 /* bytes kept of the body of an error answer */ };

/* What is of interest in an answer's head. */
struct http_response {
    int status;             /* 200 to 599; interim answers are not seen */
    char content_type[128]; /* "" when absent; cut when longer */
    int64_t content_length; /* Content-Length in bytes; -1: absent, as in answers that have no end */
    int64_t date_ms;        /* Date, as wall time in milliseconds; CLOCK_NONE: absent or no date */
    int64_t retry_after_ms; /* Retry-After, seconds or a date, as a wait from now; -1: absent */
    int64_t rate_reset_ms;  /* x-rate-limit-reset, as a wait from now; -1: absent */
    int64_t rate_remaining; /* x-rate-limit-remaining, attempts left until then; -1: absent */
};

/* Fills *r from the answer that this handle has just got the head of. */
void http_response_read(CURL *easy, int status, struct http_response *r);

/* A line of a server's own words that fits a message: the title of an HTML page, else the first line,
 * printable ASCII only, as ` "WORDS"` into `out` (NUL-ended, cut to fit); "" when there are none, or when the
 * body repeats parts of a signed request. size is at least 8. */
void http_quote_body(struct view body, char *out, size_t size);

#endif
