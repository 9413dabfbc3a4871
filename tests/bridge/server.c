/* The bridge over real sockets: what plain and numbered clients get, and what a bad client cannot do. */
#include "bridge/bridge.h"

#include "base/file.h"
#include "base/json.h"
#include "bridge/address.h"
#include "bridge/client.h"
#include "bridge/frame.h"
#include "support/bridge_support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A bridge on a loop of its own thread, told what to do through a queue of one. */
struct server {
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    struct bridge_settings settings;
    struct bridge *bridge;
    char *folder;
    char address[ADDRESS_TEXT_SIZE];
    char token[65];
    pthread_mutex_t lock;
    pthread_cond_t told;
    enum { DO_NOTHING, DO_PUBLISH, DO_COUNT, DO_CLOSE } order;
    const char *text;
    enum post_kind kind;
    size_t repeat;
    int result;
    struct bridge_numbers numbers;
    atomic_int first_clients, rooms;
    bool opened, closed;
};

static void on_first_client(void *user)
{
    atomic_fetch_add(&((struct server *)user)->first_clients, 1);
}

static void on_room(void *user)
{
    atomic_fetch_add(&((struct server *)user)->rooms, 1);
}

static void on_bridge_closed(void *user)
{
    struct server *s = user;
    s->closed = true;
    uv_close((uv_handle_t *)&s->wake, NULL);
}

