/* What an opening cut off leaves its numbers behind: none of them is given out a second time, however often
 * the spool is opened, and nothing of it stands in the way of what comes. */
#include "bridge/spool.h"

#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    uv_loop_t loop;
    char *folder;
    struct spool *spool;
    unsigned reports;
    bool closed;
};

static void on_report(void *user, const struct spool_report *report)
{
    cr_expect_eq(report->what, SPOOL_CUT, "%s", report->text);
    ((struct fixture *)user)->reports++;
}

static void reopen(struct fixture *f)
{
    const struct spool_settings settings = {.folder = f->folder, .maximum_bytes = 1 << 24};
    const struct spool_events events = {.report = on_report, .user = f};
    struct err e;
    f->reports = 0;
    f->spool = spool_open(&f->loop, &settings, &events, &e);
    cr_assert_not_null(f->spool, "%s", e.text);
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
    cr_assert(support_run_until(&f->loop, is_closed, f));
}

static bool all_held(void *user)
{
    const struct fixture *f = user;
    return spool_held(f->spool) == spool_last(f->spool);
}

static void append_held(struct fixture *f, size_t count)
{
    uint64_t sequence;
    struct err e;
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(spool_append(f->spool, VIEW("a payload of some length"), &sequence, &e), 0, "%s",
                     e.text);
    }
    cr_assert(support_run_until(&f->loop, all_held, f));
}

static size_t count_frames(const struct fixture *f)
{
    struct err e;
    struct spool_frame frame;
    struct spool_cursor *c = spool_read_from(f->spool, 1, &e);
    size_t count = 0;
    while (spool_next(c, &frame, &e) > 0) {
        count++;
    }
    spool_close_cursor(c);
    return count;
}

/* Three frames and two consumers; then the third frame loses its last byte on the disk. */
static struct fixture *make_torn(uint64_t acknowledged_by_etl)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e;
    struct stat status;
    cr_assert_eq(uv_loop_init(&f->loop), 0);
    f->folder = support_folder();
    reopen(f);
    append_held(f, 3);
    cr_assert_eq(spool_add_consumer(f->spool, "audit", &e), 0);
    cr_assert_eq(spool_add_consumer(f->spool, "etl", &e), 0);
    spool_acknowledge(f->spool, "etl", acknowledged_by_etl);
    shut(f);
    char *path = support_last_segment(f->folder);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(truncate(path, status.st_size - 1), 0);
    free(path);
    return f;
}

static void drop(struct fixture *f)
{
    shut(f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&f->loop), 0);
    support_remove(f->folder);
    free(f);
}

Test(spool_numbers, a_number_that_was_cut_off_is_not_given_out_after_further_openings)
{
    struct fixture *f = make_torn(3);
    char identity[SPOOL_IDENTITY_SIZE] = "";
    for (int i = 0; i < 3; i++) {
        reopen(f);
        cr_assert_eq(f->reports, i == 0 ? 1 : 0, "only the first has something to cut");
        cr_assert_eq(spool_last(f->spool), 3, "etl has a frame 3");
        cr_assert(i == 0 || strcmp(spool_identity(f->spool), identity) == 0);
        snprintf(identity, sizeof identity, "%s", spool_identity(f->spool));
        cr_assert_eq(count_frames(f), 2);
        if (i < 2) {
            shut(f);
        }
    }
    append_held(f, 1);
    cr_assert_eq(spool_last(f->spool), 4);
    drop(f);
}

Test(spool_numbers, what_is_left_of_a_cut_segment_goes_when_it_is_acknowledged)
{
    struct fixture *f = make_torn(0);
    reopen(f);
    cr_assert_eq(spool_first(f->spool), 1);
    spool_acknowledge(f->spool, "etl", 3);
    spool_acknowledge(f->spool, "audit", 3);
    cr_assert_eq(spool_first(f->spool), 4);
    append_held(f, 1);
    cr_assert_eq(count_frames(f), 1);
    drop(f);
}
