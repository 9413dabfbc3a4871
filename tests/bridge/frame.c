/* Frames: the marker ends a frame and nothing else does; numbered frames survive nothing that is not exact.
 */
#include "bridge/frame.h"

#include "base/json.h"
#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *const markers[] = {"__end", "kk", "ik",      "xi", "8x",    "u0078x",
                                      "00k",   "e_", "--end--", "aa", "<fin>", "_k_"};
enum { MARKERS = sizeof markers / sizeof markers[0], ROUNDS = 3000 };

/* The text as it must come back: CR and LF are spaces. */
static void make_spaces(struct buffer *b)
{
    for (size_t i = 0; i < b->length; i++) {
        if (b->data[i] == '\r' || b->data[i] == '\n') {
            b->data[i] = ' ';
        }
    }
}

static void check_inserted_only(struct view frame, struct view text)
{
    static const char joiner[] = "\xE2\x81\xA0";
    size_t at = 0;
    for (size_t i = 0; i < frame.length; i++) {
        if (frame.length - i >= 3 && memcmp(frame.at + i, joiner, 3) == 0) {
            i += 2;
            continue;
        }
        cr_assert(at < text.length && frame.at[i] == text.at[at], "only U+2060 is inserted");
        at++;
    }
    cr_assert_eq(at, text.length, "every character of the text is there, in order");
}

static void check_text_frame(struct view text, struct view marker)
{
    struct buffer frame = BUFFER(1 << 20), wanted = BUFFER(1 << 20);
    frame_write_text(&frame, text, marker);
    cr_assert(!buffer_failed(&frame));
    struct view whole = buffer_view(&frame);
    struct buffer lower = support_lower(whole);
    cr_assert_eq(support_occurrences(buffer_view(&lower), marker), 1, "marker %.*s in: %.*s",
                 VIEW_PRINT(marker), VIEW_PRINT(whole));
    cr_assert(lower.length > marker.length + 1 &&
              memcmp(lower.data + lower.length - marker.length - 1, marker.at, marker.length) == 0);
    cr_assert_eq(support_occurrences(whole, VIEW("\n")), 1);
    cr_assert_eq(support_occurrences(whole, VIEW("\r")), 0);
    buffer_add_view(&wanted, text);
    make_spaces(&wanted);
    check_inserted_only(view_make(whole.at, whole.length - marker.length - 2), buffer_view(&wanted));
    buffer_free(&frame);
    buffer_free(&wanted);
    buffer_free(&lower);
}

Test(frame, a_marker_in_a_text_in_any_case_never_ends_its_frame)
{
    struct random r = {20181010};
    for (int round = 0; round < ROUNDS; round++) {
        struct view marker = view_of(markers[round % MARKERS]);
        struct buffer text = BUFFER(1 << 16);
        support_nasty_text(&r, marker, &text);
        check_text_frame(buffer_view(&text), marker);
        buffer_free(&text);
    }
}

