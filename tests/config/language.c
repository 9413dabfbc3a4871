/* Language codes: a wrong one must not pass as a filter that matches nothing; old and new spellings are one
 * language. */
#include "config/language.h"

#include <criterion/criterion.h>

Test(language, codes_of_languages_are_known)
{
    static const char *const known[] = {"en",     "EN",  "de",  "zh-CN", "zh-tw",      "hi-Latn", "ckb",
                                        "und",    "zxx", "qme", "in",    "iw",         "tl",      "fil",
                                        "es-419", "no",  "nb",  "eng",   "zh-Hant-TW", "my"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        cr_expect(language_known(view_of(known[i])), "%s", known[i]);
    }
}

Test(language, what_is_no_language_is_refused)
{
    static const char *const wrong[] = {
        "",         "e",     "xx",          "qq",      "english",
        "en_US",    "en-",   "-en",         "en-USA1", "en-XX",
        "zh-CN-TW", "e1",    "\"en\"",      "xyzzy",   "en-US-posix-and-more-of-it",
        "*",        "en us", "zh-Hant-Hans"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(language_known(view_of(wrong[i])), "%s", wrong[i]);
    }
    cr_expect_not(language_known(view_none()));
}

Test(language, canonical_form)
{
    static const char *const pairs[][2] = {{"in", "id"},
                                           {"IW", "he"},
                                           {"ji", "yi"},
                                           {"jw", "jv"},
                                           {"zh-cn", "zh-CN"},
                                           {"HI-latn", "hi-Latn"},
                                           {"eng", "en"},
                                           {"iw-il", "he-IL"},
                                           {"tl", "tl"},
                                           {"UND", "und"},
                                           {"zh-hant-tw", "zh-Hant-TW"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char out[LANGUAGE_SIZE];
        cr_assert_not_null(language_canonical(view_of(pairs[i][0]), out), "%s", pairs[i][0]);
        cr_expect_str_eq(out, pairs[i][1]);
    }
}

Test(language, spellings_of_one_language)
{
    char out[LANGUAGE_SPELLINGS][LANGUAGE_SIZE];
    cr_assert_eq(language_spellings("id", out), 2);
    cr_assert_str_eq(out[0], "id");
    cr_assert_str_eq(out[1], "in");
    cr_assert_eq(language_spellings("he-IL", out), 2);
    cr_assert_str_eq(out[1], "iw-IL");
    cr_assert_eq(language_spellings("en", out), 1);
}

Test(language, wanted_language_takes_old_spellings_and_regions)
{
    cr_assert(language_wants("id", VIEW("in")));
    cr_assert(language_wants("zh", VIEW("zh-cn")));
    cr_assert_not(language_wants("zh-CN", VIEW("zh")));
    cr_assert_not(language_wants("en", VIEW("es")));
    cr_assert_not(language_wants("en", view_none()));
}
