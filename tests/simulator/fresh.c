/* New ids and times in recorded bytes: each place is found, nothing else is touched. */
#include "simulator/fresh.h"

#include "simulator/playlist.h"

#include <criterion/criterion.h>

static uint64_t plus_one(void *context, uint64_t id)
{
    (void)context;
    return id + 1;
}

static void expect_written(const char *from, const char *to)
{
    struct arena *memory = arena_new(1 << 20);
    struct fresh_places places;
    struct buffer out = BUFFER(1 << 20);
    cr_assert_eq(fresh_find(view_of(from), memory, &places), 0);
    /* 2020-01-01T00:00:00.123Z */
    fresh_write(view_of(from), &places, 1212162563104505856u, 1577836800123, plus_one, NULL, &out);
    cr_expect_str_eq(buffer_string(&out), to);
    buffer_free(&out);
    arena_free(memory);
}

Test(fresh, rewrites_ids_and_times_of_tweets_and_nothing_else)
{
    expect_written(
        "{\"created_at\":\"Wed Oct 10 20:19:24 +0000 2018\",\"id\":1050118621198921728,\"id_str\":"
        "\"1050118621198921728\",\"text\":\"\\\"id\\\":1050118621198921728\",\"in_reply_to_status_id\":null,"
        "\"user\":{\"id\":1050118621198921728,\"created_at\":\"Wed May 23 06:01:13 +0000 2007\"},"
        "\"entities\":{\"media\":[{\"id\":1050118621198921728}]},\"timestamp_ms\":\"1539202764211\"}",
        "{\"created_at\":\"Wed Jan 01 00:00:00 +0000 2020\",\"id\":1212162563104505856,\"id_str\":"
        "\"1212162563104505856\",\"text\":\"\\\"id\\\":1050118621198921728\",\"in_reply_to_status_id\":null,"
        "\"user\":{\"id\":1050118621198921728,\"created_at\":\"Wed May 23 06:01:13 +0000 2007\"},"
        "\"entities\":{\"media\":[{\"id\":1050118621198921728}]},\"timestamp_ms\":\"1577836800123\"}");
    expect_written(
        "{\"id_str\":\"1050118621198921728\",\"in_reply_to_status_id_str\":\"1050118621198921730\","
        "\"retweeted_status\":{\"created_at\":\"x\",\"id\":1050118621198921700}}",
        "{\"id_str\":\"1212162563104505856\",\"in_reply_to_status_id_str\":\"1050118621198921731\","
        "\"retweeted_status\":{\"created_at\":\"Wed Oct 10 20:19:24 +0000 "
        "2018\",\"id\":1050118621198921701}}");
    expect_written("{\"delete\":{\"status\":{\"id\":1050118621198921728,\"user_id\":1050118621198921728},"
                   "\"timestamp_ms\":\"1\"}}",
                   "{\"delete\":{\"status\":{\"id\":1050118621198921729,\"user_id\":1050118621198921728},"
                   "\"timestamp_ms\":\"1577836800123\"}}");
    expect_written("{\"limit\":{\"track\":12,\"timestamp_ms\":\"1\"}}",
                   "{\"limit\":{\"track\":12,\"timestamp_ms\":\"1577836800123\"}}");
}

Test(fresh, old_ids_and_what_is_no_json_stay)
{
    expect_written("{\"id\":20,\"id_str\":\"20\",\"text\":\"\"}",
                   "{\"id\":20,\"id_str\":\"20\",\"text\":\"\"}");
    static const char *const broken[] = {"",     "{",     "}", "not json", "{\"id\":1050118621198921728",
                                         "\"\\", "{\"a\\"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        expect_written(broken[i], broken[i]);
    }
}

Test(fresh, a_play_list_reads_what_json_parsers_fail_on)
{
    struct err e;
    struct buffer lines = BUFFER(1 << 20);
    buffer_add_text(&lines, "\r\n{\"text\":\"lone \\ud83d coffee\",\"user\":{}}\r\n\n"
                            "{\"text\":\"nul \\u0000 tea\",\"user\":{}}\nnot json\n{\"delete\":{}}");
    struct playlist *list = playlist_from(&lines, NULL, &e);
    cr_assert(list);
    cr_expect_eq(playlist_count(list), 4);
    cr_expect_eq(playlist_tweets(list), 2);
    cr_expect_eq(playlist_broken(list), 1);
    int status;
    struct track *track = track_compile("coffee,tea", &status);
    cr_expect(track_match(track, &playlist_at(list, 0)->facts.tokens));
    cr_expect(track_match(track, &playlist_at(list, 1)->facts.tokens), "what follows a NUL is seen");
    cr_expect(view_is(playlist_at(list, 0)->text, "{\"text\":\"lone \\ud83d coffee\",\"user\":{}}"),
              "bytes stay");
    track_free(track);
    playlist_free(list);
    buffer_free(&lines);
}
