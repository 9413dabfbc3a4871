#include "simulator/answers.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

const char *answers_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {302, "Found"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Request Entity Too Large"},
        {414, "URI Too Long"},
        {416, "Requested Range Not Satisfiable"},
        {420, "Enhance Your Calm"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].status == status) {
            return known[i].phrase;
        }
    }
    return "Error";
}

/* The Date header matters: a client tells a wrong key from a wrong clock by it. */
static void add_date(struct buffer *into, int64_t skew_s)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(clock_wall_ms() / 1000 + skew_s);
    struct tm t;
    gmtime_r(&now, &t);
    buffer_print(into, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * t.tm_wday, t.tm_mday,
                 months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* A path comes from the client: what could be markup is shown as '?'. */
static void add_path(struct buffer *into, struct view path)
{
    for (size_t i = 0; i < path.length && i < 200; i++) {
        char c = path.at[i];
        buffer_add_byte(into, c <= ' ' || c >= 0x7F || strchr("<>&'\"", c) ? '?' : c);
    }
}

void answers_add_page(struct buffer *into, int status, struct view path)
{
    const char *phrase = answers_phrase(status);
    /* The title of the answer that ended v1.1 in March 2023 was the notice itself. */
    const char *title =
        status == 403 ? "\nPlease use V2 filtered and sample volume stream as alternatives" : phrase;
    buffer_print(
        into,
        "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"/>\n"
        "<title>Error %d %s</title>\n</head>\n<body>\n<h2>HTTP ERROR: %d</h2>\n<p>Problem accessing '",
        status, title, status);
    add_path(into, path);
    buffer_print(into, "'. Reason:\n<pre>    %s</pre>\n</body>\n</html>", phrase);
}

void answers_add(struct buffer *into, int status, const char *text, struct view path)
{
    struct buffer body = BUFFER(16 << 10);
    if (text) {
        buffer_add_text(&body, text);
    } else {
        answers_add_page(&body, status, path);
    }
    buffer_print(into, "HTTP/1.1 %d %s\r\n", status, answers_phrase(status));
    add_date(into, 0);
    if (status == 401) {
        buffer_add_text(into, "WWW-Authenticate: OAuth realm=\"Firehose\"\r\n");
    }
    buffer_print(into, "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                 text ? "text/plain; charset=utf-8" : "text/html; charset=utf-8", body.length);
    buffer_add_view(into, buffer_view(&body));
    buffer_free(&body);
}

void answers_add_parts(struct buffer *into, const struct answers_parts *parts)
{
    buffer_print(into, "HTTP/1.1 %d %s\r\n", parts->status, answers_phrase(parts->status));
    add_date(into, parts->date_skew_s);
    buffer_add_view(into, parts->headers);
    if (parts->type) {
        buffer_print(into, "Content-Type: %s\r\n", parts->type);
    }
    buffer_print(into, "Content-Length: %zu\r\nConnection: close\r\n\r\n", parts->body.length);
    buffer_add_view(into, parts->body);
}

void answers_add_json(struct buffer *into, int status, struct view body, struct view headers)
{
    answers_add_parts(into, &(struct answers_parts){.status = status,
                                                    .type = "application/json; charset=utf-8",
                                                    .headers = headers,
                                                    .body = body});
}

void answers_add_stream_head(struct buffer *into, bool chunked, const char *coding, struct view headers)
{
    buffer_add_text(into, "HTTP/1.1 200 OK\r\n");
    add_date(into, 0);
    buffer_add_view(into, headers);
    buffer_add_text(into, "Content-Type: application/json\r\nConnection: close\r\n");
    if (coding) {
        buffer_print(into, "Content-Encoding: %s\r\n", coding);
    }
    buffer_add_text(into, chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
}
