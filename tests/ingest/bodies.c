/* Answers with status 200 whose bodies are not what they should be, on both APIs: documents that are no
 * stream, streams that are cut, compressed data that end too early, bodies that dribble, redirects to
 * themselves. Waits are checked from below, or by ladders of an hour.
 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "ingest/x_v1.h"
#include "ingest/x_v2.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUR = 3600 * 1000, MOST_POSTS = 100, APIS = 2 };

/* In order: v1.1, v2. */
#define TWEET(n)                                                                                             \
    "{\"id_str\":\"10501186211989217" n "\",\"text\":\"tea " n "\",\"user\":{\"id_str\":\"7\"}}\r\n"
#define POST(n) "{\"data\":{\"id\":\"17846000000000000" n "\",\"text\":\"tea " n "\"}}\r\n"

static const char *const one[APIS] = {TWEET("01"), POST("01")};
static const char *const one_and_a_half[APIS] = {
    TWEET("01") "{\"id_str\":\"1050118621198921702\",\"text\":\"te",
    POST("01") "{\"data\":{\"id\":\"1784600000000000002\",\"text\":\"te"};
/* Cut in the middle of a character. */
static const char *const half_a_character[APIS] = {
    TWEET("01") "{\"id_str\":\"1050118621198921702\",\"text\":\"tea \xE2\x98",
    POST("01") "{\"data\":{\"id\":\"1784600000000000002\",\"text\":\"tea \xE2\x98"};
/* A whole object, but its line has no end: it might have been longer. */
static const char *const no_line_end[APIS] = {
    TWEET("01") "{\"id_str\":\"1050118621198921702\",\"text\":\"tea 02\",\"user\":{\"id_str\":\"7\"}}",
    POST("01") "{\"data\":{\"id\":\"1784600000000000002\",\"text\":\"tea 02\"}}"};

static const struct server_step tea_for_ever[APIS][3] = {
    {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("99"), 0}, {SERVER_HOLD, NULL, 0}},
    {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, POST("99"), 0}, {SERVER_HOLD, NULL, 0}}};

struct fixture {
    int api; /* 0: v1.1, 1: v2 */
    uv_loop_t loop;
    uv_timer_t tick;
    struct server *server;
    struct source *source;
    struct source_timing timing;
    struct backoff_timing backoff;
    struct source_x_v1_settings v1;
    struct source_x_v2_settings v2;
    struct source_options options;
    struct source_protocol protocol;
    char url[80], folder[64], streamed[80];
    char texts[MOST_POSTS][40];
    size_t posts;
    struct buffer gaps; /* causes */
    unsigned finals;
    bool closed;
};

/* Without anybody who does errands. */
static void *open_v2(const struct source_settings *settings, struct err *e)
{
    return x_v2_open_with(NULL, settings, e);
}

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    struct fixture *f = user;
    (void)s, (void)e;
    if (post->kind == POST_POST) {
        cr_assert(f->posts < MOST_POSTS);
        snprintf(f->texts[f->posts++], sizeof f->texts[0], "%.*s", VIEW_PRINT(post->text));
    } else if (post->kind == POST_GAP) {
        cJSON *body = cJSON_ParseWithLength(post->body.at, post->body.length);
        buffer_print(&f->gaps, "%.*s ", VIEW_PRINT(json_text(body, "cause")));
        cJSON_Delete(body);
    }
    return 0;
}

static void on_final(void *user, struct source *s, const struct err *why)
{
    (void)s, (void)why;
    ((struct fixture *)user)->finals++;
}

