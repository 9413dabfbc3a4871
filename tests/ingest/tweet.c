/* Tweets become posts: each field from where section 3.1 and 7.2 of the API document say, and nothing breaks
 * on less. */
#include "ingest/tweet.h"
#include "base/clock.h"
#include "ingest/x_part.h"
#include "tests/ingest/support/posts.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct arena *arena;
    struct text_worker *worker;
    cJSON *tree;
    struct post post;
    struct err err;
    int result;
};

static struct fixture convert(const char *json)
{
    struct fixture f = {.arena = arena_new(16 << 20)};
    f.worker = text_worker_new(&f.err);
    cr_assert_not_null(f.worker, "%s", f.err.text);
    f.tree = cJSON_Parse(json);
    cr_assert_not_null(f.tree, "the test's JSON is broken: %s", json);
    f.err.text[0] = '\0';
    f.result = tweet_to_post(f.tree, view_of(json), f.worker, f.arena, &f.post, &f.err);
    return f;
}

static void release(struct fixture *f)
{
    cJSON_Delete(f->tree);
    text_worker_free(f->worker);
    arena_free(f->arena);
}

/* The documents' short tweet. */
static const char short_tweet[] =
    "{\"created_at\":\"Wed Oct 10 20:19:24 +0000 "
    "2018\",\"id\":1050118621198921728,\"id_str\":\"1050118621198921728\","
    "\"text\":\"Tea &amp; cake \\ud83c\\udf70 #Lunch &lt;3 &amp;lt; &quot;\",\"source\":\"<a "
    "href=\\\"https://example.org/app\\\" "
    "rel=\\\"nofollow\\\">Example &amp; App</a>\",\"truncated\":false,\"in_reply_to_status_id\":null,"
    "\"in_reply_to_status_id_str\":null,\"in_reply_to_user_id\":null,\"in_reply_to_user_id_str\":null,"
    "\"user\":{\"id\":6253282,\"id_str\":\"6253282\",\"name\":\"Ada\",\"screen_name\":\"ada\",\"verified\":"
    "true,"
    "\"followers_count\":21,\"friends_count\":32,\"statuses_count\":42,"
    "\"created_at\":\"Wed May 23 06:01:13 +0000 2007\"},\"geo\":{\"type\":\"Point\",\"coordinates\":[1,2]},"
    "\"coordinates\":{\"type\":\"Point\",\"coordinates\":[-75.5,40.25]},"
    "\"place\":{\"full_name\":\"Porto, Portugal\",\"country_code\":\"PT\"},\"is_quote_status\":false,"
    "\"quote_count\":-1,\"reply_count\":0,\"retweet_count\":3,\"favorite_count\":7,\"possibly_sensitive\":"
    "false,"
    "\"entities\":{\"hashtags\":[{\"text\":\"Lunch\",\"indices\":[17,23]},{\"text\":\"LUNCH\"},{\"text\":"
    "\"\\u00c9t\\u00e9\"}],"
    "\"urls\":[{\"url\":\"https://t.co/a\",\"expanded_url\":\"https://example.org/Path\",\"indices\":[0,3]},"
    "{\"url\":\"https://t.co/b\",\"expanded_url\":null}],"
    "\"user_mentions\":[{\"screen_name\":\"Bob_B\",\"id_str\":\"7\"}],\"symbols\":[{\"text\":\"AAPL\"}],"
    "\"media\":[{\"media_url_https\":\"https://pbs.example/not-this\",\"url\":\"https://t.co/m\"}]},"
    "\"extended_entities\":{\"media\":[{\"media_url_https\":\"https://pbs.example/One.jpg\"},"
    "{\"media_url_https\":\"https://pbs.example/Two.jpg\"}]},"
    "\"withheld_in_countries\":[\"DE\",\"XY\"],\"lang\":\"in\",\"timestamp_ms\":\"1539202764999\"}";

