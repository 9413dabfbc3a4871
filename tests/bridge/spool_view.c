/* Reading a spool that somebody else writes. */
#include "bridge/spool_view.h"
#include "bridge/segment.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void)
{
    strncpy(folder, "/tmp/roost-view-XXXXXX", sizeof folder - 1);
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(spool_view, .init = make_folder, .fini = remove_folder);

static void path_of(char path[160], uint64_t first)
{
    char name[SEGMENT_NAME_SIZE];
    segment_format_name(name, first);
    snprintf(path, 160, "%s/%s", folder, name);
}

static void append(uint64_t segment, const void *bytes, size_t n)
{
    char path[160];
    path_of(path, segment);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    cr_assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static void add(uint64_t segment, uint64_t sequence, const char *payload)
{
    unsigned char head[SEGMENT_HEAD_SIZE];
    segment_make_head(head, sequence, view_of(payload));
    append(segment, head, sizeof head);
    append(segment, payload, strlen(payload));
}

static struct spool_view *open_view(void)
{
    struct err e;
    struct spool_view *v = spool_view_open(folder, &e);
    cr_assert(v, "%s", e.text);
    return v;
}

/* Reads the next frame: its sequence, 0 at the end. */
static uint64_t next(struct spool_view *v, const char *payload)
{
    struct spool_frame frame;
    struct err e;
    int found = spool_view_next(v, &frame, &e);
    cr_assert_geq(found, 0, "%s", e.text);
    if (found && payload) {
        cr_assert(view_is(frame.payload, payload), "%.*s", VIEW_PRINT(frame.payload));
    }
    return found ? frame.sequence : 0;
}

Test(spool_view, each_frame_comes_once_although_a_failed_sync_left_copies)
{
    add(1, 1, "one");
    add(1, 2, "two");
    add(1, 3, "three");
    add(3, 3, "three");
    add(3, 4, "four");
    struct spool_view *v = open_view();
    cr_expect_eq(next(v, "one"), 1u);
    cr_expect_eq(next(v, "two"), 2u);
    cr_expect_eq(next(v, "three"), 3u);
    cr_expect_eq(next(v, "four"), 4u);
    cr_expect_eq(next(v, NULL), 0u);
    cr_expect_eq(spool_view_end(v), 4u);
    cr_expect_eq(spool_view_damaged(v), 0u);
    spool_view_close(v);
}

Test(spool_view, a_segment_that_is_dropped_meanwhile_is_passed_over)
{
    add(1, 1, "one");
    add(2, 2, "two");
    add(3, 3, "three");
    struct spool_view *v = open_view();
    cr_expect_eq(next(v, "one"), 1u);
    char path[160];
    path_of(path, 2);
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(next(v, "three"), 3u);
    cr_expect_eq(next(v, NULL), 0u);
    spool_view_close(v);
}

Test(spool_view, damage_is_counted_and_a_record_being_written_is_none)
{
    add(1, 1, "one");
    append(1, "garbage", 7);
    add(1, 2, "two");
    append(1, "more", 4);
    add(3, 3, "three");
    append(3, "\xF5rf1\x05", 5);
    struct spool_view *v = open_view();
    cr_expect_eq(next(v, "one"), 1u);
    cr_expect_eq(next(v, "two"), 2u);
    cr_expect_eq(next(v, "three"), 3u);
    cr_expect_eq(next(v, NULL), 0u);
    cr_expect_eq(spool_view_damaged(v), 11u);
    spool_view_close(v);
}

Test(spool_view, an_empty_segment_tells_the_end_and_identity_is_what_the_file_says)
{
    append(10, "", 0);
    struct spool_view *v = open_view();
    cr_expect_str_eq(spool_view_identity(v), "");
    cr_expect_eq(next(v, NULL), 0u);
    cr_expect_eq(spool_view_end(v), 9u);
    spool_view_close(v);

    char path[160];
    snprintf(path, sizeof path, "%s/identity", folder);
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fputs("0123456789abcdef0123456789abcdef\n", file);
    fclose(file);
    v = open_view();
    cr_expect_str_eq(spool_view_identity(v), "0123456789abcdef0123456789abcdef");
    spool_view_close(v);
}

Test(spool_view, a_folder_that_is_not_there_is_an_error)
{
    struct err e;
    cr_assert_null(spool_view_open("/nowhere/at/all", &e));
    cr_expect_eq(e.kind, ERR_RETRY);
}
