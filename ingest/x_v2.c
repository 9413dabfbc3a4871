#include "ingest/x_v2.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "ingest/filter.h"
#include "ingest/http_stream.h"
#include "ingest/message.h"
#include "ingest/x_v2_post.h"
#include "ingest/x_v2_problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_URL = 8192, MOST_TOKEN = 8192, KNOWN_LINES_MOST = 4096 };

struct x_v2 {
    const struct source_x_v2_settings *settings;
    struct filter *filter;
    struct message_reader *reader;
    struct message message; /* as read last */
    const struct x_v2_errands *errands;
    void *runner;      /* of the errands */
    char *token;       /* NULL: to be fetched */
    bool token_fresh;  /* fetched, and no post has come with it */
    bool rules_wanted; /* the server says that there are none that work */
    source_prepared *prepared;
    void *prepared_user;
};

/* Sections 4, 5.7 and 4.3 of the API document: keep-alives come each 20 s, and one more second is allowed. */
static const struct source_timing timing = {
    .connect = 10 * 1000,
    .stall = 21 * 1000,
    .clock_skew = 300 * 1000,
    .count_interval = 60 * 1000,
    .final_attempts = 3,
    .backoff = &backoff_documented,
};

/* --- opening and closing --- */

static void drop_token(struct x_v2 *x)
{
    if (x->token) {
        explicit_bzero(x->token, strlen(x->token));
    }
    free(x->token);
    x->token = NULL;
}

static void x_v2_close(void *state)
{
    struct x_v2 *x = state;
    if (x->runner) {
        x->errands->close(x->runner);
    }
    drop_token(x);
    filter_free(x->filter);
    message_reader_free(x->reader);
    free(x);
}

static void x_v2_quit(void *state, void (*closed)(void *user), void *user)
{
    struct x_v2 *x = state;
    if (x->runner) {
        x->errands->quit(x->runner, closed, user);
    } else {
        closed(user);
    }
}

static int open_token(struct x_v2 *x, struct err *e)
{
    const char *given = x->settings->common.bearer_token;
    if (given) {
        x->token = strdup(given);
        return x->token ? 0 : err_set(e, ERR_RETRY, "memory is out");
    }
    return x->errands ? 0
                      : err_set(e, ERR_FATAL,
                                "this version cannot fetch a bearer token with api_key and api_secret: give "
                                "bearer_token or bearer_token_file");
}

void *x_v2_open_with(const struct x_v2_errands *errands, const struct source_settings *settings,
                     struct err *e)
{
    struct x_v2 *x = calloc(1, sizeof *x);
    if (!x) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    x->settings = (const struct source_x_v2_settings *)settings;
    x->errands = errands;
    x->reader = message_reader_new(&message_form_x_v2, settings->name, settings->store_raw, e);
    x->filter = x->reader ? filter_new_for(FILTER_SERVER_RULES, &settings->filter, e) : NULL;
    if (!x->filter || open_token(x, e)) {
        x_v2_close(x);
        return NULL;
    }
    x->runner = errands ? errands->open(x->settings, e) : NULL;
    if (errands && !x->runner) {
        x_v2_close(x);
        return NULL;
    }
    return x;
}

static void *x_v2_open(const struct source_settings *settings, struct err *e)
{
    return x_v2_open_with(NULL, settings, e);
}

/* --- before the stream is asked for --- */

static void on_errand_done(void *user, const struct x_v2_errand_result *result)
{
    struct x_v2 *x = user;
    if (result->token) {
        drop_token(x);
        x->token = strdup(result->token); /* memory out: it is fetched again at the next attempt */
        x->token_fresh = true;
    }
    if (!result->failed) {
        x->rules_wanted = false;
    }
    x->prepared(x->prepared_user, result->failed);
}

static int x_v2_start_preparing(void *state, uv_loop_t *loop, source_prepared *done, void *user,
                                struct err *e)
{
    struct x_v2 *x = state;
    if (!x->runner) {
        return 0;
    }
    bool due = x->errands->due && x->errands->due(x->runner);
    struct x_v2_errand errand = {.token = x->token, .rules = x->rules_wanted || due};
    if (errand.token && !errand.rules) {
        return 0;
    }
    x->prepared = done;
    x->prepared_user = user;
    return x->errands->start(x->runner, loop, &errand, on_errand_done, x, e) ? -1 : 1;
}

