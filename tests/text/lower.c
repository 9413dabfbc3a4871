/* Case and composition. */
#include "text/lower.h"
#include "base/buffer.h"
#include "base/utf8.h"

#include <criterion/criterion.h>

static struct arena *arena;
static struct text_worker *worker;

static void begin(void)
{
    struct err e;
    arena = arena_new(64 << 20);
    worker = text_worker_new(&e);
    cr_assert(worker, "%s", e.text);
}

static void end(void)
{
    text_worker_free(worker);
    arena_free(arena);
}

TestSuite(lower, .init = begin, .fini = end);

static void check_lower(const char *in, const char *out)
{
    struct view got = text_lower(worker, view_of(in), arena);
    cr_assert(view_is(got, out), "%s gives %.*s", in, VIEW_PRINT(got));
}

static void check_same(const char *one, const char *other, bool same)
{
    struct view a = text_fold(view_of(one), arena), b = text_fold(view_of(other), arena);
    cr_assert_eq(view_equal(a, b), same, "%s and %s: %.*s, %.*s", one, other, VIEW_PRINT(a), VIEW_PRINT(b));
}

Test(lower, follows_unicode_without_any_language)
{
    check_lower("HeLLo, WORLD 42", "hello, world 42");
    check_lower("ΟΔΥΣΣΕΥΣ", "οδυσσευς");
    check_lower("ΣΑΣ Σ", "σας σ");
    check_lower("İSTANBUL", "i̇stanbul");
    check_lower("IĞDIR", "iğdir");
    check_lower("STRAẞE", "straße");
    check_lower("ÀÉÎ ЖЁ Ⴀ 𐐀", "àéî жё ⴀ 𐐨");
    check_lower("שלום 日本 ไทย \xE2\x80\xA8 😀", "שלום 日本 ไทย \xE2\x80\xA8 😀");
}

Test(lower, a_text_without_capitals_is_not_copied)
{
    struct view same = VIEW("nothing to do: 1 2 3");
    cr_assert_eq(text_lower(worker, same, arena).at, same.at);
    cr_assert_eq(text_fold(same, arena).at, same.at);
    cr_assert(view_absent(text_lower(worker, view_none(), arena)));
    cr_assert(view_absent(text_fold(view_none(), arena)));
    cr_assert_eq(text_lower(worker, VIEW(""), arena).length, 0);
}

Test(lower, broken_utf8_and_nul_come_out_as_utf8)
{
    struct view got = text_lower(worker, VIEW("A\xFF\xE2\x82 É\0B"), arena);
    cr_assert(utf8_valid(got));
    cr_assert(view_equal(text_lower(worker, VIEW("A\0B"), arena), VIEW("a\0b")));
    cr_assert(utf8_valid(text_fold(VIEW("A\xFF\xE2\x82 É\0B"), arena)));
    char bad[3000];
    memset(bad, 0xFF, sizeof bad);
    got = text_lower(worker, view_make(bad, sizeof bad), arena);
    cr_assert(utf8_valid(got) && got.length == 3 * sizeof bad);
}

Test(lower, letters_that_grow_fit)
{
    enum { COUNT = 5000 };
    struct buffer text = BUFFER(1 << 20);
    for (int i = 0; i < COUNT; i++) {
        buffer_add_text(&text, "Ⱥ"); /* U+023A has two bytes; U+2C65, which it becomes, has three */
    }
    cr_assert_eq(text_lower(worker, buffer_view(&text), arena).length, 3 * COUNT);
    cr_assert_eq(text_fold(buffer_view(&text), arena).length, 3 * COUNT);
    buffer_free(&text);
}

Test(lower, folding_makes_cases_and_compositions_the_same_and_keeps_accents)
{
    check_same("Straße", "STRASSE", true);
    check_same("ΣΊΣΥΦΟΣ", "σίσυφος", true);
    check_same("caf\xC3\xA9", "CAFE\xCC\x81", true);
    check_same("touché", "touche", false);
    check_same("K", "k", true); /* the Kelvin sign */
    check_same("한국", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB\xE1\x84\x80\xE1\x85\xAE\xE1\x86\xA8", true);
    check_same("ﬁne", "FINE", true);
    check_same("İ", "i", false);
    check_same("ı", "i", false);
}

Test(lower, folding_puts_the_iota_subscript_in_order)
{
    /* alpha, iota subscript, acute: in whatever order they come, as one letter or as three */
    check_same("\xCE\xB1\xCD\x85\xCC\x81", "\xCE\xB1\xCC\x81\xCD\x85", true);
    check_same("\xE1\xBE\xB4", "\xCE\xB1\xCD\x85\xCC\x81", true);
    check_same("\xE1\xBE\xBC", "\xE1\xBE\xB3", true);
}

Test(lower, folding_makes_widths_the_same_and_leaves_other_compatibility_alone)
{
    check_same("ＴｅＡ　１２３！～", "tea　123!~", true);
    check_same("ｶﾞｷﾞﾊﾟｰﾃｨｰ｡｢｣､･", "ガギパーティー。「」、・", true);
    check_same("ﾊﾞ", "バ", true);
    check_same("ﾊﾞ", "ハ", false);
    check_same("ﾡ￦￨", "ㄱ₩│", true);
    check_same("＿＠＃＄＇", "_@#$'", true);
    check_same("①", "1", false);
    check_same("㌔", "キロ", false);
    check_same("²", "2", false);
    check_same("\xEF\xBB\xBF"
               "a\xEF\xBF\xBD",
               "a", false); /* U+FEFF and U+FFFD have no other width */
}

Test(lower, folding_twice_changes_nothing)
{
    static const char *const texts[] = {"ẞ İ ŉ ǰ ΐ և",       "ᾴ ᾴ ᾼ", "Ｆｕｌｌ ﾊﾟ", "Ꭰ ꭰ",
                                        "e\xCC\x81\xCC\xA7", "ﬃ ﬅ"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct view once = text_fold(view_of(texts[i]), arena);
        cr_assert(view_equal(once, text_fold(once, arena)), "%s", texts[i]);
    }
}

Test(lower, a_full_arena_is_an_absent_result)
{
    struct arena *small = arena_new(64);
    char text[1000];
    memset(text, 'X', sizeof text);
    cr_assert(view_absent(text_lower(worker, view_make(text, sizeof text), small)) && arena_failed(small));
    arena_reset(small);
    text[0] = '\xC3';
    text[1] = '\x89';
    cr_assert(view_absent(text_fold(view_make(text, sizeof text), small)) && arena_failed(small));
    arena_free(small);
}

Test(lower, composing_keeps_case_and_what_is_composed_already)
{
    struct view plain = VIEW("Plain");
    cr_expect_eq(text_compose(plain, arena).at, plain.at);
    cr_expect(view_is(text_compose(VIEW("CAFE\xCC\x81"), arena), "CAF\xC3\x89"));
    cr_expect(view_is(text_compose(VIEW("CAF\xC3\x89 Stra\xC3\x9F"
                                        "e"),
                                   arena),
                      "CAF\xC3\x89 Stra\xC3\x9F"
                      "e"));
    cr_expect(view_absent(text_compose(view_none(), arena)));
    cr_expect(utf8_valid(text_compose(VIEW("A\xFF\xE2\x82 \xC3\x89"), arena)));
}
