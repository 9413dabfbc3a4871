/* What the v2 API's answers and last words mean: which ladder, how long, whether it is final, and in which
 * words; each row of section 5.7 of the API document. No server: the answers are judged as they stand. */
#include "base/clock.h"
#include "ingest/source_answer.h"
#include "ingest/x_v2.h"
#include "ingest/x_v2_problem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN         "AAAAsecretToken%3D"
#define PROBLEM(name) "\"type\":\"https://api.x.com/2/problems/" name "\""

enum { SECOND = 1000, HOUR = 3600 * 1000 };

/* Somebody who would do errands, if the source were started. */
static void *errands_open(const struct source_x_v2_settings *settings, struct err *e)
{
    (void)settings, (void)e;
    return malloc(1);
}

static const struct x_v2_errands idle_errands = {.open = errands_open, .close = free};

struct fixture {
    struct filter_keyword keyword;
    struct source_x_v2_settings settings;
    struct http_response response;
    void *state;
    struct source_verdict verdict;
};

static void open_source(struct fixture *f, const struct x_v2_errands *errands)
{
    struct err e = {ERR_RETRY, ""};
    f->settings.common.name = "test";
    f->settings.common.type = "x-v2";
    f->settings.common.url = "https://api.x.com";
    f->state = x_v2_open_with(errands, &f->settings.common, &e);
    cr_assert_not_null(f->state, "%s", e.text);
    f->response = (struct http_response){
        .date_ms = CLOCK_NONE, .retry_after_ms = -1, .rate_reset_ms = -1, .rate_remaining = -1};
}

static void judge(struct fixture *f, int status, const char *body)
{
    f->response.status = status;
    const struct http_result result = {
        .end = HTTP_END_STATUS, .text = "", .response = &f->response, .body = view_of(body)};
    source_answer_judge(&x_v2_protocol, f->state, x_v2_protocol.timing,
                        "https://api.x.com/2/tweets/search/stream", &result, &f->verdict);
}

static void close_source(struct fixture *f)
{
    x_v2_protocol.close(f->state);
}

struct answer {
    int status;
    const char *body;
    bool final;
    enum backoff_ladder ladder;
    const char *cause;
    const char *words; /* in the whole message */
};

static const struct answer answers[] = {
    {429,
     "{\"title\":\"ConnectionException\",\"detail\":\"This stream is currently at the maximum allowed "
     "connection "
     "limit.\",\"connection_issue\":\"TooManyConnections\"," PROBLEM("streaming-connection") "}",
     false, BACKOFF_RATE_LIMIT, "rate_limit",
     "answered 429 \"ConnectionException: This stream is currently at the maximum allowed connection limit.: "
     "TooManyConnections\": the account has as many connections as it may"},
    {429,
     "{\"title\":\"Too Many Requests\",\"detail\":\"Too Many "
     "Requests\",\"type\":\"about:blank\",\"status\":429}",
     false, BACKOFF_RATE_LIMIT, "rate_limit", "429 \"Too Many Requests\": too many attempts"},
    {429, "{\"errors\":[{\"code\":88,\"message\":\"Rate limit exceeded\"}]}", false, BACKOFF_RATE_LIMIT,
     "rate_limit", "429 \"Rate limit exceeded\": too many attempts"},
    {429,
     "{\"title\":\"UsageCapExceeded\",\"period\":\"Monthly\",\"scope\":\"Product\",\"type\":"
     "\"https://api.twitter.com/2/problems/usage-capped\"}",
     false, BACKOFF_SPEND, "spend",
     "429 \"UsageCapExceeded: Monthly\": the account has no posts left to read"},
    {403, "{\"title\":\"x\"," PROBLEM("usage-capped") "}", false, BACKOFF_SPEND, "spend",
     "no posts left to read"},
    {402, "{\"title\":\"CreditsDepleted\"," PROBLEM("credits") "}", false, BACKOFF_SPEND, "spend",
     "402 \"CreditsDepleted\""},
    {402, "<html>", false, BACKOFF_SPEND, "spend", "no posts left to read"},
    {409,
     "{\"title\":\"ConnectionException\",\"connection_issue\":\"RuleConfigurationIssue\",\"detail\":\"You "
     "must define "
     "rules\"," PROBLEM("streaming-connection") "}",
     false, BACKOFF_HTTP, "http",
     "409 \"ConnectionException: You must define rules: RuleConfigurationIssue\": the "
     "account has no rules that work"},
    {409, "", false, BACKOFF_HTTP, "http", "no rules that work"},
    {401, "{\"title\":\"Unauthorized\",\"type\":\"about:blank\",\"status\":401,\"detail\":\"Unauthorized\"}",
     true, BACKOFF_HTTP, "credentials", "401 \"Unauthorized\": the credentials are wrong or were revoked"},
    {403,
     "{\"client_id\":\"1\",\"title\":\"Client "
     "Forbidden\",\"reason\":\"client-not-enrolled\",\"required_enrollment\":"
     "\"Appropriate Level of API Access\",\"registration_url\":\"https://x\"," PROBLEM(
         "client-forbidden") "}",
     true, BACKOFF_HTTP, "credentials",
     "403 \"Client Forbidden: client-not-enrolled\": this app's project has no access to the filtered "
     "stream"},
    {403, "", true, BACKOFF_HTTP, "credentials", "403: this app may not use the filtered stream"},
    {400,
     "{\"errors\":[{\"message\":\"The query parameter [x] is not one of\"}],\"title\":\"Invalid "
     "Request\"," PROBLEM("invalid-request") "}",
     true, BACKOFF_HTTP, "credentials", "400 \"Invalid Request\": the server does not take the request"},
    {404, "", true, BACKOFF_HTTP, "credentials", "404: there is no v2 stream at this address"},
    {500, "", false, BACKOFF_HTTP, "http", "500: the server is overloaded or ill"},
    {502, "<html><title>Bad Gateway</title>", false, BACKOFF_HTTP, "http",
     "502 \"Bad Gateway\": the server is"},
    {503,
     "{\"title\":\"ConnectionException\",\"connection_issue\":\"ProvisioningSubscription\"," PROBLEM(
         "streaming-connection") "}",
     false, BACKOFF_HTTP, "http", "503 \"ConnectionException: ProvisioningSubscription\": the server is"},
    {504, "{\"broken", false, BACKOFF_HTTP, "http", "504 \"{\"broken\""},
    {503, "{\"errors\":[],", false, BACKOFF_HTTP, "http", "503"},
    {503, "[[[[", false, BACKOFF_HTTP, "http", "503"},
    {301, "", false, BACKOFF_HTTP, "http", "redirects are not followed"},
    {418, "{\"title\":\"x\"," PROBLEM("something-new") "}", false, BACKOFF_HTTP, "http", "418 \"x\""},
};

