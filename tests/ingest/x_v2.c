/* A v2 source against a server that follows scripts: what it asks for, what arrives, when it is tried again,
 * and what is done before a stream is asked for. Waits are only checked from below or by ladders of an hour.
 */
#include "ingest/x_v2.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR = 3600 * 1000, MOST_POSTS = 100 };

#define POST(n)                                                                                              \
    "{\"data\":{\"id\":\"17846000000000000" n "\",\"text\":\"tea " n "\"},\"matching_rules\":"               \
    "[{\"id\":\"5\",\"tag\":\"one\"},{\"id\":\"6\"}]}\r\n"
#define PROBLEM(name) "\"type\":\"https://api.x.com/2/problems/" name "\""
#define ENDS(type)                                                                                           \
    "{\"errors\":[{\"title\":\"operational-disconnect\",\"disconnect_type\":\"" type                         \
    "\",\"detail\":\"d\"," PROBLEM("operational-disconnect") "}]}\r\n"
#define REFUSE(status, body)                                                                                 \
    {SERVER_SAY, "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body, 0},                                \
    {                                                                                                        \
        SERVER_END, NULL, 0                                                                                  \
    }

static const struct server_step tea_for_ever[] = {
    {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, POST("99"), 0}, {SERVER_HOLD, NULL, 0}};

/* --- somebody who does the errands --- */

struct errands {
    uv_timer_t timer;
    bool on_loop, running, hold;
    unsigned started, quits, closes;
    unsigned failures;             /* so many errands fail */
    struct source_verdict verdict; /* how */
    bool due;
    char token[32];      /* the next to be fetched; counted up */
    struct buffer asked; /* what each errand was, in words */
    const size_t *lines; /* of the rule "one" */
    void (*done)(void *user, const struct x_v2_errand_result *result);
    void *user;
    bool fetch;
    void (*closed)(void *user);
    void *closed_user;
};

/* The one whose source is being opened: open() has no other way to it. Each test runs in a process of its
 * own. */
static struct errands *opening;

static void *errands_open(const struct source_x_v2_settings *settings, struct err *e)
{
    (void)settings, (void)e;
    return opening;
}

static bool errands_due(void *self)
{
    return ((struct errands *)self)->due;
}

static void on_errand(uv_timer_t *timer)
{
    struct errands *r = timer->data;
    struct x_v2_errand_result result = {.token = r->fetch ? r->token : NULL};
    r->running = false;
    if (r->failures) {
        r->failures--;
        result = (struct x_v2_errand_result){.failed = &r->verdict};
    } else {
        r->due = false;
    }
    r->done(r->user, &result);
}

static int errands_start(void *self, uv_loop_t *loop, const struct x_v2_errand *errand,
                         void (*done)(void *user, const struct x_v2_errand_result *result), void *user,
                         struct err *e)
{
    struct errands *r = self;
    (void)e;
    cr_expect(not(r->running), "one errand at a time");
    if (!r->on_loop) {
        uv_timer_init(loop, &r->timer);
        r->timer.data = r;
        r->on_loop = true;
    }
    r->running = true;
    r->done = done;
    r->user = user;
    r->fetch = !errand->token;
    snprintf(r->token, sizeof r->token, "token%u", ++r->started);
    buffer_print(&r->asked, "%s%s ", errand->token ? errand->token : "-",
                 errand->rules ? "+rules"
                 : r->due      ? "+due"
                               : "");
    if (!r->hold) {
        uv_timer_start(&r->timer, on_errand, 1, 0);
    }
    return 0;
}

static size_t errands_lines(void *self, struct view rule, const size_t **lines)
{
    *lines = ((struct errands *)self)->lines;
    return *lines && view_is(rule, "one") ? 1 : 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct errands *r = handle->data;
    r->closed(r->closed_user);
}

static void errands_quit(void *self, void (*closed)(void *user), void *user)
{
    struct errands *r = self;
    r->quits++;
    r->closed = closed;
    r->closed_user = user;
    if (r->on_loop) {
        uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    } else {
        closed(user);
    }
}

static void errands_close(void *self)
{
    ((struct errands *)self)->closes++;
}

static const struct x_v2_errands test_errands = {.open = errands_open,
                                                 .due = errands_due,
                                                 .start = errands_start,
                                                 .lines = errands_lines,
                                                 .quit = errands_quit,
                                                 .close = errands_close};

static void *open_with_errands(const struct source_settings *settings, struct err *e)
{
    return x_v2_open_with(&test_errands, settings, e);
}

/* With the token alone; what is asked of the API beside the stream is another test's. */
static void *open_alone(const struct source_settings *settings, struct err *e)
{
    return x_v2_open_with(NULL, settings, e);
}

/* --- the source --- */

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick;
    struct server *server;
    struct source *source;
    struct source_timing timing;
    struct backoff_timing backoff;
    struct source_x_v2_settings settings;
    struct source_options options;
    struct source_protocol protocol;
    struct errands errands;
    struct arena *arena;
    struct filter_keyword keywords[2];
    char url[80];
    char texts[MOST_POSTS][16], rules[64], matched[64];
    size_t posts;
    struct buffer kinds, gaps;
    unsigned finals;
    struct err final;
    bool closed;
};

