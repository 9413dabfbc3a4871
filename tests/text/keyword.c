/* Keyword lines: design, section 4. */
#include "text/keyword.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;

static void begin(void)
{
    arena = arena_new(64 << 20);
}

static void end(void)
{
    arena_free(arena);
}

TestSuite(keyword, .init = begin, .fini = end);

static struct keyword read_line(struct view line)
{
    struct keyword k;
    struct err e;
    int result = keyword_parse(line, arena, &k, &e);
    cr_assert_eq(result, 1, "%.*s: %s", VIEW_PRINT(line), result < 0 ? e.text : "nothing there");
    return k;
}

/* The parts as "word:a phrase:b -hashtag:c". */
static void check(const char *line, const char *expected)
{
    static const char *const kinds[] = {"word", "phrase", "hashtag", "mention", "cashtag"};
    struct keyword k = read_line(view_of(line));
    struct buffer b = BUFFER(1 << 20);
    for (size_t i = 0; i < k.part_count; i++) {
        buffer_print(&b, "%s%s%s:%.*s", i ? " " : "", k.parts[i].excluded ? "-" : "", kinds[k.parts[i].kind],
                     VIEW_PRINT(k.parts[i].text));
    }
    cr_assert(view_is(buffer_view(&b), expected), "%s: %.*s", line, VIEW_PRINT(buffer_view(&b)));
    buffer_free(&b);
}

static void check_wrong(const char *line, const char *says)
{
    struct keyword k;
    struct err e;
    cr_assert_eq(keyword_parse(view_of(line), arena, &k, &e), -1, "%s", line);
    cr_assert(strstr(e.text, says), "%s: %s", line, e.text);
    cr_assert_eq(e.kind, ERR_FATAL);
}

Test(keyword, each_form_of_the_design_is_read)
{
    check("covid", "word:covid");
    check("  two\twords ", "word:two word:words");
    check("\"two words\"", "phrase:two words");
    check("#tag @name $CASH", "hashtag:tag mention:name cashtag:CASH");
    check("-word -\"a phrase\" -#tag", "-word:word -phrase:a phrase -hashtag:tag");
    check("word \"a phrase\" -other", "word:word phrase:a phrase -word:other");
    check("\"hello, world\" Twitter's coca-cola", "phrase:hello, world word:Twitter's word:coca-cola");
    check("東京　タワー ＃東京 ＠name", "word:東京 word:タワー hashtag:東京 mention:name");
    check("👍 \"🇩🇪\"", "word:👍 phrase:🇩🇪");
    check("@ada.example.org @bob@example.org $BRK.A",
          "mention:ada.example.org mention:bob@example.org cashtag:BRK.A");
}

Test(keyword, a_rule_is_kept_as_it_is)
{
    struct keyword k = read_line(VIEW("=  (cat OR dog) has:images -\"a, b\" "));
    cr_assert(view_is(k.rule, "(cat OR dog) has:images -\"a, b\""));
    cr_assert_eq(k.part_count, 0);
}

Test(keyword, comments_and_empty_lines_are_nothing)
{
    static const char *const lines[] = {"", "  ", "#", " # a comment, \"with", "#\tx", "# #tag"};
    struct keyword k;
    struct err e;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cr_assert_eq(keyword_parse(view_of(lines[i]), arena, &k, &e), 0, "%s", lines[i]);
        cr_assert_eq(k.line.length, 0);
    }
}

Test(keyword, mistakes_say_what_would_be_right)
{
    check_wrong("covid, vaccine", "one keyword a line");
    check_wrong("covid ,vaccine", "one keyword a line");
    check_wrong("\"two words", "does not end");
    check_wrong("word -\"two words", "does not end");
    check_wrong("\"", "does not end");
    check_wrong("a \"b\"c", "white space");
    check_wrong("5\"", "middle of a word");
    check_wrong("\"\"", "no letter");
    check_wrong("\" . \"", "no letter");
    check_wrong("“two words”", "straight double quotes");
    check_wrong("-", "-word");
    check_wrong("a - b", "-word");
    check_wrong("--b", "-word");
    check_wrong("–b", "-word");
    check_wrong(":)", "no letter");
    check_wrong("word #", "no hashtag");
    check_wrong("#123", "no hashtag");
    check_wrong("#covid-19", "no hashtag");
    check_wrong("@", "no mention");
    check_wrong("@é", "no mention");
    check_wrong("$100", "no cashtag");
    check_wrong("$toolongtag", "no cashtag");
    check_wrong("=", "a rule");
    check_wrong("caf\xC3", "UTF-8");
}