Test(tweet, every_field_of_a_short_tweet_is_found)
{
    struct fixture f = convert(short_tweet);
    struct post *p = &f.post;
    cr_assert_eq(f.result, 0, "%s", f.err.text);
    expect_text(p->network, "x");
    expect_text(p->id, "1050118621198921728");
    cr_expect_eq(p->created_at, INT64_C(1539202764211), "the id's time counts, not timestamp_ms: %lld",
                 (long long)p->created_at);
    expect_text(p->author_id, "6253282");
    expect_text(p->author_handle, "ada");
    expect_text(p->author_name, "Ada");
    cr_expect_eq(p->author_followers, 21);
    cr_expect_eq(p->author_following, 32);
    cr_expect_eq(p->author_posts, 42);
    cr_expect_eq(p->author_verified, 1);
    cr_expect_eq(p->author_created_at, clock_from_date(2007, 5, 23, 6, 1, 13, 0));
    expect_text(p->lang, "id");
    expect_text(p->text, "Tea & cake \xF0\x9F\x8D\xB0 #Lunch <3 &lt; &quot;");
    expect_text(p->text_source, "text");
    expect_absent(p->clean_text);
    expect_list(p->hashtags, "lunch|\xC3\xA9t\xC3\xA9|");
    expect_list(p->cashtags, "aapl|");
    expect_list(p->mentions, "bob_b|");
    expect_list(p->urls, "https://example.org/Path|https://t.co/b|");
    expect_list(p->media, "https://pbs.example/One.jpg|https://pbs.example/Two.jpg|");
    expect_list(p->emoji, "\xF0\x9F\x8D\xB0|");
    expect_list(p->links, "");
    expect_list(p->keywords, "");
    cr_expect_eq(p->is_retweet, 0);
    cr_expect_eq(p->is_quote, 0);
    cr_expect_eq(p->is_reply, 0);
    cr_expect_eq(p->likes, 7);
    cr_expect_eq(p->retweets, 3);
    cr_expect_eq(p->replies, 0);
    cr_expect_eq(p->quotes, POST_NO_NUMBER, "-1 is null");
    expect_text(p->app, "Example & App");
    cr_expect_eq(p->sensitive, 0);
    expect_text(p->place, "Porto, Portugal");
    expect_text(p->country, "PT");
    cr_expect_eq(p->longitude, -75.5);
    cr_expect_eq(p->latitude, 40.25);
    expect_list(p->withheld_in, "DE|XY|");
    expect_absent(p->raw);
    expect_absent(p->body);
    release(&f);
}

Test(tweet, a_long_tweet_gives_its_whole_text_and_the_entities_beside_it)
{
    struct fixture f =
        convert("{\"id_str\":\"1296121314218897408\",\"truncated\":true,\"text\":\"The first part\\u2026 "
                "https://t.co/aaaaaaaaaa\","
                "\"entities\":{\"hashtags\":[{\"text\":\"wrong\"}],\"urls\":[{\"expanded_url\":\"https://"
                "twitter.com/i/web/status/1\"}]},"
                "\"extended_entities\":{\"media\":[{\"media_url_https\":\"https://wrong\"}]},"
                "\"extended_tweet\":{\"full_text\":\"The whole text &gt; "
                "#Example\",\"entities\":{\"hashtags\":[{\"text\":\"Example\"}]},"
                "\"extended_entities\":{\"media\":[{\"media_url_https\":\"https://right\"}]}}}");
    expect_text(f.post.text, "The whole text > #Example");
    expect_text(f.post.text_source, "extended_tweet");
    expect_list(f.post.hashtags, "example|");
    expect_list(f.post.urls, "");
    expect_list(f.post.media, "https://right|");
    release(&f);
}

Test(tweet, a_retweet_of_a_long_tweet_is_rt_name_and_the_whole_original)
{
    struct fixture f = convert("{\"id_str\":\"1296121314218897409\",\"text\":\"RT @Ada: The first part of a "
                               "long text\\u2026\",\"truncated\":false,"
                               "\"user\":{\"id_str\":\"99\",\"screen_name\":\"bob\"},\"lang\":\"iw\","
                               "\"entities\":{\"user_mentions\":[{\"screen_name\":\"Ada\"}]},"
                               "\"retweeted_status\":{\"id\":1050118621198921729,\"truncated\":true,\"text\":"
                               "\"The first part\\u2026\","
                               "\"user\":{\"id\":6253282,\"screen_name\":\"Ada\"},\"favorite_count\":500,"
                               "\"in_reply_to_status_id_str\":\"5\","
                               "\"extended_tweet\":{\"full_text\":\"The whole text &amp; "
                               "more\",\"entities\":{\"hashtags\":[{\"text\":\"Tea\"}]}}},"
                               "\"is_quote_status\":false,\"favorite_count\":0}");
    struct post *p = &f.post;
    cr_assert_eq(f.result, 0, "%s", f.err.text);
    expect_text(p->text, "RT @Ada: The whole text & more");
    expect_text(p->text_source, "extended_tweet");
    expect_text(p->author_id, "99");
    expect_text(p->author_handle, "bob");
    expect_text(p->lang, "he");
    expect_list(p->hashtags, "tea|");
    expect_list(p->mentions, "");
    cr_expect_eq(p->is_retweet, 1);
    expect_text(p->retweet_of, "1050118621198921729");
    expect_text(p->retweet_author, "6253282");
    cr_expect_eq(p->likes, 0, "the counts are the delivered tweet's");
    cr_expect_eq(p->is_reply, 0, "a retweet of a reply is no reply");
    expect_absent(p->reply_to);
    release(&f);
}

