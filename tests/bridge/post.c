/* The post's JSON: what is written comes back, and nothing else is believed. */
#include "bridge/post.h"
#include "base/clock.h"
#include "base/json_scan.h"
#include "base/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct view field_view(const struct post *p, const struct post_field *f)
{
    return *(const struct view *)((const char *)p + f->offset);
}

static struct view_list field_list(const struct post *p, const struct post_field *f)
{
    return *(const struct view_list *)((const char *)p + f->offset);
}

static bool same_list(struct view_list a, struct view_list b)
{
    bool same = a.count == b.count && !a.items == !b.items;
    for (size_t i = 0; same && i < a.count; i++) {
        same = view_equal(a.items[i], b.items[i]);
    }
    return same;
}

static bool same_real(double a, double b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static bool same_field(const struct post *a, const struct post *b, const struct post_field *f)
{
    const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    switch (f->type) {
    case POST_TEXT:
    case POST_JSON:
        return view_equal(field_view(a, f), field_view(b, f));
    case POST_LIST:
        return same_list(field_list(a, f), field_list(b, f));
    case POST_NUMBER:
    case POST_TIME:
        return *(const int64_t *)x == *(const int64_t *)y;
    case POST_FLAG:
        return *(const int *)x == *(const int *)y;
    case POST_REAL:
        return same_real(*(const double *)x, *(const double *)y);
    }
    return false;
}

static void expect_same(const struct post *a, const struct post *b, const char *line)
{
    cr_assert_eq(a->kind, b->kind, "kind differs: %s", line);
    for (size_t i = 0; i < post_field_count; i++) {
        if (post_fields[i].use & POST_ON_BRIDGE) {
            cr_assert(same_field(a, b, &post_fields[i]), "%s differs: %s", post_fields[i].name, line);
        }
    }
    cr_assert(view_equal(a->body, b->body), "body differs: %s", line);
}

static struct view random_text(struct random *r, struct arena *a)
{
    static const char *const pieces[] = {"a",       "é",  "日本", "\U0001F370", "\"", "\\",     "\n",
                                         "\r",      "\t", "\x01", "\x7f",       "/",  " ",      "__end",
                                         "\\u0000", "{",  "]",    ",",          ":",  "\u2028", "\uFFFF"};
    char text[256];
    size_t n = 0, count = random_below(r, 12);
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[random_below(r, sizeof pieces / sizeof pieces[0])];
        memcpy(text + n, piece, strlen(piece));
        n += strlen(piece);
    }
    return arena_view(a, view_make(text, n));
}

static void fill_field(struct random *r, struct arena *a, struct post *p, const struct post_field *f)
{
    char *at = (char *)p + f->offset;
    switch (f->type) {
    case POST_TEXT:
        *(struct view *)at = random_text(r, a);
        break;
    case POST_LIST: {
        struct view_list list = {arena_zeroed(a, 4, sizeof(struct view)), 1 + random_below(r, 4)};
        for (size_t i = 0; i < list.count; i++) {
            ((struct view *)list.items)[i] = random_text(r, a);
        }
        *(struct view_list *)at = list;
        break;
    }
    case POST_NUMBER:
        *(int64_t *)at = (int64_t)(random_next(r) >> 11) - (INT64_C(1) << 52);
        break;
    case POST_TIME:
        *(int64_t *)at = (int64_t)random_below(r, INT64_C(253402300800000));
        break;
    case POST_FLAG:
        *(int *)at = (int)random_below(r, 2);
        break;
    case POST_REAL:
        *(double *)at = ((double)random_next(r) / 1e17 - 90) * (random_below(r, 2) ? 1 : 1e-9);
        break;
    case POST_JSON:
        *(struct view *)at =
            VIEW("{\"a\" : [1.50e2, \"\\u00e9\\\"}\", {\"b\":null}],\"id\":1050118621198921729 }");
        break;
    }
}