Test(frame, texts_are_framed_exactly_as_promised)
{
    const struct {
        const char *text, *frame;
    } cases[] = {
        {"", " __end\n"},
        {"hello", "hello __end\n"},
        {"a\r\nb\nc", "a  b c __end\n"},
        {"x__END", "x_\xE2\x81\xA0_END __end\n"},
        {"___end", "__\xE2\x81\xA0_end __end\n"},
        {"a\xE2\x80\xA8"
         "b\x0B\x0C\xC2\x85",
         "a\xE2\x80\xA8"
         "b\x0B\x0C\xC2\x85 __end\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer frame = BUFFER(1000);
        frame_write_text(&frame, view_of(cases[i].text), VIEW("__end"));
        cr_assert(view_is(buffer_view(&frame), cases[i].frame), "case %zu", i);
        buffer_free(&frame);
    }
}

static void check_json(struct view text, struct view marker)
{
    struct buffer json = BUFFER(1 << 20), frame = BUFFER(1 << 20);
    buffer_add_text(&json, "{\"n\":-1.5e+8,\"t\":true,\"f\":false,\"z\":null,\"text\":");
    json_add_string(&json, text);
    buffer_add_text(&json, "}");
    frame_escape_json(&frame, buffer_view(&json), marker);
    struct buffer lower = support_lower(buffer_view(&frame));
    cr_assert_eq(support_occurrences(buffer_view(&lower), marker), 0, "marker %.*s in: %.*s",
                 VIEW_PRINT(marker), VIEW_PRINT(buffer_view(&frame)));
    cJSON *tree = cJSON_ParseWithLength(frame.data, frame.length);
    cr_assert(tree, "still JSON: %.*s", VIEW_PRINT(buffer_view(&frame)));
    cr_assert(view_equal(json_text(tree, "text"), text), "the value is the same");
    cJSON_Delete(tree);
    buffer_free(&json);
    buffer_free(&frame);
    buffer_free(&lower);
}

Test(frame, a_marker_in_a_json_string_is_escaped_and_the_value_stays)
{
    struct random r = {42};
    for (int round = 0; round < ROUNDS; round++) {
        struct view marker = view_of(markers[round % MARKERS]);
        if (!frame_marker_escapable(marker)) {
            continue;
        }
        struct buffer text = BUFFER(1 << 16);
        support_nasty_text(&r, marker, &text);
        check_json(buffer_view(&text), marker);
        buffer_free(&text);
    }
    check_json(VIEW("8xxxxxx8X8x"), VIEW("8x"));
    check_json(VIEW("u0078xxxu0078xx"), VIEW("u0078x"));
}

Test(frame, markers_that_json_itself_can_look_like_are_known)
{
    cr_assert(frame_marker_escapable(VIEW("__end")));
    cr_assert(!frame_marker_escapable(VIEW("true")));
    cr_assert(!frame_marker_escapable(VIEW("--end--")));
    cr_assert(!frame_marker_escapable(VIEW("k\\")));
    cr_assert(!frame_marker_escapable(VIEW("k\"")));
}

static struct buffer make_frame(uint64_t sequence, struct view payload)
{
    struct buffer b = BUFFER(1 << 20);
    frame_write_head(&b, &(struct frame_head){sequence, payload.length, frame_checksum(sequence, payload)});
    buffer_add_view(&b, payload);
    frame_write_end(&b, VIEW("__end"));
    return b;
}

Test(frame, a_numbered_frame_is_read_back_and_waits_for_its_last_byte)
{
    struct buffer b = make_frame(UINT64_MAX, VIEW("{\"v\":1}"));
    struct frame_head head;
    struct view payload;
    size_t taken;
    struct err e;
    for (size_t n = 0; n < b.length; n++) {
        cr_assert_eq(frame_parse(view_make(b.data, n), VIEW("__end"), &head, &payload, &taken, &e), 0,
                     "%zu bytes", n);
    }
    cr_assert_eq(frame_parse(buffer_view(&b), VIEW("__end"), &head, &payload, &taken, &e), 1);
    cr_assert_eq(taken, b.length);
    cr_assert_eq(head.sequence, UINT64_MAX);
    cr_assert(view_is(payload, "{\"v\":1}"));
    buffer_free(&b);
}

Test(frame, no_changed_bit_of_a_numbered_frame_gives_a_frame)
{
    struct buffer b = make_frame(1234, VIEW("{\"v\":1,\"text\":\"abc\"}"));
    for (size_t bit = 0; bit < b.length * 8; bit++) {
        struct frame_head head;
        struct view payload;
        size_t taken;
        struct err e;
        b.data[bit / 8] ^= (char)(1 << bit % 8);
        int found = frame_parse(buffer_view(&b), VIEW("__end"), &head, &payload, &taken, &e);
        bool hex_case = found == 1; /* a checksum's digit in upper case is the same digit */
        cr_assert(found <= 0 || (hex_case && head.sequence == 1234 && taken == b.length), "bit %zu", bit);
        b.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    buffer_free(&b);
}

Test(frame, a_length_over_the_limit_is_refused_at_once)
{
    struct frame_head head;
    struct err e;
    cr_assert_eq(frame_parse_head(VIEW("1 4194305 00000000"), &head, &e), -1);
    cr_assert_eq(frame_parse_head(VIEW("1 4194304 00000000"), &head, &e), 0);
    cr_assert_eq(frame_parse_head(VIEW("0 1 00000000"), &head, &e), -1);
    cr_assert_eq(frame_parse_head(VIEW("1 0 00000000"), &head, &e), -1);
    cr_assert_eq(frame_parse_head(VIEW("1 1 0000000"), &head, &e), -1);
    cr_assert_eq(frame_parse_head(VIEW("1 1 00000000 "), &head, &e), -1);
    cr_assert_eq(frame_parse_head(VIEW("99999999999999999999 1 00000000"), &head, &e), -1);
}

Test(frame, consumer_names_are_bounded)
{
    cr_assert(frame_consumer_name(VIEW("etl")));
    cr_assert(frame_consumer_name(VIEW("A-z_0.9")));
    cr_assert(!frame_consumer_name(VIEW("")));
    cr_assert(!frame_consumer_name(VIEW("a b")));
    cr_assert(!frame_consumer_name(VIEW("a/b")));
    cr_assert(!frame_consumer_name(VIEW("0123456789012345678901234567890123456789012345678901234567890123")));
}
