#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEST_MAGIC "roostclk"

/* The test hook's file, byte for byte (clock.h). */
struct test_file {
    char magic[8];
    int64_t base_us, wall_us, speed;
    _Atomic int64_t offset_ms;
};

/* Set once by main, before there are threads; NULL: no test. */
static const struct test_file *test;

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Microseconds of the test's clock since its base. */
static int64_t test_us(void)
{
    return (read_us(CLOCK_BOOTTIME) - test->base_us) * test->speed;
}

int64_t clock_wall_ms(void)
{
    return test ? (test->wall_us + test_us()) / 1000 +
                      atomic_load_explicit(&test->offset_ms, memory_order_relaxed)
                : read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_steady_us(void)
{
    return test ? test->base_us + test_us() : read_us(CLOCK_BOOTTIME);
}

int64_t clock_steady_ms(void)
{
    return clock_steady_us() / 1000;
}

int64_t clock_real_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_timer_ms(int64_t ms)
{
    return test && ms > 0 ? ms / test->speed + (ms % test->speed > 0) : ms;
}

int64_t clock_paced_wall_ms(void)
{
    return test ? (test->wall_us + read_us(CLOCK_BOOTTIME) - test->base_us) / 1000 +
                      atomic_load_explicit(&test->offset_ms, memory_order_relaxed)
                : read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_test_speed(void)
{
    return test ? test->speed : 0;
}

/* What speaks against a file of the right length; NULL: nothing. */
static const char *test_mistake(const struct test_file *file)
{
    if (memcmp(file->magic, TEST_MAGIC, sizeof file->magic) != 0) {
        return "it does not begin with \"" TEST_MAGIC "\"";
    }
    if (file->speed < 1 || file->speed > CLOCK_TEST_SPEED_MOST) {
        return "its speed is not between 1 and 10000";
    }
    if (file->base_us < 0 || file->base_us > read_us(CLOCK_BOOTTIME)) {
        return "its base lies in the future: was it made before this machine was started?";
    }
    return NULL;
}

int clock_use_test_file(const char *path, struct err *e)
{
    struct stat status;
    const struct test_file *file = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) {
        err_set(e, ERR_FATAL, "cannot read the test clock %s: %s", path, strerror(errno));
        goto failed;
    }
    if (status.st_size != (off_t)sizeof *file) {
        err_set(e, ERR_FATAL, "the test clock %s has %lld bytes, not %zu", path, (long long)status.st_size,
                sizeof *file);
        goto failed;
    }
    file = mmap(NULL, sizeof *file, PROT_READ, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) {
        err_set(e, ERR_FATAL, "cannot map the test clock %s: %s", path, strerror(errno));
        goto failed;
    }
    const char *mistake = test_mistake(file);
    if (mistake) {
        munmap((void *)file, sizeof *file);
        err_set(e, ERR_FATAL, "%s is no test clock: %s", path, mistake);
        goto failed;
    }
    close(fd);
    test = file;
    return 0;

failed:
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms": days_from_civil). */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? (int64_t)year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

int64_t clock_from_date(int year, int month, int day, int hour, int minute, int second, int millisecond)
{
    int64_t seconds = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return seconds * 1000 + millisecond;
}

char *clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    int64_t milliseconds = wall_ms % 1000;
    if (milliseconds < 0) {
        milliseconds += 1000;
    }
    time_t seconds = (time_t)((wall_ms - milliseconds) / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (t.tm_year + 1900) % 10000,
             (t.tm_mon + 1) % 100, t.tm_mday % 100, t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100,
             (int)milliseconds % 1000);
    return text;
}

static bool read_digits(struct view *text, size_t count, int *value)
{
    if (text->length < count) {
        return false;
    }
    int v = 0;
    for (size_t i = 0; i < count; i++) {
        char c = text->at[i];
        if (c < '0' || c > '9') {
            return false;
        }
        v = v * 10 + (c - '0');
    }
    *text = view_from(*text, count);
    *value = v;
    return true;
}

static bool read_char(struct view *text, const char *any_of)
{
    if (!text->length || !text->at[0] || !strchr(any_of, text->at[0])) {
        return false;
    }
    *text = view_from(*text, 1);
    return true;
}

static bool read_fraction(struct view *text, int *milliseconds)
{
    int scale = 100;
    size_t digits = 0;
    *milliseconds = 0;
    for (int digit; read_digits(text, 1, &digit); digits++) {
        *milliseconds += digit * scale;
        scale /= 10;
    }
    return digits > 0;
}

static bool read_offset(struct view *text, int *minutes)
{
    *minutes = 0;
    if (read_char(text, "Zz")) {
        return true;
    }
    bool west = text->length && text->at[0] == '-';
    int hour, minute;
    if (!read_char(text, "+-") || !read_digits(text, 2, &hour) || !read_char(text, ":") ||
        !read_digits(text, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *minutes = (hour * 60 + minute) * (west ? -1 : 1);
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

int clock_parse(struct view text, int64_t *wall_ms)
{
    int year, month, day, hour, minute, second, milliseconds = 0, offset;
    if (!text.at || !read_digits(&text, 4, &year) || !read_char(&text, "-") ||
        !read_digits(&text, 2, &month) || !read_char(&text, "-") || !read_digits(&text, 2, &day) ||
        !read_char(&text, "Tt ") || !read_digits(&text, 2, &hour) || !read_char(&text, ":") ||
        !read_digits(&text, 2, &minute) || !read_char(&text, ":") || !read_digits(&text, 2, &second)) {
        return -1;
    }
    if (read_char(&text, ".") && !read_fraction(&text, &milliseconds)) {
        return -1;
    }
    if (!read_offset(&text, &offset) || text.length) {
        return -1;
    }
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 60) {
        return -1;
    }
    *wall_ms =
        clock_from_date(year, month, day, hour, minute, second, milliseconds) - (int64_t)offset * 60000;
    return 0;
}
