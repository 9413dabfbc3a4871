/* Who does the errands of x_v2, against a server that follows a script: what is asked before a stream, what a
 * failure means for the source, what is done beside the stream. The clock runs a thousand times as fast, so
 * that waits of minutes are real ones. */
#include "ingest/x_v2_runner.h"

#include "base/clock.h"
#include "ingest/backoff.h"
#include "ingest/source.h"
#include "tests/ingest/support/keywords.h"
#include "tests/ingest/support/server.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST  "GET /2/tweets/search/stream/rules?max_results=1000"
#define POST  "POST /2/tweets/search/stream/rules"
#define TOKEN "POST /oauth2/token"

/* A whole answer, its end told by closing. */
#define SAY(name, status, body)                                                                              \
    static const struct server_step name[] = {                                                               \
        {SERVER_SAY,                                                                                         \
         "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body, 0},      \
        {SERVER_END, NULL, 0}}

SAY(token, "200 OK", "{\"token_type\":\"bearer\",\"access_token\":\"fetched\"}");
SAY(empty, "200 OK", "{\"meta\":{\"result_count\":0}}");
SAY(ada, "200 OK", "{\"data\":[{\"id\":\"1\",\"value\":\"from:ada\",\"tag\":\"roost:x:0:1\"}]}");
SAY(bob, "200 OK", "{\"data\":[{\"id\":\"2\",\"value\":\"from:bob\",\"tag\":\"roost:x:0:1\"}]}");
SAY(ada_and_bob, "200 OK",
    "{\"data\":[{\"id\":\"1\",\"value\":\"from:ada\",\"tag\":\"roost:x:0:1\"},{\"id\":\"2\",\"value\":\"from:"
    "bob\","
    "\"tag\":\"roost:x:0:2\"}]}");
SAY(taken, "201 Created",
    "{\"data\":[{\"id\":\"1\",\"value\":\"from:ada\"}],\"meta\":{\"summary\":{\"created\":1}}}");
SAY(removed, "200 OK", "{\"meta\":{\"summary\":{\"deleted\":1}}}");
SAY(refused, "400 Bad Request",
    "{\"errors\":[{\"value\":\"from:ada\",\"details\":[\"no\"],\"title\":\"UnprocessableEntity\",\"type\":"
    "\"https://api.x.com/2/problems/invalid-rules\"}]}");
SAY(ill, "503 Service Unavailable", "{\"title\":\"Service Unavailable\"}");
SAY(unauthorized, "401 Unauthorized", "{\"title\":\"Unauthorized\"}");
SAY(no_credits, "402 Payment Required",
    "{\"title\":\"CreditsDepleted\",\"type\":\"https://api.x.com/2/problems/credits\"}");
SAY(invalid, "400 Bad Request",
    "{\"title\":\"Invalid Request\",\"type\":\"https://api.x.com/2/problems/invalid-request\"}");
SAY(page, "200 OK", "<html><title>Log in</title></html>");
SAY(broken, "200 OK", "{\"data\":[{\"id\":\"1\",\"val");

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick;
    struct server *server;
    char url[64], clock[64];
    struct keyword_set set, next_set;
    struct source_x_v2_settings settings, next;
    void *runner;
    unsigned done, decided, told;
    bool adopted, failed, closed;
    char token[64];
    struct source_verdict verdict;
};

/* As a test clock's file is. */
struct image {
    char magic[8];
    int64_t base_us, wall_us, speed, offset_ms;
};

static void hurry(struct fixture *f)
{
    const struct image image = {
        {'r', 'o', 'o', 's', 't', 'c', 'l', 'k'}, clock_real_ms() * 1000, 1795600000000000, 1000, 0};
    struct err e;
    snprintf(f->clock, sizeof f->clock, "/tmp/roost-clock-XXXXXX");
    int fd = mkstemp(f->clock);
    cr_assert(fd >= 0 && write(fd, &image, sizeof image) == (ssize_t)sizeof image);
    close(fd);
    cr_assert_eq(clock_use_test_file(f->clock, &e), 0, "%s", e.text);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_told(void *user, const struct version *version)
{
    (void)version;
    ((struct fixture *)user)->told++;
}

static void begin_with(struct fixture *f, const char *bearer_token)
{
    struct err e;
    *f = (struct fixture){0};
    hurry(f);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d", server_port(f->server));
    keyword_set_begin(&f->set);
    keyword_set_add(&f->set, "= from:ada");
    keyword_set_begin(&f->next_set);
    keyword_set_add(&f->next_set, "= from:bob");
    f->settings = (struct source_x_v2_settings){.common = {.name = "x",
                                                           .type = "x-v2",
                                                           .url = f->url,
                                                           .bearer_token = (char *)bearer_token,
                                                           .filter = f->set.filter},
                                                .api_key = bearer_token ? NULL : "key",
                                                .api_secret = bearer_token ? NULL : "secret",
                                                .rule_length = 1024,
                                                .rules_maximum = 1000};
    f->next = f->settings;
    f->next.common.filter = f->next_set.filter;
    f->runner = x_v2_runner.open(&f->settings, &e);
    cr_assert_not_null(f->runner, "%s", e.text);
    x_v2_runner.watch(f->runner, on_told, f);
}

static void on_done(void *user, const struct x_v2_errand_result *result)
{
    struct fixture *f = user;
    f->done++;
    snprintf(f->token, sizeof f->token, "%s", result->token ? result->token : "");
    f->failed = result->failed != NULL;
    if (result->failed) {
        f->verdict = *result->failed;
    }
}

#define RUN_UNTIL(f, condition)                                                                              \
    do {                                                                                                     \
        uv_timer_start(&(f)->tick, on_tick, 1, 1);                                                           \
        while (!(condition)) {                                                                               \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                                 \
        }                                                                                                    \
        uv_timer_stop(&(f)->tick);                                                                           \
    } while (0)

/* The errand for these answers, one for each request; until it is done. */
static void run(struct fixture *f, const char *token_in_use, bool rules,
                const struct server_step *const *scripts)
{
    const struct x_v2_errand errand = {.token = token_in_use, .rules = rules};
    struct err e;
    unsigned before = f->done;
    for (; *scripts; scripts++) {
        server_add(f->server, *scripts);
    }
    cr_assert_eq(x_v2_runner.start(f->runner, &f->loop, &errand, on_done, f, &e), 0, "%s", e.text);
    cr_expect_eq(f->done, before, "never inside the call");
    RUN_UNTIL(f, f->done > before);
}
#define RUN(f, token_in_use, rules, ...)                                                                     \
    run(f, token_in_use, rules, (const struct server_step *const[]){__VA_ARGS__, NULL})

/* Another errand; its answers follow those of the one before. */
static void again(struct fixture *f, const char *token_in_use, bool rules)
{
    static const struct server_step *const none[] = {NULL};
    run(f, token_in_use, rules, none);
}

static void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static void finish(struct fixture *f)
{
    x_v2_runner.quit(f->runner, on_closed, f);
    RUN_UNTIL(f, f->closed);
    x_v2_runner.close(f->runner);
    server_close(f->server);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect_eq(uv_loop_close(&f->loop), 0);
    server_free(f->server);
    keyword_set_end(&f->set);
    keyword_set_end(&f->next_set);
    unlink(f->clock);
}

static size_t requests(const struct fixture *f)
{
    return server_request_count(f->server);
}

static bool asked(const struct fixture *f, size_t index, const char *head, const char *in_body)
{
    const struct server_request *r = index < requests(f) ? server_request(f->server, index) : NULL;
    return r && strstr(r->head, head) == r->head && strstr(r->body, in_body);
}

/* So many milliseconds of the fast clock. */
static void run_for(struct fixture *f, int64_t ms)
{
    int64_t until = clock_steady_ms() + ms;
    RUN_UNTIL(f, clock_steady_ms() >= until);
}

TestSuite(x_v2_runner, .timeout = 60);

/* --- before a stream --- */

Test(x_v2_runner, a_start_fetches_a_token_and_makes_the_rules_ours)
{
    struct fixture f;
    begin_with(&f, NULL);
    cr_expect(x_v2_runner.due(f.runner));
    RUN(&f, NULL, false, token, empty, taken, taken, ada);
    cr_expect_str_eq(f.token, "fetched");
    cr_expect_not(f.failed);
    cr_expect(asked(&f, 0, TOKEN, "grant_type=client_credentials"));
    cr_expect(asked(&f, 1, LIST, "") && strstr(server_request(f.server, 1)->head, "Bearer fetched\r\n"));
    cr_expect(asked(&f, 2, POST "?dry_run=true", "{\"add\":[{\"value\":\"from:ada\",\"tag\":\"roost:x:"));
    cr_expect(asked(&f, 3, POST " ", "from:ada"));
    cr_expect(asked(&f, 4, LIST, ""));
    cr_expect_eq(requests(&f), 5);
    cr_expect_eq(f.told, 1);
    cr_expect_not(x_v2_runner.due(f.runner));
    finish(&f);
}

Test(x_v2_runner, rules_that_are_there_cost_one_request)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada);
    cr_expect_str_eq(f.token, "", "none was fetched");
    cr_expect_not(f.failed);
    cr_expect_eq(requests(&f), 1);
    const size_t *lines;
    cr_expect_eq(x_v2_runner.lines(f.runner, VIEW("roost:x:0:1"), &lines), 1,
                 "the old tag of a rule that stays");
    cr_expect_eq(lines[0], 0);
    finish(&f);
}