Test(tweet, a_text_that_the_payload_has_only_cut_is_marked_so)
{
    struct fixture f =
        convert("{\"id_str\":\"1050118621198921728\",\"truncated\":true,\"text\":\"The first\\u2026\"}");
    expect_text(f.post.text_source, "cut");
    release(&f);
    f = convert("{\"id_str\":\"1050118621198921728\",\"truncated\":true,\"full_text\":\"All of "
                "it\",\"text\":\"All\\u2026\"}");
    expect_text(f.post.text, "All of it");
    expect_text(f.post.text_source, "text");
    release(&f);
    f = convert(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"RT @ada: The first\\u2026\",\"truncated\":false,"
        "\"retweeted_status\":{\"id_str\":\"1\",\"text\":\"The first part\"}}");
    expect_text(f.post.text, "RT @ada: The first\xE2\x80\xA6");
    expect_text(f.post.text_source, "cut");
    cr_expect_eq(f.post.is_retweet, 1);
    expect_text(f.post.retweet_of, "1");
    release(&f);
    f = convert(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"RT @ada: x\\u2026\",\"retweeted_status\":"
        "{\"id_str\":\"1\",\"truncated\":true,\"text\":\"xy\\u2026\",\"user\":{\"screen_name\":\"ada\"}}}");
    expect_text(f.post.text, "RT @ada: xy\xE2\x80\xA6");
    expect_text(f.post.text_source, "cut");
    release(&f);
}

Test(tweet, quotes_are_known_by_what_there_is_of_them)
{
    struct fixture f = convert(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"is_quote_status\":true,"
        "\"quoted_status_id\":1050118621198921729,\"quoted_status\":{\"id_str\":\"1\",\"text\":\"b\"}}");
    cr_expect_eq(f.post.is_quote, 1);
    expect_text(f.post.quote_of, "1050118621198921729");
    expect_text(f.post.text, "a");
    release(&f);
    f = convert("{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"is_quote_status\":true}");
    cr_expect_eq(f.post.is_quote, 1, "the quoted tweet may be gone");
    expect_absent(f.post.quote_of);
    release(&f);
    f = convert(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"quoted_status\":{\"id\":9007199254740993}}");
    cr_expect_eq(f.post.is_quote, 1);
    expect_text(f.post.quote_of, "9007199254740993");
    release(&f);
    f = convert(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"RT @c: "
        "b\",\"retweeted_status\":{\"id_str\":\"2\",\"text\":\"b\","
        "\"user\":{\"screen_name\":\"c\"},\"is_quote_status\":true,\"quoted_status_id\":9007199254740993}}");
    cr_expect_eq(f.post.is_quote, 1, "a retweet of a quote");
    expect_text(f.post.quote_of, "9007199254740993");
    release(&f);
}

Test(tweet, a_reply_answers_a_tweet)
{
    struct fixture f =
        convert("{\"id_str\":\"1050118621198921728\",\"text\":\"@ada yes\",\"in_reply_to_status_id\":"
                "1050118621198921727,\"in_reply_to_user_id\":6253282,\"in_reply_to_status_id_str\":null}");
    cr_expect_eq(f.post.is_reply, 1);
    expect_text(f.post.reply_to, "1050118621198921727");
    expect_text(f.post.reply_to_author, "6253282");
    release(&f);
    f = convert("{\"id_str\":\"1050118621198921728\",\"text\":\"@ada hi\",\"in_reply_to_status_id_str\":null,"
                "\"in_reply_to_user_id_str\":\"6253282\"}");
    cr_expect_eq(f.post.is_reply, 0);
    expect_text(f.post.reply_to_author, "6253282");
    release(&f);
}

