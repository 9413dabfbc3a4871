#include "simulator/api2.h"

#include "base/clock.h"
#include "base/json.h"
#include "simulator/answers.h"
#include "simulator/rule_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#define STREAM_PATH  "/2/tweets/search/stream"
#define PROBLEM_TYPE "https://api.twitter.com/2/problems/"

enum { WINDOW_MS = 15 * 60000, ANSWER_MAX = 64 << 20, USAGE_CAP = 3000000 };

/* Requests per 15 minutes ("Rate limits", 2026); those of the stream are an option. The counts' is not
 * documented. */
static const uint32_t LIMITS[API2_LIMITS] = {0, 450, 100, 450, 25, 25, 50};

static const char UNAUTHORIZED[] =
    "{\"title\":\"Unauthorized\",\"type\":\"about:blank\",\"status\":401,\"detail\":\"Unauthorized\"}";

/* ---- apps ---- */

static int make_token(struct app *app, const char *base)
{
    static const char end[] = "%3D";
    size_t length = strlen(base), cut = sizeof end - 1;
    if (length < 1 || length >= sizeof app->base || strpbrk(base, " \t\r\n,;\"")) {
        return -1;
    }
    length -= length > cut && strcmp(base + length - cut, end) == 0 ? cut : 0;
    snprintf(app->base, sizeof app->base, "%.*s", (int)length, base);
    snprintf(app->token, sizeof app->token, "%s", base);
    app->token_valid = true;
    app->tokens = 1;
    return 0;
}

static int open_app(struct simulator *s, size_t index, struct err *e)
{
    const struct simulator_options *o = &s->options;
    const struct rule_store_limits limits = {.number = o->rules_maximum,
                                             .length = o->rule_length,
                                             .enterprise = o->enterprise,
                                             .delay_ms = o->rule_delay_ms};
    struct app *app = &s->apps[index];
    char name[120], token[160];
    app->keys = &o->accounts[index];
    snprintf(name, sizeof name, "%.80s#%zu/2", app->keys->api_key, index + 1);
    app->account = account_named(s, name);
    app->rules = rule_store_new(&limits, playlist_count(s->list));
    /* Of a second app and more, something that differs: a bearer token tells who asks. */
    snprintf(token, sizeof token, "roostBearer%016llx%%3D",
             (unsigned long long)(rule_text_hash(view_of(app->keys->api_key)) ^
                                  rule_text_hash(view_of(app->keys->api_secret)) << 1));
    const char *first = o->bearer_token ? o->bearer_token : SIMULATOR_BEARER_TOKEN;
    if (!app->account || !app->rules) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    if (make_token(app, index ? token : first) < 0) {
        return err_set(e, ERR_FATAL, "a bearer token has 1 to %zu characters, no spaces, commas or quotes",
                       sizeof app->base - 1);
    }
    return 0;
}

int api2_open(struct simulator *s, struct err *e)
{
    s->apps = calloc(s->options.account_count, sizeof *s->apps);
    s->projected = BUFFER((size_t)PLAYLIST_MESSAGE_MAX * 2);
    if (!s->apps) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    for (; s->app_count < s->options.account_count; s->app_count++) {
        if (open_app(s, s->app_count, e) < 0) {
            s->app_count++; /* what was made of it is freed, too */
            return -1;
        }
    }
    return 0;
}

void api2_close(struct simulator *s)
{
    for (size_t i = 0; i < s->app_count; i++) {
        rule_store_free(s->apps[i].rules);
    }
    free(s->apps);
    buffer_free(&s->projected);
}

/* ---- limits ---- */

static uint32_t limit_of(const struct simulator *s, enum api2_limit limit)
{
    return limit == API2_STREAM ? (s->options.max_connects ? s->options.max_connects : 50) : LIMITS[limit];
}

static int64_t window_of(const struct simulator *s, enum api2_limit limit)
{
    return limit == API2_STREAM && s->options.max_connects ? (int64_t)s->options.connect_minutes * 60000
                                                           : WINDOW_MS;
}

bool api2_take(struct simulator *s, struct app *app, enum api2_limit limit)
{
    struct api2_window *w = &app->windows[limit];
    if (!w->start_ms || s->now_ms - w->start_ms >= window_of(s, limit)) {
        *w = (struct api2_window){.start_ms = s->now_ms ? s->now_ms : 1};
    }
    if (w->used >= limit_of(s, limit)) {
        return false;
    }
    w->used++;
    return true;
}

void api2_add_limit_headers(struct simulator *s, const struct app *app, enum api2_limit limit,
                            struct buffer *into)
{
    if (limit == API2_LIMITS || !app) {
        return;
    }
    const struct api2_window *w = &app->windows[limit];
    uint32_t most = limit_of(s, limit);
    int64_t left = (w->start_ms ? w->start_ms : s->now_ms) + window_of(s, limit) - s->now_ms;
    int64_t reset = (clock_wall_ms() + left + 999) / 1000;
    buffer_print(into, "x-rate-limit-limit: %u\r\nx-rate-limit-remaining: %u\r\nx-rate-limit-reset: %lld\r\n",
                 most, most - w->used, (long long)reset);
}