Test(x_v2_answers, each_answer_has_its_ladder_its_cause_and_its_words)
{
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer *a = &answers[i];
        struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}}};
        open_source(&f, NULL);
        judge(&f, a->status, a->body);
        const struct source_reaction *r = &f.verdict.reaction;
        cr_expect_eq(r->final, a->final, "%d %s: final %d", a->status, a->body, r->final);
        cr_expect(a->final || r->ladder == a->ladder, "%d %s: ladder %d", a->status, a->body, r->ladder);
        cr_expect_str_eq(r->cause, a->cause, "%d %s: cause %s", a->status, a->body, r->cause);
        cr_expect_not_null(strstr(f.verdict.why, a->words), "%s\n does not say\n%s", f.verdict.why, a->words);
        close_source(&f);
    }
}

Test(x_v2_answers, a_reset_is_waited_for_only_where_the_attempts_are_used_up)
{
    struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}}};
    open_source(&f, NULL);
    f.response.rate_reset_ms = 700 * SECOND;
    f.response.rate_remaining = 0;
    judge(&f, 429, "");
    cr_expect_eq(f.verdict.reaction.at_least, 700 * SECOND);
    judge(&f, 429, "{" PROBLEM("rate-limit-exceeded") "}");
    cr_expect_eq(f.verdict.reaction.at_least, 700 * SECOND);
    judge(&f, 429, "{\"connection_issue\":\"TooManyConnections\"}");
    cr_expect_eq(f.verdict.reaction.at_least, 700 * SECOND);
    f.response.rate_remaining = 48;
    judge(&f, 429, "{\"connection_issue\":\"TooManyConnections\"}");
    cr_expect(f.verdict.reaction.at_least <= 0, "the ladder, from a minute on, is enough");
    judge(&f, 429, "");
    cr_expect_eq(f.verdict.reaction.at_least, 700 * SECOND, "a 429 without words");
    f.response.retry_after_ms = 90 * SECOND;
    judge(&f, 429, "{\"connection_issue\":\"TooManyConnections\"}");
    cr_expect_eq(f.verdict.reaction.at_least, 90 * SECOND);
    close_source(&f);
}

