#include "ingest/x_v2_api.h"

#include "base/clock.h"
#include "base/wipe.h"
#include "ingest/http_ask.h"
#include "ingest/x_v2_verdict.h"

#include <oauth.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECT_MS = 10000,
    ANSWER_MOST = 16 * 1024 * 1024, /* a page of 1,000 rules of 4,096 characters */
    ANSWER_MEMORY = 4 * ANSWER_MOST,
    BODY_MOST = 16 * 1024 * 1024,
    HEADER_MOST = 32 * 1024,
    SKEW_MS = 300 * 1000,
    RATE_MARGIN_MS = 1000 /* the server's clock has whole seconds */
};

const struct x_v2_patience x_v2_patience_usual = {.network_ms = 250,
                                                  .http_ms = 5000,
                                                  .rate_ms = 60 * 1000,
                                                  .wait_most_ms = 16 * 60 * 1000,
                                                  .total_ms = 30 * 1000,
                                                  .attempts = 5};

struct x_v2_api {
    struct x_v2_account account;
    struct x_v2_patience patience;
    void (*waits)(void *user, int64_t ms, const char *why);
    void *waits_user;
    struct http_ask *ask;
    uv_timer_t timer;
    char *base;
    char *token; /* in use; NULL: none yet */

    /* the running call */
    bool running, fetching, renewed, token_only;
    struct buffer path, body;
    bool post;
    unsigned attempts;
    struct arena *arena; /* of its answer */
    struct x_v2_answer answer;
    struct http_response response; /* of the last request */
    struct buffer response_body;   /* its beginning */
    struct http_result last;
    void (*done)(void *user, const struct x_v2_outcome *outcome);
    void *user;

    unsigned open; /* of ask and timer */
    void (*closed)(void *user);
    void *closed_user;
};

struct x_v2_account x_v2_account_of(const struct source_x_v2_settings *source)
{
    return (struct x_v2_account){source->common.url, source->common.bearer_token, source->api_key,
                                 source->api_secret, source->common.tls_insecure_accept_any_certificate};
}

static void attempt(struct x_v2_api *api);

static void drop_token(struct x_v2_api *api)
{
    wipe_string(api->token);
    api->token = NULL;
}

/* --- the end of a call --- */

static void end(struct x_v2_api *api, const struct x_v2_outcome *outcome)
{
    api->running = false;
    api->done(api->user, outcome);
}

static void fail(struct x_v2_api *api, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct x_v2_api *api, enum err_kind kind, const char *format, ...)
{
    struct x_v2_outcome outcome = {.result = -1, .e = {.kind = kind}};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(outcome.e.text, sizeof outcome.e.text, format, arguments);
    va_end(arguments);
    end(api, &outcome);
}

static void on_waited(uv_timer_t *timer)
{
    attempt(timer->data);
}

/* Tries again after `ms`, or gives up. */
static void wait_or_fail(struct x_v2_api *api, int64_t ms, const char *why)
{
    if (api->attempts >= api->patience.attempts || ms > api->patience.wait_most_ms) {
        bool long_wait = api->attempts < api->patience.attempts;
        fail(api, ERR_RETRY, "%s%s: %s%s", api->base, buffer_string(&api->path), why,
             long_wait ? "; that is longer than waits here: try again later" : "");
        return;
    }
    if (api->waits) {
        api->waits(api->waits_user, ms, why);
    }
    /* libuv's timers count from the loop's time, which is older than now. */
    uv_update_time(api->timer.loop);
    uv_timer_start(&api->timer, on_waited, (uint64_t)clock_timer_ms(ms), 0);
}

static int64_t climbed(const struct x_v2_api *api, int64_t first_ms)
{
    unsigned steps = api->attempts > 1 ? api->attempts - 1 : 0;
    return first_ms << (steps < 16 ? steps : 16);
}

/* --- answers --- */

/* What the last answer means for who runs this. */
static const char *advice_of(const struct x_v2_api *api)
{
    struct source_verdict v = {.advice = x_v2_verdict_advice(NULL, api->last.response->status)};
    x_v2_verdict_judge(&api->last, api->token, &v);
    return v.advice;
}

static bool capped(const struct x_v2_answer *answer)
{
    return answer->problem_count && view_is(answer->problems[0].type, "usage-capped");
}

