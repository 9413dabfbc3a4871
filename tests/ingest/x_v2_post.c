/* Lines of the v2 stream become posts: each field from where sections 5.6 and 7.2 of the API document say, in
 * either spelling, and nothing breaks on less. */
#include "base/clock.h"
#include "ingest/message.h"
#include "ingest/x_v2_problem.h"
#include "tests/ingest/support/posts.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct message_reader *reader;
    struct message message;
    struct post *post;
};

static struct fixture read_line(const char *json)
{
    struct err e = {ERR_RETRY, ""};
    struct fixture f = {.reader = message_reader_new(&message_form_x_v2, "covid", false, &e)};
    cr_assert_not_null(f.reader, "%s", e.text);
    message_read(f.reader, view_of(json), 1700000000000, &f.message);
    f.post = NULL;
    return f;
}

static void release(struct fixture *f)
{
    message_reader_free(f->reader);
}

#define READ_POST(f, json)                                                                                   \
    struct fixture f = read_line(json);                                                                      \
    f.post = &f.message.post;                                                                                \
    cr_assert_eq(f.message.kind, MESSAGE_POST, "no post: kind %d, %s", (int)f.message.kind,                  \
                 f.message.why.text)

/* The id of 2024-04-28T15:06:10.921Z and later ones. */
#define ID_1       "1784600000000000001"
#define ID_2       "1784600000000000002"
#define DATA(more) "{\"data\":{\"id\":\"" ID_1 "\",\"text\":\"Tea &amp; cake\",\"author_id\":\"99\"" more "}"

static const char whole_post[] =
    "{\"data\":{\"id\":\"1050118621198921728\",\"text\":\"Tea &amp; cake \\ud83c\\udf70 #Lunch &lt;3 "
    "&amp;lt; $Aapl "
    "https://t.co/a\",\"author_id\":\"6253282\",\"created_at\":\"2018-10-10T20:19:24.999Z\",\"lang\":\"iw\","
    "\"conversation_id\":\"1050118621198921000\",\"in_reply_to_user_id\":\"77\",\"possibly_sensitive\":true,"
    "\"edit_history_tweet_ids\":[\"1050118621198921728\"],\"source\":\"Example App\","
    "\"referenced_tweets\":[{\"type\":\"quoted\",\"id\":\"1050118621198920001\"},{\"type\":\"replied_to\","
    "\"id\":"
    "\"1050118621198920002\"}],"
    "\"public_metrics\":{\"retweet_count\":3,\"reply_count\":0,\"like_count\":7,\"quote_count\":-1,"
    "\"bookmark_count\":0,\"impression_count\":0},"
    "\"entities\":{\"hashtags\":[{\"start\":17,\"end\":23,\"tag\":\"Lunch\"},{\"tag\":\"LUNCH\"},{\"tag\":"
    "\"\\u00c9t\\u00e9\"}],\"cashtags\":[{\"tag\":\"AAPL\"}],\"mentions\":[{\"username\":\"Bob_B\",\"id\":"
    "\"77\"}],"
    "\"urls\":[{\"url\":\"https://t.co/a\",\"expanded_url\":\"https://example.org/Path\",\"unwound_url\":"
    "\"https://other/\"},{\"url\":\"https://t.co/b\",\"unwound_url\":\"https://example.org/b\"},{\"url\":"
    "\"https://t.co/c\"}]},"
    "\"geo\":{\"place_id\":\"p1\",\"coordinates\":{\"type\":\"Point\",\"coordinates\":[-75.5,40.25]}},"
    "\"withheld\":{\"copyright\":false,\"country_codes\":[\"DE\",\"XY\"]},"
    "\"attachments\":{\"media_keys\":[\"3_1\",\"7_2\",\"3_gone\",\"3_1\"]}},"
    "\"includes\":{\"users\":[{\"id\":\"77\",\"username\":\"Bob_B\",\"name\":\"Bob\"},{\"id\":\"6253282\","
    "\"name\":"
    "\"Ada\",\"username\":\"ada\",\"verified\":true,\"created_at\":\"2007-05-23T06:01:13.000Z\","
    "\"public_metrics\":{\"followers_count\":21,\"following_count\":32,\"tweet_count\":42,\"listed_count\":1}"
    "}],"
    "\"tweets\":[{\"id\":\"1050118621198920001\",\"text\":\"the quoted text #other\",\"author_id\":\"5\","
    "\"entities\":{\"hashtags\":[{\"tag\":\"other\"}]}}],"
    "\"places\":[{\"id\":\"p0\",\"full_name\":\"Lisbon\"},{\"id\":\"p1\",\"full_name\":\"Porto, Portugal\","
    "\"country_code\":\"PT\"}],"
    "\"media\":[{\"media_key\":\"3_1\",\"type\":\"photo\",\"url\":\"https://pbs.example/"
    "One.jpg\"},{\"media_key\":"
    "\"7_2\",\"type\":\"video\",\"preview_image_url\":\"https://pbs.example/two.jpg\"}]},"
    "\"matching_rules\":[{\"id\":\"1273026480692322304\",\"tag\":\"cats with images\"},{\"id\":"
    "\"1273026480692322305\"},{\"id\":1377649934414049282,\"tag\":null},{\"tag\":\"\",\"id\":\"12\"},{}]}";

