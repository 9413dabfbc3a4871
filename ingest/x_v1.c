#include "ingest/x_v1.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "ingest/filter.h"
#include "ingest/message.h"
#include "ingest/oauth.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TRACK = 64 * 1024 /* bytes; 400 phrases of 60 bytes are 24,400 */, MOST_LANGUAGES = 4096 };

struct x_v1 {
    const struct source_x_v1_settings *settings;
    struct filter *filter;
    struct message_reader *reader;
    struct message message; /* as read last */
    char *track;            /* the parameter's value; NULL: not sent */
    char *languages;
    char host[256]; /* of the url, in lower case */
    source_in_force *tell;
    void *tell_user;
};

/* Sections 1.7 and 4 of the API document; connecting may take 10 s (Twitter's own client gave up after 4 s,
 * which is short for a slow resolver). Five attempts in five minutes are tolerated (section 1.3). */
static const struct source_timing timing = {
    .connect = 10 * 1000,
    .stall = 90 * 1000,
    .clock_skew = 300 * 1000,
    .count_interval = 60 * 1000,
    .change_settle = 1000,
    .change_apart = 60 * 1000,
    .change_under_way = 1000,
    .final_attempts = 3,
    .backoff = &backoff_documented,
};

static void x_v1_close(void *state)
{
    struct x_v1 *x = state;
    filter_free(x->filter);
    message_reader_free(x->reader);
    free(x->track);
    free(x->languages);
    free(x);
}

static int copy_host(struct x_v1 *x, struct err *e)
{
    CURLU *url = curl_url();
    char *host = NULL;
    int status = -1;
    if (url && curl_url_set(url, CURLUPART_URL, x->settings->common.url, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        snprintf(x->host, sizeof x->host, "%s", host);
        for (char *c = x->host; *c; c++) {
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        }
        status = 0;
    } else {
        err_set(e, ERR_FATAL, "url is no address");
    }
    curl_free(host);
    curl_url_cleanup(url);
    return status;
}

/* What a buffer holds as a string of its own; NULL when it holds nothing. -1: memory is out or too much. */
static int keep_text(struct buffer *b, char **text, struct err *e)
{
    const char *string = buffer_string(b);
    bool wanted = b->length > 0;
    *text = string && wanted ? view_copy(view_of(string)) : NULL;
    buffer_free(b);
    return string && (*text || !wanted) ? 0
                                        : err_set(e, ERR_FATAL, "its keywords and languages are too long");
}

static int write_parameters(struct x_v1 *x, struct err *e)
{
    struct buffer track = BUFFER(MOST_TRACK), languages = BUFFER(MOST_LANGUAGES);
    filter_track(x->filter, &track);
    filter_languages(x->filter, &languages);
    int bad = keep_text(&track, &x->track, e);
    return keep_text(&languages, &x->languages, e) || bad ? -1 : 0;
}

static void *x_v1_open(const struct source_settings *settings, struct err *e)
{
    struct x_v1 *x = calloc(1, sizeof *x);
    if (!x) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    x->settings = (const struct source_x_v1_settings *)settings;
    x->reader = message_reader_new(&message_form_x_v1, settings->name, settings->store_raw, e);
    x->filter = x->reader ? filter_new(&settings->filter, e) : NULL;
    if (!x->filter || copy_host(x, e) || write_parameters(x, e)) {
        x_v1_close(x);
        return NULL;
    }
    return x;
}

/* --- what is asked for --- */

static void x_v1_watch(void *state, source_in_force *tell, void *user)
{
    struct x_v1 *x = state;
    x->tell = tell;
    x->tell_user = user;
}

/* The whole list is one rule, the parameter `track`. */
static void x_v1_streams(void *state)
{
    struct x_v1 *x = state;
    const struct filter_settings *filter = &x->settings->common.filter;
    uint32_t lines[SOURCE_X_V1_KEYWORDS_MAXIMUM];
    struct version_rule rule = {.value = x->track ? view_of(x->track) : VIEW(""), .lines = lines};
    struct version version = {
        .network = "x", .filter = filter, .rules = &rule, .rule_count = 1, .since = clock_wall_ms()};
    for (; rule.line_count < filter->keyword_count && rule.line_count < SOURCE_X_V1_KEYWORDS_MAXIMUM;
         rule.line_count++) {
        lines[rule.line_count] = (uint32_t)rule.line_count;
    }
    version_name(filter, version.name);
    if (x->tell) {
        x->tell(x->tell_user, &version);
    }
}

static int x_v1_prepare(void *state, struct source_attempt *attempt, struct err *e)
{
    const struct x_v1 *x = state;
    const struct source_x_v1_settings *settings = x->settings;
    const struct oauth_credentials keys = {settings->api_key, settings->api_secret, settings->access_token,
                                           settings->access_secret};
    struct oauth_param params[4];
    size_t count = 0;
    if (x->track) {
        params[count++] = (struct oauth_param){"track", x->track};
    }
    if (x->languages) {
        params[count++] = (struct oauth_param){"language", x->languages};
    }
    if (settings->stall_warnings) {
        params[count++] = (struct oauth_param){"stall_warnings", "true"};
    }
    if (settings->delimited) {
        params[count++] = (struct oauth_param){"delimited", "length"};
    }
    struct oauth_request request;
    if (oauth_sign_request(&keys, "POST", settings->common.url, params, count, NULL, &request, e)) {
        return -1;
    }
    attempt->method = "POST";
    attempt->url = request.url;
    attempt->authorization = request.authorization;
    attempt->form = request.body;
    return 0;
}

/* The codes after which another client of the account would be fought, or the same answer met again. */
static bool code_evicts(int64_t code)
{
    return code == 2 || code == 6 || code == 7;
}

static void remark_event(const struct message *m, struct source_remark *remark)
{
    static const char *const names[] = {"none",     "shutdown",      "duplicate stream", "control request",
                                        "stall",    "normal",        "token revoked",    "admin logout",
                                        "reserved", "message limit", "stream exception", "broker stall",
                                        "shed load"};
    const int64_t known = (int64_t)(sizeof names / sizeof *names);
    int64_t code = m->disconnect_code;
    int code_length, n;
    switch (m->post.kind) {
    case POST_DISCONNECT:
        remark->evicted = code_evicts(code);
        snprintf(remark->text, sizeof remark->text,
                 "the server says that it will close the stream: code %lld, %s%s", (long long)code,
                 code > 0 && code < known ? names[code] : "unknown",
                 remark->evicted ? ": the account's keys are used elsewhere, or were revoked" : "");
        break;
    case POST_LIMIT:
        remark->undelivered = m->limit_track > 0 ? (uint64_t)m->limit_track : 0;
        break;
    case POST_WARNING:
        code_length = m->warning_code.length > 40 ? 40 : (int)m->warning_code.length;
        n = snprintf(remark->text, sizeof remark->text, "the server warns: %.*s", code_length,
                     m->warning_code.at ? m->warning_code.at : "");
        if (m->warning_percent != POST_NO_NUMBER && n > 0) {
            snprintf(remark->text + n, sizeof remark->text - (size_t)n,
                     " (its queue for us is full to %lld %%)", (long long)m->warning_percent);
        }
        break;
    default:
        break;
    }
}

static int x_v1_read(void *state, struct view message, int64_t received_at, const struct post **post,
                     struct source_remark *remark, struct err *e)
{
    struct x_v1 *x = state;
    struct message *m = &x->message;
    message_read(x->reader, message, received_at, m);
    switch (m->kind) {
    case MESSAGE_UNREADABLE:
        return err_set(e, ERR_REJECT, "a message %.*s", ERR_TEXT_SIZE - 20, m->why.text);
    case MESSAGE_EVENT:
        remark_event(m, remark);
        *post = &m->post;
        return 0;
    case MESSAGE_POST:
        *post = filter_match(x->filter, message_reader_arena(x->reader), &m->post) ? &m->post : NULL;
        return 0;
    case MESSAGE_KEEP_ALIVE:
        break;
    }
    return err_set(e, ERR_REJECT, "a message of white space alone");
}

static bool x_v1_is_final(int status)
{
    static const int final[] = {401, 403, 404, 406, 410, 413, 416};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        if (final[i] == status) {
            return true;
        }
    }
    return false;
}

