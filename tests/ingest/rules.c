/* Keyword lists as rules of X v2: what a line becomes, how lines are packed, what cannot be a rule. */
#include "ingest/rules.h"

#include "base/random.h"
#include "ingest/rule_syntax.h"
#include "ingest/rules_blame.h"
#include "tests/ingest/support/keywords.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static const struct rules_limits usual = {1024, 1000};

struct told {
    size_t count;
    char text[4][400];
};

static void note(void *user, struct config_place place, const char *text)
{
    struct told *told = user;
    if (told->count < 4) {
        snprintf(told->text[told->count], sizeof told->text[0], "%s:%u: %s", place.file ? place.file : "-",
                 place.line, text);
    }
    told->count++;
}

static struct rules *compile(const struct keyword_set *set, const struct rules_limits *limits)
{
    struct told told = {0};
    struct err e;
    struct rules *rules =
        rules_compile(&set->filter, "covid", limits, &(struct rules_mistakes){note, &told}, &e);
    cr_assert(rules, "%s; %s", e.text, told.text[0]);
    return rules;
}

static void expect_mistake(const struct keyword_set *set, const struct rules_limits *limits,
                           const char *start)
{
    struct told told = {0};
    struct err e;
    struct rules *rules =
        rules_compile(&set->filter, "covid", limits, &(struct rules_mistakes){note, &told}, &e);
    cr_assert_null(rules);
    cr_expect_eq(e.kind, ERR_FATAL);
    cr_expect_geq(told.count, 1);
    cr_expect(strstr(told.text[0], start) == told.text[0], "%s", told.text[0]);
}

/* One line alone, without languages: the rule is what the line became. */
static void expect_line(const char *line, const char *rule)
{
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_add(&set, line);
    struct rules *rules = compile(&set, &usual);
    cr_expect_eq(rules->count, 1);
    cr_expect(view_is(rules->items[0].value, rule), "%s: %.*s", line, VIEW_PRINT(rules->items[0].value));
    rules_free(rules);
    keyword_set_end(&set);
}

Test(rules, a_line_becomes_what_the_design_says)
{
    expect_line("Covid", "covid OR #covid OR @covid");
    expect_line("two words", "(two OR #two OR @two) (words OR #words OR @words)");
    expect_line("\"Two  Words\"", "\"two words\"");
    expect_line("#Tag", "#tag");
    expect_line("@NASA", "@nasa");
    expect_line("$TSLA", "$tsla");
    expect_line("coca-cola", "\"coca-cola\"");
    expect_line("2024", "2024 OR @2024");
    expect_line("averyveryverylongword", "averyveryverylongword OR #averyveryverylongword");
    expect_line("= From:Ada has:images", "From:Ada has:images");
    expect_line("\"a phrase\" word", "\"a phrase\" (word OR #word OR @word)");
}

Test(rules, what_could_be_an_operator_is_quoted)
{
    expect_line("OR", "\"or\" OR #or OR @or");
    expect_line("AND", "\"and\" OR #and OR @and");
    expect_line("is:retweet", "\"is:retweet\"");
    expect_line("\"back\\slash\\\"", "\"back slash\"");
    expect_line("(bracket", "\"(bracket\"");
}

Test(rules, other_scripts_are_composed_and_in_lower_case)
{
    expect_line("CAFE\xCC\x81", "\"caf\xC3\xA9\" OR #caf\xC3\xA9");
    expect_line("Вакцина", "\"вакцина\" OR #вакцина");
    expect_line("東京", "\"東京\" OR #東京");
    expect_line("🦠", "\"🦠\"");
}

Test(rules, languages_switches_and_exclusions_follow_in_each_rule_but_raw_ones)
{
    static const char *const lines[] = {"covid", "-spam", "word -\"bad words\"", "= from:ada OR from:bob",
                                        NULL};
    static const char *const languages[] = {"en", "id", "he", "zh", "eo"};
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_fill(&set, lines);
    set.filter.languages = languages;
    set.filter.language_count = 5;
    set.filter.retweets = set.filter.quotes = false;
    struct rules *rules = compile(&set, &usual);
    cr_assert_eq(rules->count, 2);
    cr_expect(view_is(rules->items[0].value,
                      "(covid OR #covid OR @covid OR word OR #word OR @word) (lang:en OR lang:in OR lang:iw "
                      "OR lang:zh-CN "
                      "OR lang:zh-TW) -is:retweet -is:quote -\"bad words\" -spam -#spam -@spam"),
              "%.*s", VIEW_PRINT(rules->items[0].value));
    cr_expect(view_is(rules->items[1].value, "from:ada OR from:bob"));
    cr_expect(rules->items[1].raw);
    cr_expect_eq(rules->languages_left_out, 1);
    rules_free(rules);
    keyword_set_end(&set);
}

