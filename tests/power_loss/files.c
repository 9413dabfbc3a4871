/* The small files under power loss: replaced whole or not at all, and there once it was said that they are.
 */
#include "base/file.h"
#include "base/random.h"
#include "ingest/ledger_file.h"
#include "ingest/streamed.h"
#include "tests/power_loss/support/trial.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEYS = 60, VALUE_MOST = 3000 };

/* --- file_replace, in a folder of file_make_folder --- */

static void live_replacing(const char *folder, unsigned life, bool last, uint64_t seed)
{
    char home[256], path[300], value[VALUE_MOST + 1];
    struct random r = {seed * 16 + life};
    struct buffer found = BUFFER(VALUE_MOST);
    struct err e;
    (void)last;
    snprintf(home, sizeof home, "%s/some/where", folder);
    snprintf(path, sizeof path, "%s/value", home);
    if (access(path, F_OK) == 0) {
        if (file_read(path, &found, &e)) {
            trial_say("failed %s", e.text);
        }
        trial_say("found %.*s", VIEW_PRINT(buffer_view(&found)));
        buffer_free(&found);
    } else {
        trial_say("none");
    }
    if (file_make_folder(home, &e)) {
        trial_say("failed %s", e.text);
    }
    for (int i = 0; i < 4; i++) {
        size_t length = 1 + random_below(&r, VALUE_MOST);
        memset(value, 'a' + (int)random_below(&r, 26), length);
        int n = snprintf(value, sizeof value, "%u-%d-%" PRIu64 "-", life, i, random_next(&r));
        value[n] = 'x';
        value[length > (size_t)n ? length : (size_t)n] = '\0';
        trial_say("try %s", value);
        if (file_replace(path, view_of(value), 0600, &e)) {
            trial_say("failed %s", e.text);
        }
        trial_say("wrote %s", value);
    }
}

struct replaced {
    char wrote[VALUE_MOST + 1], tried[VALUE_MOST + 1]; /* one at a time is under way */
    char left[VALUE_MOST + 1];                         /* by a killed process */
    bool there, under_way;
    bool killed, after_kill; /* this life ends so; it began so: what it finds may not be durable yet */
};

static void judge_replaced(void *memory, const char *line, struct buffer *wrong)
{
    struct replaced *m = memory;
    if (strncmp(line, "life ", 5) == 0) {
        m->after_kill = m->killed;
        m->killed = strstr(line, "killed") != NULL;
        if (m->after_kill) {
            snprintf(m->left, sizeof m->left, "%s", m->tried);
        }
    } else if (strncmp(line, "try ", 4) == 0) {
        snprintf(m->tried, sizeof m->tried, "%s", line + 4);
        m->under_way = true;
    } else if (strncmp(line, "wrote ", 6) == 0) {
        snprintf(m->wrote, sizeof m->wrote, "%s", line + 6);
        m->left[0] = '\0';
        m->there = true;
        m->under_way = false;
    } else if (strncmp(line, "found ", 6) == 0) {
        bool old = m->there && strcmp(line + 6, m->wrote) == 0;
        bool left = strcmp(line + 6, m->left) == 0;
        if (!old && !left && !(m->under_way && strcmp(line + 6, m->tried) == 0)) {
            buffer_print(wrong, "neither what was written nor what was being written");
        }
        if (!m->after_kill) {
            snprintf(m->wrote, sizeof m->wrote, "%s", line + 6);
            m->left[0] = '\0';
            m->there = true;
            m->under_way = false;
        }
    } else if (strcmp(line, "none") == 0 && m->there) {
        buffer_print(wrong, "it is gone");
    } else if (strncmp(line, "failed", 6) == 0) {
        buffer_print(wrong, "it failed");
    }
}

/* --- which credentials have streamed --- */

static void live_streamed(const char *folder, unsigned life, bool last, uint64_t seed)
{
    char path[300], key[20];
    struct err e;
    (void)last;
    (void)seed;
    snprintf(path, sizeof path, "%s/streamed", folder);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key %u", i);
        trial_say("%s %u", streamed_before(path, key) ? "knows" : "knows-not", i);
    }
    for (unsigned i = life * 10; i < life * 10 + 8; i++) {
        snprintf(key, sizeof key, "key %u", i);
        trial_say("remember %u", i);
        if (streamed_remember(path, key, &e)) {
            trial_say("failed %s", e.text);
        }
        trial_say("remembered %u", i);
    }
}

