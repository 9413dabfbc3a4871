/* API v2 over real sockets: token, rules, limits, the stream, what a client gets that asks for nothing. */
#include "support/client.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "simulator/fields.h"
#include "simulator/posts.h"
#include "simulator/sample.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STREAM "/2/tweets/search/stream"
#define RULES  STREAM "/rules"
#define BEARER "Authorization: Bearer " SIMULATOR_BEARER_TOKEN "\r\n"
/* roostDemoApiKey:roostDemoApiSecretThatIsNoSecret */
#define BASIC "Authorization: Basic cm9vc3REZW1vQXBpS2V5OnJvb3N0RGVtb0FwaVNlY3JldFRoYXRJc05vU2VjcmV0\r\n"

struct world {
    struct server server;
    struct simulator_options options;
    char *file;
    int port;
};

static void world_make(struct world *w, unsigned count)
{
    struct buffer lines = BUFFER(1 << 20);
    for (unsigned i = 0; i < count; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s n%u.", i % 4 == 3 ? "tea" : "coffee", i);
        add_tweet(&lines, i, i % 4 == 3 ? "fr" : "en", text);
        if (i % 10 == 9) {
            buffer_add_text(&lines, "{\"delete\":{\"status\":{\"id\":1,\"id_str\":\"1\"}}}\n");
        }
    }
    w->file = temporary_file(buffer_string(&lines));
    buffer_free(&lines);
    w->options = SIMULATOR_OPTIONS;
    w->options.file = w->file;
    w->options.api_1 = false;
    w->options.api_2 = true;
    w->options.at_end = SIMULATOR_CLOSE;
}

static void world_open(struct world *w)
{
    server_start(&w->server, &w->options);
    w->port = simulator_port(w->server.simulator);
}

static void world_close(struct world *w)
{
    server_stop(&w->server);
    unlink(w->file);
    free(w->file);
}

/* Asks, checks the status, and returns the body, which the caller frees. */
static char *body_of(struct world *w, const char *path, const char *post, const char *headers, int status)
{
    struct client c;
    struct buffer body = BUFFER(64 << 20);
    size_t count;
    bool ended;
    client_ask(&c, w->port, path, post, headers);
    client_read_until(&c, NULL, 0);
    client_body(&c, &body, NULL, 0, &count, &ended);
    char *text = strdup(buffer_string(&body));
    cr_expect_eq(client_status(&c), status, "%s %s: %d, not %d: %s", path, post ? post : "",
                 client_status(&c), status, text);
    buffer_free(&body);
    client_close(&c);
    return text;
}

static void expect_body(struct world *w, const char *path, const char *post, const char *headers, int status,
                        const char *part)
{
    char *body = body_of(w, path, post, headers, status);
    cr_expect(strstr(body, part), "%s %s: %s is not in %s", path, post ? post : "", part, body);
    free(body);
}

static void add_rule(struct world *w, const char *value)
{
    char post[300];
    snprintf(post, sizeof post, "{\"add\":[{\"value\":\"%s\",\"tag\":\"t\"}]}", value);
    free(body_of(w, RULES, post, BEARER, 201));
}

