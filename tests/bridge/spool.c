/* The spool: what was held is there after anything, what is damaged is said, numbers never repeat. */
#include "bridge/spool.h"

#include "support/spool_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

Test(spool, a_frame_is_read_only_once_it_is_held_and_then_as_it_was)
{
    struct fixture *f = make(1 << 24, 0);
    cr_assert_eq(spool_last(f->spool), 0);
    cr_assert_eq(spool_first(f->spool), 1);
    append(f, 3);
    cr_assert_eq(spool_held(f->spool), 0);
    cr_assert_eq(read_all(f, 1, NULL), 0);
    cr_assert(support_run_until(&f->loop, all_held, f));
    cr_assert_eq(f->held_told, 3);
    cr_assert_eq(read_all(f, 1, NULL), 3);
    cr_assert_eq(read_all(f, 3, NULL), 1);
    cr_assert_eq(read_all(f, 4, NULL), 0);
    drop(f);
}

Test(spool, numbers_identity_and_frames_go_on_after_reopening)
{
    struct fixture *f = make(1 << 24, 500);
    char identity[SPOOL_IDENTITY_SIZE], token[SPOOL_TOKEN_SIZE];
    snprintf(identity, sizeof identity, "%s", spool_identity(f->spool));
    snprintf(token, sizeof token, "%s", spool_token(f->spool));
    append_held(f, 50);
    cr_assert_gt(support_count_segments(f->folder), 3);
    shut(f);
    reopen(f);
    cr_assert_str_eq(spool_identity(f->spool), identity);
    cr_assert_str_eq(spool_token(f->spool), token);
    cr_assert_eq(spool_held(f->spool), 50);
    append_held(f, 50);
    cr_assert_eq(spool_last(f->spool), 100);
    cr_assert_eq(read_all(f, 1, NULL), 100);
    cr_assert_eq(f->report_count, 0);
    char *path = support_path(f->folder, "token");
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    free(path);
    drop(f);
}

Test(spool, a_second_process_is_refused_and_told_who_has_the_spool)
{
    struct fixture *f = make(1 << 24, 0);
    struct err e;
    struct spool_settings settings = f->settings;
    struct spool_events events = {0};
    cr_assert_null(spool_open(&f->loop, &settings, &events, &e));
    cr_assert_eq(e.kind, ERR_FATAL);
    char number[32];
    snprintf(number, sizeof number, "process %d", (int)getpid());
    cr_assert(strstr(e.text, number) && strstr(e.text, f->folder), "%s", e.text);
    drop(f);
}

Test(spool, a_segment_goes_only_when_every_known_consumer_has_acknowledged_it)
{
    struct fixture *f = make(1 << 24, 500);
    struct err e;
    append_held(f, 50);
    size_t all = support_count_segments(f->folder);
    spool_acknowledge(f->spool, "nobody", 50);
    cr_assert_eq(support_count_segments(f->folder), all, "no consumer is known");
    cr_assert_eq(spool_add_consumer(f->spool, "a", &e), 0);
    cr_assert_eq(spool_add_consumer(f->spool, "b", &e), 0);
    spool_acknowledge(f->spool, "a", 50);
    cr_assert_eq(support_count_segments(f->folder), all, "b has nothing yet");
    spool_acknowledge(f->spool, "b", 25);
    cr_assert_lt(support_count_segments(f->folder), all);
    cr_assert_leq(spool_first(f->spool), 26);
    cr_assert_gt(spool_first(f->spool), 1);
    spool_acknowledge(f->spool, "b", 10);
    uint64_t position = 0;
    cr_assert(spool_acknowledged(f->spool, "b", &position));
    cr_assert_eq(position, 25, "acknowledgements only move forward");
    uint64_t first = spool_first(f->spool);
    cr_assert_eq(read_all(f, 1, NULL), 50 - first + 1, "reading begins at the oldest kept");
    shut(f);
    reopen(f);
    cr_assert(spool_acknowledged(f->spool, "a", &position));
    cr_assert_eq(position, 50);
    cr_assert(spool_acknowledged(f->spool, "b", &position));
    cr_assert_eq(position, 25);
    drop(f);
}

