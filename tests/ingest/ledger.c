/* The ledger of a source: from lives, kills and clocks to rows of roost.gaps. */
#include "ingest/ledger.h"
#include "ingest/ledger_file.h"

#include "base/clock.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ledger_moment at(int64_t second, const char *boot)
{
    struct ledger_moment m = {.wall = 1700000000000 + second * 1000, .steady = 5000 + second * 1000};
    snprintf(m.boot, sizeof m.boot, "%s", boot);
    return m;
}

static int64_t second_of(int64_t wall)
{
    return (wall - 1700000000000) / 1000;
}

static void expect_row(const struct ledger_row *row, int64_t from, int64_t to, const char *cause)
{
    cr_expect(eq(i64, second_of(row->from), from));
    cr_expect(eq(i64, second_of(row->to), to));
    cr_expect(eq(str, (char *)row->cause, (char *)cause));
}

/* A source that streams since second 0. */
static struct ledger_entry streaming(void)
{
    struct ledger_entry entry = {0};
    struct ledger_row rows[LEDGER_LEGS];
    struct ledger_moment now = at(0, "a");
    cr_assert(eq(sz, ledger_streams(&entry, &now, rows), 0));
    return entry;
}

static void lost(struct ledger_entry *entry, int64_t second, const char *cause)
{
    struct ledger_moment from = at(second, "a");
    ledger_lost(entry, &from, cause, "why");
}

static void resume(struct ledger_entry *entry, int64_t second)
{
    struct ledger_moment now = at(second, "a");
    if (ledger_resume(entry, &now)) {
        entry->alive = now;
    }
}

static void stop(struct ledger_entry *entry, int64_t second, const char *cause)
{
    struct ledger_moment now = at(second, "a");
    ledger_stop(entry, &now, cause, "why");
}

static size_t streams(struct ledger_entry *entry, int64_t second, struct ledger_row *rows)
{
    struct ledger_moment now = at(second, "a");
    return ledger_streams(entry, &now, rows);
}

Test(ledger, begins_with_the_first_stream)
{
    struct ledger_entry entry = {0};
    struct ledger_row rows[LEDGER_LEGS];
    lost(&entry, 1, "network");
    stop(&entry, 2, "stopped");
    cr_expect(eq(sz, streams(&entry, 3, rows), 0));
}

Test(ledger, an_outage_lasts_from_its_first_loss_whatever_fails_next)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    lost(&entry, 10, "server");
    lost(&entry, 12, "http");
    lost(&entry, 14, "network");
    cr_assert(eq(sz, streams(&entry, 20, rows), 1));
    expect_row(&rows[0], 10, 20, "server");
    cr_expect(eq(sz, streams(&entry, 21, rows), 0));
}

Test(ledger, a_stop_and_a_reload_last_until_the_next_stream)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    stop(&entry, 10, "stopped");
    resume(&entry, 15);
    cr_assert(eq(sz, streams(&entry, 16, rows), 1));
    expect_row(&rows[0], 10, 16, "stopped");
    stop(&entry, 20, "reload");
    resume(&entry, 20);
    cr_assert(eq(sz, streams(&entry, 21, rows), 1));
    expect_row(&rows[0], 20, 21, "reload");
}

Test(ledger, a_kill_is_a_gap_from_the_last_sign_of_life_and_what_was_heard_before_is_told)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    struct ledger_moment now = at(30, "a");
    entry.alive = at(25, "a");
    cr_expect(ledger_resume(&entry, &now));
    cr_expect(eq(i64, second_of(ledger_wall(&entry.counted, &now)), 0));
    cr_expect(eq(i64, second_of(ledger_wall(&entry.alive, &now)), 25));
    cr_assert(eq(sz, streams(&entry, 31, rows), 1));
    expect_row(&rows[0], 25, 31, "killed");
}