Test(rules, one_language_needs_no_bracket)
{
    static const char *const languages[] = {"en"};
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_add(&set, "#tag");
    set.filter.languages = languages;
    set.filter.language_count = 1;
    struct rules *rules = compile(&set, &usual);
    cr_expect(view_is(rules->items[0].value, "#tag lang:en"));
    rules_free(rules);
    keyword_set_end(&set);
}

Test(rules, lines_that_ask_for_the_same_ask_once_and_are_both_named)
{
    static const char *const lines[] = {"Covid",           "two words", "COVID",   "WORDS  two",
                                        "words two words", "= covid",   "= covid", NULL};
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_fill(&set, lines);
    struct rules *rules = compile(&set, &usual);
    cr_assert_eq(rules->count, 2);
    cr_expect(view_is(rules->items[0].value,
                      "(two OR #two OR @two) (words OR #words OR @words) OR covid OR #covid OR @covid"),
              "%.*s", VIEW_PRINT(rules->items[0].value));
    cr_expect_eq(rules->items[0].line_count, 5);
    cr_expect_eq(rules->items[1].line_count, 2);
    cr_expect_eq(rules->rule_of_line[6], 2);
    rules_free(rules);
    keyword_set_end(&set);
}

Test(rules, a_raw_rule_equal_to_a_packed_one_is_one_rule)
{
    static const char *const lines[] = {"\"a phrase\"", "= \"a phrase\"", NULL};
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_fill(&set, lines);
    struct rules *rules = compile(&set, &usual);
    cr_assert_eq(rules->count, 1);
    cr_expect_eq(rules->items[0].line_count, 2);
    rules_free(rules);
    keyword_set_end(&set);
}

Test(rules, what_cannot_be_a_rule_is_a_mistake_at_its_line)
{
    static const struct {
        const char *line, *mistake;
        int64_t length;
    } cases[] = {
        {"averylongkeyword", "list:2: this keyword alone makes a rule of 37 characters, and 32 are allowed",
         32},
        {"= cat -", "list:2: this is no rule of X: at character", 1024},
        {"= cat OR", "list:2: this is no rule of X: at character 7", 1024},
        {"= (cat dog", "list:2: this is no rule of X: at character 1", 1024},
        {"= cat)", "list:2: this is no rule of X: at character 4", 1024},
        {"= \"cat", "list:2: this is no rule of X: at character 1", 1024},
        {"= cat -(dog fox)", "list:2: this is no rule of X: at character 5", 1024},
        {"= -cat -dog", "list:2: this is no rule of X: nothing in the rule may stand alone", 1024},
        {"= lang:en has:images", "list:2: this is no rule of X: nothing in the rule may stand alone", 1024},
        {"= coca-cola", "list:2: this is no rule of X: at character 5", 1024},
        {"= cat is:nullcast", "list:2: this is no rule of X: at character 5", 1024},
        {"= cat -sample:10", "list:2: this is no rule of X: at character 6", 1024},
        {"= cat AND dog", "list:2: this is no rule of X: at character 5", 1024},
        {"= () cat", "list:2: this is no rule of X: at character 2", 1024},
        {"= from:ada OR from:bob OR from:eve OR cat", "list:2: this rule has 39 characters, and 32 are", 32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct keyword_set set;
        keyword_set_begin(&set);
        keyword_set_add(&set, "ok");
        keyword_set_add(&set, cases[i].line);
        expect_mistake(&set, &(struct rules_limits){cases[i].length, 1000}, cases[i].mistake);
        keyword_set_end(&set);
    }
}

Test(rules, rules_of_the_documents_form_are_taken)
{
    static const char *const right[] = {"cat has:images",
                                        "(cat OR dog) -is:retweet",
                                        "\"a b\"~4",
                                        "point_radius:[2.35 48.85 16km] cat",
                                        "#tag",
                                        "context:131.1220701888179359745",
                                        "url:\"https://example.com\"",
                                        "from:ada OR (from:bob lang:en)",
                                        "sample:10 cat",
                                        "cat -is:nullcast",
                                        "人工知能 OR \"c++\"",
                                        "entity:\"Michael Jordan\"",
                                        "place_country:US"};
    struct err e;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        cr_expect_eq(rule_syntax_check(view_of(right[i]), &e), 0, "%s: %s", right[i], e.text);
    }
    char deep[201];
    memset(deep, '(', 200);
    deep[200] = '\0';
    cr_expect_eq(rule_syntax_check(view_of(deep), &e), -1);
}

