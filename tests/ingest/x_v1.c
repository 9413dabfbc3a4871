/* A v1.1 source against a server that follows scripts: what arrives, and when it is tried again. Waits are
 * only checked from below (never earlier than the ladder says); that something is done at once is shown by
 * ladders of an hour.
 */
#include "ingest/x_v1.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "ingest/oauth.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <oauth.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOUR = 3600 * 1000, MOST_POSTS = 4000, LINES_FLOOD_SIZE = 64 * 1024 };

#define TWEET(n)                                                                                             \
    "{\"id_str\":\"10501186211989217" n "\",\"text\":\"tea " n "\",\"user\":{\"id_str\":\"7\"}}\r\n"
#define OTHER "{\"id_str\":\"1050118621198921800\",\"text\":\"coffee\",\"user\":{\"id_str\":\"7\"}}\r\n"
#define REFUSE(status, more)                                                                                 \
    {SERVER_SAY, "HTTP/1.1 " status "\r\nContent-Length: 0\r\n" more "\r\n", 0},                             \
    {                                                                                                        \
        SERVER_END, NULL, 0                                                                                  \
    }

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick;
    struct server *server;
    struct source *source;
    struct source_timing timing;
    struct backoff_timing backoff;
    struct source_x_v1_settings settings;
    struct source_options options;
    struct arena *arena;
    struct filter_keyword keyword;
    char url[80], folder[64], streamed[80];
    char texts[MOST_POSTS][16]; /* of the posts taken */
    size_t posts, events;
    struct buffer kinds, gaps, filtered; /* events taken, as words */
    unsigned refuse;                     /* this many offers are refused, each with a resume later */
    unsigned offers, finals;
    struct err final;
    bool reject, stop_in_post, closed;
};

static void on_done(void *user)
{
    struct fixture *f = user;
    f->closed = true;
}

static void take_event(struct fixture *f, const struct post *post)
{
    cJSON *body = cJSON_ParseWithLength(post->body.at, post->body.length);
    cr_expect(ne(ptr, body, NULL));
    buffer_print(&f->kinds, "%s ", post_kind_names[post->kind]);
    if (post->kind == POST_GAP) {
        int64_t from, to;
        cr_expect(eq(int, clock_parse(json_text(body, "started_at"), &from), 0));
        cr_expect(eq(int, clock_parse(json_text(body, "ended_at"), &to), 0));
        cr_expect(to >= from);
        buffer_print(&f->gaps, "%.*s", VIEW_PRINT(json_text(body, "cause")));
        if (json_member(body, "undelivered")) {
            buffer_print(&f->gaps, ":%lld", (long long)json_number(body, "undelivered", -1));
        }
        buffer_add_byte(&f->gaps, ' ');
    }
    if (post->kind == POST_COUNT) {
        buffer_print(&f->filtered, "%lld ", (long long)json_number(body, "filtered", -1));
    }
    cJSON_Delete(body);
    f->events++;
}

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    struct fixture *f = user;
    f->offers++;
    cr_expect(eq(str, (char *)source_name(s), "test"));
    cr_expect(view_is(post->source, "test"));
    cr_expect(view_is(post->network, "x"));
    if (f->refuse) {
        f->refuse--;
        return err_set(e, ERR_RETRY, "full");
    }
    if (f->reject && post->kind == POST_POST) {
        return err_set(e, ERR_REJECT, "a post that no frame can hold");
    }
    if (post->kind == POST_POST) {
        cr_assert(f->posts < MOST_POSTS);
        snprintf(f->texts[f->posts++], sizeof f->texts[0], "%.*s", VIEW_PRINT(post->text));
    } else {
        take_event(f, post);
    }
    if (f->stop_in_post) {
        f->stop_in_post = false;
        source_stop(s, "stopped", on_done, f);
        f->source = NULL;
    }
    return 0;
}

