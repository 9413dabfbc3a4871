/* Broken configurations: every mistake is found in one run, at its file and line, says what would be right,
 * and shows no secret (all secrets in here contain "hush"). */
#include "support/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(broken, .init = fixture_open, .fini = fixture_close);

struct broken {
    const char *text;
    const char *mistakes[5]; /* in order; each a piece of the line behind "test.conf" */
};

static const struct broken table[] = {
    {"[bx]\ncount = hush\n", {":1: section \"bx\" is unknown: did you mean [box]?"}},
    {"[zzzzz]\n", {":1: section \"zzzzz\" is unknown: there are [box], [thing NAME]"}},
    {"[box]\nconut = hush\n", {":2: key \"conut\" is unknown in [box]: did you mean count?"}},
    {"[box]\nCOUNT = hush\n", {":2: key \"COUNT\" is unknown in [box]: did you mean count?"}},
    {"[box]\nkey_fiel = hush\n", {":2: key \"key_fiel\" is unknown in [box]: did you mean key_file?"}},
    {"[box]\nqwertz = hush\n",
     {":2: key \"qwertz\" is unknown in [box]: its keys are address, folder, link"}},
    {"[box]\nloud = yes\n", {":2: key \"loud\" is unknown in [box]: it belongs in [thing NAME]"}},
    {"[box]\nradius = 5\n",
     {":2: key \"radius\" is unknown in [box]: it belongs in [thing NAME] of type round"}},
    {"[box]\nHushHush9Abc = =\n", {":2: this key is unknown in [box]"}},
    {"[box]\n[thing a]\ntype = square\n[box]\ncount = 0\n",
     {":4: [box] is given twice, first on line 1", ":5: count = 0: a whole number from 1 to 100 is right"}},
    {"[thing a]\ntype = square\n\n[thing a]\ntype = square\n",
     {":4: [thing a] is given twice, first on line 1: give this one another name"}},
    {"[box]\ncount = 1\nopen = yes\ncount = 2\n",
     {":4: key \"count\" is given twice in [box], first on line 2"}},
    {"[box]\nkey = hush\nkey_file = hush.txt\n",
     {":3: key and key_file are both given, the other one on line 2"}},
    {"[box]\nhush hush hush\n", {":2: the line is neither a [section] nor key = value"}},
    {"[box]\n= hush\n", {":2: the line is neither"}},
    {"key = hush\n[box]\n", {":1: a key before any section: begin with a line such as [box]"}},
    {"[box]\nlink = \"hush\nkey = hush\"\ncount = 500\n",
     {":2: a double quote is opened and not closed", ":3: a double quote is opened and not closed",
      ":4: count = 500: a whole number from 1 to 100 is right"}},
    {"[box]\nwords = a, \"b, c\n", {":2: a double quote is opened"}},
    {"[box]\nwords = a,, b,\n",
     {":2: words: item 2 is empty: one comma too many", ":2: words: item 4 is empty"}},
    {"[box]\ncount = five\n", {":2: count = five: a whole number from 1 to 100 is right"}},
    {"[box]\ncount = 99999999999999999999\n", {":2: count = 99999999999999999999: a whole number"}},
    {"[box]\nwait = 5\n",
     {":2: wait = 5: a whole number with ms, s, min, h or d right behind it is right, from 10ms to 1h"}},
    {"[box]\nwait = 9ms\n", {":2: wait = 9ms: "}},
    {"[box]\nwait = 2h\n", {":2: wait = 2h: "}},
    {"[box]\nwait = 9223372036854775807d\n", {":2: wait = 9223372036854775807d: "}},
    {"[box]\nroom = 4GB\n",
     {":2: room = 4GB: a number of bytes, or with KiB, MiB, GiB or TiB right behind it, is right, from "
      "1KiB"}},
    {"[box]\nroom = 99999999999TiB\n", {":2: room = 99999999999TiB: "}},
    {"[box]\nopen = maybe\n", {":2: open = maybe: yes or no is right"}},
    {"[box]\nopen =\n", {":2: open has no value: leave the line out for the default, yes"}},
    {"[box]\nmode = xml\n", {":2: mode = xml: one of text, json, off is right"}},
    {"[box]\naddress = here\n", {":2: address = here: HOST:PORT is right"}},
    {"[box]\nmode = \x1b[31mred\n", {":2: mode = ?[31mred: one of"}},
    {"[box\ncount = hush\n", {":1: a section without its closing bracket"}},
    {"[box] count = 5\n", {":1: something stands behind the section's closing bracket"}},
    {"[box main]\ncount = 0\n", {":1: [box] takes no name", ":2: count = 0: "}},
    {"[thing]\ntype = square\n", {":1: [thing] has no name: [thing NAME]"}},
    {"[thing a b]\ntype = square\n",
     {":1: the name in [thing NAME] is wrong: 1 to 63 of a-z A-Z 0-9 _ - . are right"}},
    {"[thing a]\nloud = yes\n", {":1: [thing a] has no type: add type = round, square"}},
    {"[thing a]\ntype =\nloud = perhaps\n",
     {":2: [thing a] has no type: add type", ":3: loud = perhaps: yes or no"}},
    {"[thing a]\ntype = rond\nradius = x\n",
     {":2: type = rond: one of round, square is right (did you mean round?)"}},
    {"[thing a]\ntype = flat\nthickness = 5\n",
     {":2: type = flat: this version of roost does not have it: it has round, square"}},
    {"[thing a]\ntype = round\n",
     {":1: [thing a] has no radius: add radius. How round.",
      ":1: [thing a] has no password: add password or password_file"}},
    {"[thing a]\ntype = round\nradius = 13\npassword = hush\n", {":3: radius = 13: another number is right"}},
    {"[thing a]\ntype = square\npassword = hush\n", {":3: key \"password\" is unknown in [thing a]"}},
    {"[box]\nlink = caf\xE9 hush\nconut = 1\n",
     {":2: byte 11 of the line is not UTF-8: save the file as UTF-8", ":3: key \"conut\" is unknown"}},
    {"# caf\xE9\n[box]\n", {":1: byte 6 of the line is not UTF-8"}},
    {"[box]\nkey_file = /nonexistent/hush\n", {":2: key_file: cannot read /nonexistent/"}},
    {"[box]\r\n\r\nopen = 1\r\n[nothing]\r\nopen = 1\r\n[thing x]\r\nloud = 1",
     {":3: open = 1: yes or no", ":4: section \"nothing\" is unknown", ":6: [thing x] has no type",
      ":7: loud = 1"}},
};

