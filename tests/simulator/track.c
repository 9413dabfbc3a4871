/* The documented matching rules of `track`, row by row. */
#include "simulator/track.h"

#include "base/json.h"

#include <criterion/criterion.h>

#include <stdio.h>

static bool match_json(const char *track_value, cJSON *tweet)
{
    int status = 0;
    struct track *track = track_compile(track_value, &status);
    cr_assert(track, "%s: %d", track_value, status);
    struct arena *memory = arena_new(1 << 20);
    struct track_tokens tokens;
    cr_assert_eq(track_tokens_of(tweet, memory, &tokens), 0);
    bool matched = track_match(track, &tokens);
    arena_free(memory);
    track_free(track);
    cJSON_Delete(tweet);
    return matched;
}

static bool matches(const char *track_value, const char *text)
{
    cJSON *tweet = cJSON_CreateObject();
    cJSON_AddStringToObject(tweet, "text", text);
    return match_json(track_value, tweet);
}

/* As the service delivers it: a t.co link in the text, the address in the entity. */
static bool matches_link(const char *track_value, const char *expanded, const char *display)
{
    char json[1000];
    snprintf(json, sizeof json,
             "{\"text\":\"look "
             "https:\\/\\/t.co\\/abcdefghij\",\"entities\":{\"urls\":[{\"url\":\"https://t.co/abcdefghij\","
             "\"expanded_url\":\"%s\",\"display_url\":\"%s\"}]}}",
             expanded, display);
    return match_json(track_value, cJSON_Parse(json));
}

static bool matches_tweet(const char *track_value, const char *json)
{
    cJSON *tweet = cJSON_Parse(json);
    cr_assert(tweet, "%s", json);
    return match_json(track_value, tweet);
}

#define YES(track, text) cr_expect(matches(track, text), "%s should match: %s", track, text)
#define NO(track, text)  cr_expect(!matches(track, text), "%s should not match: %s", track, text)

Test(track, row_Twitter)
{
    YES("Twitter", "TWITTER");
    YES("Twitter", "twitter");
    YES("Twitter", "\"Twitter\"");
    YES("Twitter", "twitter.");
    YES("Twitter", "#twitter");
    YES("Twitter", "@twitter");
    YES("Twitter", "http://twitter.com");
    NO("Twitter", "TwitterTracker");
    NO("Twitter", "#newtwitter");
}

Test(track, row_Twitters)
{
    YES("Twitter's", "I like Twitter's new design");
    NO("Twitter's", "Someday I'd like to visit @Twitter's office");
}

Test(track, row_two_terms_and_comma)
{
    static const char track_value[] = "twitter api,twitter streaming";
    YES(track_value, "The Twitter API is awesome");
    YES(track_value, "The twitter streaming service is fast");
    YES(track_value, "Twitter has a streaming API");
    NO(track_value, "I'm new to Twitter");
}

Test(track, rows_of_addresses_in_text)
{
    YES("example.com", "Someday I will visit example.com");
    NO("example.com", "There is no example.com/foobarbaz");
    YES("example.com/foobarbaz", "example.com/foobarbaz");
    YES("example.com/foobarbaz", "www.example.com/foobarbaz");
    NO("example.com/foobarbaz", "example.com");
    NO("www.example.com/foobarbaz", "www.example.com/foobarbaz");
    YES("example com", "example.com");
    YES("example com", "www.example.com");
    YES("example com", "foo.example.com");
    YES("example com", "foo.example.com/bar");
    YES("example com", "I hope my startup isn't merely another example of a dot com boom!");
}

Test(track, rows_of_addresses_in_entities)
{
    cr_expect(matches_link("Twitter", "http://twitter.com/", "twitter.com"));
    cr_expect(matches_link("example.com", "http://example.com", "example.com"));
    cr_expect(!matches_link("example.com", "http://example.com/foobarbaz", "example.com/foobarbaz"));
    cr_expect(
        matches_link("example.com/foobarbaz", "http://www.example.com/foobarbaz", "example.com/foobarbaz"));
    cr_expect(!matches_link("example.com/foobarbaz", "http://example.com", "example.com"));
    cr_expect(!matches_link("www.example.com/foobarbaz", "https://www.example.com/foobarbaz",
                            "example.com/foobarbaz"));
    cr_expect(matches_link("example com", "https://foo.example.com/bar", "foo.example.com/bar"));
    /* A displayed address is cut: what it seems to end with is not there. */
    cr_expect(!matches_link("example.com/foo", "https://example.com/foobarbaz", "example.com/foo\u2026"));
    cr_expect(!matches_link("foo", "https://example.com/foobarbaz", "example.com/foo\u2026"));
    /* t.co is how links travel, not what they are about. */
    cr_expect(!matches_link("co", "https://example.com/a", "example.com/a"));
}

