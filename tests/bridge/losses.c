/* What the spool loses becomes gap events in the spool itself. */
#include "bridge/bridge.h"

#include "base/json.h"
#include "bridge/spool.h"
#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    uv_loop_t loop;
    struct bridge_settings settings;
    struct bridge *bridge;
    bool closed;
    struct buffer gaps; /* "cause undelivered; " of each */
    uint64_t frames;
    int talks; /* each under a name of its own */
};

static void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static bool is_closed(void *user)
{
    return ((struct fixture *)user)->closed;
}

static void open_bridge(struct fixture *f)
{
    struct err e;
    f->bridge = bridge_open(&f->loop, &f->settings, NULL, &e);
    cr_assert_not_null(f->bridge, "%s", e.text);
}

static void close_bridge(struct fixture *f)
{
    f->closed = false;
    bridge_close(f->bridge, 2000, on_closed, f);
    cr_assert(support_run_until(&f->loop, is_closed, f));
}

static void make(struct fixture *f, int64_t maximum)
{
    *f = (struct fixture){.gaps = BUFFER(1 << 20)};
    uv_loop_init(&f->loop);
    f->settings = (struct bridge_settings){.listen = (char *)"127.0.0.1:0",
                                           .end_marker = (char *)"__end",
                                           .spool_dir = support_folder(),
                                           .spool_max = maximum,
                                           .when_full = BRIDGE_WHEN_FULL_DROP_OLDEST};
    open_bridge(f);
}

static void drop(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_loop_close(&f->loop);
    support_remove(f->settings.spool_dir);
    buffer_free(&f->gaps);
}

static void publish(struct fixture *f, int count)
{
    struct post post;
    struct err e;
    post_init(&post);
    post.network = VIEW("x");
    post.id = VIEW("1");
    post.text = VIEW("a text that is long enough to fill a spool after a while");
    for (int i = 0; i < count; i++) {
        while (bridge_publish(f->bridge, &post, &e)) { /* the oldest segment is still being synced */
            cr_assert_eq(e.kind, ERR_RETRY);
            uv_run(&f->loop, UV_RUN_ONCE);
        }
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

/* Reads what the closed bridge's spool keeps. */
static void read_spool(struct fixture *f)
{
    struct err e;
    struct spool_settings settings = {.folder = f->settings.spool_dir, .maximum_bytes = 1 << 30};
    struct spool_events none = {0};
    struct spool *spool = spool_open(&f->loop, &settings, &none, &e);
    cr_assert_not_null(spool, "%s", e.text);
    struct spool_cursor *cursor = spool_read_from(spool, 1, &e);
    struct spool_frame frame;
    f->frames = 0;
    while (spool_next(cursor, &frame, &e) == 1) {
        cJSON *event = cJSON_ParseWithLength(frame.payload.at, frame.payload.length);
        const cJSON *body = json_member(event, "body");
        f->frames++;
        if (view_is(json_text(event, "kind"), "gap")) {
            cr_expect(view_is(json_text(event, "source"), ""));
            struct view detail = json_text(body, "detail");
            cr_expect(strstr(detail.at, "frame") || strstr(detail.at, "identity"), "%s", detail.at);
            buffer_print(&f->gaps, "%s %lld; ", json_text(body, "cause").at,
                         (long long)json_number(body, "undelivered", -1));
        }
        cJSON_Delete(event);
    }
    spool_close_cursor(cursor);
    f->closed = false;
    spool_close(spool, on_closed, f);
    cr_assert(support_run_until(&f->loop, is_closed, f));
}

static void flip(const char *folder, long from_end)
{
    char *path = support_last_segment(folder);
    struct stat status;
    unsigned char byte;
    int fd = open(path, O_RDWR);
    fstat(fd, &status);
    cr_assert_eq(pread(fd, &byte, 1, status.st_size - from_end), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(fd, &byte, 1, status.st_size - from_end), 1);
    close(fd);
    free(path);
}

Test(losses, a_damaged_frame_is_a_gap_of_one_after_the_restart)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 5);
    close_bridge(&f);
    flip(f.settings.spool_dir, 400); /* in the middle */
    open_bridge(&f);
    close_bridge(&f);
    read_spool(&f);
    cr_expect_str_eq(buffer_string(&f.gaps), "corrupt 1; ");
    cr_expect_eq(f.frames, 5, "four posts and the gap");
    drop(&f);
}

Test(losses, half_a_frame_at_the_end_is_no_gap)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 5);
    close_bridge(&f);
    char *path = support_last_segment(f.settings.spool_dir);
    FILE *file = fopen(path, "a");
    fputs("RS", file);
    fclose(file);
    free(path);
    open_bridge(&f);
    close_bridge(&f);
    read_spool(&f);
    cr_expect_str_eq(buffer_string(&f.gaps), "");
    cr_expect_eq(f.frames, 5);
    drop(&f);
}