/* ---- answers ---- */

void api2_answer(struct connection *c, struct app *app, enum api2_limit limit, int status, struct view body,
                 const char *note)
{
    struct buffer headers = BUFFER(4096), bytes = BUFFER(ANSWER_MAX);
    api2_add_limit_headers(c->sim, app, limit, &headers);
    answers_add_json(&bytes, status, body, buffer_view(&headers));
    connection_answer(c, status, buffer_view(&bytes), note);
    buffer_free(&headers);
    buffer_free(&bytes);
}

void api2_answer_text(struct connection *c, struct app *app, enum api2_limit limit, int status,
                      const char *body, const char *note)
{
    api2_answer(c, app, limit, status, view_of(body), note);
}

void api2_answer_invalid(struct connection *c, struct app *app, enum api2_limit limit, struct view errors)
{
    struct buffer body = BUFFER(ANSWER_MAX);
    buffer_add_text(&body, "{\"errors\":[");
    buffer_add_view(&body, errors);
    buffer_add_text(&body,
                    "],\"title\":\"Invalid Request\",\"detail\":\"One or more parameters to your request was "
                    "invalid.\",\"type\":\"" PROBLEM_TYPE "invalid-request\"}");
    api2_answer(c, app, limit, 400, buffer_view(&body), "invalid request");
    buffer_free(&body);
}

/* ---- who asks ---- */

static bool same_token(struct view a, const char *token)
{
    /* Tokens of different lengths need no constant time: the length is no secret. */
    size_t length = strlen(token);
    unsigned char differs = a.length != length;
    for (size_t i = 0; i < length && i < a.length; i++) {
        differs |= (unsigned char)(a.at[i] ^ token[i]);
    }
    return !differs;
}

static struct app *app_of(struct simulator *s, struct view authorization)
{
    if (s->options.no_auth) {
        return &s->apps[0];
    }
    if (authorization.length < 7 || strncasecmp(authorization.at, "Bearer ", 7) != 0) {
        return NULL;
    }
    struct view token = view_trim(view_from(authorization, 7));
    for (size_t i = 0; i < s->app_count; i++) {
        if (s->apps[i].token_valid && same_token(token, s->apps[i].token)) {
            return &s->apps[i];
        }
    }
    return NULL;
}

struct app *api2_authenticate(struct connection *c, enum api2_limit limit)
{
    struct view authorization = http_request_header(&c->request, "Authorization");
    struct app *app = app_of(c->sim, authorization);
    if (!app && authorization.length > 6 && strncasecmp(authorization.at, "OAuth ", 6) == 0) {
        api2_answer_text(
            c, NULL, API2_LIMITS, 403,
            "{\"title\":\"Unsupported Authentication\",\"detail\":\"Authenticating with OAuth 1.0a User "
            "Context is forbidden for this endpoint.  Supported authentication types are [OAuth 2.0 "
            "Application-Only].\",\"type\":\"" PROBLEM_TYPE "unsupported-authentication\",\"status\":403}",
            "signed with OAuth 1.0a");
        return NULL;
    }
    if (!app) {
        api2_answer_text(c, NULL, API2_LIMITS, 401, UNAUTHORIZED, "no valid bearer token");
        return NULL;
    }
    if (!api2_take(c->sim, app, limit)) {
        api2_answer_text(c, app, limit, 429,
                         "{\"title\":\"Too Many Requests\",\"detail\":\"Too Many "
                         "Requests\",\"type\":\"about:blank\",\"status\":429}",
                         "above the rate limit");
        return NULL;
    }
    return app;
}

/* ---- connections and usage ---- */

size_t api2_streams(struct simulator *s, const struct app *app)
{
    size_t count = 0;
    for (struct connection *c = s->connections; c; c = c->next) {
        if (c->state != CONNECTION_STREAMING || c->stream->app != app) {
            continue;
        }
        char byte;
        ssize_t n = recv(c->transport.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            connection_close(c); /* its client is gone, which epoll has not told yet */
        } else {
            count++;
        }
    }
    return count;
}

static void list_connections(struct connection *c, struct app *app)
{
    struct buffer body = BUFFER(ANSWER_MAX);
    size_t count = 0;
    buffer_add_text(&body, "{\"data\":[");
    for (const struct connection *o = c->sim->connections; o; o = o->next) {
        if (o->state != CONNECTION_STREAMING || o->stream->app != app) {
            continue;
        }
        char time[CLOCK_TEXT_SIZE];
        buffer_print(
            &body, "%s{\"id\":\"%llu\",\"endpoint_name\":\"filtered_stream\",\"connected_at\":\"%s\"}",
            count++ ? "," : "", (unsigned long long)o->number, clock_format(o->stream->began_wall_ms, time));
    }
    buffer_print(&body, "],\"meta\":{\"result_count\":%zu}}", count);
    api2_answer(c, app, API2_CONNECTIONS_GET, 200, buffer_view(&body), "");
    buffer_free(&body);
}

