/* tests/base/clock.c - the clock's test hook: jumps move wall times alone, speed moves all but real time. */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR_MS INT64_C(3600000)

/* As a script writes it: 40 bytes. */
struct image {
    char magic[8];
    int64_t base_us, wall_us, speed, offset_ms;
};

struct fixture {
    char path[64];
    int fd;
    struct image image;
};

static struct fixture make(int64_t speed)
{
    struct fixture f = {.path = "/tmp/roost-clock-XXXXXX"};
    f.fd = mkstemp(f.path);
    cr_assert_geq(f.fd, 0);
    f.image = (struct image){.magic = {'r', 'o', 'o', 's', 't', 'c', 'l', 'k'},
                             .base_us = clock_real_ms() * 1000,
                             .wall_us = 1000000,
                             .speed = speed};
    return f;
}

static void store(struct fixture *f)
{
    cr_assert_eq(pwrite(f->fd, &f->image, sizeof f->image, 0), (ssize_t)sizeof f->image);
}

static void drop(struct fixture *f)
{
    close(f->fd);
    unlink(f->path);
}

static void use(struct fixture *f)
{
    struct err e;
    store(f);
    cr_assert_eq(clock_use_test_file(f->path, &e), 0, "%s", e.text);
}

Test(clock_test_file, without_it_nothing_is_changed)
{
    int64_t real = clock_real_ms(), steady = clock_steady_ms(), wall = clock_wall_ms();
    cr_assert(steady - real >= 0 && steady - real < 1000);
    cr_assert(clock_paced_wall_ms() - wall < 1000);
    cr_assert_eq(clock_test_speed(), 0);
    cr_assert_eq(clock_timer_ms(12345), 12345);
    cr_assert_eq(clock_timer_ms(-1), -1);
}

Test(clock_test_file, a_jump_moves_wall_times_and_no_duration)
{
    struct fixture f = make(1);
    use(&f);
    int64_t steady = clock_steady_ms(), wall = clock_wall_ms();
    cr_assert(wall >= 1000 && wall < 1000 + HOUR_MS / 2, "the wall time is the file's: %lld",
              (long long)wall);
    const int64_t jumps[] = {HOUR_MS, -HOUR_MS, 24 * HOUR_MS, 0};
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        f.image.offset_ms = jumps[i];
        store(&f);
        int64_t passed = clock_steady_ms() - steady, moved = clock_wall_ms() - wall - jumps[i];
        cr_assert(passed >= 0 && passed < HOUR_MS / 2, "%lld", (long long)passed);
        cr_assert(moved >= passed - 2 && moved < HOUR_MS / 2, "%lld", (long long)moved);
    }
    cr_assert_eq(clock_timer_ms(7), 7);
    drop(&f);
}

Test(clock_test_file, speed_is_that_of_wall_and_steady_time_and_not_of_real_time)
{
    struct fixture f = make(1000);
    use(&f);
    int64_t real = clock_real_ms(), steady = clock_steady_ms(), wall = clock_wall_ms(),
            paced = clock_paced_wall_ms();
    while (clock_real_ms() - real < 20) {
        usleep(1000);
    }
    int64_t least = clock_steady_ms() - steady, moved = clock_wall_ms() - wall;
    int64_t most = (clock_real_ms() - real + 2) * 1000;
    cr_assert(least >= 18 * 1000 && least <= most, "%lld ms, at most %lld", (long long)least,
              (long long)most);
    cr_assert(moved >= 18 * 1000, "%lld", (long long)moved);
    int64_t real_pace = clock_paced_wall_ms() - paced;
    cr_assert(real_pace >= 18 && real_pace * 1000 <= (clock_real_ms() - real + 2) * 1000);
    cr_assert_eq(clock_test_speed(), 1000);
    cr_assert_eq(clock_timer_ms(90000), 90);
    cr_assert_eq(clock_timer_ms(90001), 91, "rounded up: a timer is never early");
    cr_assert_eq(clock_timer_ms(1), 1);
    cr_assert_eq(clock_timer_ms(0), 0);
    cr_assert_eq(clock_timer_ms(-1), -1);
    drop(&f);
}

static void refused(struct fixture *f, const char *why)
{
    struct err e;
    store(f);
    cr_assert_eq(clock_use_test_file(f->path, &e), -1);
    cr_assert_eq(e.kind, ERR_FATAL);
    cr_assert(strstr(e.text, why) && strstr(e.text, f->path), "%s", e.text);
    cr_assert_eq(clock_test_speed(), 0, "the time stays the machine's");
}

Test(clock_test_file, a_file_that_is_none_is_refused)
{
    struct fixture f = make(0);
    struct err e;
    refused(&f, "speed");
    f.image.speed = 10001;
    refused(&f, "speed");
    f.image.speed = 1;
    f.image.base_us += 3600 * INT64_C(1000000);
    refused(&f, "future");
    f.image.base_us = -1;
    refused(&f, "future");
    f.image.magic[0] = 'R';
    refused(&f, "does not begin");
    cr_assert_eq(ftruncate(f.fd, 39), 0);
    cr_assert_eq(clock_use_test_file(f.path, &e), -1);
    cr_assert(strstr(e.text, "39 bytes"), "%s", e.text);
    cr_assert_eq(clock_use_test_file("/nonexistent/clock", &e), -1);
    cr_assert(strstr(e.text, "/nonexistent/clock: No such file"), "%s", e.text);
    drop(&f);
}