static void on_final(void *user, struct source *s, const struct err *why)
{
    struct fixture *f = user;
    cr_expect(eq(int, source_state(s), SOURCE_STOPPED));
    f->finals++;
    f->final = *why;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Everything is set up but the source; ladders of an hour, so that nothing is tried again unless a test says
 * so. */
static void prepare(struct fixture *f)
{
    struct err e;
    *f = (struct fixture){.kinds = BUFFER(1 << 20), .gaps = BUFFER(1 << 20), .filtered = BUFFER(1 << 20)};
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/1.1/statuses/filter.json", server_port(f->server));
    snprintf(f->folder, sizeof f->folder, "/tmp/roost-test-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(f->folder), NULL));
    snprintf(f->streamed, sizeof f->streamed, "%s/streamed", f->folder);
    f->arena = arena_new(1 << 20);
    cr_assert(eq(int, keyword_parse(VIEW("tea"), f->arena, &f->keyword.keyword, &e), 1));
    f->settings = (struct source_x_v1_settings){.common = {.name = "test", .type = "x-v1", .url = f->url},
                                                .api_key = "key",
                                                .api_secret = "key secret",
                                                .access_token = "token",
                                                .access_secret = "token secret",
                                                .stall_warnings = true};
    f->settings.common.filter = (struct filter_settings){.keywords = &f->keyword,
                                                         .keyword_count = 1,
                                                         .retweets = true,
                                                         .replies = true,
                                                         .quotes = true,
                                                         .local_filter = FILTER_LOCAL_AUTO};
    for (int i = 0; i < BACKOFF_LADDERS; i++) {
        f->backoff.ladders[i].first = f->backoff.ladders[i].most = HOUR;
    }
    f->backoff.calm = HOUR;
    f->timing = *x_v1_protocol.timing;
    f->timing.backoff = &f->backoff;
    f->options = (struct source_options){.timing = &f->timing,
                                         .set_aside = set_aside_new(f->folder, SET_ASIDE_FILE_LIMIT),
                                         .streamed_path = f->streamed};
}

static void start(struct fixture *f)
{
    struct err e = {ERR_RETRY, ""};
    f->source = source_open(&f->loop, &f->settings.common, &f->options,
                            &(struct source_events){.post = on_post, .final = on_final, .user = f}, &e);
    cr_assert(ne(ptr, f->source, NULL), "%s", e.text);
    cr_expect(eq(int, source_state(f->source), SOURCE_IDLE));
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

static void stop_source(struct fixture *f)
{
    if (f->source) {
        source_stop(f->source, "stopped", on_done, f);
        f->source = NULL;
    }
    RUN_UNTIL(f, f->closed);
    f->closed = false;
}

static void finish(struct fixture *f)
{
    if (f->source) {
        stop_source(f);
    }
    server_close(f->server);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    server_free(f->server);
    set_aside_free(f->options.set_aside);
    arena_free(f->arena);
    buffer_free(&f->kinds);
    buffer_free(&f->gaps);
    buffer_free(&f->filtered);
    static const char *const files[] = {"streamed", "set-aside.ndjson", "set-aside.ndjson.1"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->folder, files[i]);
        unlink(path);
    }
    cr_expect(eq(int, rmdir(f->folder), 0));
}

/* Milliseconds between the requests number `index` - 1 and `index`. */
static int64_t wait_before(const struct fixture *f, size_t index)
{
    return server_request(f->server, index)->at_ms - server_request(f->server, index - 1)->at_ms;
}

static size_t requests(const struct fixture *f)
{
    return server_request_count(f->server);
}

static const struct server_step tea_for_ever[] = {
    {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("99"), 0}, {SERVER_HOLD, NULL, 0}};

TestSuite(x_v1, .timeout = 120);

Test(x_v1, request_is_signed_with_its_form_and_differs_at_each_attempt)
{
    static const struct server_step cut[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("01"), 0}, {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    static const char *const languages[] = {"en", "id"};
    f.settings.common.filter.languages = languages;
    f.settings.common.filter.language_count = 2;
    server_add(f.server, cut);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, requests(&f) == 2);
    const char *head = server_request(f.server, 0)->head;
    cr_expect(eq(int, strncmp(head, "POST /1.1/statuses/filter.json HTTP/1.1\r\n", 40), 0));
    cr_expect(
        eq(str, server_request(f.server, 0)->body, "track=tea&language=en%2Cid%2Cin&stall_warnings=true"));
    /* Signed again from what the header says, the signature must be the same. */
    char nonce[64] = "", seconds[32] = "", signature[128] = "";
    sscanf(strstr(head, "oauth_nonce="), "oauth_nonce=\"%63[^\"]", nonce);
    sscanf(strstr(head, "oauth_timestamp="), "oauth_timestamp=\"%31[^\"]", seconds);
    sscanf(strstr(head, "oauth_signature="), "oauth_signature=\"%127[^\"]", signature);
    const struct oauth_credentials keys = {"key", "key secret", "token", "token secret"};
    const struct oauth_param params[] = {
        {"track", "tea"}, {"language", "en,id,in"}, {"stall_warnings", "true"}};
    struct oauth_request again;
    struct err e;
    cr_assert(eq(int,
                 oauth_sign_request(&keys, "POST", f.url, params, 3,
                                    &(struct oauth_fixed){nonce, seconds, false}, &again, &e),
                 0));
    cr_expect(ne(ptr, strstr(again.authorization, signature), NULL));
    cr_expect(eq(ptr, strstr(server_request(f.server, 1)->head, nonce), NULL));
    oauth_request_free(&again);
    finish(&f);
}

Test(x_v1, posts_and_events_arrive_in_order_and_what_cannot_be_read_is_set_aside)
{
    static const struct server_step script[] = {
        {SERVER_SAY, GZIP_HEAD, 0},
        {SERVER_GZIP, "\r\n" TWEET("01"), 0},
        {SERVER_GZIP, "{\"limit\":{\"track\":12,\"timestamp_ms\":\"1477757470194\"}}\r", 0},
        {SERVER_GZIP, "\nthis is no JSON\r\n{\"delete\":{\"status\":{\"id\":1234,\"id_str\":\"1234\",\"us",
         0},
        {SERVER_GZIP, "er_id\":3,\"user_id_str\":\"3\"}}}\r\n{\"something\":\"new\"}\r\n", 0},
        {SERVER_GZIP, "{\"limit\":{\"track\":20}}\r\n" TWEET("02"), 0},
        {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    server_add(f.server, script);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, f.texts[0], "tea 01"));
    cr_expect(eq(str, f.texts[1], "tea 02"));
    cr_expect(eq(str, (char *)buffer_string(&f.kinds), "limit gap delete unknown limit gap "));
    struct source_counts counts = source_count(f.source);
    cr_expect(eq(u64, counts.received, 7));
    cr_expect(eq(u64, counts.posts, 2));
    cr_expect(eq(u64, counts.events, 4));
    cr_expect(eq(u64, counts.unreadable, 1));
    cr_expect(eq(u64, counts.keep_alives, 1));
    cr_expect(eq(u64, counts.undelivered, 20));
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "limit:12 limit:8 "));
    cr_expect(eq(u64, counts.connects, 1));
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    char path[128];
    snprintf(path, sizeof path, "%s/set-aside.ndjson", f.folder);
    struct buffer aside = BUFFER(1 << 20);
    cr_assert(eq(int, file_read(path, &aside, NULL), 0));
    cJSON *line = cJSON_Parse(buffer_string(&aside));
    cr_expect(view_is(json_text(line, "text"), "this is no JSON"));
    cr_expect(view_is(json_text(line, "source"), "test"));
    cJSON_Delete(line);
    buffer_free(&aside);
    finish(&f);
}

