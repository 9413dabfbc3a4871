#include "simulator/http_request.h"

#include "base/number.h"

#include <strings.h>

static bool same(struct view v, const char *name)
{
    return v.length == strlen(name) && strncasecmp(v.at, name, v.length) == 0;
}

static struct view next_line(struct view *rest)
{
    const char *end = memchr(rest->at, '\n', rest->length);
    size_t length = end ? (size_t)(end - rest->at) : rest->length;
    struct view line = view_make(rest->at, length);
    *rest = view_from(*rest, length + 1);
    if (line.length && line.at[line.length - 1] == '\r') {
        line.length--;
    }
    return line;
}

static int read_request_line(struct view line, struct http_request *r)
{
    const char *first = memchr(line.at, ' ', line.length);
    const char *last = memrchr(line.at, ' ', line.length);
    if (!first || last == first) {
        return 400;
    }
    r->method = view_make(line.at, (size_t)(first - line.at));
    r->target = view_make(first + 1, (size_t)(last - first) - 1);
    struct view version = view_from(line, (size_t)(last - line.at) + 1);
    r->http_1_0 = view_is(version, "HTTP/1.0");
    if (!r->http_1_0 && !view_is(version, "HTTP/1.1")) {
        return 505;
    }
    if (!r->method.length || !r->target.length || r->target.at[0] != '/' ||
        memchr(r->target.at, ' ', r->target.length)) {
        return 400;
    }
    if (r->target.length > HTTP_TARGET_MAX) {
        return 414;
    }
    const char *question = memchr(r->target.at, '?', r->target.length);
    size_t path = question ? (size_t)(question - r->target.at) : r->target.length;
    r->path = view_make(r->target.at, path);
    r->query = question ? view_from(r->target, path + 1) : view_none();
    return 0;
}

static int read_headers(struct view rest, struct http_request *r)
{
    while (rest.length) {
        struct view line = next_line(&rest);
        if (!line.length) {
            break;
        }
        const char *colon = memchr(line.at, ':', line.length);
        if (!colon || colon == line.at || r->header_count == HTTP_HEADERS_MAX) {
            return colon && colon != line.at ? 431 : 400;
        }
        size_t name = (size_t)(colon - line.at);
        r->headers[r->header_count++] =
            (struct http_header){view_make(line.at, name), view_trim(view_from(line, name + 1))};
    }
    struct view length = http_request_header(r, "Content-Length");
    int64_t value = 0;
    if (http_request_header(r, "Transfer-Encoding").at) {
        return 411;
    }
    if (length.at && number_parse(length, 0, INT64_MAX, &value) < 0) {
        return 400;
    }
    if (value > HTTP_BODY_MAX) {
        return 413;
    }
    r->body_length = (size_t)value;
    r->expects_continue = same(http_request_header(r, "Expect"), "100-continue");
    return 0;
}

/* Where the empty line that ends the head is over; 0: not there yet. */
static size_t head_end(struct view bytes)
{
    size_t searched = bytes.length < HTTP_HEAD_MAX ? bytes.length : HTTP_HEAD_MAX;
    const char *end = memmem(bytes.at, searched, "\r\n\r\n", 4);
    return end ? (size_t)(end - bytes.at) + 4 : 0;
}

enum http_progress http_request_read(struct view bytes, struct http_request *request, bool *head_done,
                                     int *status)
{
    *request = (struct http_request){0};
    size_t end = bytes.length ? head_end(bytes) : 0;
    *head_done = end != 0;
    if (!end) {
        *status = 431;
        return bytes.length < HTTP_HEAD_MAX ? HTTP_MORE : HTTP_BAD;
    }
    struct view head = view_make(bytes.at, end);
    *status = read_request_line(next_line(&head), request);
    if (!*status) {
        *status = read_headers(head, request);
    }
    if (*status) {
        return HTTP_BAD;
    }
    if (bytes.length - end < request->body_length) {
        return HTTP_MORE;
    }
    request->body = view_make(bytes.at + end, request->body_length);
    return HTTP_DONE;
}

struct view http_request_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (same(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return view_none();
}

bool http_request_accepts(struct view header, const char *token)
{
    while (header.length) {
        const char *comma = memchr(header.at, ',', header.length);
        size_t length = comma ? (size_t)(comma - header.at) : header.length;
        struct view item = view_trim(view_make(header.at, length));
        header = view_from(header, length + 1);
        const char *semicolon = memchr(item.at, ';', item.length);
        size_t name = semicolon ? (size_t)(semicolon - item.at) : item.length;
        struct view quality = view_trim(view_from(item, semicolon ? name + 1 : name));
        bool refused = view_is(quality, "q=0") || view_is(quality, "q=0.0");
        if (same(view_trim(view_make(item.at, name)), token) && !refused) {
            return true;
        }
    }
    return false;
}
