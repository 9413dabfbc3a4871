/* A source that stops while its caller takes nothing: what was received is handed over, or said to be lost;
 * what was to be told is told by the next life, and ladders are climbed on by it. Answers that are no stream
 * climb one, too.
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "ingest/x_v1.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUR = 3600 * 1000, COUNT = 3000, CHUNK_POSTS = 500 /* below the 64 KiB of a stored block */ };

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick;
    struct server *server;
    struct source *source;
    struct ledger *ledger;
    struct source_timing timing;
    struct backoff_timing backoff;
    struct source_x_v1_settings settings;
    struct source_options options;
    char url[80], folder[64], path[80];
    bool refuse, closed;
    size_t pause_at; /* inside the offer of this post; 0: never */
    unsigned offers;
    size_t posts, counts;
    int64_t counted; /* `posts` of all count events */
    int64_t heard_from, heard_to;
    struct buffer gaps; /* "cause " or "cause:undelivered " */
};

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    struct fixture *f = user;
    f->offers++;
    if (f->refuse) {
        return err_set(e, ERR_RETRY, "full");
    }
    if (post->kind == POST_POST) {
        char text[16];
        snprintf(text, sizeof text, "tea %zu", f->posts++);
        cr_expect(view_is(post->text, text), "%.*s is not %s", VIEW_PRINT(post->text), text);
        if (f->pause_at && f->posts == f->pause_at) {
            source_pause(s);
        }
        return 0;
    }
    cJSON *body = cJSON_ParseWithLength(post->body.at, post->body.length);
    if (post->kind == POST_GAP) {
        buffer_add_view(&f->gaps, json_text(body, "cause"));
        if (json_member(body, "undelivered")) {
            buffer_print(&f->gaps, ":%lld", (long long)json_number(body, "undelivered", -1));
        }
        buffer_add_byte(&f->gaps, ' ');
    } else if (post->kind == POST_COUNT) {
        f->counts++;
        f->counted += json_number(body, "posts", 0);
        clock_parse(json_text(body, "from"), &f->heard_from);
        clock_parse(json_text(body, "to"), &f->heard_to);
    }
    cJSON_Delete(body);
    return 0;
}