Test(x_v2_runner, a_token_that_is_refused_is_fetched_anew_within_the_errand)
{
    struct fixture f;
    begin_with(&f, NULL);
    RUN(&f, NULL, false, token, unauthorized, token, ada);
    cr_expect_not(f.failed);
    cr_expect_str_eq(f.token, "fetched");
    finish(&f);
}

Test(x_v2_runner, with_a_token_alone_that_was_refused_nothing_can_be_fetched)
{
    struct fixture f;
    begin_with(&f, "given");
    const struct x_v2_errand errand = {.token = NULL};
    struct err e;
    cr_expect_lt(x_v2_runner.start(f.runner, &f.loop, &errand, on_done, &f, &e), 0);
    cr_expect_eq(e.kind, ERR_FATAL);
    finish(&f);
}

/* --- what a failure means --- */

struct failure {
    const struct server_step *answers[4]; /* ended by NULL */
    bool fatal, final;
    enum backoff_ladder ladder;
    const char *words;
    size_t requests;
};

Test(x_v2_runner, each_failure_before_the_first_stream_has_its_ladder)
{
    static const struct failure failures[] = {
        {{empty, refused}, true, false, BACKOFF_HTTP, "X refuses rules", 2},
        {{ill}, false, false, BACKOFF_HTTP, "status 503", 1},
        {{page}, false, false, BACKOFF_HTTP, "no JSON object", 1},
        {{broken}, false, false, BACKOFF_HTTP, "no JSON object", 1},
        {{unauthorized}, false, true, BACKOFF_HTTP, "401", 1},
        {{invalid}, false, true, BACKOFF_HTTP, "status 400 to the list", 1},
        {{no_credits}, false, false, BACKOFF_SPEND, "no posts left to read", 1},
        {{empty, no_credits}, false, false, BACKOFF_SPEND, "no posts left to read", 2},
        {{empty, ill}, false, false, BACKOFF_HTTP, "status 503", 2},
        {{bob, refused}, true, false, BACKOFF_HTTP, "X refuses rules", 2},
    };
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        const struct failure *a = &failures[i];
        struct fixture f;
        begin_with(&f, "given");
        run(&f, "given", false, a->answers);
        cr_expect(f.failed, "failure %zu", i);
        const struct source_reaction *r = &f.verdict.reaction;
        cr_expect(r->fatal == a->fatal && r->final == a->final, "failure %zu: %d %d", i, r->fatal, r->final);
        cr_expect(a->fatal || a->final || r->ladder == a->ladder, "failure %zu: ladder %d", i, r->ladder);
        cr_expect(strstr(f.verdict.why, a->words), "failure %zu: %s", i, f.verdict.why);
        cr_expect_eq(requests(&f), a->requests, "failure %zu: tried once, when to try again is the source's",
                     i);
        cr_expect(x_v2_runner.due(f.runner), "failure %zu", i);
        finish(&f);
    }
}