static void judge_streamed(void *memory, const char *line, struct buffer *wrong)
{
    char *state = memory, word[20]; /* 0: never, 1: may be, 2: must be */
    unsigned key;
    if (strncmp(line, "failed", 6) == 0) {
        buffer_print(wrong, "it failed");
    }
    if (sscanf(line, "%19s %u", word, &key) != 2 || key >= KEYS) {
        return;
    }
    if (strcmp(word, "remember") == 0) {
        state[key] = 1;
    } else if (strcmp(word, "remembered") == 0) {
        state[key] = 2;
    } else if (strcmp(word, "knows") == 0) {
        if (!state[key]) {
            buffer_print(wrong, "it was never remembered");
        }
        state[key] = 2;
    } else if (strcmp(word, "knows-not") == 0) {
        if (state[key] == 2) {
            buffer_print(wrong, "it was remembered");
        }
        state[key] = 0;
    }
}

/* --- the ledger: `counted` stands for all that is in an entry --- */

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static void close_ledger(struct ledger *l, uv_loop_t *loop, int64_t wall)
{
    bool closed = false;
    ledger_close(l, on_closed, &closed);
    while (!closed) {
        uv_run(loop, UV_RUN_ONCE);
    }
    trial_say("wrote %" PRId64, wall);
}

static void live_ledger(const char *folder, unsigned life, bool last, uint64_t seed)
{
    char path[300];
    struct err e;
    struct random r = {seed * 16 + life};
    uv_loop_t loop;
    (void)last;
    uv_loop_init(&loop);
    snprintf(path, sizeof path, "%s/sources", folder);
    for (int i = 0; i < 4; i++) {
        struct ledger *l = ledger_open(&loop, path, &e);
        struct ledger_entry *entry = ledger_take(l, "a source");
        int64_t wall = entry->begun ? entry->counted.wall : 0;
        trial_say("found %" PRId64, wall);
        for (uint64_t changes = random_below(&r, 4); changes; changes--) {
            entry->begun = entry->running = true;
            entry->alive = entry->counted = ledger_now(ledger_boot(l));
            entry->counted.wall = ++wall;
            trial_say("try %" PRId64, wall);
            ledger_changed(l);
            uv_run(&loop, UV_RUN_NOWAIT);
        }
        close_ledger(l, &loop, wall);
    }
}

static void judge_ledger(void *memory, const char *line, struct buffer *wrong)
{
    struct {
        int64_t wrote, tried;
    } *m = memory;
    int64_t wall;
    if (sscanf(line, "try %" SCNd64, &wall) == 1) {
        m->tried = wall;
    } else if (sscanf(line, "wrote %" SCNd64, &wall) == 1) {
        m->wrote = wall;
    } else if (sscanf(line, "found %" SCNd64, &wall) == 1) {
        if (wall < m->wrote || wall > m->tried) {
            buffer_print(wrong, "%" PRId64 " to %" PRId64 " were written", m->wrote, m->tried);
        }
        m->wrote = m->tried = wall;
    }
}

int main(void)
{
    const struct trial replacing = {.name = "file_replace and file_make_folder",
                                    .live = live_replacing,
                                    .judge = judge_replaced,
                                    .memory_size = sizeof(struct replaced),
                                    .seeds = 3,
                                    .jobs = 2,
                                    .kills = true};
    const struct trial streamed = {.name = "which credentials have streamed",
                                   .live = live_streamed,
                                   .judge = judge_streamed,
                                   .memory_size = KEYS,
                                   .seeds = 1,
                                   .jobs = 2};
    const struct trial ledger = {.name = "the ledger",
                                 .live = live_ledger,
                                 .judge = judge_ledger,
                                 .memory_size = 2 * sizeof(int64_t),
                                 .seeds = 2,
                                 .jobs = 2};
    int result = trial_run(&replacing);
    result |= trial_run(&streamed);
    return result | trial_run(&ledger);
}