static void publish(struct server *s)
{
    struct post post;
    struct err e;
    post_init(&post);
    post.kind = s->kind;
    post.network = VIEW("x");
    post.id = VIEW("1050118621198921728");
    post.source = VIEW("test");
    if (s->kind == POST_POST) {
        post.text = view_of(s->text);
    }
    s->result = 0;
    for (size_t i = 0; i < s->repeat && s->result == 0; i++) {
        s->result = bridge_publish(s->bridge, &post, &e);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct server *s = wake->data;
    pthread_mutex_lock(&s->lock);
    switch (s->order) {
    case DO_PUBLISH:
        publish(s);
        break;
    case DO_COUNT:
        bridge_count(s->bridge, &s->numbers);
        break;
    case DO_CLOSE:
        bridge_close(s->bridge, 2000, on_bridge_closed, s);
        break;
    default:
        break;
    }
    s->order = DO_NOTHING;
    pthread_cond_signal(&s->told);
    pthread_mutex_unlock(&s->lock);
}

static void *run_server(void *user)
{
    struct server *s = user;
    uv_loop_init(&s->loop);
    uv_async_init(&s->loop, &s->wake, on_wake);
    s->wake.data = s;
    struct bridge_events events = {.first_client = on_first_client, .room = on_room, .user = s};
    struct err e;
    s->bridge = bridge_open(&s->loop, &s->settings, &events, &e);
    if (!s->bridge) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    pthread_mutex_lock(&s->lock);
    s->opened = true;
    pthread_cond_signal(&s->told);
    pthread_mutex_unlock(&s->lock);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    return NULL;
}

static void order(struct server *s, int what)
{
    pthread_mutex_lock(&s->lock);
    s->order = what;
    uv_async_send(&s->wake);
    while (s->order != DO_NOTHING) {
        pthread_cond_wait(&s->told, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static void start(struct server *s)
{
    s->opened = s->closed = false;
    pthread_create(&s->thread, NULL, run_server, s);
    pthread_mutex_lock(&s->lock);
    while (!s->opened) {
        pthread_cond_wait(&s->told, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    if (s->settings.listen[0] == '/') {
        snprintf(s->address, sizeof s->address, "%s", s->settings.listen);
    } else {
        snprintf(s->address, sizeof s->address, "127.0.0.1:%d", bridge_port(s->bridge));
    }
    char *path = support_path(s->folder, "token");
    struct buffer token = BUFFER(100);
    struct err e;
    cr_assert_eq(file_read(path, &token, &e), 0);
    snprintf(s->token, sizeof s->token, "%.*s", 64, token.data);
    buffer_free(&token);
    free(path);
}

static void stop(struct server *s)
{
    order(s, DO_CLOSE);
    pthread_join(s->thread, NULL);
    cr_assert(s->closed);
}

static struct server *make(int plain)
{
    struct server *s = calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->told, NULL);
    s->folder = support_folder();
    s->settings = (struct bridge_settings){.listen = (char *)"127.0.0.1:0",
                                           .end_marker = (char *)"__end",
                                           .plain = plain,
                                           .spool_dir = s->folder,
                                           .spool_max = 1 << 30,
                                           .spool_sync = 0};
    return s;
}

static void discard(struct server *s)
{
    support_remove(s->folder);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->told);
    free(s);
}

static void say(struct server *s, const char *text, size_t repeat)
{
    s->text = text;
    s->kind = POST_POST;
    s->repeat = repeat;
    order(s, DO_PUBLISH);
    cr_assert_eq(s->result, 0);
}

static struct bridge_numbers count(struct server *s)
{
    order(s, DO_COUNT);
    return s->numbers;
}

/* Waits, without a fixed sleep, until the bridge counts so many clients. */
static void await_clients(struct server *s, size_t plain, size_t numbered)
{
    for (int i = 0; i < 10000; i++) {
        struct bridge_numbers n = count(s);
        if (n.plain_clients == plain && n.numbered_clients == numbered) {
            return;
        }
        poll(NULL, 0, 1);
    }
    cr_assert_fail("%zu plain and %zu numbered clients never came", plain, numbered);
}

static int dial(struct server *s, const char *hello)
{
    struct address a;
    struct err e;
    cr_assert_eq(address_parse(s->address, &a, &e), 0);
    int fd = socket(a.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&a.socket, a.length), 0);
    if (hello) {
        cr_assert_eq(send(fd, hello, strlen(hello), MSG_NOSIGNAL), (ssize_t)strlen(hello));
    }
    return fd;
}

/* Reads until `n` bytes, the end, or 10 s. */
static struct buffer take(int fd, size_t n)
{
    struct buffer b = BUFFER(1 << 28);
    while (b.length < n) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char *into = buffer_reserve(&b, 65536);
        ssize_t got =
            poll(&p, 1, 10000) > 0 ? recv(fd, into, n - b.length < 65536 ? n - b.length : 65536, 0) : -1;
        if (got <= 0) {
            break;
        }
        b.length += (size_t)got;
    }
    return b;
}

static void expect(int fd, const char *text)
{
    struct buffer b = take(fd, strlen(text));
    cr_assert(view_is(buffer_view(&b), text), "wanted %s, got %.*s", text, VIEW_PRINT(buffer_view(&b)));
    buffer_free(&b);
}

/* The client is sent one line that holds `part`, and then the end. */
static void expect_refusal(int fd, const char *part)
{
    struct buffer b = take(fd, 10000);
    cr_assert(b.length && b.data[b.length - 1] == '\n');
    b.data[b.length - 1] = '\0';
    cr_assert(strncmp(b.data, "error ", 6) == 0 && strstr(b.data, part) && !strchr(b.data, '\n'), "got %s",
              b.data);
    buffer_free(&b);
    close(fd);
}

Test(server, a_silent_client_gets_each_post_from_its_connection_on)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    start(s);
    say(s, "before", 1);
    int fd = dial(s, NULL);
    await_clients(s, 1, 0);
    say(s, "one\r\nline with __END in it", 1);
    s->kind = POST_DELETE;
    s->repeat = 1;
    order(s, DO_PUBLISH);
    say(s, "two", 1);
    expect(fd, "one  line with _\xE2\x81\xA0_END in it __end\ntwo __end\n");
    cr_assert_eq(atomic_load(&s->first_clients), 1);
    close(fd);
    await_clients(s, 0, 0);
    stop(s);
    discard(s);
}

Test(server, posts_that_come_before_a_client_is_known_to_be_plain_reach_it_too)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    start(s);
    int fd = dial(s, NULL);
    /* The connection is accepted before the order, which comes on the same loop, once a second one has been
     * answered. */
    int other = dial(s, "x");
    expect_refusal(other, "plain client sends nothing");
    cr_assert_eq(count(s).plain_clients, 0);
    say(s, "early", 1);
    expect(fd, "early __end\n");
    close(fd);
    stop(s);
    discard(s);
}