Test(x_v1, length_delimited_streams_are_read)
{
    static const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                {SERVER_CHUNK, "\r\n72\r\n", 0},
                                                {SERVER_CHUNK, TWEET("01"), 0},
                                                {SERVER_CHUNK, "72\n" TWEET("02"), 0},
                                                {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.settings.delimited = true;
    server_add(f.server, script);
    cr_assert(eq(sz, strlen(TWEET("01")), 72));
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(u64, source_count(f.source).unreadable, 0));
    cr_expect(ne(ptr, strstr(server_request(f.server, 0)->body, "delimited=length"), NULL));
    finish(&f);
}

Test(x_v1, a_message_over_the_limit_does_not_end_the_stream)
{
    char *large = malloc(LINES_FLOOD_SIZE);
    memset(large, 'x', LINES_FLOOD_SIZE - 1);
    large[LINES_FLOOD_SIZE - 1] = '\0';
    const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                         {SERVER_FLOOD, large, 17},
                                         {SERVER_CHUNK, "\r\n" TWEET("01"), 0},
                                         {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    server_add(f.server, script);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(u64, source_count(f.source).unreadable, 1));
    cr_expect(eq(u64, source_count(f.source).received, 2));
    finish(&f);
    free(large);
}

Test(x_v1, an_established_stream_is_opened_again_at_once_and_each_outage_is_a_gap)
{
    static const struct server_step cut[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, TWEET("01"), 0},
                                             {SERVER_HOLD, NULL, 0},
                                             {SERVER_RESET, NULL, 0}};
    static const struct server_step clean[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                               {SERVER_CHUNK, TWEET("02"), 0},
                                               {SERVER_SAY, LAST_CHUNK, 0},
                                               {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.calm = 0; /* any stream has earned it */
    server_add(f.server, cut);
    server_add(f.server, clean);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 3);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "network server "));
    cr_expect(eq(u64, source_count(f.source).connects, 3));
    finish(&f);
}

