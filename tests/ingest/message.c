/* Lines of a stream: posts, events of each kind, and whatever else comes, which never breaks anything. */
#include "ingest/message.h"
#include "base/file.h"
#include "base/json_scan.h"
#include "base/random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct message_reader *new_reader(bool store_raw)
{
    struct err e;
    struct message_reader *r = message_reader_new(&message_form_x_v1, "covid", store_raw, &e);
    cr_assert_not_null(r, "%s", e.text);
    return r;
}

#define expect_text(view, string)                                                                            \
    cr_expect(view_is(view, string), "%s is \"%.*s\", not \"%s\"", #view, VIEW_PRINT(view), string)

static const struct {
    const char *line;
    enum post_kind kind;
    const char *id, *author;
} events[] = {
    {"{\"delete\":{\"status\":{\"id\":1234,\"id_str\":\"1234\",\"user_id\":3,\"user_id_str\":\"3\"},"
     "\"timestamp_ms\":\"1467998788211\"}}",
     POST_DELETE, "1234", "3"},
    {"{\"delete\":{\"status\":{\"id\":1050118621198921729,\"user_id\":9007199254740993}}}", POST_DELETE,
     "1050118621198921729", "9007199254740993"},
    {"{\"scrub_geo\":{\"user_id\":14090452,\"user_id_str\":\"14090452\",\"up_to_status_id\":23260136625,"
     "\"up_to_status_id_str\":\"23260136625\"}}",
     POST_SCRUB_GEO, "23260136625", "14090452"},
    {"{\"limit\":{\"track\":1234,\"timestamp_ms\":\"1443909730865\"}}", POST_LIMIT, NULL, NULL},
    {"{\"status_withheld\":{\"id\":1234567890,\"user_id\":123456,\"withheld_in_countries\":[\"DE\",\"AR\"]}}",
     POST_WITHHELD, "1234567890", "123456"},
    {"{\"user_withheld\":{\"id\":123456,\"withheld_in_countries\":[\"DE\",\"AR\"]}}", POST_WITHHELD, NULL,
     "123456"},
    {"{\"disconnect\":{\"code\":4,\"stream_name\":\"\",\"reason\":\"slow\"}}", POST_DISCONNECT, NULL, NULL},
    {"{\"warning\":{\"code\":\"FALLING_BEHIND\",\"message\":\"Your connection\",\"percent_full\":60}}",
     POST_WARNING, NULL, NULL},
    {"{\"event\":\"user_update\",\"created_at\":\"Tue Aug 06 02:23:21 +0000 "
     "2013\",\"source\":{},\"target\":{}}",
     POST_UNKNOWN, NULL, NULL},
    {"{\"for_user\":1888,\"message\":{}}", POST_UNKNOWN, NULL, NULL},
    {"{\"control\":{\"control_uri\":\"/1.1/site/c/1\"}}", POST_UNKNOWN, NULL, NULL},
    {"{\"friends\":[1497,169686021]}", POST_UNKNOWN, NULL, NULL},
    {"{\"new_kind\":{\"of\":[\"thing\"]}}", POST_UNKNOWN, NULL, NULL},
    {"{\"delete\":{\"direct_message\":{\"id\":7,\"user_id\":3}}}", POST_UNKNOWN, NULL, NULL},
    {"{\"delete\":\"1234\"}", POST_UNKNOWN, NULL, NULL},
    {"{\"delete\":{\"status\":{\"id\":1.5,\"user_id\":3}}}", POST_UNKNOWN, NULL, NULL},
    {"{\"scrub_geo\":{\"user_id\":14090452}}", POST_UNKNOWN, NULL, NULL},
    {"{\"user\":\"ada\",\"id_str\":\"x\",\"text\":\"a tweet without a usable id\"}", POST_UNKNOWN, NULL,
     NULL},
    {"{\"id_str\":\"1050118621198921728\",\"in_reply_to_status_id\":null}", POST_UNKNOWN, NULL, NULL},
    {"[]", POST_UNKNOWN, NULL, NULL},
    {"\"text\"", POST_UNKNOWN, NULL, NULL},
    {"420", POST_UNKNOWN, NULL, NULL},
    {"{}", POST_UNKNOWN, NULL, NULL},
};

Test(message, every_control_message_is_the_event_it_should_be)
{
    struct message_reader *r = new_reader(false);
    struct message m;
    size_t count = sizeof events / sizeof events[0], unknown = 0;
    for (size_t i = 0; i < count; i++) {
        message_read(r, view_of(events[i].line), 1700000000123, &m);
        cr_assert_eq(m.kind, MESSAGE_EVENT, "%s: %s", events[i].line, m.why.text);
        cr_expect_eq(m.post.kind, events[i].kind, "%s", events[i].line);
        cr_expect(view_equal(m.post.id, view_of(events[i].id)), "%s: id %.*s", events[i].line,
                  VIEW_PRINT(m.post.id));
        cr_expect(view_equal(m.post.author_id, view_of(events[i].author)), "%s", events[i].line);
        expect_text(m.post.body, events[i].line);
        expect_text(m.post.source, "covid");
        expect_text(m.post.network, "x");
        cr_expect_eq(m.post.received_at, 1700000000123);
        cr_expect_eq(m.post.created_at, INT64_MIN);
        cr_expect(view_absent(m.post.text));
        unknown += events[i].kind == POST_UNKNOWN;
    }
    cr_expect_eq(message_reader_counts(r)->events, count);
    cr_expect_eq(message_reader_counts(r)->unknown, unknown);
    message_reader_free(r);
}

Test(message, the_source_learns_what_it_must_act_on)
{
    struct message_reader *r = new_reader(false);
    struct message m;
    message_read(r, VIEW("{\"disconnect\":{\"code\":7,\"reason\":\"admin logout\"}}"), 1, &m);
    cr_expect_eq(m.disconnect_code, 7);
    expect_text(m.disconnect_why, "admin logout");
    cr_expect_eq(m.limit_track, POST_NO_NUMBER);
    message_read(r, VIEW("{\"limit\":{\"track\":1234}}"), 1, &m);
    cr_expect_eq(m.limit_track, 1234);
    cr_expect_eq(m.disconnect_code, POST_NO_NUMBER);
    message_read(r, VIEW("{\"limit\":{\"track\":\"many\"}}"), 1, &m);
    cr_expect_eq(m.post.kind, POST_LIMIT);
    cr_expect_eq(m.limit_track, POST_NO_NUMBER);
    message_read(r, VIEW("{\"warning\":{\"code\":\"FALLING_BEHIND\",\"percent_full\":60}}"), 1, &m);
    expect_text(m.warning_code, "FALLING_BEHIND");
    cr_expect_eq(m.warning_percent, 60);
    message_read(r, VIEW("{\"user_withheld\":{\"id\":1,\"withheld_in_countries\":[\"DE\",\"XX\"]}}"), 1, &m);
    cr_assert_eq(m.post.withheld_in.count, 2);
    expect_text(m.post.withheld_in.items[1], "XX");
    cr_expect(view_absent(m.warning_code));
    message_reader_free(r);
}

Test(message, white_space_alone_is_a_keep_alive)
{
    struct message_reader *r = new_reader(false);
    struct message m;
    static const char *const lines[] = {"", "\r\n", "\n", "  \t"};
    for (size_t i = 0; i < 4; i++) {
        message_read(r, view_of(lines[i]), 1, &m);
        cr_expect_eq(m.kind, MESSAGE_KEEP_ALIVE);
    }
    cr_expect_eq(message_reader_counts(r)->keep_alives, 4);
    message_reader_free(r);
}

Test(message, what_is_no_json_is_unreadable_with_a_reason_and_its_place)
{
    struct message_reader *r = new_reader(false);
    struct message m;
    static const struct {
        const char *line, *why;
    } cases[] = {{"Exceeded connection limit for user", "at byte 0 of 34"},
                 {"{", "at byte 1"},
                 {"{\"a\":1,", "at byte 7"},
                 {"{\"a\":", "at byte 5"},
                 {"[1,", "at byte 3"},
                 {"{\"id\":1,\"text\":\"cut off", "no JSON"},
                 {"{\"limit\":{}}{\"limit\":{}}", "at byte 12"},
                 {"{'a':1}", "at byte 1"},
                 {"{\"limit\":{\"track\":01}}", "no JSON"}, /* cJSON takes it, jsonb does not */
                 {"{\"other\":\"a\tb\"}", "no JSON"},
                 {"{\"other\":1e99999}", "no JSON"},
                 {"\x80\x81", "at byte 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        message_read(r, view_of(cases[i].line), 1, &m);
        cr_assert_eq(m.kind, MESSAGE_UNREADABLE, "%s", cases[i].line);
        cr_expect(strstr(m.why.text, cases[i].why), "%s: %s", cases[i].line, m.why.text);
    }
    message_read(r, view_make("\0\0", 2), 1, &m);
    cr_expect_eq(m.kind, MESSAGE_UNREADABLE);
    cr_expect_eq(message_reader_counts(r)->unreadable, sizeof cases / sizeof cases[0] + 1);
    message_read(r, VIEW("{\"limit\":{\"track\":1}}"), 1, &m);
    cr_expect_eq(m.kind, MESSAGE_EVENT, "the next message is read as if nothing had been");
    message_reader_free(r);
}

Test(message, bad_unicode_is_repaired_and_counted)
{
    struct message_reader *r = new_reader(true);
    struct message m;
    struct view line = VIEW(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"a\\ud83db\\u0000c\xC3(d\\ude00\\ud83d\\ude00\"}");
    message_read(r, line, 1, &m);
    cr_assert_eq(m.kind, MESSAGE_POST, "%s", m.why.text);
    expect_text(m.post.text, "a\xEF\xBF\xBD"
                             "bc\xEF\xBF\xBD(d\xEF\xBF\xBD\xF0\x9F\x98\x80");
    expect_text(
        m.post.raw,
        "{\"id_str\":\"1050118621198921728\",\"text\":\"a\\ufffdbc\xEF\xBF\xBD(d\\ufffd\\ud83d\\ude00\"}");
    const struct message_counts *c = message_reader_counts(r);
    cr_expect_eq(c->repaired, 1);
    cr_expect_eq(c->repairs.surrogates, 2);
    cr_expect_eq(c->repairs.nul_escapes, 1);
    cr_expect_eq(c->repairs.invalid_utf8, 1);
    message_reader_free(r);
}

Test(message, raw_is_the_line_itself_and_only_where_asked_for)
{
    struct message m;
    struct view line = VIEW(" {\"id\" : 1050118621198921729,\n\"text\":\"\\u00e9 \\/\" , \"x\":1.0 } \r\n");
    struct message_reader *r = new_reader(true);
    message_read(r, line, 1, &m);
    cr_assert_eq(m.kind, MESSAGE_POST);
    expect_text(m.post.raw, "{\"id\" : 1050118621198921729,\n\"text\":\"\\u00e9 \\/\" , \"x\":1.0 }");
    expect_text(m.post.text, "\xC3\xA9 /");
    message_read(r, VIEW("{\"id\":1050118621198921729,\"text\":\"a\",\"x\":01}"), 1, &m);
    cr_assert_eq(m.kind, MESSAGE_POST, "a tweet is not lost for a number that only jsonb refuses");
    cr_expect(view_absent(m.post.raw));
    cr_expect_eq(message_reader_counts(r)->raw_refused, 1);
    message_reader_free(r);
    r = new_reader(false);
    message_read(r, line, 1, &m);
    cr_expect(view_absent(m.post.raw));
    message_reader_free(r);
}

Test(message, over_long_and_deeply_nested_messages_are_set_aside)
{
    struct message_reader *r = new_reader(true);
    struct message m;
    size_t n = MESSAGE_MAXIMUM_BYTES + 1;
    char *big = malloc(n);
    memset(big, '[', n);
    message_read(r, view_make(big, n), 1, &m);
    cr_assert_eq(m.kind, MESSAGE_UNREADABLE);
    cr_expect(strstr(m.why.text, "over the limit"));
    message_read(r, view_make(big, n - 1), 1, &m);
    cr_assert_eq(m.kind, MESSAGE_UNREADABLE);
    memset(big, '[', 600);
    memset(big + 600, ']', 600);
    message_read(r, view_make(big, 1200), 1, &m);
    cr_assert_eq(m.kind, MESSAGE_UNREADABLE, "inside a frame it would be too deep for the other end");
    cr_expect(strstr(m.why.text, "at byte 500 of 1200"), "%s", m.why.text);
    static const char head[] = "{\"id_str\":\"1050118621198921728\",\"text\":\"";
    memset(big, 'x', n);
    memcpy(big, head, sizeof head - 1);
    memcpy(big + n - 3, "\"}", 2);
    message_read(r, view_make(big, n - 1), 1, &m);
    cr_assert_eq(m.kind, MESSAGE_POST, "%s", m.why.text);
    cr_expect_eq(m.post.text.length, n - 1 - (sizeof head - 1) - 2);
    struct buffer b = BUFFER(POST_MAXIMUM_BYTES);
    post_write(&b, &m.post);
    cr_expect_not(buffer_failed(&b), "a message of the full length with raw fits into a frame");
    buffer_free(&b);
    free(big);
    message_reader_free(r);
}

/* Bytes changed at random: any result is right that is sound. */
Test(message, changed_bytes_never_break_the_reader)
{
    struct message_reader *r = new_reader(true);
    struct random random = {20181010};
    static const char tweet[] = "{\"id\":1050118621198921728,\"text\":\"RT @ada: \\ud83c\\udf70 &amp; "
                                "bit.ly/x\\u2026\",\"entities\":{\"urls\":[{\"url\":"
                                "\"bit.ly/"
                                "x\",\"indices\":[18,26]}],\"hashtags\":[{\"text\":\"\xC3\x89\"}]},"
                                "\"retweeted_status\":{\"id\":1,\"text\":\"b\","
                                "\"user\":{\"id\":2,\"screen_name\":\"ada\"},\"extended_tweet\":{\"full_"
                                "text\":\"b\"}},\"coordinates\":{\"coordinates\":[1,2]}}";
    for (int round = 0; round < 20000; round++) {
        char copy[sizeof tweet];
        memcpy(copy, tweet, sizeof tweet);
        size_t length = random_below(&random, 4) ? sizeof tweet - 1 : random_below(&random, sizeof tweet);
        for (uint64_t changes = random_below(&random, 4); changes; changes--) {
            static const char signs[] = "{}[]\",:\\0u1-.ex\x80\xFF";
            copy[random_below(&random, sizeof tweet - 1)] = random_below(&random, 2)
                                                                ? signs[random_below(&random, sizeof signs)]
                                                                : (char)random_next(&random);
        }
        struct message m;
        message_read(r, view_make(copy, length), 1, &m);
        if (m.kind == MESSAGE_EVENT) {
            cr_assert_eq(json_scan_check(m.post.body, NULL), 0);
        } else if (m.kind == MESSAGE_POST) {
            cr_assert(m.post.id.length && m.post.text.at);
        }
    }
    message_reader_free(r);
}

/* --- recorded streams --- */

static int read_recorded(const char *name, struct buffer *into)
{
    const char *shared = getenv("SHARED");
    char path[4096];
    struct err e;
    snprintf(path, sizeof path, "%s/data/%s", shared ? shared : "../shared", name);
    *into = BUFFER(64 << 20);
    if (file_read(path, into, &e)) {
        fprintf(stderr, "skipped: %s\n", e.text);
        return -1;
    }
    return 0;
}

static bool next_line(struct view *rest, struct view *line)
{
    const char *end = rest->length ? memchr(rest->at, '\n', rest->length) : NULL;
    if (!end) {
        return false;
    }
    *line = view_make(rest->at, (size_t)(end - rest->at));
    *rest = view_from(*rest, line->length + 1);
    return true;
}

static void expect_recorded_post(const struct message *m, struct view line, struct buffer *b, struct arena *a)
{
    const struct post *p = &m->post;
    struct post q;
    struct err e;
    cr_assert_eq(m->kind, MESSAGE_POST, "%s: %.80s", m->why.text, line.at);
    cr_assert(p->author_id.length && p->author_handle.length && p->text.at);
    cr_assert(p->created_at > INT64_C(1356998400000) && p->created_at < INT64_C(1609459200000),
              "2013 to 2020");
    cr_assert(view_equal(p->raw, line));
    cr_assert_eq(p->is_retweet == 1, view_starts(p->text, VIEW("RT @")) && p->retweet_of.at);
    buffer_reset(b);
    arena_reset(a);
    post_write(b, p);
    cr_assert_eq(post_read(buffer_view(b), a, &q, &e), 0, "%s", e.text);
    cr_assert(view_equal(p->text, q.text));
    cr_assert(view_equal(p->raw, q.raw));
}

Test(message, all_recorded_tweets_become_posts)
{
    struct buffer file, b = BUFFER(POST_MAXIMUM_BYTES);
    if (read_recorded("tweets-v1.1.ndjson", &file)) {
        return;
    }
    struct message_reader *r = new_reader(true);
    struct arena *a = arena_new(16 << 20);
    struct view rest = buffer_view(&file), line;
    size_t retweets = 0, quotes = 0, replies = 0, extended = 0, placed = 0, located = 0, cut = 0;
    while (next_line(&rest, &line)) {
        struct message m;
        message_read(r, line, 1700000000000, &m);
        expect_recorded_post(&m, line, &b, a);
        retweets += m.post.is_retweet == 1;
        quotes += m.post.is_quote == 1;
        replies += m.post.is_reply == 1;
        extended += view_is(m.post.text_source, "extended_tweet");
        cut += view_is(m.post.text_source, "cut");
        placed += m.post.place.at != NULL;
        located += m.post.latitude == m.post.latitude;
    }
    const struct message_counts *c = message_reader_counts(r);
    cr_expect_eq(c->posts, 5982);
    cr_expect_eq(c->events + c->unreadable + c->raw_refused + c->repaired, 0);
    cr_expect_eq(retweets, 1696);
    cr_expect_eq(replies, 1135);
    cr_expect_eq(quotes, 363 + 9);
    cr_expect_eq(extended, 448 + 287);
    cr_expect_eq(cut, 0);
    cr_expect_eq(placed, 1365);
    cr_expect_eq(located, 253);
    arena_free(a);
    buffer_free(&b);
    buffer_free(&file);
    message_reader_free(r);
}

Test(message, all_recorded_control_messages_become_their_events)
{
    struct buffer file;
    if (read_recorded("control-v1.1.ndjson", &file)) {
        return;
    }
    struct message_reader *r = new_reader(false);
    struct view rest = buffer_view(&file), line;
    size_t deletes = 0, limits = 0;
    while (next_line(&rest, &line)) {
        struct message m;
        message_read(r, line, 1700000000000, &m);
        cr_assert_eq(m.kind, MESSAGE_EVENT, "%s", m.why.text);
        cr_assert(view_equal(m.post.body, line));
        deletes += m.post.kind == POST_DELETE && m.post.id.length && m.post.author_id.length;
        limits += m.post.kind == POST_LIMIT && m.limit_track > 0;
    }
    cr_expect_eq(deletes, 717);
    cr_expect_eq(limits, 12);
    buffer_free(&file);
    message_reader_free(r);
}
