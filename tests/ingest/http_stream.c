/* One request against a server that follows a script: what the caller is told, in which order, and how it
 * ends. */
#include "ingest/http_stream.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

enum after { NOTHING, PAUSE, CANCEL, FREE, START_AGAIN };

struct fixture {
    uv_loop_t loop;
    uv_timer_t timer;
    struct server *server;
    struct http_stream *stream;
    struct http_stream_request request;
    char url[64];
    struct buffer body;
    struct http_response response;
    int responses, ends, bodies;
    enum http_end end;
    char text[300], error_body[HTTP_BODY_KEPT + 1];
    bool end_has_response;
    int end_status;
    enum after after_response, after_body, after_end;
    bool closed;
};

static void on_stream_closed(void *user)
{
    struct fixture *f = user;
    f->closed = true;
}

static void act_after(struct fixture *f, enum after what)
{
    struct err e;
    switch (what) {
    case NOTHING:
        break;
    case PAUSE:
        http_stream_pause(f->stream);
        break;
    case CANCEL:
        http_stream_cancel(f->stream);
        break;
    case FREE:
        http_stream_free(f->stream, on_stream_closed, f);
        f->stream = NULL;
        break;
    case START_AGAIN:
        f->after_end = NOTHING;
        cr_assert(eq(int, http_stream_start(f->stream, &f->request, &e), 0));
        break;
    }
}

static void on_response(void *user, const struct http_response *response)
{
    struct fixture *f = user;
    f->response = *response;
    f->responses++;
    act_after(f, f->after_response);
}

static void on_body(void *user, struct view bytes)
{
    struct fixture *f = user;
    cr_expect(bytes.length > 0);
    f->bodies++;
    buffer_add_view(&f->body, bytes);
    act_after(f, f->after_body);
}

static void on_end(void *user, const struct http_result *result)
{
    struct fixture *f = user;
    f->ends++;
    f->end = result->end;
    f->end_has_response = result->response != NULL;
    if (result->response) {
        f->response = *result->response;
    }
    snprintf(f->text, sizeof f->text, "%s", result->text ? result->text : "");
    snprintf(f->error_body, sizeof f->error_body, "%.*s", VIEW_PRINT(result->body));
    act_after(f, f->after_end);
}

static void begin(struct fixture *f, const struct server_step *script)
{
    struct err e;
    *f = (struct fixture){.body = BUFFER(64 * 1024 * 1024)};
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->timer);
    f->timer.data = f;
    f->server = server_new(&f->loop);
    server_add(f->server, script);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/x", server_port(f->server));
    f->request = (struct http_stream_request){
        .method = "POST", .url = f->url, .form = "a=b", .connect_ms = 5000, .stall_ms = 20000};
    f->stream = http_stream_new(&f->loop, &(struct http_stream_events){on_response, on_body, on_end, f}, &e);
    cr_assert(ne(ptr, f->stream, NULL));
    cr_assert(eq(int, http_stream_start(f->stream, &f->request, &e), 0), "%s", e.text);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Turns the loop until the condition holds; a test that hangs is ended by its time-out. */
#define RUN_UNTIL(f, condition)                                                                              \
    do {                                                                                                     \
        uv_timer_start(&(f)->timer, on_tick, 1, 1);                                                          \
        while (!(condition)) {                                                                               \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                                 \
        }                                                                                                    \
        uv_timer_stop(&(f)->timer);                                                                          \
    } while (0)

static void run_ms(struct fixture *f, int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    RUN_UNTIL(f, clock_steady_ms() >= until);
}

static void finish(struct fixture *f)
{
    if (f->stream) {
        http_stream_free(f->stream, on_stream_closed, f);
    }
    server_close(f->server);
    uv_close((uv_handle_t *)&f->timer, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(f->closed);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    server_free(f->server);
    buffer_free(&f->body);
}

TestSuite(http_stream, .timeout = 60);

Test(http_stream, bytes_come_as_they_are_sent_and_a_whole_body_ends_clean)
{
    static const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "one", 0},
                                                {SERVER_HOLD, NULL, 0},       {SERVER_CHUNK, "two", 0},
                                                {SERVER_SAY, LAST_CHUNK, 0},  {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    RUN_UNTIL(&f, f.body.length == 3);
    cr_expect(eq(int, f.responses, 1));
    cr_expect(eq(str, f.response.content_type, "application/json"));
    server_release(f.server);
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_CLEAN));
    cr_expect(eq(str, (char *)buffer_string(&f.body), "onetwo"));
    finish(&f);
}

