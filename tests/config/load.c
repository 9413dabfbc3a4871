/* What a right configuration means: each form that design section 4 allows gives the value it should. */
#include "base/buffer.h"
#include "support/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(load, .init = fixture_open, .fini = fixture_close);

static struct config *load_right(const char *text)
{
    struct config *c = fixture_load(text);
    cr_assert_not_null(c);
    cr_assert_eq(config_mistakes(c), 0, "%s", config_mistakes(c) ? config_mistake_text(c, 0) : "");
    return c;
}

Test(load, absent_section_has_its_defaults)
{
    struct config *c = load_right("");
    const struct box_settings *box = config_settings(c, "box");
    cr_assert_str_eq(box->address, "127.0.0.1:1");
    cr_assert_null(box->folder);
    cr_assert(box->open);
    cr_assert_eq(box->count, 3);
    cr_assert_eq(box->wait, 1000);
    cr_assert_eq(box->room, INT64_C(4) << 30);
    cr_assert_eq(box->words.count, 0);
    cr_assert_eq(box->words.place.line, 0);
    cr_assert_null(config_first(c, "box"));
    cr_assert_null(config_settings(c, "nothing"));
    config_free(c);
}

Test(load, every_type_is_read)
{
    struct config *c =
        load_right("[box]\naddress = 10.0.0.1:5\nfolder = sub/dir\nmode = off\nopen = no\n"
                   "count = 100\nwait = 5min\nroom = 64KiB\nwords = a, \"b, c\" , d\nkey = s3cret\n");
    const struct box_settings *box = config_settings(c, "box");
    char expected[512];
    snprintf(expected, sizeof expected, "%s/sub/dir", config_folder(c));
    cr_assert_str_eq(box->folder, expected);
    cr_assert_eq(box->folder[0], '/');
    cr_assert_eq(box->mode, 2);
    cr_assert_not(box->open);
    cr_assert_eq(box->count, 100);
    cr_assert_eq(box->wait, 300000);
    cr_assert_eq(box->room, 65536);
    cr_assert_eq(box->words.count, 3);
    cr_assert_str_eq(box->words.items[1], "\"b, c\"", "a list keeps the quotes of its items");
    cr_assert_eq(box->words.place.line, 9);
    cr_assert_str_eq(box->key, "s3cret");
    const struct config_section *s = config_first(c, "box");
    cr_assert_eq(config_key_place(s, "wait").line, 7);
    cr_assert_eq(config_key_place(s, "link").line, 0);
    cr_assert_null(config_next(s));
    config_free(c);
}

Test(load, units_of_durations_and_sizes)
{
    struct config *c = load_right("[box]\nwait = 10ms\nroom = 1024\n");
    cr_assert_eq(((struct box_settings *)config_settings(c, "box"))->wait, 10);
    cr_assert_eq(((struct box_settings *)config_settings(c, "box"))->room, 1024);
    config_free(c);
    c = load_right("[box]\nwait = 1h\nroom = 2TiB\n");
    cr_assert_eq(((struct box_settings *)config_settings(c, "box"))->wait, 3600000);
    cr_assert_eq(((struct box_settings *)config_settings(c, "box"))->room, INT64_C(2) << 40);
    config_free(c);
}

Test(load, comments_begin_after_white_space_and_not_in_quotes)
{
    struct config *c =
        load_right("; all\n  # of it\n[box] ; behind a section\nlink = \"dbname=roost ; no comment\" ; yes\n"
                   "folder = /a;b\t; tab\naddress=x:1;y\n[thing one]\ntype=square ; yes\n"
                   "note = say \"a  b\"'s end\n");
    const struct box_settings *box = config_settings(c, "box");
    cr_assert_str_eq(box->link, "dbname=roost ; no comment");
    cr_assert_str_eq(box->folder, "/a;b");
    cr_assert_str_eq(box->address, "x:1;y");
    const struct thing_settings *thing = config_section_settings(config_first(c, "thing"));
    cr_assert_str_eq(thing->note, "say a  b's end");
    config_free(c);
}