static int x_v2_prepare(void *state, struct source_attempt *attempt, struct err *e)
{
    const struct x_v2 *x = state;
    struct buffer url = BUFFER(MOST_URL), header = BUFFER(MOST_TOKEN);
    if (!x->token) {
        return err_set(e, ERR_RETRY, "there is no memory for the bearer token");
    }
    buffer_print(&url,
                 "%s/2/tweets/search/stream?tweet.fields=" X_V2_POST_TWEET_FIELDS
                 "&expansions=" X_V2_POST_EXPANSIONS "&user.fields=" X_V2_POST_USER_FIELDS
                 "&place.fields=" X_V2_POST_PLACE_FIELDS "&media.fields=" X_V2_POST_MEDIA_FIELDS,
                 x->settings->common.url);
    if (attempt->again && x->settings->backfill_minutes) {
        buffer_print(&url, "&backfill_minutes=%lld", (long long)x->settings->backfill_minutes);
    }
    buffer_print(&header, "Authorization: Bearer %s", x->token);
    attempt->method = "GET";
    attempt->url = view_copy(buffer_view(&url));
    attempt->authorization = view_copy(buffer_view(&header));
    bool failed = buffer_failed(&url) || buffer_failed(&header) || !attempt->url || !attempt->authorization;
    if (header.data) {
        explicit_bzero(header.data, header.capacity);
    }
    buffer_free(&header);
    buffer_free(&url);
    if (failed) {
        free(attempt->url);
        free(attempt->authorization);
        attempt->url = attempt->authorization = NULL;
        return err_set(e, ERR_RETRY, "no memory for the request, or its address is too long");
    }
    return 0;
}

/* --- messages --- */

static void remark_disconnect(struct x_v2 *x, struct source_remark *remark)
{
    struct x_v2_problem problem;
    if (!x_v2_problem_find(message_reader_tree(x->reader), &problem)) {
        return;
    }
    if (problem.kind == X_V2_PROBLEM_OTHER) {
        problem.kind = X_V2_PROBLEM_DISCONNECT; /* one more reason, that the documents do not name yet */
    }
    x_v2_problem_react(&problem, clock_wall_ms(), &remark->ends);
    remark->evicted = problem.kind == X_V2_PROBLEM_FORCED;
    x->rules_wanted |= problem.kind == X_V2_PROBLEM_RULES;
    char words[120];
    const char *advice = remark->evicted
                             ? "another connection of this account was opened, or somebody closed ours"
                             : x_v2_problem_advice(&problem);
    x_v2_problem_words(&problem, x->token, words, sizeof words);
    snprintf(remark->text, sizeof remark->text, "the server ends the stream: %s%s%s", words,
             advice ? ": " : "", advice ? advice : "");
}

/* The lines that only the network can match, by the rules that the post came through. */
static size_t lines_of_rules(struct x_v2 *x, const struct post *p, size_t *known)
{
    size_t count = 0;
    for (size_t i = 0; x->runner && x->errands->lines && i < p->rules.count; i++) {
        const size_t *lines = NULL;
        size_t found = x->errands->lines(x->runner, p->rules.items[i], &lines);
        for (size_t k = 0; k < found && count < KNOWN_LINES_MOST; k++) {
            known[count++] = lines[k];
        }
    }
    return count;
}

static bool is_wanted(struct x_v2 *x, struct post *p)
{
    size_t known[KNOWN_LINES_MOST];
    size_t count = lines_of_rules(x, p, known);
    return filter_match_known(x->filter, message_reader_arena(x->reader), p, known, count);
}

static int x_v2_read(void *state, struct view message, int64_t received_at, const struct post **post,
                     struct source_remark *remark, struct err *e)
{
    struct x_v2 *x = state;
    struct message *m = &x->message;
    message_read(x->reader, message, received_at, m);
    switch (m->kind) {
    case MESSAGE_UNREADABLE:
        return err_set(e, ERR_REJECT, "a message %.*s", ERR_TEXT_SIZE - 20, m->why.text);
    case MESSAGE_EVENT:
        if (m->post.kind == POST_DISCONNECT) {
            remark_disconnect(x, remark);
        }
        *post = &m->post;
        return 0;
    case MESSAGE_POST:
        x->token_fresh = false;
        *post = is_wanted(x, &m->post) ? &m->post : NULL;
        return 0;
    case MESSAGE_KEEP_ALIVE:
        break;
    }
    return err_set(e, ERR_REJECT, "a message of white space alone");
}

/* --- answers --- */

static bool x_v2_is_final(int status)
{
    static const int final[] = {400, 401, 403, 404, 406, 410, 413, 416};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        if (final[i] == status) {
            return true;
        }
    }
    return false;
}

static const char *x_v2_advice(void *state, int status)
{
    (void)state;
    switch (status) {
    case 400:
    case 406:
    case 413:
    case 416:
        return "the server does not take the request: is url the base of a v2 API?";
    case 401:
        return "the credentials are wrong or were revoked: check bearer_token, or api_key and api_secret";
    case 402:
        return "the account has no credits left: it is asked again by itself";
    case 403:
        return "this app may not use the filtered stream: see its access in the developer console";
    case 404:
        return "there is no v2 stream at this address: check url, the API's base";
    case 409:
        return "the account has no rules that work: the stream needs at least one";
    case 410:
        return "this stream was closed for good: another url is needed";
    case 420:
    case 429:
        return "too many attempts or connections with these keys";
    default:
        break;
    }
    if (status >= 500) {
        return "the server is overloaded or ill";
    }
    return status < 400 ? "redirects are not followed: if the API moved, set url to its new base"
                        : "the server does not take the request";
}

