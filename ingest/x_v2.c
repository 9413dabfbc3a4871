#include "ingest/x_v2.h"

#include "base/clock.h"
#include "base/wipe.h"
#include "ingest/filter.h"
#include "ingest/http_stream.h"
#include "ingest/message.h"
#include "ingest/rules.h"
#include "ingest/x_v2_post.h"
#include "ingest/x_v2_problem.h"
#include "ingest/x_v2_runner.h"
#include "ingest/x_v2_verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_URL = 8192, MOST_TOKEN = 8192, KNOWN_LINES_MOST = 4096 };

struct x_v2 {
    const struct source_x_v2_settings *settings;
    const struct source_x_v2_settings *list; /* those whose keywords are in force */
    struct filter *filter;                   /* made of them */
    const struct source_x_v2_settings *next; /* proposed and not in force yet; NULL: none */
    struct filter *next_filter;
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
    .change_settle = 1000,
    .change_apart = 60 * 1000,
    .change_under_way = 1000,
    .final_attempts = 3,
    .backoff = &backoff_documented,
};

/* --- opening and closing --- */

static void drop_token(struct x_v2 *x)
{
    wipe_string(x->token);
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
    filter_free(x->next_filter);
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

static struct filter *new_filter(const struct x_v2 *x, const struct source_x_v2_settings *list, struct err *e)
{
    bool part = x->runner && x->errands->leaves_exclusions && x->errands->leaves_exclusions(x->runner);
    return filter_new_for(part ? FILTER_SERVER_RULES_PART : FILTER_SERVER_RULES, &list->common.filter, e);
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
    if (!x->reader || open_token(x, e)) {
        x_v2_close(x);
        return NULL;
    }
    x->runner = errands ? errands->open(x->settings, e) : NULL;
    x->list = x->settings;
    x->filter = errands && !x->runner ? NULL : new_filter(x, x->list, e);
    if (!x->filter) {
        x_v2_close(x);
        return NULL;
    }
    return x;
}

static void *x_v2_open(const struct source_settings *settings, struct err *e)
{
    return x_v2_open_with(&x_v2_runner, settings, e);
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

static void x_v2_watch(void *state, source_in_force *tell, void *user)
{
    struct x_v2 *x = state;
    if (x->runner && x->errands->watch) {
        x->errands->watch(x->runner, tell, user);
    }
}

static int x_v2_start_preparing(void *state, uv_loop_t *loop, source_prepared *done, void *user,
                                struct err *e)
{
    struct x_v2 *x = state;
    if (!x->runner) {
        return 0;
    }
    bool due = x->errands->due && x->errands->due(x->runner);
    struct x_v2_errand errand = {.token = x->token, .rules = x->rules_wanted};
    if (errand.token && !errand.rules && !due) {
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
    wipe_buffer(&header);
    buffer_free(&url);
    if (failed) {
        free(attempt->url);
        wipe_string(attempt->authorization);
        attempt->url = attempt->authorization = NULL;
        return err_set(e, ERR_RETRY, "no memory for the request, or its address is too long");
    }
    return 0;
}

/* --- another list for the same stream --- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Everything that the stream, its posts and its keys depend on, but the list. */
static bool same_stream(const struct source_x_v2_settings *a, const struct source_x_v2_settings *b)
{
    return same_text(a->common.url, b->common.url) &&
           same_text(a->common.bearer_token, b->common.bearer_token) && same_text(a->api_key, b->api_key) &&
           same_text(a->api_secret, b->api_secret) && a->common.store_raw == b->common.store_raw &&
           a->common.stall_timeout == b->common.stall_timeout && a->backfill_minutes == b->backfill_minutes &&
           a->common.tls_insecure_accept_any_certificate == b->common.tls_insecure_accept_any_certificate;
}

static void on_decided(void *user, bool adopted)
{
    struct x_v2 *x = user;
    struct filter *useless = adopted ? x->filter : x->next_filter;
    if (adopted) {
        x->list = x->next;
        x->filter = x->next_filter;
    }
    x->next = NULL;
    x->next_filter = NULL;
    filter_free(useless);
}

static bool x_v2_change(void *state, const struct source_settings *settings)
{
    struct x_v2 *x = state;
    const struct source_x_v2_settings *next = (const struct source_x_v2_settings *)settings;
    struct err e;
    if (!x->runner || !x->errands->propose || !same_stream(x->settings, next) ||
        !x->errands->propose(x->runner, next)) {
        return false;
    }
    filter_free(x->next_filter);
    x->next = next;
    x->next_filter = new_filter(x, next, &e);
    return x->next_filter && x->errands->change(x->runner, on_decided, x);
}

static void tell_streams(struct x_v2 *x, bool open)
{
    if (x->runner && x->errands->streams) {
        x->errands->streams(x->runner, open);
    }
}

static void x_v2_streams(void *state)
{
    tell_streams(state, true);
}

static void x_v2_ended(void *state)
{
    tell_streams(state, false);
}

static const struct source_settings *x_v2_goes_by(void *state)
{
    const struct x_v2 *x = state;
    return x->next ? &x->next->common : &x->list->common;
}

static bool x_v2_uses(void *state, const struct source_settings *settings)
{
    const struct x_v2 *x = state;
    return settings == &x->list->common || (x->next && settings == &x->next->common);
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

/* The list's exclusions are for its own rules: what another program of the account asked for is delivered to
 * us as well. */
static bool came_through_others(const struct x_v2 *x, const struct post *p)
{
    char prefix[RULES_TAG_SIZE];
    rules_tag_prefix(x->settings->common.name, prefix);
    for (size_t i = 0; i < p->rules.count; i++) {
        if (!view_starts(p->rules.items[i], view_of(prefix))) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(struct x_v2 *x, struct post *p)
{
    size_t known[KNOWN_LINES_MOST];
    if (!filter_in_sample(x->filter, p)) {
        return false; /* nothing overrules a sample, other programs' rules neither */
    }
    size_t count = lines_of_rules(x, p, known);
    return filter_match_known(x->filter, message_reader_arena(x->reader), p, known, count) ||
           (x->list->common.filter.local_filter == FILTER_LOCAL_AUTO && came_through_others(x, p));
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
    x->rules_wanted |= x_v2_verdict_judge(result, x->token, v) == X_V2_PROBLEM_RULES;
    if (result->response->status == 401) {
        react_to_refusal(x, result->response, v);
    }
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
    .watch = x_v2_watch,
    .streams = x_v2_streams,
    .ended = x_v2_ended,
    .prepare = x_v2_prepare,
    .change = x_v2_change,
    .goes_by = x_v2_goes_by,
    .uses = x_v2_uses,
    .read = x_v2_read,
    .is_final = x_v2_verdict_is_final,
    .advice = x_v2_verdict_advice,
    .judge = x_v2_judge,
    .skew_harm = "",
    .identify = x_v2_identify,
};