Test(x_v2_post, every_field_of_a_post_is_found)
{
    READ_POST(f, whole_post);
    struct post *p = f.post;
    expect_text(p->network, "x");
    expect_text(p->id, "1050118621198921728");
    expect_text(p->source, "covid");
    cr_expect_eq(p->created_at, INT64_C(1539202764211), "the id's time counts: %lld",
                 (long long)p->created_at);
    expect_text(p->author_id, "6253282");
    expect_text(p->author_handle, "ada");
    expect_text(p->author_name, "Ada");
    cr_expect_eq(p->author_followers, 21);
    cr_expect_eq(p->author_following, 32);
    cr_expect_eq(p->author_posts, 42);
    cr_expect_eq(p->author_verified, 1);
    cr_expect_eq(p->author_created_at, clock_from_date(2007, 5, 23, 6, 1, 13, 0));
    expect_text(p->lang, "he");
    expect_text(p->text, "Tea & cake \xF0\x9F\x8D\xB0 #Lunch <3 &lt; $Aapl https://t.co/a");
    expect_text(p->text_source, "text");
    expect_list(p->hashtags, "lunch|\xC3\xA9t\xC3\xA9|");
    expect_list(p->cashtags, "aapl|");
    expect_list(p->mentions, "bob_b|");
    expect_list(p->urls, "https://example.org/Path|https://example.org/b|https://t.co/c|");
    expect_list(p->media, "https://pbs.example/One.jpg|https://pbs.example/two.jpg|");
    expect_list(p->emoji, "\xF0\x9F\x8D\xB0|");
    expect_list(p->rules, "cats with images|1273026480692322305|1377649934414049282|12|");
    cr_expect_eq(p->is_retweet, 0);
    cr_expect_eq(p->is_quote, 1);
    cr_expect_eq(p->is_reply, 1);
    expect_text(p->quote_of, "1050118621198920001");
    expect_text(p->reply_to, "1050118621198920002");
    expect_text(p->reply_to_author, "77");
    expect_text(p->conversation_id, "1050118621198921000");
    expect_absent(p->edit_of);
    expect_absent(p->retweet_of);
    expect_absent(p->retweet_author);
    cr_expect_eq(p->likes, 7);
    cr_expect_eq(p->retweets, 3);
    cr_expect_eq(p->replies, 0);
    cr_expect_eq(p->quotes, POST_NO_NUMBER, "-1 is null");
    expect_text(p->app, "Example App");
    cr_expect_eq(p->sensitive, 1);
    expect_text(p->place, "Porto, Portugal");
    expect_text(p->country, "PT");
    cr_expect_float_eq(p->longitude, -75.5, 1e-9);
    cr_expect_float_eq(p->latitude, 40.25, 1e-9);
    expect_list(p->withheld_in, "DE|XY|");
    expect_absent(p->raw);
    release(&f);
}

