/* One question against a server that follows a script: whole answers of any status, and every way not to get
 * one, in bounded time and memory. */
#include "ingest/http_ask.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum after { NOTHING, CANCEL, FREE, ASK_AGAIN };

struct fixture {
    uv_loop_t loop;
    struct server *server;
    struct http_ask *ask;
    struct http_ask_request request;
    char url[64];
    int answers;
    enum http_ask_end end;
    struct http_response response;
    char text[300], body[100];
    enum after after;
    bool closed;
};

static void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static void on_answer(void *user, const struct http_ask_result *result)
{
    struct fixture *f = user;
    struct err e;
    f->answers++;
    f->end = result->end;
    snprintf(f->text, sizeof f->text, "%s", result->text);
    snprintf(f->body, sizeof f->body, "%.*s", VIEW_PRINT(result->body));
    cr_expect_eq(result->response != NULL, result->end == HTTP_ASK_ANSWERED);
    if (result->response) {
        f->response = *result->response;
    }
    if (f->after == ASK_AGAIN && f->answers == 1) {
        cr_expect_eq(http_ask_start(f->ask, &f->request, &e), 0);
    } else if (f->after == CANCEL) {
        http_ask_cancel(f->ask);
    } else if (f->after == FREE) {
        http_ask_free(f->ask, on_closed, f);
        f->ask = NULL;
    }
}

static void begin(struct fixture *f, const struct server_step *script)
{
    struct err e;
    *f = (struct fixture){0};
    uv_loop_init(&f->loop);
    f->server = server_new(&f->loop);
    server_add(f->server, script);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/x", server_port(f->server));
    f->request = (struct http_ask_request){
        .method = "GET", .url = f->url, .connect_ms = 5000, .total_ms = 20000, .body_maximum = 1000};
    f->ask = http_ask_new(&f->loop, on_answer, f, &e);
    cr_assert_not_null(f->ask);
}

static void start(struct fixture *f)
{
    struct err e;
    cr_assert_eq(http_ask_start(f->ask, &f->request, &e), 0, "%s", e.text);
    cr_expect_eq(f->answers, 0, "never from inside the call");
}

