#include "ingest/http_ask.h"

#include "base/wipe.h"
#include "ingest/http_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A token's answer has room in it, so that it is never copied when the buffer grows. */
enum { BODY_AT_ONCE = 8 * 1024 };

struct http_ask {
    struct http_loop *multi;
    void (*answered)(void *user, const struct http_ask_result *result);
    void *user;
    CURL *easy; /* NULL: no request */
    struct curl_slist *headers;
    struct http_response response;
    struct buffer body;
    char error_text[CURL_ERROR_SIZE];
    bool cancelled; /* to be taken down when libcurl and the caller are left */
    bool freed;
    void (*closed)(void *user);
    void *closed_user;
};

static void take_down(struct http_ask *a)
{
    if (a->easy) {
        http_loop_remove(a->multi, a->easy);
        a->easy = NULL;
    }
    http_loop_free_headers(a->headers);
    a->headers = NULL;
    a->cancelled = false;
}

static void on_closed(void *user)
{
    struct http_ask *a = user;
    void (*closed)(void *user) = a->closed;
    void *closed_user = a->closed_user;
    wipe_buffer(&a->body);
    free(a);
    if (closed) {
        closed(closed_user);
    }
}

static void close_all(struct http_ask *a)
{
    take_down(a);
    http_loop_free(a->multi, on_closed, a);
}

static void finish(struct http_ask *a, CURLcode code)
{
    char text[CURL_ERROR_SIZE + 64];
    struct http_ask_result result = {.end = HTTP_ASK_NETWORK, .text = text};
    snprintf(text, sizeof text, "%s", a->error_text[0] ? a->error_text : curl_easy_strerror(code));
    if (buffer_failed(&a->body)) {
        result.end = HTTP_ASK_LONG;
        snprintf(text, sizeof text, "the answer has more than %zu bytes", a->body.maximum);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        result.end = HTTP_ASK_SLOW;
    } else if (code == CURLE_OK && a->response.status) {
        result.end = HTTP_ASK_ANSWERED;
        result.text = "";
        result.response = &a->response;
        result.body = buffer_view(&a->body);
    }
    take_down(a);
    http_loop_enter(a->multi);
    a->answered(a->user, &result);
    http_loop_leave_quietly(a->multi);
}

static void settle(void *user)
{
    struct http_ask *a = user;
    CURLcode code = CURLE_OK;
    if (a->easy && !a->cancelled && http_loop_done(a->multi, a->easy, &code)) {
        finish(a, code);
    }
    if (a->cancelled) {
        take_down(a);
    }
    if (a->freed) {
        close_all(a);
    }
}

static size_t on_header(char *bytes, size_t size, size_t n, void *user)
{
    struct http_ask *a = user;
    size_t length = size * n;
    bool head_ends = length && (bytes[0] == '\r' || bytes[0] == '\n');
    long status = 0;
    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    if (head_ends && status >= 200 && !a->response.status) {
        http_response_read(a->easy, (int)status, &a->response);
    }
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
    struct http_ask *a = user;
    buffer_append(&a->body, bytes, size * n);
    return buffer_failed(&a->body) ? CURL_WRITEFUNC_ERROR : size * n;
}

struct http_ask *http_ask_new(uv_loop_t *loop,
                              void (*answered)(void *user, const struct http_ask_result *result), void *user,
                              struct err *e)
{
    struct http_ask *a = calloc(1, sizeof *a);
    if (!a) {
        err_set(e, ERR_RETRY, "libcurl cannot start: memory is out");
        return NULL;
    }
    a->answered = answered;
    a->user = user;
    a->multi = http_loop_new(loop, settle, a, e);
    if (!a->multi) {
        free(a);
        return NULL;
    }
    return a;
}

static CURLcode set_options(struct http_ask *a, CURL *easy, const struct http_ask_request *request)
{
    CURLcode bad = http_loop_set_options(easy, request->connect_ms, request->accept_any_certificate);
    bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
    bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_ms);
    bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, a->headers);
    if (strcmp(request->method, "POST") == 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.length);
        bad |= curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body.length ? request->body.at : "");
    }
    bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, a->error_text);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    return bad;
}

/* "Expect:" removed: a question of a few hundred kilobytes needs no leave first. */
static int copy_headers(struct http_ask *a, const char *const *headers)
{
    a->headers = curl_slist_append(NULL, "Expect:");
    for (; a->headers && headers && *headers; headers++) {
        struct curl_slist *longer = curl_slist_append(a->headers, *headers);
        if (!longer) {
            return -1;
        }
        a->headers = longer;
    }
    return a->headers ? 0 : -1;
}

int http_ask_start(struct http_ask *a, const struct http_ask_request *request, struct err *e)
{
    take_down(a);
    a->response = (struct http_response){0};
    a->error_text[0] = '\0';
    wipe_buffer(&a->body);
    a->body = BUFFER(request->body_maximum);
    buffer_reserve(&a->body, a->body.maximum < BODY_AT_ONCE ? a->body.maximum : BODY_AT_ONCE);
    CURL *easy = curl_easy_init();
    if (!easy || copy_headers(a, request->headers) || set_options(a, easy, request) != CURLE_OK) {
        curl_easy_cleanup(easy);
        take_down(a);
        return err_set(e, ERR_RETRY,
                       "libcurl would not take the request to %s: memory is out or it is too old",
                       request->url);
    }
    a->easy = easy;
    if (http_loop_add(a->multi, easy, request->url, e)) {
        a->easy = NULL;
        curl_easy_cleanup(easy);
        take_down(a);
        return -1;
    }
    return 0;
}

void http_ask_cancel(struct http_ask *a)
{
    if (a->easy && http_loop_inside(a->multi)) {
        a->cancelled = true;
    } else {
        take_down(a);
    }
}

void http_ask_free(struct http_ask *a, void (*closed)(void *user), void *user)
{
    if (!a) {
        return;
    }
    a->freed = true;
    a->closed = closed;
    a->closed_user = user;
    if (http_loop_inside(a->multi)) {
        a->cancelled = a->easy != NULL;
    } else {
        close_all(a);
    }
}
