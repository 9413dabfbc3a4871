/* The rules of an account, listed and changed, against a server that follows a script: pages, tokens, partial
 * errors, rates, and answers that are none. What the server is asked is looked at, too. */
#include "ingest/x_v2_rules.h"

#include "base/clock.h"
#include "tests/ingest/support/keywords.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* As the usual one, but quick. */
static const struct x_v2_patience quick = {
    .network_ms = 5, .http_ms = 5, .rate_ms = 5, .wait_most_ms = 3000, .total_ms = 10000, .attempts = 3};

struct fixture {
    uv_loop_t loop;
    struct server *server;
    char url[64];
    struct x_v2_account account;
    struct x_v2_patience patience;
    struct x_v2_api *api;
    struct keyword_set set;
    struct rules *rules;
    struct x_v2_rules *job;
    int ends, result, waits, plans, refusals, api_closed;
    bool changed;
    size_t added, removed, held, keep, others;
    struct err e;
    int64_t longest_wait;
    char why[200], refused_value[200], last_wait[400];
};

static void on_wait(void *user, int64_t ms, const char *why)
{
    struct fixture *f = user;
    cr_expect_geq(ms, 0);
    f->longest_wait = ms > f->longest_wait ? ms : f->longest_wait;
    snprintf(f->last_wait, sizeof f->last_wait, "%s", why);
    f->waits++;
}

static void on_planned(void *user, const struct x_v2_rules_state *state)
{
    struct fixture *f = user;
    f->plans++;
    f->held = state->held_count;
    f->others = state->change.others;
}

static void on_refused(void *user, const struct x_v2_rules_refusal *refusal)
{
    struct fixture *f = user;
    f->refusals++;
    snprintf(f->why, sizeof f->why, "%.*s", VIEW_PRINT(refusal->why));
    snprintf(f->refused_value, sizeof f->refused_value, "%.*s",
             VIEW_PRINT(refusal->rule ? refusal->rule->value : VIEW("")));
}

static void on_end(void *user, const struct x_v2_rules_result *result)
{
    struct fixture *f = user;
    f->ends++;
    f->result = result->result;
    f->e = result->e;
    f->changed = result->changed;
    f->added = result->added;
    f->removed = result->removed;
    f->keep = result->state ? result->state->change.keep_count : 0;
    x_v2_rules_free(f->job);
    f->job = NULL;
}

static void on_api_closed(void *user)
{
    ((struct fixture *)user)->api_closed++;
}

static void begin(struct fixture *f, const char *const *lines)
{
    *f = (struct fixture){.patience = quick};
    uv_loop_init(&f->loop);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/", server_port(f->server));
    f->account = (struct x_v2_account){.url = f->url, .bearer_token = "given%2F"};
    keyword_set_begin(&f->set);
    keyword_set_fill(&f->set, lines);
    f->rules = keyword_set_rules(&f->set, "a", 1024, 1000);
}

static void start(struct fixture *f, enum x_v2_rules_what what)
{
    struct err e;
    const struct x_v2_rules_events events = {
        .planned = on_planned, .refused = on_refused, .end = on_end, .user = f};
    f->api = x_v2_api_new(&f->loop, &f->account, &f->patience, on_wait, f, &e);
    cr_assert_not_null(f->api);
    f->job = x_v2_rules_start(f->api, f->rules, what, &events, &e);
    cr_assert_not_null(f->job);
}