Test(server, plain_json_is_the_post_with_markers_escaped)
{
    struct server *s = make(BRIDGE_PLAIN_JSON);
    start(s);
    int fd = dial(s, NULL);
    await_clients(s, 1, 0);
    say(s, "a __End b\n", 1);
    struct buffer b = BUFFER(10000);
    do {
        struct buffer piece = take(fd, 1);
        cr_assert_eq(piece.length, 1);
        buffer_add_view(&b, buffer_view(&piece));
        buffer_free(&piece);
    } while (b.data[b.length - 1] != '\n');
    struct buffer lower = support_lower(buffer_view(&b));
    cr_assert_eq(support_occurrences(buffer_view(&lower), VIEW("__end")), 1);
    cJSON *tree = cJSON_ParseWithLength(b.data, b.length - strlen(" __end\n"));
    cr_assert(view_is(json_text(tree, "text"), "a __End b\n"));
    cr_assert(view_is(json_text(tree, "id"), "1050118621198921728"));
    cJSON_Delete(tree);
    buffer_free(&b);
    buffer_free(&lower);
    close(fd);
    stop(s);
    discard(s);
}

Test(server, without_plain_clients_a_silent_one_is_told_so)
{
    struct server *s = make(BRIDGE_PLAIN_OFF);
    start(s);
    expect_refusal(dial(s, NULL), "plain = off");
    stop(s);
    discard(s);
}

Test(server, anything_but_a_hello_is_answered_with_one_line_and_the_end)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    start(s);
    expect_refusal(dial(s, "GET / HTTP/1.1\r\n\r\n"), "plain client sends nothing");
    expect_refusal(dial(s, "roost 2 consumer=a\n"), "version 1");
    expect_refusal(dial(s, "roost 1 consumer=a b\n"), "the hello is");
    expect_refusal(dial(s, "roost 1 consumer=a/b token=x\n"), "name");
    expect_refusal(dial(s, "roost 1 token=x\n"), "name");
    expect_refusal(dial(s, "roost 1 consumer=a consumer=b\n"), "the hello is");
    char flood[3000];
    memset(flood, 'x', sizeof flood - 1);
    memcpy(flood, "roost ", 6);
    flood[sizeof flood - 1] = '\0';
    expect_refusal(dial(s, flood), "longer than");
    int fd = dial(s, NULL);
    await_clients(s, 1, 0);
    cr_assert_eq(send(fd, "hi\n", 3, 0), 3);
    expect_refusal(fd, "plain client sends nothing");
    stop(s);
    discard(s);
}

Test(server, a_client_that_does_not_read_is_dropped_and_delays_nobody)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    start(s);
    int slow = dial(s, NULL), quick = dial(s, NULL);
    await_clients(s, 2, 0);
    char text[10001];
    memset(text, 'a', 10000);
    text[10000] = '\0';
    size_t got = 0, sent = 0;
    for (int i = 0; i < 60; i++) {
        say(s, text, 50);
        sent += 50 * (10000 + strlen(" __end\n"));
        struct buffer b = take(quick, sent - got);
        got += b.length;
        buffer_free(&b);
        cr_assert_eq(got, sent);
    }
    struct bridge_numbers n = count(s);
    cr_assert_eq(n.plain_dropped, 1);
    cr_assert_eq(n.plain_clients, 1);
    close(slow);
    close(quick);
    stop(s);
    discard(s);
}

static struct bridge_client *make_client(struct server *s, const char *name, const char *token)
{
    struct err e;
    struct bridge_client_settings settings = {s->address, name, token};
    struct bridge_client *c = bridge_client_new(&settings, &e);
    cr_assert(c);
    return c;
}

