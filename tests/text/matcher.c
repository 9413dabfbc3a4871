/* Which keywords a post matches. */
#include "text/matcher.h"
#include "base/random.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct arena *arena;

static void begin(void)
{
    arena = arena_new(256 << 20);
}

static void end(void)
{
    arena_free(arena);
}

TestSuite(matcher, .init = begin, .fini = end);

static struct matcher *compile(const char *const *lines, size_t count)
{
    struct keyword *keywords = arena_zeroed(arena, count, sizeof *keywords);
    struct err e = {.text = ""};
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(keyword_parse(view_of(lines[i]), arena, &keywords[i], &e), 1, "%s: %s", lines[i],
                     e.text);
    }
    struct matcher *m = matcher_new(keywords, count, &e);
    cr_assert(m, "%s", e.text);
    return m;
}

/* One keyword line against one text without lists. */
static void check(const char *line, const char *text, bool matches)
{
    struct matcher *m = compile(&line, 1);
    struct matcher_result result;
    struct matcher_input input = {.text = view_of(text)};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    cr_assert_eq(result.matched_count, (size_t)matches, "'%s' in '%s'", line, text);
    matcher_free(m);
}

#define YES(line, text) check(line, text, true)
#define NO(line, text)  check(line, text, false)

Test(matcher, the_documented_rows_of_v1_1_hold)
{
    static const char *const yes[] = {"TWITTER",  "twitter",  "\"Twitter\"",       "twitter.",
                                      "#twitter", "@twitter", "http://twitter.com"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        YES("Twitter", yes[i]);
    }
    NO("Twitter", "TwitterTracker");
    NO("Twitter", "#newtwitter");
    YES("Twitter's", "I like Twitter's new design");
    NO("Twitter's", "Someday I'd like to visit @Twitter's office");
    YES("twitter api", "The Twitter API is awesome");
    YES("twitter streaming", "Twitter has a streaming API");
    NO("twitter api", "I'm new to Twitter");
    YES("example.com", "Someday I will visit example.com");
    YES("example.com/foobarbaz", "www.example.com/foobarbaz");
    NO("example.com/foobarbaz", "example.com");
    YES("example com", "foo.example.com/bar");
    YES("example com", "I hope my startup isn't merely another example of a dot com boom!");
    NO("touché", "touche");
}

Test(matcher, case_and_composition_are_the_same_and_accents_are_not)
{
    YES("STRASSE", "die straße");
    YES("Σίσυφος", "ΣΊΣΥΦΟΣ!");
    YES("caf\xC3\xA9", "CAFE\xCC\x81");
    NO("cafe", "CAFE\xCC\x81");
    NO("istanbul", "İSTANBUL");
    YES("istanbul", "ISTANBUL");
    YES("İstanbul", "i̇stanbul");
    YES("москва", "(МОСКВА)");
    YES("שלום", "\xE2\x80\x8Fשלום\xE2\x80\x8E!");
    NO("שלום", "שלומי");
    YES("می‌خواهم", "من می‌خواهم.");
}

Test(matcher, widths_are_the_same)
{
    YES("tea", "Ｔｅａ！");
    YES("Ｔｅａ", "tea");
    NO("tea", "Ｔｅａｍ");
    YES("コーヒー", "ｺｰﾋｰを飲む");
    YES("ｶﾞﾗｽ", "ガラスの靴");
    NO("カラス", "ｶﾞﾗｽ");
    YES("\"２０２０ 年\"", "2020年");
    YES("twitter's", "ＴＷＩＴＴＥＲ＇Ｓ new");
    NO("tea", "tea＿time");
}

Test(matcher, whole_words_only_whatever_stands_around)
{
    YES("art", "(art)");
    YES("art", "_art_ *art*");
    YES("art", "art\xE2\x80\xA8");
    NO("art", "start arts art_x xart");
    YES("covid-19", "COVID-19!");
    YES("covid-19", "covid 19");
    NO("covid-19", "covid19");
    NO("york", "#new_york @york_");
    YES("c3po", "«C3PO»");
    YES("2020", "in 2020.");
    NO("20", "2020");
    YES("soft", "so\xC2\xAD"
                "ft");
}

Test(matcher, a_name_with_underscores_at_its_ends_is_found_as_a_name)
{
    YES("_ada_", "ask @_ada_!");
    YES("__Ada", "#__ada");
    YES("_ada_", "ada, _ada_");
    NO("_ada_", "@ada_ #_ada");
    NO("ada", "@_ada_");
}

Test(matcher, apostrophes_follow_the_documented_rule)
{
    YES("Twitter's", "TWITTER’S");
    YES("twitter", "Twitter's design");
    YES("iran", "l’Iran et");
    YES("o'brien", "O’Brien");
    NO("don", "don't");
    YES("don't", "DON’T!");
    NO("dont", "don't");
    YES("art", "'art'");
    YES("ada", "_ada's_ book");
    YES("after", "before'_after");
    YES("after", "before_'after");
    YES("ada", "ada's\xC2\xAD book");
    YES("ada", "ada’s\xE0\xB9\x89");
    NO("ada", "ada's_x ada's\xC2\xADx ada's\xCC\x81");
    NO("twitter's", "twitter s");
}

