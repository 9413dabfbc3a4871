/* The spool's room: for the last appends of a process, over the maximum by a bound and on a full disk; and
 * when it is told that there is some. */
#include "bridge/spool.h"
#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEBIBYTE = 1024 * 1024, FRAME = 1000 };

struct fixture {
    uv_loop_t loop;
    char *folder;
    struct spool *spool;
    struct spool_settings settings;
    bool closed;
    int rooms;
};

static atomic_bool sync_may_end;

static void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static bool is_closed(void *user)
{
    return ((struct fixture *)user)->closed;
}

static void on_room(void *user)
{
    ((struct fixture *)user)->rooms++;
}

static bool has_room(void *user)
{
    return ((struct fixture *)user)->rooms > 0;
}

static int slow_sync(int fd)
{
    while (!atomic_load(&sync_may_end)) {
        usleep(1000);
    }
    return fdatasync(fd);
}

static void reopen(struct fixture *f)
{
    struct err e;
    const struct spool_events events = {.room = on_room, .user = f};
    f->settings.folder = f->folder;
    f->spool = spool_open(&f->loop, &f->settings, &events, &e);
    cr_assert_not_null(f->spool, "%s", e.text);
}

static void shut(struct fixture *f)
{
    f->closed = false;
    spool_close(f->spool, on_closed, f);
    cr_assert(support_run_until(&f->loop, is_closed, f));
}

static void make(struct fixture *f, int64_t maximum)
{
    *f = (struct fixture){.folder = support_folder(), .settings = {.maximum_bytes = maximum}};
    uv_loop_init(&f->loop);
}

static void drop(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&f->loop), 0);
    support_remove(f->folder);
}

static int append(struct fixture *f, struct err *e)
{
    char text[FRAME];
    uint64_t sequence;
    memset(text, 'x', sizeof text);
    return spool_append(f->spool, view_make(text, sizeof text), &sequence, e);
}

/* Appends until it is refused; how many bytes that were. */
static uint64_t fill(struct fixture *f)
{
    struct err e;
    uint64_t before = spool_bytes(f->spool);
    while (append(f, &e) == 0) {
    }
    cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text);
    return spool_bytes(f->spool) - before;
}

/* Bytes that the file really has; -1: there is none. */
static int64_t reserve_of(const struct fixture *f)
{
    char *path = support_path(f->folder, "reserve");
    struct stat status;
    int64_t bytes = stat(path, &status) ? -1 : (int64_t)status.st_blocks * 512;
    free(path);
    return bytes;
}

static uint64_t frames(struct fixture *f)
{
    struct err e;
    struct spool_frame frame;
    struct spool_cursor *c = spool_read_from(f->spool, 1, &e);
    uint64_t count = 0;
    while (spool_next(c, &frame, &e) == 1) {
        count++;
    }
    spool_close_cursor(c);
    return count;
}

Test(room, the_last_appends_go_over_the_maximum_by_no_more_than_it)
{
    struct fixture f;
    struct err e;
    make(&f, 16 * MEBIBYTE);
    reopen(&f);
    cr_assert_eq(spool_add_consumer(f.spool, "etl", &e), 0, "%s", e.text);
    cr_expect_geq(reserve_of(&f), SPOOL_RESERVE);
    fill(&f);
    cr_expect_leq(spool_bytes(f.spool), 16 * MEBIBYTE);
    spool_take_last(f.spool);
    uint64_t over = fill(&f);
    cr_expect_gt(over, SPOOL_RESERVE - SPOOL_RESERVE_FILES - 2 * FRAME);
    cr_expect_leq(spool_bytes(f.spool), 16 * MEBIBYTE + SPOOL_RESERVE - SPOOL_RESERVE_FILES);
    uint64_t last = spool_last(f.spool);
    spool_took_last(f.spool);
    cr_expect_eq(reserve_of(&f), -1);
    shut(&f);
    reopen(&f);
    cr_expect_eq(frames(&f), last, "all of it was kept");
    cr_expect_geq(reserve_of(&f), SPOOL_RESERVE, "made again");
    cr_expect_eq(append(&f, &e), -1, "the maximum is what it was");
    shut(&f);
    cr_expect_eq(reserve_of(&f), -1, "a stop gives it up in any case");
    drop(&f);
}

