/* Lines that cJSON or PostgreSQL would choke on. */
#include "text/repair.h"
#include "base/random.h"
#include "base/utf8.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <stdlib.h>

static void check(const char *what, struct view in, struct view out, struct text_repairs expected)
{
    struct buffer b = BUFFER(1 << 20);
    struct text_repairs counts = {0};
    struct view got;
    cr_assert_eq(text_repair(in, &b, &counts, &got), 0, "%s", what);
    cr_assert(view_equal(got, out), "%s: got %.*s", what, VIEW_PRINT(got));
    cr_assert_eq(memcmp(&counts, &expected, sizeof counts), 0, "%s: counts", what);
    cr_assert(got.at != in.at || view_equal(in, out));
    buffer_free(&b);
}

#define CHECK(in, out, ...) check(#in, VIEW(in), VIEW(out), (struct text_repairs){__VA_ARGS__})

Test(repair, a_line_without_need_is_the_same_view)
{
    struct buffer b = BUFFER(0);
    struct text_repairs counts = {0};
    struct view
        line = VIEW(
            "{\"text\":\"\\ud83d\\ude00 \\\\u0000 \\/ \\\" gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80 \\u00e9\"}"),
        got;
    cr_assert_eq(text_repair(line, &b, &counts, &got), 0);
    cr_assert_eq(got.at, line.at);
    cr_assert_eq(got.length, line.length);
    cr_assert_eq(text_repair(VIEW(""), &b, &counts, &got), 0);
    cr_assert_eq(got.length, 0);
}

