#include "bridge_support.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *support_folder(void)
{
    char *path = strdup("/tmp/roost-bridge-XXXXXX");
    if (!path || !mkdtemp(path)) {
        abort();
    }
    return path;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void support_remove(char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

char *support_path(const char *folder, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        abort();
    }
    return path;
}

static size_t list(const char *folder, char last[256])
{
    size_t count = 0;
    last[0] = '\0';
    DIR *d = opendir(folder);
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (strncmp(entry->d_name, "segment-", 8) == 0) {
            count++;
            if (strcmp(entry->d_name, last) > 0) {
                snprintf(last, 256, "%s", entry->d_name);
            }
        }
    }
    closedir(d);
    return count;
}

char *support_last_segment(const char *folder)
{
    char last[256];
    list(folder, last);
    return support_path(folder, last);
}

size_t support_count_segments(const char *folder)
{
    char last[256];
    return list(folder, last);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* it only wakes the loop */
}

static bool never(void *user)
{
    (void)user;
    return false;
}

static bool run(uv_loop_t *loop, bool (*is_so)(void *user), void *user, int64_t ms)
{
    uv_timer_t tick;
    uv_timer_init(loop, &tick);
    uv_timer_start(&tick, on_tick, 2, 2);
    int64_t end = clock_steady_ms() + ms;
    bool so = is_so(user);
    while (!so && clock_steady_ms() < end) {
        uv_run(loop, UV_RUN_ONCE);
        so = is_so(user);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    while (uv_is_closing((uv_handle_t *)&tick) && uv_is_active((uv_handle_t *)&tick)) {
        uv_run(loop, UV_RUN_NOWAIT);
    }
    uv_run(loop, UV_RUN_NOWAIT);
    return so;
}

bool support_run_until(uv_loop_t *loop, bool (*is_so)(void *user), void *user)
{
    return run(loop, is_so, user, 10000);
}

void support_run_for(uv_loop_t *loop, unsigned ms)
{
    run(loop, never, NULL, ms);
}

struct buffer support_lower(struct view text)
{
    struct buffer out = BUFFER(1 << 26);
    for (size_t at = 0; at < text.length;) {
        size_t from = at;
        uint32_t point = utf8_next(text, &at);
        if (point >= 'A' && point <= 'Z') {
            buffer_add_byte(&out, (char)(point + 32));
        } else if (point == 0x212A) {
            buffer_add_byte(&out, 'k');
        } else if (point == 0x130) {
            buffer_add_text(&out, "i\xCC\x87");
        } else {
            buffer_append(&out, text.at + from, at - from);
        }
    }
    return out;
}

size_t support_occurrences(struct view text, struct view marker)
{
    size_t count = 0;
    for (size_t at = 0; at + marker.length <= text.length; at++) {
        count += memcmp(text.at + at, marker.at, marker.length) == 0;
    }
    return count;
}

void support_nasty_text(struct random *r, struct view marker, struct buffer *into)
{
    static const char *const pieces[] = {"\r",
                                         "\n",
                                         "\r\n",
                                         " ",
                                         "\"",
                                         "\\",
                                         "\xE2\x80\xA8",
                                         "\xC2\x85",
                                         "\x0B",
                                         "word",
                                         "\xF0\x9F\x90\xA6",
                                         "\xE6\x97\xA5\xE6\x9C\xAC",
                                         "\xC4\xB0",
                                         "\xE2\x84\xAA",
                                         "u0078",
                                         "8",
                                         "_",
                                         "x",
                                         "e"};
    size_t count = random_below(r, 12);
    for (size_t i = 0; i < count; i++) {
        if (random_below(r, 3) == 0) {
            buffer_add_text(into, pieces[random_below(r, sizeof pieces / sizeof pieces[0])]);
            continue;
        }
        /* The marker, or its beginning or end, in mixed case, some letters as the characters that become
         * them. */
        size_t from = random_below(r, 2) ? 0 : random_below(r, marker.length);
        size_t to = random_below(r, 2) ? marker.length : from + random_below(r, marker.length - from + 1);
        for (size_t at = from; at < to; at++) {
            char c = marker.at[at];
            if (c == 'k' && random_below(r, 2)) {
                buffer_add_text(into, "\xE2\x84\xAA");
            } else if (c == 'i' && random_below(r, 2)) {
                buffer_add_text(into, "\xC4\xB0");
            } else {
                buffer_add_byte(into, c >= 'a' && c <= 'z' && random_below(r, 2) ? (char)(c - 32) : c);
            }
        }
    }
}