Test(post, round_trip_of_any_post_is_identity)
{
    struct random r = {20260417};
    struct arena *made = arena_new(1 << 20), *read = arena_new(1 << 20);
    struct buffer b = BUFFER(1 << 20), again = BUFFER(1 << 20);
    for (int round = 0; round < 2000; round++) {
        struct post p, q;
        struct err e;
        post_init(&p);
        p.kind = (enum post_kind)random_below(&r, POST_KIND_COUNT);
        for (size_t i = 0; i < post_field_count; i++) {
            if ((post_fields[i].use & POST_ON_BRIDGE) && random_below(&r, 3)) {
                fill_field(&r, made, &p, &post_fields[i]);
            }
        }
        if (!p.text.at && p.kind == POST_POST) {
            p.text = VIEW("");
        }
        if (p.kind != POST_POST) {
            p.body = VIEW("{ \"limit\" : {\"track\":12} }");
        }
        post_write(&b, &p);
        cr_assert_not(buffer_failed(&b));
        cr_assert_null(memchr(b.data, '\n', b.length));
        cr_assert_eq(post_read(buffer_view(&b), read, &q, &e), 0, "%s: %.*s", e.text, (int)b.length, b.data);
        expect_same(&p, &q, buffer_string(&b));
        post_write(&again, &q);
        cr_assert(view_equal(buffer_view(&b), buffer_view(&again)));
        buffer_reset(&b);
        buffer_reset(&again);
        arena_reset(made);
        arena_reset(read);
    }
    buffer_free(&b);
    buffer_free(&again);
    arena_free(made);
    arena_free(read);
}

static void expect_written(const struct post *p, const char *line)
{
    struct buffer b = BUFFER(1 << 16);
    post_write(&b, p);
    cr_assert_str_eq(buffer_string(&b), line);
    buffer_free(&b);
}

Test(post, the_public_form_is_one_line_with_absent_fields_left_out)
{
    struct post p;
    post_init(&p);
    p.network = VIEW("x");
    p.id = VIEW("1050118621198921728");
    p.created_at = INT64_C(1539202764211);
    p.text = VIEW("Tea & \"cake\"\n\xF0\x9F\x8D\xB0");
    p.hashtags = (struct view_list){(struct view[]){VIEW("lunch")}, 1};
    p.is_retweet = 0;
    p.likes = 0;
    p.latitude = 47.5;
    expect_written(
        &p, "{\"v\":1,\"kind\":\"post\",\"network\":\"x\",\"id\":\"1050118621198921728\","
            "\"created_at\":\"2018-10-10T20:19:24.211Z\",\"text\":\"Tea & \\\"cake\\\"\\n\xF0\x9F\x8D\xB0\","
            "\"hashtags\":[\"lunch\"],\"is_retweet\":false,\"likes\":0,\"latitude\":47.5}");
}

Test(post, line_breaks_in_raw_and_body_become_spaces)
{
    struct post p;
    post_init(&p);
    p.kind = POST_LIMIT;
    p.body = VIEW("{\"limit\":\r\n{}}");
    expect_written(&p, "{\"v\":1,\"kind\":\"limit\",\"body\":{\"limit\":  {}}}");
}

/* 0 or -1; *kept gets the error's text. The copy has no byte to spare, so that a sanitizer sees one read too
 * far. */
static int read_bytes(struct view json, struct post *p, char *kept)
{
    struct arena *a = arena_new(16 << 20);
    struct err e = {.text = ""};
    char *copy = malloc(json.length ? json.length : 1);
    memcpy(copy, json.at, json.length);
    int result = post_read(view_make(copy, json.length), a, p, &e);
    if (result) {
        cr_assert_eq(e.kind, ERR_REJECT, "%s", e.text);
        cr_assert(strncmp(e.text, "post: ", 6) == 0);
    }
    strncpy(kept, e.text, ERR_TEXT_SIZE - 1);
    free(copy);
    arena_free(a);
    return result;
}

static void expect_reject(const char *json, const char *part)
{
    struct post p;
    char text[ERR_TEXT_SIZE] = "";
    cr_assert_eq(read_bytes(view_of(json), &p, text), -1, "taken: %s", json);
    cr_assert(strstr(text, part), "\"%s\" has no \"%s\"", text, part);
}