static void run(struct fixture *f, enum x_v2_rules_what what)
{
    start(f, what);
    while (!f->ends) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void finish(struct fixture *f)
{
    x_v2_rules_free(f->job);
    x_v2_api_free(f->api, on_api_closed, f);
    server_close(f->server);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect_eq(f->api_closed, 1);
    cr_expect_eq(uv_loop_close(&f->loop), 0);
    server_free(f->server);
    rules_free(f->rules);
    keyword_set_end(&f->set);
}

static bool asked(const struct fixture *f, size_t index, const char *start_of_head, const char *in_body)
{
    if (index >= server_request_count(f->server)) {
        return false;
    }
    const struct server_request *r = server_request(f->server, index);
    return strstr(r->head, start_of_head) == r->head && (!in_body || strstr(r->body, in_body));
}

#define LIST "GET /2/tweets/search/stream/rules?max_results=1000"
#define POST "POST /2/tweets/search/stream/rules"

/* A whole answer, its end told by closing. */
#define SAY(name, status, headers, body)                                                                     \
    static const struct server_step name[] = {                                                               \
        {SERVER_SAY,                                                                                         \
         "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n" headers            \
         "\r\n" body,                                                                                        \
         0},                                                                                                 \
        {SERVER_END, NULL, 0}}

SAY(empty_list, "200 OK", "", "{\"meta\":{\"sent\":\"2026-01-01T00:00:00.000Z\",\"result_count\":0}}");
SAY(taken, "201 Created", "",
    "{\"data\":[{\"id\":\"1\",\"value\":\"from:ada\"}],\"meta\":{\"summary\":{\"created\":1}}}");
SAY(removed, "200 OK", "", "{\"meta\":{\"summary\":{\"deleted\":1,\"not_deleted\":0}}}");
SAY(list_of_ada, "200 OK", "",
    "{\"data\":[{\"id\":\"1\",\"value\":\"from:ada\",\"tag\":\"roost:a:0:1\"}],\"meta\":{\"result_count\":1}"
    "}");
SAY(token, "200 OK", "", "{\"token_type\":\"bearer\",\"access_token\":\"AAA%2F\"}");
SAY(unauthorized, "401 Unauthorized", "",
    "{\"title\":\"Unauthorized\",\"type\":\"about:blank\",\"status\":401}");
SAY(garbage, "200 OK", "", "<html><title>Down for maintenance</title></html>");
SAY(unavailable, "503 Service Unavailable", "", "{}");
SAY(limited, "429 Too Many Requests", "Retry-After: 0\r\n", "{\"title\":\"Too Many Requests\"}");

static const char *const ada[] = {"= from:ada", NULL};

static void serve(struct fixture *f, const struct server_step *const *scripts)
{
    for (; *scripts; scripts++) {
        server_add(f->server, *scripts);
    }
}

#define SERVE(f, ...) serve(f, (const struct server_step *const[]){__VA_ARGS__, NULL})

TestSuite(x_v2_rules, .timeout = 60);

Test(x_v2_rules, a_list_of_pages_is_read_to_its_end)
{
    SAY(first, "200 OK", "",
        "{\"data\":[{\"id\":\"1\",\"value\":\"a\",\"tag\":\"t\",\"new\":[1]}],\"meta\":{\"next_token\":\"n_-"
        "1\"}}");
    SAY(second, "200 OK", "", "{\"data\":[{\"id\":\"2\",\"value\":\"b\"}],\"meta\":{\"next_token\":\"n2\"}}");
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, first, second, list_of_ada);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.result, 0, "%s", f.e.text);
    cr_expect_eq(f.held, 3);
    cr_expect_eq(f.others, 2);
    cr_expect_eq(f.keep, 1);
    cr_expect(asked(&f, 0, LIST " ", NULL) && asked(&f, 1, LIST "&pagination_token=n_-1 ", NULL) &&
              asked(&f, 2, LIST "&pagination_token=n2 ", NULL));
    cr_expect_not_null(strstr(server_request(f.server, 0)->head, "\r\nAuthorization: Bearer given%2F\r\n"));
    finish(&f);
}