/* What began an outage is a sign of life, too. */
Test(ledger, a_kill_right_after_a_loss_takes_nothing_from_before_it)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    entry.alive = at(5, "a");
    lost(&entry, 10, "network");
    resume(&entry, 20); /* it was killed before its next sign of life */
    cr_assert(eq(sz, streams(&entry, 21, rows), 2));
    expect_row(&rows[0], 10, 10, "network");
    expect_row(&rows[1], 10, 21, "killed");
    lost(&entry, 30, "network");
    entry.alive = at(1, "b"); /* a life in another boot */
    entry.alive.wall = at(50, "a").wall;
    struct ledger_moment now = at(60, "b");
    now.steady = at(11, "b").steady;
    ledger_resume(&entry, &now);
    cr_assert(eq(sz, ledger_streams(&entry, &now, rows), 2));
    expect_row(&rows[0], 30, 50, "network");
    expect_row(&rows[1], 50, 60, "killed");
}

Test(ledger, legs_of_one_outage_touch)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    lost(&entry, 10, "network");
    entry.alive = at(15, "a");
    resume(&entry, 40); /* it was killed */
    lost(&entry, 41, "http");
    stop(&entry, 50, "stopped");
    resume(&entry, 60);
    cr_assert(eq(sz, streams(&entry, 61, rows), 4));
    expect_row(&rows[0], 10, 15, "network");
    expect_row(&rows[1], 15, 41, "killed");
    expect_row(&rows[2], 41, 50, "http");
    expect_row(&rows[3], 50, 61, "stopped");
}

/* A stop of a week is not blamed on the kill before it, nor a kill on the stop. */
Test(ledger, stops_and_kills_before_any_failed_attempt_are_told_apart)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    entry.alive = at(10, "a");
    resume(&entry, 20); /* it was killed */
    stop(&entry, 30, "stopped");
    resume(&entry, 40);
    entry.alive = at(45, "a");
    resume(&entry, 50); /* and again */
    cr_assert(eq(sz, streams(&entry, 51, rows), 3));
    expect_row(&rows[0], 10, 30, "killed");
    expect_row(&rows[1], 30, 45, "stopped");
    expect_row(&rows[2], 45, 51, "killed");
}

Test(ledger, a_crash_loop_before_any_failed_attempt_is_one_leg)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    for (int i = 0; i < 3 * LEDGER_LEGS; i++) {
        entry.alive = at(10 + i, "a");
        resume(&entry, 11 + i);
    }
    cr_assert(eq(sz, streams(&entry, 100, rows), 1));
    expect_row(&rows[0], 10, 100, "killed");
}

Test(ledger, more_lives_than_legs_lengthen_the_last_leg)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    for (int i = 0; i < 20; i++) {
        lost(&entry, 10 * i + 10, "network");
        stop(&entry, 10 * i + 15, "stopped");
        resume(&entry, 10 * i + 16);
    }
    cr_assert(eq(sz, streams(&entry, 500, rows), LEDGER_LEGS));
    for (int i = 0; i + 1 < LEDGER_LEGS; i++) {
        cr_expect(eq(i64, rows[i].to, rows[i + 1].from));
    }
    cr_expect(eq(i64, second_of(rows[0].from), 10));
    cr_expect(eq(i64, second_of(rows[LEDGER_LEGS - 1].to), 500));
}

Test(ledger, a_clock_that_is_set_changes_no_length_within_a_boot)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    lost(&entry, 10, "network");
    stop(&entry, 20, "stopped");
    struct ledger_moment now = at(30, "a");
    now.wall -= 3600 * 1000; /* it was an hour ahead */
    cr_assert(eq(sz, ledger_streams(&entry, &now, rows), 2));
    expect_row(&rows[0], 10 - 3600, 20 - 3600, "network");
    expect_row(&rows[1], 20 - 3600, 30 - 3600, "stopped");
}