Test(http_stream, the_request_is_what_was_asked_for)
{
    static const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    http_stream_cancel(f.stream);
    struct err e;
    f.request.headers = (const char *const[]){"Authorization: OAuth x", NULL};
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    RUN_UNTIL(&f, f.responses);
    const struct server_request *r = server_request(f.server, server_request_count(f.server) - 1);
    cr_expect(eq(int, strncmp(r->head, "POST /x HTTP/1.1\r\n", 18), 0));
    cr_expect(ne(ptr, strstr(r->head, "\r\nUser-Agent: roost/"), NULL));
    cr_expect(ne(ptr, strstr(r->head, "\r\nAccept-Encoding: deflate, gzip\r\n"), NULL));
    cr_expect(ne(ptr, strstr(r->head, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"), NULL));
    cr_expect(ne(ptr, strstr(r->head, "\r\nAuthorization: OAuth x\r\n"), NULL));
    cr_expect(eq(str, r->body, "a=b"));
    finish(&f);
}

Test(http_stream, gzip_is_handed_over_at_each_flush)
{
    static const struct server_step script[] = {{SERVER_SAY, GZIP_HEAD, 0}, {SERVER_GZIP, "one", 0},
                                                {SERVER_HOLD, NULL, 0},     {SERVER_GZIP, "two", 0},
                                                {SERVER_GZIP, "", 0},       {SERVER_SAY, LAST_CHUNK, 0},
                                                {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    RUN_UNTIL(&f, f.body.length == 3);
    server_release(f.server);
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_CLEAN));
    cr_expect(eq(str, (char *)buffer_string(&f.body), "onetwo"));
    finish(&f);
}

Test(http_stream, a_body_without_its_last_chunk_or_reset_is_a_network_error)
{
    static const struct server_step cut[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "one", 0}, {SERVER_END, NULL, 0}};
    static const struct server_step reset[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_HOLD, NULL, 0}, {SERVER_RESET, NULL, 0}};
    struct fixture f;
    begin(&f, cut);
    server_add(f.server, reset);
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_NETWORK));
    cr_expect(ne(int, f.text[0], '\0'));
    struct err e;
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    RUN_UNTIL(&f, f.responses == 2);
    server_release(f.server);
    RUN_UNTIL(&f, f.ends == 2);
    cr_expect(eq(int, f.end, HTTP_END_NETWORK));
    finish(&f);
}

Test(http_stream, nobody_listening_is_a_network_error_with_a_text)
{
    static const struct server_step none[] = {{SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, none);
    struct err e;
    f.request.url = "http://127.0.0.1:1/";
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_NETWORK));
    cr_expect(not(f.end_has_response));
    cr_expect(ne(ptr, strstr(f.text, "127.0.0.1"), NULL), "%s", f.text);
    finish(&f);
}

Test(http_stream, an_error_answer_brings_its_head_and_the_first_2_kib)
{
    static const struct server_step script[] = {
        {SERVER_SAY,
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 420 Enhance Your Calm\r\nDate: Tue, 24 Nov 2026 12:00:00 "
         "GMT\r\n"
         "Retry-After: 7\r\nX-Rate-Limit-Reset: 1795521605\r\nContent-Type: text/html\r\n"
         "Transfer-Encoding: chunked\r\n\r\n",
         0},
        {SERVER_CHUNK, "Easy there, Turbo.", 0},
        {SERVER_FLOOD, "0123456789", 1000},
        {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_STATUS));
    cr_expect(eq(int, f.responses, 0));
    cr_expect(eq(int, f.bodies, 0));
    cr_expect(eq(int, f.response.status, 420));
    cr_expect(eq(i64, f.response.retry_after_ms, 7000));
    cr_expect(eq(i64, f.response.rate_reset_ms, 5000));
    cr_expect(eq(i64, f.response.date_ms, clock_from_date(2026, 11, 24, 12, 0, 0, 0)));
    cr_expect(eq(sz, strlen(f.error_body), HTTP_BODY_KEPT));
    cr_expect(eq(int, strncmp(f.error_body, "Easy there, Turbo.", 18), 0));
    finish(&f);
}

Test(http_stream, no_redirect_is_followed)
{
    static const struct server_step script[] = {
        {SERVER_SAY, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 0},
        {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_STATUS));
    cr_expect(eq(int, f.response.status, 302));
    cr_expect(eq(sz, server_request_count(f.server), 1));
    finish(&f);
}