Test(x_v2_rules, apply_tries_first_adds_deletes_and_lists_again)
{
    SAY(old, "200 OK", "", "{\"data\":[{\"id\":\"77\",\"value\":\"old\",\"tag\":\"roost:a:0:9\"}]}");
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, old, taken, taken, removed, list_of_ada);
    run(&f, X_V2_RULES_APPLY);
    cr_expect_eq(f.result, 0, "%s", f.e.text);
    cr_expect(asked(&f, 1, POST "?dry_run=true ", "{\"add\":[{\"value\":\"from:ada\",\"tag\":\"roost:a:"));
    cr_expect(asked(&f, 2, POST " ", "{\"add\":[{\"value\":\"from:ada\""));
    cr_expect(asked(&f, 3, POST " ", "{\"delete\":{\"ids\":[\"77\"]}}"));
    cr_expect(asked(&f, 4, LIST " ", NULL));
    cr_expect(f.changed && f.added == 1 && f.removed == 1 && f.keep == 1);
    finish(&f);
}

Test(x_v2_rules, a_duplicate_is_success)
{
    SAY(duplicate, "200 OK", "",
        "{\"meta\":{\"summary\":{\"created\":0}},\"errors\":[{\"value\":\"from:ada\",\"id\":\"1\",\"title\":"
        "\"DuplicateRule\","
        "\"type\":\"https://api.twitter.com/2/problems/duplicate-rules\"}]}");
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, empty_list, duplicate, duplicate, list_of_ada);
    run(&f, X_V2_RULES_APPLY);
    cr_expect_eq(f.result, 0, "%s", f.e.text);
    cr_expect_eq(f.refusals, 0);
    finish(&f);
}

Test(x_v2_rules, a_refusal_in_the_dry_run_changes_nothing)
{
    SAY(details, "400 Bad Request", "",
        "{\"errors\":[{\"value\":\"from:ada\",\"details\":[\"One.\",\"Two (at position "
        "1).\"],\"title\":\"UnprocessableEntity\","
        "\"type\":\"https://api.x.com/2/problems/invalid-rules\"}]}");
    SAY(detail, "200 OK", "",
        "{\"data\":[{\"id\":\"5\",\"value\":\"x\"}],\"errors\":[{\"value\":\"from:ada\",\"detail\":\"One "
        "thing.\",\"title\":\"T\"}]}");
    SAY(whole, "400 Bad Request", "",
        "{\"title\":\"Invalid "
        "Request\",\"detail\":\"No.\",\"type\":\"https://api.x.com/2/problems/invalid-request\"}");
    const struct server_step *const answers[] = {details, detail, whole};
    static const char *const words[] = {"One. Two (at position 1).", "One thing.", "No."};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        begin(&f, ada);
        SERVE(&f, empty_list, answers[i]);
        run(&f, X_V2_RULES_APPLY);
        cr_expect_eq(f.result, -1);
        cr_expect_eq(f.e.kind, ERR_FATAL);
        cr_expect_eq(f.refusals, 1);
        cr_expect_str_eq(f.why, words[i]);
        cr_expect_str_eq(f.refused_value, i < 2 ? "from:ada" : "");
        cr_expect(!f.changed);
        cr_expect_eq(server_request_count(f.server), 2);
        finish(&f);
    }
}

Test(x_v2_rules, a_refusal_after_the_dry_run_deletes_nothing)
{
    SAY(old, "200 OK", "", "{\"data\":[{\"id\":\"77\",\"value\":\"old\",\"tag\":\"roost:a:0:9\"}]}");
    SAY(cap, "400 Bad Request", "",
        "{\"errors\":[{\"value\":\"from:ada\",\"title\":\"RulesCapExceeded\",\"type\":\"https://api.x.com/2/"
        "problems/rule-cap\"}]}");
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, old, cap, cap);
    run(&f, X_V2_RULES_APPLY);
    cr_expect_eq(f.result, -1);
    cr_expect_eq(f.refusals, 1, "in the dry run the account's own limit is no error yet");
    cr_expect_eq(server_request_count(f.server), 3);
    finish(&f);
}