Test(x_v2_post, what_is_left_out_is_absent)
{
    READ_POST(f, "{\"data\":{\"id\":\"" ID_1 "\",\"text\":\"\"}}");
    struct post *p = f.post;
    expect_text(p->text, "");
    expect_absent(p->author_id);
    expect_absent(p->author_handle);
    cr_expect_eq(p->author_followers, POST_NO_NUMBER);
    cr_expect_eq(p->author_verified, POST_NO_FLAG);
    cr_expect_eq(p->author_created_at, CLOCK_NONE);
    cr_expect_eq(p->sensitive, POST_NO_FLAG);
    cr_expect_eq(p->likes, POST_NO_NUMBER);
    expect_absent(p->lang);
    expect_absent(p->place);
    expect_absent(p->edit_of);
    cr_expect(isnan(p->longitude));
    cr_expect_null(p->rules.items);
    cr_expect_null(p->media.items);
    cr_expect(p->hashtags.items && !p->hashtags.count,
              "no entities are none: nobody need look for them in the text");
    cr_expect_eq(p->is_retweet, 0);
    cr_expect_eq(p->is_quote, 0);
    cr_expect_eq(p->is_reply, 0);
    release(&f);
}

Test(x_v2_post, a_long_post_has_its_text_and_entities_in_note_tweet)
{
    static const char *const names[] = {"note_tweet", "note_post"};
    for (size_t i = 0; i < 2; i++) {
        char json[1000];
        snprintf(
            json, sizeof json,
            "{\"data\":{\"id\":\"" ID_1
            "\",\"text\":\"The first part\\u2026 #cut\",\"entities\":{\"hashtags\":"
            "[{\"tag\":\"cut\"}]},\"%s\":{\"text\":\"The first part and the rest &gt; #whole\",\"entities\":"
            "{\"hashtags\":[{\"tag\":\"Whole\"}],\"urls\":[{\"url\":\"https://t.co/z\",\"expanded_url\":"
            "\"https://z.example/\"}]}}}}",
            names[i]);
        READ_POST(f, json);
        expect_text(f.post->text, "The first part and the rest > #whole");
        expect_text(f.post->text_source, "note_tweet");
        expect_list(f.post->hashtags, "whole|");
        expect_list(f.post->urls, "https://z.example/|");
        release(&f);
    }
}

Test(x_v2_post, a_note_without_entities_does_not_take_those_of_the_cut_text)
{
    READ_POST(
        f,
        DATA(",\"entities\":{\"hashtags\":[{\"tag\":\"cut\"}]},\"note_tweet\":{\"text\":\"all of it\"}") "}");
    expect_text(f.post->text, "all of it");
    expect_list(f.post->hashtags, "");
    release(&f);
}

#define RETWEET(spelling, list, original)                                                                    \
    "{\"data\":{\"id\":\"" ID_2 "\",\"text\":\"RT @old_name: The first &amp; last part\\u2026\","            \
    "\"author_id\":\"99\",\"lang\":\"en\",\"public_metrics\":{\"like_count\":0},\"entities\":{\"mentions\":" \
    "[{\"username\":\"old_name\"}],\"hashtags\":[{\"tag\":\"cut\"}]},\"" spelling "\":[{\"type\":"           \
    "\"retweeted\",\"id\":\"" ID_1 "\"}]},\"includes\":{\"users\":[{\"id\":\"99\",\"username\":\"bob\"},"    \
    "{\"id\":\"6253282\",\"username\":\"Ada\"}],\"" list "\":[{\"id\":\"1\",\"text\":\"other\"}" original    \
    "],\"media\":[{\"media_key\":\"3_9\",\"url\":\"https://pbs.example/9.jpg\"}]}}"