Test(repair, invalid_utf8_becomes_one_replacement_per_maximal_subpart)
{
    CHECK("a\xFFz", "a\xEF\xBF\xBDz", .invalid_utf8 = 1);
    CHECK("\xE2\x82z", "\xEF\xBF\xBDz", .invalid_utf8 = 1);
    CHECK("\xF0\x9F\x98", "\xEF\xBF\xBD", .invalid_utf8 = 1);
    CHECK("\xED\xA0\xBD", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", .invalid_utf8 = 3);
    CHECK("\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD", .invalid_utf8 = 2);
    /* The Unicode Standard, table 3-8. */
    CHECK("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
          "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
          "b\xEF\xBF\xBD"
          "c\xEF\xBF\xBD\xEF\xBF\xBD"
          "d",
          .invalid_utf8 = 6);
}

Test(repair, lone_surrogates_are_replaced_and_pairs_stay)
{
    CHECK("\\ud83d", "\\ufffd", .surrogates = 1);
    CHECK("\\uD83D \\uDE00", "\\ufffd \\ufffd", .surrogates = 2);
    CHECK("\\ude00\\ud83d", "\\ufffd\\ufffd", .surrogates = 2);
    CHECK("\\ud83d\\ud83d\\ude00", "\\ufffd\\ud83d\\ude00", .surrogates = 1);
    CHECK("\\ud83d\\u0041", "\\ufffd\\u0041", .surrogates = 1);
    CHECK("\\ud83d\\\\ude00", "\\ufffd\\\\ude00", .surrogates = 1);
    CHECK("\\\\ud83d", "\\\\ud83d", 0);
    CHECK("\\\\\\ud83d", "\\\\\\ufffd", .surrogates = 1);
}

Test(repair, nul_is_dropped_raw_and_escaped_but_not_behind_an_escaped_backslash)
{
    CHECK("a\\u0000b", "ab", .nul_escapes = 1);
    CHECK("a\\\\u0000b", "a\\\\u0000b", 0);
    CHECK("a\\\\\\u0000b", "a\\\\b", .nul_escapes = 1);
    CHECK("a\0b", "ab", .nul_bytes = 1);
    CHECK("\0\0", "", .nul_bytes = 2);
    CHECK("12345678\0abcdefgh", "12345678abcdefgh", .nul_bytes = 1);
}

Test(repair, dropping_one_nul_never_makes_another)
{
    CHECK("\\\0u0000", "", .nul_bytes = 1, .nul_escapes = 1);
    CHECK("\\u00\00000", "", .nul_bytes = 1, .nul_escapes = 1);
    CHECK("\\u00\\u000000", "\\u00\\ufffd00", .nul_escapes = 1);
    CHECK("\\ud83d\\u0000\\ude00", "\\ufffd\\ufffd", .surrogates = 2, .nul_escapes = 1);
    CHECK("\\ud8\0003d", "\\ufffd", .surrogates = 1, .nul_bytes = 1);
}

Test(repair, a_scratch_that_is_too_small_is_an_error)
{
    struct buffer b = BUFFER(4);
    struct text_repairs counts = {0};
    struct view got;
    cr_assert_eq(text_repair(VIEW("abc\0defgh"), &b, &counts, &got), -1);
    buffer_free(&b);
}

static size_t make_line(struct random *r, char *line, size_t most)
{
    static const char *const pieces[] = {
        "\\",           "u",    "0000", "\\u0000", "\\ud83d",     "\\ude00",
        "\"",           "\\\"", "a",    "\xC3",    "\xA9",        "\xF0\x9F\x98\x80",
        "\xED\xA0\x80", "{",    "}",    "\\n",     "plain text ", "\xE2\x82",
        "\\uD8",        "00",   "3d"};
    size_t n = 0;
    for (size_t count = random_below(r, 24); count; count--) {
        size_t which = random_below(r, sizeof pieces / sizeof *pieces + 1);
        if (which == sizeof pieces / sizeof *pieces) {
            line[n++] = '\0';
            continue;
        }
        size_t length = strlen(pieces[which]);
        if (n + length < most) {
            memcpy(line + n, pieces[which], length);
            n += length;
        }
    }
    return n;
}

Test(repair, whatever_comes_in_utf8_without_nul_goes_out_and_a_second_repair_finds_nothing)
{
    struct random r = {20200324};
    struct buffer b = BUFFER(1 << 16), again = BUFFER(1 << 16);
    char line[512];
    for (int i = 0; i < 100000; i++) {
        struct view in = view_make(line, make_line(&r, line, sizeof line - 1)), out, second;
        struct text_repairs counts = {0}, none = {0};
        cr_assert_eq(text_repair(in, &b, &counts, &out), 0);
        cr_assert(utf8_valid(out) && (out.length == 0 || !memchr(out.at, 0, out.length)), "round %d", i);
        cr_assert_eq(text_repair(out, &again, &none, &second), 0);
        cr_assert_eq(second.at, out.at, "round %d: %.*s", i, VIEW_PRINT(out));
        cr_assert_leq(out.length, 3 * in.length);
    }
    buffer_free(&b);
    buffer_free(&again);
}

Test(repair, strings_that_cjson_reads_stay_what_they_are)
{
    struct random r = {7};
    struct buffer b = BUFFER(1 << 16);
    char line[600];
    for (int i = 0; i < 50000; i++) {
        line[0] = '"';
        size_t n = make_line(&r, line + 1, sizeof line - 100) + 1;
        line[n++] = '"';
        cJSON *before = cJSON_ParseWithLengthOpts(line, n, NULL, 0), *after;
        struct view in = view_make(line, n), out;
        struct text_repairs counts = {0};
        cr_assert_eq(text_repair(in, &b, &counts, &out), 0);
        after = cJSON_ParseWithLengthOpts(out.at, out.length, NULL, 0);
        if (before && counts.invalid_utf8 + counts.nul_bytes + counts.nul_escapes == 0) {
            cr_assert(after && strcmp(before->valuestring, after->valuestring) == 0, "round %d", i);
        }
        cJSON_Delete(before);
        cJSON_Delete(after);
    }
    buffer_free(&b);
}

Test(repair, html_entities_are_undone_once)
{
    struct arena *a = arena_new(1 << 20);
    cr_assert(view_is(text_unescape_html(VIEW("a &amp; b &lt;3 &gt;"), a), "a & b <3 >"));
    cr_assert(view_is(text_unescape_html(VIEW("&amp;lt;&amp;amp;"), a), "&lt;&amp;"));
    cr_assert(
        view_is(text_unescape_html(VIEW("&quot;&nbsp;&#39;&AMP;&amp"), a), "&quot;&nbsp;&#39;&AMP;&amp"));
    cr_assert(view_is(text_unescape_html(VIEW("&&amp;&"), a), "&&&"));
    struct view same = VIEW("nothing & nobody");
    cr_assert_eq(text_unescape_html(same, a).at, same.at);
    cr_assert(view_absent(text_unescape_html(view_none(), a)));
    arena_free(a);
}