static void on_done(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Ladders of an hour, so that nothing is tried again unless a test says so. */
static void prepare(struct fixture *f, int api)
{
    static const struct filter_settings all = {
        .retweets = true, .replies = true, .quotes = true, .local_filter = FILTER_LOCAL_NO};
    *f = (struct fixture){.api = api, .gaps = BUFFER(1 << 20)};
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d%s", server_port(f->server),
             api ? "" : "/1.1/statuses/filter.json");
    snprintf(f->folder, sizeof f->folder, "/tmp/roost-test-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(f->folder), NULL));
    snprintf(f->streamed, sizeof f->streamed, "%s/streamed", f->folder);
    f->v1 = (struct source_x_v1_settings){
        .common = {.name = "test", .type = "x-v1", .url = f->url, .filter = all},
        .api_key = "key",
        .api_secret = "key secret",
        .access_token = "token",
        .access_secret = "token secret"};
    f->v2 = (struct source_x_v2_settings){
        .common = {.name = "test", .type = "x-v2", .url = f->url, .bearer_token = "token", .filter = all}};
    for (int i = 0; i < BACKOFF_LADDERS; i++) {
        f->backoff.ladders[i].first = f->backoff.ladders[i].most = HOUR;
    }
    f->backoff.calm = HOUR;
    f->protocol = api ? x_v2_protocol : x_v1_protocol;
    f->protocol.open = api ? open_v2 : x_v1_protocol.open;
    f->timing = *f->protocol.timing;
    f->timing.backoff = &f->backoff;
    f->options =
        (struct source_options){.timing = &f->timing, .protocol = &f->protocol, .streamed_path = f->streamed};
}

static void start(struct fixture *f)
{
    struct err e = {ERR_RETRY, ""};
    f->source = source_open(&f->loop, f->api ? &f->v2.common : &f->v1.common, &f->options,
                            &(struct source_events){.post = on_post, .final = on_final, .user = f}, &e);
    cr_assert(ne(ptr, f->source, NULL), "%s", e.text);
    source_start(f->source);
}

#define RUN_UNTIL(f, condition)                                                                              \
    do {                                                                                                     \
        uv_timer_start(&(f)->tick, on_tick, 1, 1);                                                           \
        while (!(condition)) {                                                                               \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                                 \
        }                                                                                                    \
        uv_timer_stop(&(f)->tick);                                                                           \
    } while (0)

static bool is_known(const struct fixture *f)
{
    return access(f->streamed, F_OK) == 0;
}

static int64_t wait_before(const struct fixture *f, size_t index)
{
    return server_request(f->server, index)->at_ms - server_request(f->server, index - 1)->at_ms;
}

static void finish(struct fixture *f)
{
    source_stop(f->source, "stopped", on_done, f);
    RUN_UNTIL(f, f->closed);
    server_close(f->server);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    server_free(f->server);
    buffer_free(&f->gaps);
    unlink(f->streamed);
    cr_expect(eq(int, rmdir(f->folder), 0));
}

TestSuite(bodies, .timeout = 120);

/* --- documents that are no stream --- */

static const char PAGE[] =
    "\r\n\r\n<!DOCTYPE html>\r\n<html><title>Log in</title>\r\n\r\n<body>\r\n\r\n</html>\r\n";

/* Sent in chunks, without a length and as application/json, so that their heads do not give them away. */
static const char *const documents[] = {
    "{\"status\":\"ok\"}",
    "{\"errors\":[{\"message\":\"Could not authenticate you\",\"code\":32}]}\r\n",
    "{\r\n  \"title\": \"Unauthorized\",\r\n\r\n  \"status\": 401\r\n}\r\n",
    "{\"title\":\"Client Forbidden\",\"reason\":\"client-not-enrolled\",\"type\":"
    "\"https://api.x.com/2/problems/client-forbidden\"}\r\n",
    "{\"errors\":[{\"title\":\"UsageCapExceeded\",\"type\":\"https://api.x.com/2/problems/"
    "usage-capped\"}]}\r\n",
    "<html>\n\n<title>Log in</title>\n</html>\n",
    PAGE,
    "[]\r\n",
    "null\r\n",
    "\xFF\xFE\r\n",
};

Test(bodies, a_document_sent_in_chunks_is_no_proof_that_the_credentials_stream)
{
    static const struct server_step refused[] = {
        {SERVER_SAY, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 0}, {SERVER_END, NULL, 0}};
    for (int api = 0; api < APIS; api++) {
        for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
            const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                 {SERVER_CHUNK, documents[i], 0},
                                                 {SERVER_SAY, LAST_CHUNK, 0},
                                                 {SERVER_END, NULL, 0}};
            struct fixture f;
            prepare(&f, api);
            for (int k = 0; k < BACKOFF_LADDERS; k++) {
                f.backoff.ladders[k].first = f.backoff.ladders[k].most = 1;
            }
            f.backoff.ladders[BACKOFF_FINAL].first = f.backoff.ladders[BACKOFF_FINAL].most = HOUR;
            server_add(f.server, script);
            server_add(f.server, refused);
            start(&f);
            RUN_UNTIL(&f, f.finals ||
                              (source_state(f.source) == SOURCE_DOWN && server_request_count(f.server) > 1));
            /* Down is for credentials that have streamed; theirs are given up after three answers. */
            cr_expect(eq(u32, f.finals, 1), "api %d, document %zu", api + 1, i);
            cr_expect(eq(sz, server_request_count(f.server), 4));
            cr_expect(not(is_known(&f)), "api %d, document %zu", api + 1, i);
            finish(&f);
        }
    }
}