Test(api2, gives_tokens_to_who_has_the_keys_and_takes_them_back)
{
    struct world w;
    world_make(&w, 4);
    world_open(&w);
    static const char token[] = "{\"token_type\":\"bearer\",\"access_token\":\"" SIMULATOR_BEARER_TOKEN "\"}";
    expect_body(&w, "/oauth2/token", "grant_type=client_credentials", BASIC, 200, token);
    expect_body(&w, "/oauth2/token", "grant_type=client_credentials", BASIC, 200, token);
    expect_body(&w, "/oauth2/token", "grant_type=client_credentials", "Authorization: Basic YTpi\r\n", 403,
                "{\"errors\":[{\"code\":99,\"label\":\"authenticity_token_error\",\"message\":\"Unable to "
                "verify your "
                "credentials\"}]}");
    expect_body(&w, "/oauth2/token", "grant_type=client_credentials", "", 403, "\"code\":99");
    expect_body(&w, "/oauth2/token", "", BASIC, 403, "\"code\":170");
    expect_body(&w, RULES, NULL, BEARER, 200, "\"result_count\":0");
    expect_body(
        &w, RULES, NULL, "", 401,
        "{\"title\":\"Unauthorized\",\"type\":\"about:blank\",\"status\":401,\"detail\":\"Unauthorized\"}");
    expect_body(&w, RULES, NULL, "Authorization: Bearer x\r\n", 401, "Unauthorized");
    expect_body(&w, RULES, NULL, "Authorization: OAuth oauth_token=\"x\"\r\n", 403,
                "/unsupported-authentication");
    expect_body(&w, "/oauth2/invalidate_token", "access_token=x", BASIC, 401, "errors");
    expect_body(&w, "/oauth2/invalidate_token", "access_token=roostDemoBearerTokenThatIsNoSecret%253D", BASIC,
                200, SIMULATOR_BEARER_TOKEN);
    expect_body(&w, RULES, NULL, BEARER, 401, "Unauthorized");
    expect_body(&w, "/oauth2/token", "grant_type=client_credentials", BASIC, 200, "NoSecret2%3D");
    expect_body(&w, RULES, NULL, "Authorization: Bearer roostDemoBearerTokenThatIsNoSecret2%3D\r\n", 200,
                "meta");
    expect_body(&w, "/1.1/statuses/filter.json", "track=a", "", 404, "");
    world_close(&w);
}

Test(api2, keeps_rules_and_says_what_is_wrong_with_each)
{
    struct world w;
    world_make(&w, 4);
    w.options.rules_maximum = 3;
    w.options.rule_length = 20;
    world_open(&w);
    char *body = body_of(
        &w, RULES, "{\"add\":[{\"value\":\"tea\",\"tag\":\"one\"},{\"value\":\" coffee \"}]}", BEARER, 201);
    cr_expect(strstr(body, "\"value\":\"tea\",\"tag\":\"one\"}"), "%s", body);
    cr_expect(strstr(body, "\"summary\":{\"created\":2,\"not_created\":0,\"valid\":2,\"invalid\":0}"), "%s",
              body);
    char id[40] = "";
    sscanf(body, "{\"data\":[{\"id\":\"%39[0-9]", id);
    free(body);
    expect_body(&w, RULES, "{\"add\":[{\"value\":\"tea\"}]}", BEARER, 200, "/problems/duplicate-rules");
    expect_body(&w, RULES, "{\"add\":[{\"value\":\"h:m\"}]}", BEARER, 400,
                "\"details\":[\"Reference to invalid operator 'h' (at position 1).\",\"Reference to invalid "
                "field 'h' (at "
                "position 1).\"],\"title\":\"UnprocessableEntity\"");
    expect_body(&w, RULES, "{\"add\":[{\"value\":\"aaaaaaaaaaaaaaaaaaaaa\"}]}", BEARER, 400,
                "/problems/rule-length");
    expect_body(&w, RULES, "{\"add\":[{\"value\":\"a\"},{\"value\":\"b\"}]}", BEARER, 201,
                "/problems/rule-cap");
    expect_body(&w, RULES "?ids=1", NULL, BEARER, 200, "\"result_count\":0");
    expect_body(&w, RULES "?max_results=2", NULL, BEARER, 200,
                "\"result_count\":2,\"next_token\":\"roost2\"");
    expect_body(&w, RULES "?max_results=2&pagination_token=roost2", NULL, BEARER, 200, "\"result_count\":1}");
    expect_body(&w, RULES "?max_results=0", NULL, BEARER, 400, "/problems/invalid-request");
    expect_body(&w, RULES "/counts", NULL, BEARER, 200, "\"cap_per_client_app\":3");
    char delete[100];
    snprintf(delete, sizeof delete, "{\"delete\":{\"ids\":[\"%s\",\"1\"]}}", id);
    expect_body(&w, RULES "?dry_run=true", delete, BEARER, 200, "\"deleted\":1,\"not_deleted\":1");
    expect_body(&w, RULES, delete, BEARER, 200, "\"deleted\":1,\"not_deleted\":1");
    expect_body(&w, RULES, delete, BEARER, 200, "\"deleted\":0,\"not_deleted\":2");
    expect_body(&w, RULES, "{\"delete\":{\"values\":[\"coffee\"]}}", BEARER, 200,
                "\"deleted\":1,\"not_deleted\":0");
    expect_body(&w, RULES "?dry_run=true", "{\"add\":[{\"value\":\"x\"},{\"value\":\"x\"}]}", BEARER, 201,
                "\"created\":1,\"not_created\":1");
    expect_body(&w, RULES, NULL, BEARER, 200, "\"result_count\":1}");
    expect_body(&w, RULES "?delete_all=true", "", BEARER, 200, "\"deleted\":1");
    expect_body(&w, RULES, NULL, BEARER, 200, "{\"meta\":{\"sent\":\"");
    static const char *const wrong[] = {"",
                                        "{}",
                                        "[]",
                                        "{\"add\":[]}",
                                        "{\"add\":1}",
                                        "{\"add\":",
                                        "{\"delete\":{}}",
                                        "{\"delete\":{\"ids\":[],\"values\":[]}}",
                                        "{\"add\":[{\"value\":\"a\"}],\"delete\":{\"ids\":[]}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect_body(&w, RULES, wrong[i], BEARER, 400, "/problems/invalid-request");
    }
    expect_body(&w, RULES, "{\"add\":[{\"tag\":\"a\"}]}", BEARER, 400, "/problems/invalid-rules");
    world_close(&w);
}

