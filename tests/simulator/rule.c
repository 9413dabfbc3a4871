/* Rules of API v2: what is valid, what matches, by each row of the operators' table. */
#include "simulator/rule.h"

#include "simulator/rule_store.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

/* A post with something for every operator; the texts of the tests are put into it. */
static const char POST[] =
    "{\"data\":{\"id\":\"1784600000000000001\",\"text\":\"%s\",\"author_id\":\"99\",\"lang\":\"en\","
    "\"conversation_id\":\"1784500000000000000\",\"in_reply_to_user_id\":\"6253282\",\"source\":\"Twitter "
    "for "
    "Android\",\"attachments\":{\"media_keys\":[\"3_1\"]},"
    "\"referenced_tweets\":[{\"type\":\"quoted\",\"id\":\"1784400000000000000\"},{\"type\":\"replied_to\","
    "\"id\":"
    "\"1784500000000000000\"}],"
    "\"context_annotations\":[{\"domain\":{\"id\":\"45\"},\"entity\":{\"id\":\"781974596740190208\",\"name\":"
    "\"CPG "
    "Drinks\"}}],"
    "\"entities\":{\"hashtags\":[{\"tag\":\"Tea_Time\"}],\"cashtags\":[{\"tag\":\"KO\"}],"
    "\"mentions\":[{\"username\":\"Ada\",\"id\":\"6253282\"}],\"annotations\":[{\"normalized_text\":"
    "\"Captain "
    "Morgan\"}],"
    "\"urls\":[{\"url\":\"https://t.co/YbMgHU5xRX\",\"expanded_url\":\"https://news.example.org/Green-Tea/"
    "7\","
    "\"title\":\"The best leaves\",\"description\":\"All of them\"}]},"
    "\"geo\":{\"place_id\":\"a0583a9994e6bf1b\"}},"
    "\"includes\":{\"users\":[{\"id\":\"99\",\"username\":\"bob\",\"name\":\"Bob the "
    "Baker\",\"location\":\"Old "
    "Town\",\"description\":\"Bread & butter\",\"verified\":true,\"public_metrics\":{\"followers_count\":500,"
    "\"following_count\":20,\"tweet_count\":7,\"listed_count\":3}},{\"id\":\"6253282\",\"username\":\"ada\"}]"
    ","
    "\"media\":[{\"media_key\":\"3_1\",\"type\":\"photo\"}],"
    "\"places\":[{\"id\":\"a0583a9994e6bf1b\",\"name\":\"Manhattan\",\"full_name\":\"Manhattan, NY\","
    "\"country_code\":\"US\",\"geo\":{\"bbox\":[-74.02,40.7,-73.93,40.8]}}],"
    "\"tweets\":[{\"id\":\"1784400000000000000\",\"text\":\"the quoted kettle\",\"author_id\":\"7\","
    "\"entities\":{\"hashtags\":[{\"tag\":\"quotedtag\"}]}}]}}";

static bool matches_json(const char *rule_text, const char *json)
{
    struct rule_problems problems;
    struct rule *rule = rule_parse(view_of(rule_text), 1024, true, &problems);
    cr_assert(rule, "%s: %s", rule_text, problems.count ? problems.details[0] : "memory");
    struct arena *memory = arena_new(1 << 20);
    struct rule_facts facts;
    cJSON *payload = cJSON_Parse(json);
    cr_assert(payload, "%s", json);
    cr_assert_eq(rule_facts_of(payload, memory, &facts), 0);
    bool matched = rule_match(rule, &facts);
    /* What the index of a thousand rules relies on: a match has at least one fact of the cover. */
    struct rule_words cover = {0};
    if (rule_cover(rule, &cover)) {
        bool any = false;
        for (size_t i = 0; i < cover.count; i++) {
            any = any || rule_facts_has(&facts, cover.items[i]);
        }
        cr_expect(any || !matched, "%s matches without a fact of its cover", rule_text);
    }
    rule_words_free(&cover);
    cJSON_Delete(payload);
    arena_free(memory);
    rule_free(rule);
    return matched;
}

static bool matches(const char *rule_text, const char *text)
{
    char json[8000];
    snprintf(json, sizeof json, POST, text);
    return matches_json(rule_text, json);
}