Test(spool, a_consumer_ahead_of_a_restored_spool_gives_a_new_identity)
{
    struct fixture *f = make(1 << 24, 0);
    struct err e;
    char identity[SPOOL_IDENTITY_SIZE];
    snprintf(identity, sizeof identity, "%s", spool_identity(f->spool));
    append_held(f, 5);
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    spool_acknowledge(f->spool, "etl", 5);
    shut(f);
    char *segment = support_last_segment(f->folder);
    cr_assert_eq(unlink(segment), 0);
    free(segment);
    reopen(f);
    cr_assert_str_neq(spool_identity(f->spool), identity);
    cr_assert_eq(f->report_count, 1);
    cr_assert_eq(f->reports[0].what, SPOOL_NEW_IDENTITY);
    uint64_t position = 99;
    cr_assert(spool_acknowledged(f->spool, "etl", &position));
    cr_assert_eq(position, 0);
    drop(f);
}

Test(spool, damage_in_an_earlier_segment_is_passed_over_and_reported_once)
{
    struct fixture *f = make(1 << 24, 500);
    append_held(f, 50);
    shut(f);
    char *path = support_path(f->folder, "segment-00000000000000000001.v1");
    struct buffer whole = slurp(path);
    memset(whole.data + 100, 0, 100);
    spill(path, whole.data, whole.length);
    reopen(f);
    cr_assert_eq(f->report_count, 0);
    cr_assert_lt(read_all(f, 1, NULL), 50);
    cr_assert_eq(f->report_count, 1);
    cr_assert_eq(f->reports[0].what, SPOOL_CORRUPT);
    uint64_t missing = f->reports[0].last - f->reports[0].first + 1;
    char range[100];
    snprintf(range, sizeof range, "frames %llu to %llu (%llu in all) are missing",
             (unsigned long long)f->reports[0].first, (unsigned long long)f->reports[0].last,
             (unsigned long long)missing);
    cr_assert(strstr(f->first_text, range), "%s", f->first_text);
    uint64_t last;
    cr_assert_eq(read_all(f, 1, &last) + missing, 50);
    cr_assert_eq(last, 50);
    cr_assert_eq(f->report_count, 1, "each damage is reported once");
    buffer_free(&whole);
    free(path);
    drop(f);
}

Test(spool, a_cursor_follows_appends_across_segments)
{
    struct fixture *f = make(1 << 24, 300);
    struct err e;
    struct spool_frame frame;
    struct spool_cursor *c = spool_read_from(f->spool, 1, &e);
    uint64_t next = 1;
    for (int round = 0; round < 20; round++) {
        append_held(f, 3);
        while (spool_next(c, &frame, &e) > 0) {
            cr_assert_eq(frame.sequence, next++);
        }
        cr_assert_eq(next, spool_held(f->spool) + 1);
    }
    spool_close_cursor(c);
    drop(f);
}