/* Of the list of ids in the body, or all when there is none. */
static bool is_named(const cJSON *uuids, uint64_t number)
{
    char text[24];
    const cJSON *item;
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    cJSON_ArrayForEach(item, uuids)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0) {
            return true;
        }
    }
    return !uuids;
}

static void kill_connections(struct connection *c, struct app *app, const cJSON *uuids)
{
    bool any = false;
    for (struct connection *o = c->sim->connections; o; o = o->next) {
        if (o->state == CONNECTION_STREAMING && o->stream->app == app && is_named(uuids, o->number)) {
            char json[400];
            api2_disconnect_line("ForceDisconnect", json, sizeof json);
            stream_end_with(o, json, "killed by the app's request");
            any = true;
        }
    }
    api2_answer_text(
        c, app, API2_CONNECTIONS_DELETE, 200,
        any ? "{\"data\":{\"killed_connections\":true}}" : "{\"data\":{\"killed_connections\":false}}", "");
}

static void handle_connections(struct connection *c, struct view rest)
{
    bool get = view_is(c->request.method, "GET"),
         all = view_is(rest, "/all") || view_is(rest, "/filtered_stream");
    enum api2_limit limit = get ? API2_CONNECTIONS_GET : API2_CONNECTIONS_DELETE;
    struct app *app = api2_authenticate(c, limit);
    if (!app) {
        return;
    }
    cJSON *body = cJSON_ParseWithLength(c->request.body.at, c->request.body.length);
    const cJSON *uuids = json_member(body, "uuids");
    if (get && !rest.length) {
        list_connections(c, app);
    } else if (!get && (all || (!rest.length && cJSON_IsArray(uuids)))) {
        kill_connections(c, app, all ? NULL : uuids);
    } else {
        struct buffer errors = BUFFER(4096);
        fields_add_error(&errors, "uuids", "",
                         "The endpoint is not known, or the list of `uuids` is missing");
        api2_answer_invalid(c, app, limit, buffer_view(&errors));
        buffer_free(&errors);
    }
    cJSON_Delete(body);
}

static void handle_usage(struct connection *c)
{
    struct app *app = api2_authenticate(c, API2_USAGE);
    if (app) {
        char body[200];
        uint64_t cap = c->sim->options.usage_cap;
        api2_spent(c->sim, app); /* another month may have begun */
        snprintf(body, sizeof body,
                 "{\"data\":{\"cap_reset_day\":1,\"project_cap\":\"%llu\",\"project_id\":\"1\","
                 "\"project_usage\":\"%llu\"}}",
                 (unsigned long long)(cap ? cap : USAGE_CAP), (unsigned long long)app->posts);
        api2_answer_text(c, app, API2_USAGE, 200, body, "");
    }
}

/* ---- the paths ---- */

static void wrong_method(struct connection *c)
{
    api2_answer_text(
        c, NULL, API2_LIMITS, 405,
        "{\"title\":\"Method Not Allowed\",\"type\":\"about:blank\",\"status\":405,\"detail\":\"Method Not "
        "Allowed\"}",
        "");
}

bool api2_handle(struct connection *c)
{
    static const char connections[] = "/2/connections";
    struct view path = c->request.path, method = c->request.method;
    bool get = view_is(method, "GET"), post = view_is(method, "POST"), delete = view_is(method, "DELETE");
    bool rules = view_is(path, STREAM_PATH "/rules"), counts = view_is(path, STREAM_PATH "/rules/counts");
    bool stream = view_is(path, STREAM_PATH), usage = view_is(path, "/2/usage/tweets");
    bool token = view_is(path, "/oauth2/token"), invalidate = view_is(path, "/oauth2/invalidate_token");
    if (token || invalidate) {
        post ? api2_token(c, invalidate) : wrong_method(c);
    } else if (stream) {
        get ? api2_stream(c) : wrong_method(c);
    } else if (rules && (get || post)) {
        struct app *app = api2_authenticate(c, get ? API2_RULES_GET : API2_RULES_POST);
        if (app && api2_may_use(c, app, get ? API2_RULES_GET : API2_RULES_POST)) {
            api2_rules(c, app);
        }
    } else if (counts && get) {
        struct app *app = api2_authenticate(c, API2_RULES_COUNTS);
        if (app && api2_may_use(c, app, API2_RULES_COUNTS)) {
            api2_rules_counts(c, app);
        }
    } else if (view_starts(path, view_of(connections)) && (get || delete)) {
        handle_connections(c, view_from(path, sizeof connections - 1));
    } else if (usage && get) {
        handle_usage(c);
    } else if (rules || counts || usage) {
        wrong_method(c);
    } else if (view_starts(path, VIEW("/2/")) || view_starts(path, VIEW("/oauth2/"))) {
        api2_answer_text(c, NULL, API2_LIMITS, 404,
                         "{\"errors\":[{\"message\":\"Sorry, that page does not exist\",\"code\":34}]}", "");
    } else {
        return false;
    }
    return true;
}