Test(bodies, a_document_sent_in_chunks_climbs_the_ladder_of_http_whatever_lines_it_has)
{
    static const char *const texts[] = {"{\"status\":\"ok\"}", "<html>\r\n</html>\r\n", PAGE,
                                        "\r\n\r\n{\r\n}\r\n"};
    for (int api = 0; api < APIS; api++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                 {SERVER_CHUNK, texts[i], 0},
                                                 {SERVER_SAY, LAST_CHUNK, 0},
                                                 {SERVER_END, NULL, 0}};
            struct fixture f;
            prepare(&f, api);
            f.backoff.ladders[BACKOFF_HTTP].first = 30; /* all others wait an hour */
            server_add(f.server, script);
            server_add(f.server, script);
            server_add(f.server, tea_for_ever[api]);
            start(&f);
            RUN_UNTIL(&f, f.posts == 1);
            cr_expect(wait_before(&f, 1) >= 29, "api %d, text %zu", api + 1, i);
            cr_expect(wait_before(&f, 2) >= 59, "api %d, text %zu", api + 1, i);
            finish(&f);
        }
    }
}

Test(bodies, a_web_page_with_its_type_is_an_http_error_and_no_stream)
{
    static const struct server_step page[] = {
        {SERVER_SAY, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
        {SERVER_CHUNK, PAGE, 0},
        {SERVER_SAY, LAST_CHUNK, 0},
        {SERVER_END, NULL, 0}};
    for (int api = 0; api < APIS; api++) {
        struct fixture f;
        prepare(&f, api);
        f.backoff.ladders[BACKOFF_HTTP].first = 30;
        server_add(f.server, page);
        server_add(f.server, page);
        server_add(f.server, tea_for_ever[api]);
        start(&f);
        RUN_UNTIL(&f, server_request_count(f.server) == 2);
        cr_expect(not(is_known(&f)));
        RUN_UNTIL(&f, f.posts == 1);
        cr_expect(wait_before(&f, 1) >= 29);
        cr_expect(wait_before(&f, 2) >= 59);
        cr_expect(eq(u64, source_count(f.source).connects, 1));
        cr_expect(eq(u64, source_count(f.source).received, 1), "no line of it is taken for a message");
        cr_expect(eq(str, (char *)buffer_string(&f.gaps), ""), "before the first stream there is no gap");
        finish(&f);
    }
}

Test(bodies, a_redirect_to_itself_is_followed_by_nobody_and_climbs_the_ladder_of_http)
{
    static const struct server_step around[] = {
        {SERVER_SAY, "HTTP/1.1 302 Found\r\nLocation: /round/and/round\r\nContent-Length: 0\r\n\r\n", 0},
        {SERVER_END, NULL, 0}};
    for (int api = 0; api < APIS; api++) {
        struct fixture f;
        prepare(&f, api);
        f.backoff.ladders[BACKOFF_HTTP].first = 20;
        for (int i = 0; i < 4; i++) {
            server_add(f.server, around);
        }
        server_add(f.server, tea_for_ever[api]);
        start(&f);
        RUN_UNTIL(&f, f.posts == 1);
        cr_expect(eq(sz, server_request_count(f.server), 5));
        for (size_t i = 0; i < 5; i++) {
            cr_expect(eq(ptr, strstr(server_request(f.server, i)->head, "/round"), NULL));
            cr_expect(i == 0 || wait_before(&f, i) >= (10 << i) - 1, "%zu", i);
        }
        finish(&f);
    }
}

/* --- what is a stream --- */

Test(bodies, a_post_is_proof_that_the_credentials_stream)
{
    for (int api = 0; api < APIS; api++) {
        const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_WAIT, NULL, 30},
                                             {SERVER_CHUNK, one[api], 0},
                                             {SERVER_HOLD, NULL, 0}};
        struct fixture f;
        prepare(&f, api);
        server_add(f.server, script);
        start(&f);
        RUN_UNTIL(&f, source_state(f.source) == SOURCE_STREAMING);
        cr_expect(not(is_known(&f)));
        RUN_UNTIL(&f, f.posts == 1);
        cr_expect(is_known(&f));
        finish(&f);
    }
}