Test(track, punctuation_of_the_term_belongs_to_it_and_of_the_tweet_does_not)
{
    YES("hello", "hello.");
    YES("hello", "he said \xE2\x80\x9Chello\xE2\x80\x9D");
    YES("hello", "(hello)!");
    NO("hello.", "hello world");
    NO("hello.", "#hello");
    YES("coffee", "coffee/tea?");
    YES("rock'n'roll", "it's rock'n'roll!");
}

Test(track, signs_of_a_term_ask_for_that_entity_only)
{
    YES("#coffee", "more #Coffee please");
    NO("#coffee", "more coffee please");
    YES("@ada", "thanks @ADA!");
    NO("@ada", "thanks ada");
    YES("$aapl", "up: $AAPL");
    NO("ada", "mail ada@example");
    YES("caf\u00e9", "un #caf\u00e9, por favor");
}

Test(track, accents_count_and_case_does_not_in_any_script)
{
    NO("touche", "touch\u00e9");
    YES("touch\u00e9", "TOUCH\u00c9");
    YES("\u043a\u043e\u0444\u0435", "\u041a\u041e\u0424\u0415!");
    YES("\u03ba\u03b1\u03c6\u03ad", "\u039a\u0391\u03a6\u0388");
}

Test(track, languages_without_spaces_match_only_where_the_term_stands_alone)
{
    YES("\u65e5\u672c", "\u65e5\u672c \u3078");
    YES("\u65e5\u672c", "#\u65e5\u672c");
    NO("\u65e5\u672c", "\u65e5\u672c\u8a9e");
}

Test(track, emoji_beside_a_word_do_not_hide_it)
{
    YES("coffee", "coffee\u2615\ufe0f");
    YES("\u2615", "\u2615coffee");
    YES("coffee", "I\u2764\ufe0fcoffee");
}

Test(track, escapes_of_the_text_are_decoded_first)
{
    YES("at&t", "AT&amp;T is down");
    YES("coffee", "&lt;coffee&gt;");
    NO("amp", "a &amp; b");
}

Test(track, looks_into_extended_retweeted_and_quoted_texts_and_entities)
{
    cr_expect(matches_tweet("tea", "{\"text\":\"x\",\"extended_tweet\":{\"full_text\":\"long long tea\"}}"));
    cr_expect(matches_tweet("tea", "{\"text\":\"RT @a: x\",\"retweeted_status\":{\"text\":\"a tea\"}}"));
    cr_expect(matches_tweet(
        "tea",
        "{\"text\":\"x\",\"retweeted_status\":{\"text\":\"x\",\"quoted_status\":{\"text\":\"tea\"}}}"));
    cr_expect(matches_tweet("tea",
                            "{\"text\":\"x\",\"quoted_status\":{\"text\":\"x\",\"extended_tweet\":"
                            "{\"full_text\":\"x\",\"entities\":{\"hashtags\":[{\"text\":\"Tea\"}]}}}}"));
    cr_expect(matches_tweet("ada",
                            "{\"text\":\"x\",\"entities\":{\"user_mentions\":[{\"screen_name\":\"Ada\"}]}}"));
    cr_expect(matches_tweet(
        "pic", "{\"text\":\"x\",\"entities\":{\"media\":[{\"display_url\":\"pic.twitter.com/x\"}]}}"));
    cr_expect(
        !matches_tweet("ada", "{\"text\":\"x\",\"user\":{\"screen_name\":\"ada\",\"description\":\"ada\"}}"));
}

static int status_of(const char *value)
{
    int status = 200;
    track_free(track_compile(value, &status));
    return status;
}

Test(track, limits_are_bytes_and_phrases)
{
    char sixty[62], many[2 * 401 + 1];
    memset(sixty, 'a', sizeof sixty);
    sixty[60] = '\0';
    cr_expect_eq(status_of(sixty), 200);
    sixty[60] = 'a';
    sixty[61] = '\0';
    cr_expect_eq(status_of(sixty), 406);
    cr_expect_eq(status_of("a,,b"), 406);
    cr_expect_eq(status_of("a,"), 406);
    /* Twenty characters of three bytes are sixty bytes, one more is too long. */
    char wide[64] = "";
    for (size_t i = 0; i < 21; i++) {
        memcpy(wide + 3 * i, "\u65e5", 3);
    }
    cr_expect_eq(status_of(wide), 406);
    wide[60] = '\0';
    cr_expect_eq(status_of(wide), 200);
    for (size_t i = 0; i < 401; i++) {
        many[2 * i] = 'a';
        many[2 * i + 1] = ',';
    }
    many[2 * 400 - 1] = '\0';
    cr_expect_eq(status_of(many), 200);
    many[2 * 400 - 1] = ',';
    many[2 * 401 - 1] = '\0';
    cr_expect_eq(status_of(many), 413);
}

Test(track, broken_text_is_harmless)
{
    NO("y", "\xFF\xFE http:// https:// # @ $ ### @@@ http://x");
    NO("x", "");
    NO("x", "http://");
}
