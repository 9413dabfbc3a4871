/* The console sink: one line a post, nothing in a post can do anything to the terminal; it proves etl/sink.h.
 */
#include "sinks/console.h"

#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

static void expect_line(const struct post *p, const char *line)
{
    struct buffer b = BUFFER(10000);
    console_print(&b, p);
    cr_expect_str_eq(buffer_string(&b), line);
    buffer_free(&b);
}

Test(console, a_line_shows_time_author_and_clean_text)
{
    struct post p;
    post_init(&p);
    p.created_at = 1539202764211;
    p.author_handle = VIEW("ada");
    p.text = VIEW("Hello THERE");
    expect_line(&p, "2018-10-10T20:19:24.211Z @ada: Hello THERE\n");
    p.clean_text = VIEW("hello there");
    expect_line(&p, "2018-10-10T20:19:24.211Z @ada: hello there\n");
}

Test(console, control_and_direction_characters_are_escaped)
{
    struct post p;
    post_init(&p);
    p.created_at = 0;
    p.author_handle = VIEW("a\nb");
    p.text = VIEW("\x1B[2J\r \xC2\x9B \xE2\x80\xAEX \xE2\x80\xA8 \xFF \xF0\x9F\x98\x80");
    expect_line(&p,
                "1970-01-01T00:00:00.000Z @a\\u{a}b: \\u{1b}[2J\\u{d} \\u{9b} \\u{202e}X \\u{2028} \\u{fffd} "
                "\xF0\x9F\x98\x80\n");
}

Test(console, long_texts_are_cut_between_letters)
{
    struct post p;
    char text[4 * 200 + 1] = "", line[4 * 200 + 100];
    for (int i = 0; i < 200; i++) {
        memcpy(text + i * 4, "\xF0\x9F\x98\x80", 4);
    }
    post_init(&p);
    p.created_at = 0;
    p.author_handle = VIEW("a");
    p.text = view_make(text, 4 * 200);
    snprintf(line, sizeof line, "1970-01-01T00:00:00.000Z @a: %.480s...\n", text);
    expect_line(&p, line);
}

Test(console, an_event_is_a_line_too)
{
    struct post p;
    post_init(&p);
    p.kind = POST_DELETE;
    p.received_at = 0;
    p.source = VIEW("covid");
    p.id = VIEW("77");
    expect_line(&p, "1970-01-01T00:00:00.000Z delete covid 77\n");
}

Test(console, prints_each_frame_once_and_remembers_its_position, .init = cr_redirect_stdout)
{
    struct console_settings {
        struct sink_settings sink;
    } settings = {{0}};
    struct err e;
    uint64_t sequence;
    struct sink *s = sink_console.open(&settings, "screen", &e);
    cr_assert_not_null(s);
    struct made_load *m = load_of(1, 1, 3);
    m->posts[1].author_handle = VIEW("bob");
    cr_assert_eq(sink_console.position(s, "etl", VIEW("spool-a"), &sequence, &e), 0);
    cr_expect_eq(sequence, 0u);
    cr_assert_eq(sink_console.write(s, &m->load, &e), 0, "%s", e.text);
    cr_assert_eq(sink_console.write(s, &m->load, &e), 0, "%s", e.text);
    load_add_post(m, 4);
    cr_assert_eq(sink_console.write(s, load_end(m), &e), 0, "%s", e.text);
    cr_assert_eq(sink_console.position(s, "etl", VIEW("spool-a"), &sequence, &e), 0);
    cr_expect_eq(sequence, 4u);
    cr_assert_eq(sink_console.position(s, "other", VIEW("spool-a"), &sequence, &e), 0);
    cr_expect_eq(sequence, 0u);
    cr_expect_stdout_eq_str("2018-10-10T20:19:24.001Z @: hello\n2018-10-10T20:19:24.002Z @bob: hello\n"
                            "2018-10-10T20:19:24.003Z @: hello\n2018-10-10T20:19:24.004Z @: hello\n");
    free(m);
    sink_console.close(s);
}