Test(x_v2_rules, a_token_is_fetched_and_once_more_after_401)
{
    struct fixture f;
    begin(&f, ada);
    f.account = (struct x_v2_account){.url = f.url, .api_key = "k", .api_secret = "s/"};
    SERVE(&f, token, list_of_ada);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.result, 0, "%s", f.e.text);
    cr_expect(asked(&f, 0, "POST /oauth2/token HTTP/1.1\r\n", "grant_type=client_credentials"));
    cr_expect_not_null(strstr(server_request(f.server, 0)->head, "\r\nAuthorization: Basic azpzJTJG\r\n"));
    cr_expect_not_null(strstr(server_request(f.server, 1)->head, "\r\nAuthorization: Bearer AAA%2F\r\n"));
    cr_expect_str_eq(x_v2_api_token(f.api), "AAA%2F");
    finish(&f);

    begin(&f, ada);
    f.account.api_key = "k";
    f.account.api_secret = "s";
    SERVE(&f, unauthorized, token, list_of_ada);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.result, 0, "a given token may be renewed with the keys: %s", f.e.text);
    finish(&f);

    begin(&f, ada);
    f.account.api_key = "k";
    f.account.api_secret = "s";
    SERVE(&f, unauthorized, token, unauthorized);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.e.kind, ERR_FATAL);
    cr_expect_eq(server_request_count(f.server), 3, "not for ever");
    finish(&f);
}

Test(x_v2_rules, a_token_that_cannot_stand_in_a_header_is_none)
{
    SAY(evil, "200 OK", "", "{\"token_type\":\"bearer\",\"access_token\":\"a\\r\\nX: y\"}");
    SAY(other, "200 OK", "", "{\"token_type\":\"mac\",\"access_token\":\"a\"}");
    const struct server_step *const answers[] = {evil, other};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, ada);
        f.account = (struct x_v2_account){.url = f.url, .api_key = "k", .api_secret = "s"};
        SERVE(&f, answers[i]);
        run(&f, X_V2_RULES_PLAN);
        cr_expect_eq(f.result, -1);
        cr_expect_not_null(strstr(f.e.text, "no bearer token"));
        finish(&f);
    }
}

Test(x_v2_rules, what_may_pass_is_tried_again_and_not_for_ever)
{
    static const struct server_step reset[] = {{SERVER_RESET, NULL, 0}};
    static const struct server_step cut[] = {
        {SERVER_SAY, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", 0}, {SERVER_END, NULL, 0}};
    const struct server_step *const faults[] = {reset, cut, garbage, unavailable, limited};
    for (size_t i = 0; i < 5; i++) {
        struct fixture f;
        begin(&f, ada);
        f.patience.wait_most_ms = 100000;
        SERVE(&f, faults[i], list_of_ada);
        run(&f, X_V2_RULES_PLAN);
        cr_expect_eq(f.result, 0, "fault %zu: %s", i, f.e.text);
        cr_expect_eq(f.waits, 1);
        finish(&f);
    }
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        begin(&f, ada);
        SERVE(&f, faults[i]);
        run(&f, X_V2_RULES_PLAN);
        cr_expect_eq(f.result, -1);
        cr_expect_eq(f.e.kind, ERR_RETRY);
        cr_expect_leq(server_request_count(f.server), 3);
        cr_expect_eq(f.waits, 2);
        finish(&f);
    }
}

Test(x_v2_rules, a_slow_server_is_given_up)
{
    static const struct server_step hold[] = {{SERVER_HOLD, NULL, 0}};
    struct fixture f;
    begin(&f, ada);
    f.patience.total_ms = 100;
    f.patience.attempts = 2;
    SERVE(&f, hold);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.e.kind, ERR_RETRY);
    cr_expect_eq(f.waits, 1);
    finish(&f);
}

Test(x_v2_rules, a_limit_is_waited_for_as_long_as_the_server_says)
{
    SAY(long_limit, "429 Too Many Requests", "Retry-After: 1000\r\n", "{}");
    SAY(capped, "429 Too Many Requests", "Retry-After: 0\r\n",
        "{\"title\":\"UsageCapExceeded\",\"type\":\"https://api.twitter.com/2/problems/"
        "usage-capped\",\"detail\":\"Usage cap exceeded\"}");
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, limited, list_of_ada);
    int64_t began = clock_steady_ms();
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.result, 0);
    cr_expect_geq(clock_steady_ms() - began, 900, "the server's clock has whole seconds");
    finish(&f);

    begin(&f, ada);
    SERVE(&f, long_limit);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.e.kind, ERR_RETRY);
    cr_expect_eq(f.waits, 0);
    finish(&f);

    begin(&f, ada);
    SERVE(&f, capped);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.waits, 0, "a used-up month does not pass in a minute");
    cr_expect_not_null(strstr(f.e.text, "Usage cap exceeded"));
    finish(&f);
}