Test(x_v2_answers, a_spent_account_is_asked_again_at_its_period_s_turn_or_each_hour)
{
    struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}}};
    struct backoff b = {0};
    open_source(&f, NULL);
    f.response.date_ms = clock_from_date(2026, 11, 30, 23, 50, 0, 0);
    judge(&f, 429, "{\"period\":\"Daily\"," PROBLEM("usage-capped") "}");
    cr_expect_eq(f.verdict.reaction.at_most, 610 * SECOND, "ten seconds after midnight");
    cr_expect_eq(source_answer_wait(&b, &backoff_documented, &f.verdict.reaction), 610 * SECOND);
    judge(&f, 429, "{\"period\":\"Monthly\"," PROBLEM("usage-capped") "}");
    cr_expect_eq(f.verdict.reaction.at_most, 610 * SECOND);
    f.response.date_ms = clock_from_date(2026, 12, 30, 12, 0, 0, 0);
    judge(&f, 429, "{\"period\":\"Monthly\"," PROBLEM("usage-capped") "}");
    cr_expect_eq(f.verdict.reaction.at_most, (int64_t)36 * HOUR + 10 * SECOND);
    b = (struct backoff){0};
    static const int64_t waits[] = {900 * SECOND, 1800 * SECOND, HOUR, HOUR};
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(source_answer_wait(&b, &backoff_documented, &f.verdict.reaction), waits[i]);
    }
    f.response.retry_after_ms = 2 * HOUR;
    judge(&f, 429, "{" PROBLEM("usage-capped") "}");
    cr_expect_eq(source_answer_wait(&b, &backoff_documented, &f.verdict.reaction), 2 * HOUR,
                 "what the server asks for is never cut");
    cr_expect(source_answer_is_down(BACKOFF_SPEND));
    close_source(&f);
}

Test(x_v2_answers, a_secret_is_never_repeated)
{
    static const char *const bodies[] = {
        "{\"title\":\"Unauthorized\",\"detail\":\"The token " TOKEN " is not known\"}", "no JSON, but " TOKEN,
        "{\"errors\":[{\"message\":\"Bearer " TOKEN "\"}]}",
        "{\"title\":\"x\",\"detail\":\"in \\u0041AAAsecretToken%3D\"}",
        "{\"title\":\"AAAAsec\\nretTo\\u00e9ken%3D\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}}};
        open_source(&f, NULL);
        judge(&f, 401, bodies[i]);
        cr_expect_null(strstr(f.verdict.why, "secretToken"), "%s", f.verdict.why);
        close_source(&f);
    }
}

Test(x_v2_answers, long_words_are_cut_and_control_characters_left_out)
{
    char body[2000], detail[1200];
    memset(detail, 'd', sizeof detail);
    detail[sizeof detail - 1] = '\0';
    snprintf(body, sizeof body, "{\"title\":\"a\\n\\u001b[31mb\\u00e9\",\"detail\":\"%s\"}", detail);
    struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}}};
    open_source(&f, NULL);
    judge(&f, 503, body);
    cr_expect_not_null(strstr(f.verdict.why, "503 \"a[31mb: dddd"), "%s", f.verdict.why);
    cr_expect(strlen(f.verdict.words) < 200);
    cr_expect_not_null(strstr(f.verdict.why, "ddd\": the server is overloaded or ill"), "%s", f.verdict.why);
    close_source(&f);
}

Test(x_v2_answers, a_clock_that_is_far_off_is_blamed_for_a_401)
{
    struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}}};
    open_source(&f, NULL);
    f.response.date_ms = clock_wall_ms() - 400 * SECOND;
    judge(&f, 401, "");
    cr_expect_not(f.verdict.reaction.final);
    cr_expect_not_null(strstr(f.verdict.why, "ahead of the server's: set the clock"), "%s", f.verdict.why);
    f.response.date_ms = clock_wall_ms() - 200 * SECOND;
    judge(&f, 401, "");
    cr_expect(f.verdict.reaction.final);
    close_source(&f);
}

Test(x_v2_answers, a_refused_token_is_final_only_where_no_other_can_be_fetched)
{
    struct fixture f = {.settings = {.common = {.bearer_token = TOKEN}, .api_key = "k", .api_secret = "s"}};
    open_source(&f, &idle_errands);
    judge(&f, 401, "");
    cr_expect_not(f.verdict.reaction.final);
    cr_expect_str_eq(f.verdict.reaction.cause, "credentials");
    cr_expect_not_null(strstr(f.verdict.why, "another one is fetched"), "%s", f.verdict.why);
    close_source(&f);
    f.settings.api_key = f.settings.api_secret = NULL;
    open_source(&f, &idle_errands);
    judge(&f, 401, "");
    cr_expect(f.verdict.reaction.final);
    close_source(&f);
}

Test(x_v2_answers, without_a_token_and_somebody_to_fetch_one_there_is_no_source)
{
    struct source_x_v2_settings s = {.common = {.name = "test", .type = "x-v2", .url = "https://api.x.com"},
                                     .api_key = "k",
                                     .api_secret = "s"};
    struct err e;
    cr_expect_null(x_v2_open_with(NULL, &s.common, &e));
    cr_expect_eq(e.kind, ERR_FATAL);
}