static void on_rate_limit(struct x_v2_api *api, const struct http_response *r, const char *quote)
{
    char why[300];
    if (capped(&api->answer)) {
        fail(api, ERR_RETRY, "%s: 429%s: %s", api->base, quote, advice_of(api));
        return;
    }
    int64_t ms = r->retry_after_ms > r->rate_reset_ms ? r->retry_after_ms : r->rate_reset_ms;
    ms = ms < BACKOFF_LONGEST_REQUEST_MS ? ms : BACKOFF_LONGEST_REQUEST_MS; /* and no sum overflows */
    if (ms <= 0) { /* not said, or past: by a clock that differs from ours, perhaps */
        int64_t step = climbed(api, api->patience.rate_ms);
        ms = ms < 0 || step > RATE_MARGIN_MS ? step : RATE_MARGIN_MS;
    } else {
        ms += RATE_MARGIN_MS;
    }
    snprintf(why, sizeof why, "429, too many requests, to be tried again in %lld s%s", (long long)(ms / 1000),
             quote);
    wait_or_fail(api, ms, why);
}

/* The token is wrong or revoked. */
static void on_unauthorized(struct x_v2_api *api, const struct http_response *r, const char *quote)
{
    if (api->account.api_key && !api->renewed) {
        api->renewed = true;
        drop_token(api);
        attempt(api);
        return;
    }
    char skew[120] = "";
    int64_t off = r->date_ms == CLOCK_NONE ? 0 : clock_wall_ms() - r->date_ms;
    if (off > SKEW_MS || off < -SKEW_MS) {
        snprintf(skew, sizeof skew, "; this machine's clock is %lld s %s the server's",
                 (long long)llabs(off / 1000), off > 0 ? "before" : "behind");
    }
    fail(api, ERR_FATAL, "%s: 401, the bearer token is not accepted%s%s", api->base, quote, skew);
}

static void on_token(struct x_v2_api *api, int status, const char *quote)
{
    if (status != 200 || view_absent(api->answer.access_token)) {
        if (status == 200) {
            fail(api, ERR_RETRY, "%s/oauth2/token: the answer has no bearer token in it", api->base);
        } else {
            fail(api, ERR_FATAL, "%s/oauth2/token: %d, api_key and api_secret give no token%s", api->base,
                 status, quote);
        }
        return;
    }
    api->token = view_copy(api->answer.access_token);
    if (!api->token) {
        fail(api, ERR_RETRY, "no memory for a token");
    } else if (api->token_only) {
        api->answer = (struct x_v2_answer){0};
        end(api, &(struct x_v2_outcome){.status = status, .answer = &api->answer});
    } else {
        api->attempts = 0;
        api->renewed = true; /* a token that is new and still refused will not get better */
        attempt(api);
    }
}

static void on_status(struct x_v2_api *api, const struct http_ask_result *result, const char *quote)
{
    int status = result->response->status;
    char why[400];
    if (status == 429) {
        on_rate_limit(api, result->response, quote);
    } else if (status >= 500 || status < 200 || (status >= 300 && status < 400)) {
        snprintf(why, sizeof why, "status %d%s", status, quote);
        wait_or_fail(api, climbed(api, api->patience.http_ms), why);
    } else if (api->fetching) {
        on_token(api, status, quote);
    } else if (status == 401) {
        on_unauthorized(api, result->response, quote);
    } else if (status == 402) {
        fail(api, ERR_RETRY, "%s%s: 402%s: %s", api->base, buffer_string(&api->path), quote, advice_of(api));
    } else if (status == 403) {
        fail(api, ERR_FATAL, "%s%s: 403%s: %s", api->base, buffer_string(&api->path), quote, advice_of(api));
    } else if (status == 404) {
        fail(api, ERR_FATAL, "%s%s: 404, nothing is there: is url the API's base?%s", api->base,
             buffer_string(&api->path), quote);
    } else {
        end(api, &(struct x_v2_outcome){.status = status, .answer = &api->answer});
    }
}

static void keep_answer(struct x_v2_api *api, const struct http_ask_result *result)
{
    bool answered = result->end == HTTP_ASK_ANSWERED;
    buffer_reset(&api->response_body);
    api->last =
        (struct http_result){.end = answered ? HTTP_END_STATUS : HTTP_END_NETWORK, .text = "no answer came"};
    if (answered) {
        size_t length = result->body.length < HTTP_BODY_KEPT ? result->body.length : HTTP_BODY_KEPT;
        buffer_append(&api->response_body, result->body.at, length);
        api->response = *result->response;
        api->last.response = &api->response;
        api->last.body = buffer_view(&api->response_body);
    }
}

static bool repeats(struct view text, const char *secret)
{
    return secret && secret[0] && text.length && memmem(text.at, text.length, secret, strlen(secret));
}