Test(http_stream, silence_is_a_stall_but_keep_alives_are_not)
{
    static const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "\r\n", 0},
                                                {SERVER_WAIT, NULL, 200},     {SERVER_CHUNK, "\r\n", 0},
                                                {SERVER_WAIT, NULL, 200},     {SERVER_CHUNK, "\r\n", 0},
                                                {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    struct err e;
    f.request.stall_ms = 350;
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    int64_t begun = clock_steady_ms();
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_STALL));
    cr_expect(eq(sz, f.body.length, 6));
    cr_expect(clock_steady_ms() - begun >= 750);
    cr_expect(eq(str, f.text, "no byte for 0.3 s"), "%s", f.text);
    finish(&f);
}

Test(http_stream, a_server_that_never_answers_is_a_stall)
{
    static const struct server_step script[] = {{SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    struct err e;
    f.request.stall_ms = 100;
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    RUN_UNTIL(&f, f.ends);
    cr_expect(eq(int, f.end, HTTP_END_STALL));
    cr_expect(not(f.end_has_response));
    finish(&f);
}

Test(http_stream, a_paused_stream_gives_nothing_stalls_never_and_loses_nothing)
{
    static const struct server_step script[] = {
        {SERVER_SAY, GZIP_HEAD, 0},  {SERVER_GZIP, "begin ", 0},  {SERVER_HOLD, NULL, 0},
        {SERVER_GZIP, "middle ", 0}, {SERVER_GZIP, "more ", 0},   {SERVER_GZIP, "last", 0},
        {SERVER_GZIP, "", 0},        {SERVER_SAY, LAST_CHUNK, 0}, {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    struct err e;
    f.request.stall_ms = 100;
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    f.after_body = PAUSE;
    RUN_UNTIL(&f, f.bodies == 1);
    size_t before = f.body.length;
    server_release(f.server);
    run_ms(&f, 300);
    cr_expect(eq(int, f.ends, 0));
    cr_expect(eq(sz, f.body.length, before));
    for (int resumed = 0; !f.ends; resumed++) {
        cr_assert(resumed < 100);
        http_stream_resume(f.stream);
        run_ms(&f, 10);
    }
    cr_expect(eq(int, f.end, HTTP_END_CLEAN));
    cr_expect(eq(str, (char *)buffer_string(&f.body), "begin middle more last"));
    finish(&f);
}

Test(http_stream, pausing_at_every_piece_of_a_large_body_loses_nothing)
{
    static const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                {SERVER_FLOOD, "0123456789abcdef0123456789abcdef", 20000},
                                                {SERVER_SAY, LAST_CHUNK, 0},
                                                {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    f.after_body = PAUSE;
    while (!f.ends) {
        uv_run(&f.loop, UV_RUN_NOWAIT);
        http_stream_resume(f.stream);
    }
    cr_expect(eq(int, f.end, HTTP_END_CLEAN));
    cr_expect(eq(sz, f.body.length, 32 * 20000));
    for (size_t i = 0; i < f.body.length; i++) {
        cr_assert(eq(chr, f.body.data[i], "0123456789abcdef"[i % 16]));
    }
    finish(&f);
}

Test(http_stream, cancelled_inside_any_callback_it_is_silent_and_can_start_again)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "one", 0}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    f.after_response = CANCEL;
    RUN_UNTIL(&f, f.responses == 1 && server_open(f.server) == 0);
    cr_expect(eq(int, f.ends, 0));
    cr_expect(eq(int, f.bodies, 0));
    struct err e;
    f.after_response = NOTHING;
    f.after_body = CANCEL;
    cr_assert(eq(int, http_stream_start(f.stream, &f.request, &e), 0));
    RUN_UNTIL(&f, f.bodies == 1 && server_open(f.server) == 0);
    cr_expect(eq(int, f.ends, 0));
    finish(&f);
}

Test(http_stream, freed_inside_any_callback_nothing_is_left_on_the_loop)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "one", 0}, {SERVER_END, NULL, 0}};
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        begin(&f, script);
        *(enum after *[]){&f.after_response, &f.after_body, &f.after_end}[i] = FREE;
        RUN_UNTIL(&f, f.closed);
        cr_expect(eq(int, f.ends, i == 2));
        finish(&f);
    }
}

Test(http_stream, a_new_start_inside_end_works)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "one", 0}, {SERVER_END, NULL, 0}};
    struct fixture f;
    begin(&f, script);
    f.after_end = START_AGAIN;
    RUN_UNTIL(&f, f.ends == 2);
    cr_expect(eq(str, (char *)buffer_string(&f.body), "oneone"));
    finish(&f);
}