struct row {
    const char *rule, *text;
    bool matches;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(matches(rows[i].rule, rows[i].text), rows[i].matches, "row %zu: %s, on: %s", i,
                     rows[i].rule, rows[i].text);
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

Test(rule, joins_operators_as_the_documents_say)
{
    static const struct row rows[] = {
        {"apple iphone", "An iPhone, an APPLE", true},
        {"apple iphone", "an apple", false},
        {"apple OR iphone", "an apple", true},
        /* AND binds before OR */
        {"apple OR iphone ipad", "apple", true},
        {"apple OR iphone ipad", "iphone", false},
        {"iphone ipad OR apple", "apple", true},
        {"(apple OR iphone) ipad", "apple", false},
        {"(apple OR iphone) ipad", "iphone ipad", true},
        {"cat -grumpy", "a cat", true},
        {"cat -grumpy", "a grumpy cat", false},
        {"cat -\"very grumpy\"", "a very grumpy cat", false},
        {"cat -\"very grumpy\"", "a grumpy cat, very", true},
        {"((a b) OR c) (lang:en OR lang:fr)", "c", true},
        {"((a b) OR c) (lang:de OR lang:fr)", "a b c", false},
        {"cat lang:en lang:fr", "cat", false},
    };
    CHECK_ROWS(rows);
}

Test(rule, matches_keywords_by_the_tokens_of_the_text)
{
    static const struct row rows[] = {
        {"coca", "coca-cola", true},
        {"cola", "I like Coca-Cola!", true},
        {"\"coca-cola\"", "coca cola", true},
        {"\"coca-cola\"", "cola coca", false},
        {"cocacola", "coca-cola", false},
        {"cat", "concat cats", false},
        {"cat", "a #cat", true},
        {"caf\xC3\xA9", "CAF\xC3\x89", true},
        {"caf\xC3\xA9", "cafe", false}, /* accents are significant */
        {"amp", "this &amp; that", false},
        {"\"this that\"", "this &amp; that", true},
        {"\"a b\"~2", "a x y b", true},
        {"\"a b\"~2", "a x y z b", false},
        {"\"a b\"~2", "b a", true}, /* in the other order two less */
        {"\"a b\"~2", "b x a", false},
        {"\xF0\x9F\x98\x80", "so \xF0\x9F\x98\x80!", true},
        {"\xF0\x9F\x98\x80", "so \xF0\x9F\x98\x81!", false},
        {"\"\xE2\x98\x95\xEF\xB8\x8F\"", "hot \xE2\x98\x95 now", true},
        {"kettle", "nothing", true},           /* the quoted post's text, too */
        {"\"nothing the\"", "nothing", false}, /* but no phrase over both */
        {"\xE3\x82\xB3\xE3\x83\xBC\xE3\x83\x92\xE3\x83\xBC",
         "\xE3\x82\xB3\xE3\x83\xBC\xE3\x83\x92\xE3\x83\xBC\xE3\x80\x82", true},
    };
    CHECK_ROWS(rows);
}

Test(rule, matches_each_operator_of_the_table)
{
    static const struct row rows[] = {
        {"#tea_time", "x", true},
        {"#tea", "x #tea", false}, /* recognised entities only, whole */
        {"#quotedtag", "x", false},
        {"@ADA", "x", true},
        {"@bob", "x", false},
        {"$ko", "x", true},
        {"$k", "x", false},
        {"url:\"news.example.org\"", "x", true},
        {"url:green", "x", true},
        {"url:\"example news\"", "x", false},
        {"from:bob", "x", true},
        {"from:99", "x", true},
        {"from:ada", "x", false},
        {"to:ada", "x", true},
        {"to:6253282", "x", true},
        {"to:bob", "x", false},
        {"retweets_of:ada", "x", false},
        {"bio:butter", "x", true},
        {"bio:\"bread butter\"", "x", true},
        {"bio_name:baker", "x", true},
        {"bio_location:\"old town\"", "x", true},
        {"bio_location:new", "x", false},
        {"from_affiliate_of:x OR to_affiliate_of:x", "x", false},
        {"context:45.781974596740190208", "x", true},
        {"context:45.*", "x", true},
        {"context:*.781974596740190208", "x", true},
        {"context:46.*", "x", false},
        {"entity:\"captain morgan\"", "x", true},
        {"entity:\"CPG drinks\"", "x", true},
        {"entity:\"morgan\"", "x", false},
        {"conversation_id:1784500000000000000", "x", true},
        {"conversation_id:1", "x", false},
        {"place:manhattan", "x", true},
        {"place:\"manhattan, ny\"", "x", true},
        {"place:a0583a9994e6bf1b", "x", true},
        {"place_country:us", "x", true},
        {"place_country:DE", "x", false},
        {"point_radius:[-73.98 40.75 16km]", "x", true},
        {"point_radius:[-73.98 40.75 1mi]", "x", false},
        {"bounding_box:[-74.1 40.6 -73.9 40.9]", "x", true},
        {"bounding_box:[-74.0 40.6 -73.9 40.9]", "x", false},
        {"x is:verified", "x", true},
        {"x has:geo", "x", true},
        {"x is:retweet", "x", false},
        {"x -is:retweet", "x", true},
        {"x is:reply", "x", true},
        {"x is:quote", "x", true},
        {"x -is:nullcast", "x", true},
        {"x has:hashtags", "x", true},
        {"x has:cashtags", "x", true},
        {"x has:links", "x", true},
        {"x has:mentions", "x", true},
        {"x has:media", "x", true},
        {"x has:images", "x", true},
        {"x has:video_link", "x", false},
        {"x lang:EN", "x", true},
        {"x lang:fr", "x", false},
        {"x sample:100", "x", true},
        {"x followers_count:500", "x", true},
        {"x followers_count:501", "x", false},
        {"x followers_count:1..500", "x", true},
        {"x followers_count:1..499", "x", false},
        {"x tweets_count:7..7", "x", true},
        {"x following_count:21", "x", false},
        {"x listed_count:3", "x", true},
        {"x min_followers:500", "x", true},
        {"x url_title:leaves", "x", true},
        {"x url_description:\"of them\"", "x", true},
        {"x url_contains:\"/green-t\"", "x", true},
        {"x url_contains:GREEN", "x", true},
        {"x url_contains:black", "x", false},
        {"x source:\"twitter for android\"", "x", true},
        {"x in_reply_to_tweet_id:1784500000000000000", "x", true},
        {"x retweets_of_tweet_id:1784500000000000000", "x", false},
        {"X Lang:en HAS:geo", "x", true}, /* case is ignored */
        {"embedding:\"something like it\"", "x", false},
    };
    CHECK_ROWS(rows);
}

Test(rule, a_retweet_matches_by_its_original)
{
    static const char json[] =
        "{\"data\":{\"id\":\"1784600000000000002\",\"text\":\"RT @ada: The "
        "first\xE2\x80\xA6\",\"author_id\":\"99\","
        "\"lang\":\"en\",\"referenced_tweets\":[{\"type\":\"retweeted\",\"id\":\"1784500000000000000\"}]},"
        "\"includes\":{\"users\":[{\"id\":\"6253282\",\"username\":\"ada\"}],\"tweets\":[{\"id\":"
        "\"1784500000000000000\",\"text\":\"cut\",\"author_id\":\"6253282\",\"note_tweet\":{\"text\":\"The "
        "first part "
        "and the last word\",\"entities\":{\"hashtags\":[{\"tag\":\"tea\"}]}}}]}}";
    cr_expect(matches_json("\"last word\"", json));
    cr_expect(matches_json("#tea is:retweet", json));
    cr_expect(matches_json("retweets_of:ada", json));
    cr_expect(matches_json("retweets_of:6253282", json));
    cr_expect(matches_json("first retweets_of_tweet_id:1784500000000000000", json));
    cr_expect(!matches_json("cut", json));
    cr_expect(!matches_json("first -is:retweet", json));
}

Test(rule, sample_takes_about_its_share_of_posts)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"data\":{\"id\":\"%llu\",\"text\":\"x\"}}",
                 1784600000000000000ULL + i * 7919);
        taken += matches_json("x sample:20", json);
    }
    cr_expect(taken > 130 && taken < 270, "%u of 1000", taken);
}