Test(keyword, a_message_about_a_long_line_is_utf8_and_whole)
{
    struct buffer line = BUFFER(8192);
    struct keyword k;
    struct err e;
    for (int i = 0; i < 1333; i++) {
        buffer_add_text(&line, "€");
    }
    buffer_add_text(&line, "x");
    cr_assert_eq(keyword_parse(buffer_view(&line), arena, &k, &e), 1);
    buffer_add_text(&line, ",");
    cr_assert_eq(keyword_parse(buffer_view(&line), arena, &k, &e), -1);
    cr_assert(strstr(e.text, "comma") && utf8_valid(view_of(e.text)), "%s", e.text);
    buffer_free(&line);
}

Test(keyword, a_full_arena_is_no_mistake_of_the_line)
{
    struct arena *small = arena_new(32);
    struct keyword k;
    struct err e;
    cr_assert_eq(keyword_parse(VIEW("a keyword that is too long"), small, &k, &e), -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    arena_free(small);
}

static void check_explained(const char *line, const char *expected)
{
    struct keyword k = read_line(view_of(line));
    struct buffer b = BUFFER(4096);
    keyword_explain(&k, &b);
    cr_assert(view_is(buffer_view(&b), expected), "%s: %.*s", line, VIEW_PRINT(buffer_view(&b)));
    buffer_free(&b);
}

Test(keyword, how_a_line_was_understood_is_one_sentence)
{
    check_explained("covid", "posts with the word covid");
    check_explained("two words", "posts with the word two and the word words, in any order");
    check_explained(
        "#a @b $C \"d e\"",
        "posts with the hashtag #a, a mention of @b, the cashtag $C and the phrase \"d e\", in any order");
    check_explained("a -b", "posts with the word a; and, for all lines of the list, no post with the word b");
    check_explained("-b -#c", "for all lines of the list, no post with the word b or the hashtag #c");
    check_explained("= has:images", "the network's own rule, sent as it is: has:images");
}

static void check_track(const char *line, const char *track, int beyond)
{
    struct keyword k = read_line(view_of(line));
    struct buffer b = BUFFER(4096);
    buffer_add_text(&b, "before,");
    int got = keyword_track(&k, &b);
    cr_assert(view_is(view_from(buffer_view(&b), 7), track), "%s: %.*s", line, VIEW_PRINT(buffer_view(&b)));
    cr_assert_eq(got, beyond, "%s: %d", line, got);
    buffer_reset(&b);
    keyword_explain_beyond(beyond, &b);
    cr_assert_eq(b.length == 0, beyond == 0);
    buffer_free(&b);
}

Test(keyword, track_gets_what_v1_1_can_express_and_says_what_it_cannot)
{
    check_track("covid", "covid", 0);
    check_track("two words", "two words", 0);
    check_track("\"two words\"", "two words", KEYWORD_BEYOND_ORDER);
    check_track("\"one\"", "one", 0);
    check_track("\"hello, world!\"", "hello world", KEYWORD_BEYOND_ORDER);
    check_track("\"1,000\" (x)", "1 000 x", KEYWORD_BEYOND_ORDER);
    check_track("#tag @name $CASH", "#tag @name $CASH", 0);
    check_track("a -b", "a", KEYWORD_BEYOND_EXCLUSION);
    check_track("-b", "", KEYWORD_BEYOND_EXCLUSION);
    check_track("= has:images", "", KEYWORD_BEYOND_RULE);
    check_track("東京", "東京", KEYWORD_BEYOND_SCRIPT);
    check_track("#東京", "#東京", 0);
}

Test(keyword, sixty_bytes_fit_and_no_more)
{
    struct buffer line = BUFFER(100);
    for (int i = 0; i < 20; i++) {
        buffer_add_text(&line, "ឃ");
    }
    check_track(buffer_string(&line), buffer_string(&line), KEYWORD_BEYOND_SCRIPT);
    buffer_add_text(&line, "x");
    check_track(buffer_string(&line), "", KEYWORD_BEYOND_SCRIPT | KEYWORD_BEYOND_WORD);
    buffer_free(&line);
    check_track("αααααααααααααααααααα ββββββββββ γ", "αααααααααααααααααααα γ", KEYWORD_BEYOND_LENGTH);
}
