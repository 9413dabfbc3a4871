/* A source that gets another configuration: v1.1 opens the new stream beside the old one. Waits are only
 * checked from below; that something is not done is shown by ladders of an hour.
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "tests/ingest/support/life.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEA(n)                                                                                               \
    "{\"id_str\":\"10501186211989217" n "\",\"text\":\"tea " n "\",\"user\":{\"id_str\":\"7\"}}\r\n"
#define KEEP_ALIVE "\r\n"
#define EVICTED                                                                                              \
    {SERVER_CHUNK,                                                                                           \
     "{\"disconnect\":{\"code\":7,\"stream_name\":\"s\",\"reason\":\"the account connected again\"}}\r\n",   \
     0},                                                                                                     \
        {SERVER_SAY, LAST_CHUNK, 0},                                                                         \
    {                                                                                                        \
        SERVER_END, NULL, 0                                                                                  \
    }
/* However often the others are told to go on. */
#define FOR_EVER                                                                                             \
    {SERVER_HOLD, NULL, 0}, {SERVER_HOLD, NULL, 0}, {SERVER_HOLD, NULL, 0},                                  \
    {                                                                                                        \
        SERVER_HOLD, NULL, 0                                                                                 \
    }
#define REFUSE(status)                                                                                       \
    {SERVER_SAY, "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n", 0},                                     \
    {                                                                                                        \
        SERVER_END, NULL, 0                                                                                  \
    }

/* The first stream, until it is told to go on; then evicted as by a server that knows one per account. */
static const struct server_step first[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                           {SERVER_CHUNK, TEA("01"), 0},
                                           {SERVER_HOLD, NULL, 0},
                                           {SERVER_CHUNK, TEA("02"), 0},
                                           EVICTED};
static const struct server_step second[] = {
    {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TEA("03"), 0}, FOR_EVER};
static const struct server_step third[] = {
    {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TEA("04"), 0}, FOR_EVER};
/* Its head waits until it is told. */
static const struct server_step slow[] = {
    {SERVER_HOLD, NULL, 0}, {SERVER_SAY, STREAM_HEAD, 0}, {SERVER_CHUNK, TEA("03"), 0}, FOR_EVER};
static const struct server_step not_acceptable[] = {REFUSE("406 Not Acceptable")};
static const struct server_step unauthorized[] = {REFUSE("401 Unauthorized")};
static const struct server_step calm_down[] = {REFUSE("420 Rate Limited")};
static const struct server_step unavailable[] = {REFUSE("503 Service Unavailable")};

TestSuite(source_change, .timeout = 60);

Test(source_change, the_new_stream_is_opened_beside_the_old_one_and_nothing_is_missed)
{
    static const struct server_step quiet[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                               {SERVER_HOLD, NULL, 0},
                                               {SERVER_CHUNK, KEEP_ALIVE, 0},
                                               {SERVER_CHUNK, TEA("03"), 0},
                                               FOR_EVER};
    static const struct server_step old[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, TEA("01"), 0},
                                             {SERVER_HOLD, NULL, 0},
                                             {SERVER_CHUNK, TEA("02"), 0},
                                             {SERVER_HOLD, NULL, 0},
                                             {SERVER_CHUNK, TEA("05"), 0},
                                             FOR_EVER};
    struct life f;
    life_prepare(&f);
    server_add(f.server, old);
    server_add(f.server, quiet);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    int64_t began = clock_wall_ms();
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    life_rest(&f, 100);
    cr_expect(eq(sz, server_open(f.server), 2), "an answer alone does not end the old stream");
    cr_expect(eq(str, life_versions(&f), "tea "));
    server_release(f.server); /* 02 by the old one, keep-alive and 03 by the new one */
    RUN_UNTIL(&f, f.posts == 3);
    cr_expect(eq(str, life_versions(&f), "tea coffee "));
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 4); /* 05: what was under way by the old one */
    RUN_UNTIL(&f, server_open(f.server) == 1);
    cr_expect(f.seen[1] == 1 && f.seen[2] == 1 && f.seen[3] == 1 && f.seen[5] == 1 &&
              life_asked_for(&f, 1, 1));
    cr_expect(eq(str, life_gaps(&f), "reload:0 "));
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    cr_expect(eq(u64, source_count(f.source).connects, 2));
    cr_expect(not(source_uses(f.source, &f.settings[0].common)));
    cr_expect(source_uses(f.source, &f.settings[1].common));
    int64_t lasted = clock_wall_ms() - began;
    life_end(&f);
    cr_expect(f.counted >= lasted, "heard all the time: %lld of %lld ms", (long long)f.counted,
              (long long)lasted);
    life_finish(&f);
}