Test(spool, at_the_maximum_appends_are_refused_until_a_consumer_acknowledges)
{
    struct fixture *f = make(4000, 500);
    struct err e;
    uint64_t sequence;
    char text[64] = "{\"v\":1,\"text\":\"frame number 1\"}";
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    int status;
    size_t taken = 0;
    while ((status = spool_append(f->spool, (payload_of(spool_last(f->spool) + 1, text), view_of(text)),
                                  &sequence, &e)) == 0 &&
           taken < 1000) {
        taken++;
        cr_assert(support_run_until(&f->loop, all_held, f));
    }
    cr_assert_eq(status, -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    cr_assert_leq(spool_bytes(f->spool), 4000);
    cr_assert_eq(read_all(f, 1, NULL), taken, "nothing was dropped");
    cr_assert_eq(f->rooms, 0);
    spool_acknowledge(f->spool, "etl", taken);
    cr_assert(support_run_until(&f->loop, got_room, f));
    append_held(f, 1);
    cr_assert_eq(spool_last(f->spool), taken + 1);
    drop(f);
}

Test(spool, drop_oldest_keeps_the_newest_and_reports_what_went)
{
    struct fixture *f = make(4000, 500);
    struct err e;
    shut(f);
    f->settings.drop_oldest = true;
    reopen(f);
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    for (int i = 0; i < 200; i++) {
        append_held(f, 1);
    }
    cr_assert_leq(spool_bytes(f->spool), 4000);
    cr_assert_gt(f->report_count, 0);
    cr_assert_eq(f->reports[0].what, SPOOL_DROPPED);
    cr_assert_eq(f->reports[0].first, 1);
    uint64_t last;
    cr_assert_eq(read_all(f, 1, &last), 200 - spool_first(f->spool) + 1);
    cr_assert_eq(last, 200);
    drop(f);
}

Test(spool, without_a_known_consumer_the_maximum_stops_nobody)
{
    struct fixture *f = make(4000, 500);
    for (int i = 0; i < 200; i++) {
        append_held(f, 1);
    }
    cr_assert_leq(spool_bytes(f->spool), 4000);
    cr_assert_gt(f->report_count, 0, "and it is never silent");
    drop(f);
}

Test(spool, a_full_disk_takes_no_half_frame_and_appends_go_on_when_there_is_room)
{
    struct fixture *f = make(1 << 24, 0);
    struct rlimit before, small = {2000, 0};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    struct err e = {0};
    char text[64];
    uint64_t sequence;
    do {
        payload_of(spool_last(f->spool) + 1, text);
    } while (spool_append(f->spool, view_of(text), &sequence, &e) == 0);
    cr_assert_eq(e.kind, ERR_RETRY);
    uint64_t last = spool_last(f->spool);
    cr_assert_gt(last, 10);
    cr_assert(support_run_until(&f->loop, all_held, f));
    char *path = support_last_segment(f->folder);
    struct stat status;
    stat(path, &status);
    cr_assert_eq((uint64_t)status.st_size, spool_bytes(f->spool), "nothing half-written is left");
    free(path);
    setrlimit(RLIMIT_FSIZE, &before);
    cr_assert(support_run_until(&f->loop, got_room, f));
    append_held(f, 3);
    cr_assert_eq(read_all(f, 1, NULL), last + 3);
    shut(f);
    reopen(f);
    cr_assert_eq(f->report_count, 0);
    cr_assert_eq(read_all(f, 1, NULL), last + 3);
    drop(f);
}

Test(spool, on_a_really_full_disk_it_waits_for_room_and_reopens_too)
{
    struct fixture *f = make(1 << 24, 0);
    shut(f);
    /* In a mount namespace of this test's own process: nothing stays behind, however it ends. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", f->folder, "tmpfs", 0, "size=128k")) {
        fprintf(stderr, "no tmpfs can be mounted here; the file size limit above stands for it\n");
        drop(f);
        return;
    }
    reopen(f);
    char *filler = support_path(f->folder, "filler");
    char text[64], bytes[4096] = {0};
    int fd = open(filler, O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 16; i++) {
        cr_assert_eq(write(fd, bytes, sizeof bytes), (ssize_t)sizeof bytes);
    }
    close(fd);
    struct err e;
    uint64_t sequence;
    do {
        payload_of(spool_last(f->spool) + 1, text);
    } while (spool_append(f->spool, view_of(text), &sequence, &e) == 0);
    cr_assert_eq(e.kind, ERR_RETRY);
    cr_assert(strstr(e.text, "No space"), "%s", e.text);
    uint64_t last = spool_last(f->spool);
    shut(f);
    reopen(f);
    cr_assert_eq(f->report_count, 0, "no half frame was left");
    cr_assert_eq(read_all(f, 1, NULL), last);
    payload_of(last + 1, text);
    cr_assert_eq(spool_append(f->spool, view_of(text), &sequence, &e), -1);
    unlink(filler);
    free(filler);
    cr_assert(support_run_until(&f->loop, got_room, f));
    append_held(f, 3);
    cr_assert_eq(read_all(f, 1, NULL), last + 3);
    shut(f);
    cr_assert_eq(umount(f->folder), 0);
    drop(f);
}

static bool got_report(void *user)
{
    return ((struct fixture *)user)->report_count > 0;
}

static void fail_syncs(int failures, size_t before, int64_t segment_bytes)
{
    struct fixture *f = make(1 << 24, segment_bytes);
    struct err e;
    struct spool_frame frame;
    uint64_t sequence;
    append_held(f, before);
    struct spool_cursor *c = spool_read_from(f->spool, 1, &e);
    for (size_t i = 0; i < before; i++) {
        cr_assert_eq(spool_next(c, &frame, &e), 1);
    }
    cr_assert_eq(spool_next(c, &frame, &e), 0);
    atomic_store(&failing_syncs, failures);
    append(f, 4);
    cr_assert(support_run_until(&f->loop, got_report, f));
    cr_assert_eq(spool_held(f->spool), before, "a failed sync holds nothing");
    cr_assert_eq(f->reports[0].what, SPOOL_SYNC_FAILED);
    cr_assert_eq(spool_append(f->spool, VIEW("{}"), &sequence, &e), -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    cr_assert(support_run_until(&f->loop, all_held, f));
    cr_assert(support_run_until(&f->loop, got_room, f));
    cr_assert_eq(read_all(f, 1, NULL), before + 4);
    append_held(f, 2);
    for (size_t i = before; i < before + 6; i++) {
        cr_assert_eq(spool_next(c, &frame, &e), 1);
        cr_assert_eq(frame.sequence, i + 1);
    }
    spool_close_cursor(c);
    cr_assert_eq(f->report_count, (size_t)failures, "no damage is reported");
    shut(f);
    reopen(f);
    cr_assert_eq(read_all(f, 1, NULL), before + 6);
    cr_assert_eq(f->report_count, 0);
    drop(f);
}

Test(spool, a_failed_sync_is_not_success_and_its_frames_reach_the_disk_elsewhere)
{
    fail_syncs(1, 0, 0);
    fail_syncs(2, 3, 0);
    fail_syncs(1, 0, 100);
    fail_syncs(2, 3, 100);
    fail_syncs(1, 4, 150);
}

Test(spool, a_spool_whose_last_sync_fails_still_closes)
{
    struct fixture *f = make(1 << 24, 0);
    append_held(f, 2);
    append(f, 2);
    atomic_store(&failing_syncs, 1000);
    shut(f);
    atomic_store(&failing_syncs, 0);
    cr_assert_eq(f->reports[0].what, SPOOL_SYNC_FAILED);
    reopen(f);
    cr_assert_geq(spool_held(f->spool), 2);
    drop(f);
}

Test(spool, frames_that_are_empty_or_too_long_are_rejected)
{
    struct fixture *f = make(1 << 24, 0);
    struct err e;
    uint64_t sequence;
    char *big = calloc(1, 4 * 1024 * 1024 + 1);
    cr_assert_eq(spool_append(f->spool, VIEW(""), &sequence, &e), -1);
    cr_assert_eq(e.kind, ERR_REJECT);
    cr_assert_eq(spool_append(f->spool, view_make(big, 4 * 1024 * 1024 + 1), &sequence, &e), -1);
    cr_assert_eq(e.kind, ERR_REJECT);
    cr_assert_eq(spool_append(f->spool, view_make(big, 4 * 1024 * 1024), &sequence, &e), 0);
    cr_assert(support_run_until(&f->loop, all_held, f));
    struct spool_cursor *c = spool_read_from(f->spool, 1, &e);
    struct spool_frame frame;
    cr_assert_eq(spool_next(c, &frame, &e), 1);
    cr_assert_eq(frame.payload.length, 4 * 1024 * 1024);
    spool_close_cursor(c);
    free(big);
    drop(f);
}

Test(spool, a_forgotten_consumer_holds_nothing_back_and_stays_forgotten)
{
    struct fixture *f = make(1 << 24, 500);
    struct err e = {0};
    uint64_t position;
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    cr_assert_eq(spool_add_consumer(f->spool, "gone", &e), 0);
    append_held(f, 100);
    spool_acknowledge(f->spool, "etl", 90);
    cr_assert_eq(spool_first(f->spool), 1, "the other has nothing of it");
    cr_assert_eq(spool_forget_consumer(f->spool, "nobody", &e), -1);
    cr_assert_eq(e.kind, ERR_REJECT);
    while (spool_forget_consumer(f->spool, "gone", &e)) {
        cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text); /* the positions are being written */
        support_run_for(&f->loop, 1);
    }
    cr_assert_gt(spool_first(f->spool), 80);
    cr_assert_not(spool_acknowledged(f->spool, "gone", &position));
    cr_assert(spool_acknowledged(f->spool, "etl", &position));
    shut(f);
    reopen(f);
    cr_assert_not(spool_acknowledged(f->spool, "gone", &position));
    cr_assert(spool_acknowledged(f->spool, "etl", &position));
    cr_assert_eq(position, 90);
    drop(f);
}