Test(broken, every_mistake_is_named_in_one_run)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct config *c = fixture_load(table[i].text);
        cr_assert_not_null(c);
        size_t expected = 0;
        while (expected < 5 && table[i].mistakes[expected]) {
            const char *text = expected < config_mistakes(c) ? config_mistake_text(c, expected) : "(none)";
            char piece[512];
            snprintf(piece, sizeof piece, "/test.conf%s", table[i].mistakes[expected++]);
            cr_expect(strstr(text, piece), "case %zu: expected %s\n got %s", i, piece, text);
        }
        cr_expect_eq(config_mistakes(c), expected, "case %zu has %zu mistakes, not %zu", i,
                     config_mistakes(c), expected);
        for (size_t j = 0; j < config_mistakes(c); j++) {
            const char *text = config_mistake_text(c, j);
            cr_expect(!strstr(text, "hush") || strstr(text, "/nonexistent/hush"),
                      "case %zu shows a secret: %s", i, text);
        }
        config_free(c);
    }
}

Test(broken, nul_byte_is_a_mistake_and_not_an_end)
{
    const char *path = fixture_write("test.conf", VIEW("[box]\nlink = a\0b\nopen = 5\n"), 0600);
    struct config *c = config_load(path, fixture_kinds, fixture_kind_count);
    cr_assert_eq(config_mistakes(c), 2);
    cr_assert(strstr(config_mistake_text(c, 0), ":2: byte 9 of the line is NUL"), "%s",
              config_mistake_text(c, 0));
    cr_assert(strstr(config_mistake_text(c, 1), ":3: open = 5"), "%s", config_mistake_text(c, 1));
    config_free(c);
}

Test(broken, missing_section_is_named)
{
    struct config_kind needed = *fixture_kinds[0];
    needed.optional = false;
    const struct config_kind *const kinds[] = {&needed};
    struct config *c = config_load(fixture_write("test.conf", VIEW("# nothing\n"), 0600), kinds, 1);
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "test.conf: the section [box] is missing"), "%s",
              config_mistake_text(c, 0));
    config_free(c);
}

Test(broken, kinds_of_another_process_are_checked_in_form_only)
{
    static const char *const used[] = {"box", NULL};
    const char *path = fixture_write(
        "test.conf", VIEW("[thing a]\ntype = round\npassword_file = /nonexistent/x\nradius = 13\nloud = 3\n"),
        0600);
    struct config *c = config_load_for(path, fixture_kinds, fixture_kind_count, used);
    cr_assert_eq(config_mistakes(c), 1, "the secret is not read, the type's check not called");
    cr_assert(strstr(config_mistake_text(c, 0), ":5: loud = 3"), "%s", config_mistake_text(c, 0));
    config_free(c);
}
