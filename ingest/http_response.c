#include "ingest/http_response.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/number.h"

#include <stdio.h>
#include <string.h>

static struct view header_value(CURL *easy, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return view_none();
    }
    return view_of(header->value);
}

/* A date of HTTP in milliseconds of wall time. The view is a whole header value, so it ends with NUL. */
static int64_t parse_date(struct view text)
{
    time_t seconds = view_absent(text) ? -1 : curl_getdate(text.at, NULL);
    return seconds < 0 ? CLOCK_NONE : (int64_t)seconds * 1000;
}

/* A wait from now until a time of the server's; by the server's clock where it sent one, since ours may be
 * wrong. */
static int64_t wait_until(const struct http_response *r, int64_t when_ms)
{
    int64_t now = r->date_ms == CLOCK_NONE ? clock_wall_ms() : r->date_ms;
    return when_ms > now ? when_ms - now : 0;
}

void http_response_read(CURL *easy, int status, struct http_response *r)
{
    const int64_t most_seconds = INT64_MAX / 1000;
    int64_t seconds;
    *r = (struct http_response){.status = status,
                                .retry_after_ms = -1,
                                .rate_reset_ms = -1,
                                .rate_remaining = -1,
                                .content_length = -1};
    snprintf(r->content_type, sizeof r->content_type, "%.*s", VIEW_PRINT(header_value(easy, "Content-Type")));
    r->date_ms = parse_date(header_value(easy, "Date"));
    struct view retry = header_value(easy, "Retry-After");
    if (number_parse(retry, 0, most_seconds, &seconds) == 0) {
        r->retry_after_ms = seconds * 1000;
    } else if (parse_date(retry) != CLOCK_NONE) {
        r->retry_after_ms = wait_until(r, parse_date(retry));
    }
    if (number_parse(header_value(easy, "x-rate-limit-reset"), 0, most_seconds, &seconds) == 0) {
        r->rate_reset_ms = wait_until(r, seconds * 1000);
    }
    number_parse(header_value(easy, "Content-Length"), 0, INT64_MAX, &r->content_length);
    number_parse(header_value(easy, "x-rate-limit-remaining"), 0, INT32_MAX, &r->rate_remaining);
}

void http_quote_body(struct view body, char *out, size_t size)
{
    struct buffer copy = BUFFER(HTTP_BODY_KEPT + 1);
    buffer_append(&copy, body.at, body.length < HTTP_BODY_KEPT ? body.length : HTTP_BODY_KEPT);
    const char *text = buffer_string(&copy);
    bool fit = text && !strcasestr(text, "oauth_") && !strcasestr(text, "authorization");
    const char *title = fit ? strcasestr(text, "<title>") : NULL;
    const char *from = !fit ? "" : title ? title + strlen("<title>") : text;
    size_t length = strcspn(from, title ? "<" : "\r\n"), used = 0;
    for (size_t i = 0; i < length && used + 4 < size; i++) {
        char c = from[i] == '\n' ? ' ' : from[i];
        if (c >= ' ' && c <= '~') {
            if (!used) {
                out[used++] = ' ';
                out[used++] = '"';
            }
            out[used++] = c;
        }
    }
    if (used) {
        out[used++] = '"';
    }
    out[used] = '\0';
    buffer_free(&copy);
}