static void join(char *into, size_t size, struct view_list list)
{
    size_t n = 0;
    into[0] = '\0';
    for (size_t i = 0; i < list.count && n < size; i++) {
        n += (size_t)snprintf(into + n, size - n, "%.*s|", VIEW_PRINT(list.items[i]));
    }
}

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    struct fixture *f = user;
    (void)s, (void)e;
    if (post->kind == POST_POST) {
        cr_assert(f->posts < MOST_POSTS);
        snprintf(f->texts[f->posts++], sizeof f->texts[0], "%.*s", VIEW_PRINT(post->text));
        join(f->rules, sizeof f->rules, post->rules);
        join(f->matched, sizeof f->matched, post->keywords);
        return 0;
    }
    if (post->kind == POST_GAP) {
        cJSON *body = cJSON_ParseWithLength(post->body.at, post->body.length);
        buffer_print(&f->gaps, "%.*s ", VIEW_PRINT(json_text(body, "cause")));
        cJSON_Delete(body);
    } else if (post->kind != POST_COUNT) {
        buffer_print(&f->kinds, "%s ", post_kind_names[post->kind]);
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
    struct err e;
    *f = (struct fixture){.kinds = BUFFER(1 << 20), .gaps = BUFFER(1 << 20)};
    f->errands.asked = BUFFER(1 << 20);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d", server_port(f->server));
    f->arena = arena_new(1 << 20);
    cr_assert(eq(int, keyword_parse(VIEW("tea"), f->arena, &f->keywords[0].keyword, &e), 1));
    cr_assert(eq(int, keyword_parse(VIEW("= from:ada"), f->arena, &f->keywords[1].keyword, &e), 1));
    f->settings = (struct source_x_v2_settings){
        .common = {.name = "test", .type = "x-v2", .url = f->url, .bearer_token = "t%2F1"}};
    f->settings.common.filter = (struct filter_settings){.keywords = f->keywords,
                                                         .keyword_count = 2,
                                                         .retweets = true,
                                                         .replies = true,
                                                         .quotes = true,
                                                         .local_filter = FILTER_LOCAL_AUTO};
    for (int i = 0; i < BACKOFF_LADDERS; i++) {
        f->backoff.ladders[i].first = f->backoff.ladders[i].most = HOUR;
    }
    f->backoff.calm = HOUR;
    f->timing = *x_v2_protocol.timing;
    f->timing.backoff = &f->backoff;
    f->options.timing = &f->timing;
    f->protocol = x_v2_protocol;
    f->protocol.open = open_alone;
    f->options.protocol = &f->protocol;
}

/* With somebody who fetches tokens and applies rules. */
static void prepare_with_errands(struct fixture *f)
{
    prepare(f);
    f->settings.api_key = "key";
    f->settings.api_secret = "secret";
    f->settings.common.bearer_token = NULL;
    f->protocol.open = open_with_errands;
}

