/* What the sources ask for is told once, whole, in events that fit, and again only when nobody can know it.
 */
#include "ingest/versions.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "ingest/x_v2_version.h"
#include "tests/ingest/support/keywords.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EVENTS_MOST = 1000 };

/* A spool that takes `room` events more, and says itself what is synced. */
struct fixture {
    uv_loop_t loop;
    char folder[64], path[128];
    struct keyword_set set;
    struct versions *versions;
    char *bodies[EVENTS_MOST];
    size_t count, room;
    size_t offered;
    bool syncs;
};

static int publish(void *user, const struct post *event, struct err *e)
{
    struct fixture *f = user;
    struct buffer frame = BUFFER(POST_MAXIMUM_BYTES);
    f->offered++;
    if (!f->room) {
        return err_set(e, ERR_RETRY, "full");
    }
    f->room--;
    post_write(&frame, event);
    cr_assert(not(buffer_failed(&frame)));
    buffer_free(&frame);
    cr_assert(eq(int, event->kind, POST_KEYWORDS));
    cr_assert(view_is(event->network, "x"));
    cr_assert(lt(sz, event->body.length, VERSION_BODY_MAXIMUM));
    cr_assert(lt(sz, f->count, EVENTS_MOST));
    f->bodies[f->count++] = view_copy(event->body);
    return 0;
}

static void count_frames(void *user, uint64_t *appended, uint64_t *held)
{
    const struct fixture *f = user;
    *appended = f->count;
    *held = f->syncs ? f->count : 0;
}

static void reopen(struct fixture *f)
{
    struct err e;
    const struct versions_spool spool = {publish, count_frames, f};
    if (f->versions) {
        versions_close(f->versions, NULL, NULL);
        uv_run(&f->loop, UV_RUN_DEFAULT);
    }
    f->versions = versions_open(&f->loop, f->path, &spool, &e);
    cr_assert(ne(ptr, f->versions, NULL));
}