Test(source_change, an_old_stream_that_the_server_ends_for_the_new_one_is_no_failure)
{
    struct life f;
    life_prepare(&f);
    server_add(f.server, first);
    server_add(f.server, slow);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    server_release(f.server); /* both: the old one ends, the new one begins; ladders are an hour */
    RUN_UNTIL(&f, f.posts == 3);
    cr_expect(eq(sz, life_requests(&f), 2));
    cr_expect(eq(int, strncmp(life_gaps(&f), "reload", 6), 0));
    cr_expect(eq(ptr, strchr(life_gaps(&f), ' '), strrchr(life_gaps(&f), ' ')), "one row: %s", life_gaps(&f));
    cr_expect(eq(str, life_versions(&f), "tea coffee "));
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, an_answer_holds_when_the_old_stream_ends_before_anything_has_come_by_the_new_one)
{
    static const struct server_step silent[] = {{SERVER_SAY, STREAM_HEAD, 0}, FOR_EVER};
    struct life f;
    life_prepare(&f);
    server_add(f.server, first);
    server_add(f.server, silent);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    life_rest(&f, 100);
    cr_expect(eq(str, life_versions(&f), "tea "));
    server_release(f.server);
    RUN_UNTIL(&f, server_open(f.server) == 1 && strstr(life_versions(&f), "coffee"));
    cr_expect(eq(sz, f.posts, 2));
    cr_expect(eq(str, life_gaps(&f), "reload:0 "));
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_refused_one_leaves_the_old_stream_alone_and_is_tried_again_by_its_ladder)
{
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_FINAL].first = 60;
    f.backoff.ladders[BACKOFF_HTTP].first = 1; /* what any answer above 200 costs */
    server_add(f.server, first);
    server_add(f.server, not_acceptable);
    server_add(f.server, not_acceptable);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 3);
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    cr_expect(eq(str, life_versions(&f), "tea "));
    cr_expect(life_wait_before(&f, 2) >= 59);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(life_wait_before(&f, 3) >= 119);
    cr_expect(life_asked_for(&f, 3, 1));
    cr_expect(eq(str, life_gaps(&f), "reload:0 "), "what was refused is no gap");
    cr_expect(eq(sz, f.finals, 0));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, credentials_that_never_streamed_are_given_up_at_the_third_refusal)
{
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 20;
    f.settings[1].access_token = "another token";
    f.settings[2].access_token = "a third token";
    server_add(f.server, first);
    server_add(f.server, unauthorized);
    server_add(f.server, unauthorized);
    server_add(f.server, unauthorized);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 4);
    life_rest(&f, 300);
    cr_expect(eq(sz, life_requests(&f), 4));
    cr_expect(life_wait_before(&f, 3) >= 39);
    cr_expect(eq(sz, f.finals, 0));
    cr_expect(eq(int, source_state(f.source), SOURCE_STREAMING));
    cr_expect(not(source_uses(f.source, &f.settings[1].common)));
    life_change(&f, 2);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(ne(ptr, strstr(server_request(f.server, 4)->head, "a%20third%20token"), NULL));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_server_that_refuses_the_new_one_and_has_ended_the_old_one_is_not_asked_too_soon)
{
    static const struct server_step late[] = {
        {SERVER_HOLD, NULL, 0}, {SERVER_WAIT, NULL, 50}, REFUSE("420 Rate Limited")};
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = 80;
    f.backoff.calm = 0; /* any stream has earned a reconnection at once */
    server_add(f.server, first);
    server_add(f.server, late);
    server_add(f.server, second);
    server_add(f.server, third);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 3);
    cr_expect(life_asked_for(&f, 2, 0), "what streamed before is asked for again");
    cr_expect(life_wait_before(&f, 2) >= 79);
    cr_expect(eq(int, strncmp(life_gaps(&f), "reload", 6), 0));
    cr_expect(ne(ptr, strstr(life_gaps(&f), " rate_limit "), NULL), "%s", life_gaps(&f));
    RUN_UNTIL(&f, f.posts == 4);
    cr_expect(life_asked_for(&f, 3, 1), "and then the new one beside it");
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_refusal_holds_up_the_old_stream_also_when_it_is_lost_later)
{
    static const struct server_step cut[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, TEA("01"), 0},
                                             {SERVER_HOLD, NULL, 0},
                                             {SERVER_RESET, NULL, 0}};
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = 150;
    f.backoff.calm = 0;
    server_add(f.server, cut);
    server_add(f.server, calm_down);
    server_add(f.server, second);
    server_add(f.server, third);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    life_rest(&f, 20);
    server_release(f.server);
    RUN_UNTIL(&f, life_requests(&f) == 3);
    cr_expect(life_wait_before(&f, 2) >= 149);
    cr_expect(life_asked_for(&f, 2, 0));
    RUN_UNTIL(&f, f.posts == 3);
    life_end(&f);
    life_finish(&f);
}