Test(spool, forgetting_the_only_consumer_of_a_full_spool_makes_room)
{
    struct fixture *f = make(4000, 500);
    struct err e = {0};
    char text[64];
    uint64_t sequence;
    cr_assert_eq(spool_add_consumer(f->spool, "gone", &e), 0);
    do {
        payload_of(spool_last(f->spool) + 1, text);
    } while (spool_append(f->spool, view_of(text), &sequence, &e) == 0);
    cr_assert(support_run_until(&f->loop, all_held, f));
    while (spool_forget_consumer(f->spool, "gone", &e)) {
        cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text);
        support_run_for(&f->loop, 1);
    }
    cr_assert_gt(f->rooms, 0);
    append_held(f, 20);
    drop(f);
}

Test(spool, a_closed_spool_is_edited_and_an_open_one_is_left_to_its_process)
{
    struct fixture *f = make(1 << 24, 0);
    struct err e = {0};
    uint64_t position;
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    cr_assert_eq(spool_add_consumer(f->spool, "gone", &e), 0);
    append_held(f, 10);
    cr_assert_eq(spool_forget_closed(f->folder, "gone", &e), 1, "%s", e.text);
    cr_assert(strstr(e.text, "in use by process"), "%s", e.text);
    shut(f);
    cr_assert_eq(spool_forget_closed(f->folder, "nobody", &e), -1);
    cr_assert_eq(e.kind, ERR_REJECT);
    cr_assert_eq(spool_forget_closed(f->folder, "gone", &e), 0, "%s", e.text);
    reopen(f);
    cr_assert_not(spool_acknowledged(f->spool, "gone", &position));
    cr_assert(spool_acknowledged(f->spool, "etl", &position));
    drop(f);
}

