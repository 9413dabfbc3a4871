#include "ingest/http_stream.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/number.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_SIZE = 16 * 1024, KEEPALIVE_SECONDS = 60 };

struct http_stream {
    uv_loop_t *loop;
    struct http_stream_events events;
    CURLM *multi;
    CURL *easy; /* NULL: no request */
    struct curl_slist *headers;
    uv_timer_t timer;       /* libcurl's */
    uv_timer_t stall_timer; /* ours */
    unsigned handles;       /* on the loop and not yet closed */

    int64_t stall_ms, last_byte_ms;
    bool paused;      /* the caller wants no body */
    bool curl_paused; /* libcurl has been told so */

    bool have_response;
    struct http_response response;
    struct buffer body; /* of an error answer */
    char error_text[CURL_ERROR_SIZE];

    unsigned depth; /* inside how many calls into libcurl: requests must not be taken down there */
    bool cancelled; /* the request is to be taken down at depth 0 */
    bool stalled;
    bool freed;
    void (*closed)(void *user);
    void *closed_user;
};

/* One file descriptor that libcurl wants watched. */
struct watch {
    uv_poll_t poll;
    struct http_stream *stream;
    curl_socket_t socket;
};

static void leave(struct http_stream *s);

/* --- the loop's side: watchers and timers --- */

static void finish_free(struct http_stream *s)
{
    buffer_free(&s->body);
    void (*closed)(void *user) = s->closed;
    void *user = s->closed_user;
    free(s);
    curl_global_cleanup();
    if (closed) {
        closed(user);
    }
}

static void on_handle_closed(struct http_stream *s)
{
    if (--s->handles == 0) {
        finish_free(s);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    struct http_stream *s = w->stream;
    free(w);
    on_handle_closed(s);
}

static void act(struct http_stream *s, curl_socket_t socket, int flags)
{
    int running;
    s->depth++;
    curl_multi_socket_action(s->multi, socket, flags, &running);
    leave(s);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(w->stream, w->socket, flags);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static struct watch *watch_new(struct http_stream *s, curl_socket_t socket)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    if (uv_poll_init_socket(s->loop, &w->poll, socket)) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->stream = s;
    w->socket = socket;
    s->handles++;
    curl_multi_assign(s->multi, socket, w);
    return w;
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *of_socket)
{
    (void)easy;
    struct http_stream *s = user;
    struct watch *w = of_socket;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(s->multi, socket, NULL);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    w = w ? w : watch_new(s, socket);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (w) {
        uv_poll_start(&w->poll, events, on_ready);
    }
    return 0; /* always: -1 would spoil the multi handle for good, while a socket not watched ends as a stall
               */
}

static int set_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    struct http_stream *s = user;
    if (timeout_ms < 0) {
        uv_timer_stop(&s->timer);
    } else {
        /* Never 0, and from the time of now: libcurl wants to be called at once for as long as a server sends
         * without a pause, and libuv runs due timers before it does anything else, so that no sync would end
         * and no client be served. A socket with bytes ends the millisecond early. */
        uv_update_time(s->loop);
        uv_timer_start(&s->timer, on_timer, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    }
    return 0;
}

/* --- the end of a request --- */

static void take_down(struct http_stream *s)
{
    if (s->easy) {
        s->depth++; /* libcurl may call watch_socket and set_timer meanwhile, nothing else */
        curl_multi_remove_handle(s->multi, s->easy);
        curl_easy_cleanup(s->easy);
        s->depth--;
        s->easy = NULL;
    }
    curl_slist_free_all(s->headers);
    s->headers = NULL;
    uv_timer_stop(&s->stall_timer);
    s->cancelled = false;
    s->stalled = false;
    s->paused = false;
    s->curl_paused = false;
}

static void close_all(struct http_stream *s)
{
    take_down(s);
    s->depth++; /* closing connections calls watch_socket */
    curl_multi_cleanup(s->multi);
    s->multi = NULL;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
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
    s->depth++;
    s->events.end(s->events.user, &result);
    s->depth--;
}

/* The result of the request, once libcurl is done with it: true and *code. */
static bool request_done(struct http_stream *s, CURLcode *code)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(s->multi, &left))) {
        if (message->msg == CURLMSG_DONE && message->easy_handle == s->easy) {
            *code = message->data.result;
            return true;
        }
    }
    return false;
}

/* What was asked for or has happened inside libcurl or a callback is done now, outside of both. */
static void settle(struct http_stream *s)
{
    CURLcode code = CURLE_OK;
    if (s->easy && !s->cancelled && request_done(s, &code)) {
        finish(s, code);
    }
    if (s->cancelled) {
        take_down(s);
    }
    if (s->freed) {
        close_all(s);
    }
}

