/* A damaged spool: cut anywhere, any bit of it changed, its disk full. It opens, loses what is damaged and
 * nothing else, says which frames those were, and gives no number out twice. */
#include "bridge/segment.h"
#include "support/spool_fixture.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>

enum { FRAMES = 6, MARKED = 400 };

/* The closed spool's files as they were, to begin each case with. */
struct kept {
    char *path, *held_path; /* of the segment that is damaged; of the file `held` */
    struct buffer segment, held;
    uint64_t ends[FRAMES + 1]; /* ends[n]: where frame n ends in the segment */
};

/* Six frames in one segment. */
static struct kept fill(struct fixture *f)
{
    struct kept k = {0};
    for (size_t i = 1; i <= FRAMES; i++) {
        append_held(f, 1);
        k.ends[i] = spool_bytes(f->spool);
    }
    shut(f);
    k.path = support_last_segment(f->folder);
    k.held_path = support_path(f->folder, "held");
    k.segment = slurp(k.path);
    k.held = slurp(k.held_path);
    return k;
}

static void put_back(const struct fixture *f, const struct kept *k, size_t bytes)
{
    while (support_count_segments(f->folder)) {
        char *last = support_last_segment(f->folder); /* also one that a case made for its next frame */
        unlink(last);
        free(last);
    }
    spill(k->path, k->segment.data, bytes);
    spill(k->held_path, k->held.data, k->held.length);
}

static void drop_kept(struct fixture *f, struct kept *k)
{
    buffer_free(&k->segment);
    buffer_free(&k->held);
    free(k->path);
    free(k->held_path);
    drop(f);
}

/* Reads all, and notes in got[n] that frame n came; read_all has compared its bytes. */
static void read_which(struct fixture *f, bool got[MARKED])
{
    struct err e;
    struct spool_frame frame;
    struct spool_cursor *c = spool_read_from(f->spool, 1, &e);
    int found;
    memset(got, 0, MARKED * sizeof got[0]);
    while ((found = spool_next(c, &frame, &e)) > 0) {
        char text[64];
        payload_of(frame.sequence, text);
        cr_assert(view_is(frame.payload, text), "frame %llu is as it was",
                  (unsigned long long)frame.sequence);
        cr_assert_lt(frame.sequence, MARKED);
        got[frame.sequence] = true;
    }
    cr_assert_eq(found, 0);
    spool_close_cursor(c);
}

/* Exactly one report so far, of exactly these frames, in its numbers and its words. */
static void reported(const struct fixture *f, uint64_t first, uint64_t last, size_t where)
{
    char range[100];
    cr_assert_eq(f->report_count, 1, "at %zu: %zu reports", where, f->report_count);
    cr_assert_eq(f->reports[0].first, first, "at %zu: from %llu", where,
                 (unsigned long long)f->reports[0].first);
    cr_assert_eq(f->reports[0].last, last, "at %zu: to %llu", where, (unsigned long long)f->reports[0].last);
    snprintf(range, sizeof range, "frames %llu to %llu (%llu in all)", (unsigned long long)first,
             (unsigned long long)last, (unsigned long long)(last - first + 1));
    cr_assert(strstr(f->first_text, range), "at %zu: %s", where, f->first_text);
}

/* The next frame gets a number that no frame ever had, and is read. */
static void goes_on(struct fixture *f, uint64_t next, size_t kept, size_t where)
{
    append_held(f, 1);
    cr_assert_eq(spool_last(f->spool), next, "at %zu: number %llu", where,
                 (unsigned long long)spool_last(f->spool));
    cr_assert_eq(read_all(f, 1, NULL), kept + 1, "at %zu", where);
}

Test(spool_damage, a_file_cut_at_any_byte_keeps_every_whole_frame_and_says_which_went)
{
    struct fixture *f = make(1 << 24, 0);
    struct kept k = fill(f);
    size_t kept = 0;
    for (size_t n = 0; n <= k.segment.length; n++) {
        bool got[MARKED];
        kept += kept < FRAMES && n == k.ends[kept + 1];
        put_back(f, &k, n);
        reopen(f);
        read_which(f, got);
        for (uint64_t i = 1; i <= FRAMES; i++) {
            cr_assert_eq(got[i], i <= kept, "%zu bytes: frame %llu", n, (unsigned long long)i);
        }
        if (kept < FRAMES) {
            reported(f, kept + 1, FRAMES, n);
            cr_assert_eq(f->reports[0].what, SPOOL_CUT);
            cr_assert_eq(f->reports[0].bytes, n - k.ends[kept]);
        } else {
            cr_assert_eq(f->report_count, 0);
        }
        goes_on(f, FRAMES + 1, kept, n);
        shut(f);
    }
    cr_assert_eq(kept, FRAMES);
    drop_kept(f, &k);
}