Test(x_v2_rules, a_limit_whose_end_is_past_climbs_the_ladder)
{
    SAY(past, "429 Too Many Requests",
        "Date: Tue, 24 Nov 2026 12:00:00 GMT\r\nx-rate-limit-remaining: 0\r\nx-rate-limit-reset: "
        "1795521000\r\n",
        "{}");
    struct fixture f;
    begin(&f, ada);
    f.patience.rate_ms = 1300;
    SERVE(&f, past, list_of_ada);
    run(&f, X_V2_RULES_PLAN);
    cr_expect_eq(f.result, 0);
    cr_expect_eq(f.longest_wait, 1300);
    finish(&f);
}

Test(x_v2_rules, a_limit_that_no_clock_can_hold_is_longer_than_waits_here)
{
    SAY(endless, "429 Too Many Requests", "Retry-After: 9223372036854775\r\n", "{}");
    SAY(never, "429 Too Many Requests", "x-rate-limit-reset: 9223372036854775\r\n", "{}");
    const struct server_step *const answers[] = {endless, never};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, ada);
        SERVE(&f, answers[i]);
        run(&f, X_V2_RULES_PLAN);
        cr_expect_eq(f.e.kind, ERR_RETRY, "%s", f.e.text);
        cr_expect_eq(f.waits, 0);
        finish(&f);
    }
}

/* What is wrong is not the rules: nothing is refused, and it may pass. */
Test(x_v2_rules, an_account_without_credits_or_an_ill_server_is_no_refusal_of_a_rule)
{
    SAY(no_credits, "402 Payment Required", "",
        "{\"title\":\"CreditsDepleted\",\"detail\":\"Your account does not have any "
        "credits\",\"type\":\"https://api.x.com/2/problems/credits\"}");
    SAY(ill, "200 OK", "",
        "{\"meta\":{\"summary\":{\"created\":0}},\"errors\":[{\"title\":\"Internal "
        "Error\",\"value\":\"from:ada\",\"type\":\"https://api.x.com/2/problems/internal-error\"}]}");
    SAY(capped, "400 Bad Request", "",
        "{\"errors\":[{\"title\":\"UsageCapExceeded\",\"type\":\"https://api.x.com/2/problems/"
        "usage-capped\"}]}");
    const struct server_step *const answers[] = {no_credits, ill, capped};
    for (size_t i = 0; i < 3; i++) {
        for (int step = 0; step < 2; step++) { /* in the dry run, behind it */
            struct fixture f;
            begin(&f, ada);
            if (step) {
                SERVE(&f, empty_list, taken, answers[i]);
            } else {
                SERVE(&f, empty_list, answers[i]);
            }
            run(&f, X_V2_RULES_APPLY);
            cr_expect_eq(f.result, -1);
            cr_expect_eq(f.e.kind, ERR_RETRY, "answer %zu, step %d: %s", i, step, f.e.text);
            cr_expect_eq(f.refusals, 0, "answer %zu, step %d: %s", i, step, f.why);
            cr_expect_eq(f.added, 0);
            finish(&f);
        }
    }
}