Test(x_v2_runner, nobody_listening_climbs_the_ladder_of_the_network)
{
    struct fixture f;
    begin_with(&f, "given");
    snprintf(f.url, sizeof f.url, "http://127.0.0.1:1");
    RUN(&f, "given", false, ada);
    cr_expect(f.failed && f.verdict.reaction.ladder == BACKOFF_NETWORK, "%s", f.verdict.why);
    finish(&f);
}

Test(x_v2_runner, old_rules_of_ours_are_streamed_with_while_a_change_waits)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, bob, ill, bob, taken, taken, removed, ada);
    cr_expect_not(f.failed, "the stream is opened with the rules that are there");
    cr_expect_eq(requests(&f), 2);
    cr_expect_eq(f.told, 0, "they are not the wanted ones");
    RUN_UNTIL(&f, f.told == 1); /* a minute later, and half a minute between adding and deleting */
    cr_expect_eq(requests(&f), 7);
    cr_expect(asked(&f, 5, POST " ", "{\"delete\":{\"ids\":[\"2\"]}}"));
    cr_expect_eq(f.done, 1);
    finish(&f);
}

Test(x_v2_runner, when_the_server_says_that_no_rule_works_the_stream_waits_for_them)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada, ada_and_bob, ill, empty, taken, taken, ada);
    again(&f, "given", true);
    cr_expect(f.failed, "a stream without rules would be refused again");
    again(&f, "given", true);
    cr_expect_not(f.failed);
    finish(&f);
}

/* --- beside the stream --- */

static void on_decided(void *user, bool adopted)
{
    struct fixture *f = user;
    f->decided++;
    f->adopted = adopted;
}