Test(bodies, keep_alives_are_proof_once_a_stream_has_lived_and_brought_nothing_strange)
{
    for (int api = 0; api < APIS; api++) {
        static const struct server_step quiet[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                   {SERVER_CHUNK, "\r\n", 0},
                                                   {SERVER_WAIT, NULL, 60},
                                                   {SERVER_CHUNK, "\r\n", 0},
                                                   {SERVER_HOLD, NULL, 0}};
        static const struct server_step strange[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                     {SERVER_CHUNK, "\r\n<html>\r\n", 0},
                                                     {SERVER_WAIT, NULL, 60},
                                                     {SERVER_CHUNK, "\r\n", 0},
                                                     {SERVER_HOLD, NULL, 0}};
        struct fixture f;
        prepare(&f, api);
        f.backoff.calm = 50;
        server_add(f.server, quiet);
        start(&f);
        RUN_UNTIL(&f, source_count(f.source).keep_alives == 1);
        bool known = is_known(&f), young = clock_steady_ms() - server_request(f.server, 0)->at_ms < 50;
        cr_expect(not(known && young));
        RUN_UNTIL(&f, source_count(f.source).keep_alives == 2);
        cr_expect(is_known(&f));
        finish(&f);
        prepare(&f, api);
        f.backoff.calm = 50;
        server_add(f.server, strange);
        start(&f);
        RUN_UNTIL(&f, source_count(f.source).keep_alives == 2);
        cr_expect(not(is_known(&f)));
        finish(&f);
    }
}

/* --- streams that are cut --- */

/* The first stream has the script, the second one begins at once; half a message is never seen and never
 * spoils what comes, and the outage is one row with this cause (NULL: any). */
static void check_cut(int api, const struct server_step *script, const char *gap, const char *what)
{
    struct fixture f;
    prepare(&f, api);
    server_add(f.server, script);
    server_add(f.server, tea_for_ever[api]);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2 || source_state(f.source) == SOURCE_WAITING);
    RUN_UNTIL(&f, f.posts == 2);
    struct source_counts counts = source_count(f.source);
    cr_expect(eq(str, f.texts[0], "tea 01"), "%s", what);
    cr_expect(eq(str, f.texts[1], "tea 99"), "%s", what);
    cr_expect(eq(u64, counts.received, 3), "%s: the half is counted", what);
    cr_expect(eq(u64, counts.unreadable, 1), "%s", what);
    const char *gaps = buffer_string(&f.gaps);
    cr_expect(eq(ptr, strchr(gaps, ' '), (char *)gaps + strlen(gaps) - 1), "%s: one row, not %s", what, gaps);
    bool right = !gap || !strcmp(gaps, gap);
    cr_expect(right, "%s: api %d: %s", what, api + 1, gaps);
    finish(&f);
}

Test(bodies, half_a_post_at_the_cut_is_never_a_post_and_is_one_gap)
{
    for (int api = 0; api < APIS; api++) {
        const char *const texts[] = {one_and_a_half[api], half_a_character[api], no_line_end[api]};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            const struct server_step reset[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                {SERVER_CHUNK, texts[i], 0},
                                                {SERVER_WAIT, NULL, 30},
                                                {SERVER_RESET, NULL, 0},
                                                {SERVER_END, NULL, 0}};
            const struct server_step closed[] = {
                {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, texts[i], 0}, {SERVER_END, NULL, 0}};
            const struct server_step clean[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                {SERVER_CHUNK, texts[i], 0},
                                                {SERVER_SAY, LAST_CHUNK, 0},
                                                {SERVER_END, NULL, 0}};
            check_cut(api, reset, "network ", "reset");
            check_cut(api, closed, "network ", "no last chunk");
            check_cut(api, clean, "server ", "a last chunk");
        }
    }
}