/* `held` is written after each sync; a machine that lost its power may have an older one, or none. */
Test(spool_damage, without_the_word_of_what_was_held_a_cut_file_opens_too)
{
    struct fixture *f = make(1 << 24, 0);
    struct kept k = fill(f);
    size_t kept = 0;
    const char *const words[] = {"",
                                 "00000000000000000002\n",
                                 "0000000000000000000x\n",
                                 "99999999999999999999\n",
                                 "09000000000000000006\n",
                                 "6\n"};
    for (size_t n = 0; n <= k.segment.length; n++) {
        const char *word = words[n % (sizeof words / sizeof *words)];
        kept += kept < FRAMES && n == k.ends[kept + 1];
        size_t rest = n - k.ends[kept];
        put_back(f, &k, n);
        spill(k.held_path, word, strlen(word));
        reopen(f);
        uint64_t next = kept + 1 + (rest >= 16); /* a number that can be seen is not given out again */
        next = word == words[1] && next < 3 ? 3 : next;
        cr_assert_eq(read_all(f, 1, NULL), kept, "%zu bytes", n);
        if (next > kept + 1) {
            reported(f, kept + 1, next - 1, n);
        } else {
            cr_assert_eq(f->report_count, rest ? 1 : 0, "%zu bytes: %zu reports", n, f->report_count);
        }
        goes_on(f, next, kept, n);
        shut(f);
    }
    drop_kept(f, &k);
}

Test(spool_damage, a_changed_bit_loses_only_the_frame_it_is_in_and_that_one_is_named)
{
    struct fixture *f = make(1 << 24, 0);
    struct kept k = fill(f);
    for (size_t bit = 0; bit < k.segment.length * 8; bit++) {
        bool got[MARKED];
        uint64_t hit = 1;
        while (bit / 8 >= k.ends[hit]) {
            hit++;
        }
        k.segment.data[bit / 8] ^= (char)(1 << bit % 8);
        put_back(f, &k, k.segment.length);
        k.segment.data[bit / 8] ^= (char)(1 << bit % 8);
        reopen(f);
        read_which(f, got);
        for (uint64_t i = 1; i <= FRAMES; i++) {
            cr_assert_eq(got[i], i != hit, "bit %zu: frame %llu", bit, (unsigned long long)i);
        }
        reported(f, hit, hit, bit);
        goes_on(f, FRAMES + 1, FRAMES - 1, bit);
        shut(f);
    }
    drop_kept(f, &k);
}

/* The same without the word of what was held: the damaged tail alone must show which numbers were in it. */
Test(spool_damage, a_changed_bit_in_the_last_frame_gives_its_number_to_no_other)
{
    struct fixture *f = make(1 << 24, 0);
    struct kept k = fill(f);
    for (size_t bit = k.ends[FRAMES - 1] * 8; bit < k.segment.length * 8; bit++) {
        bool magic = bit / 8 < k.ends[FRAMES - 1] + 4; /* then nothing tells that a frame began there */
        k.segment.data[bit / 8] ^= (char)(1 << bit % 8);
        put_back(f, &k, k.segment.length);
        k.segment.data[bit / 8] ^= (char)(1 << bit % 8);
        unlink(k.held_path);
        reopen(f);
        cr_assert_eq(read_all(f, 1, NULL), FRAMES - 1, "bit %zu", bit);
        cr_assert_eq(f->report_count, 1);
        if (!magic) {
            reported(f, FRAMES, FRAMES, bit);
        }
        goes_on(f, FRAMES + !magic, FRAMES - 1, bit);
        shut(f);
    }
    drop_kept(f, &k);
}

Test(spool_damage, a_changed_bit_in_an_earlier_segment_loses_only_its_frame_too)
{
    struct fixture *f = make(1 << 24, 100);
    append_held(f, 3 * FRAMES);
    shut(f);
    char *path = support_path(f->folder, "segment-00000000000000000003.v1");
    struct buffer whole = slurp(path);
    cr_assert_gt(whole.length, 100, "two frames or more");
    for (size_t bit = 0; bit < whole.length * 8; bit++) {
        bool got[MARKED];
        whole.data[bit / 8] ^= (char)(1 << bit % 8);
        spill(path, whole.data, whole.length);
        whole.data[bit / 8] ^= (char)(1 << bit % 8);
        reopen(f);
        read_which(f, got);
        uint64_t hit = 3 + (bit / 8 >= whole.length / 2);
        for (uint64_t i = 1; i <= 3 * FRAMES; i++) {
            cr_assert_eq(got[i], i != hit, "bit %zu: frame %llu", bit, (unsigned long long)i);
        }
        reported(f, hit, hit, bit);
        cr_assert_eq(f->reports[0].what, SPOOL_CORRUPT);
        shut(f);
    }
    spill(path, whole.data, whole.length);
    buffer_free(&whole);
    free(path);
    drop(f);
}