Test(source_change, changes_in_short_sequence_are_one_connection_for_the_last_of_them)
{
    struct life f;
    life_prepare(&f);
    f.timing.change_settle = 80;
    server_add(f.server, first);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    for (int i = 1; i < CONFIGURATIONS; i++) {
        life_change(&f, i);
        life_rest(&f, 30);
    }
    RUN_UNTIL(&f, f.posts == 2);
    life_rest(&f, 150);
    cr_expect(eq(sz, life_requests(&f), 2));
    cr_expect(life_asked_for(&f, 1, 3));
    cr_expect(not(source_uses(f.source, &f.settings[1].common)));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, changes_are_a_while_apart_and_one_that_comes_meanwhile_is_not_lost)
{
    struct life f;
    life_prepare(&f);
    f.timing.change_apart = HOUR;
    f.settings[0].common.change_interval = 200; /* the configuration's goes first */
    f.settings[1].common.change_interval = 200;
    server_add(f.server, first);
    server_add(f.server, slow);
    server_add(f.server, third);
    int64_t began = clock_steady_ms();
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    cr_expect(server_request(f.server, 1)->at_ms - began >= 200);
    life_change(&f, 2); /* while the first one is being asked for */
    life_rest(&f, 50);
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 4);
    cr_expect(server_request(f.server, 2)->at_ms - began >= 400);
    cr_expect(life_asked_for(&f, 2, 2));
    cr_expect(eq(str, life_versions(&f), "tea coffee milk "));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, what_is_the_same_is_not_touched_and_what_is_taken_back_is_not_asked_for)
{
    struct life f;
    life_prepare(&f);
    f.timing.change_settle = 50;
    f.keywords[1] = f.keywords[0];
    f.keywords[1].place.line = 17;
    server_add(f.server, first);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    life_rest(&f, 120);
    cr_expect(source_uses(f.source, &f.settings[0].common));
    cr_expect(not(source_uses(f.source, &f.settings[1].common)));
    life_change(&f, 2);
    life_change(&f, 0);
    life_rest(&f, 120);
    cr_expect(eq(sz, life_requests(&f), 1));
    cr_expect(eq(str, life_gaps(&f), ""));
    cr_expect(eq(str, life_versions(&f), "tea "));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_waiting_source_keeps_its_time_and_asks_for_the_new_list_then)
{
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_RATE_LIMIT].first = 200;
    server_add(f.server, calm_down);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_WAITING);
    life_change(&f, 1);
    life_change(&f, 2);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(eq(sz, life_requests(&f), 2));
    cr_expect(life_wait_before(&f, 1) >= 199);
    cr_expect(life_asked_for(&f, 1, 2));
    cr_expect(eq(str, life_versions(&f), "milk "));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, other_credentials_do_not_wait_for_the_ladder_of_the_old_ones)
{
    struct life f;
    life_prepare(&f);
    f.settings[1].access_token = "another token";
    server_add(f.server, calm_down);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_WAITING); /* for an hour */
    life_change(&f, 1);
    RUN_UNTIL(&f, f.posts == 1);
    life_end(&f);
    life_finish(&f);
}

