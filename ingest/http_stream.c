#include "ingest/http_stream.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "ingest/http_loop.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_stream {
    struct http_stream_events events;
    struct http_loop *multi;
    CURL *easy; /* NULL: no request */
    struct curl_slist *headers;
    uv_timer_t stall_timer;
    unsigned open; /* of stall_timer and multi, those that are not yet closed */

    int64_t stall_ms, last_byte_ms;
    bool paused;      /* the caller wants no body */
    bool curl_paused; /* libcurl has been told so */

    bool have_response;
    struct http_response response;
    struct buffer body; /* of an error answer */
    char error_text[CURL_ERROR_SIZE];

    bool cancelled; /* the request is to be taken down when libcurl and the caller are left */
    bool stalled;
    bool freed;
    void (*closed)(void *user);
    void *closed_user;
};

/* --- the end of a request --- */

static void take_down(struct http_stream *s)
{
    if (s->easy) {
        http_loop_remove(s->multi, s->easy);
        s->easy = NULL;
    }
    http_loop_free_headers(s->headers);
    s->headers = NULL;
    uv_timer_stop(&s->stall_timer);
    s->cancelled = false;
    s->stalled = false;
    s->paused = false;
    s->curl_paused = false;
}

static void on_closed(void *user)
{
    struct http_stream *s = user;
    if (--s->open) {
        return;
    }
    buffer_free(&s->body);
    void (*closed)(void *user) = s->closed;
    void *closed_user = s->closed_user;
    free(s);
    if (closed) {
        closed(closed_user);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

static void close_all(struct http_stream *s)
{
    take_down(s);
    http_loop_free(s->multi, on_closed, s);
    uv_close((uv_handle_t *)&s->stall_timer, on_timer_closed);
}

/* Takes the request down and tells how it ended. */
static void finish(struct http_stream *s, CURLcode code)
{
    struct http_result result = {.text = s->error_text[0] ? s->error_text : curl_easy_strerror(code)};
    if (s->have_response) {
        result.response = &s->response;
    }
    char stall_text[80];
    if (s->have_response && s->response.status != 200) {
        result.end = HTTP_END_STATUS;
        result.body = buffer_view(&s->body);
    } else if (s->stalled) {
        result.end = HTTP_END_STALL;
        snprintf(stall_text, sizeof stall_text, "no byte for %.1f s", (double)s->stall_ms / 1000.0);
        result.text = stall_text;
    } else {
        result.end = code == CURLE_OK && s->have_response ? HTTP_END_CLEAN : HTTP_END_NETWORK;
    }
    take_down(s);
    http_loop_enter(s->multi);
    s->events.end(s->events.user, &result);
    http_loop_leave_quietly(s->multi);
}

/* What was asked for or has happened inside libcurl or a callback is done now, outside of both. */
static void settle(void *user)
{
    struct http_stream *s = user;
    CURLcode code = CURLE_OK;
    if (s->easy && !s->cancelled && http_loop_done(s->multi, s->easy, &code)) {
        finish(s, code);
    }
    if (s->cancelled) {
        take_down(s);
    }
    if (s->freed) {
        close_all(s);
    }
}

static void on_stall_check(uv_timer_t *timer)
{
    struct http_stream *s = timer->data;
    if (s->paused || !s->easy) {
        return; /* resume starts the timer again */
    }
    int64_t left = s->last_byte_ms + s->stall_ms - clock_steady_ms();
    if (left > 0) {
        uv_timer_start(timer, on_stall_check, (uint64_t)clock_timer_ms(left), 0);
        return;
    }
    s->stalled = true;
    finish(s, CURLE_OPERATION_TIMEDOUT);
    settle(s);
}

static void watch_for_stall(struct http_stream *s)
{
    s->last_byte_ms = clock_steady_ms();
    uv_timer_start(&s->stall_timer, on_stall_check, (uint64_t)clock_timer_ms(s->stall_ms), 0);
}

/* --- libcurl's side: head and body --- */

static size_t on_header(char *bytes, size_t size, size_t n, void *user)
{
    struct http_stream *s = user;
    size_t length = size * n;
    s->last_byte_ms = clock_steady_ms();
    bool head_ends = length && (bytes[0] == '\r' || bytes[0] == '\n');
    if (s->cancelled || !head_ends || s->have_response) {
        return s->cancelled ? 0 : length;
    }
    long status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) {
        return length; /* 100 Continue and its like */
    }
    http_response_read(s->easy, (int)status, &s->response);
    s->have_response = true;
    if (status == 200) {
        s->events.response(s->events.user, &s->response);
    }
    return s->cancelled ? 0 : length;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
    struct http_stream *s = user;
    size_t length = size * n;
    s->last_byte_ms = clock_steady_ms();
    if (s->cancelled) {
        return CURL_WRITEFUNC_ERROR;
    }
    if (s->have_response && s->response.status != 200) {
        size_t room = HTTP_BODY_KEPT - s->body.length;
        buffer_append(&s->body, bytes, length < room ? length : room);
        /* Enough is known: an error page without an end must not hold the source up. */
        return length > room ? CURL_WRITEFUNC_ERROR : length;
    }
    if (s->paused) {
        s->curl_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (length) {
        s->events.body(s->events.user, view_make(bytes, length));
    }
    return s->cancelled ? CURL_WRITEFUNC_ERROR : length;
}

/* --- the public functions --- */

struct http_stream *http_stream_new(uv_loop_t *loop, const struct http_stream_events *events, struct err *e)
{
    struct http_stream *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_RETRY, "libcurl cannot start: memory is out");
        return NULL;
    }
    s->multi = http_loop_new(loop, settle, s, e);
    if (!s->multi) {
        free(s);
        return NULL;
    }
    s->events = *events;
    s->body = BUFFER(HTTP_BODY_KEPT);
    uv_timer_init(loop, &s->stall_timer);
    s->stall_timer.data = s;
    s->open = 2;
    return s;
}

