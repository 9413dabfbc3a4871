/* tests/base/watchdog.c - who is blamed for standing still, and who is not. Limits of some 10 ms, real time.
 */
#include "base/watchdog.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_US = 40 * 1000 };

enum wish { WISH_NOTHING, WISH_PROGRESS, WISH_REST, WISH_RESUME, WISH_CALL, WISH_END };

/* A thread that does what it is told. */
struct actor {
    pthread_t thread;
    _Atomic enum wish wish;
    atomic_bool done; /* with the last one */
};

static void *act(void *argument)
{
    struct actor *a = argument;
    watchdog_enter("actor");
    for (;;) {
        enum wish wish = atomic_exchange(&a->wish, WISH_NOTHING);
        if (wish == WISH_END) {
            watchdog_leave();
            return NULL;
        }
        void (*const does[])(void) = {[WISH_PROGRESS] = watchdog_progress,
                                      [WISH_REST] = watchdog_rest,
                                      [WISH_RESUME] = watchdog_resume,
                                      [WISH_CALL] = watchdog_call_begins};
        if (wish != WISH_NOTHING) {
            does[wish]();
            atomic_store(&a->done, true);
        }
        poll(NULL, 0, 1);
    }
}

static void tell(struct actor *a, enum wish wish)
{
    atomic_store(&a->done, false);
    atomic_store(&a->wish, wish);
    while (wish != WISH_END && !atomic_load(&a->done)) {
        poll(NULL, 0, 1);
    }
}

struct said {
    int hangs, recovered;
    char name[WATCHDOG_NAME_SIZE];
};

static void say(void *user, const char *name, int64_t still_ms, bool hangs)
{
    struct said *s = user;
    (void)still_ms;
    s->hangs += hangs;
    s->recovered += !hangs;
    snprintf(s->name, sizeof s->name, "%s", name);
}

/* Judges each judge_ms for `rounds` times; whether all of them were fine. */
static bool judge(int rounds, struct said *said)
{
    bool fine = true;
    for (int i = 0; i < rounds; i++) {
        fine = watchdog_judge(say, said) && fine;
        poll(NULL, 0, watchdog_judge_ms());
    }
    return fine;
}

static void begin(struct actor *a)
{
    watchdog_set_limit(LIMIT_US);
    *a = (struct actor){.wish = WISH_PROGRESS};
    pthread_create(&a->thread, NULL, act, a);
    while (!atomic_load(&a->done)) {
        poll(NULL, 0, 1);
    }
}

static void end(struct actor *a)
{
    tell(a, WISH_END);
    pthread_join(a->thread, NULL);
}

Test(watchdog, a_busy_thread_that_stands_still_is_named_once_and_so_is_its_return)
{
    struct actor a;
    struct said said = {0};
    begin(&a);
    cr_expect_not(judge(12, &said));
    cr_expect_eq(said.hangs, 1);
    cr_expect_str_eq(said.name, "actor");
    cr_assert_not_null(watchdog_hanging(0));
    cr_expect_str_eq(watchdog_hanging(0), "actor");
    cr_expect_null(watchdog_hanging(1));
    tell(&a, WISH_PROGRESS);
    cr_expect(watchdog_judge(say, &said));
    cr_expect_eq(said.recovered, 1);
    cr_expect_null(watchdog_hanging(0));
    end(&a);
}

Test(watchdog, an_idle_thread_may_wait_for_ever_and_one_in_a_call_longer)
{
    struct actor a;
    struct said said = {0};
    begin(&a);
    tell(&a, WISH_REST);
    cr_expect(judge(20, &said));
    tell(&a, WISH_CALL);
    cr_expect(judge(6, &said), "twice the limit is nothing for one call");
    cr_expect_not(judge(60, &said), "but it ends somewhere");
    cr_expect_eq(said.hangs, 1);
    end(&a);
}

Test(watchdog, progress_however_slow_is_progress)
{
    struct actor a;
    struct said said = {0};
    begin(&a);
    for (int i = 0; i < 30; i++) {
        tell(&a, WISH_PROGRESS);
        cr_expect(watchdog_judge(say, &said));
        poll(NULL, 0, watchdog_judge_ms());
    }
    cr_expect_eq(said.hangs, 0);
    end(&a);
}

Test(watchdog, a_judge_that_was_stopped_blames_nobody)
{
    struct actor a;
    struct said said = {0};
    begin(&a);
    cr_expect(watchdog_judge(say, &said));
    poll(NULL, 0, 10 * LIMIT_US / 1000); /* as after SIGSTOP and SIGCONT */
    cr_expect(watchdog_judge(say, &said), "at most twice the interval counts");
    cr_expect_eq(said.hangs, 0);
    end(&a);
}

Test(watchdog, work_that_no_pool_thread_takes_is_seen)
{
    struct said said = {0};
    watchdog_set_limit(LIMIT_US / 8);
    watchdog_errand_given("a write");
    cr_expect_not(judge(120, &said));
    cr_expect_str_eq(said.name, "a write");
    watchdog_errand_runs("a write");
    watchdog_errand_done("a write");
    cr_expect(judge(120, &said));
    cr_expect_eq(said.recovered, 1);
}

Test(watchdog, a_thread_that_left_is_not_missed_and_its_slot_is_taken_again)
{
    struct said said = {0};
    for (int i = 0; i < 2 * WATCHDOG_SLOTS; i++) {
        watchdog_enter("passing");
        watchdog_leave();
    }
    watchdog_set_limit(LIMIT_US);
    cr_expect(judge(12, &said));
    watchdog_progress(); /* without a slot: nothing */
    watchdog_rest();
}

Test(watchdog, slices_are_shorter_than_the_limit)
{
    watchdog_set_limit(0);
    cr_expect_eq(watchdog_slice_ms(), 5000);
    watchdog_set_limit(15000000);
    cr_expect_eq(watchdog_slice_ms(), 5000);
    watchdog_set_limit(500000);
    cr_expect_eq(watchdog_slice_ms(), 250);
}

Test(watchdog, the_hook_stops_the_named_thread_once_its_file_is_there)
{
    struct actor a;
    struct said said = {0};
    struct err e;
    char path[64], spec[96];
    cr_expect_eq(watchdog_use_test_hang("", &e), -1);
    cr_expect_eq(watchdog_use_test_hang("=x", &e), -1);
    cr_expect_eq(watchdog_use_test_hang("actor=", &e), -1);
    snprintf(path, sizeof path, "/tmp/roost-test-hang-%d", (int)getpid());
    snprintf(spec, sizeof spec, "actor=%s", path);
    cr_assert_eq(watchdog_use_test_hang(spec, &e), 0);
    begin(&a);
    tell(&a, WISH_PROGRESS);
    tell(&a, WISH_PROGRESS);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fclose(file);
    atomic_store(&a.wish, WISH_PROGRESS);
    cr_expect_not(judge(12, &said));
    cr_expect_str_eq(said.name, "actor");
    unlink(path); /* the thread stays where it is */
}