Test(x_v1, attempts_without_an_answer_climb_the_network_ladder)
{
    static const struct server_step cut[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("01"), 0}, {SERVER_END, NULL, 0}};
    static const struct server_step nothing[] = {{SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_NETWORK].first = 40;
    server_add(f.server, cut);
    server_add(f.server, nothing);
    server_add(f.server, nothing);
    server_add(f.server, nothing);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(wait_before(&f, 2) >= 39);
    cr_expect(wait_before(&f, 3) >= 79);
    cr_expect(wait_before(&f, 4) >= 119);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "network "));
    finish(&f);
}

Test(x_v1, a_server_that_streams_nothing_and_closes_is_not_hammered)
{
    static const struct server_step shut[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_SAY, LAST_CHUNK, 0}, {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_NETWORK].first = 20;
    server_add(f.server, shut);
    start(&f);
    RUN_UNTIL(&f, requests(&f) == 6);
    for (size_t i = 1; i < 6; i++) {
        cr_expect(wait_before(&f, i) >= 20 * (int64_t)i - 1);
    }
    finish(&f);
}

Test(x_v1, http_errors_double_and_honour_retry_after)
{
    static const struct server_step ill[] = {REFUSE("503 Service Unavailable", "")};
    static const struct server_step later[] = {REFUSE("503 Service Unavailable", "Retry-After: 1\r\n")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 50;
    server_add(f.server, ill);
    server_add(f.server, ill);
    server_add(f.server, ill);
    server_add(f.server, later);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(wait_before(&f, 1) >= 49);
    cr_expect(wait_before(&f, 2) >= 99);
    cr_expect(wait_before(&f, 3) >= 199);
    cr_expect(wait_before(&f, 4) >= 999);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "")); /* the ledger begins with the first stream */
    finish(&f);
}