Test(source_change, who_is_down_is_asked_at_once_also_without_a_change)
{
    struct life f;
    life_prepare(&f);
    f.backoff.calm = 0;
    server_add(f.server, first);
    server_add(f.server, unauthorized);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    server_release(f.server); /* evicted: the HTTP ladder, which is an hour */
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_WAITING);
    life_end(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 1;
    unlink(f.path);
    life_begin(&f, 0);
    RUN_UNTIL(&f, source_state(f.source) == SOURCE_DOWN);
    life_change(&f, 0);
    RUN_UNTIL(&f, f.posts == 3);
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_refusal_that_somebody_says_is_mended_is_looked_at_again_before_its_ladder_says)
{
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 1;
    f.timing.change_apart = 100;
    server_add(f.server, first);
    server_add(f.server, not_acceptable); /* next attempt in an hour */
    server_add(f.server, second);
    int64_t began = clock_steady_ms();
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    while (f.posts < 2) { /* it may have to be told more than once: the answer is on its way */
        life_change(&f, 1);
        life_rest(&f, 20);
    }
    cr_expect(server_request(f.server, 2)->at_ms - began >= 200);
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_connecting_source_is_let_answer_and_changes_then)
{
    struct life f;
    life_prepare(&f);
    server_add(f.server, slow);
    server_add(f.server, third);
    life_begin(&f, 0);
    RUN_UNTIL(&f, life_requests(&f) == 1);
    life_change(&f, 1);
    life_rest(&f, 50);
    cr_expect(eq(sz, life_requests(&f), 1));
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(eq(str, life_versions(&f), "tea coffee "));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_post_that_comes_by_both_streams_is_published_once)
{
    static const struct server_step both[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                              {SERVER_CHUNK, TEA("03") TEA("06"), 0},
                                              {SERVER_HOLD, NULL, 0},
                                              {SERVER_CHUNK, TEA("02") TEA("07"), 0},
                                              FOR_EVER};
    static const struct server_step old[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                             {SERVER_CHUNK, TEA("01"), 0},
                                             {SERVER_HOLD, NULL, 0},
                                             {SERVER_CHUNK, TEA("06") TEA("02"), 0},
                                             FOR_EVER};
    struct life f;
    life_prepare(&f);
    f.timing.change_under_way = HOUR;
    server_add(f.server, old);
    server_add(f.server, both);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, f.posts == 3);
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 5);
    life_rest(&f, 50);
    cr_expect(f.seen[1] == 1 && f.seen[2] == 1 && f.seen[3] == 1 && f.seen[6] == 1 && f.seen[7] == 1);
    struct source_counts counts = source_count(f.source);
    cr_expect(eq(u64, counts.repeated, 2));
    cr_expect(eq(u64, counts.received, counts.posts + counts.repeated));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, a_page_in_place_of_the_new_stream_does_not_end_the_old_one)
{
    static const struct server_step page[] = {{SERVER_SAY, STREAM_HEAD, 0},
                                              {SERVER_CHUNK, "<p>\r\nno stream\r\n</p>\r\n", 0},
                                              {SERVER_SAY, LAST_CHUNK, 0},
                                              {SERVER_END, NULL, 0}};
    static const struct server_step farewell[] = {{SERVER_SAY, STREAM_HEAD, 0}, EVICTED};
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = 60;
    server_add(f.server, first);
    server_add(f.server, page);
    server_add(f.server, farewell);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 3);
    cr_expect(life_wait_before(&f, 2) >= 59);
    cr_expect(eq(str, life_versions(&f), "tea "));
    RUN_UNTIL(&f, f.posts == 2);
    cr_expect(life_wait_before(&f, 3) >= 119);
    cr_expect(eq(str, life_gaps(&f), "reload:0 "));
    life_end(&f);
    life_finish(&f);
}

Test(source_change, when_both_are_lost_they_are_tried_by_turns)
{
    struct life f;
    life_prepare(&f);
    f.backoff.ladders[BACKOFF_HTTP].first = f.backoff.ladders[BACKOFF_HTTP].most = 20;
    f.backoff.calm = 0;
    server_add(f.server, first);
    server_add(f.server, unavailable); /* the new one */
    server_add(f.server, unavailable); /* the old one, once it is lost */
    server_add(f.server, unavailable); /* by turns */
    server_add(f.server, unavailable);
    server_add(f.server, second);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    server_release(f.server);
    RUN_UNTIL(&f, f.posts == 3);
    bool asked[2] = {false, false};
    for (size_t i = 2; i < life_requests(&f); i++) {
        asked[life_asked_for(&f, i, 1)] = true;
        cr_expect(life_wait_before(&f, i) >= 19);
    }
    cr_expect(asked[0] && asked[1]);
    life_end(&f);
    life_finish(&f);
}