Test(tweet, ids_without_their_strings_are_read_from_the_digits)
{
    struct fixture f = convert(
        "{\"user\":{\"id\":9007199254740995},\"retweeted_status\":{\"id\":9007199254740994,\"text\":\"b\","
        "\"user\":{\"id\":9223372036854775807,\"screen_name\":\"c\"}},"
        "\"text\":\"a\",\"id\":1050118621198921729}");
    expect_text(f.post.id, "1050118621198921729");
    expect_text(f.post.author_id, "9007199254740995");
    expect_text(f.post.retweet_of, "9007199254740994");
    expect_text(f.post.retweet_author, "9223372036854775807");
    release(&f);
}

Test(tweet, created_at_depends_on_the_tweet_alone)
{
    struct fixture f =
        convert("{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"timestamp_ms\":\"1539202764999\"}");
    struct fixture g = convert("{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"created_at\":\"Sat Jan "
                               "01 00:00:00 +0000 2011\"}");
    cr_expect_eq(f.post.created_at, g.post.created_at);
    release(&f);
    release(&g);
    f = convert("{\"id_str\":\"29700859248\",\"text\":\"a\"}");
    cr_expect_eq(f.post.created_at, X_PART_EPOCH_MS + (INT64_C(29700859248) >> 22));
    release(&f);
    f = convert(
        "{\"id_str\":\"29700859247\",\"text\":\"a\",\"created_at\":\"Thu Nov 04 01:42:54 +0000 2010\"}");
    cr_expect_eq(f.post.created_at, clock_from_date(2010, 11, 4, 1, 42, 54, 0));
    release(&f);
    f = convert("{\"id_str\":\"20\",\"text\":\"a\",\"timestamp_ms\":\"1539202764999\"}");
    cr_expect_eq(f.result, -1);
    cr_expect(strstr(f.err.text, "tweet 20"));
    release(&f);
}

Test(tweet, times_are_read_without_a_locale)
{
    cr_expect_eq(tweet_time(VIEW("Wed Oct 10 20:19:24 +0000 2018")),
                 clock_from_date(2018, 10, 10, 20, 19, 24, 0));
    cr_expect_eq(tweet_time(VIEW("Wed Feb 29 00:00:00 +0130 2012")),
                 clock_from_date(2012, 2, 28, 22, 30, 0, 0));
    static const char *const bad[] = {"",
                                      "Wed Oct 10 20:19:24 +0000 201",
                                      "Wed Okt 10 20:19:24 +0000 2018",
                                      "Wed Feb 30 20:19:24 +0000 2018",
                                      "Wed Oct 10 25:19:24 +0000 2018",
                                      "Wed Oct 10 20:19:24 +00:0 2018",
                                      "Wed Oct 10 20:19:24 -xx00 2018",
                                      "2018-10-10T20:19:24.000Z+00000",
                                      "Wed Oct 1\" 20:19:24 +0000 2018"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(tweet_time(view_of(bad[i])), CLOCK_NONE, "%s", bad[i]);
    }
    cr_expect_eq(tweet_time(view_none()), CLOCK_NONE);
}

Test(tweet, links_are_found_by_code_points_of_the_escaped_text)
{
    /* 🍰 is one code point of four bytes, &amp; five of one. */
    struct fixture f =
        convert("{\"id_str\":\"1050118621198921728\",\"text\":\"\\ud83c\\udf70 &amp; bit.ly/a?x&amp;y "
                "pic.example/1 https://t.co/b\","
                "\"entities\":{\"urls\":[{\"url\":\"bit.ly/a?x&amp;y\",\"expanded_url\":\"https://"
                "e.org\",\"indices\":[8,24]},"
                "{\"url\":\"https://t.co/b\",\"indices\":[39,53]},{\"indices\":[8,24]},{\"indices\":[39,53]},"
                "{\"url\":\"elsewhere.example\",\"indices\":[0,3]},{\"indices\":[-1,3]},{\"indices\":[3,3]},{"
                "\"indices\":[50,5000]},"
                "{\"indices\":\"x\"},{\"indices\":[\"0\",\"1\"]},7,null],\"media\":[{\"url\":\"pic.example/"
                "1\",\"indices\":[0,2]}]}}");
    expect_list(f.post.links, "bit.ly/a?x&y|pic.example/1|");
    release(&f);
}