#define ORIGINAL(text)                                                                                       \
    ",{\"id\":\"" ID_1 "\"," text "\"author_id\":\"6253282\",\"attachments\":{\"media_keys\":[\"3_9\"]},"    \
    "\"referenced_tweets\":[{\"type\":\"quoted\",\"id\":\"55\"},{\"type\":\"replied_to\",\"id\":\"56\"}],"   \
    "\"public_metrics\":{\"like_count\":5},\"entities\":{\"hashtags\":[{\"tag\":\"Original\"}]}}"

Test(x_v2_post, a_retweet_has_the_original_s_whole_text_and_its_author_s_name_of_today)
{
    READ_POST(f, RETWEET("referenced_tweets", "tweets",
                         ORIGINAL("\"text\":\"The first &amp; last part of all\",")));
    struct post *p = f.post;
    expect_text(p->text, "RT @Ada: The first & last part of all");
    expect_text(p->text_source, "text");
    cr_expect_eq(p->is_retweet, 1);
    expect_text(p->retweet_of, ID_1);
    expect_text(p->retweet_author, "6253282");
    expect_text(p->author_handle, "bob");
    expect_list(p->hashtags, "original|");
    expect_list(p->mentions, "");
    expect_list(p->media, "https://pbs.example/9.jpg|");
    cr_expect_eq(p->likes, 0, "counts are the delivered post's");
    cr_expect_eq(p->is_quote, 1, "as with v1.1, a retweet of a quote is a quote");
    expect_text(p->quote_of, "55");
    cr_expect_eq(p->is_reply, 0, "but not an answer");
    expect_absent(p->reply_to);
    release(&f);
}

Test(x_v2_post, a_retweet_of_a_long_post_in_the_openapi_s_spelling)
{
    READ_POST(
        f,
        RETWEET("referenced_posts", "posts",
                ORIGINAL("\"text\":\"The first\\u2026\",\"note_post\":{\"text\":\"The first and very long\","
                         "\"entities\":{\"hashtags\":[{\"tag\":\"Long\"}]}},")));
    expect_text(f.post->text, "RT @Ada: The first and very long");
    expect_text(f.post->text_source, "note_tweet");
    expect_list(f.post->hashtags, "long|");
    expect_text(f.post->retweet_of, ID_1);
    release(&f);
}

Test(x_v2_post, a_retweet_whose_original_is_missing_keeps_its_text)
{
    READ_POST(f, RETWEET("referenced_tweets", "tweets", ""));
    expect_text(f.post->text, "RT @old_name: The first & last part\xE2\x80\xA6");
    expect_text(f.post->text_source, "cut");
    expect_text(f.post->retweet_of, ID_1);
    expect_absent(f.post->retweet_author);
    expect_list(f.post->hashtags, "cut|");
    expect_list(f.post->mentions, "old_name|");
    release(&f);
    READ_POST(whole,
              "{\"data\":{\"id\":\"" ID_2 "\",\"text\":\"RT @a: short\",\"referenced_tweets\":[{\"type\":"
              "\"retweeted\",\"id\":\"" ID_1 "\"}]}}");
    expect_text(whole.post->text, "RT @a: short");
    expect_text(whole.post->text_source, "text");
    release(&whole);
}

Test(x_v2_post, a_retweet_whose_original_s_author_is_missing_is_whole_under_the_delivered_name)
{
    READ_POST(f, "{\"data\":{\"id\":\"" ID_2 "\",\"text\":\"RT @old_name: The\\u2026\",\"referenced_tweets\":"
                 "[{\"type\":\"retweeted\",\"id\":\"" ID_1 "\"}]},\"includes\":{\"tweets\":[{\"id\":\"" ID_1
                 "\",\"text\":\"The whole\",\"author_id\":\"8\"}]}}");
    expect_text(f.post->text, "RT @old_name: The whole");
    expect_text(f.post->text_source, "text");
    expect_text(f.post->retweet_author, "8");
    release(&f);
    READ_POST(withheld,
              "{\"data\":{\"id\":\"" ID_2 "\",\"text\":\"withheld here\",\"referenced_tweets\":"
              "[{\"type\":\"retweeted\",\"id\":\"" ID_1 "\"}]},\"includes\":{\"tweets\":[{\"id\":\"" ID_1
              "\",\"text\":\"The whole\",\"author_id\":\"8\"}]}}");
    expect_text(withheld.post->text, "withheld here");
    release(&withheld);
}