Test(spool, frames_that_go_unacknowledged_are_reported_with_range_and_who_lacks_them)
{
    struct fixture *f = make(4000, 500);
    struct err e;
    shut(f);
    f->settings.drop_oldest = true;
    reopen(f);
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    append_held(f, 3);
    spool_acknowledge(f->spool, "etl", 3);
    while (f->report_count == 0) {
        append_held(f, 1);
    }
    cr_assert_eq(f->reports[0].what, SPOOL_DROPPED);
    cr_assert_eq(f->reports[0].first, 4, "what was acknowledged is not lost");
    cr_assert_eq(f->reports[0].last, spool_first(f->spool) - 1);
    cr_assert_gt(f->reports[0].bytes, 0);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "frames 4 to %llu (%llu in all)", (unsigned long long)f->reports[0].last,
             (unsigned long long)f->reports[0].last - 3);
    cr_assert(strstr(f->first_text, wanted), "%s", f->first_text);
    cr_assert(strstr(f->first_text, "not acknowledged by etl ("), "%s", f->first_text);
    drop(f);
}

Test(spool, on_a_full_disk_the_last_segment_is_given_back_once_all_have_it)
{
    struct fixture *f = make(1 << 24, 0);
    shut(f);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", f->folder, "tmpfs", 0, "size=128k")) {
        fprintf(stderr, "no tmpfs can be mounted here\n");
        drop(f);
        return;
    }
    reopen(f);
    struct err e;
    char text[64];
    uint64_t sequence;
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    do {
        payload_of(spool_last(f->spool) + 1, text);
    } while (spool_append(f->spool, view_of(text), &sequence, &e) == 0);
    cr_assert(strstr(e.text, "No space"), "%s", e.text);
    cr_assert(support_run_until(&f->loop, all_held, f));
    uint64_t last = spool_last(f->spool);
    spool_acknowledge(f->spool, "etl", last);
    cr_assert(support_run_until(&f->loop, got_room, f));
    append_held(f, 3);
    cr_assert_eq(spool_first(f->spool), last + 1);
    shut(f);
    cr_assert_eq(umount(f->folder), 0);
    drop(f);
}