Test(losses, dropping_the_oldest_is_told_with_the_numbers_that_went)
{
    struct fixture f;
    make(&f, 100000);
    publish(&f, 2000);
    struct bridge_numbers numbers;
    bridge_count(f.bridge, &numbers);
    close_bridge(&f);
    cr_expect(numbers.first > 1);
    read_spool(&f);
    cr_expect_not_null(strstr(buffer_string(&f.gaps), "spool_full "), "%s", buffer_string(&f.gaps));
    drop(&f);
}

/* --- a spool that is gone, as a consumer tells of it --- */

struct talk {
    int fd;
    struct buffer came;
    const char *wanted;
};

static bool has_come(void *user)
{
    struct talk *t = user;
    char piece[4096];
    ssize_t n = recv(t->fd, piece, sizeof piece, MSG_DONTWAIT);
    buffer_append(&t->came, piece, n > 0 ? (size_t)n : 0);
    return strstr(buffer_string(&t->came), t->wanted) != NULL;
}

/* A consumer that says hello and this, until `wanted` is in what came back. */
static void dial_and_say(struct fixture *f, const char *start, const char *wanted)
{
    char hello[300], token[SPOOL_TOKEN_SIZE] = "";
    char *path = support_path(f->settings.spool_dir, "token");
    FILE *file = fopen(path, "r");
    cr_assert_not_null(fgets(token, sizeof token, file));
    fclose(file);
    free(path);
    struct talk t = {
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .came = BUFFER(1 << 20), .wanted = wanted};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)bridge_port(f->bridge)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(t.fd, (const struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(hello, sizeof hello, "roost 1 consumer=etl%d token=%s\n%s\n", f->talks++, token, start);
    cr_assert_eq(send(t.fd, hello, (size_t)n, 0), n);
    cr_assert(support_run_until(&f->loop, has_come, &t), "%s: %s", start, buffer_string(&t.came));
    buffer_free(&t.came);
    close(t.fd);
}

Test(losses, a_consumer_that_knew_another_spool_here_makes_a_gap)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 2);
    dial_and_say(&f, "start 1 after=0123456789abcdef0123456789abcdef:77", "\"cause\":\"spool\"");
    close_bridge(&f);
    read_spool(&f);
    cr_expect_str_eq(buffer_string(&f.gaps), "spool -1; ");
    cr_expect_eq(f.frames, 3);
    drop(&f);
}

static bool nobody_is_connected(void *user)
{
    struct bridge_numbers numbers;
    bridge_count(((struct fixture *)user)->bridge, &numbers);
    return numbers.numbered_clients == 0;
}

/* The same consumer each time, as an etl that is killed before it has committed anything. */
static void tell_as_one(struct fixture *f, const char *start)
{
    f->talks = 0;
    dial_and_say(f, start, "\"cause\":\"spool\"");
    cr_assert(support_run_until(&f->loop, nobody_is_connected, f));
}

static void expect_gaps(struct fixture *f, const char *gaps)
{
    close_bridge(f);
    read_spool(f);
    cr_expect_str_eq(buffer_string(&f->gaps), gaps);
    drop(f);
}

#define OLD "0123456789abcdef0123456789abcdef"

Test(losses, what_a_consumer_says_again_is_told_once_also_by_the_next_bridge)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 2);
    for (int i = 0; i < 3; i++) {
        tell_as_one(&f, "start 1 after=" OLD ":77");
        tell_as_one(&f, "start 1 after=" OLD ":77");
        publish(&f, 1);
        close_bridge(&f);
        open_bridge(&f);
    }
    expect_gaps(&f, "spool -1; ");
}

Test(losses, a_marker_that_is_part_of_the_identity_hides_no_event)
{
    struct fixture f;
    make(&f, 1 << 24);
    close_bridge(&f);
    f.settings.end_marker = (char *)"ab";
    open_bridge(&f);
    for (int i = 0; i < 2; i++) {
        f.talks = 0;
        dial_and_say(&f, "start 1 after=" OLD ":77", "\"gap\"");
        close_bridge(&f);
        open_bridge(&f);
    }
    expect_gaps(&f, "spool -1; ");
}

Test(losses, another_position_or_another_consumer_is_another_gap)
{
    struct fixture f;
    make(&f, 1 << 24);
    tell_as_one(&f, "start 1 after=" OLD ":77");
    tell_as_one(&f, "start 1 after=" OLD ":76");
    dial_and_say(&f, "start 1 after=" OLD ":76", "consumer etl1 read spool " OLD " up to frame 76");
    expect_gaps(&f, "spool -1; spool -1; spool -1; ");
}