static void read_frames(struct bridge_client *c, uint64_t first, uint64_t last)
{
    struct bridge_frame frame;
    struct err e = {0};
    for (uint64_t i = first; i <= last; i++) {
        cr_assert_eq(bridge_client_read(c, 10000, &frame, &e), 1, "frame %llu: %s", (unsigned long long)i,
                     e.text);
        cr_assert_eq(frame.sequence, i);
    }
}

Test(server, a_consumer_resumes_where_it_says_and_gets_every_frame_once)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome, again;
    struct err e;
    start(s);
    say(s, "text", 100);
    struct bridge_client *c = make_client(s, "etl", s->token);
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0, "%s", e.text);
    cr_assert_eq(welcome.first, 1);
    cr_assert_eq(atomic_load(&s->first_clients), 1);
    cr_assert_eq(bridge_client_start(c, 1, &e), 0);
    read_frames(c, 1, 40);
    cr_assert_eq(bridge_client_acknowledge(c, 30, &e), 0);
    cr_assert_eq(bridge_client_acknowledge(c, 41, &e), -1, "never beyond what was read");
    bridge_client_disconnect(c);
    await_clients(s, 0, 0);
    stop(s);
    start(s);
    bridge_client_free(c);
    c = make_client(s, "etl", s->token);
    cr_assert_eq(bridge_client_connect(c, 5000, &again, &e), 0, "%s", e.text);
    cr_assert_str_eq(again.spool, welcome.spool);
    cr_assert_eq(again.held, 100);
    cr_assert_eq(bridge_client_start(c, 31, &e), 0);
    read_frames(c, 31, 100);
    struct bridge_frame frame;
    cr_assert_eq(bridge_client_read(c, 20, &frame, &e), 0, "nothing more");
    say(s, "news", 1);
    read_frames(c, 101, 101);
    bridge_client_free(c);
    stop(s);
    discard(s);
}

Test(server, nobody_acknowledges_without_the_token)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome;
    struct err e;
    start(s);
    const char *tokens[] = {NULL, "", "0000",
                            "0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct bridge_client *c = make_client(s, "etl", tokens[i]);
        cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), -1);
        cr_assert_eq(e.kind, ERR_FATAL, "%s", e.text);
        cr_assert(strstr(e.text, "token"), "%s", e.text);
        cr_assert_null(strstr(e.text, s->token));
        bridge_client_free(c);
    }
    stop(s);
    discard(s);
}

Test(server, a_unix_socket_proves_the_user_and_serves_plain_clients)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome;
    struct err e;
    char *path = support_path(s->folder, "bridge.sock");
    s->settings.listen = path;
    start(s);
    int fd = dial(s, NULL);
    await_clients(s, 1, 0);
    struct bridge_client *c = make_client(s, "etl", NULL);
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0, "%s", e.text);
    cr_assert_eq(bridge_client_start(c, 1, &e), 0);
    say(s, "text", 3);
    read_frames(c, 1, 3);
    expect(fd, "text __end\ntext __end\ntext __end\n");
    close(fd);
    bridge_client_free(c);
    stop(s);
    cr_assert_eq(access(path, F_OK), -1, "the socket's file goes with the bridge");
    /* What a killed bridge leaves is no obstacle. */
    struct address a;
    address_parse(path, &a, &e);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a.socket, a.length), 0);
    close(fd);
    start(s);
    stop(s);
    free(path);
    discard(s);
}

Test(server, a_second_client_of_a_name_waits_until_the_first_has_gone)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome;
    struct err e;
    start(s);
    struct bridge_client *first = make_client(s, "etl", s->token), *second = make_client(s, "etl", s->token);
    struct bridge_client *other = make_client(s, "other", s->token);
    cr_assert_eq(bridge_client_connect(first, 5000, &welcome, &e), 0);
    cr_assert_eq(bridge_client_connect(second, 5000, &welcome, &e), -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    cr_assert(strstr(e.text, "connected already"), "%s", e.text);
    cr_assert_eq(bridge_client_connect(other, 5000, &welcome, &e), 0);
    bridge_client_disconnect(first);
    await_clients(s, 0, 1);
    cr_assert_eq(bridge_client_connect(second, 5000, &welcome, &e), 0, "%s", e.text);
    bridge_client_free(first);
    bridge_client_free(second);
    bridge_client_free(other);
    stop(s);
    discard(s);
}