static bool mount_here(struct fixture *f, const char *options)
{
    /* In a mount namespace of this test's own process: nothing stays behind, however it ends. */
    bool mounted = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                   mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount("tmpfs", f->folder, "tmpfs", 0, options) == 0;
    if (!mounted) {
        fprintf(stderr, "no tmpfs can be mounted here\n");
    }
    return mounted;
}

/* A listener that ends with a fatal error is not started again by systemd; so no want of room may be one. */
Test(spool_damage, a_new_spool_on_a_full_disk_is_to_be_tried_again_whichever_file_finds_no_room)
{
    struct fixture *f = make(1 << 24, 0);
    struct err e = {0};
    char options[64];
    shut(f);
    if (!mount_here(f, "size=1m,nr_inodes=2")) {
        drop(f);
        return;
    }
    char *mounted = f->folder;
    f->folder = support_path(mounted, "a/spool");
    int refused = 0;
    for (int inodes = 2; try_open(f, &e); inodes++) {
        cr_assert_eq(e.kind, ERR_RETRY, "%d inodes: %s", inodes, e.text);
        cr_assert(strstr(e.text, "No space left") && strstr(e.text, mounted), "%s", e.text);
        cr_assert_lt(inodes, 40);
        refused++;
        snprintf(options, sizeof options, "size=1m,nr_inodes=%d", inodes + 1);
        cr_assert_eq(mount("tmpfs", mounted, "tmpfs", MS_REMOUNT, options), 0);
    }
    cr_assert_gt(refused, 4, "each file was the one without room once");
    append_held(f, 3);
    cr_assert_eq(read_all(f, 1, NULL), 3);
    cr_assert_eq(f->report_count, 0);
    shut(f);
    free(f->folder);
    f->folder = mounted;
    cr_assert_eq(umount(f->folder), 0);
    drop(f);
}

static void fill_disk(const char *path)
{
    char bytes[512] = {0};
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    while (write(fd, bytes, sizeof bytes) > 0) {
    }
    cr_assert_eq(errno, ENOSPC);
    close(fd);
}

/* Killed in the middle of a frame, on a disk that is full by then to the last byte. */
Test(spool_damage, a_torn_tail_on_a_full_disk_is_cut_and_the_rest_goes_on_when_there_is_room)
{
    struct fixture *f = make(1 << 24, 0);
    shut(f);
    if (!mount_here(f, "size=128k")) {
        drop(f);
        return;
    }
    reopen(f);
    struct kept k = fill(f);
    char *filler = support_path(f->folder, "filler"), *consumers = support_path(f->folder, "consumers");
    for (size_t torn = 0; torn < 60; torn += 19) { /* each waits a second for the spool to look again */
        struct err e;
        uint64_t sequence;
        char text[64];
        put_back(f, &k, k.segment.length);
        spill(consumers, "etl 2\n", 6);
        int fd = open(k.path, O_WRONLY | O_APPEND);
        cr_assert_eq(write(fd, k.segment.data, torn), (ssize_t)torn); /* half of some frame */
        close(fd);
        fill_disk(filler);
        reopen(f);
        cr_assert_eq(read_all(f, 1, NULL), FRAMES);
        cr_assert_eq(spool_held(f->spool), FRAMES, "nothing that was held is gone, nothing else is");
        cr_assert_eq(f->report_count, torn ? 1 : 0);
        do {
            payload_of(spool_last(f->spool) + 1, text);
        } while (spool_append(f->spool, view_of(text), &sequence, &e) == 0);
        cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text);
        cr_assert(support_run_until(&f->loop, all_held, f));
        uint64_t last = spool_last(f->spool);
        f->rooms = 0;
        unlink(filler);
        cr_assert(support_run_until(&f->loop, got_room, f));
        append_held(f, 2);
        cr_assert_eq(read_all(f, 1, NULL), last + 2);
        shut(f);
    }
    free(filler);
    free(consumers);
    cr_assert_eq(umount(f->folder), 0);
    drop_kept(f, &k);
}
