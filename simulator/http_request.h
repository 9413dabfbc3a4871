/* simulator/http_request.h - an HTTP/1.x request, read from bytes as they arrive. */
#ifndef ROOST_SIMULATOR_HTTP_REQUEST_H
#define ROOST_SIMULATOR_HTTP_REQUEST_H

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_HEAD_MAX = 64 << 10, /* request line and headers */
    HTTP_TARGET_MAX =
        16 << 10, /* longer: 414; the real service refused long GETs too, its limit is not published */
    HTTP_BODY_MAX =
        8 << 20, /* 1,000 rules of 1,024 characters that are not ASCII, and their tags, are 5 MB */
    HTTP_HEADERS_MAX = 100
};

struct http_header {
    struct view name, value;
};

struct http_request {
    struct view method, target, path, query; /* query absent when the target has no '?' */
    bool http_1_0;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    size_t body_length; /* as Content-Length says; 0 without one */
    bool expects_continue;
    struct view body; /* set once it is complete */
};

enum http_progress { HTTP_MORE, HTTP_DONE, HTTP_BAD };

/* Reads what has arrived so far, always from its first byte. HTTP_DONE: the request is whole; its views point
 * into `bytes`. HTTP_MORE: call again with more (head_done tells that only the body is missing). HTTP_BAD:
 * *status is the answer (400, 411, 413, 414, 431, 505). */
enum http_progress http_request_read(struct view bytes, struct http_request *request, bool *head_done,
                                     int *status);

/* A header's value by name, in any case; absent: not sent. The first one, if it is sent twice. */
struct view http_request_header(const struct http_request *request, const char *name);

/* A comma separated header names `token` (any case), not with ";q=0". */
bool http_request_accepts(struct view header, const char *token);

#endif