Test(ledger, after_a_boot_the_wall_clock_counts_and_no_row_is_turned_around)
{
    struct ledger_entry entry = streaming(), ahead = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    struct ledger_moment now = at(100, "b");
    now.steady = 7;
    entry.alive = at(25, "a");
    cr_expect(ledger_resume(&entry, &now));
    cr_assert(eq(sz, ledger_streams(&entry, &now, rows), 1));
    expect_row(&rows[0], 25, 100, "killed");
    ahead.alive = at(4000, "a");
    cr_expect(ledger_resume(&ahead, &now));
    cr_assert(eq(sz, ledger_streams(&ahead, &now, rows), 1));
    expect_row(&rows[0], 100, 100, "killed");
}

Test(ledger, a_source_that_left_the_configuration_leaves_its_outage_up_to_then)
{
    struct ledger_entry entry = streaming();
    struct ledger_row rows[LEDGER_LEGS];
    struct ledger_moment now = at(100, "a");
    lost(&entry, 10, "network");
    stop(&entry, 20, "reload");
    cr_assert(eq(sz, ledger_end(&entry, &now, rows), 1));
    expect_row(&rows[0], 10, 20, "network");
    cr_expect(not(entry.begun));
    entry = streaming();
    stop(&entry, 20, "stopped");
    cr_expect(eq(sz, ledger_end(&entry, &now, rows), 0));
    entry = streaming();
    lost(&entry, 10, "network");
    entry.alive = at(15, "a"); /* killed then */
    cr_assert(eq(sz, ledger_end(&entry, &now, rows), 1));
    expect_row(&rows[0], 10, 15, "network");
}

Test(ledger, its_text_is_read_back)
{
    struct ledger_entry entry = streaming(), read;
    struct buffer text = BUFFER(1 << 16), again = BUFFER(1 << 16);
    struct err e;
    char *name;
    lost(&entry, 10, "network");
    stop(&entry, 20, "stopped");
    entry.ladder = (struct ledger_ladder){.kept = true,
                                          .climbed = {.steps = {3, 0, 2, 0, 1}, .at_once_spent = true},
                                          .from = at(12, "a"),
                                          .wait = 120 * 1000,
                                          .keys = "salt hash"};
    ledger_write(&text, "a \"name\"", &entry);
    cr_assert(eq(int, ledger_read(buffer_view(&text), &name, &read, &e), 0));
    cr_expect(eq(int, memcmp(&read.ladder.climbed, &entry.ladder.climbed, sizeof read.ladder.climbed), 0));
    cr_expect(eq(str, read.ladder.keys, "salt hash"));
    cr_expect(eq(str, name, (char *)"a \"name\""));
    buffer_reset(&again);
    ledger_write(&again, "a \"name\"", &read);
    cr_expect(view_equal(buffer_view(&text), buffer_view(&again)));
    cr_expect(eq(sz, read.leg_count, 2));
    buffer_free(&again);
    free(name);
    for (size_t n = 0; n < text.length; n++) {
        cr_expect(eq(int, ledger_read(view_make(text.data, n), &name, &read, &e), -1));
    }
    buffer_free(&text);
}

Test(ledger, what_is_left_of_a_wait_is_never_more_than_the_wait)
{
    struct ledger_ladder ladder = {.kept = true, .from = at(10, "a"), .wait = 60 * 1000};
    struct ledger_moment now = at(30, "a");
    cr_expect(eq(i64, ledger_wait_left(&ladder, &now), 40 * 1000));
    now.wall += 3600 * 1000; /* the clock is set within the boot */
    cr_expect(eq(i64, ledger_wait_left(&ladder, &now), 40 * 1000));
    now = at(100, "a");
    cr_expect(eq(i64, ledger_wait_left(&ladder, &now), 0));
    now = at(30, "b"); /* another boot: by the wall clocks */
    cr_expect(eq(i64, ledger_wait_left(&ladder, &now), 40 * 1000));
    now = at(-5000, "b");
    cr_expect(eq(i64, ledger_wait_left(&ladder, &now), 60 * 1000));
    ladder.kept = false;
    cr_expect(eq(i64, ledger_wait_left(&ladder, &now), 0));
}