static void start(struct fixture *f)
{
    struct err e = {ERR_RETRY, ""};
    opening = &f->errands;
    f->source = source_open(&f->loop, &f->settings.common, &f->options,
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

static void finish(struct fixture *f)
{
    source_stop(f->source, "stopped", on_done, f);
    RUN_UNTIL(f, f->closed);
    server_close(f->server);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    server_free(f->server);
    arena_free(f->arena);
    buffer_free(&f->kinds);
    buffer_free(&f->gaps);
    buffer_free(&f->errands.asked);
}

static size_t requests(const struct fixture *f)
{
    return server_request_count(f->server);
}

static bool request_has(const struct fixture *f, size_t index, const char *what)
{
    return strstr(server_request(f->server, index)->head, what) != NULL;
}

static int64_t wait_before(const struct fixture *f, size_t index)
{
    return server_request(f->server, index)->at_ms - server_request(f->server, index - 1)->at_ms;
}

static void run_for(struct fixture *f, int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    RUN_UNTIL(f, clock_steady_ms() >= until);
}

TestSuite(x_v2, .timeout = 120);

static const struct server_step cut_after_one[] = {
    {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, "\r\n" POST("01"), 0}, {SERVER_END, NULL, 0}};

Test(x_v2, the_request_asks_for_all_that_the_columns_need_and_for_backfill_only_after_an_outage)
{
    struct fixture f;
    prepare(&f);
    f.settings.backfill_minutes = 3;
    server_add(f.server, cut_after_one);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(request_has(&f, 0, "GET /2/tweets/search/stream?tweet.fields="));
    cr_expect(request_has(&f, 0, "\r\nAuthorization: Bearer t%2F1\r\n"));
    static const char *const wanted[] = {"note_tweet",
                                         "referenced_tweets",
                                         "edit_history_tweet_ids",
                                         "withheld",
                                         "expansions=",
                                         "referenced_tweets.id.author_id",
                                         "attachments.media_keys",
                                         "geo.place_id",
                                         "user.fields=",
                                         "username",
                                         "place.fields=",
                                         "country_code",
                                         "media.fields=",
                                         "preview_image_url"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        cr_expect(request_has(&f, 0, wanted[i]), "%s", wanted[i]);
    }
    cr_expect(not(request_has(&f, 0, "backfill_minutes")));
    cr_expect(request_has(&f, 1, "&backfill_minutes=3 HTTP/1.1"));
    cr_expect(eq(str, f.texts[0], "tea 01"));
    cr_expect(eq(str, f.rules, "one|6|"));
    cr_expect(eq(str, f.matched, "tea|"));
    cr_expect(eq(u64, source_count(f.source).keep_alives, 1));
    finish(&f);
}

Test(x_v2, without_the_key_no_backfill_is_ever_asked_for)
{
    struct fixture f;
    prepare(&f);
    server_add(f.server, cut_after_one);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(not(request_has(&f, 1, "backfill_minutes")));
    finish(&f);
}

Test(x_v2, everything_delivered_is_stored_and_keywords_say_what_matched)
{
    static const struct server_step script[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK,
         "{\"data\":{\"id\":\"1784600000000000001\",\"text\":\"coffee\",\"referenced_tweets\":[{\"type\":"
         "\"quoted\",\"id\":\"5\"}]}}\r\n",
         0},
        {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.settings.common.filter.quotes = false; /* the server's to leave out, and it had a reason not to */
    server_add(f.server, script);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(str, f.texts[0], "coffee"));
    cr_expect(eq(str, f.matched, ""));
    finish(&f);
}

Test(x_v2, an_operational_disconnect_is_followed_by_a_connection_at_once)
{
    static const struct server_step ends[] = {
        {SERVER_SAY, STREAM_HEAD, 0},
        {SERVER_CHUNK, POST("01") ENDS("UpstreamOperationalDisconnect"), 0},
        {SERVER_SAY, LAST_CHUNK, 0},
        {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    server_add(f.server, ends);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, (char *)buffer_string(&f.kinds), "disconnect "));
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "server "));
    finish(&f);
}

