/* A look from outside: it says what is there, names every kind of damage, changes nothing and waits for
 * nobody. */
#include "bridge/spool_look.h"

#include "base/file.h"
#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct writer {
    uv_loop_t loop;
    char *folder;
    struct spool *spool;
    bool closed;
};

static void reopen(struct writer *w)
{
    const struct spool_settings settings = {
        .folder = w->folder, .maximum_bytes = 1 << 24, .segment_bytes = 500};
    const struct spool_events events = {0};
    struct err e = {0};
    w->spool = spool_open(&w->loop, &settings, &events, &e);
    cr_assert(w->spool, "%s", e.text);
}

static struct writer *make(void)
{
    struct writer *w = calloc(1, sizeof *w);
    uv_loop_init(&w->loop);
    w->folder = support_folder();
    reopen(w);
    return w;
}

static bool all_held(void *user)
{
    const struct writer *w = user;
    return spool_held(w->spool) == spool_last(w->spool);
}

static void append(struct writer *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[64];
        uint64_t sequence;
        struct err e = {0};
        snprintf(text, sizeof text, "{\"v\":1,\"text\":\"frame %llu\"}",
                 (unsigned long long)spool_last(w->spool) + 1);
        cr_assert_eq(spool_append(w->spool, view_of(text), &sequence, &e), 0, "%s", e.text);
    }
    cr_assert(support_run_until(&w->loop, all_held, w));
}

static void on_closed(void *user)
{
    ((struct writer *)user)->closed = true;
}

static bool is_closed(void *user)
{
    return ((struct writer *)user)->closed;
}

static void shut(struct writer *w)
{
    w->closed = false;
    spool_close(w->spool, on_closed, w);
    w->spool = NULL;
    cr_assert(support_run_until(&w->loop, is_closed, w));
}

static void discard(struct writer *w)
{
    if (w->spool) {
        shut(w);
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&w->loop), 0);
    support_remove(w->folder);
    free(w);
}

static struct spool_look look(const struct writer *w)
{
    static struct spool_look found; /* criterion runs each test in a process of its own */
    struct err e = {0};
    cr_assert_eq(spool_look(w->folder, NULL, &found, &e), 0, "%s", e.text);
    return found;
}