Test(api2, refuses_a_stream_without_rules_with_wrong_fields_and_the_second_one)
{
    struct world w;
    world_make(&w, 8);
    w.options.at_end = SIMULATOR_HOLD;
    world_open(&w);
    expect_body(&w, STREAM, NULL, BEARER, 409,
                "\"connection_issue\":\"RuleConfigurationIssue\",\"type\":\"https://api.twitter.com/2/"
                "problems/streaming-"
                "connection\"");
    add_rule(&w, "coffee");
    expect_body(&w, STREAM "?tweet.fields=id,nonsense", NULL, BEARER, 400,
                "[id,nonsense] is not one of [id,text,");
    expect_body(&w, STREAM "?nonsense=1", NULL, BEARER, 400, "The query parameter [nonsense] is not one of");
    expect_body(&w, STREAM "?backfill_minutes=2", NULL, BEARER, 400, "access level");
    expect_body(&w, STREAM "?backfill_minutes=6", NULL, BEARER, 400, "between 0 and 5");
    expect_body(&w, STREAM, "", BEARER, 405, "Not Allowed");
    struct client first;
    client_ask(&first, w.port, STREAM, NULL, BEARER);
    client_read_until(&first, "n6.", 1);
    expect_body(&w, STREAM, NULL, BEARER, 429, "\"connection_issue\":\"TooManyConnections\"");
    expect_body(&w, "/2/connections", NULL, BEARER, 200, "\"result_count\":1");
    struct client killer;
    client_open(&killer, w.port, "DELETE /2/connections/all HTTP/1.1\r\nHost: a\r\n" BEARER "\r\n");
    client_read_until(&killer, NULL, 0);
    cr_expect_eq(client_status(&killer), 200);
    client_close(&killer);
    client_read_until(&first, "\"disconnect_type\":\"ForceDisconnect\"", 1);
    client_read_until(&first, NULL, 0);
    client_close(&first);
    expect_body(&w, "/2/connections", NULL, BEARER, 200, "\"result_count\":0");
    /* Eight requests reached the limit of connections, refused ones too. */
    struct client limited;
    char value[200];
    client_ask(&limited, w.port, STREAM "?nonsense=1", NULL, BEARER);
    client_read_until(&limited, NULL, 0);
    cr_expect_str_eq(client_header(&limited, "x-rate-limit-limit", value), "50");
    cr_expect_str_eq(client_header(&limited, "x-rate-limit-remaining", value), "42");
    client_close(&limited);
    world_close(&w);
}