static void propose(struct fixture *f)
{
    cr_assert(x_v2_runner.propose(f->runner, &f->next));
    cr_assert(x_v2_runner.change(f->runner, on_decided, f));
}

Test(x_v2_runner, another_list_is_adopted_when_the_server_takes_it)
{
    struct fixture f;
    begin_with(&f, "given");
    cr_expect_not(x_v2_runner.propose(f.runner, &f.next), "not before there was an errand");
    RUN(&f, "given", false, ada, ada, taken, taken, removed, bob);
    propose(&f);
    RUN_UNTIL(&f, f.decided);
    cr_expect(f.adopted);
    cr_expect_eq(requests(&f), 3, "decided after the dry run");
    RUN_UNTIL(&f, f.told == 2);
    cr_expect(asked(&f, 4, POST " ", "{\"delete\":{\"ids\":[\"1\"]}}"));
    const size_t *lines;
    cr_expect_eq(x_v2_runner.lines(f.runner, VIEW("roost:x:0:1"), &lines), 1);
    finish(&f);
}

Test(x_v2_runner, another_list_that_is_refused_leaves_the_old_one_in_force)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada, ada, refused);
    propose(&f);
    RUN_UNTIL(&f, f.decided);
    cr_expect_not(f.adopted);
    cr_expect_eq(requests(&f), 3);
    cr_expect_not(x_v2_runner.due(f.runner));
    finish(&f);
}

Test(x_v2_runner, a_rule_that_somebody_else_deletes_is_added_again)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada, ada, empty, empty, taken, taken, ada);
    x_v2_runner.streams(f.runner, true);
    RUN_UNTIL(&f, requests(&f) == 7);
    cr_expect(asked(&f, 1, LIST, ""), "looked at, and nothing is missing");
    cr_expect(asked(&f, 2, LIST, ""), "looked at, and all of it is");
    cr_expect(asked(&f, 5, POST " ", "from:ada"));
    cr_expect(server_request(f.server, 1)->at_ms - server_request(f.server, 0)->at_ms >= 900 * 1000 - 2000,
              "each quarter of an hour");
    cr_expect_eq(f.done, 1, "beside the stream");
    cr_expect_not(x_v2_runner.due(f.runner), "a look is no change that waits");
    finish(&f);
}

/* Two listeners of one name and different keywords would else take each other's rules away for ever. */
Test(x_v2_runner, rules_that_somebody_else_makes_in_our_name_are_told_and_not_fought)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada, bob);
    x_v2_runner.streams(f.runner, true);
    RUN_UNTIL(&f, requests(&f) == 4);
    for (size_t i = 0; i < 4; i++) {
        cr_expect(asked(&f, i, LIST, ""), "request %zu only looks", i);
    }
    finish(&f);
}

Test(x_v2_runner, a_look_that_fails_is_tried_again_and_harms_nothing)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada, ill, page, ada);
    x_v2_runner.streams(f.runner, true);
    RUN_UNTIL(&f, requests(&f) == 4);
    run_for(&f, 1000);
    cr_expect_eq(f.done, 1);
    cr_expect_not(x_v2_runner.due(f.runner));
    finish(&f);
}

/* While the source waits as its ladders say, nothing may be asked. */
Test(x_v2_runner, rules_are_looked_at_beside_an_open_stream_alone)
{
    struct fixture f;
    begin_with(&f, "given");
    RUN(&f, "given", false, ada, ada);
    x_v2_runner.streams(f.runner, true);
    x_v2_runner.streams(f.runner, false);
    run_for(&f, 2000 * 1000);
    cr_expect_eq(requests(&f), 1);
    x_v2_runner.streams(f.runner, true);
    RUN_UNTIL(&f, requests(&f) == 2);
    finish(&f);
}

/* --- leaving --- */

Test(x_v2_runner, it_can_be_quit_at_any_moment)
{
    static const struct server_step silent[] = {{SERVER_HOLD, NULL, 0}};
    static const struct server_step *const stages[][5] = {{silent},
                                                          {token, silent},
                                                          {token, empty, silent},
                                                          {token, empty, taken, silent},
                                                          {token, empty, taken, taken, silent}};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        const struct x_v2_errand errand = {.token = NULL};
        struct fixture f;
        struct err e;
        begin_with(&f, NULL);
        for (size_t k = 0; k <= i; k++) {
            server_add(f.server, stages[i][k]);
        }
        cr_assert_eq(x_v2_runner.start(f.runner, &f.loop, &errand, on_done, &f, &e), 0);
        RUN_UNTIL(&f, requests(&f) == i + 1);
        finish(&f);
        cr_expect_eq(f.done, 0);
    }
    struct fixture f;
    begin_with(&f, NULL);
    finish(&f); /* nothing was ever started */
}