/* The server's own words for a message, with no secret in them. What answers a demand for a token and cannot
 * be read may hold one. */
static void quote_answer(const struct x_v2_api *api, struct view body, bool read, char *quote, size_t size)
{
    const struct x_v2_complaint *p = read && api->answer.problem_count ? &api->answer.problems[0] : NULL;
    const struct view texts[] = {body, p ? p->title : view_none(), p ? p->detail : view_none()};
    quote[0] = '\0';
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (repeats(texts[i], api->token) || repeats(texts[i], api->account.api_secret)) {
            return;
        }
    }
    if (read) {
        x_v2_answer_quote(&api->answer, quote, size);
    } else if (!api->fetching) {
        http_quote_body(body, quote, size);
    }
}

static void on_answer(void *user, const struct http_ask_result *result)
{
    struct x_v2_api *api = user;
    char why[500], quote[300] = "";
    struct err e;
    keep_answer(api, result);
    if (result->end != HTTP_ASK_ANSWERED) {
        snprintf(why, sizeof why, "%s", result->text);
        wait_or_fail(api, climbed(api, api->patience.network_ms), why);
        return;
    }
    int status = result->response->status;
    bool read = x_v2_answer_read(result->body, api->arena, &api->answer, &e) == 0;
    quote_answer(api, result->body, read, quote, sizeof quote);
    if (!read && (status < 300 || status == 400)) {
        snprintf(why, sizeof why, "status %d, but %.150s%s", status, e.text, quote);
        wait_or_fail(api, climbed(api, api->patience.http_ms), why);
        return;
    }
    on_status(api, result, quote);
}

/* --- an attempt --- */

/* "Authorization: Basic ..." of key and secret (RFC 6749, 2.3.1: each percent-encoded first). */
static int add_basic(struct buffer *b, const struct x_v2_account *account)
{
    struct buffer pair = BUFFER(HEADER_MOST);
    char *key = oauth_url_escape(account->api_key), *secret = oauth_url_escape(account->api_secret);
    buffer_print(&pair, "%s:%s", key ? key : "", secret ? secret : "");
    char *encoded = buffer_failed(&pair) || !key || !secret
                        ? NULL
                        : oauth_encode_base64((int)pair.length, (const unsigned char *)pair.data);
    buffer_print(b, "Authorization: Basic %s", encoded ? encoded : "");
    int result = encoded && !buffer_failed(b) ? 0 : -1;
    wipe_string(encoded);
    wipe_string(key);
    wipe_string(secret);
    wipe_buffer(&pair);
    return result;
}

static int start_request(struct x_v2_api *api, struct buffer *url, struct buffer *authorization,
                         struct err *e)
{
    static const struct view form = {"grant_type=client_credentials",
                                     sizeof "grant_type=client_credentials" - 1};
    bool fetch = api->fetching;
    int bad = 0;
    buffer_print(url, "%s%s", api->base, fetch ? "/oauth2/token" : buffer_string(&api->path));
    if (fetch) {
        bad = add_basic(authorization, &api->account);
    } else {
        buffer_print(authorization, "Authorization: Bearer %s", api->token);
    }
    const char *headers[] = {buffer_string(authorization),
                             fetch ? "Content-Type: application/x-www-form-urlencoded;charset=UTF-8"
                                   : "Content-Type: application/json",
                             "Accept: application/json", NULL};
    struct http_ask_request request = {.method = fetch || api->post ? "POST" : "GET",
                                       .url = buffer_string(url),
                                       .headers = headers,
                                       .body = fetch ? form : buffer_view(&api->body),
                                       .connect_ms = CONNECT_MS,
                                       .total_ms = api->patience.total_ms,
                                       .body_maximum = ANSWER_MOST,
                                       .accept_any_certificate = api->account.accept_any_certificate};
    if (bad || !headers[0] || !request.url) {
        return err_set(e, ERR_RETRY, "no memory for a request");
    }
    return http_ask_start(api->ask, &request, e);
}

static void attempt(struct x_v2_api *api)
{
    struct buffer url = BUFFER(HEADER_MOST), authorization = BUFFER(HEADER_MOST);
    struct err e;
    api->fetching = !api->token;
    api->attempts++;
    api->answer = (struct x_v2_answer){0};
    arena_wipe(api->arena); /* the last answer was a token, perhaps */
    arena_reset(api->arena);
    if (start_request(api, &url, &authorization, &e)) {
        fail(api, e.kind, "%s", e.text);
    }
    buffer_free(&url);
    wipe_buffer(&authorization);
}