static int raw_consumer(struct server *s, const char *rest)
{
    char hello[1000];
    snprintf(hello, sizeof hello, "roost 1 consumer=liar token=%s\n%s", s->token, rest);
    int fd = dial(s, hello);
    struct buffer line = BUFFER(1000);
    do {
        struct buffer piece = take(fd, 1);
        cr_assert_eq(piece.length, 1);
        buffer_add_view(&line, buffer_view(&piece));
        buffer_free(&piece);
    } while (line.data[line.length - 1] != '\n');
    cr_assert(view_starts(buffer_view(&line), VIEW("ok spool=")), "%.*s", VIEW_PRINT(buffer_view(&line)));
    buffer_free(&line);
    return fd;
}

Test(server, a_consumer_that_lies_is_sent_away_and_others_notice_nothing)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome, after;
    struct err e;
    start(s);
    struct bridge_client *honest = make_client(s, "etl", s->token);
    cr_assert_eq(bridge_client_connect(honest, 5000, &welcome, &e), 0);
    cr_assert_eq(bridge_client_start(honest, 1, &e), 0);
    expect_refusal(raw_consumer(s, "start 1\nack 1\n"), "acknowledged frame 1");
    await_clients(s, 0, 1);
    expect_refusal(raw_consumer(s, "start 0\n"), "start SEQUENCE");
    await_clients(s, 0, 1);
    expect_refusal(raw_consumer(s, "ack 1\n"), "start SEQUENCE");
    await_clients(s, 0, 1);
    expect_refusal(raw_consumer(s, "start 1\nstart 1\n"), "ack SEQUENCE");
    await_clients(s, 0, 1);
    expect_refusal(raw_consumer(s, "start 1\nack 18446744073709551616\n"), "ack SEQUENCE");
    await_clients(s, 0, 1);
    say(s, "text", 10);
    read_frames(honest, 1, 10);
    /* Ahead of the end: the spool was restored, so everybody must ask again under its new identity. */
    expect_refusal(raw_consumer(s, "start 1000\n"), "new identity");
    struct bridge_frame frame;
    cr_assert_eq(bridge_client_read(honest, 5000, &frame, &e), -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    await_clients(s, 0, 0);
    cr_assert_eq(bridge_client_connect(honest, 5000, &after, &e), 0);
    cr_assert_str_neq(after.spool, welcome.spool);
    bridge_client_free(honest);
    stop(s);
    discard(s);
}

Test(server, a_consumer_that_does_not_read_delays_nobody)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome;
    struct err e;
    start(s);
    int stalled = raw_consumer(s, "start 1\n");
    int plain = dial(s, NULL);
    await_clients(s, 1, 1);
    struct bridge_client *c = make_client(s, "etl", s->token);
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0);
    cr_assert_eq(bridge_client_start(c, 1, &e), 0);
    char text[10001];
    memset(text, 'a', 10000);
    text[10000] = '\0';
    for (int i = 0; i < 40; i++) {
        say(s, text, 50);
        struct buffer b = take(plain, 50 * (10000 + strlen(" __end\n")));
        cr_assert_eq(b.length, 50 * (10000 + strlen(" __end\n")));
        buffer_free(&b);
        read_frames(c, (uint64_t)i * 50 + 1, (uint64_t)i * 50 + 50);
    }
    cr_assert_eq(count(s).numbered_clients, 2);
    close(stalled);
    close(plain);
    bridge_client_free(c);
    stop(s);
    discard(s);
}