Test(x_v2_post, a_quoted_text_is_not_the_post_s)
{
    READ_POST(f, DATA(",\"referenced_tweets\":[{\"type\":\"quoted\",\"id\":\"" ID_2
                      "\"}]") ",\"includes\":{\"tweets\":[{"
                              "\"id\":\"" ID_2
                              "\",\"text\":\"quoted\",\"note_tweet\":{\"text\":\"quoted and long\"}}]}}");
    expect_text(f.post->text, "Tea & cake");
    expect_text(f.post->quote_of, ID_2);
    release(&f);
}

Test(x_v2_post, an_edit_names_the_first_post_of_its_history_in_either_spelling)
{
    READ_POST(f, DATA(",\"edit_history_tweet_ids\":[\"17\",\"" ID_1 "\"]") "}");
    expect_text(f.post->edit_of, "17");
    release(&f);
    READ_POST(other, DATA(",\"edit_history_post_ids\":[\"18\",\"" ID_1 "\"]") "}");
    expect_text(other.post->edit_of, "18");
    release(&other);
    READ_POST(first, DATA(",\"edit_history_tweet_ids\":[\"" ID_1 "\",\"" ID_2 "\"]") "}");
    expect_absent(first.post->edit_of);
    release(&first);
}

Test(x_v2_post, a_line_with_errors_beside_its_data_is_a_post)
{
    READ_POST(
        f,
        DATA("") ",\"errors\":[{\"resource_type\":\"tweet\",\"value\":\"456\",\"title\":\"Not Found Error\","
                 "\"type\":\"https://api.x.com/2/problems/resource-not-found\"}]}");
    expect_text(f.post->text, "Tea & cake");
    release(&f);
}

Test(x_v2_post, ids_that_come_as_numbers_are_read_from_their_digits)
{
    READ_POST(f, "{\"data\":{\"id\":1784600000000000001,\"text\":\"a\",\"author_id\":9007199254740993,"
                 "\"conversation_id\":1784600000000000003}}");
    expect_text(f.post->id, "1784600000000000001");
    expect_text(f.post->author_id, "9007199254740993");
    expect_text(f.post->conversation_id, "1784600000000000003");
    release(&f);
}

Test(x_v2_post, an_id_without_a_time_takes_the_delivered_one)
{
    READ_POST(f, "{\"data\":{\"id\":\"20\",\"text\":\"just setting "
                 "up\",\"created_at\":\"2006-03-21T20:50:14.000Z\"}}");
    cr_expect_eq(f.post->created_at, clock_from_date(2006, 3, 21, 20, 50, 14, 0));
    release(&f);
    struct fixture none = read_line("{\"data\":{\"id\":\"20\",\"text\":\"no time\"}}");
    cr_expect_eq(none.message.kind, MESSAGE_EVENT);
    cr_expect_eq(none.message.post.kind, POST_UNKNOWN);
    release(&none);
}