Test(ledger, a_ladder_that_cannot_be_is_not_believed)
{
    static const char *const wrong[] = {"\"steps\":[1,2,3,4]", "\"steps\":[1,2,3,4,5,6]",
                                        "\"steps\":[-1,0,0,0,0]", "\"steps\":[1e300,0,0,0,0]",
                                        "\"steps\":\"x\""};
    struct ledger_entry entry = streaming(), read;
    struct buffer text = BUFFER(1 << 16);
    struct err e;
    char *name;
    entry.ladder.kept = true;
    ledger_write(&text, "n", &entry);
    const char *whole = buffer_string(&text), *steps = strstr(whole, "\"steps\":[0,0,0,0,0]");
    cr_assert(ne(ptr, (void *)steps, NULL));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buffer bad = BUFFER(1 << 16);
        buffer_print(&bad, "%.*s%s%s", (int)(steps - whole), whole, wrong[i],
                     steps + strlen("\"steps\":[0,0,0,0,0]"));
        cr_expect(eq(int, ledger_read(buffer_view(&bad), &name, &read, &e), -1));
        buffer_free(&bad);
    }
    buffer_free(&text);
}

/* --- the file --- */

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static void close_file(uv_loop_t *loop, struct ledger *l)
{
    bool closed = false;
    ledger_close(l, on_closed, &closed);
    uv_run(loop, UV_RUN_DEFAULT);
    cr_expect(closed);
}

static bool count_row(void *user, const char *name, const struct ledger_row *row)
{
    cr_expect(eq(str, (char *)name, (char *)"gone"));
    cr_expect(eq(str, (char *)row->cause, (char *)"network"));
    ++*(int *)user;
    return true;
}

Test(ledger, the_file_keeps_entries_over_lives_and_forgets_those_nobody_took)
{
    uv_loop_t loop;
    char folder[] = "/tmp/roost-test-XXXXXX", path[64];
    struct err e;
    struct ledger_row rows[LEDGER_LEGS];
    uv_loop_init(&loop);
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    snprintf(path, sizeof path, "%s/sources", folder);

    struct ledger *l = ledger_open(&loop, path, &e);
    cr_assert(ne(ptr, l, NULL));
    cr_expect(eq(sz, strlen(ledger_boot(l)), 36));
    const char *const names[] = {"kept", "gone", "never"};
    for (int i = 0; i < 3; i++) {
        struct ledger_entry *entry = ledger_take(l, names[i]);
        struct ledger_moment now = ledger_now(ledger_boot(l));
        ledger_resume(entry, &now);
        if (i < 2) {
            ledger_streams(entry, &now, rows);
            ledger_lost(entry, &now, "network", "why");
        }
        ledger_changed(l);
    }
    close_file(&loop, l); /* as if killed: nobody gave anything back */

    l = ledger_open(&loop, path, &e);
    struct ledger_entry *kept = ledger_take(l, "kept");
    cr_expect(kept->begun && kept->running);
    cr_expect(eq(sz, kept->leg_count, 1));
    int ended = 0;
    ledger_forget(l, count_row, &ended);
    cr_expect(eq(int, ended, 1));
    cr_expect(not(ledger_take(l, "gone")->begun));
    close_file(&loop, l);

    struct err ignored;
    cr_assert(eq(int, file_replace(path, VIEW("no ledger\n"), 0640, &ignored), 0));
    l = ledger_open(&loop, path, &e);
    cr_assert(ne(ptr, l, NULL));
    cr_expect(not(ledger_take(l, "kept")->begun));
    close_file(&loop, l);
    uv_loop_close(&loop);
    unlink(path);
    rmdir(folder);
}

static bool refuse_row(void *user, const char *name, const struct ledger_row *row)
{
    (void)name;
    (void)row;
    ++*(int *)user;
    return false;
}