static void begin(struct x_v2_api *api, int64_t delay_ms,
                  void (*done)(void *user, const struct x_v2_outcome *outcome), void *user)
{
    api->running = true;
    api->renewed = false;
    api->attempts = 0;
    api->last = (struct http_result){.end = HTTP_END_NETWORK, .text = "no answer came"};
    api->done = done;
    api->user = user;
    /* From the loop, so that no failure comes from inside the call. */
    uv_update_time(api->timer.loop);
    uv_timer_start(&api->timer, on_waited, (uint64_t)clock_timer_ms(delay_ms), 0);
}

int x_v2_api_call(struct x_v2_api *api, const struct x_v2_call *call,
                  void (*done)(void *user, const struct x_v2_outcome *outcome), void *user, struct err *e)
{
    buffer_reset(&api->path);
    buffer_reset(&api->body);
    buffer_add_text(&api->path, call->path);
    buffer_add_view(&api->body, call->body);
    if (buffer_failed(&api->path) || buffer_failed(&api->body) || !buffer_string(&api->path)) {
        return err_set(e, ERR_RETRY, "no memory for a request of %zu bytes", call->body.length);
    }
    api->post = !strcmp(call->method, "POST");
    api->token_only = false;
    begin(api, call->delay_ms, done, user);
    return 0;
}

int x_v2_api_fetch_token(struct x_v2_api *api, void (*done)(void *user, const struct x_v2_outcome *outcome),
                         void *user, struct err *e)
{
    if (!api->account.api_key || !api->account.api_secret) {
        return err_set(e, ERR_FATAL, "without api_key and api_secret no bearer token can be fetched");
    }
    drop_token(api);
    buffer_reset(&api->path);
    buffer_add_text(&api->path, "/oauth2/token");
    api->token_only = true;
    begin(api, 0, done, user);
    return 0;
}

const struct http_result *x_v2_api_answer(const struct x_v2_api *api)
{
    return &api->last;
}

const char *x_v2_api_token(const struct x_v2_api *api)
{
    return api->token;
}

/* --- life --- */

static char *copy_base(const char *url)
{
    struct view base = view_of(url);
    while (base.length && base.at[base.length - 1] == '/') {
        base.length--;
    }
    return view_copy(base);
}

static void give_back(struct x_v2_api *api)
{
    buffer_free(&api->path);
    buffer_free(&api->body);
    wipe_buffer(&api->response_body);
    if (api->arena) {
        arena_wipe(api->arena);
    }
    arena_free(api->arena);
    free(api->base);
    drop_token(api);
    free(api);
}

struct x_v2_api *x_v2_api_new(uv_loop_t *loop, const struct x_v2_account *account,
                              const struct x_v2_patience *patience,
                              void (*waits)(void *user, int64_t ms, const char *why), void *user,
                              struct err *e)
{
    struct x_v2_api *api = calloc(1, sizeof *api);
    if (!api) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    api->account = *account;
    api->patience = *patience;
    api->waits = waits;
    api->waits_user = user;
    api->path = BUFFER(HEADER_MOST);
    api->body = BUFFER(BODY_MOST);
    api->response_body = BUFFER(HTTP_BODY_KEPT);
    api->arena = arena_new(ANSWER_MEMORY);
    api->base = copy_base(account->url);
    api->token = account->bearer_token ? view_copy(view_of(account->bearer_token)) : NULL;
    bool whole = api->arena && api->base && (api->token || !account->bearer_token);
    if (!whole) {
        err_set(e, ERR_RETRY, "memory is out");
    }
    api->ask = whole ? http_ask_new(loop, on_answer, api, e) : NULL;
    if (!api->ask) {
        give_back(api);
        return NULL;
    }
    uv_timer_init(loop, &api->timer);
    api->timer.data = api;
    api->open = 2;
    return api;
}

void x_v2_api_cancel(struct x_v2_api *api)
{
    api->running = false;
    uv_timer_stop(&api->timer);
    http_ask_cancel(api->ask);
}

static void on_closed(void *user)
{
    struct x_v2_api *api = user;
    if (--api->open) {
        return;
    }
    void (*closed)(void *user) = api->closed;
    void *closed_user = api->closed_user;
    give_back(api);
    if (closed) {
        closed(closed_user);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

void x_v2_api_free(struct x_v2_api *api, void (*closed)(void *user), void *user)
{
    if (!api) {
        return;
    }
    api->closed = closed;
    api->closed_user = user;
    x_v2_api_cancel(api);
    http_ask_free(api->ask, on_closed, api);
    uv_close((uv_handle_t *)&api->timer, on_timer_closed);
}