Test(post, broken_json_is_refused_with_its_place)
{
    expect_reject("", "no whole JSON object");
    expect_reject("   ", "no whole JSON object");
    expect_reject("{", "no whole JSON object");
    expect_reject("[]", "no whole JSON object");
    expect_reject("{\"v\":1,", "no whole JSON object");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"id\":\"1", "no whole JSON object");
    expect_reject("{\"v\":1,}", "at byte 7");
    expect_reject("{\"v\":1 \"kind\":\"post\"}", "at byte 7");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"id\":\"\\ud83d\"}", "no JSON");
    expect_reject("{\"v\":1,\"kind\":\"post\"}{}", "no JSON, at byte 21");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"id\":\"\xC3\x28\"}", "not UTF-8");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"id\":\"a\\u0000b\"}", "U+0000");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"id\":\"a\\\\\\u0000b\"}", "U+0000");
    char text[ERR_TEXT_SIZE];
    struct post p;
    cr_assert_eq(read_bytes(view_make("{\"v\":1,\"kind\":\"post\",\"id\":\"\0\"}", 30), &p, text), -1);
    cr_assert_eq(read_bytes(VIEW("{\"v\":1,\"kind\":\"post\",\"id\":\"\\\\u0000\"}"), &p, text), 0, "%s",
                 text);
}

Test(post, another_version_or_kind_is_refused)
{
    expect_reject("{}", "version 0");
    expect_reject("{\"v\":2,\"kind\":\"post\"}", "version 2");
    expect_reject("{\"v\":\"1\",\"kind\":\"post\"}", "version 0");
    expect_reject("{\"v\":1}", "kind");
    expect_reject("{\"v\":1,\"kind\":\"Post\"}", "\"kind\" at byte 14");
    expect_reject("{\"v\":1,\"kind\":7}", "\"kind\"");
}

Test(post, every_field_of_a_wrong_type_is_named)
{
    static const char *const wrong[] = {
        [POST_TEXT] = "7",     [POST_LIST] = "[\"a\",7]",     [POST_NUMBER] = "1.5", [POST_FLAG] = "\"true\"",
        [POST_REAL] = "\"1\"", [POST_TIME] = "\"yesterday\"", [POST_JSON] = "01"};
    for (size_t i = 0; i < post_field_count; i++) {
        if (!(post_fields[i].use & POST_ON_BRIDGE)) {
            continue;
        }
        char json[200], part[100];
        snprintf(json, sizeof json, "{\"v\":1,\"kind\":\"post\", \"%s\" : %s}", post_fields[i].name,
                 wrong[post_fields[i].type]);
        snprintf(part, sizeof part, "\"%s\" at byte %zu", post_fields[i].name,
                 27 + strlen(post_fields[i].name));
        expect_reject(json, part);
    }
    expect_reject("{\"v\":1,\"kind\":\"post\",\"likes\":1e300}", "likes");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"hashtags\":\"a\"}", "hashtags");
    expect_reject("{\"v\":1,\"kind\":\"post\",\"latitude\":1e999}", "latitude");
    expect_reject("{\"v\":1,\"kind\":\"limit\",\"body\":{\"a\":1.}}", "body");
}

Test(post, unknown_keys_any_order_and_nulls_are_fine)
{
    struct arena *a = arena_new(1 << 20);
    struct post p;
    struct err e;
    struct view json = VIEW(
        " {\"text\":\"t\",\"new\":{\"raw\":[1,\"}\"]},\"place\":null,\"id\":\"1\",\"clean_text\":\"never\","
        "\"raw\" : {\"id\": 1050118621198921729 , \"a\":\"\\\"\"} ,\"v\":1,\"kind\":\"post\"} \n");
    cr_assert_eq(post_read(json, a, &p, &e), 0, "%s", e.text);
    cr_assert(view_is(p.text, "t"));
    cr_assert(view_is(p.id, "1"));
    cr_assert(view_absent(p.place));
    cr_assert(view_absent(p.clean_text), "clean_text is never taken from the bridge");
    cr_assert(view_is(p.raw, "{\"id\": 1050118621198921729 , \"a\":\"\\\"\"}"));
    cr_assert_eq(post_read(VIEW("{\"v\":1,\"kind\":\"post\"}"), a, &p, &e), 0);
    cr_assert(view_is(p.text, ""), "the text of a post is never absent");
    arena_free(a);
}

Test(post, deep_nesting_and_too_many_bytes_are_refused)
{
    size_t n = POST_MAXIMUM_BYTES + 1;
    char *big = malloc(n), text[ERR_TEXT_SIZE];
    struct post p;
    memset(big, '[', n);
    memcpy(big, "{\"v\":1,\"kind\":\"post\",\"x\":", 25);
    big[n - 1] = '}';
    cr_assert_eq(read_bytes(view_make(big, n), &p, text), -1);
    cr_assert(strstr(text, "over the limit"));
    big[n - 2] = '}';
    cr_assert_eq(read_bytes(view_make(big, n - 1), &p, text), -1);
    cr_assert(strstr(text, "no JSON"));
    free(big);
}