Test(x_v2, a_disconnect_that_asks_for_patience_climbs_its_ladder)
{
    static const struct {
        const char *line;
        enum backoff_ladder ladder;
        enum source_state state;
    } ends[] = {
        {POST("01") ENDS("InternalError"), BACKOFF_HTTP, SOURCE_WAITING},
        {POST("01") ENDS("InvalidRules"), BACKOFF_HTTP, SOURCE_WAITING},
        {POST("01") ENDS("ForceDisconnect"), BACKOFF_HTTP, SOURCE_WAITING},
        {POST("01") "{\"errors\":[{\"connection_issue\":\"TooManyConnections\"}]}\r\n", BACKOFF_RATE_LIMIT,
         SOURCE_WAITING},
        {POST("01") "{\"errors\":[{\"title\":\"x\",\"period\":\"Daily\"," PROBLEM("usage-capped") "}]}\r\n",
         BACKOFF_SPEND, SOURCE_DOWN},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, ends[i].line, 0},
                                             {SERVER_SAY, LAST_CHUNK, 0},
                                             {SERVER_END, NULL, 0}};
        struct fixture f;
        prepare(&f);
        /* The ladder that is climbed is short; all others, and a reconnection at once, would be seen as too
         * long a wait or as none. */
        f.backoff.ladders[ends[i].ladder].first = f.backoff.ladders[ends[i].ladder].most = 150;
        server_add(f.server, script);
        server_add(f.server, tea_for_ever);
        start(&f);
        RUN_UNTIL(&f, source_state(f.source) == ends[i].state);
        RUN_UNTIL(&f, f.posts == 2);
        cr_expect(wait_before(&f, 1) >= 150, "case %zu", i);
        finish(&f);
    }
}

Test(x_v2, posts_after_a_threat_to_disconnect_take_it_back)
{
    static const struct server_step script[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                                {SERVER_CHUNK, ENDS("InternalError") POST("01"), 0},
                                                {SERVER_END, NULL, 0}};
    struct fixture f;
    prepare(&f);
    server_add(f.server, script);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "network "));
    finish(&f);
}

Test(x_v2, too_many_connections_waits_on_the_rate_limit_ladder_and_is_never_final)
{
    static const struct server_step refuse[] = {
        REFUSE("429 Too Many Requests", "{\"connection_issue\":\"TooManyConnections\"}")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = f.backoff.ladders[BACKOFF_RATE_LIMIT].most = 50;
    for (int i = 0; i < 5; i++) {
        server_add(f.server, refuse);
    }
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    for (size_t i = 1; i < 6; i++) {
        cr_expect(wait_before(&f, i) >= 50);
    }
    cr_expect(eq(u32, f.finals, 0));
    finish(&f);
}

Test(x_v2, a_spent_account_is_down_and_comes_back_by_itself)
{
    static const struct server_step spent[] = {
        REFUSE("429 Too Many Requests", "{\"period\":\"Monthly\"," PROBLEM("usage-capped") "}")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_SPEND].first = f.backoff.ladders[BACKOFF_SPEND].most = 50;
    f.timing.final_attempts = 1;
    for (int i = 0; i < 4; i++) {
        server_add(f.server, spent);
    }
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_DOWN);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(sz, requests(&f), 5));
    cr_expect(eq(u32, f.finals, 0));
    finish(&f);
}

Test(x_v2, a_wrong_given_token_stops_a_source_that_never_streamed_at_the_third_answer)
{
    static const struct server_step refuse[] = {REFUSE("401 Unauthorized", "")};
    struct fixture f;
    prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 1;
    server_add(f.server, refuse);
    start(&f);
    RUN_UNTIL(&f, f.finals == 1);
    cr_expect(eq(sz, requests(&f), 3));
    cr_expect(eq(int, f.final.kind, ERR_FATAL));
    cr_expect(ne(ptr, strstr(f.final.text, "check bearer_token"), NULL), "%s", f.final.text);
    cr_expect(eq(ptr, strstr(f.final.text, "t%2F1"), NULL));
    finish(&f);
}