static void on_done(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void prepare(struct fixture *f)
{
    *f = (struct fixture){.gaps = BUFFER(1 << 20)};
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    uv_timer_start(&f->tick, on_tick, 1, 1);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/1.1/statuses/filter.json", server_port(f->server));
    snprintf(f->folder, sizeof f->folder, "/tmp/roost-test-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(f->folder), NULL));
    snprintf(f->path, sizeof f->path, "%s/sources", f->folder);
    f->settings = (struct source_x_v1_settings){.common = {.name = "test", .type = "x-v1", .url = f->url},
                                                .api_key = "key",
                                                .api_secret = "key secret",
                                                .access_token = "token",
                                                .access_secret = "token secret"};
    f->settings.common.filter = (struct filter_settings){
        .retweets = true, .replies = true, .quotes = true, .local_filter = FILTER_LOCAL_NO};
    for (int i = 0; i < BACKOFF_LADDERS; i++) {
        f->backoff.ladders[i].first = f->backoff.ladders[i].most = HOUR;
    }
    f->backoff.calm = HOUR;
    f->timing = *x_v1_protocol.timing;
    f->timing.backoff = &f->backoff;
    f->options = (struct source_options){.timing = &f->timing};
}

/* A life of the listener begins; with the ledger of this file, NULL: without. */
static void begin(struct fixture *f, const char *path)
{
    struct err e;
    f->ledger = path ? ledger_open(&f->loop, path, &e) : NULL;
    f->options.ledger = f->ledger;
    f->source = source_open(&f->loop, &f->settings.common, &f->options,
                            &(struct source_events){.post = on_post, .user = f}, &e);
    cr_assert(ne(ptr, f->source, NULL), "%s", e.text);
    source_start(f->source);
}

#define RUN_UNTIL(f, condition)                                                                              \
    while (!(condition)) {                                                                                   \
        uv_run(&(f)->loop, UV_RUN_ONCE);                                                                     \
    }

/* The loop turns without anything new until libcurl has read all that it will. */
static void rest(struct fixture *f)
{
    int64_t until = clock_steady_ms() + 100;
    RUN_UNTIL(f, clock_steady_ms() >= until);
}

static void end(struct fixture *f)
{
    f->closed = false;
    source_stop(f->source, "stopped", on_done, f);
    RUN_UNTIL(f, f->closed);
    if (f->ledger) {
        f->closed = false;
        ledger_close(f->ledger, on_done, f);
        RUN_UNTIL(f, f->closed);
    }
}

static void finish(struct fixture *f)
{
    server_close(f->server);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    server_free(f->server);
    unlink(f->path);
    rmdir(f->folder);
    buffer_free(&f->gaps);
}

/* All posts, numbered, in few chunks, so that one read of libcurl has more of them than it hands over at
 * once. */
static char *numbered(size_t first, size_t count)
{
    struct buffer b = BUFFER(1 << 20);
    for (size_t n = first; n < first + count; n++) {
        buffer_print(&b, "{\"id_str\":\"%llu\",\"text\":\"tea %zu\",\"user\":{\"id_str\":\"7\"}}\r\n",
                     1050118621198921728ull + n, n);
    }
    char *text = view_copy(buffer_view(&b));
    buffer_free(&b);
    return text;
}

static void make_script(struct server_step *script, bool gzip)
{
    size_t at = 0;
    script[at++] = (struct server_step){SERVER_SAY, gzip ? GZIP_HEAD : STREAM_HEAD, 0};
    for (size_t first = 0; first < COUNT; first += CHUNK_POSTS) {
        script[at++] =
            (struct server_step){gzip ? SERVER_GZIP : SERVER_CHUNK, numbered(first, CHUNK_POSTS), 0};
    }
    script[at] = (struct server_step){SERVER_HOLD, NULL, 0};
}

static void free_script(const struct server_step *script)
{
    for (size_t i = 1; script[i].what != SERVER_HOLD; i++) {
        free((char *)script[i].text);
    }
}

static void stop_while_full(bool gzip, bool paused)
{
    struct server_step script[8];
    struct fixture f;
    prepare(&f);
    make_script(script, gzip);
    server_add(f.server, script);
    f.refuse = !paused;
    f.pause_at = paused ? 10 : 0;
    begin(&f, f.path);
    RUN_UNTIL(&f, f.offers > 0);
    rest(&f);
    size_t before = f.posts;
    uint64_t bytes = source_count(f.source).bytes;
    cr_expect(f.posts < COUNT, "it was to stop in the middle");
    f.refuse = false;
    source_stop(f.source, "stopped", on_done, &f);
    cr_expect(f.posts > before, "what was received is handed over by the stop itself");
    cr_expect(eq(i64, f.counted, (int64_t)f.posts), "and counted");
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), ""));
    char *handed_over = numbered(0, f.posts);
    cr_expect(strlen(handed_over) > bytes,
              "%zu bytes, of which %llu came before the stop: libcurl had the rest", strlen(handed_over),
              (unsigned long long)bytes);
    free(handed_over);
    RUN_UNTIL(&f, f.closed);
    f.closed = false;
    ledger_close(f.ledger, on_done, &f);
    RUN_UNTIL(&f, f.closed);
    free_script(script);
    finish(&f);
}

Test(source_stop, a_refused_message_and_all_behind_it_are_handed_over)
{
    stop_while_full(false, false);
}

Test(source_stop, so_are_compressed_ones)
{
    stop_while_full(true, false);
}

Test(source_stop, so_is_what_libcurl_keeps_while_paused)
{
    stop_while_full(true, true);
    stop_while_full(false, true);
}