Test(rules, nothing_to_ask_for_is_a_mistake)
{
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_add(&set, "-spam");
    keyword_set_add(&set, "@ada.bsky.social");
    expect_mistake(&set, &usual, "-:0: no keyword that X can be asked for");
    keyword_set_end(&set);
}

Test(rules, languages_that_x_has_none_of_are_a_mistake)
{
    static const char *const languages[] = {"eo"};
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_add(&set, "word");
    set.filter.languages = languages;
    set.filter.language_count = 1;
    expect_mistake(&set, &usual, "-:0: X has no code for any of its languages");
    keyword_set_end(&set);
}

Test(rules, exclusions_take_half_a_rule_and_the_rest_is_left_to_the_local_filter)
{
    struct keyword_set set;
    char line[32];
    keyword_set_begin(&set);
    keyword_set_add(&set, "word");
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "-excluded%03d", i);
        keyword_set_add(&set, line);
    }
    struct rules *rules = compile(&set, &usual);
    cr_assert_eq(rules->count, 1);
    cr_expect_eq(rules->exclusions, 100);
    cr_expect(rules->exclusions_left_out > 50 && rules->exclusions_left_out < 100);
    cr_expect_leq(rules->items[0].length, 600);
    rules_free(rules);
    set.filter.local_filter = FILTER_LOCAL_NO;
    expect_mistake(&set, &usual, "list:");
    keyword_set_end(&set);
}

/* --- many lines --- */

static void make_line(char line[64], uint64_t number)
{
    struct random r = {number};
    size_t length = 4 + random_below(&r, 9);
    for (size_t i = 0; i < length; i++) {
        line[i] = (char)('a' + random_below(&r, 26));
    }
    snprintf(line + length, 64 - length, "%s%llu", random_below(&r, 4) ? "" : " b",
             (unsigned long long)number);
}

static void add_many(struct keyword_set *set, size_t count)
{
    char line[64];
    for (size_t i = 0; i < count; i++) {
        make_line(line, i);
        keyword_set_add(set, line);
    }
}

static size_t total_length(const struct rules *rules)
{
    size_t total = 0;
    for (size_t i = 0; i < rules->count; i++) {
        total += rules->items[i].length;
    }
    return total;
}

Test(rules, too_many_are_first_filled_to_the_brim_and_then_a_mistake)
{
    struct keyword_set set;
    keyword_set_begin(&set);
    add_many(&set, 1000);
    struct rules *loose = compile(&set, &usual);
    size_t needed = loose->count;
    cr_expect(!loose->brimful);
    cr_expect_leq(needed, total_length(loose) / 1024 * 13 / 10 + 1, "%zu rules", needed);
    struct rules *full = compile(&set, &(struct rules_limits){1024, (int64_t)needed - 1});
    cr_expect(full->brimful);
    cr_expect_lt(full->count, needed);
    struct rules_limits tight = {1024, (int64_t)full->count - 1};
    rules_free(loose);
    rules_free(full);
    expect_mistake(&set, &tight, "-:0: its keywords take");
    keyword_set_end(&set);
}

static int compare_values(const void *a, const void *b)
{
    return view_compare(*(const struct view *)a, *(const struct view *)b);
}

static struct view *sorted_values(const struct rules *rules)
{
    struct view *values = calloc(rules->count, sizeof *values);
    for (size_t i = 0; i < rules->count; i++) {
        values[i] = rules->items[i].value;
    }
    qsort(values, rules->count, sizeof *values, compare_values);
    return values;
}

/* How many rules of `after` are not in `before`. */
static size_t new_rules(const struct rules *before, const struct rules *after)
{
    struct view *values = sorted_values(before);
    size_t fresh = 0;
    for (size_t i = 0; i < after->count; i++) {
        fresh += !bsearch(&after->items[i].value, values, before->count, sizeof *values, compare_values);
    }
    free(values);
    return fresh;
}