Test(x_v2, silence_ends_the_stream_after_the_settings_time_and_keep_alives_do_not_count_as_silence)
{
    static const struct server_step quiet[] = {{SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, POST("01"), 0},
                                               {SERVER_WAIT, NULL, 200},     {SERVER_CHUNK, "\r\n", 0},
                                               {SERVER_WAIT, NULL, 200},     {SERVER_CHUNK, "\r\n", 0},
                                               {SERVER_HOLD, NULL, 0}};
    struct fixture f;
    prepare(&f);
    f.settings.common.stall_timeout = 300;
    f.timing.stall = HOUR;
    server_add(f.server, quiet);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(wait_before(&f, 1) >= 700, "%lld", (long long)wait_before(&f, 1));
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "stall "));
    finish(&f);
}

/* --- errands --- */

Test(x_v2, a_missing_token_is_fetched_before_the_stream_is_asked_for)
{
    struct fixture f;
    prepare_with_errands(&f);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(request_has(&f, 0, "Authorization: Bearer token1\r\n"));
    cr_expect(eq(str, (char *)buffer_string(&f.errands.asked), "- "));
    finish(&f);
    cr_expect(eq(u32, f.errands.quits, 1));
    cr_expect(eq(u32, f.errands.closes, 1));
}

Test(x_v2, a_refused_token_is_fetched_anew)
{
    static const struct server_step refuse[] = {REFUSE("401 Unauthorized", "")};
    struct fixture f;
    prepare_with_errands(&f);
    f.settings.common.bearer_token = "old";
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 50;
    f.timing.final_attempts = 1;
    server_add(f.server, refuse);
    server_add(f.server, cut_after_one);
    server_add(f.server, refuse);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, (char *)buffer_string(&f.errands.asked), "- - "));
    cr_expect(request_has(&f, 0, "Bearer old\r\n"));
    cr_expect(request_has(&f, 1, "Bearer token1\r\n"));
    cr_expect(request_has(&f, 2, "Bearer token1\r\n"));
    cr_expect(request_has(&f, 3, "Bearer token2\r\n"));
    cr_expect(wait_before(&f, 1) >= 50);
    cr_expect(wait_before(&f, 3) >= 50);
    finish(&f);
}

Test(x_v2, a_token_that_is_refused_as_soon_as_it_was_fetched_is_a_final_answer)
{
    static const struct server_step refuse[] = {REFUSE("401 Unauthorized", "")};
    struct fixture f;
    prepare_with_errands(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 1;
    server_add(f.server, refuse);
    start(&f);
    RUN_UNTIL(&f, f.finals == 1);
    cr_expect(eq(sz, requests(&f), 3));
    cr_expect(eq(u32, f.errands.started, 3));
    finish(&f);
}

Test(x_v2, an_answer_that_misses_rules_has_them_applied_before_the_next_attempt)
{
    static const struct server_step missing[] = {
        REFUSE("409 Conflict", "{\"connection_issue\":\"RuleConfigurationIssue\"}")};
    struct fixture f;
    prepare_with_errands(&f);
    f.settings.common.bearer_token = "mine";
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 50;
    f.timing.final_attempts = 1;
    server_add(f.server, missing);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(str, (char *)buffer_string(&f.errands.asked), "mine+rules "));
    cr_expect(wait_before(&f, 1) >= 50);
    finish(&f);
}

Test(x_v2, rules_that_are_due_are_applied_with_the_token_in_one_errand)
{
    struct fixture f;
    prepare_with_errands(&f);
    f.errands.due = true;
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(str, (char *)buffer_string(&f.errands.asked), "-+due "));
    finish(&f);
}

Test(x_v2, a_failed_errand_waits_on_its_ladder_and_is_done_again)
{
    struct fixture f;
    prepare_with_errands(&f);
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = f.backoff.ladders[BACKOFF_RATE_LIMIT].most = 60;
    f.errands.failures = 2;
    f.errands.verdict = (struct source_verdict){
        .reaction = {.ladder = BACKOFF_RATE_LIMIT, .cause = "rate_limit"}, .advice = ""};
    snprintf(f.errands.verdict.why, sizeof f.errands.verdict.why, "no token yet");
    server_add(f.server, tea_for_ever);
    int64_t began = clock_steady_ms();
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(clock_steady_ms() - began >= 120);
    cr_expect(eq(u32, f.errands.started, 3));
    cr_expect(eq(sz, requests(&f), 1));
    finish(&f);
}