Test(api2, counts_attempts_to_connect_and_says_when_more_are_allowed)
{
    struct world w;
    world_make(&w, 8);
    w.options.max_connects = 2;
    w.options.connect_minutes = 15;
    world_open(&w);
    add_rule(&w, "coffee");
    free(body_of(&w, STREAM, NULL, BEARER, 200));
    free(body_of(&w, STREAM, NULL, BEARER, 200));
    struct client c;
    char value[200];
    client_ask(&c, w.port, STREAM, NULL, BEARER);
    client_read_until(&c, NULL, 0);
    cr_expect_eq(client_status(&c), 429);
    cr_expect_str_eq(client_header(&c, "x-rate-limit-remaining", value), "0");
    long long reset = atoll(client_header(&c, "x-rate-limit-reset", value)), now = (long long)time(NULL);
    cr_expect(reset > now + 800 && reset <= now + 901, "%lld s", reset - now);
    client_close(&c);
    world_close(&w);
}

Test(api2, an_option_lets_the_second_connection_end_the_first)
{
    struct world w;
    world_make(&w, 8);
    w.options.at_end = SIMULATOR_HOLD;
    w.options.second_replaces = true;
    w.options.keep_alive_v2_ms = 50;
    world_open(&w);
    add_rule(&w, "coffee");
    struct client first, second;
    client_ask(&first, w.port, STREAM, NULL, BEARER);
    client_read_until(&first, "n6.", 1);
    client_ask(&second, w.port, STREAM, NULL, BEARER);
    client_read_until(&first, "\"title\":\"operational-disconnect\"", 1);
    client_read_until(&first, NULL, 0);
    cr_expect(first.closed && !first.reset);
    client_close(&first);
    client_read_until(&second, "\r\n", 1);
    cr_expect_eq(client_status(&second), 200);
    client_close(&second);
    world_close(&w);
}

Test(api2, delivers_what_matches_with_its_rules_and_only_what_was_asked_for)
{
    struct world w;
    world_make(&w, 8);
    world_open(&w);
    add_rule(&w, "tea lang:fr");
    add_rule(&w, "n3");
    char *body = body_of(&w, STREAM, NULL, BEARER, 200);
    const char *first = strstr(body, "{\"data\":{\"id\":\"");
    cr_assert(first, "%s", body);
    cr_expect(strstr(first, "\"text\":\"tea n3.\""), "%s", first);
    cr_expect(!strstr(body, "author_id") && !strstr(body, "created_at") && !strstr(body, "includes"), "%s",
              body);
    cr_expect(strstr(body, "\"edit_history_tweet_ids\":[\""), "%s", body);
    cr_expect(!strstr(body, "coffee") && !strstr(body, "delete"), "%s", body);
    unsigned rules = 0, ends = 0;
    for (const char *at = body; (at = strstr(at, "\"tag\":\"t\"")) != NULL; at++) {
        rules++;
    }
    for (const char *at = body; (at = strstr(at, "}]}\r\n")) != NULL; at++) {
        ends++;
    }
    cr_expect_eq(rules, 3, "two rules for one message, one for the other: %s", body);
    cr_expect_eq(ends, 2);
    free(body);
    world_close(&w);
}

Test(api2, a_rule_changes_the_open_stream)
{
    struct world w;
    world_make(&w, 400);
    w.options.rate = 100;
    w.options.loop = true;
    world_open(&w);
    add_rule(&w, "coffee");
    struct client c;
    client_ask(&c, w.port, STREAM, NULL, BEARER "Accept-Encoding: gzip\r\n");
    client_read_until(&c, "coffee", 2);
    add_rule(&w, "tea");
    client_read_until(&c, "tea n", 3);
    free(body_of(&w, RULES, "{\"delete\":{\"values\":[\"coffee\"]}}", BEARER, 200));
    client_read_until(&c, "tea n", 8);
    struct buffer body = BUFFER(1 << 20);
    size_t count;
    bool ended;
    client_body(&c, &body, NULL, 0, &count, &ended);
    const char *text = buffer_string(&body), *last = text;
    for (const char *at = text; (at = strstr(at, "tea n")) != NULL; at++) {
        last = at;
    }
    for (unsigned i = 0; i < 3 && last > text; last--) {
        i += strncmp(last, "tea n", 5) == 0;
    }
    cr_expect(!strstr(last, "coffee"), "long after its rule was deleted: %s", last);
    buffer_free(&body);
    client_close(&c);
    world_close(&w);
}