Test(x_v1, rate_limits_have_a_ladder_of_their_own)
{
    static const struct server_step calm[] = {REFUSE("420 Enhance Your Calm", "")};
    static const struct server_step reset[] = {
        REFUSE("429 Too Many Requests",
               "Date: Tue, 24 Nov 2026 12:00:00 GMT\r\nx-rate-limit-reset: 1795521601\r\n")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = 50;
    server_add(f.server, calm);
    server_add(f.server, calm);
    server_add(f.server, reset);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(wait_before(&f, 1) >= 49);
    cr_expect(wait_before(&f, 2) >= 99);
    cr_expect(wait_before(&f, 3) >= 999);
    finish(&f);
}

Test(x_v1, a_final_answer_stops_a_source_after_three_attempts_and_leaves_the_others_running)
{
    static const struct server_step wrong[] = {REFUSE("401 Unauthorized", "")};
    struct fixture f, other;
    prepare(&f);
    prepare(&other);
    f.backoff.ladders[BACKOFF_HTTP].first = 10;
    server_add(f.server, wrong);
    server_add(other.server, tea_for_ever);
    start(&other);
    RUN_UNTIL(&other, other.posts == 1);
    start(&f);
    RUN_UNTIL(&f, f.finals);
    cr_expect(eq(int, f.final.kind, ERR_FATAL));
    cr_expect(ne(ptr, strstr(f.final.text, " 401"), NULL), "%s", f.final.text);
    cr_expect(ne(ptr, strstr(f.final.text, "api_secret"), NULL), "%s", f.final.text);
    cr_expect(eq(ptr, strstr(f.final.text, "key secret"), NULL), "%s", f.final.text);
    cr_expect(eq(sz, requests(&f), 3));
    cr_expect(eq(int, source_state(f.source), SOURCE_STOPPED));
    cr_expect(eq(int, source_state(other.source), SOURCE_STREAMING));
    finish(&f);
    finish(&other);
}

Test(x_v1, a_source_that_has_streamed_is_asked_again_also_in_a_later_life)
{
    static const struct server_step cut[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("01"), 0}, {SERVER_END, NULL, 0}};
    static const struct server_step wrong[] = {REFUSE("403 Forbidden", "")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_FINAL].first = 30;
    server_add(f.server, cut);
    server_add(f.server, wrong);
    start(&f);
    RUN_UNTIL(&f, requests(&f) == 4 && source_state(f.source) == SOURCE_DOWN);
    cr_expect(wait_before(&f, 2) >= 29);
    cr_expect(wait_before(&f, 3) >= 59);
    stop_source(&f);
    start(&f);
    RUN_UNTIL(&f, requests(&f) == 8);
    cr_expect(eq(int, f.finals, 0));
    stop_source(&f);
    /* Other keys have not streamed, so theirs are given up. */
    f.settings.access_secret = "another";
    f.backoff.ladders[BACKOFF_HTTP].first = 10;
    start(&f);
    RUN_UNTIL(&f, f.finals);
    struct buffer file = BUFFER(1 << 16);
    cr_assert(eq(int, file_read(f.streamed, &file, NULL), 0));
    cr_expect(eq(ptr, strstr(buffer_string(&file), "secret"), NULL));
    buffer_free(&file);
    finish(&f);
}

Test(x_v1, a_401_with_the_clocks_apart_is_not_final)
{
    static const struct server_step wrong[] = {
        REFUSE("401 Unauthorized", "Date: Tue, 24 Nov 2015 12:00:00 GMT\r\n")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 10;
    server_add(f.server, wrong);
    start(&f);
    RUN_UNTIL(&f, requests(&f) == 6);
    cr_expect(eq(int, f.finals, 0));
    finish(&f);
}

Test(x_v1, a_403_of_x_itself_says_that_v1_1_was_closed_and_what_to_use)
{
    static const char *const hosts[] = {"https://stream.twitter.com/1.1/statuses/filter.json",
                                        "https://X.com/x", "https://stream.x.com/1.1/statuses/filter.json"};
    static const char *const others[] = {"https://notx.com/1.1/statuses/filter.json",
                                         "https://x.com.example/"};
    struct fixture f;
    struct err e;
    prepare(&f);
    for (size_t i = 0; i < 3; i++) {
        f.settings.common.url = (char *)hosts[i];
        void *state = x_v1_protocol.open(&f.settings.common, &e);
        cr_assert(ne(ptr, state, NULL));
        cr_expect(ne(ptr, strstr(x_v1_protocol.advice(state, 403), "14 March 2023"), NULL));
        cr_expect(ne(ptr, strstr(x_v1_protocol.advice(state, 403), "x-v2"), NULL));
        x_v1_protocol.close(state);
    }
    for (size_t i = 0; i < 2; i++) {
        f.settings.common.url = (char *)others[i];
        void *state = x_v1_protocol.open(&f.settings.common, &e);
        cr_expect(eq(ptr, strstr(x_v1_protocol.advice(state, 403), "2023"), NULL));
        x_v1_protocol.close(state);
    }
    finish(&f);
}

Test(x_v1, a_web_page_with_status_200_is_an_http_error)
{
    static const struct server_step page[] = {
        {SERVER_SAY,
         "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>", 0},
        {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 30;
    server_add(f.server, page);
    server_add(f.server, page);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(wait_before(&f, 1) >= 29);
    cr_expect(wait_before(&f, 2) >= 59);
    cr_expect(eq(u64, source_count(f.source).connects, 1));
    cr_expect(eq(u64, source_count(f.source).received, 1));
    finish(&f);
}

Test(x_v1, silence_ends_a_stream_and_it_is_opened_again_at_once)
{
    static const struct server_step silent[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("01"), 0}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.timing.stall = 200;
    server_add(f.server, silent);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(wait_before(&f, 1) >= 199);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "stall "));
    finish(&f);
}

Test(x_v1, half_a_message_at_the_end_of_a_stream_is_discarded_and_counted)
{
    static const struct server_step cut[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, TWEET("01") "{\"id_str\":\"105", 0},
                                             {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    server_add(f.server, cut);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, f.texts[1], "tea 99"));
    cr_expect(eq(u64, source_count(f.source).unreadable, 1));
    cr_expect(eq(u64, source_count(f.source).received, 3));
    finish(&f);
}