Test(load, bom_crlf_and_no_last_line_end)
{
    struct config *c = load_right("\xEF\xBB\xBF[box]\r\ncount = 7\r\n\r\nlink = x");
    const struct box_settings *box = config_settings(c, "box");
    cr_assert_eq(box->count, 7);
    cr_assert_str_eq(box->link, "x");
    cr_assert_eq(config_key_place(config_first(c, "box"), "link").line, 4);
    config_free(c);
}

Test(load, empty_value_means_none)
{
    struct config *c = load_right("[box]\nfolder =\nlink = ; nothing\nwords =\nkey = \"\"\n");
    const struct box_settings *box = config_settings(c, "box");
    cr_assert_null(box->folder);
    cr_assert_null(box->link);
    cr_assert_null(box->key);
    cr_assert_eq(box->words.count, 0);
    cr_assert_eq(box->words.place.line, 4, "an empty list was given, unlike none");
    config_free(c);
}

Test(load, type_may_stand_behind_the_keys_it_decides)
{
    struct config *c = load_right(
        "[thing one]\nradius = 5\npassword = p\ntype = round\n[thing two.b-c_D]\ntype = \"square\"\n");
    const struct config_section *s = config_first(c, "thing");
    cr_assert_str_eq(config_section_name(s), "one");
    cr_assert_str_eq(config_section_type(s), "round");
    cr_assert_eq(((struct round_settings *)config_section_settings(s))->radius, 5);
    cr_assert_eq(config_section_place(s).line, 1);
    s = config_next(s);
    cr_assert_str_eq(config_section_name(s), "two.b-c_D");
    cr_assert_str_eq(config_section_type(s), "square");
    cr_assert_null(config_next(s));
    config_free(c);
}

Test(load, checks_run_after_all_values_section_by_section)
{
    struct config *c = load_right("[thing one]\ntype = square\n[box]\n[thing two]\ntype = square\n");
    cr_assert_str_eq(fixture_checks, "thing:one:square box thing:two:square all");
    config_free(c);
}

Test(load, thousand_keywords_in_one_line)
{
    struct buffer text = BUFFER(1 << 20);
    buffer_add_text(&text, "[box]\nwords = ");
    for (int i = 0; i < 1000; i++) {
        buffer_print(&text, "%skeyword number %d", i ? ", " : "", i);
    }
    buffer_add_text(&text, "\nconut = 5\n");
    struct config *c = fixture_load(buffer_string(&text));
    const struct box_settings *box = config_settings(c, "box");
    cr_assert_eq(box->words.count, 1000);
    cr_assert_str_eq(box->words.items[999], "keyword number 999");
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "test.conf:3: "), "%s", config_mistake_text(c, 0));
    config_free(c);
    buffer_free(&text);
}

Test(load, long_conninfo_and_the_line_after_it)
{
    char text[1024], value[601];
    memset(value, 'x', 600);
    value[600] = '\0';
    snprintf(text, sizeof text, "[box]\nlink = %s\nconut = 5\n", value);
    struct config *c = fixture_load(text);
    cr_assert_str_eq(((struct box_settings *)config_settings(c, "box"))->link, value);
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "test.conf:3: "), "%s", config_mistake_text(c, 0));
    config_free(c);
}

Test(load, semicolon_in_quotes_and_the_line_after_it)
{
    struct config *c = fixture_load("[box]\nlink = \"a ; b\"\nconut = 5\n");
    cr_assert_str_eq(((struct box_settings *)config_settings(c, "box"))->link, "a ; b");
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "test.conf:3: "), "%s", config_mistake_text(c, 0));
    config_free(c);
}

Test(load, line_of_64_KiB_is_read_one_byte_more_is_not)
{
    for (size_t more = 0; more < 2; more++) {
        struct buffer text = BUFFER(1 << 20);
        buffer_add_text(&text, "[box]\nfolder = /");
        while (text.length < 6 + 65536 + more) {
            buffer_add_byte(&text, 'y');
        }
        buffer_add_text(&text, "\r\ncount = 9\r\n");
        struct config *c = fixture_load(buffer_string(&text));
        const struct box_settings *box = config_settings(c, "box");
        cr_assert_eq(config_mistakes(c), more);
        cr_assert_eq(box->folder == NULL, more);
        cr_assert_eq(box->count, 9);
        config_free(c);
        buffer_free(&text);
    }
}

