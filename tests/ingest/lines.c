#include "ingest/lines.h"

#include "base/buffer.h"
#include "base/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* Everything that comes out of a stream, as text: "m:MESSAGE;" "k;" "l:LENGTH;" and, at the end, "e:LOST;".
 */
static void drain(struct ingest_lines *l, struct view input, struct buffer *out)
{
    struct ingest_lines_item item;
    for (;;) {
        switch (ingest_lines_next(l, &input, &item)) {
        case LINES_MORE:
            cr_expect(eq(sz, input.length, 0));
            return;
        case LINES_MESSAGE:
            cr_expect(eq(u64, item.length, item.message.length));
            buffer_add_text(out, "m:");
            buffer_add_view(out, item.message);
            buffer_add_byte(out, ';');
            break;
        case LINES_KEEP_ALIVE:
            buffer_add_text(out, "k;");
            break;
        case LINES_TOO_LONG:
            buffer_print(out, "l:%llu;", (unsigned long long)item.length);
            break;
        }
    }
}

/* Cuts input at the given places (each its own allocation, so that no old input is looked at) and reads it.
 */
static void read_cut(struct ingest_lines *l, struct view input, const size_t *cuts, size_t count,
                     struct buffer *out)
{
    size_t from = 0;
    for (size_t i = 0; i <= count; i++) {
        size_t to = i < count ? cuts[i] : input.length;
        char *copy = view_copy(view_make(input.at + from, to - from));
        drain(l, view_make(copy, to - from), out);
        free(copy);
        from = to;
    }
    uint64_t lost = ingest_lines_end(l);
    if (lost) {
        buffer_print(out, "e:%llu;", (unsigned long long)lost);
    }
}

static void expect_limit(struct view input, const char *expected, size_t limit)
{
    struct ingest_lines *l = ingest_lines_new(limit);
    for (size_t a = 0; a <= input.length; a++) {
        for (size_t b = a; b <= input.length; b += input.length > 60 ? 7 : 1) {
            struct buffer out = BUFFER(1024 * 1024);
            read_cut(l, input, (size_t[]){a, b}, 2, &out);
            cr_assert(eq(str, (char *)buffer_string(&out), (char *)expected), "cut at %zu and %zu", a, b);
            buffer_free(&out);
        }
    }
    ingest_lines_free(l);
}

static void expect(const char *input, const char *expected)
{
    expect_limit(view_of(input), expected, 64);
}

Test(lines, messages_end_with_crlf_at_any_cut)
{
    expect("{\"a\":1}\r\n{\"b\":2}\r\n\r\n{}\r\n", "m:{\"a\":1};m:{\"b\":2};k;m:{};");
}

Test(lines, a_lone_lf_or_cr_stands_inside_a_message)
{
    expect("{\n\"a\"\n:1}\r\nx\ry\r\n", "m:{\n\"a\"\n:1};m:x\ry;");
}

Test(lines, keep_alives_may_be_crlf_or_lf)
{
    expect("\r\n\n\r\n{}\r\n\n", "k;k;k;m:{};k;");
}

Test(lines, a_cr_alone_before_a_message_is_part_of_it)
{
    expect("\r{}\r\n", "m:\r{};");
}

Test(lines, lengths_are_found_without_a_setting)
{
    expect("\r\n9\r\n{\"a\":1}\r\n6\n{\nx}\r\n\r\n4\r\n{}\r\n", "k;m:{\"a\":1};m:{\nx};k;m:{};");
}

Test(lines, a_length_holds_also_over_a_line_end_inside)
{
    expect("8\r\n{\r\n\r\n}\r\n{}\r\n", "m:{\r\n\r\n};m:{};");
}

Test(lines, a_length_that_leaves_the_line_end_out_is_forgiven)
{
    expect("2\r\n{}\r\n2\r\n{}\r\n", "m:{};k;m:{};k;");
}