Test(x_v1, a_disconnect_because_of_another_client_is_not_fought)
{
    static const struct server_step evicted[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK,
         TWEET("01") "{\"disconnect\":{\"code\":7,\"stream_name\":\"s\",\"reason\":\"admin logout\"}}\r\n",
         0},
        {SERVER_SAY, LAST_CHUNK, 0},
        {SERVER_END, NULL, 0}};
    static const struct server_step shutdown[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK,
         TWEET("02") "{\"disconnect\":{\"code\":1,\"stream_name\":\"s\",\"reason\":\"shutdown\"}}\r\n", 0},
        {SERVER_SAY, LAST_CHUNK, 0},
        {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 40;
    server_add(f.server, evicted);
    server_add(f.server, evicted);
    server_add(f.server, shutdown);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 4);
    cr_expect(wait_before(&f, 1) >= 39);
    cr_expect(wait_before(&f, 2) >= 79);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "server server server "));
    finish(&f);
}

/* Posts 0 to count - 1, gzipped, some at a time. */
static struct server_step *numbered_script(size_t count, char **texts)
{
    struct server_step *steps = calloc(count + 6, sizeof *steps);
    size_t at = 0, n = 0;
    steps[at++] = (struct server_step){SERVER_SAY, GZIP_HEAD, 0};
    while (n < count) {
        struct buffer b = BUFFER(1 << 20);
        for (size_t end = n + 1 + n % 37; n < end && n < count; n++) {
            buffer_print(&b, "{\"id_str\":\"%llu\",\"text\":\"tea %zu\",\"user\":{\"id_str\":\"7\"}}\r\n",
                         1050118621198921728ull + n, n);
        }
        texts[at] = view_copy(buffer_view(&b));
        steps[at] = (struct server_step){SERVER_GZIP, texts[at], 0};
        at++;
        buffer_free(&b);
    }
    steps[at++] = (struct server_step){SERVER_GZIP, "", 0};
    steps[at++] = (struct server_step){SERVER_SAY, LAST_CHUNK, 0};
    return steps;
}

Test(x_v1, refused_posts_are_offered_again_and_none_is_lost_or_doubled)
{
    enum { COUNT = 3000 };
    static char *texts[COUNT + 6];
    struct fixture f;
    prepare(&f);
    struct server_step *script = numbered_script(COUNT, texts);
    server_add(f.server, script);
    server_add(f.server, tea_for_ever);
    start(&f);
    struct random r = {7};
    unsigned resumed = 0;
    while (f.posts < COUNT + 1) {
        f.refuse = random_below(&r, 3) == 0 ? 1 + (unsigned)random_below(&r, 2) : f.refuse;
        if (random_below(&r, 4) == 0) {
            source_pause(f.source);
        }
        uv_run(&f.loop, UV_RUN_NOWAIT);
        if (random_below(&r, 2)) {
            source_resume(f.source);
            resumed++;
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "tea %zu", i);
        cr_assert(eq(str, f.texts[i], text), "post %zu", i);
    }
    cr_expect(resumed > 1);
    cr_expect(f.offers > COUNT);
    struct source_counts counts = source_count(f.source);
    cr_expect(eq(u64, counts.received, COUNT + 1));
    cr_expect(eq(u64, counts.unreadable, 0));
    finish(&f);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(texts[i]);
    }
    free(script);
}