Test(room, of_a_small_maximum_it_is_a_quarter)
{
    struct fixture f;
    struct err e;
    make(&f, 100 * 1000);
    reopen(&f);
    cr_assert_eq(spool_add_consumer(f.spool, "etl", &e), 0, "%s", e.text);
    cr_expect_leq(reserve_of(&f), 25 * 1000 + 8192);
    fill(&f);
    cr_expect_leq(spool_bytes(f.spool), 100 * 1000u);
    cr_expect_gt(spool_bytes(f.spool), 100 * 1000u - 2 * FRAME, "the maximum is for frames");
    spool_take_last(f.spool);
    fill(&f);
    cr_expect_leq(spool_bytes(f.spool), 125 * 1000u);
    shut(&f);
    drop(&f);
}

/* A disk of this size in a mount namespace of the test's own process. False: this cannot be had here. */
static bool own_disk(struct fixture *f, const char *size)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", f->folder, "tmpfs", 0, size)) {
        fprintf(stderr, "skipped: no tmpfs can be mounted here\n");
        return false;
    }
    return true;
}

static void write_filler(const struct fixture *f, int64_t most)
{
    static const char zeros[4096];
    char *path = support_path(f->folder, "filler");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (most > 0 && write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros) {
        most -= (int64_t)sizeof zeros;
    }
    close(fd);
    free(path);
}

static void remove_filler(const struct fixture *f)
{
    char *path = support_path(f->folder, "filler");
    unlink(path);
    free(path);
}

Test(room, on_a_full_disk_the_last_appends_and_the_small_files_have_room)
{
    struct fixture f;
    struct err e;
    uint64_t acknowledged = 0;
    make(&f, 64 * MEBIBYTE);
    if (!own_disk(&f, "size=32m")) {
        drop(&f);
        return;
    }
    reopen(&f);
    cr_assert_eq(spool_add_consumer(f.spool, "etl", &e), 0, "%s", e.text);
    cr_expect_geq(reserve_of(&f), SPOOL_RESERVE);
    write_filler(&f, 24 * MEBIBYTE);
    fill(&f);
    write_filler(&f, INT64_MAX);
    cr_expect_eq(append(&f, &e), -1);
    cr_expect_not_null(strstr(e.text, "No space"), "%s", e.text);
    spool_take_last(f.spool);
    cr_expect_gt(fill(&f), SPOOL_RESERVE - SPOOL_RESERVE_FILES - 16 * FRAME);
    spool_sync_now(f.spool);
    uint64_t last = spool_last(f.spool);
    spool_took_last(f.spool);
    shut(&f);

    reopen(&f);
    cr_expect_eq(frames(&f), last);
    cr_expect(spool_acknowledged(f.spool, "etl", &acknowledged), "the consumers' file was written");
    cr_expect_leq(reserve_of(&f), 128 * 1024, "there is no room for it");
    remove_filler(&f);
    spool_acknowledge(f.spool, "etl", last);
    cr_assert_eq(append(&f, &e), 0, "%s", e.text);
    cr_expect_geq(reserve_of(&f), SPOOL_RESERVE, "made again when something was given back");
    shut(&f);
    cr_assert_eq(umount(f.folder), 0);
    drop(&f);
}

Test(room, of_a_small_disk_it_takes_a_quarter)
{
    struct fixture f;
    struct err e;
    make(&f, 64 * MEBIBYTE);
    if (!own_disk(&f, "size=1m")) {
        drop(&f);
        return;
    }
    reopen(&f);
    cr_assert_eq(spool_add_consumer(f.spool, "etl", &e), 0, "%s", e.text);
    cr_expect_gt(reserve_of(&f), 128 * 1024);
    cr_expect_leq(reserve_of(&f), 256 * 1024);
    cr_expect_gt(fill(&f), 600 * 1024u);
    spool_take_last(f.spool);
    cr_expect_gt(fill(&f), 64 * 1024u);
    shut(&f);
    cr_assert_eq(umount(f.folder), 0);
    drop(&f);
}

Test(room, when_the_oldest_may_be_dropped_a_slow_sync_holds_appends_up_no_longer_than_it_takes)
{
    struct fixture f;
    struct err e;
    make(&f, 100 * 1000);
    f.settings.drop_oldest = true;
    f.settings.sync_file = slow_sync;
    atomic_store(&sync_may_end, true); /* opening syncs */
    reopen(&f);
    cr_assert_eq(spool_add_consumer(f.spool, "etl", &e), 0, "%s", e.text);
    atomic_store(&sync_may_end, false);
    cr_assert_eq(append(&f, &e), 0, "%s", e.text);
    spool_sync_now(f.spool);
    support_run_for(&f.loop, 20);
    fill(&f); /* nothing of it can go: it is being synced, or not even that */
    atomic_store(&sync_may_end, true);
    cr_assert(support_run_until(&f.loop, has_room, &f), "told that there is room");
    cr_expect_eq(append(&f, &e), 0, "%s", e.text);
    shut(&f);
    drop(&f);
}