Test(source_stop, what_is_refused_even_then_is_counted_as_a_gap_of_the_next_life)
{
    static const struct server_step silent[] = {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_HOLD, NULL, 0}};
    struct server_step script[8];
    struct fixture f;
    char expected[80];
    prepare(&f);
    make_script(script, true);
    server_add(f.server, script);
    server_add(f.server, silent);
    f.refuse = true;
    begin(&f, f.path);
    RUN_UNTIL(&f, f.offers > 0);
    rest(&f);
    f.closed = false;
    source_stop(f.source, "stopped", on_done, &f);
    RUN_UNTIL(&f, f.closed);
    cr_expect(f.offers > 100, "each message is offered a last time");
    unsigned lost = f.offers;
    f.closed = false;
    ledger_close(f.ledger, on_done, &f);
    RUN_UNTIL(&f, f.closed);
    cr_expect(eq(sz, f.posts, 0));

    f.refuse = false;
    begin(&f, f.path);
    RUN_UNTIL(&f, f.counts == 1);
    cr_expect(f.heard_from < f.heard_to, "and that it was heard");
    RUN_UNTIL(&f, source_count(f.source).connects == 1);
    rest(&f);
    /* Offered besides the messages, each of them once and the first of them twice: the gap and the count. */
    snprintf(expected, sizeof expected, "spool_full:%u stopped ", lost - 3);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), expected));
    end(&f);
    begin(&f, f.path);
    RUN_UNTIL(&f, source_count(f.source).connects == 1);
    rest(&f);
    snprintf(expected, sizeof expected, "spool_full:%u stopped stopped ", lost - 3);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), expected), "told once");
    end(&f);
    free_script(script);
    finish(&f);
}

/* What a listener killed now would leave: the file, copied, once it holds this. */
static void copy_when(struct fixture *f, const char *word, const char *into)
{
    for (;;) {
        struct buffer text = BUFFER(1 << 20);
        struct err e;
        uv_run(&f->loop, UV_RUN_ONCE);
        bool found = file_read(f->path, &text, &e) == 0 && strstr(buffer_string(&text), word);
        if (found) {
            cr_assert(eq(int, file_replace(into, buffer_view(&text), 0640, &e), 0));
        }
        buffer_free(&text);
        if (found) {
            return;
        }
    }
}

Test(source_stop, gaps_and_counts_that_nobody_took_are_told_after_a_kill)
{
    static const struct server_step cut[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, "\r\n", 0},
                                             {SERVER_WAIT, NULL, 50},
                                             {SERVER_END, NULL, 0}};
    static const struct server_step silent[] = {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    char copy[100];
    prepare(&f);
    snprintf(copy, sizeof copy, "%s/copy", f.folder);
    f.backoff.ladders[BACKOFF_NETWORK].first = f.backoff.ladders[BACKOFF_NETWORK].most = 300;
    server_add(f.server, silent);
    server_add(f.server, cut);
    server_add(f.server, silent);
    begin(&f, f.path);
    RUN_UNTIL(&f, source_count(f.source).connects == 1);
    rest(&f);
    end(&f);
    size_t counts = f.counts;

    /* The second life streams, with which the gap of the stop is over; nobody takes it, nor that it was
     * heard. */
    begin(&f, f.path);
    f.refuse = true;
    RUN_UNTIL(&f, source_count(f.source).connects == 1);
    copy_when(&f, "\"rows\":[{", copy);
    f.refuse = false;
    source_resume(f.source);
    f.refuse = true;
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_WAITING || source_state(f.source) == SOURCE_CONNECTING);
    end(&f);

    f.refuse = false;
    buffer_reset(&f.gaps);
    begin(&f, copy);
    RUN_UNTIL(&f, source_count(f.source).connects == 1);
    rest(&f);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "stopped killed "));
    end(&f);
    unlink(copy);

    /* The stream of the second life was lost while nobody took the count of it; that life then ended. */
    buffer_reset(&f.gaps);
    f.counts = 0;
    begin(&f, f.path);
    RUN_UNTIL(&f, source_count(f.source).connects == 1);
    rest(&f);
    cr_expect(f.counts >= 1, "the lost stream's count is told, after %zu of the first life", counts);
    cr_expect(ne(ptr, strstr(buffer_string(&f.gaps), "network stopped "), NULL), "%s",
              buffer_string(&f.gaps));
    end(&f);
    finish(&f);
}

/* --- ladders --- */

static const struct server_step overloaded[] = {
    {SERVER_SAY, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 0}, {SERVER_END, NULL, 0}};
static const struct server_step refused[] = {
    {SERVER_SAY, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 0}, {SERVER_END, NULL, 0}};

static int64_t asked_at(const struct fixture *f, size_t index)
{
    return server_request(f->server, index)->at_ms;
}