Test(api2, keeps_the_connection_alive_by_its_own_period)
{
    struct world w;
    world_make(&w, 4);
    w.options.at_end = SIMULATOR_HOLD;
    w.options.keep_alive_v2_ms = 50;
    world_open(&w);
    add_rule(&w, "nothing");
    struct client c;
    client_ask(&c, w.port, STREAM, NULL, BEARER);
    client_read_until(&c, "\r\n", 3);
    client_close(&c);
    world_close(&w);
}

Test(api2, an_enterprise_gets_the_last_minutes_again)
{
    struct world w;
    world_make(&w, 40);
    w.options.rate = 200;
    w.options.enterprise = true;
    w.options.wait_for_client = true;
    w.options.at_end = SIMULATOR_HOLD;
    world_open(&w);
    add_rule(&w, "coffee OR tea");
    struct client c;
    client_ask(&c, w.port, STREAM, NULL, BEARER);
    client_read_until(&c, "tea n39.", 1);
    client_close(&c);
    struct client again;
    client_ask(&again, w.port, STREAM "?backfill_minutes=1", NULL, BEARER);
    client_read_until(&again, "tea n39.", 1);
    struct buffer body = BUFFER(1 << 20);
    size_t count;
    bool ended;
    client_body(&again, &body, NULL, 0, &count, &ended);
    cr_expect_eq(count_of(&body, "matching_rules"), 40);
    const char *text = buffer_string(&body);
    cr_expect(strstr(text, "coffee n0.") < strstr(text, "tea n3."), "older ones first");
    buffer_free(&body);
    client_close(&again);
    world_close(&w);
}