Test(tweet, apps_are_the_text_of_the_anchor)
{
    static const char *const cases[][2] = {{"web", "web"},
                                           {"", NULL},
                                           {"<a>", NULL},
                                           {"<a href='x'></a>", NULL},
                                           {"<a href='x'>A</a>", "A"},
                                           {"<", NULL},
                                           {"</a>", NULL},
                                           {"<a href='x'>A &gt; B</a>", "A > B"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"source\":\"%s\"}",
                 cases[i][0]);
        struct fixture f = convert(json);
        cr_expect(cases[i][1] ? view_is(f.post.app, cases[i][1]) : view_absent(f.post.app), "%s gives %.*s",
                  cases[i][0], VIEW_PRINT(f.post.app));
        release(&f);
    }
}

Test(tweet, members_of_wrong_types_are_absent)
{
    static const char *const values[] = {
        "7",
        "\"seven\"",
        "true",
        "[]",
        "{}",
        "[7,[{}],\"a\",{\"text\":7,\"indices\":[1,2]}]",
        "{\"coordinates\":[\"a\",{}],\"hashtags\":7,\"urls\":{\"url\":1},\"id_str\":[],\"id\":1.5}",
        "-1",
        "1e999",
        "1.5",
        "null"};
    static const char *const keys[] = {"user",
                                       "entities",
                                       "extended_entities",
                                       "extended_tweet",
                                       "retweeted_status",
                                       "quoted_status",
                                       "coordinates",
                                       "place",
                                       "source",
                                       "lang",
                                       "favorite_count",
                                       "in_reply_to_status_id",
                                       "in_reply_to_status_id_str",
                                       "possibly_sensitive",
                                       "created_at",
                                       "truncated",
                                       "withheld_in_countries",
                                       "quoted_status_id_str",
                                       "is_quote_status",
                                       "full_text"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            char json[500];
            snprintf(json, sizeof json, "{\"id_str\":\"1050118621198921728\",\"%s\":%s,\"text\":\"a\"}",
                     keys[k], values[i]);
            struct fixture f = convert(json);
            cr_expect_eq(f.result, 0, "%s: %s", json, f.err.text);
            cr_expect_not(view_absent(f.post.text));
            release(&f);
        }
    }
    struct fixture f = convert("{\"id_str\":1050118621198921728,\"id\":\"7\",\"text\":\"a\"}");
    cr_expect_eq(f.result, -1, "no id as a string and none as a number");
    cr_expect(strstr(f.err.text, "no id"));
    release(&f);
    f = convert("{\"id_str\":\"1050118621198921728\",\"text\":7}");
    cr_expect_eq(f.result, -1);
    cr_expect(strstr(f.err.text, "no text"));
    release(&f);
    f = convert("{\"id_str\":\"12345678901234567890\",\"text\":\"a\"}");
    cr_expect_eq(f.result, -1, "an id has 63 bits");
    release(&f);
    f = convert(
        "{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"coordinates\":{\"coordinates\":[200,10]}}");
    cr_expect(isnan(f.post.longitude) && isnan(f.post.latitude));
    release(&f);
}

Test(tweet, a_list_without_end_is_cut)
{
    struct buffer b = BUFFER(1 << 20);
    buffer_add_text(&b, "{\"id_str\":\"1050118621198921728\",\"text\":\"a\",\"entities\":{\"hashtags\":[");
    for (int i = 0; i < 3 * TWEET_LIST_MOST; i++) {
        buffer_print(&b, "%s{\"text\":\"t%d\"}", i ? "," : "", i);
    }
    buffer_add_text(&b, "]}}");
    struct fixture f = convert(buffer_string(&b));
    cr_expect_eq(f.post.hashtags.count, TWEET_LIST_MOST);
    release(&f);
    buffer_free(&b);
}

Test(tweet, tweets_are_told_from_other_messages)
{
    static const struct {
        const char *json;
        bool is;
    } cases[] = {{"{\"id\":1,\"text\":\"a\"}", true},
                 {"{\"id_str\":\"1\",\"in_reply_to_status_id\":null}", true},
                 {"{\"id_str\":\"1\",\"extended_tweet\":{\"full_text\":\"a\"}}", true},
                 {"{\"text\":\"a\"}", false},
                 {"{\"id\":1,\"text\":7}", false},
                 {"{\"delete\":{\"status\":{\"id\":1}}}", false},
                 {"[]", false},
                 {"7", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cJSON *tree = cJSON_Parse(cases[i].json);
        cr_expect_eq(tweet_is_one(tree), cases[i].is, "%s", cases[i].json);
        cJSON_Delete(tree);
    }
    cr_expect_not(tweet_is_one(NULL));
}