/* Posts `from` to `to` - 1, which must fit into 64 KiB; the text belongs to the caller. */
static char *numbered(size_t from, size_t to)
{
    struct buffer b = BUFFER(1 << 20);
    for (size_t n = from; n < to; n++) {
        buffer_print(&b, "{\"id_str\":\"%llu\",\"text\":\"tea %zu\",\"user\":{\"id_str\":\"7\"}}\r\n",
                     1050118621198921728ull + n, n);
    }
    char *text = view_copy(buffer_view(&b));
    buffer_free(&b);
    return text;
}

Test(source_change, nothing_is_lost_or_doubled_while_the_caller_takes_little)
{
    struct life f;
    life_prepare(&f);
    char *a = numbered(0, 500), *b = numbered(500, 900), *c = numbered(400, 800), *d = numbered(800, 1300);
    const struct server_step old[] = {
        {SERVER_SAY, GZIP_HEAD, 0}, {SERVER_GZIP, a, 0},         {SERVER_HOLD, NULL, 0}, {SERVER_GZIP, b, 0},
        {SERVER_GZIP, "", 0},       {SERVER_SAY, LAST_CHUNK, 0}, {SERVER_END, NULL, 0}};
    const struct server_step new[] = {
        {SERVER_SAY, GZIP_HEAD, 0}, {SERVER_GZIP, c, 0}, {SERVER_GZIP, d, 0}, FOR_EVER};
    server_add(f.server, old);
    server_add(f.server, new);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 500);
    life_change(&f, 1);
    RUN_UNTIL(&f, life_requests(&f) == 2);
    server_release(f.server);
    for (unsigned turn = 0; f.posts < 1400; turn++) { /* 400 to 499 twice: they had come before the change */
        f.refuse = turn % 3 == 0 ? 1 : f.refuse;
        if (turn % 7 == 0) {
            source_pause(f.source);
        }
        uv_run(&f.loop, UV_RUN_NOWAIT);
        if (turn % 2) {
            source_resume(f.source);
        }
    }
    f.refuse = 0;
    source_resume(f.source);
    RUN_UNTIL(&f, server_open(f.server) == 1);
    for (size_t i = 0; i < 1300; i++) {
        cr_assert(eq(int, f.seen[i], 1 + (i >= 400 && i < 500)), "post %zu", i);
    }
    struct source_counts counts = source_count(f.source);
    cr_expect(eq(u64, counts.received, counts.posts + counts.events + counts.repeated));
    life_end(&f);
    life_finish(&f);
    free(a);
    free(b);
    free(c);
    free(d);
}

Test(source_change, a_stop_at_any_moment_of_it_leaves_nothing_on_the_loop)
{
    for (int moment = 0; moment < 5; moment++) {
        struct life f;
        life_prepare(&f);
        f.timing.change_settle = moment == 0 ? HOUR : 0;
        server_add(f.server, first);
        server_add(f.server, moment < 3 ? slow : moment == 3 ? not_acceptable : second);
        life_begin(&f, 0);
        RUN_UNTIL(&f, f.posts == 1);
        life_change(&f, 1);
        if (moment > 0) {
            RUN_UNTIL(&f, life_requests(&f) == 2);
        }
        if (moment == 2) {
            life_change(&f, 2);
        } else if (moment == 3) {
            life_rest(&f, 50);
        } else if (moment == 4) {
            RUN_UNTIL(&f, f.posts == 2);
        }
        life_end(&f);
        life_finish(&f);
    }
}

Test(source_change, another_type_or_one_that_has_not_begun_is_opened_anew)
{
    struct life f;
    struct err e;
    life_prepare(&f);
    f.settings[1].common.type = "x-v2";
    struct source *idle =
        source_open(&f.loop, &f.settings[0].common, &f.options, &(struct source_events){0}, &e);
    cr_expect(not(source_change(idle, &f.settings[2].common)));
    source_stop(idle, "stopped", NULL, NULL);
    server_add(f.server, first);
    life_begin(&f, 0);
    RUN_UNTIL(&f, f.posts == 1);
    cr_expect(not(source_change(f.source, &f.settings[1].common)));
    life_end(&f);
    life_finish(&f);
}