/* "start_time=...&end_time=..." of these moments, the second one not at all with 0. */
static void write_recovery(char *into, size_t size, int64_t start_ms, int64_t end_ms)
{
    char start[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    clock_format(start_ms, start);
    clock_format(end_ms, end);
    int n = snprintf(into, size, STREAM "?start_time=%.19sZ", start);
    if (end_ms) {
        snprintf(into + n, size - (size_t)n, "&end_time=%.19sZ", end);
    }
}

Test(api2, an_enterprise_recovers_what_was_between_two_times_and_then_the_server_closes)
{
    struct world w;
    world_make(&w, 40);
    w.options.rate = 20; /* 40 posts in 2 s */
    w.options.enterprise = true;
    w.options.connections = 1;
    w.options.wait_for_client = true;
    w.options.at_end = SIMULATOR_HOLD;
    world_open(&w);
    add_rule(&w, "coffee OR tea");
    struct client live;
    int64_t begun = clock_wall_ms();
    client_ask(&live, w.port, STREAM, NULL, BEARER);
    client_read_until(&live, "tea n39.", 1);
    char path[200];
    /* Times have whole seconds; the last post was due 1.95 s after the first. The open stream is not one of
     * the jobs. */
    write_recovery(path, sizeof path, begun - 60000, 0);
    char *all = body_of(&w, path, NULL, BEARER, 200);
    cr_expect(strstr(all, "coffee n0.") && strstr(all, "tea n39."), "%s", all);
    cr_expect(strstr(all, "coffee n0.") < strstr(all, "tea n3."), "older ones first");
    free(all);
    write_recovery(path, sizeof path, begun - 60000, begun + 1500);
    char *some = body_of(&w, path, NULL, BEARER, 200);
    cr_expect(!strstr(some, "tea n39."), "the end is not in it");
    free(some);
    write_recovery(path, sizeof path, begun - 60000, begun - 50000);
    expect_body(&w, path, NULL, BEARER, 200, "");
    client_close(&live);
    world_close(&w);
}

Test(api2, a_recovery_that_cannot_be_is_refused)
{
    struct world w;
    char path[200];
    int64_t now = clock_wall_ms();
    world_make(&w, 4);
    world_open(&w);
    add_rule(&w, "coffee OR tea");
    write_recovery(path, sizeof path, now - 60000, 0);
    expect_body(&w, path, NULL, BEARER, 400, "access level");
    world_close(&w);
    world_make(&w, 4);
    w.options.enterprise = true;
    world_open(&w);
    add_rule(&w, "coffee OR tea");
    write_recovery(path, sizeof path, now - 25 * 3600 * 1000, 0);
    expect_body(&w, path, NULL, BEARER, 400, "within the last 24 hours");
    write_recovery(path, sizeof path, now - 60000, now - 61000);
    expect_body(&w, path, NULL, BEARER, 400, "behind `start_time`");
    expect_body(&w, STREAM "?end_time=2026-07-01T00:00:00Z", NULL, BEARER, 400, "needs a `start_time`");
    expect_body(&w, STREAM "?start_time=2026-07-01", NULL, BEARER, 400, "YYYY-MM-DDTHH:mm:ssZ");
    world_close(&w);
}

Test(api2, an_account_whose_posts_are_used_up_gets_no_more_of_them)
{
    struct world w;
    world_make(&w, 40);
    w.options.usage_cap = 25;
    w.options.at_end = SIMULATOR_HOLD;
    world_open(&w);
    add_rule(&w, "coffee OR tea");
    expect_body(&w, "/2/usage/tweets", NULL, BEARER, 200, "\"project_cap\":\"25\"");
    char *body = body_of(&w, STREAM, NULL, BEARER, 200);
    cr_expect(strstr(body, "n24.") && !strstr(body, "n25."), "%s", body);
    const char *last = strstr(body, "{\"errors\":[{\"title\":\"UsageCapExceeded\"");
    cr_assert(last, "%s", body);
    cr_expect(strstr(last, "\"period\":\"Monthly\",\"scope\":\"Product\"") &&
                  strstr(last, "/2/problems/usage-capped\"}]}"),
              "%s", last);
    free(body);
    expect_body(&w, STREAM, NULL, BEARER, 429, "/2/problems/usage-capped\"}");
    expect_body(&w, "/2/usage/tweets", NULL, BEARER, 200, "\"project_usage\":\"25\"");
    expect_body(&w, RULES, NULL, BEARER, 200, "\"result_count\":1");
    world_close(&w);
}

Test(api2, an_account_without_the_access_level_gets_neither_stream_nor_rules)
{
    static const char *const paths[] = {STREAM, RULES, RULES "/counts"};
    struct world w;
    world_make(&w, 4);
    w.options.not_enrolled = true;
    world_open(&w);
    expect_body(&w, "/oauth2/token", "grant_type=client_credentials", BASIC, 200, "bearer");
    for (size_t i = 0; i < 3; i++) {
        expect_body(&w, paths[i], NULL, BEARER, 403, "\"reason\":\"client-not-enrolled\"");
    }
    expect_body(&w, RULES, "{\"add\":[{\"value\":\"tea\"}]}", BEARER, 403, "/2/problems/client-forbidden");
    world_close(&w);
}

/* ---- the sample as payloads ---- */

static struct posts *sample_posts(struct playlist **list, size_t count)
{
    struct err e;
    struct buffer lines = BUFFER((size_t)1 << 30);
    cr_assert_eq(sample_write(count, 7, SAMPLE_START_MS, &lines, &e), 0);
    *list = playlist_from(&lines, NULL, &e);
    struct posts *posts = posts_make(*list, true, &e);
    cr_assert(posts);
    return posts;
}

static bool holds_null(const cJSON *json)
{
    for (const cJSON *child = json->child; child; child = child->next) {
        if (cJSON_IsNull(child) || holds_null(child)) {
            return true;
        }
    }
    return false;
}

Test(payloads, the_sample_has_everything_that_v2_can_say)
{
    static const char *const parts[] = {"\"note_tweet\":{\"text\":",
                                        "\"type\":\"retweeted\"",
                                        "\"type\":\"quoted\"",
                                        "\"type\":\"replied_to\"",
                                        "\"withheld\":{\"copyright\":false,\"country_codes\":[",
                                        "\"errors\":[{\"value\":\"",
                                        "\"places\":[{",
                                        "\"media\":[{",
                                        "\"coordinates\":{\"type\":\"Point\"",
                                        "\"cashtags\":[{",
                                        "\"in_reply_to_user_id\":\"",
                                        "\"edits_remaining\":4"};
    struct playlist *list;
    struct posts *posts = sample_posts(&list, 3000);
    size_t found[sizeof parts / sizeof *parts] = {0};
    for (size_t i = 0; i < playlist_count(list); i++) {
        const struct posts_item *item = posts_at(posts, i);
        cr_assert_eq(item->payload.at != NULL, playlist_at(list, i)->tweet);
        if (!item->payload.at) {
            continue;
        }
        cJSON *json = cJSON_ParseWithLength(item->payload.at, item->payload.length);
        cr_assert(json && !holds_null(json), "%.*s", VIEW_PRINT(item->payload));
        const cJSON *data = json_member(json, "data");
        const cJSON *history = json_member(data, "edit_history_tweet_ids");
        const cJSON *last = cJSON_GetArrayItem(history, cJSON_GetArraySize(history) - 1);
        cr_expect_str_eq(last->valuestring, json_text(data, "id").at,
                         "the newest version is the post itself");
        cr_expect(json_text(data, "author_id").at && json_text(data, "created_at").length == 24);
        cJSON_Delete(json);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            found[p] += memmem(item->payload.at, item->payload.length, parts[p], strlen(parts[p])) != NULL;
        }
    }
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        cr_expect(found[p], "no payload has %s", parts[p]);
    }
    posts_free(posts);
    playlist_free(list);
}