/* x.com, twitter.com and what is below them. */
static bool host_is_xs_own(const char *host)
{
    static const char *const own[] = {"x.com", "twitter.com"};
    size_t length = strlen(host);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(own[i]);
        if (length >= n && strcmp(host + length - n, own[i]) == 0 &&
            (length == n || host[length - n - 1] == '.')) {
            return true;
        }
    }
    return false;
}

static const char *x_v1_advice(void *state, int status)
{
    const struct x_v1 *x = state;
    if (host_is_xs_own(x->host) && (status == 403 || status == 404 || status == 410)) {
        return "X closed its v1.1 streams on 14 March 2023: use its v2 API (type = x-v2), another network, "
               "or the url of "
               "a compatible server";
    }
    switch (status) {
    case 401:
        return "the keys are wrong or were revoked, or this machine's clock is: check api_key, api_secret, "
               "access_token, access_secret and the time";
    case 403:
        return "this account may not use this stream: ask who runs the server";
    case 404:
        return "there is no stream at this address: check url";
    case 406:
        return "a parameter is not accepted: keywords must have 1 to 60 bytes each, and one is needed";
    case 410:
        return "this stream was closed for good: another url is needed";
    case 413:
        return "there are more keywords than the server allows (X allowed 400)";
    case 416:
        return "the url asks for a backfill that this account does not have";
    case 420:
    case 429:
        return "too many attempts or connections with these keys";
    default:
        break;
    }
    if (status >= 500) {
        return "the server is overloaded or ill";
    }
    return status < 400 ? "redirects are not followed: if the stream moved, set url to its new address"
                        : "the server does not take the request";
}

static void x_v1_identify(void *state, struct buffer *into)
{
    const struct x_v1 *x = state;
    const struct source_x_v1_settings *s = x->settings;
    const char *const parts[] = {"x-v1",        x->host,         s->api_key,
                                 s->api_secret, s->access_token, s->access_secret};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buffer_add_text(into, parts[i] ? parts[i] : "");
        buffer_add_byte(into, '\n');
    }
}

const struct source_protocol x_v1_protocol = {
    .type = "x-v1",
    .network = "x",
    .timing = &timing,
    .open = x_v1_open,
    .close = x_v1_close,
    .beside = true,
    .watch = x_v1_watch,
    .streams = x_v1_streams,
    .prepare = x_v1_prepare,
    .read = x_v1_read,
    .is_final = x_v1_is_final,
    .advice = x_v1_advice,
    .skew_harm = ", which makes signatures invalid",
    .identify = x_v1_identify,
};
