/* clean_text and word_count. */
#include "text/clean.h"
#include "base/buffer.h"
#include "base/random.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>

static struct arena *arena;
static struct text_worker *worker;

static void begin(void)
{
    struct err e;
    arena = arena_new(256 << 20);
    worker = text_worker_new(&e);
    cr_assert(worker, "%s", e.text);
}

static void end(void)
{
    text_worker_free(worker);
    arena_free(arena);
}

TestSuite(clean, .init = begin, .fini = end);

static void check_with(const char *in, struct view_list links, struct view_list mentions, const char *out)
{
    struct view got = text_clean(worker, view_of(in), links, mentions, arena);
    cr_assert(view_is(got, out), "%s gives '%.*s', not '%s'", in, VIEW_PRINT(got), out);
}

static const struct view_list none;

static void check(const char *in, const char *out)
{
    check_with(in, none, none, out);
}

Test(clean, lowers_and_squeezes_all_white_space)
{
    check("  Hello\t\r\n  WORLD  ", "hello world");
    check("a\xC2\xA0\xE3\x80\x80"
          "b\xE2\x80\xA8"
          "c\xC2\x85"
          "d\xE1\x9A\x80"
          "e",
          "a b c d e");
    check("zero\xE2\x80\x8Bwidth", "zero\xE2\x80\x8Bwidth");
    check("", "");
    check(" \n ", "");
    check("ΟΔΟΣ ΟΔΟΣ", "οδος οδος");
    check("İzmir", "i̇zmir");
    check("שלום  עולם", "שלום עולם");
}

Test(clean, links_go_to_the_next_white_space_also_in_mid_word)
{
    check("see https://t.co/AbC now", "see now");
    check("seeHTTP://example.com/x?y#z,and", "see");
    check("a http://x.com\xE3\x80\x80"
          "b",
          "a b");
    check("http:// https:/ http", "https:/ http");
    check("(https://t.co/a)", "(");
}

Test(clean, mentions_go_by_twitters_rule)
{
    check("Hi @Ada_99, and ＠Bob!", "hi , and !");
    check("の@nameに", "のに");
    check("mail me@example.org", "mail me@example.org");
    check(".@ada x@@y", ". x@@y");
    check("@ada/list", "/list");
}

Test(clean, a_leading_retweet_mark_goes_once)
{
    check("RT @ada: Hello", "hello");
    check("  rt @ada:hello", "hello");
    check("RT @ada.example.org: hello", "hello");
    check("RT @ada@example.org: hello", "hello");
    check("RT ＠ada: hello", "hello");
    check("RT @ada: RT @bob: hello", "rt : hello");
    check("rt ada: hello", "rt ada: hello");
    check("RT @: x", "rt @: x");
    check("start @ada: x", "start : x");
    check("party @ada: x", "party : x");
    check("RT @ada:", "");
}

Test(clean, listed_links_and_mentions_go_wherever_they_stand)
{
    struct view links[] = {VIEW("Example.com/Path"), VIEW("https://t.co/x"), VIEW("pic.example.com/1")};
    struct view mentions[] = {VIEW("ada.example.org"), VIEW("Bob@social.example"), VIEW("éva"),
                              VIEW("plain")};
    struct view_list l = {links, 3}, m = {mentions, 4};
    check_with("go to EXAMPLE.com/path, pic.example.com/1", l, none, "go to ,");
    check_with("@ada.example.org @bob@social.example hi", none, m, "hi");
    check_with("@éva and @évas", none, m, "and @évas");
    check_with("@plainé !@plain me@plain", none, m, "@plainé ! me@plain");
    check_with("@ada.example.organ", none, m, ".example.organ");
}

Test(clean, overlapping_listed_links_are_all_removed)
{
    struct view links[] = {VIEW("abc"), VIEW("bcd"), VIEW("b")};
    check_with("xabcdy xb", (struct view_list){links, 3}, none, "xy x");
}

