/* A spool in a folder of its own, on a loop of its own, whose syncs fail when a test says so; for the
 * programs that test it, each of which includes this once. */
#ifndef ROOST_TESTS_BRIDGE_SPOOL_FIXTURE_H
#define ROOST_TESTS_BRIDGE_SPOOL_FIXTURE_H

#include "bridge/spool.h"
#include "bridge_support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int failing_syncs; /* the next so many syncs fail */

static inline int sync_or_fail(int fd)
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

static inline void on_held(void *user, uint64_t sequence)
{
    ((struct fixture *)user)->held_told = sequence;
}

static inline void on_room(void *user)
{
    ((struct fixture *)user)->rooms++;
}

static inline void on_report(void *user, const struct spool_report *report)
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

static inline int try_open(struct fixture *f, struct err *e)
{
    struct spool_events events = {on_held, on_room, on_report, f};
    f->settings.folder = f->folder;
    f->settings.sync_file = sync_or_fail;
    f->report_count = 0;
    f->spool = spool_open(&f->loop, &f->settings, &events, e);
    return f->spool ? 0 : -1;
}

static inline void reopen(struct fixture *f)
{
    struct err e = {0};
    cr_assert_eq(try_open(f, &e), 0, "%s", e.text);
}

static inline struct fixture *make(int64_t maximum, int64_t segment)
{
    struct fixture *f = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    f->folder = support_folder();
    f->settings = (struct spool_settings){.maximum_bytes = maximum, .segment_bytes = segment, .sync_ms = 0};
    reopen(f);
    return f;
}

static inline void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static inline bool is_closed(void *user)
{
    return ((struct fixture *)user)->closed;
}

static inline void shut(struct fixture *f)
{
    f->closed = false;
    spool_close(f->spool, on_closed, f);
    f->spool = NULL;
    cr_assert(support_run_until(&f->loop, is_closed, f));
}

static inline void drop(struct fixture *f)
{
    if (f->spool) {
        shut(f);
    }
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&f->loop), 0);
    support_remove(f->folder);
    free(f);
}

static inline void payload_of(uint64_t sequence, char text[64])
{
    snprintf(text, 64, "{\"v\":1,\"text\":\"frame number %llu\"}", (unsigned long long)sequence);
}

static inline void append(struct fixture *f, size_t count)
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

static inline bool all_held(void *user)
{
    struct fixture *f = user;
    return spool_held(f->spool) == spool_last(f->spool);
}

static inline void append_held(struct fixture *f, size_t count)
{
    append(f, count);
    cr_assert(support_run_until(&f->loop, all_held, f));
}

/* Reads all that is held from a sequence on, checking the payloads; how many there were. *last gets the last
 * one. */
static inline size_t read_all(struct fixture *f, uint64_t from, uint64_t *last)
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

static inline struct buffer slurp(const char *path)
{
    struct buffer b = BUFFER(1 << 20);
    int fd = open(path, O_RDONLY);
    char *into = buffer_reserve(&b, 1 << 19);
    b.length = (size_t)read(fd, into, 1 << 19);
    close(fd);
    return b;
}

static inline void spill(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static inline bool got_room(void *user)
{
    return ((struct fixture *)user)->rooms > 0;
}

#endif