Test(x_v2, a_final_answer_to_an_errand_stops_the_source_at_the_third)
{
    struct fixture f;
    prepare_with_errands(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 1;
    f.errands.failures = 100;
    f.errands.verdict =
        (struct source_verdict){.reaction = {.final = true, .cause = "credentials"}, .advice = ""};
    snprintf(f.errands.verdict.why, sizeof f.errands.verdict.why, "key and secret are wrong");
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.finals == 1);
    cr_expect(eq(u32, f.errands.started, 3));
    cr_expect(eq(sz, requests(&f), 0));
    cr_expect(ne(ptr, strstr(f.final.text, "key and secret are wrong"), NULL));
    finish(&f);
}

Test(x_v2, stopping_in_the_middle_of_an_errand_leaves_nothing_on_the_loop)
{
    struct fixture f;
    prepare_with_errands(&f);
    f.errands.hold = true;
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.errands.running);
    cr_expect(eq(int, source_state(f.source), SOURCE_CONNECTING));
    finish(&f);
    cr_expect(eq(u32, f.errands.quits, 1));
    cr_expect(eq(u32, f.errands.closes, 1));
}

Test(x_v2, a_caller_without_room_after_an_errand_gets_its_stream_when_it_has_some)
{
    struct fixture f;
    prepare_with_errands(&f);
    f.errands.hold = true;
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.errands.running);
    source_pause(f.source);
    uv_timer_start(&f.errands.timer, on_errand, 1, 0);
    RUN_UNTIL(&f, !f.errands.running);
    run_for(&f, 100);
    cr_expect(eq(sz, requests(&f), 0));
    source_resume(f.source);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(u32, f.errands.started, 1));
    finish(&f);
}

Test(x_v2, a_post_that_came_through_a_rule_line_has_that_line_as_its_keyword)
{
    static const size_t rule_line[] = {1};
    struct fixture f;
    prepare_with_errands(&f);
    f.errands.lines = rule_line;
    f.settings.common.filter.local_filter = FILTER_LOCAL_YES;
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(str, f.matched, "tea|= from:ada|"));
    finish(&f);
}

Test(x_v2, another_list_does_not_shorten_a_wait_and_is_asked_for_after_it)
{
    static const struct server_step refuse[] = {REFUSE("429 Too Many Requests", "")};
    struct fixture f;
    prepare(&f);
    struct source_x_v2_settings next = f.settings;
    f.settings.common.filter.keywords = &f.keywords[1];
    f.settings.common.filter.keyword_count = 1;
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = f.backoff.ladders[BACKOFF_RATE_LIMIT].most = 200;
    server_add(f.server, refuse);
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_WAITING);
    cr_expect(source_change(f.source, &next.common));
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(wait_before(&f, 1) >= 199);
    cr_expect(eq(str, f.matched, "tea|"));
    cr_expect(source_uses(f.source, &next.common));
    finish(&f);
}

Test(x_v2, another_configuration_than_the_list_closes_the_stream_and_opens_it)
{
    struct fixture f;
    prepare(&f);
    struct source_x_v2_settings same = f.settings, next = f.settings;
    next.backfill_minutes = 5;
    f.timing.change_settle = f.timing.change_apart = 0;
    server_add(f.server, tea_for_ever);
    start(&f);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(source_change(f.source, &same.common));
    run_for(&f, 50);
    cr_expect(eq(sz, requests(&f), 1), "what is the same is not touched");
    cr_expect(source_change(f.source, &next.common));
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(request_has(&f, 1, "&backfill_minutes=5"));
    cr_expect(eq(str, (char *)buffer_string(&f.gaps), "reload "));
    RUN_UNTIL(&f, server_open(f.server) == 1);
    finish(&f);
}