Test(x_v2_rules, lists_that_cannot_be_compared_are_errors)
{
    SAY(no_id, "200 OK", "", "{\"data\":[{\"value\":\"a\"}]}");
    SAY(bad_token, "200 OK", "", "{\"meta\":{\"next_token\":\"a b\\r\\n\"}}");
    SAY(endless, "200 OK", "", "{\"data\":[{\"id\":\"1\",\"value\":\"a\"}],\"meta\":{\"next_token\":\"a\"}}");
    SAY(conflict, "409 Conflict", "", "{\"title\":\"Conflict\"}");
    const struct server_step *const answers[] = {no_id, bad_token, conflict, endless};
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        begin(&f, ada);
        SERVE(&f, answers[i]);
        run(&f, X_V2_RULES_APPLY);
        cr_expect_eq(f.result, -1, "answer %zu", i);
        cr_expect_eq(server_request_count(f.server), i < 3 ? 1 : 2);
        cr_expect(!f.changed);
        finish(&f);
    }
}

Test(x_v2_rules, a_server_whose_list_does_not_follow_is_an_error)
{
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, empty_list, taken, taken, empty_list);
    run(&f, X_V2_RULES_APPLY);
    cr_expect_eq(f.result, -1);
    cr_expect(f.changed && strstr(f.e.text, "still differs"), "%s", f.e.text);
    finish(&f);
}

Test(x_v2_rules, a_list_that_follows_late_is_asked_for_again)
{
    struct fixture f;
    begin(&f, ada);
    SERVE(&f, empty_list, taken, taken, empty_list, list_of_ada);
    run(&f, X_V2_RULES_APPLY);
    cr_expect_eq(f.result, 0, "%s", f.e.text);
    cr_expect_eq(f.keep, 1);
    cr_expect_eq(server_request_count(f.server), 5);
    finish(&f);
}

Test(x_v2_rules, a_request_too_large_is_divided)
{
    SAY(too_large, "413 Payload Too Large", "", "");
    static const char *const lines[] = {"= from:a", "= from:b", "= from:c", "= from:d", NULL};
    SAY(four, "200 OK", "",
        "{\"data\":[{\"id\":\"1\",\"value\":\"from:a\",\"tag\":\"roost:a:0:1\"},{\"id\":\"2\",\"value\":"
        "\"from:b\",\"tag\":"
        "\"roost:a:0:2\"},{\"id\":\"3\",\"value\":\"from:c\",\"tag\":\"roost:a:0:3\"},{\"id\":\"4\","
        "\"value\":\"from:d\",\"tag\":"
        "\"roost:a:0:4\"}]}");
    struct fixture f;
    begin(&f, lines);
    SERVE(&f, empty_list, too_large, taken, taken, taken, taken, four);
    run(&f, X_V2_RULES_APPLY);
    cr_expect_eq(f.result, 0, "%s", f.e.text);
    cr_expect(asked(&f, 1, POST "?dry_run=true ", "from:d"));
    cr_expect(asked(&f, 2, POST "?dry_run=true ", "from:b") && !asked(&f, 2, POST, "from:c"));
    cr_expect(asked(&f, 4, POST " ", "from:a") && asked(&f, 5, POST " ", "from:d"));
    cr_expect_eq(f.added, 4);
    finish(&f);
}

Test(x_v2_rules, it_can_be_ended_at_any_moment)
{
    static const struct server_step hold[] = {{SERVER_HOLD, NULL, 0}};
    for (size_t after = 0; after < 4; after++) {
        struct fixture f;
        begin(&f, ada);
        const struct server_step *const scripts[] = {empty_list, taken, taken, list_of_ada};
        for (size_t i = 0; i < after; i++) {
            server_add(f.server, scripts[i]);
        }
        server_add(f.server, hold);
        start(&f, X_V2_RULES_APPLY);
        while (server_request_count(f.server) <= after) {
            uv_run(&f.loop, UV_RUN_ONCE);
        }
        finish(&f);
        cr_expect_eq(f.ends, 0);
    }
}

Test(x_v2_rules, a_wait_can_be_ended_too)
{
    struct fixture f;
    begin(&f, ada);
    f.patience.http_ms = 3000;
    SERVE(&f, unavailable);
    start(&f, X_V2_RULES_APPLY);
    while (!f.waits) {
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    int64_t began = clock_steady_ms();
    finish(&f);
    cr_expect_lt(clock_steady_ms() - began, 2500);
}