Test(server, a_flood_of_acknowledgements_is_only_that)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct err e;
    start(s);
    say(s, "text", 1);
    int fd = raw_consumer(s, "start 1\n");
    struct buffer frame = take(fd, 10);
    cr_assert_eq(frame.length, 10);
    buffer_free(&frame);
    struct buffer flood = BUFFER(1 << 20);
    for (int i = 0; i < 20000; i++) {
        buffer_add_text(&flood, "ack 1\n");
    }
    for (size_t sent = 0; sent < flood.length;) {
        ssize_t n = send(fd, flood.data + sent, flood.length - sent, MSG_NOSIGNAL);
        cr_assert_gt(n, 0);
        sent += (size_t)n;
    }
    buffer_free(&flood);
    struct bridge_client *c = make_client(s, "etl", s->token);
    struct bridge_welcome welcome;
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0);
    await_clients(s, 0, 2);
    close(fd);
    bridge_client_free(c);
    stop(s);
    discard(s);
}

Test(server, with_a_full_spool_a_post_is_not_taken_and_room_follows_an_acknowledgement)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome;
    struct bridge_frame frame;
    struct err e;
    s->settings.spool_max = 200000;
    start(s);
    struct bridge_client *c = make_client(s, "etl", s->token);
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0);
    cr_assert_eq(bridge_client_start(c, 1, &e), 0);
    s->text = "some text that fills the spool";
    s->kind = POST_POST;
    s->repeat = 100000;
    order(s, DO_PUBLISH);
    cr_assert_eq(s->result, -1);
    uint64_t last = count(s).appended;
    cr_assert_eq(atomic_load(&s->rooms), 0);
    for (uint64_t i = 1; i <= last; i++) {
        cr_assert_eq(bridge_client_read(c, 10000, &frame, &e), 1);
    }
    cr_assert_eq(bridge_client_acknowledge(c, last, &e), 0);
    for (int i = 0; i < 10000 && atomic_load(&s->rooms) == 0; i++) {
        poll(NULL, 0, 1);
    }
    cr_assert_eq(atomic_load(&s->rooms), 1);
    say(s, "text", 1);
    read_frames(c, last + 1, last + 1);
    bridge_client_free(c);
    stop(s);
    discard(s);
}

struct talk {
    int listener;
    struct buffer *answer;
};

/* Takes one client, sends it the answer, and waits until it has gone. */
static void *answer_once(void *user)
{
    struct talk *talk = user;
    int fd = accept4(talk->listener, NULL, NULL, SOCK_CLOEXEC);
    ssize_t n = send(fd, talk->answer->data, talk->answer->length, MSG_NOSIGNAL);
    char bytes[256];
    while (n > 0) {
        n = recv(fd, bytes, sizeof bytes, 0);
    }
    close(fd);
    return NULL;
}

Test(server, a_broken_frame_is_an_error_with_its_position)
{
    /* A bridge that lies: one good frame, then one whose payload was changed. */
    struct err e;
    struct bridge_welcome welcome;
    struct bridge_frame frame;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct address a;
    cr_assert_eq(address_parse("127.0.0.1:0", &a, &e), 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&a.socket, a.length), 0);
    cr_assert_eq(listen(listener, 1), 0);
    a.length = sizeof a.socket;
    getsockname(listener, (struct sockaddr *)&a.socket, &a.length);
    struct server fake = {0};
    address_format(&a, fake.address);
    struct buffer b = BUFFER(10000);
    buffer_add_text(&b, "ok spool=00112233445566778899aabbccddeeff first=1 held=2 marker=__end\n");
    for (uint64_t i = 7; i <= 8; i++) {
        struct view payload = VIEW("{\"v\":1}");
        frame_write_head(&b, &(struct frame_head){i, payload.length, frame_checksum(i, payload)});
        buffer_add_view(&b, i == 7 ? payload : VIEW("{\"v\":2}"));
        frame_write_end(&b, VIEW("__end"));
    }
    struct bridge_client *c = make_client(&fake, "etl", NULL);
    pthread_t thread;
    struct talk talk = {listener, &b};
    cr_assert_eq(pthread_create(&thread, NULL, answer_once, &talk), 0);
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0, "%s", e.text);
    cr_assert_eq(bridge_client_start(c, 7, &e), 0);
    cr_assert_eq(bridge_client_read(c, 5000, &frame, &e), 1);
    cr_assert_eq(frame.sequence, 7);
    cr_assert_eq(bridge_client_read(c, 5000, &frame, &e), -1);
    cr_assert_eq(e.kind, ERR_RETRY);
    cr_assert(strstr(e.text, "after frame 7") && strstr(e.text, "checksum"), "%s", e.text);
    bridge_client_free(c);
    pthread_join(thread, NULL);
    close(listener);
    buffer_free(&b);
}