struct wrong {
    const char *rule, *detail;
};

Test(rule, refuses_what_is_not_valid_and_says_where)
{
    static const struct wrong rows[] = {
        {"h:m", "Reference to invalid operator 'h' (at position 1)."},
        {"cat h:m", "Reference to invalid operator 'h' (at position 5)."},
        {"\xC3\xA9\xC3\xA9 h:m",
         "Reference to invalid operator 'h' (at position 4)."}, /* characters, not bytes */
        {"", "no viable alternative at input '<EOF>' (at position 1)."},
        {"cat OR", "no viable alternative at input '<EOF>' (at position 7)."},
        {"()", "no viable alternative at input ')' (at position 2)."},
        {"(cat", "missing ')' (at position 5)."},
        {"cat)", "missing EOF at ')' (at position 4)."},
        {"\"cat", "missing '\"' (at position 1)."},
        {"url:\"cat", "missing '\"' (at position 5)."},
        {"coca-cola", "Keyword 'coca-cola' holds punctuation and must be quoted (at position 1)."},
        {"url:a.b", "The value of 'url' holds punctuation and must be quoted (at position 5)."},
        {"cat or dog", "Ambiguous use of or as a keyword."},
        {"cat and dog", "Ambiguous use of and as a keyword."},
        {"-(cat dog) x", "A group cannot be negated"},
        {"-cat", "Rules must contain at least one positive, non-stopword clause (at position 1)."},
        {"-cat -lang:en", "Rules must contain at least one positive, non-stopword clause (at position 1)."},
        {"lang:en", "Rules must contain at least one standalone operator (at position 1)."},
        {"lang:en has:geo is:verified sample:10 followers_count:1 source:\"a\"",
         "Rules must contain at least one standalone operator (at position 1)."},
        {"lang:en -cat", "Rules must contain at least one standalone operator (at position 1)."},
        {"cat lang:en,fr", "Reference to invalid value 'en,fr' of operator 'lang' (at position 10)."},
        {"cat lang:xx", "Reference to invalid value 'xx' of operator 'lang' (at position 10)."},
        {"cat is:nullcast", "The operator 'is:nullcast' must be negated (at position 5)."},
        {"cat -sample:10", "The operator 'sample' cannot be negated (at position 6)."},
        {"cat -embedding:x", "The operator 'embedding' cannot be negated (at position 6)."},
        {"cat sample:0", "Reference to invalid value '0' of operator 'sample' (at position 12)."},
        {"cat sample:101", "Reference to invalid value '101'"},
        {"from:@bob", "Reference to invalid value '@bob' of operator 'from' (at position 6)."},
        {"conversation_id:x", "Reference to invalid value 'x'"},
        {"context:45", "Reference to invalid value '45'"},
        {"cat has:nothing", "Reference to invalid value 'nothing'"},
        {"cat followers_count:5..1", "Reference to invalid value '5..1'"},
        {"\"a b\"~7", "The distance of a proximity operator is 1 to 6 (at position 7)."},
        {"point_radius:[2 48 26mi]", "Reference to invalid value '2 48 26mi'"},
        {"point_radius:[2 48]", "Reference to invalid value '2 48'"},
        {"bounding_box:[0 0 1 1]", "Reference to invalid value '0 0 1 1'"},
        {"bounding_box:[1 1 0 0]", "Reference to invalid value '1 1 0 0'"},
        {"#", "Keyword '#' holds punctuation"},
        {"#a-b", "Keyword '#a-b' holds punctuation"},
        {"12:30", "Keyword '12:30' holds punctuation"},
        {"\"...\"", "There is no word in '...' (at position 1)."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rule_problems problems;
        struct rule *rule = rule_parse(view_of(rows[i].rule), 1024, true, &problems);
        cr_expect(!rule, "%s is taken", rows[i].rule);
        cr_expect(problems.count && strncmp(problems.details[0], rows[i].detail, strlen(rows[i].detail)) == 0,
                  "%s: %s", rows[i].rule, problems.count ? problems.details[0] : "nothing");
        rule_free(rule);
    }
}

Test(rule, counts_characters_and_knows_the_access_level)
{
    struct rule_problems problems;
    char text[2100];
    memset(text, 'a', sizeof text);
    cr_expect(!rule_parse(view_make(text, 1025), 1024, false, &problems));
    cr_expect(problems.length && problems.count == 1);
    struct rule *rule = rule_parse(view_make(text, 1024), 1024, false, &problems);
    cr_expect(rule);
    rule_free(rule);
    for (size_t i = 0; i < 2048; i += 2) {
        memcpy(text + i, "\xC3\xA9", 2);
    }
    rule = rule_parse(view_make(text, 2048), 1024, false, &problems);
    cr_expect(rule, "1,024 characters of two bytes are not too long");
    rule_free(rule);
    cr_expect(!rule_parse(VIEW("embedding:x"), 1024, false, &problems));
    cr_expect_str_eq(problems.details[0],
                     "The operator 'embedding' is not available at your access level (at position 1).");
    char deep[300];
    memset(deep, '(', sizeof deep);
    cr_expect(!rule_parse(view_make(deep, sizeof deep), 1024, false, &problems));
    cr_expect_not_null(strstr(problems.details[0], "nested"));
}

/* ---- many rules ---- */

static struct view ask(struct rule_store *rules, size_t index, const char *text, int64_t now_ms,
                       struct arena *memory)
{
    char json[8000];
    struct rule_facts facts;
    snprintf(json, sizeof json, POST, text);
    cJSON *payload = cJSON_Parse(json);
    cr_assert_eq(rule_facts_of(payload, memory, &facts), 0);
    cJSON_Delete(payload);
    return rule_store_match(rules, index, &facts, now_ms);
}

static uint64_t add(struct rule_store *rules, const char *value, const char *tag, int64_t now_ms)
{
    struct rule_problems problems;
    struct rule *rule = rule_parse(view_of(value), 1024, false, &problems);
    cr_assert(rule, "%s", value);
    const struct rule_store_item *item =
        rule_store_add(rules, rule, view_of(value), view_of(tag), 1700000000000, now_ms);
    cr_assert(item);
    return item->id;
}

Test(rules, answers_change_with_the_rules_and_name_all_that_match)
{
    const struct rule_store_limits limits = {.number = 2000, .length = 1024, .delay_ms = 0};
    struct rule_store *rules = rule_store_new(&limits, 3);
    struct arena *memory = arena_new(16 << 20);
    char value[60];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(value, sizeof value, "word%u OR \"two words%u\"", i, i);
        add(rules, value, NULL, 0);
    }
    cr_expect(!ask(rules, 0, "nothing", 0, memory).at);
    uint64_t first = add(rules, "nothing -lang:fr", "the \"tag\"", 0),
             second = add(rules, "from:bob", NULL, 0);
    char expected[200];
    snprintf(expected, sizeof expected,
             "[{\"id\":\"%llu\",\"tag\":\"the \\\"tag\\\"\"},{\"id\":\"%llu\",\"tag\":\"\"}]",
             (unsigned long long)first, (unsigned long long)second);
    struct view got = ask(rules, 0, "nothing", 0, memory);
    cr_expect(view_is(got, expected), "%.*s", VIEW_PRINT(got));
    rule_store_delete(rules, first);
    snprintf(expected, sizeof expected, "[{\"id\":\"%llu\",\"tag\":\"\"}]", (unsigned long long)second);
    got = ask(rules, 0, "nothing", 0, memory);
    cr_expect(view_is(got, expected), "%.*s", VIEW_PRINT(got));
    rule_store_delete(rules, second);
    cr_expect(!ask(rules, 0, "nothing", 0, memory).at);
    cr_expect(ask(rules, 1, "word7", 0, memory).at);
    cr_expect(ask(rules, 2, "has two words999 in it", 0, memory).at);
    rule_store_free(rules);
    arena_free(memory);
}

Test(rules, a_new_rule_waits_for_its_time)
{
    const struct rule_store_limits limits = {.number = 10, .length = 100, .delay_ms = 20000};
    struct rule_store *rules = rule_store_new(&limits, 1);
    struct arena *memory = arena_new(1 << 20);
    add(rules, "nothing", NULL, 5000);
    cr_expect(!ask(rules, 0, "nothing", 5000, memory).at);
    cr_expect(!ask(rules, 0, "nothing", 24999, memory).at);
    cr_expect(ask(rules, 0, "nothing", 25000, memory).at);
    rule_store_free(rules);
    arena_free(memory);
}