/* Adds up names, sizes and times of everything in the folder. */
static struct buffer state_of(const char *folder)
{
    struct buffer b = BUFFER(1 << 16);
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct stat status;
        bool above = strcmp(entries[i]->d_name, "..") == 0; /* other tests work there */
        char *path = support_path(folder, above ? "." : entries[i]->d_name);
        cr_assert_eq(stat(path, &status), 0);
        buffer_print(&b, "%s %lld %lld.%09ld\n", entries[i]->d_name, (long long)status.st_size,
                     (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return b;
}

Test(spool_look, tells_what_a_running_spool_holds_and_changes_nothing)
{
    struct writer *w = make();
    struct err e;
    struct spool_look empty = look(w);
    cr_assert_eq(empty.first, 1);
    cr_assert_eq(empty.last, 0);
    cr_assert_eq(empty.held, 0);
    append(w, 100);
    cr_assert_eq(spool_add_consumer(w->spool, "etl", &e), 0);
    spool_acknowledge(w->spool, "etl", 60);
    shut(w);
    reopen(w);
    struct buffer before = state_of(w->folder);
    struct spool_look found = look(w);
    struct buffer after = state_of(w->folder);
    cr_assert(view_equal(buffer_view(&before), buffer_view(&after)));
    cr_assert_str_eq(found.identity, spool_identity(w->spool));
    cr_assert_eq(found.first, spool_first(w->spool));
    cr_assert_gt(found.first, 1, "what was acknowledged went");
    cr_assert_eq(found.last, 100);
    cr_assert_eq(found.held, 100);
    cr_assert_eq(found.frames, 100 - found.first + 1);
    cr_assert_eq(found.bytes, spool_bytes(w->spool));
    cr_assert_eq(found.segments, support_count_segments(w->folder));
    cr_assert_eq(found.damage_count, 0);
    cr_assert_eq(found.consumer_count, 1);
    cr_assert_str_eq(found.consumers[0].name, "etl");
    cr_assert_eq(found.consumers[0].acknowledged, 60);
    cr_assert_eq(spool_look_behind(&found, &found.consumers[0]), 40);
    buffer_free(&before);
    buffer_free(&after);
    discard(w);
}

struct seen {
    uint64_t first, last, count;
};

static int see(void *user, const struct spool_frame *frame, struct err *e)
{
    struct seen *seen = user;
    char text[64];
    (void)e;
    snprintf(text, sizeof text, "{\"v\":1,\"text\":\"frame %llu\"}", (unsigned long long)frame->sequence);
    cr_assert(view_is(frame->payload, text));
    cr_assert_gt(frame->sequence, seen->last);
    seen->first = seen->count++ ? seen->first : frame->sequence;
    seen->last = frame->sequence;
    return 0;
}

Test(spool_look, gives_exactly_the_frames_of_a_range)
{
    struct writer *w = make();
    struct spool_look found;
    struct err e;
    append(w, 100);
    const uint64_t ranges[][2] = {{1, UINT64_MAX}, {1, 1}, {37, 52}, {100, 100}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct seen seen = {0};
        const struct spool_look_range range = {ranges[i][0], ranges[i][1], see, &seen};
        cr_assert_eq(spool_look(w->folder, &range, &found, &e), 0);
        uint64_t last = ranges[i][1] > 100 ? 100 : ranges[i][1];
        cr_assert_eq(seen.first, ranges[i][0]);
        cr_assert_eq(seen.last, last);
        cr_assert_eq(seen.count, last - ranges[i][0] + 1);
        cr_assert_eq(found.damage_count, 0);
    }
    struct seen none = {0};
    const struct spool_look_range beyond = {101, UINT64_MAX, see, &none};
    cr_assert_eq(spool_look(w->folder, &beyond, &found, &e), 0);
    cr_assert_eq(none.count, 0);
    discard(w);
}

static void spoil(const char *path, off_t at, size_t n)
{
    char zeros[200] = {0};
    int fd = open(path, O_WRONLY);
    cr_assert_eq(pwrite(fd, zeros, n, at), (ssize_t)n);
    close(fd);
}

Test(spool_look, names_a_torn_tail_a_corrupt_middle_and_a_missing_segment_with_their_frames)
{
    struct writer *w = make();
    append(w, 100);
    shut(w);
    struct spool_look whole = look(w);
    uint64_t record = whole.bytes / 100; /* the last ones have one byte more than the first */
    char *first = support_path(w->folder, "segment-00000000000000000001.v1");
    spoil(first, (off_t)record + 25, 10); /* in the second frame's payload */
    char *last = support_last_segment(w->folder);
    struct stat status;
    stat(last, &status);
    cr_assert_eq(truncate(last, status.st_size - 3), 0);
    struct spool_look found = look(w);
    cr_assert_eq(found.damage_count, 2);
    cr_assert_eq(found.damage[0].kind, SPOOL_DAMAGE_CORRUPT);
    cr_assert_eq(found.damage[0].first, 2);
    cr_assert_eq(found.damage[0].last, 2);
    cr_assert_gt(found.damage[0].bytes, 20);
    cr_assert_eq(found.damage[1].kind, SPOOL_DAMAGE_TORN);
    cr_assert_eq(found.damage[1].first, 100);
    cr_assert_eq(found.damage[1].last, 100);
    cr_assert_gt(found.damage[1].bytes, 20);
    cr_assert_eq(found.last, 99);
    cr_assert_eq(found.held, 99, "no higher than what is there");
    struct buffer before = state_of(w->folder);
    look(w);
    struct buffer after = state_of(w->folder);
    cr_assert(view_equal(buffer_view(&before), buffer_view(&after)), "it is described, not repaired");
    buffer_free(&before);
    buffer_free(&after);
    unlink(first);
    reopen(w); /* which cuts the tail; frame 100 was seen, so the next is 101 */
    append(w, 1);
    found = look(w);
    cr_assert_eq(found.last, 101);
    cr_assert_eq(found.damage_count, 1);
    cr_assert_eq(found.damage[0].kind, SPOOL_DAMAGE_MISSING);
    cr_assert_eq(found.damage[0].first, 100);
    cr_assert_eq(found.damage[0].last, 100);
    cr_assert_gt(found.first, 2);
    free(first);
    free(last);
    discard(w);
}

Test(spool_look, a_folder_without_a_spool_and_one_that_is_not_there_are_told_apart_from_trouble)
{
    struct spool_look found;
    struct err e = {0};
    char *folder = support_folder();
    cr_assert_eq(spool_look(folder, NULL, &found, &e), -1);
    cr_assert_eq(e.kind, ERR_FATAL);
    cr_assert(strstr(e.text, "no spool"), "%s", e.text);
    char *inside = support_path(folder, "segment-00000000000000000001.v1");
    cr_assert_eq(mkdir(inside, 0700), 0);
    cr_assert_eq(spool_look(folder, NULL, &found, &e), -1);
    cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text);
    rmdir(inside);
    free(inside);
    support_remove(folder);
    cr_assert_eq(spool_look("/nowhere/at/all", NULL, &found, &e), -1);
    cr_assert_eq(e.kind, ERR_FATAL);
}

static atomic_bool ended;

static void *keep_looking(void *user)
{
    const struct writer *w = user;
    struct spool_look *found = calloc(1, sizeof *found);
    uint64_t held = 0, looks = 0;
    while (!atomic_load(&ended)) {
        struct err e = {0};
        cr_assert_eq(spool_look(w->folder, NULL, found, &e), 0, "%s", e.text);
        cr_assert_eq(found->damage_count, 0, "kind %d, %llu to %llu, %llu bytes", found->damage[0].kind,
                     (unsigned long long)found->damage[0].first, (unsigned long long)found->damage[0].last,
                     (unsigned long long)found->damage[0].bytes);
        cr_assert_geq(found->held, held);
        cr_assert_leq(found->held, found->last);
        held = found->held;
        looks++;
    }
    cr_assert_gt(looks, 0);
    free(found);
    return NULL;
}

Test(spool_look, sees_no_damage_while_frames_are_written_and_segments_go)
{
    struct writer *w = make();
    struct err e;
    pthread_t looker;
    cr_assert_eq(spool_add_consumer(w->spool, "etl", &e), 0);
    pthread_create(&looker, NULL, keep_looking, w);
    for (int i = 0; i < 300; i++) {
        append(w, 20);
        spool_acknowledge(w->spool, "etl", spool_held(w->spool) > 40 ? spool_held(w->spool) - 40 : 0);
    }
    atomic_store(&ended, true);
    pthread_join(looker, NULL);
    discard(w);
}