Test(matcher, all_words_of_a_line_must_be_there_in_any_order)
{
    YES("a b c", "c, b and a");
    NO("a b c", "c, b");
    YES("b b", "b");
    YES("a \"b c\"", "b c a");
    NO("a \"b c\"", "c b a");
}

Test(matcher, a_phrase_is_side_by_side_in_order)
{
    YES("\"climate change\"", "Climate -- CHANGE now");
    YES("\"climate change\"", "climate\n#change");
    NO("\"climate change\"", "change climate");
    NO("\"climate change\"", "climate of change");
    NO("\"climate change\"", "climate changes");
    NO("\"climate change\"", "climate 😀 change");
    YES("\"hello, world\"", "hello world");
    NO("\"mate change\"", "climate change");
}

Test(matcher, scripts_without_spaces_match_inside_runs)
{
    YES("東京", "今日は東京タワーへ");
    YES("タワー", "東京タワーへ");
    NO("京東", "東京");
    NO("東京", "東 京");
    YES("ไทย", "ประเทศไทยสวยงาม");
    YES("ລາວ", "ປະເທດລາວ");
    YES("មាន", "គេមានផ្ទះ");
    YES("မြန်", "ကမြန်မာ");
    YES("twitter", "東京でtwitterを使う");
    NO("twitter", "東京でtwittersを使う");
    YES("コロナ2020", "新型コロナ2020年");
    YES("\"東京 タワー\"", "東京、タワー");
    YES("\"東京 タワー\"", "東京タワー");
    NO("\"東京 タワー\"", "東京のタワー");
    YES("\xE0\xB9\x89ว", "ใกล้วิท"); /* begins with a tone mark */
    NO("\xE0\xB9\x89ว", "ใกล้ วิท");
    YES("\"ก \xE0\xB9\x89\"", "c\xE0\xB9\x89 ก, _\xE0\xB9\x89");
    NO("c\xE0\xB9\x89", "c");
    NO("트위터", "트위터를");
    YES("트위터", "트위터 를");
}

Test(matcher, emoji_are_words)
{
    YES("👍", "great👍");
    YES("❤️", "I❤you");
    YES("❤", "I ❤️ you");
    NO("👍", "👍🏽");
    YES("👍🏽", "👍🏽👍");
    YES("🇩🇪", "🇫🇷🇩🇪");
    NO("🇫🇩", "🇩🇫🇩🇪");
    YES("👨‍👩‍👧", "the👨‍👩‍👧!");
    NO("👩", "👨‍👩‍👧");
    YES("\"ok 👍\"", "ok👍");
    YES("1️⃣", "1️⃣ first");
}

Test(matcher, links_are_searched_but_not_their_protocol_nor_x_shortener)
{
    NO("https", "see https://example.com");
    NO("co", "https://t.co/abc");
    NO("abc", "https://T.co/ABC");
    YES("co", "https://example.co/abc");
    YES("great", "great'https://t.co/abc");
    YES("great", "great’http://example.com");
    const char *line = "example.com/path";
    struct matcher *m = compile(&line, 1);
    struct view url = VIEW("https://www.Example.com/path?x=1");
    struct matcher_input input = {.text = VIEW("https://t.co/abc"), .urls = {&url, 1}};
    struct matcher_result result;
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    cr_assert_eq(result.matched_count, 1);
    matcher_free(m);
}

static void check_indices(const char *what, const uint32_t *got, size_t count, const char *expected)
{
    char text[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", i ? " " : "", got[i]);
    }
    cr_assert_str_eq(text, expected, "%s", what);
}

Test(matcher, signs_match_the_lists_alone_and_exclusions_are_told_apart)
{
    static const char *const lines[] = {"#tag",    "@name",  "$CASH",           "tag",     "-#tag", "-spam",
                                        "a -name", "= rule", "-\"not this\" b", "#STRASSE"};
    struct matcher *m = compile(lines, sizeof lines / sizeof *lines);
    struct view tags[] = {VIEW("tag"), VIEW("straße")}, names[] = {VIEW("Name")}, cash[] = {VIEW("cash")};
    struct matcher_result result;
    struct matcher_input input = {.text = VIEW("#tag @name $CASH a b")};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    check_indices("no lists", result.matched, result.matched_count, "3 6 8");
    check_indices("no lists", result.excluded, result.excluded_count, "6");
    input = (struct matcher_input){VIEW("nothing"), {tags, 2}, {names, 1}, {cash, 1}, {NULL, 0}};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    check_indices("lists", result.matched, result.matched_count, "0 1 2 3 9");
    check_indices("lists", result.excluded, result.excluded_count, "4");
    input = (struct matcher_input){.text = VIEW("SPAM; b, not -- this: \x01#tag\x01")};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    check_indices("text", result.matched, result.matched_count, "3 8");
    check_indices("text", result.excluded, result.excluded_count, "5 8");
    matcher_free(m);
}