Test(load, unreadable_file_is_a_mistake_and_defaults_are_there)
{
    struct config *c = config_load("/nonexistent/roost.conf", fixture_kinds, fixture_kind_count);
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "/nonexistent/roost.conf: cannot be read: No such file"),
              "%s", config_mistake_text(c, 0));
    cr_assert_not_null(config_settings(c, "box"));
    config_free(c);
}

Test(load, file_over_4_MiB_is_refused)
{
    struct buffer text = BUFFER(5 << 20);
    while (text.length <= (4 << 20)) {
        buffer_add_text(&text,
                        "# a comment line that fills the file up to more than the limit of four mebibytes\n");
    }
    struct config *c = fixture_load(buffer_string(&text));
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "limit"), "%s", config_mistake_text(c, 0));
    config_free(c);
    buffer_free(&text);
}

Test(load, hostile_file_gives_a_bounded_list_of_mistakes)
{
    struct buffer text = BUFFER(4 << 20);
    buffer_add_text(&text, "[box]\n");
    while (text.length < (1 << 20)) {
        buffer_add_text(&text, "x\n[box]\na=\n");
    }
    struct config *c = fixture_load(buffer_string(&text));
    cr_assert_eq(config_mistakes(c), 1001);
    cr_assert(strstr(config_mistake_text(c, 1000), "further mistakes"));
    config_free(c);
    buffer_free(&text);
}

static void collect(void *user, const char *section, const char *key)
{
    buffer_print(user, "%s %s\n", section, key);
}

Test(load, reload_names_the_keys_that_need_a_restart)
{
    struct config *now = load_right("[box]\naddress = a:1\ncount = 5\nwait = 1s\n");
    struct config *next = load_right("[box]\naddress = b:1\ncount = 5\nwait = 2s\n");
    struct buffer told = BUFFER(1000);
    config_each_restart(now, next, collect, &told);
    cr_assert_str_eq(buffer_string(&told), "[box] address\n",
                     "count is the same, wait can be changed by a reload");
    buffer_free(&told);
    config_free(next);
    config_free(now);
}

Test(load, keyword_file_lines_keep_their_places)
{
    const char *path = fixture_write("words.txt",
                                     VIEW("\xEF\xBB\xBF"
                                          "one\r\n\r\n  # two \r\nbad \xFF byte\nthree"),
                                     0644);
    struct config *c = load_right("");
    struct config_line *lines;
    size_t count;
    cr_assert_eq(config_read_lines(c, path, (struct config_place){.line = 9}, &lines, &count), 0);
    cr_assert_eq(count, 3);
    cr_assert(view_is(lines[0].text, "one"));
    cr_assert(view_is(lines[1].text, "# two"));
    cr_assert_eq(lines[1].place.line, 3);
    cr_assert(view_is(lines[2].text, "three"));
    cr_assert_eq(lines[2].place.line, 5);
    cr_assert_str_eq(lines[2].place.file, path);
    cr_assert_eq(config_mistakes(c), 1);
    cr_assert(strstr(config_mistake_text(c, 0), "words.txt:4: byte 5 of the line is not UTF-8"), "%s",
              config_mistake_text(c, 0));
    cr_assert_eq(config_read_lines(c, "/nonexistent/words", (struct config_place){.line = 9}, &lines, &count),
                 -1);
    cr_assert(strstr(config_mistake_text(c, 1), "test.conf:9: cannot read /nonexistent/words"), "%s",
              config_mistake_text(c, 1));
    config_free(c);
}

Test(load, kept_memory_is_freed_with_the_config)
{
    struct config *c = load_right("");
    void *kept = malloc(10);
    cr_assert_eq(config_keep(c, kept, free), kept);
    cr_assert_null(config_keep(c, NULL, free));
    config_free(c);
}