static void read_fields(const char *query, struct fields *fields)
{
    struct parameters p = {0};
    struct err e;
    struct buffer errors = BUFFER(4096);
    *fields = (struct fields){0};
    cr_assert_eq(parameters_add_form(&p, view_of(query), &e), 0);
    cr_assert_eq(fields_read(&p, fields, &errors), 0, "%s", buffer_string(&errors));
    buffer_free(&errors);
    parameters_free(&p);
}

Test(payloads, an_expansion_brings_what_it_names_and_no_more)
{
    static const char payload[] =
        "{\"data\":{\"id\":\"5\",\"text\":\"a \\\"b\\\" "
        "}\",\"author_id\":\"1\",\"note_tweet\":{\"text\":\"n\"},"
        "\"referenced_tweets\":[{\"type\":\"quoted\",\"id\":\"4\"}],\"edit_history_tweet_ids\":[\"5\"],"
        "\"entities\":{\"mentions\":[{\"username\":\"carl\",\"id\":\"3\"}]},\"geo\":{\"place_id\":\"p\"}},"
        "\"includes\":{\"users\":[{\"id\":\"1\",\"name\":\"A\",\"username\":\"ada\",\"verified\":true},{"
        "\"id\":\"2\","
        "\"name\":\"B\",\"username\":\"bob\"},{\"id\":\"3\",\"name\":\"C\",\"username\":\"carl\"}],"
        "\"tweets\":[{\"id\":\"4\",\"text\":\"q\",\"author_id\":\"2\"},{\"id\":\"9\",\"text\":\"other\"}],"
        "\"places\":[{\"id\":\"p\",\"full_name\":\"P\",\"country\":\"X\"}]},"
        "\"errors\":[{\"parameter\":\"referenced_tweets.id\",\"value\":\"8\"}],\"matching_rules\":[{\"id\":"
        "\"0\"}]}";
    static const char *const rows[][2] = {
        {"", "{\"data\":{\"id\":\"5\",\"text\":\"a \\\"b\\\" "
             "}\",\"edit_history_tweet_ids\":[\"5\"]},\"matching_rules\":[1]}"},
        {"tweet.fields=note_tweet,geo", "{\"data\":{\"id\":\"5\",\"text\":\"a \\\"b\\\" "
                                        "}\",\"note_tweet\":{\"text\":\"n\"},\"edit_history_tweet_ids\":["
                                        "\"5\"],\"geo\":{\"place_id\":\"p\"}},\"matching_"
                                        "rules\":[1]}"},
        {"expansions=author_id&user.fields=verified",
         "{\"data\":{\"id\":\"5\",\"text\":\"a \\\"b\\\" "
         "}\",\"author_id\":\"1\",\"edit_history_tweet_ids\":[\"5\"]},\"includes\":{\"users\":[{\"id\":\"1\","
         "\"name\":\"A\","
         "\"username\":\"ada\",\"verified\":true}]},\"matching_rules\":[1]}"},
        {"expansions=referenced_tweets.id",
         "{\"data\":{\"id\":\"5\",\"text\":\"a \\\"b\\\" "
         "}\",\"referenced_tweets\":[{\"type\":\"quoted\",\"id\":\"4\"}],\"edit_history_tweet_ids\":[\"5\"]},"
         "\"includes\":{\"tweets\":[{\"id\":\"4\",\"text\":\"q\"}]},\"errors\":[{\"parameter\":\"referenced_"
         "tweets.id\","
         "\"value\":\"8\"}],\"matching_rules\":[1]}"},
        {"user.fields=verified", "{\"data\":{\"id\":\"5\",\"text\":\"a \\\"b\\\" "
                                 "}\",\"edit_history_tweet_ids\":[\"5\"]},\"matching_rules\":[1]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fields fields;
        struct buffer into = BUFFER(1 << 16);
        read_fields(rows[i][0], &fields);
        fields_project(&fields, view_of(payload), VIEW("[1]"), view_none(), &into);
        cr_expect_str_eq(buffer_string(&into), rows[i][1], "%s", rows[i][0]);
        buffer_free(&into);
    }
    struct fields fields;
    struct buffer into = BUFFER(1 << 16);
    read_fields(
        "expansions=referenced_tweets.id.author_id,entities.mentions.username&tweet.fields=note_tweet",
        &fields);
    fields.newer_names = true;
    fields_project(&fields, view_of(payload), view_none(), VIEW("{\"x\":1}"), &into);
    const char *text = buffer_string(&into);
    cr_expect(strstr(text, "\"note_post\":{") && strstr(text, "\"referenced_posts\":[") &&
                  strstr(text, "\"edit_history_post_ids\":["),
              "%s", text);
    cr_expect(strstr(text, "\"users\":[{\"id\":\"2\",\"name\":\"B\",\"username\":\"bob\"},{\"id\":\"3\""),
              "%s", text);
    cr_expect(strstr(text, "\"errors\":[{\"x\":1}"), "%s", text);
    buffer_free(&into);
}

Test(payloads, fresh_ids_keep_references_right)
{
    struct world w;
    world_make(&w, 4);
    w.options.file = NULL;
    w.options.sample_count = 400;
    w.options.fresh_ids = true;
    w.options.no_filter = true;
    world_open(&w);
    char *body =
        body_of(&w, STREAM "?expansions=referenced_tweets.id&tweet.fields=created_at", NULL, BEARER, 200);
    size_t messages = 0, references = 0;
    for (char *line = body, *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        struct view text = view_make(line, (size_t)(end - line)), data = json_scan_member(text, "data");
        cJSON *json = cJSON_ParseWithLength(text.at, text.length);
        cr_assert(json);
        long long id = atoll(json_text(json_member(json, "data"), "id").at), ms = (id >> 22) + 1288834974657;
        cr_expect(ms / 1000 >= time(NULL) - 100 && ms / 1000 <= time(NULL) + 100, "%.*s", VIEW_PRINT(data));
        messages++;
        const cJSON *tweet = cJSON_GetArrayItem(json_member(json_member(json, "includes"), "tweets"), 0);
        const cJSON *reference =
            cJSON_GetArrayItem(json_member(json_member(json, "data"), "referenced_tweets"), 0);
        if (tweet && reference &&
            cJSON_GetArraySize(json_member(json_member(json, "data"), "referenced_tweets")) == 1) {
            cr_expect_str_eq(json_text(tweet, "id").at, json_text(reference, "id").at);
            references++;
        }
        cJSON_Delete(json);
    }
    cr_expect(messages > 300 && references > 50, "%zu, %zu", messages, references);
    free(body);
    world_close(&w);
}