Test(matcher, words_are_not_looked_for_in_mentions_and_cashtags)
{
    static const char *const lines[] = {"東", "-京", "cash", "東 word", "#東京"};
    struct matcher *m = compile(lines, sizeof lines / sizeof *lines);
    struct view tags[] = {VIEW("東京"), VIEW("cash")};
    struct matcher_result result;
    struct matcher_input input = {VIEW("word"), {NULL, 0}, {tags, 2}, {tags, 2}, {NULL, 0}};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    check_indices("mentions and cashtags", result.matched, result.matched_count, "");
    check_indices("mentions and cashtags", result.excluded, result.excluded_count, "");
    input = (struct matcher_input){VIEW("word"), {tags, 2}, {tags, 2}, {tags, 2}, {NULL, 0}};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    check_indices("hashtags", result.matched, result.matched_count, "0 2 3 4");
    check_indices("hashtags", result.excluded, result.excluded_count, "1");
    matcher_free(m);
}

Test(matcher, nothing_matches_nothing)
{
    struct err e;
    struct matcher *m = matcher_new(NULL, 0, &e);
    struct matcher_result result;
    struct matcher_input input = {.text = VIEW("any \0 text \xFF")};
    cr_assert(m);
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    cr_assert_eq(result.matched_count + result.excluded_count, 0);
    input = (struct matcher_input){.text = VIEW("")};
    cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
    matcher_free(m);
    NO("a", "");
    NO("😀", "");
}

Test(matcher, a_full_arena_is_told)
{
    const char *line = "word";
    struct matcher *m = compile(&line, 1);
    struct arena *small = arena_new(64);
    struct matcher_result result;
    struct matcher_input input = {.text = VIEW("a text that is longer than what the arena holds")};
    cr_assert_eq(matcher_match(m, &input, small, &result), -1);
    arena_free(small);
    matcher_free(m);
}

/* Five thousand keywords against a plain search for each. */
Test(matcher, five_thousand_keywords_find_what_a_search_for_each_finds)
{
    enum { COUNT = 5000, WORDS = 12 };
    static char lines[COUNT][24];
    const char *pointers[COUNT];
    struct random r = {5};
    for (int i = 0; i < COUNT; i++) {
        unsigned first = (unsigned)random_below(&r, 9000), second = (unsigned)random_below(&r, 40);
        switch (i % 3) {
        case 0:
            snprintf(lines[i], sizeof lines[i], "w%u", first);
            break;
        case 1:
            snprintf(lines[i], sizeof lines[i], "w%u w%u", first % 200, second);
            break;
        default:
            snprintf(lines[i], sizeof lines[i], "\"w%u w%u\"", first % 200, second);
        }
        pointers[i] = lines[i];
    }
    struct matcher *m = compile(pointers, COUNT);
    for (int round = 0; round < 300; round++) {
        char text[400] = " ", needle[40];
        size_t used = 1, next = 0;
        for (int w = 0; w < WORDS; w++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "w%u ",
                                     (unsigned)random_below(&r, w % 2 ? 60 : 9000));
        }
        struct matcher_input input = {.text = view_make(text, used)};
        struct matcher_result result;
        cr_assert_eq(matcher_match(m, &input, arena, &result), 0);
        for (uint32_t i = 0; i < COUNT; i++) {
            char a[16], b[16];
            int words = sscanf(lines[i] + (lines[i][0] == '"'), "%15s %15[^\"]", a, b);
            bool both = true;
            if (i % 3 == 2) {
                snprintf(needle, sizeof needle, " %s %s ", a, b);
                both = strstr(text, needle) != NULL;
            } else {
                snprintf(needle, sizeof needle, " %s ", a);
                both = strstr(text, needle) != NULL;
                snprintf(needle, sizeof needle, " %s ", words > 1 ? b : a);
                both = both && strstr(text, needle);
            }
            bool got = next < result.matched_count && result.matched[next] == i;
            next += got;
            cr_assert_eq(got, both, "round %d, %s in %s", round, lines[i], text);
        }
        cr_assert_eq(next, result.matched_count);
        arena_reset(arena);
    }
    matcher_free(m);
}

Test(matcher, hostile_texts_take_no_longer_than_their_length)
{
    static const char *const pieces[] = {"a ",       "a'",           "東",           "😀",       "_", "\xFF",
                                         "\xCC\x81", "\xE2\x80\x8D", "http://t.co/", "aaaaaaaa"};
    static const char *const lines[] = {"a",      "\"a a\"", "\"a a a a b\"", "東",
                                        "東東東", "😀",       "aaaaaaaaab",    "-b"};
    struct matcher *m = compile(lines, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct buffer b = BUFFER(1 << 20);
        while (b.length < 300000) {
            buffer_add_text(&b, pieces[i]);
        }
        struct matcher_input input = {.text = buffer_view(&b)};
        struct matcher_result result;
        struct arena *a = arena_new(64 << 20);
        cr_assert_eq(matcher_match(m, &input, a, &result), 0);
        arena_free(a);
        buffer_free(&b);
    }
    matcher_free(m);
}
