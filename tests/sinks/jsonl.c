/* The jsonl sink: every line whole, in order, on disk before it counts; a crash leaves nothing torn. */
#include "sinks/jsonl.h"

#include "base/file.h"
#include "tests/sinks/support/loads.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/roost-jsonl-XXXXXX";
static char path[100], position_path[120];
static struct jsonl_settings settings = {.path = path, .file_max = 1 << 20};

static int count_files(bool remove_them)
{
    char name[400];
    int count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
            count++;
            if (remove_them) {
                unlink(name);
            }
        }
    }
    closedir(d);
    return count;
}

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/posts.jsonl", folder);
    snprintf(position_path, sizeof position_path, "%s.position", path);
}

static void remove_folder(void)
{
    count_files(true);
    rmdir(folder);
}

TestSuite(jsonl, .init = make_folder, .fini = remove_folder);

static struct sink *open_sink(void)
{
    struct err e;
    struct sink *s = sink_jsonl.open(&settings, "file", &e);
    cr_assert_not_null(s, "%s", e.text);
    return s;
}

static void write_all(struct sink *s, struct made_load *m)
{
    struct err e;
    cr_assert_eq(sink_jsonl.write(s, load_end(m), &e), 0, "%s", e.text);
    free(m);
}

static uint64_t position_of(struct sink *s)
{
    struct err e;
    uint64_t sequence;
    cr_assert_eq(sink_jsonl.position(s, "etl", VIEW("spool-a"), &sequence, &e), 0);
    return sequence;
}

/* Every line of the file is a post or event; their ids, comma separated. */
static void expect_ids(const char *wanted)
{
    struct buffer text = BUFFER(1 << 20), ids = BUFFER(1 << 20);
    struct arena *a = arena_new(1 << 20);
    struct err e;
    cr_assert_eq(file_read(path, &text, &e), 0, "%s", e.text);
    for (struct view left = buffer_view(&text); left.length > 0;) {
        struct post p;
        const char *end = memchr(left.at, '\n', left.length);
        cr_assert_not_null(end);
        cr_assert_eq(post_read(view_make(left.at, (size_t)(end - left.at)), a, &p, &e), 0, "%s", e.text);
        buffer_add_text(&ids, view_absent(p.id) ? post_kind_names[p.kind] : p.id.at);
        buffer_add_byte(&ids, ',');
        left = view_from(left, (size_t)(end + 1 - left.at));
    }
    cr_expect_str_eq(buffer_string(&ids), wanted);
    buffer_free(&text);
    buffer_free(&ids);
    arena_free(a);
}

Test(jsonl, lines_come_in_order_and_once_also_after_a_restart)
{
    struct sink *s = open_sink();
    struct made_load *m = load_of(1, 1, 2);
    load_add_event(m, POST_DELETE, "{}");
    load_add_post(m, 4);
    write_all(s, m);
    sink_jsonl.close(s);
    s = open_sink();
    cr_expect_eq(position_of(s), 4u);
    write_all(s, load_of(3, 3, 3));
    cr_expect_eq(position_of(s), 5u);
    expect_ids("1,2,delete,4,5,");
    sink_jsonl.close(s);
}

static void write_to(struct sink *s, const char *spool, uint64_t first)
{
    struct made_load *m = load_of(first, 1, 2);
    m->part.spool = view_of(spool);
    write_all(s, m);
}

static void expect_latest(struct sink *s, const char *consumer, const char *spool, uint64_t sequence)
{
    struct err e;
    struct sink_latest latest;
    cr_assert_eq(sink_jsonl.latest(s, consumer, &latest, &e), 0);
    cr_expect_str_eq(latest.spool, spool);
    cr_expect_eq(latest.sequence, sequence);
}

Test(jsonl, the_spool_written_last_is_known_also_after_a_restart_and_on_the_way_back)
{
    struct sink *s = open_sink();
    expect_latest(s, "etl", "", 0);
    write_to(s, "spool-b", 1);
    write_to(s, "spool-a", 1);
    expect_latest(s, "etl", "spool-a", 2);
    write_to(s, "spool-b", 3);
    sink_jsonl.close(s);
    s = open_sink();
    expect_latest(s, "etl", "spool-b", 4);
    expect_latest(s, "another", "", 0);
    cr_expect_eq(position_of(s), 2u);
    sink_jsonl.close(s);
}

Test(jsonl, a_torn_line_is_cut_off)
{
    struct sink *s = open_sink();
    write_all(s, load_of(1, 1, 2));
    sink_jsonl.close(s);
    FILE *f = fopen(path, "a");
    for (int i = 0; i < 10000; i++) {
        fputs("torn", f);
    }
    fclose(f);
    s = open_sink();
    write_all(s, load_of(3, 3, 1));
    expect_ids("1,2,3,");
    sink_jsonl.close(s);
}

Test(jsonl, full_files_are_renamed_and_the_oldest_go)
{
    settings.file_max = 1;
    settings.files = 2;
    struct sink *s = open_sink();
    for (uint64_t i = 1; i <= 6;) {
        struct err e;
        struct made_load *m = load_of(i, (int64_t)i, 1);
        /* Two rotations within one millisecond: the second is refused and tried again, as the job does. */
        i += sink_jsonl.write(s, &m->load, &e) == 0;
        free(m);
    }
    expect_ids("6,");
    cr_expect_eq(count_files(false), 4, "the file, its position, two renamed ones");
    sink_jsonl.close(s);
}

Test(jsonl, one_file_has_one_writer)
{
    struct err e;
    struct sink *s = open_sink();
    cr_expect_null(sink_jsonl.open(&settings, "second", &e));
    cr_expect_eq(e.kind, ERR_FATAL);
    sink_jsonl.close(s);
}

Test(jsonl, a_full_disk_leaves_no_half_line)
{
    struct err e;
    struct sink *s = open_sink();
    write_all(s, load_of(1, 1, 2));
    /* As on a full disk, a write stops in the middle of a line and then fails. */
    struct rlimit limit, usual;
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &usual), 0);
    limit = usual;
    limit.rlim_cur = (rlim_t)status.st_size + 300;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct made_load *m = load_of(3, 3, 100);
    cr_expect_eq(sink_jsonl.write(s, &m->load, &e), -1);
    cr_expect_eq(e.kind, ERR_RETRY, "%s", e.text);
    free(m);
    expect_ids("1,2,");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &usual), 0);
    cr_expect_eq(position_of(s), 2u);
    write_all(s, load_of(3, 3, 2));
    expect_ids("1,2,3,4,");
    sink_jsonl.close(s);
}