/* After every call into libcurl. */
static void leave(struct http_stream *s)
{
    if (--s->depth == 0) {
        settle(s);
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
        uv_timer_start(timer, on_stall_check, (uint64_t)left, 0);
        return;
    }
    s->stalled = true;
    finish(s, CURLE_OPERATION_TIMEDOUT);
    settle(s);
}

static void watch_for_stall(struct http_stream *s)
{
    s->last_byte_ms = clock_steady_ms();
    uv_timer_start(&s->stall_timer, on_stall_check, (uint64_t)s->stall_ms, 0);
}

/* --- libcurl's side: head and body --- */

static struct view header_value(struct http_stream *s, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(s->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
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

static void read_head(struct http_stream *s, int status)
{
    struct http_response *r = &s->response;
    const int64_t most_seconds = INT64_MAX / 1000;
    int64_t seconds;
    *r = (struct http_response){
        .status = status, .retry_after_ms = -1, .rate_reset_ms = -1, .rate_remaining = -1};
    snprintf(r->content_type, sizeof r->content_type, "%.*s", VIEW_PRINT(header_value(s, "Content-Type")));
    r->date_ms = parse_date(header_value(s, "Date"));
    struct view retry = header_value(s, "Retry-After");
    if (number_parse(retry, 0, most_seconds, &seconds) == 0) {
        r->retry_after_ms = seconds * 1000;
    } else if (parse_date(retry) != CLOCK_NONE) {
        r->retry_after_ms = wait_until(r, parse_date(retry));
    }
    if (number_parse(header_value(s, "x-rate-limit-reset"), 0, most_seconds, &seconds) == 0) {
        r->rate_reset_ms = wait_until(r, seconds * 1000);
    }
    number_parse(header_value(s, "x-rate-limit-remaining"), 0, INT32_MAX, &r->rate_remaining);
    s->have_response = true;
}

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
    read_head(s, (int)status);
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

static CURLM *make_multi(struct http_stream *s)
{
    CURLM *multi = curl_multi_init();
    if (multi) {
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, s);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, s);
    }
    return multi;
}

struct http_stream *http_stream_new(uv_loop_t *loop, const struct http_stream_events *events, struct err *e)
{
    struct http_stream *s = calloc(1, sizeof *s);
    if (!s || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        free(s);
        err_set(e, ERR_RETRY, "libcurl cannot start: memory is out");
        return NULL;
    }
    s->loop = loop;
    s->events = *events;
    s->body = BUFFER(HTTP_BODY_KEPT);
    s->multi = make_multi(s);
    if (!s->multi) {
        free(s);
        curl_global_cleanup();
        err_set(e, ERR_RETRY, "libcurl cannot start: memory is out");
        return NULL;
    }
    uv_timer_init(loop, &s->timer);
    uv_timer_init(loop, &s->stall_timer);
    s->timer.data = s;
    s->stall_timer.data = s;
    s->handles = 2;
    return s;
}

static CURLcode set_network_options(CURL *easy, const struct http_stream_request *request)
{
    CURLcode bad = CURLE_OK;
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* One endless answer gains nothing from HTTP/2, and its windows would come between us and TCP's when
     * pausing. */
    bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_SECONDS);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_SECONDS);
    bad |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_SIZE);
    bad |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    /* A name being looked up must not delay a stop: libcurl leaves its resolver thread to end by itself. */
    bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    if (request->accept_any_certificate) {
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return bad;
}

static CURLcode set_request_options(struct http_stream *s, CURL *easy,
                                    const struct http_stream_request *request)
{
    CURLcode bad = set_network_options(easy, request);
    bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
    bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "roost/" ROOST_VERSION);
    bad |= curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "deflate, gzip");
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
    CURLMcode code = curl_multi_add_handle(s->multi, easy);
    if (code != CURLM_OK) {
        s->easy = NULL;
        curl_easy_cleanup(easy);
        take_down(s);
        return err_set(e, ERR_RETRY, "libcurl would not take the request to %s: %s", request->url,
                       curl_multi_strerror(code));
    }
    watch_for_stall(s);
    return 0;
}

void http_stream_cancel(struct http_stream *s)
{
    if (!s->easy) {
        return;
    }
    if (s->depth) {
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
        s->depth++;
        CURLcode code =
            curl_easy_pause(s->easy, CURLPAUSE_CONT); /* may call on_body with what waits in libcurl */
        s->depth--;
        if (code != CURLE_OK && !s->cancelled) {
            finish(s, code);
        }
        if (s->depth == 0) {
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
    if (s->depth) {
        s->cancelled = s->easy != NULL;
    } else {
        close_all(s);
    }
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