/* The problem in an answer's body. *tree is the caller's to delete. */
static bool find_problem(struct view body, cJSON **tree, struct x_v2_problem *problem)
{
    body = view_trim(body);
    char last = body.length ? body.at[body.length - 1] : 0;
    *tree = last == '}' ? cJSON_ParseWithLength(body.at, body.length) : NULL;
    return *tree && x_v2_problem_find(*tree, problem);
}

/* A 429 for the number of connections says nothing of the number of attempts, so the reset of the window,
 * which stands in every answer, counts only when the attempts are used up too. */
static int64_t asked_wait(const struct http_response *r, enum x_v2_problem_kind kind)
{
    bool reset = kind == X_V2_PROBLEM_RATE || r->rate_remaining == 0;
    return reset && r->rate_reset_ms > r->retry_after_ms ? r->rate_reset_ms : r->retry_after_ms;
}

static void react_to_problem(struct x_v2 *x, const struct http_response *r,
                             const struct x_v2_problem *problem, struct source_verdict *v)
{
    struct source_reaction reaction;
    x_v2_problem_react(problem, r->date_ms == CLOCK_NONE ? clock_wall_ms() : r->date_ms, &reaction);
    const char *advice = x_v2_problem_advice(problem);
    switch (problem->kind) {
    case X_V2_PROBLEM_SPENT:
        v->reaction = reaction;
        v->reaction.at_least = r->retry_after_ms;
        break;
    case X_V2_PROBLEM_CONNECTIONS:
    case X_V2_PROBLEM_RATE:
        v->reaction = reaction;
        v->reaction.at_least = asked_wait(r, problem->kind);
        break;
    case X_V2_PROBLEM_RULES:
        x->rules_wanted = true;
        v->reaction =
            (struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "http", .at_least = r->retry_after_ms};
        break;
    case X_V2_PROBLEM_FORBIDDEN:
    case X_V2_PROBLEM_REQUEST:
        advice = r->status == 401 || r->status >= 500 ? NULL : advice;
        break;
    default:
        break;
    }
    v->advice = advice ? advice : v->advice;
}

/* A refused token is fetched anew if there is something to fetch it with; one that was fetched just now and
 * refused is a final answer. */
static void react_to_refusal(struct x_v2 *x, const struct http_response *r, struct source_verdict *v)
{
    if (!x->runner || !x->settings->api_key || !x->settings->api_secret) {
        return;
    }
    if (!x->token_fresh) {
        v->reaction = (struct source_reaction){
            .ladder = BACKOFF_HTTP, .cause = "credentials", .at_least = r->retry_after_ms};
        v->advice =
            "the bearer token is not good any more: another one is fetched with api_key and api_secret";
    }
    drop_token(x);
}

static void x_v2_judge(void *state, const struct http_result *result, struct source_verdict *v)
{
    struct x_v2 *x = state;
    const struct http_response *r = result->response;
    struct x_v2_problem problem = {.kind = X_V2_PROBLEM_OTHER};
    cJSON *tree = NULL;
    if (x->token && memmem(result->body.at, result->body.length, x->token, strlen(x->token))) {
        v->words[0] = '\0';
    } else if (find_problem(result->body, &tree, &problem)) {
        char words[sizeof v->words - 4];
        x_v2_problem_words(&problem, x->token, words, sizeof words);
        snprintf(v->words, sizeof v->words, words[0] ? " \"%s\"" : "%s", words);
    }
    if (problem.kind == X_V2_PROBLEM_OTHER) {
        problem.kind = r->status == 402   ? X_V2_PROBLEM_SPENT
                       : r->status == 409 ? X_V2_PROBLEM_RULES
                                          : X_V2_PROBLEM_OTHER;
    }
    react_to_problem(x, r, &problem, v);
    if (r->status == 401) {
        react_to_refusal(x, r, v);
    }
    cJSON_Delete(tree);
}

static void x_v2_identify(void *state, struct buffer *into)
{
    const struct source_x_v2_settings *s = ((const struct x_v2 *)state)->settings;
    const char *const parts[] = {"x-v2", s->common.url, s->common.bearer_token, s->api_key, s->api_secret};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buffer_add_text(into, parts[i] ? parts[i] : "");
        buffer_add_byte(into, '\n');
    }
}

const struct source_protocol x_v2_protocol = {
    .type = "x-v2",
    .network = "x",
    .timing = &timing,
    .open = x_v2_open,
    .close = x_v2_close,
    .start_preparing = x_v2_start_preparing,
    .quit = x_v2_quit,
    .prepare = x_v2_prepare,
    .read = x_v2_read,
    .is_final = x_v2_is_final,
    .advice = x_v2_advice,
    .judge = x_v2_judge,
    .skew_harm = "",
    .identify = x_v2_identify,
};