static CURLcode set_request_options(struct http_stream *s, CURL *easy,
                                    const struct http_stream_request *request)
{
    CURLcode bad = http_loop_set_options(easy, request->connect_ms, request->accept_any_certificate);
    bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
    bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, s->headers);
    if (strcmp(request->method, "POST") == 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->form ? request->form : "");
    }
    bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error_text);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
    return bad;
}

static int copy_headers(struct http_stream *s, const char *const *headers)
{
    for (; headers && *headers; headers++) {
        struct curl_slist *longer = curl_slist_append(s->headers, *headers);
        if (!longer) {
            return -1;
        }
        s->headers = longer;
    }
    return 0;
}

int http_stream_start(struct http_stream *s, const struct http_stream_request *request, struct err *e)
{
    take_down(s);
    s->have_response = false;
    s->error_text[0] = '\0';
    buffer_reset(&s->body);
    s->stall_ms = request->stall_ms;
    CURL *easy = curl_easy_init();
    if (!easy || copy_headers(s, request->headers) || set_request_options(s, easy, request) != CURLE_OK) {
        curl_easy_cleanup(easy);
        take_down(s);
        return err_set(e, ERR_RETRY,
                       "libcurl would not take the request to %s: memory is out or it is too old",
                       request->url);
    }
    s->easy = easy;
    if (http_loop_add(s->multi, easy, request->url, e)) {
        s->easy = NULL;
        curl_easy_cleanup(easy);
        take_down(s);
        return -1;
    }
    watch_for_stall(s);
    return 0;
}

void http_stream_cancel(struct http_stream *s)
{
    if (!s->easy) {
        return;
    }
    if (http_loop_inside(s->multi)) {
        s->cancelled = true;
    } else {
        take_down(s);
    }
}

void http_stream_pause(struct http_stream *s)
{
    s->paused = s->easy != NULL;
}

void http_stream_resume(struct http_stream *s)
{
    if (!s->paused) {
        return;
    }
    s->paused = false;
    watch_for_stall(s);
    if (s->curl_paused) {
        s->curl_paused = false;
        http_loop_enter(s->multi);
        CURLcode code =
            curl_easy_pause(s->easy, CURLPAUSE_CONT); /* may call on_body with what waits in libcurl */
        http_loop_leave_quietly(s->multi);
        if (code != CURLE_OK && !s->cancelled) {
            finish(s, code);
        }
        if (!http_loop_inside(s->multi)) {
            settle(s);
        }
    }
}

void http_stream_free(struct http_stream *s, void (*closed)(void *user), void *user)
{
    if (!s) {
        return;
    }
    s->freed = true;
    s->closed = closed;
    s->closed_user = user;
    if (http_loop_inside(s->multi)) {
        s->cancelled = s->easy != NULL;
    } else {
        close_all(s);
    }
}