Test(lines, digits_alone_are_a_message_where_the_stream_began_with_one)
{
    expect("{}\r\n12\r\n{\"a\":1}\r\n", "m:{};m:12;m:{\"a\":1};");
    expect("\r\n1 \r\n12\r\n", "k;m:1 ;m:12;");
}

Test(lines, digits_with_anything_behind_them_are_a_message)
{
    expect("12 {}\r\n1234567890123456789\r\n5\rx\r\n", "m:12 {};m:1234567890123456789;m:5\rx;");
}

Test(lines, a_message_over_the_limit_is_thrown_away_and_the_next_one_is_read)
{
    expect_limit(VIEW("123456789\r\n{}\r\n"), "l:2;",
                 8); /* digits are a length, and this one is not believed */
    expect_limit(VIEW("{2345678}\r\n{}\r\n"), "l:9;m:{};", 8);
    expect_limit(VIEW("{234567}\r\n{}\r\n"), "m:{234567};m:{};", 8);
    expect_limit(VIEW("{2345678\n234567890}\r\n{2345678}\r\n\r\n"), "l:19;l:9;k;", 8);
}

Test(lines, a_length_over_the_limit_cannot_swallow_the_stream)
{
    expect_limit(VIEW("999999999999999999\r\n{23}\r\n{}\r\n"), "l:4;m:{};", 8);
}

Test(lines, a_fragment_at_the_end_is_discarded_and_counted)
{
    expect("{}\r\n{\"a\"", "m:{};e:4;");
    expect("{}\r\n12", "m:{};e:2;");
    expect("4\r\n{}\r\n12\r\n", "m:{};e:1;");
    expect("4\r\n{}\r\n12\r\n{1", "m:{};e:2;");
    expect("{}\r\n{}\r", "m:{};e:3;");
    expect_limit(VIEW("{2345678901"), "e:11;", 8);
}

/* What a stream of random pieces must come out as is known from how it was made. */
Test(lines, random_streams_at_random_cuts_come_out_whole)
{
    struct random r = {42};
    struct ingest_lines *l = ingest_lines_new(200);
    for (int round = 0; round < 300; round++) {
        struct buffer in = BUFFER(1024 * 1024), expected = BUFFER(1024 * 1024), out = BUFFER(1024 * 1024);
        /* A stream that begins with a length may leave some out later; one that begins with a message has
         * none. */
        bool delimited = random_below(&r, 2), first = true;
        for (uint64_t n = random_below(&r, 30); n; n--, first = false) {
            size_t length = first || random_below(&r, 8) ? random_below(&r, 60) : 150 + random_below(&r, 300);
            char message[512];
            for (size_t i = 0; i < length; i++) {
                message[i] = "{}ab\n1:"[random_below(&r, 7)];
            }
            length = length ? length : 1;
            message[0] = '{';
            message[length - 1] = length > 1 ? '}' : '{';
            bool counted = delimited && length <= 200 && (first || random_below(&r, 3));
            if (random_below(&r, 4) == 0) {
                buffer_add_text(&in, "\r\n");
                buffer_add_text(&expected, "k;");
            }
            if (counted) {
                buffer_print(&in, "%zu%s", length + 2, random_below(&r, 2) ? "\n" : "\r\n");
            }
            buffer_append(&in, message, length);
            buffer_add_text(&in, "\r\n");
            if (length > 200) {
                buffer_print(&expected, "l:%zu;", length);
            } else {
                buffer_add_text(&expected, "m:");
                buffer_append(&expected, message, length);
                buffer_add_text(&expected, ";");
            }
        }
        size_t cuts[64], count = random_below(&r, 64), at = 0;
        for (size_t i = 0; i < count; i++) {
            at += random_below(&r, (in.length - at) / 8 + 2);
            at = at > in.length ? in.length : at;
            cuts[i] = at;
        }
        read_cut(l, buffer_view(&in), cuts, count, &out);
        cr_assert(eq(str, (char *)buffer_string(&out), (char *)buffer_string(&expected)), "round %d", round);
        buffer_free(&in);
        buffer_free(&expected);
        buffer_free(&out);
    }
    ingest_lines_free(l);
}