Test(x_v2_post, members_of_the_wrong_type_count_as_absent)
{
    READ_POST(
        f,
        "{\"data\":{\"id\":\"" ID_1 "\",\"text\":\"a\",\"author_id\":{},\"created_at\":5,\"lang\":[],"
        "\"entities\":[1],\"geo\":\"x\",\"withheld\":[],\"attachments\":{\"media_keys\":{\"a\":1}},"
        "\"public_metrics\":[],\"referenced_tweets\":{\"a\":{\"type\":\"retweeted\"}},\"note_tweet\":\"x\","
        "\"edit_history_tweet_ids\":[[]],\"source\":1},\"includes\":[],\"matching_rules\":{\"id\":\"1\"}}");
    expect_text(f.post->text, "a");
    cr_expect_eq(f.post->is_retweet, 0);
    cr_expect_eq(f.post->rules.count, 0);
    release(&f);
    READ_POST(odd, "{\"data\":{\"id\":\"" ID_1
                   "\",\"text\":\"a\",\"referenced_tweets\":[null,5,{\"type\":\"retweeted\"},"
                   "{\"type\":\"retweeted\",\"id\":7}]},\"includes\":{\"tweets\":[null,1,\"x\"],\"users\":5},"
                   "\"matching_rules\":[null,1,\"x\",[],{\"id\":\"not one\"},{\"id\":\"3\"}]}");
    expect_list(odd.post->rules, "3|");
    release(&odd);
}

Test(x_v2_post, the_line_is_kept_when_it_is_asked_for)
{
    struct err e;
    struct message m;
    struct message_reader *r = message_reader_new(&message_form_x_v2, "covid", true, &e);
    message_read(r, view_of(whole_post), 1, &m);
    expect_text(m.post.raw, whole_post);
    message_reader_free(r);
}

struct event {
    const char *line;
    enum post_kind kind;
    const char *why; /* "": absent */
};

Test(x_v2_post, what_is_no_post_is_an_event_that_says_whether_the_stream_ends)
{
    static const struct event events[] = {
        {"{\"errors\":[{\"title\":\"operational-disconnect\",\"disconnect_type\":"
         "\"UpstreamOperationalDisconnect\","
         "\"detail\":\"x\",\"type\":\"https://api.x.com/2/problems/operational-disconnect\"}]}",
         POST_DISCONNECT, "UpstreamOperationalDisconnect"},
        {"{\"errors\":[{\"title\":\"x\",\"type\":\"https://api.twitter.com/2/problems/usage-capped\"}]}",
         POST_DISCONNECT, "usage-capped"},
        {"{\"title\":\"ConnectionException\",\"connection_issue\":\"TooManyConnections\",\"type\":"
         "\"https://api.x.com/2/problems/streaming-connection\"}",
         POST_DISCONNECT, "TooManyConnections"},
        {"{\"errors\":[{\"title\":\"Not Found "
         "Error\",\"type\":\"https://api.x.com/2/problems/resource-not-found\"},"
         "{\"title\":\"operational-disconnect\"}]}",
         POST_DISCONNECT, ""},
        {"{\"errors\":[{\"disconnect_type\":\"SomethingNew\"}]}", POST_DISCONNECT, "SomethingNew"},
        {"{\"errors\":[{\"title\":\"Not Found "
         "Error\",\"type\":\"https://api.x.com/2/problems/resource-not-found\"}]}",
         POST_UNKNOWN, ""},
        {"{\"data\":{\"id\":\"5\"},\"errors\":[{\"title\":\"x\",\"type\":\"/usage-capped\"}]}", POST_UNKNOWN,
         ""},
        {"{\"data\":{\"delete\":{\"tweet\":{\"id\":\"601430178305220608\"}}}}", POST_UNKNOWN, ""},
        {"{\"errors\":[]}", POST_UNKNOWN, ""},
        {"{\"errors\":\"operational-disconnect\"}", POST_UNKNOWN, ""},
        {"[]", POST_UNKNOWN, ""},
        {"17", POST_UNKNOWN, ""},
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct fixture f = read_line(events[i].line);
        cr_expect_eq(f.message.kind, MESSAGE_EVENT, "%s", events[i].line);
        cr_expect_eq(f.message.post.kind, events[i].kind, "%s", events[i].line);
        expect_text(f.message.post.body, events[i].line);
        if (events[i].why[0]) {
            expect_text(f.message.disconnect_why, events[i].why);
        }
        release(&f);
    }
}