Test(clean, hostile_lists_and_texts_take_linear_time)
{
    enum { COUNT = 20000 };
    struct buffer b = BUFFER(1 << 22), names = BUFFER(1 << 22);
    struct view *links = arena_zeroed(arena, COUNT, sizeof *links);
    for (int i = 0; i < COUNT; i++) {
        buffer_add_text(&names, "aaaaaaaaab");
        buffer_add_text(&b, "@aaaaaaaaaaaaa");
    }
    for (int i = 0; i < COUNT; i++) {
        links[i] = view_make(names.data + i, 10);
    }
    struct view_list list = {links, COUNT};
    struct view got = text_clean(worker, buffer_view(&b), list, list, arena);
    cr_assert(!view_absent(got));
    buffer_free(&b);
    buffer_free(&names);
}

Test(clean, broken_bytes_come_out_as_utf8_and_a_full_arena_is_absent)
{
    cr_assert(utf8_valid(text_clean(worker, VIEW("A\xFF@b\xE2\x82 \0 é"), none, none, arena)));
    cr_assert(view_absent(text_clean(worker, view_none(), none, none, arena)));
    struct arena *small = arena_new(16);
    cr_assert(
        view_absent(text_clean(worker, VIEW("a text that is longer than the arena"), none, none, small)));
    arena_free(small);
}

static int64_t count_by_icu(struct view text)
{
    UErrorCode status = U_ZERO_ERROR;
    UText *u = utext_openUTF8(NULL, text.at, (int64_t)text.length, &status);
    UBreakIterator *words = ubrk_open(UBRK_WORD, "root", NULL, 0, &status);
    ubrk_setUText(words, u, &status);
    cr_assert(U_SUCCESS(status));
    int64_t count = 0;
    int32_t start = 0;
    for (int32_t stop = ubrk_next(words); stop != UBRK_DONE; start = stop, stop = ubrk_next(words)) {
        for (size_t at = (size_t)start; at < (size_t)stop;) {
            uint32_t c = utf8_next(text, &at);
            if (c != UTF8_BAD && u_isalnum((UChar32)c)) {
                count++;
                break;
            }
        }
    }
    ubrk_close(words);
    utext_close(u);
    return count;
}

Test(clean, words_are_counted_in_every_script)
{
    static const struct {
        const char *text;
        int64_t words;
    } cases[] = {{"", 0},
                 {"hello, world!", 2},
                 {"can't stop 3.14 1,000 a-b snake_case ___ !!", 7},
                 {"one:two", 2},
                 {"Überraschung für Zoë’s café", 4},
                 {"สวัสดีชาวโลก", 3},
                 {"今日は良い天気です", 5},
                 {"我们去北京", 3},
                 {"😀 👍 ok", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t got = text_word_count(worker, view_of(cases[i].text));
        cr_assert_eq(got, count_by_icu(view_of(cases[i].text)), "%s", cases[i].text);
        if (i < 5) { /* how the dictionaries divide is ICU's to say */
            cr_assert_eq(got, cases[i].words, "%s: %d", cases[i].text, (int)got);
        }
    }
    cr_assert_gt(text_word_count(worker, VIEW("สวัสดีชาวโลก")), 1);
    cr_assert_gt(text_word_count(worker, VIEW("今日は良い天気です")), 1);
}

Test(clean, the_fast_path_counts_as_icu_does)
{
    static const char letters[] = "ab19_.,;:'\"- \n\r$#@/\x01\x7f";
    struct random r = {1};
    char text[40];
    for (int i = 0; i < 20000; i++) {
        size_t n = random_below(&r, sizeof text);
        for (size_t k = 0; k < n; k++) {
            text[k] = letters[random_below(&r, sizeof letters - 1)];
        }
        struct view v = view_make(text, n);
        cr_assert_eq(text_word_count(worker, v), count_by_icu(v), "'%.*s'", VIEW_PRINT(v));
    }
}