Test(ledger, what_was_not_taken_is_kept_over_lives_also_of_a_source_that_is_gone)
{
    uv_loop_t loop;
    char folder[] = "/tmp/roost-test-XXXXXX", path[64];
    struct err e;
    struct ledger_row rows[LEDGER_LEGS];
    uv_loop_init(&loop);
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    snprintf(path, sizeof path, "%s/sources", folder);
    struct ledger *l = ledger_open(&loop, path, &e);
    struct ledger_entry *entry = ledger_take(l, "one");
    struct ledger_moment now = ledger_now(ledger_boot(l));
    ledger_streams(entry, &now, rows);
    ledger_lost(entry, &now, "network", "why");
    ledger_heard(entry, now.wall - 5000, now.wall - 3000);
    ledger_heard(entry, now.wall - 3000, now.wall);
    entry->rows[entry->row_count++] = (struct ledger_row){
        .from = 1000, .to = 2000, .cause = "limit", .detail = "a \"b\"", .undelivered = 7};
    entry->rows[entry->row_count++] =
        (struct ledger_row){.from = 2000, .to = 3000, .cause = "server", .detail = "", .undelivered = -1};
    close_file(&loop, l);

    int refused = 0;
    for (int life = 0; life < 2; life++) {
        l = ledger_open(&loop, path, &e);
        ledger_forget(l, refuse_row, &refused);
        cr_expect(eq(int, refused, 3 * (life + 1)));
        close_file(&loop, l);
    }
    l = ledger_open(&loop, path, &e);
    entry = ledger_take(l, "one");
    cr_expect(not(entry->begun));
    cr_assert(eq(sz, entry->row_count, 3));
    cr_expect(eq(str, entry->rows[0].detail, "a \"b\""));
    cr_expect(eq(i64, entry->rows[0].undelivered, 7));
    cr_expect(eq(i64, entry->rows[0].from, 1000));
    cr_expect(eq(i64, entry->rows[1].undelivered, -1));
    cr_expect(eq(i64, entry->rows[1].to, 3000));
    cr_expect(eq(str, entry->rows[2].cause, "network"));
    close_file(&loop, l);
    uv_loop_close(&loop);
    unlink(path);
    rmdir(folder);
}

Test(ledger, what_was_heard_and_not_told_is_one_range_in_the_file)
{
    struct ledger_entry entry = {.begun = true}, read;
    struct buffer text = BUFFER(1 << 16);
    struct err e;
    char *name;
    ledger_heard(&entry, 1000, 2000);
    ledger_heard(&entry, 2000, 3000);
    ledger_heard(&entry, 4000, 4000); /* of no length */
    ledger_write(&text, "one", &entry);
    cr_assert(eq(int, ledger_read(buffer_view(&text), &name, &read, &e), 0));
    cr_expect(read.heard.due);
    cr_expect(eq(i64, read.heard.from, 1000));
    cr_expect(eq(i64, read.heard.to, 3000));
    free(name);
    buffer_free(&text);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

Test(ledger, the_file_says_every_second_that_the_listener_lives)
{
    uv_loop_t loop;
    uv_timer_t tick;
    char folder[] = "/tmp/roost-test-XXXXXX", path[64];
    struct err e;
    struct ledger_row rows[LEDGER_LEGS];
    uv_loop_init(&loop);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 10, 10);
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    snprintf(path, sizeof path, "%s/sources", folder);
    struct ledger *l = ledger_open(&loop, path, &e);
    struct ledger_entry *entry = ledger_take(l, "one");
    struct ledger_moment began = ledger_now(ledger_boot(l));
    ledger_streams(entry, &began, rows);
    int64_t told = 0;
    for (int64_t end = clock_steady_ms() + 30000; told <= began.steady && clock_steady_ms() < end;) {
        struct buffer text = BUFFER(1 << 16);
        struct ledger_entry read;
        char *name = NULL;
        uv_run(&loop, UV_RUN_ONCE);
        if (file_read(path, &text, NULL) == 0 && ledger_read(buffer_view(&text), &name, &read, &e) == 0) {
            told = read.alive.steady;
        }
        free(name);
        buffer_free(&text);
    }
    cr_expect(told > began.steady);
    uv_close((uv_handle_t *)&tick, NULL);
    close_file(&loop, l);
    uv_loop_close(&loop);
    unlink(path);
    rmdir(folder);
}
