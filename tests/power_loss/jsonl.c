/* The jsonl sink under power loss: lines of acknowledged loads are there, whole and in order, at least once;
 * the position is never ahead of them; no line is torn. */
#include "sinks/jsonl.h"

#include "base/file.h"
#include "base/random.h"
#include "tests/power_loss/support/trial.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDS = 1000, LOAD_MOST = 5, TEXT_MOST = 700, LOADS = 9 };

static void say_line(struct view line)
{
    struct arena *a = arena_new(1 << 20);
    struct post p;
    struct err e;
    if (a && post_read(line, a, &p, &e) == 0 && !view_absent(p.id)) {
        trial_say("line %.*s", VIEW_PRINT(p.id));
    } else {
        trial_say("garbage of %zu bytes: %.*s", line.length, (int)(line.length < 40 ? line.length : 40),
                  line.at[0] ? line.at : "(zeros)");
    }
    arena_free(a);
}

static void say_file(const char *folder, const char *name)
{
    char path[600];
    struct err e;
    struct buffer text = BUFFER(1 << 22);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_read(path, &text, &e)) {
        trial_say("failed %s", e.text);
    }
    trial_say("file %s", name);
    for (struct view left = buffer_view(&text); left.length;) {
        const char *end = memchr(left.at, '\n', left.length);
        size_t length = end ? (size_t)(end - left.at) : left.length;
        say_line(view_make(left.at, length));
        left = view_from(left, length + 1);
    }
    buffer_free(&text);
}

static int is_renamed(const struct dirent *entry)
{
    return strncmp(entry->d_name, "out.jsonl.2", 11) == 0;
}

static void say_lines(const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, is_renamed, alphasort);
    trial_say("lines");
    for (int i = 0; i < count; i++) {
        say_file(folder, names[i]->d_name);
        free(names[i]);
    }
    if (count >= 0) {
        free(names);
    }
    say_file(folder, "out.jsonl");
}

static void say_position(struct sink *s, const char *word)
{
    uint64_t position;
    struct err e;
    if (sink_jsonl.position(s, "etl", VIEW("spool-a"), &position, &e)) {
        trial_say("failed %s", e.text);
    } else {
        trial_say("%s %" PRIu64, word, position);
    }
}

/* A load whose posts have their sequences as ids. */
static int write_load(struct sink *s, struct random *r, uint64_t first, size_t count)
{
    static char texts[LOAD_MOST][TEXT_MOST + 1], ids[LOAD_MOST][24];
    struct post posts[LOAD_MOST];
    struct load_row rows[LOAD_MOST];
    struct err e;
    for (size_t i = 0; i < count; i++) {
        size_t length = 1 + random_below(r, TEXT_MOST);
        memset(texts[i], 'a' + (int)random_below(r, 26), length);
        snprintf(ids[i], sizeof ids[i], "%" PRIu64, first + i);
        post_init(&posts[i]);
        posts[i].network = VIEW("x");
        posts[i].id = view_of(ids[i]);
        posts[i].created_at = posts[i].received_at = 1539202764000;
        posts[i].source = VIEW("some");
        posts[i].text = posts[i].clean_text = view_make(texts[i], length);
        rows[i] = (struct load_row){.sequence = first + i, .post = &posts[i], .frame = VIEW("{}")};
    }
    const struct load_part part = {.spool = VIEW("spool-a"),
                                   .first_sequence = first,
                                   .last_sequence = first + count - 1,
                                   .received = count,
                                   .posts = rows,
                                   .post_count = count};
    const struct load load = {.consumer = "etl", .parts = &part, .part_count = 1};
    trial_say("try %" PRIu64, part.last_sequence);
    return sink_jsonl.write(s, &load, &e);
}

static void live(const char *folder, unsigned life, bool last, uint64_t seed)
{
    static char path[300];
    static struct jsonl_settings settings = {.path = path, .file_max = 4000};
    struct random r = {seed * 16 + life};
    struct err e;
    (void)last;
    snprintf(path, sizeof path, "%s/out.jsonl", folder);
    struct sink *s = sink_jsonl.open(&settings, "file", &e);
    if (!s) {
        trial_say("failed %s", e.text);
        return;
    }
    say_position(s, "position");
    say_lines(folder);
    trial_say("end");
    uint64_t position = 0;
    for (int i = 0; i < LOADS; i++) {
        if (sink_jsonl.position(s, "etl", VIEW("spool-a"), &position, &e) == 0) {
            write_load(s, &r, position + 1, 1 + random_below(&r, LOAD_MOST));
            say_position(s, "acknowledged");
        }
    }
    sink_jsonl.close(s);
}

struct memory {
    uint64_t acknowledged, tried, position, before;
    bool seen[IDS];
};

static void judge(void *memory, const char *line, struct buffer *wrong)
{
    struct memory *m = memory;
    uint64_t n;
    if (sscanf(line, "try %" SCNu64, &n) == 1) {
        m->tried = n > m->tried ? n : m->tried;
    } else if (sscanf(line, "acknowledged %" SCNu64, &n) == 1) {
        m->acknowledged = n;
    } else if (sscanf(line, "position %" SCNu64, &n) == 1) {
        if (n < m->acknowledged || n > m->tried) {
            buffer_print(wrong, "%" PRIu64 " was acknowledged, %" PRIu64 " tried", m->acknowledged, m->tried);
        }
        m->position = m->acknowledged = n; /* the job acknowledges it to the bridge */
        memset(m->seen, 0, sizeof m->seen);
    } else if (strncmp(line, "file ", 5) == 0) {
        m->before = UINT64_MAX;
    } else if (sscanf(line, "line %" SCNu64, &n) == 1 && n < IDS) {
        if (n > m->tried || (m->before != UINT64_MAX && n > m->before + 1)) {
            buffer_print(wrong, "line %" PRIu64 " follows %" PRIu64, n, m->before);
        }
        m->before = n;
        m->seen[n] = true;
    } else if (strcmp(line, "end") == 0) {
        for (uint64_t i = 1; i <= m->position && i < IDS && !wrong->length; i++) {
            if (!m->seen[i]) {
                buffer_print(wrong, "line %" PRIu64 " is gone, the position is %" PRIu64, i, m->position);
            }
        }
    } else if (strncmp(line, "garbage", 7) == 0 || strncmp(line, "failed", 6) == 0) {
        buffer_print(wrong, "not as promised");
    }
}

int main(void)
{
    const struct trial t = {.name = "the jsonl sink",
                            .live = live,
                            .judge = judge,
                            .memory_size = sizeof(struct memory),
                            .seeds = 2,
                            .jobs = 2,
                            .kills = true};
    return trial_run(&t);
}