/* Until this many requests were answered and the answer has been taken. */
static void until_waits(struct fixture *f, size_t requests)
{
    RUN_UNTIL(f, server_request_count(f->server) == requests && source_state(f->source) != SOURCE_CONNECTING);
}

Test(source_stop, a_ladder_is_climbed_on_by_the_next_life_after_what_was_left_of_the_wait)
{
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 300;
    server_add(f.server, overloaded);
    begin(&f, f.path);
    until_waits(&f, 1);
    end(&f);
    begin(&f, f.path);
    cr_expect(eq(int, source_state(f.source), SOURCE_WAITING));
    RUN_UNTIL(&f, server_request_count(f.server) == 2);
    cr_expect(asked_at(&f, 1) - asked_at(&f, 0) >= 299);
    until_waits(&f, 2);
    end(&f);
    begin(&f, f.path);
    RUN_UNTIL(&f, server_request_count(f.server) == 3);
    cr_expect(asked_at(&f, 2) - asked_at(&f, 1) >= 599);
    end(&f);
    finish(&f);
}

Test(source_stop, other_keys_or_another_url_begin_at_the_foot_of_the_ladder)
{
    struct fixture f;
    prepare(&f);
    server_add(f.server, overloaded);
    begin(&f, f.path);
    until_waits(&f, 1);
    end(&f);
    f.settings.access_secret = "another secret";
    begin(&f, f.path); /* the wait was an hour */
    until_waits(&f, 2);
    end(&f);
    char url[120];
    snprintf(url, sizeof url, "%s?other", f.url);
    f.settings.common.url = url;
    begin(&f, f.path);
    until_waits(&f, 3);
    end(&f);
    finish(&f);
}

Test(source_stop, a_source_that_was_down_is_asked_at_once_after_a_stop)
{
    static const struct server_step stream[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                {SERVER_CHUNK, "{\"limit\":{\"track\":1}}\r\n", 0},
                                                {SERVER_END, NULL, 0}};
    struct fixture f;
    char streamed[100];
    prepare(&f);
    snprintf(streamed, sizeof streamed, "%s/streamed", f.folder);
    f.options.streamed_path = streamed;
    server_add(f.server, stream);
    server_add(f.server, refused);
    begin(&f, f.path);
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_DOWN);
    end(&f);
    begin(&f, f.path); /* somebody has changed what was wrong; the ladder's wait was an hour */
    RUN_UNTIL(&f, server_request_count(f.server) == 3);
    end(&f);
    unlink(streamed);
    finish(&f);
}

/* --- answers 200 that are no stream --- */

Test(source_stop, a_document_with_status_200_is_an_http_error_whether_its_length_is_told_or_not)
{
    static const struct server_step told[] = {
        {SERVER_SAY,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}",
         0},
        {SERVER_END, NULL, 0}};
    static const struct server_step chunked[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                 {SERVER_CHUNK, "{\"status\":\"ok\"}", 0},
                                                 {SERVER_SAY, LAST_CHUNK, 0},
                                                 {SERVER_END, NULL, 0}};
    static const struct server_step printed[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                 {SERVER_CHUNK, "{\r\n  \"status\": \"ok\"\r\n}\r\n", 0},
                                                 {SERVER_SAY, LAST_CHUNK, 0},
                                                 {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 30;
    server_add(f.server, told);
    server_add(f.server, chunked);
    server_add(f.server, printed);
    server_add(f.server, overloaded);
    begin(&f, f.path);
    RUN_UNTIL(&f, server_request_count(f.server) == 4);
    for (size_t i = 1; i < 4; i++) {
        cr_expect(asked_at(&f, i) - asked_at(&f, i - 1) >= (15 << i) - 1);
    }
    end(&f);
    finish(&f);
}

Test(source_stop, a_stream_that_brought_only_keep_alives_is_one)
{
    static const struct server_step quiet[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                               {SERVER_CHUNK, "\r\n", 0},
                                               {SERVER_SAY, LAST_CHUNK, 0},
                                               {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_NETWORK].first = f.backoff.ladders[BACKOFF_NETWORK].most = 10;
    server_add(f.server, quiet);
    begin(&f, f.path);
    RUN_UNTIL(&f, server_request_count(f.server) == 3); /* HTTP errors wait an hour */
    end(&f);
    finish(&f);
}