static void make(struct fixture *f)
{
    *f = (struct fixture){.room = EVENTS_MOST, .syncs = true};
    snprintf(f->folder, sizeof f->folder, "/tmp/roost-test-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(f->folder), NULL));
    snprintf(f->path, sizeof f->path, "%s/keyword_versions", f->folder);
    cr_assert(eq(int, uv_loop_init(&f->loop), 0));
    keyword_set_begin(&f->set);
    reopen(f);
}

static void drop(struct fixture *f)
{
    versions_close(f->versions, NULL, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    for (size_t i = 0; i < f->count; i++) {
        free(f->bodies[i]);
    }
    keyword_set_end(&f->set);
    unlink(f->path);
    cr_expect(eq(int, rmdir(f->folder), 0));
}

/* The whole list as one rule. */
static void tell_at(struct fixture *f, int64_t since)
{
    const struct filter_settings *filter = &f->set.filter;
    uint32_t *lines = calloc(filter->keyword_count, sizeof *lines);
    for (uint32_t i = 0; i < filter->keyword_count; i++) {
        lines[i] = i;
    }
    const struct version_rule rule = {
        .value = VIEW("asked"), .lines = lines, .line_count = filter->keyword_count};
    struct version version = {
        .network = "x", .filter = filter, .rules = &rule, .rule_count = 1, .since = since};
    version_name(filter, version.name);
    versions_tell(f->versions, "my source", &version);
    free(lines);
}

/* A member of an event's body, which the caller frees. */
static char *text_of(const struct fixture *f, size_t event, const char *key)
{
    cJSON *body = cJSON_Parse(f->bodies[event]);
    char *text = view_copy(json_text(body, key));
    cJSON_Delete(body);
    return text;
}

static int64_t since_of(const struct fixture *f, size_t event)
{
    char *text = text_of(f, event, "since");
    int64_t at;
    cr_assert(eq(int, clock_parse(view_of(text), &at), 0));
    free(text);
    return at;
}

static void expect_same(const struct fixture *f, size_t one, size_t other, const char *key, bool same)
{
    char *a = text_of(f, one, key), *b = text_of(f, other, key);
    cr_expect(eq(int, strcmp(a, b) == 0, same), "%s: %s, %s", key, a, b);
    free(a);
    free(b);
}

Test(versions, a_list_is_told_once_and_its_change_too_over_restarts)
{
    struct fixture f;
    make(&f);
    keyword_set_add(&f.set, "tea");
    tell_at(&f, 1000);
    tell_at(&f, 2000);
    cr_assert(eq(sz, f.count, 1));
    reopen(&f);
    tell_at(&f, 3000);
    cr_assert(eq(sz, f.count, 1));
    keyword_set_add(&f.set, "\"coffee, black\"");
    tell_at(&f, 4000);
    reopen(&f);
    tell_at(&f, 5000);
    cr_assert(eq(sz, f.count, 2));
    cr_expect(eq(i64, since_of(&f, 0), 1000));
    cr_expect(eq(i64, since_of(&f, 1), 4000));
    expect_same(&f, 0, 1, "version", false);
    cr_expect(ne(ptr, strstr(f.bodies[1], "\"keywords\":[\"tea\",\"\\\"coffee, black\\\"\"]"), NULL), "%s",
              f.bodies[1]);
    drop(&f);
}

Test(versions, a_clock_that_was_set_back_does_not_turn_the_order_around)
{
    struct fixture f;
    make(&f);
    keyword_set_add(&f.set, "tea");
    tell_at(&f, 5000);
    reopen(&f);
    keyword_set_add(&f.set, "coffee");
    tell_at(&f, 1000);
    cr_assert(eq(sz, f.count, 2));
    cr_expect(eq(i64, since_of(&f, 1), 5001));
    drop(&f);
}

Test(versions, what_the_spool_did_not_hold_yet_is_told_again_with_the_same_contents)
{
    struct fixture f;
    make(&f);
    f.syncs = false;
    keyword_set_add(&f.set, "tea");
    tell_at(&f, 1000);
    cr_expect(eq(int, access(f.path, F_OK), -1), "the file came before the events were held");
    reopen(&f);
    f.syncs = true;
    tell_at(&f, 2000);
    cr_assert(eq(sz, f.count, 2));
    expect_same(&f, 0, 1, "version", true);
    expect_same(&f, 0, 1, "contents", true);
    reopen(&f); /* closing waits for the worker that writes it */
    cr_expect(eq(int, access(f.path, F_OK), 0));
    drop(&f);
}

Test(versions, what_finds_no_room_is_told_later_in_order_and_each_part_once)
{
    struct fixture f;
    make(&f);
    f.room = 1;
    for (int i = 0; i < 30000; i++) {
        char line[64];
        snprintf(line, sizeof line, "a long keyword of number %d", i);
        keyword_set_add(&f.set, line);
    }
    tell_at(&f, 1000);
    cr_assert(eq(sz, f.count, 1));
    size_t offered = f.offered;
    while (f.offered == offered) { /* it tries again by itself */
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    cr_assert(eq(sz, f.count, 1));
    f.room = EVENTS_MOST;
    uv_run(&f.loop, UV_RUN_DEFAULT); /* ends when nothing waits */
    cr_assert(gt(sz, f.count, 2));
    for (size_t i = 0; i < f.count; i++) {
        cJSON *body = cJSON_Parse(f.bodies[i]);
        cr_expect(eq(i64, json_number(body, "part", 0), (int64_t)i + 1));
        cr_expect(eq(i64, json_number(body, "parts", 0), (int64_t)f.count));
        cJSON_Delete(body);
        cr_expect(eq(i64, since_of(&f, i), 1000));
    }
    drop(&f);
}

/* One rule may come from the whole list: the same words in another case and order. */
Test(versions, a_hundred_thousand_lines_of_one_rule_cross_each_once)
{
    enum { LINES = 100000 };
    struct fixture f;
    static bool seen[LINES];
    int64_t number = 0;
    make(&f);
    for (int i = 0; i < LINES; i++) {
        char line[64];
        snprintf(line, sizeof line, "\"keyword number %d\"", i);
        keyword_set_add(&f.set, line);
    }
    tell_at(&f, 1000);
    for (size_t i = 0; i < f.count; i++) {
        cJSON *body = cJSON_Parse(f.bodies[i]);
        for (const cJSON *rule = json_member(body, "rules")->child; rule; rule = rule->next) {
            cr_assert(eq(i64, json_number(rule, "number", 0), ++number));
            cr_assert(view_is(json_text(rule, "rule"), "asked"));
            for (const cJSON *line = json_member(rule, "keywords")->child; line; line = line->next) {
                int at;
                cr_assert(eq(int, sscanf(line->valuestring, "\"keyword number %d\"", &at), 1));
                cr_assert(not(seen[at]));
                seen[at] = true;
            }
        }
        cJSON_Delete(body);
    }
    for (int i = 0; i < LINES; i++) {
        cr_assert(seen[i], "line %d", i);
    }
    drop(&f);
}

static bool none(void *user, const char *source)
{
    (void)user;
    cr_expect(eq(str, (char *)source, (char *)"my source"));
    return false;
}

static bool all(void *user, const char *source)
{
    (void)user, (void)source;
    return true;
}

Test(versions, end_when_the_source_leaves_the_configuration_and_begin_again_with_it)
{
    struct fixture f;
    make(&f);
    keyword_set_add(&f.set, "tea");
    tell_at(&f, 1000);
    reopen(&f);
    versions_forget(f.versions, all, NULL);
    cr_assert(eq(sz, f.count, 1));
    f.room = 0;
    versions_forget(f.versions, none, NULL);
    cr_assert(eq(sz, f.count, 1));
    reopen(&f); /* nobody took the end: it is not forgotten */
    f.room = EVENTS_MOST;
    versions_forget(f.versions, none, NULL);
    cr_assert(eq(sz, f.count, 2));
    char *ended = text_of(&f, 1, "ended_at");
    cr_expect(ended && *ended, "%s", f.bodies[1]);
    free(ended);
    reopen(&f);
    versions_forget(f.versions, none, NULL); /* is not asked: nothing is known */
    cr_assert(eq(sz, f.count, 2));
    tell_at(&f, 2000);
    cr_assert(eq(sz, f.count, 3));
    drop(&f);
}

Test(versions, a_file_that_is_none_costs_a_second_telling)
{
    struct fixture f;
    struct err e;
    make(&f);
    keyword_set_add(&f.set, "tea");
    tell_at(&f, 1000);
    reopen(&f); /* closing waits for the worker that writes it */
    cr_assert(eq(int, file_replace(f.path, VIEW("\xff\xfe garbage\n12345678 9\n"), 0600, &e), 0));
    reopen(&f);
    tell_at(&f, 2000);
    cr_assert(eq(sz, f.count, 2));
    drop(&f);
}

static void tell_fixture(void *user, const struct version *version)
{
    struct fixture *f = user;
    versions_tell(f->versions, "x", version);
}

Test(versions, of_x_v2_name_the_rules_as_they_stand_on_the_server_and_lines_in_no_rule)
{
    struct fixture f;
    struct err e;
    make(&f);
    keyword_set_fill(&f.set, (const char *[]){"tea", "= from:ada", "-sugar", "= from:cy", NULL});
    struct rules *rules = keyword_set_rules(&f.set, "x", 1024, 1000);
    struct arena *a = arena_new(1 << 20);
    cr_assert(rules && a);
    struct rules_held held[] = {{VIEW("5"), VIEW("from:ada"), VIEW("roost:x:00000000:1")},
                                {VIEW("6"), VIEW("from:cy"), {0}},
                                {VIEW("7"), rules->items[0].value, rules->items[0].tag}};
    struct x_v2_rules_state state = {.rules = rules, .held = held, .held_count = 3};
    struct x_v2_rules_result result = {.state = &state, .begun_at = 1000};
    cr_assert(eq(int, rules_change_find(rules, held, 3, a, &state.change, &e), 0));
    x_v2_version_tell(&result, tell_fixture, &f);
    cr_assert(eq(sz, f.count, 1));
    const char *body = f.bodies[0];
    cr_expect(ne(ptr, strstr(body, rules->version), NULL), "%s", body);
    cr_expect(
        ne(ptr,
           strstr(body, "\"id\":\"5\",\"tag\":\"roost:x:00000000:1\",\"rule\":\"from:ada\",\"keywords\":["
                        "\"= from:ada\"]"),
           NULL),
        "%s", body);
    cr_expect(ne(ptr, strstr(body, "\"id\":\"6\",\"rule\":\"from:cy\",\"keywords\":[\"= from:cy\"]"), NULL),
              "%s", body);
    cr_expect(ne(ptr, strstr(body, "\"id\":\"7\",\"tag\":\"roost:x:"), NULL), "%s", body);
    cr_expect(ne(ptr, strstr(body, "{\"number\":4,\"keywords\":[\"-sugar\"]}"), NULL), "%s", body);
    x_v2_version_tell(&result, tell_fixture, &f);
    cr_expect(eq(sz, f.count, 1));
    held[0].id = VIEW("55"); /* somebody removed it, and it was added again */
    x_v2_version_tell(&result, tell_fixture, &f);
    cr_assert(eq(sz, f.count, 2));
    expect_same(&f, 0, 1, "version", true);
    expect_same(&f, 0, 1, "contents", false);
    rules_free(rules);
    arena_free(a);
    drop(&f);
}