Test(post, memory_that_runs_out_is_no_reject)
{
    struct arena *a = arena_new(64);
    struct post p;
    struct err e;
    cr_assert_eq(
        post_read(VIEW("{\"v\":1,\"kind\":\"post\",\"text\":"
                       "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}"),
                  a, &p, &e),
        -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    arena_free(a);
}

Test(post, fields_agree_with_the_kind_names_and_have_no_double)
{
    for (size_t i = 0; i < post_field_count; i++) {
        for (size_t k = 0; k < i; k++) {
            cr_assert_str_neq(post_fields[i].name, post_fields[k].name);
            cr_assert_neq(post_fields[i].offset, post_fields[k].offset);
        }
    }
    cr_assert_str_eq(post_kind_names[POST_SCRUB_GEO], "scrub_geo");
    cr_assert_str_eq(post_kind_names[POST_UNKNOWN], "unknown");
}

Test(json_scan, takes_json_and_nothing_else)
{
    static const char *const good[] = {"0",
                                       "-1.5e-3",
                                       "\"\\u00e9\\n\"",
                                       "[]",
                                       "{}",
                                       " [1 , {\"a\":[true,false,null]}] ",
                                       "{\"a\":{}, \"b\":[[],[]]}",
                                       "1E+9"};
    static const char *const bad[] = {"",        " ",           "01",     "1.",      "-",          "+1",
                                      ".5",      "1e",          "1e1000", "nul",     "tru e",      "[1,]",
                                      "[,1]",    "{\"a\"}",     "{a:1}",  "[1 2]",   "{\"a\":1,}", "\"",
                                      "\"\\x\"", "\"\\u12g4\"", "\"\t\"", "[}",      "{]",         "[1",
                                      "{}{}",    "]",           "\"a\\",  "{\"a\":}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(json_scan_check(view_of(good[i]), NULL), 0, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(json_scan_check(view_of(bad[i]), NULL), -1, "%s", bad[i]);
    }
    size_t at;
    cr_assert_eq(json_scan_check(VIEW("{\"a\": [1, x]}"), &at), -1);
    cr_assert_eq(at, 10);
    char deep[2 * JSON_SCAN_DEPTH + 2];
    memset(deep, '[', JSON_SCAN_DEPTH + 1);
    memset(deep + JSON_SCAN_DEPTH + 1, ']', JSON_SCAN_DEPTH + 1);
    cr_assert_eq(json_scan_check(view_make(deep + 1, 2 * JSON_SCAN_DEPTH), NULL), 0);
    cr_assert_eq(json_scan_check(view_make(deep, sizeof deep), NULL), -1);
}

Test(json_scan, finds_a_member_only_at_its_own_level)
{
    struct view t =
        VIEW(" { \"x\" : {\"id\": 1}, \"y\":\"\\\"id\\\":2\", \"id\" : 9007199254740993 , \"z\":[{}] }");
    cr_assert(view_is(json_scan_member(t, "id"), "9007199254740993"));
    cr_assert(view_is(json_scan_member(json_scan_member(t, "x"), "id"), "1"));
    cr_assert(view_is(json_scan_member(t, "z"), "[{}]"));
    cr_assert(view_absent(json_scan_member(t, "none")));
    cr_assert(view_absent(json_scan_member(VIEW("[1]"), "id")));
    struct view array = VIEW(" [ 1234567890123456789 ,{\"a\":[1,2]}, \"x,]\" ,[]]"), element;
    static const char *const elements[] = {"1234567890123456789", "{\"a\":[1,2]}", "\"x,]\"", "[]"};
    size_t at = 0;
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        cr_assert_eq(json_scan_element(array, &at, &element), 1);
        cr_expect(view_is(element, elements[i]), "%.*s", VIEW_PRINT(element));
    }
    cr_assert_eq(json_scan_element(array, &at, &element), 0);
    static const char *const none[] = {"[]", "", "[", "{\"a\":1}", "1"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        at = 0;
        cr_expect_eq(json_scan_element(view_of(none[i]), &at, &element), 0, "%s", none[i]);
    }
    at = 0;
    cr_expect_eq(json_scan_element(view_none(), &at, &element), 0);
    cr_assert(view_absent(json_scan_member(view_none(), "id")));
}