Test(server, closing_gives_consumers_what_was_published_just_before)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_welcome welcome;
    struct err e;
    s->settings.spool_sync = 1000;
    start(s);
    struct bridge_client *c = make_client(s, "etl", s->token);
    cr_assert_eq(bridge_client_connect(c, 5000, &welcome, &e), 0);
    cr_assert_eq(bridge_client_start(c, 1, &e), 0);
    say(s, "text", 1);
    say(s, "text", 99);
    stop(s);
    read_frames(c, 1, 100);
    bridge_client_free(c);
    discard(s);
}

Test(server, a_port_in_use_may_be_tried_again_and_a_spool_in_use_may_not)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct bridge_events events = {0};
    struct err e;
    uv_loop_t loop;
    start(s);
    uv_loop_init(&loop);
    struct bridge_settings other = s->settings;
    cr_assert_null(bridge_open(&loop, &other, &events, &e));
    cr_assert_eq(e.kind, ERR_FATAL);
    cr_assert(strstr(e.text, "in use by process"), "%s", e.text);
    other.spool_dir = support_folder();
    other.listen = s->address;
    cr_assert_null(bridge_open(&loop, &other, &events, &e));
    cr_assert_eq(e.kind, ERR_RETRY);
    cr_assert_eq(uv_loop_close(&loop), 0, "a failed opening leaves nothing on the loop");
    support_remove(other.spool_dir);
    stop(s);
    discard(s);
}

Test(server, a_post_longer_than_a_frame_is_rejected_and_the_next_is_taken)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    start(s);
    char *big = calloc(1, POST_MAXIMUM_BYTES + 1);
    memset(big, 'a', POST_MAXIMUM_BYTES);
    s->text = big;
    s->kind = POST_POST;
    s->repeat = 1;
    order(s, DO_PUBLISH);
    cr_assert_eq(s->result, -1);
    say(s, "text", 1);
    cr_assert_eq(count(s).appended, 1);
    free(big);
    stop(s);
    discard(s);
}

Test(server, a_consumer_is_forgotten_only_with_the_token_and_only_while_it_is_away)
{
    struct server *s = make(BRIDGE_PLAIN_TEXT);
    struct err e = {0};
    start(s);
    int etl = raw_consumer(s, "");
    expect_refusal(dial(s, "roost 1 consumer=a forget=b\n"), "error final the hello is");
    expect_refusal(dial(s, "roost 1 forget=liar token=0000\n"), "error final the token");
    struct bridge_client *c = make_client(s, "liar", s->token);
    cr_assert(bridge_client_forget(c, 5000, &e) == -1 && e.kind == ERR_RETRY, "%s", e.text);
    cr_assert(strstr(e.text, "is connected"), "%s", e.text);
    close(etl);
    while (bridge_client_forget(c, 5000, &e)) { /* its end is not seen yet, or positions are being written */
        cr_assert_eq(e.kind, ERR_RETRY, "%s", e.text);
    }
    cr_assert(bridge_client_forget(c, 5000, &e) == -1 && e.kind == ERR_FATAL, "%s", e.text);
    bridge_client_free(c);
    stop(s);
    discard(s);
}