Test(bodies, a_connection_that_ends_in_the_middle_of_a_chunk_is_a_cut)
{
    for (int api = 0; api < APIS; api++) {
        char chunk[400];
        snprintf(chunk, sizeof chunk, "%zx\r\n%s", strlen(one_and_a_half[api]) + 50, one_and_a_half[api]);
        const struct server_step script[] = {
            {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_SAY, chunk, 0}, {SERVER_END, NULL, 0}};
        check_cut(api, script, "network ", "half a chunk");
    }
}

Test(bodies, gzip_that_ends_in_the_middle_of_a_post_gives_the_whole_ones_and_never_the_half)
{
    for (int api = 0; api < APIS; api++) {
        const struct server_step closed[] = {
            {SERVER_SAY, GZIP_HEAD, 0}, {SERVER_GZIP, one_and_a_half[api], 0}, {SERVER_END, NULL, 0}};
        /* The body ends in order, the compressed data do not. */
        const struct server_step ended[] = {{SERVER_SAY, GZIP_HEAD, 0},
                                            {SERVER_GZIP, one_and_a_half[api], 0},
                                            {SERVER_SAY, LAST_CHUNK, 0},
                                            {SERVER_END, NULL, 0}};
        const struct server_step whole[] = {{SERVER_SAY, GZIP_HEAD, 0},
                                            {SERVER_GZIP, one_and_a_half[api], 0},
                                            {SERVER_GZIP, "", 0},
                                            {SERVER_SAY, LAST_CHUNK, 0},
                                            {SERVER_END, NULL, 0}};
        /* No block of deflate has the type 3. */
        const struct server_step corrupt[] = {{SERVER_SAY, GZIP_HEAD, 0},
                                              {SERVER_GZIP, one_and_a_half[api], 0},
                                              {SERVER_CHUNK, "\x07\x07\x07\x07\x07\x07", 0},
                                              {SERVER_HOLD, NULL, 0}};
        check_cut(api, closed, "network ", "closed");
        check_cut(api, ended, NULL, "ended"); /* some libcurls find it in order, others do not */
        check_cut(api, whole, "server ", "whole");
        check_cut(api, corrupt, "network ", "corrupt");
    }
}

/* --- bodies that dribble --- */

Test(bodies, one_byte_at_a_time_is_a_stream_like_any_other)
{
    for (int api = 0; api < APIS; api++) {
        char text[400], bytes[sizeof text][2];
        struct server_step script[sizeof text * 2 + 2];
        size_t steps = 0, length = (size_t)snprintf(text, sizeof text, "\r\n%s\r\n%s", one[api], one[api]);
        script[steps++] = (struct server_step){SERVER_SAY, STREAM_HEAD, 0};
        for (size_t i = 0; i < length; i++) {
            snprintf(bytes[i], sizeof bytes[i], "%c", text[i]);
            script[steps++] = (struct server_step){SERVER_CHUNK, bytes[i], 0};
            script[steps++] = (struct server_step){SERVER_WAIT, NULL, 20};
        }
        script[steps++] = (struct server_step){SERVER_HOLD, NULL, 0};
        struct fixture f;
        prepare(&f, api);
        f.timing.stall = 2000; /* far longer than any byte takes, shorter than all of them */
        cr_assert(20 * (int64_t)length > f.timing.stall);
        server_add(f.server, script);
        start(&f);
        RUN_UNTIL(&f, f.posts == 2 || source_state(f.source) == SOURCE_WAITING);
        cr_expect(eq(sz, f.posts, 2));
        cr_expect(eq(u64, source_count(f.source).keep_alives, 2));
        cr_expect(eq(u64, source_count(f.source).received, 2));
        cr_expect(eq(str, (char *)buffer_string(&f.gaps), ""));
        finish(&f);
    }
}