Test(x_v1, while_refused_no_new_connection_is_opened)
{
    static const struct server_step cut[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TWEET("01"), 0}, {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    server_add(f.server, cut);
    server_add(f.server, tea_for_ever);
    f.refuse = 1;
    start(&f);
    RUN_UNTIL(&f, f.offers == 1);
    int64_t until = clock_steady_ms() + 200;
    RUN_UNTIL(&f, clock_steady_ms() >= until);
    cr_expect(eq(sz, requests(&f), 1));
    cr_expect(eq(sz, f.posts, 0));
    source_resume(f.source);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, f.texts[0], "tea 01"));
    finish(&f);
}

Test(x_v1, a_post_that_can_never_be_taken_is_set_aside)
{
    struct fixture f;
    prepare(&f);
    server_add(f.server, tea_for_ever);
    f.reject = true;
    start(&f);
    RUN_UNTIL(&f, source_count(f.source).unreadable == 1);
    cr_expect(eq(sz, f.posts, 0));
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    finish(&f);
}

Test(x_v1, what_the_local_filter_leaves_out_is_counted_in_a_count_event)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, OTHER OTHER TWEET("01"), 0}, {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.settings.common.filter.local_filter = FILTER_LOCAL_YES;
    f.timing.count_interval = 50;
    server_add(f.server, script);
    start(&f);
    RUN_UNTIL(&f, f.events == 2);
    cr_expect(eq(sz, f.posts, 1));
    cr_expect(eq(u64, source_count(f.source).filtered, 2));
    cr_expect(eq(str, (char *)buffer_string(&f.kinds), "count count "));
    cr_expect(eq(str, (char *)buffer_string(&f.filtered), "2 0 ")); /* nothing came, but it was heard */
    finish(&f);
}

Test(x_v1, limit_notices_begin_at_zero_with_each_connection)
{
    static const struct server_step first[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                               {SERVER_CHUNK, "{\"limit\":{\"track\":30}}\r\n", 0},
                                               {SERVER_END, NULL, 0}};
    static const struct server_step second[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK, "{\"limit\":{\"track\":5}}\r\n{\"limit\":{\"track\":5}}\r\n" TWEET("01"), 0},
        {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.backoff.calm = 0; /* any stream has earned it */
    server_add(f.server, first);
    server_add(f.server, second);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "limit:30 network limit:5 "));
    finish(&f);
}

Test(x_v1, the_last_count_is_offered_when_a_source_stops)
{
    struct fixture f;
    prepare(&f);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    stop_source(&f);
    cr_expect(eq(str, (char *)buffer_string(&f.kinds), "count "));
    finish(&f);
}

Test(x_v1, stopping_in_any_state_and_inside_a_callback_leaves_nothing_on_the_loop)
{
    static const struct server_step ill[] = {REFUSE("503 Service Unavailable", "")};
    static const struct server_step silent[] = {{SERVER_HOLD, NULL, 0}};
    for (int state = 0; state < 5; state++) {
        struct fixture f;
        prepare(&f);
        server_add(f.server, state == 1 ? silent : state == 2 ? ill : tea_for_ever);
        f.stop_in_post = state == 4;
        start(&f);
        if (state == 1) {
            RUN_UNTIL(&f, requests(&f) == 1);
        } else if (state == 2) {
            RUN_UNTIL(&f, source_state(f.source) == SOURCE_WAITING);
        } else if (state > 2) {
            RUN_UNTIL(&f, f.posts == 1);
        }
        stop_source(&f);
        finish(&f);
    }
}