static void run(struct fixture *f)
{
    start(f);
    while (!f->answers) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void finish(struct fixture *f)
{
    if (f->ask) {
        http_ask_free(f->ask, on_closed, f);
    }
    server_close(f->server);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(f->closed);
    cr_expect_eq(uv_loop_close(&f->loop), 0);
    server_free(f->server);
}

TestSuite(http_ask, .timeout = 60);

Test(http_ask, an_answer_of_any_status_comes_whole_with_its_head)
{
    static const struct server_step script[] = {
        {SERVER_SAY,
         "HTTP/1.1 429 Slow\r\nDate: Tue, 01 Sep 2026 00:00:00 GMT\r\nx-rate-limit-reset: 1788220860\r\n"
         "Retry-After: 7\r\nContent-Length: 4\r\n\r\nslow",
         0},
        {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    run(&f);
    cr_expect_eq(f.end, HTTP_ASK_ANSWERED);
    cr_expect_eq(f.response.status, 429);
    cr_expect_eq(f.response.retry_after_ms, 7000);
    cr_expect_eq(f.response.rate_reset_ms, 60000, "%lld", (long long)f.response.rate_reset_ms);
    cr_expect_str_eq(f.body, "slow");
    finish(&f);
}

Test(http_ask, method_headers_and_body_arrive_as_given)
{
    static const struct server_step script[] = {
        {SERVER_SAY, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0}, {SERVER_END, NULL, 0}};
    static const char *const headers[] = {"Authorization: Bearer x", "Content-Type: application/json", NULL};
    struct fixture f;
    begin(&f, script);
    char body[] = "{\"a\":\0 1}";
    f.request.method = "POST";
    f.request.headers = headers;
    f.request.body = view_make(body, sizeof body - 1);
    start(&f);
    memset(body, 'x', sizeof body - 1); /* it was copied */
    while (!f.answers) {
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    const struct server_request *r = server_request(f.server, 0);
    cr_expect(strstr(r->head, "POST /x HTTP/1.1\r\n") == r->head);
    cr_expect_not_null(strstr(r->head, "\r\nAuthorization: Bearer x\r\n"));
    cr_expect_not_null(strstr(r->head, "\r\nContent-Type: application/json\r\n"));
    cr_expect_null(strcasestr(r->head, "\r\nExpect:"));
    cr_expect_eq(memcmp(r->body, "{\"a\":\0 1}", sizeof body - 1), 0);
    finish(&f);
}

Test(http_ask, gzip_is_unpacked_and_the_bound_counts_what_comes_out)
{
    static char long_text[4001];
    memset(long_text, 'a', 4000);
    const struct server_step script[] = {{SERVER_SAY, GZIP_HEAD, 0},
                                         {SERVER_GZIP, "{\"one\":1}", 0},
                                         {SERVER_GZIP, "", 0},
                                         {SERVER_SAY, LAST_CHUNK, 0},
                                         {SERVER_END, NULL, 0}};
    const struct server_step too_long[] = {{SERVER_SAY, GZIP_HEAD, 0},
                                           {SERVER_GZIP, long_text, 0},
                                           {SERVER_GZIP, "", 0},
                                           {SERVER_SAY, LAST_CHUNK, 0},
                                           {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    run(&f);
    cr_expect_str_eq(f.body, "{\"one\":1}");
    finish(&f);
    begin(&f, too_long);
    run(&f);
    cr_expect_eq(f.end, HTTP_ASK_LONG);
    cr_expect_not_null(strstr(f.text, "more than 1000 bytes"));
    finish(&f);
}

Test(http_ask, a_flood_ends_at_the_bound)
{
    static char text[16001];
    memset(text, 'a', 16000);
    const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_FLOOD, text, 1000}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    run(&f);
    cr_expect_eq(f.end, HTTP_ASK_LONG);
    finish(&f);
}

Test(http_ask, a_cut_or_reset_answer_is_a_network_failure)
{
    static const struct server_step cut[] = {
        {SERVER_SAY, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":", 0}, {SERVER_END, NULL, 0}};
    static const struct server_step chunk[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "{\"data\":", 0}, {SERVER_END, NULL, 0}};
    static const struct server_step reset[] = {{SERVER_RESET, NULL, 0}};
    static const struct server_step empty[] = {{SERVER_END, NULL, 0}};
    static const struct server_step gzip[] = {{SERVER_SAY, GZIP_HEAD, 0},
                                              {SERVER_CHUNK, "no gzip", 0},
                                              {SERVER_SAY, LAST_CHUNK, 0},
                                              {SERVER_END, NULL, 0}};
    const struct server_step *const scripts[] = {cut, chunk, reset, empty, gzip};
    for (size_t i = 0; i < 5; i++) {
        struct fixture f;
        begin(&f, scripts[i]);
        run(&f);
        cr_expect_eq(f.end, HTTP_ASK_NETWORK, "script %zu ended as %d", i, f.end);
        cr_expect(f.text[0]);
        finish(&f);
    }
}

Test(http_ask, a_slow_answer_ends_when_its_time_is_over)
{
    static const struct server_step script[] = {
        {SERVER_SAY, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", 0}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    f.request.total_ms = 150;
    int64_t began = clock_steady_ms();
    run(&f);
    cr_expect_eq(f.end, HTTP_ASK_SLOW);
    cr_expect_geq(clock_steady_ms() - began, 100);
    finish(&f);
}

Test(http_ask, a_redirect_is_an_answer_and_not_followed)
{
    static const struct server_step script[] = {
        {SERVER_SAY, "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", 0},
        {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    run(&f);
    cr_expect_eq(f.response.status, 302);
    cr_expect_eq(server_request_count(f.server), 1);
    finish(&f);
}

Test(http_ask, it_can_be_asked_again_cancelled_and_freed_from_inside)
{
    static const struct server_step script[] = {
        {SERVER_SAY, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0}, {SERVER_END, NULL, 0}};
    for (enum after after = CANCEL; after <= ASK_AGAIN; after++) {
        struct fixture f;
        begin(&f, script);
        f.after = after;
        run(&f);
        while (after == ASK_AGAIN && f.answers < 2) {
            uv_run(&f.loop, UV_RUN_ONCE);
        }
        finish(&f);
        cr_expect_eq(f.answers, after == ASK_AGAIN ? 2 : 1);
    }
}

Test(http_ask, a_cancelled_question_is_not_answered)
{
    static const struct server_step script[] = {{SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    start(&f);
    while (!server_request_count(f.server)) {
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    http_ask_cancel(f.ask);
    while (server_open(f.server)) {
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    cr_expect_eq(f.answers, 0);
    finish(&f);
}

Test(http_ask, nobody_listening_is_a_network_failure)
{
    static const struct server_step script[] = {{SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    f.request.url = "http://127.0.0.1:1/";
    run(&f);
    cr_expect_eq(f.end, HTTP_ASK_NETWORK);
    finish(&f);
}