/* The file is written before the event, so it may name one that no longer came to be. */
Test(losses, a_gap_that_was_about_to_be_told_when_the_power_failed_is_told)
{
    const char *const lines[] = {"etl0 " OLD " 77 2\n", /* a post has the number */
                                 "etl0 " OLD " 77 50\n", "\xff\n\n7\netl0 " OLD " 77\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct fixture f;
        make(&f, 1 << 24);
        publish(&f, 3);
        char *path = support_path(f.settings.spool_dir, "told");
        FILE *file = fopen(path, "w");
        fputs(lines[i], file);
        fclose(file);
        free(path);
        close_bridge(&f);
        open_bridge(&f);
        tell_as_one(&f, "start 1 after=" OLD ":77");
        tell_as_one(&f, "start 1 after=" OLD ":77");
        expect_gaps(&f, "spool -1; ");
    }
}

/* Nor may the number's next owner, which is not synced yet, be taken for it. */
Test(losses, a_post_that_got_the_number_of_a_gap_that_never_came_is_not_taken_for_it)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 3);
    close_bridge(&f);
    char *path = support_path(f.settings.spool_dir, "told");
    FILE *file = fopen(path, "w");
    fputs("etl0 " OLD " 77 4\n", file);
    fclose(file);
    free(path);
    file = fopen(path = support_path(f.settings.spool_dir, "consumers"), "w");
    fputs("etl0 0\n", file);
    fclose(file);
    free(path);
    f.settings.spool_sync = 3600 * 1000;
    open_bridge(&f);
    publish(&f, 1);
    dial_and_say(&f, "start 1 after=" OLD ":77", "ok spool=");
    cr_assert(support_run_until(&f.loop, nobody_is_connected, &f)); /* it was read to its end */
    expect_gaps(&f, "spool -1; ");
}

Test(losses, an_identity_that_the_bridge_took_itself_is_not_told_again_by_a_consumer)
{
    struct fixture f;
    char old[SPOOL_IDENTITY_SIZE] = "", start[100];
    make(&f, 1 << 24);
    publish(&f, 3);
    dial_and_say(&f, "start 1", "a text that is long enough"); /* known from here on */
    cr_assert(support_run_until(&f.loop, nobody_is_connected, &f));
    close_bridge(&f);
    char *path = support_path(f.settings.spool_dir, "identity");
    FILE *file = fopen(path, "r");
    cr_assert_not_null(fgets(old, sizeof old, file));
    fclose(file);
    free(path);
    path = support_last_segment(f.settings.spool_dir);
    cr_assert_eq(unlink(path), 0);
    free(path);
    open_bridge(&f);
    close_bridge(&f);
    open_bridge(&f); /* one that does not remember what the one before did */
    snprintf(start, sizeof start, "start 1 after=%s:2", old);
    tell_as_one(&f, start);
    close_bridge(&f);
    read_spool(&f);
    cr_expect_str_eq(buffer_string(&f.gaps), "spool -1; ");
    drop(&f);
}

/* An older copy that is put back under its own name would be taken for what it was. */
Test(losses, a_spool_whose_identity_was_deleted_takes_a_new_one_and_says_so)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 3);
    close_bridge(&f);
    char *path = support_path(f.settings.spool_dir, "identity");
    cr_assert_eq(unlink(path), 0);
    free(path);
    open_bridge(&f);
    tell_as_one(&f, "start 1 after=" OLD ":77");
    close_bridge(&f);
    read_spool(&f);
    cr_expect_eq(f.frames, 5, "all that it had, its own gap, and the consumer's");
    drop(&f);
}

Test(losses, a_start_of_another_form_is_refused_and_makes_no_gap)
{
    struct fixture f;
    make(&f, 1 << 24);
    publish(&f, 2);
    const char *const bad[] = {"start 1 after=",
                               "start 1 after=0123456789abcdef0123456789abcdef",
                               "start 1 after=0123456789abcdef0123456789abcdef:",
                               "start 1 after=0123456789abcdef0123456789abcdef:0",
                               "start 1 after=0123456789abcdef0123456789abcdeg:7",
                               "start 1 after=0123456789abcdef0123456789abcdef:7 x",
                               "start 1 x",
                               "start 0",
                               "start"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dial_and_say(&f, bad[i], "error final after the welcome");
    }
    dial_and_say(&f, "start 1", "a text that is long enough");
    close_bridge(&f);
    read_spool(&f);
    cr_expect_str_eq(buffer_string(&f.gaps), "");
    cr_expect_eq(f.frames, 2);
    drop(&f);
}
