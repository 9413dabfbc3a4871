/* The spool: what was held is there after anything, what is damaged is said, numbers never repeat. */
#include "bridge/spool.h"

#include "bridge/segment.h"
#include "support/bridge_support.h"

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

static atomic_int failing_syncs; /* the next so many syncs fail */

static int sync_or_fail(int fd)
{
    if (atomic_load(&failing_syncs) > 0) {
        atomic_fetch_sub(&failing_syncs, 1);
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

struct fixture {
    uv_loop_t loop;
    char *folder;
    struct spool *spool;
    struct spool_settings settings;
    uint64_t held_told, wanted;
    int rooms;
    struct spool_report reports[64]; /* without their texts */
    size_t report_count;
    char first_text[1000]; /* of the first report */
    bool closed;
};

static void on_held(void *user, uint64_t sequence)
{
    ((struct fixture *)user)->held_told = sequence;
}

static void on_room(void *user)
{
    ((struct fixture *)user)->rooms++;
}

static void on_report(void *user, const struct spool_report *report)
{
    struct fixture *f = user;
    cr_assert(report->text[0]);
    if (f->report_count == 0) {
        snprintf(f->first_text, sizeof f->first_text, "%s", report->text);
    }
    if (f->report_count < sizeof f->reports / sizeof f->reports[0]) {
        f->reports[f->report_count++] = *report;
    }
}

static int try_open(struct fixture *f, struct err *e)
{
    struct spool_events events = {on_held, on_room, on_report, f};
    f->settings.folder = f->folder;
    f->settings.sync_file = sync_or_fail;
    f->report_count = 0;
    f->spool = spool_open(&f->loop, &f->settings, &events, e);
    return f->spool ? 0 : -1;
}

static void reopen(struct fixture *f)
{
    struct err e = {0};
    cr_assert_eq(try_open(f, &e), 0, "%s", e.text);
}

static struct fixture *make(int64_t maximum, int64_t segment)
{
    struct fixture *f = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    f->folder = support_folder();
    f->settings = (struct spool_settings){.maximum_bytes = maximum, .segment_bytes = segment, .sync_ms = 0};
    reopen(f);
    return f;
}

static void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static bool is_closed(void *user)
{
    return ((struct fixture *)user)->closed;
}

static void shut(struct fixture *f)
{
    f->closed = false;
    spool_close(f->spool, on_closed, f);
    f->spool = NULL;
    cr_assert(support_run_until(&f->loop, is_closed, f));
}

static void drop(struct fixture *f)
{
    if (f->spool) {
        shut(f);
    }
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&f->loop), 0);
    support_remove(f->folder);
    free(f);
}

static void payload_of(uint64_t sequence, char text[64])
{
    snprintf(text, 64, "{\"v\":1,\"text\":\"frame number %llu\"}", (unsigned long long)sequence);
}

static void append(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[64];
        struct err e;
        uint64_t sequence;
        payload_of(spool_last(f->spool) + 1, text);
        cr_assert_eq(spool_append(f->spool, view_of(text), &sequence, &e), 0, "%s", e.text);
        cr_assert_eq(sequence, spool_last(f->spool));
    }
}

static bool all_held(void *user)
{
    struct fixture *f = user;
    return spool_held(f->spool) == spool_last(f->spool);
}

static void append_held(struct fixture *f, size_t count)
{
    append(f, count);
    cr_assert(support_run_until(&f->loop, all_held, f));
}

/* Reads all that is held from a sequence on, checking the payloads; how many there were. *last gets the last
 * one. */
static size_t read_all(struct fixture *f, uint64_t from, uint64_t *last)
{
    struct err e;
    struct spool_frame frame;
    struct spool_cursor *c = spool_read_from(f->spool, from, &e);
    size_t count = 0;
    int found;
    uint64_t before = 0;
    while ((found = spool_next(c, &frame, &e)) > 0) {
        char text[64];
        payload_of(frame.sequence, text);
        cr_assert(view_is(frame.payload, text), "frame %llu", (unsigned long long)frame.sequence);
        cr_assert_gt(frame.sequence, before);
        before = frame.sequence;
        count++;
    }
    cr_assert_eq(found, 0);
    spool_close_cursor(c);
    if (last) {
        *last = before;
    }
    return count;
}

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

static struct buffer slurp(const char *path)
{
    struct buffer b = BUFFER(1 << 20);
    int fd = open(path, O_RDONLY);
    char *into = buffer_reserve(&b, 1 << 19);
    b.length = (size_t)read(fd, into, 1 << 19);
    close(fd);
    return b;
}

static void spill(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

/* The empty segment by whose name an opening remembers that a number was passed over. */
static void remove_newer(struct fixture *f, const char *path)
{
    char *last = support_last_segment(f->folder);
    if (strcmp(last, path) != 0) {
        cr_assert_eq(unlink(last), 0);
    }
    free(last);
}

Test(spool, a_file_cut_at_any_byte_keeps_every_whole_frame_and_says_what_went)
{
    struct fixture *f = make(1 << 24, 0);
    append_held(f, 6);
    shut(f);
    char *path = support_last_segment(f->folder);
    struct buffer whole = slurp(path);
    size_t record = whole.length / 6;
    for (size_t n = 0; n <= whole.length; n++) {
        spill(path, whole.data, n);
        reopen(f);
        size_t kept = n / record, rest = n % record;
        uint64_t next = kept + 1 + (rest >= 16); /* a number that was seen is not given out again */
        cr_assert_eq(spool_held(f->spool), next - 1, "%zu bytes", n);
        cr_assert_eq(read_all(f, 1, NULL), kept, "%zu bytes", n);
        cr_assert_eq(f->report_count, rest ? 1 : 0, "%zu bytes: %zu reports", n, f->report_count);
        if (rest) {
            cr_assert_eq(f->reports[0].what, SPOOL_CUT);
            cr_assert_eq(f->reports[0].bytes, rest);
            char range[100];
            snprintf(range, sizeof range, "frames %zu to %zu (1 in all)", kept + 1, kept + 1);
            cr_assert_eq(strstr(f->first_text, range) != NULL, rest >= 16, "%s", f->first_text);
        }
        append_held(f, 1);
        cr_assert_eq(spool_last(f->spool), next);
        cr_assert_eq(read_all(f, 1, NULL), kept + 1, "%zu bytes", n);
        shut(f);
        remove_newer(f, path);
    }
    buffer_free(&whole);
    free(path);
    drop(f);
}

Test(spool, a_changed_bit_loses_only_the_frame_it_is_in_and_is_reported)
{
    struct fixture *f = make(1 << 24, 0);
    append_held(f, 4);
    shut(f);
    char *path = support_last_segment(f->folder);
    struct buffer whole = slurp(path);
    for (size_t bit = 0; bit < whole.length * 8; bit++) {
        whole.data[bit / 8] ^= (char)(1 << bit % 8);
        spill(path, whole.data, whole.length);
        reopen(f);
        cr_assert_eq(read_all(f, 1, NULL), 3, "bit %zu", bit);
        cr_assert_eq(f->report_count, 1, "bit %zu: %zu reports", bit, f->report_count);
        shut(f);
        remove_newer(f, path);
        whole.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    buffer_free(&whole);
    free(path);
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

static bool got_room(void *user)
{
    return ((struct fixture *)user)->rooms > 0;
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