/* The promise that makes a change cheap: most rules keep their value. */
Test(rules, a_line_more_changes_a_few_rules_wherever_it_stands)
{
    enum { TRIALS = 300 };
    struct keyword_set set;
    keyword_set_begin(&set);
    add_many(&set, 1000);
    struct rules *before = compile(&set, &usual);
    size_t sum = 0, worst = 0;
    for (int i = 0; i < TRIALS; i++) {
        char line[64];
        make_line(line, 1000000 + (uint64_t)i);
        keyword_set_add(&set, line);
        struct rules *after = compile(&set, &usual);
        size_t fresh = new_rules(before, after);
        sum += fresh;
        worst = fresh > worst ? fresh : worst;
        cr_expect_geq(fresh, 1); /* none need go: the line may be a rule of its own */
        rules_free(after);
        set.filter.keyword_count--;
    }
    printf("%zu rules, %.2f full; a line more makes %.2f new ones on average, at most %zu\n", before->count,
           (double)total_length(before) / (1024.0 * (double)before->count), (double)sum / TRIALS, worst);
    cr_expect_leq(sum, 2 * TRIALS);
    cr_expect_leq(worst, 12);
    rules_free(before);
    keyword_set_end(&set);
}

Test(rules, the_order_of_the_list_changes_no_rule)
{
    struct keyword_set set, turned;
    keyword_set_begin(&set);
    keyword_set_begin(&turned);
    add_many(&set, 300);
    char line[64];
    for (uint64_t i = 300; i > 0; i--) {
        make_line(line, i - 1);
        keyword_set_add(&turned, line);
    }
    struct rules *a = compile(&set, &usual), *b = compile(&turned, &usual);
    cr_expect_eq(new_rules(a, b), 0);
    cr_expect_eq(a->count, b->count);
    cr_expect_str_neq(a->version, b->version, "the version is the list's, as written");
    rules_free(a);
    rules_free(b);
    keyword_set_end(&set);
    keyword_set_end(&turned);
}

Test(rules, tags_are_unique_and_carry_source_and_version)
{
    struct keyword_set set;
    char prefix[RULES_TAG_SIZE], expected[RULES_TAG_SIZE + 32];
    keyword_set_begin(&set);
    add_many(&set, 200);
    struct rules *rules = compile(&set, &usual);
    rules_tag_prefix("covid", prefix);
    cr_expect_str_eq(prefix, "roost:covid:");
    cr_expect_eq(strlen(rules->version), 8);
    for (size_t i = 0; i < rules->count; i++) {
        snprintf(expected, sizeof expected, "roost:covid:%s:%zu", rules->version, i + 1);
        cr_expect(view_is(rules->items[i].tag, expected));
    }
    rules_free(rules);
    keyword_set_end(&set);
}

/* --- blame --- */

static void note_line(void *user, uint32_t line)
{
    uint32_t *last = user;
    *last = line;
}

Test(rules, a_position_in_the_servers_words_finds_the_line)
{
    static const char *const lines[] = {"alpha", "beta gamma", "\"d é f\"", "#zeta", NULL};
    struct keyword_set set;
    keyword_set_begin(&set);
    keyword_set_fill(&set, lines);
    struct rules *rules = compile(&set, &usual);
    cr_assert_eq(rules->count, 1);
    const struct rule *rule = &rules->items[0];
    /* "d é f" OR #zeta OR (beta ... */
    uint32_t line = 99;
    cr_expect_eq(rules_blame(rules, rule, VIEW("no such thing (at position 1)."), note_line, &line), 1);
    cr_expect_eq(line, 2);
    cr_expect_eq(rules_blame(rules, rule, VIEW("at position 12"), note_line, &line), 1);
    cr_expect_eq(line, 3, "é is one character: %u", line);
    cr_expect_eq(rules_blame(rules, rule, VIEW("all is wrong"), note_line, &line), 4);
    cr_expect_eq(rules_blame(rules, rule, VIEW("position 99999999999999999999"), note_line, &line), 4);
    cr_expect_eq(rules_with_value(rules, rule->value), rule);
    cr_expect_null(rules_with_value(rules, VIEW("other")));
    rules_free(rules);
    keyword_set_end(&set);
}
