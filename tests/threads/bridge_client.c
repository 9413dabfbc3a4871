/* One thread reads a client of the bridge, another acknowledges, a third interrupts it, against a bridge on a
 * loop of its own: for ThreadSanitizer, and to show that each of them ends. */
#include "base/file.h"
#include "bridge/bridge.h"
#include "bridge/client.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAMES = 3000, BURST = 50 };

#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                               \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

struct service {
    char folder[64];
    atomic_int port; /* 0: not open yet */
    uv_async_t stop;
    uv_timer_t feed;
    struct bridge *bridge;
    int published;
};

static void on_closed(void *user)
{
    (void)user;
}

static void on_stop(uv_async_t *stop)
{
    struct service *s = stop->data;
    uv_close((uv_handle_t *)&s->feed, NULL);
    uv_close((uv_handle_t *)&s->stop, NULL);
    bridge_close(s->bridge, 1000, on_closed, NULL);
}

static void on_feed(uv_timer_t *feed)
{
    struct service *s = feed->data;
    struct post post;
    struct err e;
    post_init(&post);
    post.network = VIEW("x");
    post.id = VIEW("1");
    post.source = VIEW("test");
    post.text = VIEW("a text with __end in it");
    for (int i = 0; i < BURST && s->published < FRAMES; i++, s->published++) {
        CHECK(bridge_publish(s->bridge, &post, &e) == 0);
    }
}

static void *serve(void *user)
{
    struct service *s = user;
    uv_loop_t loop;
    struct bridge_settings settings = {.listen = (char *)"127.0.0.1:0",
                                       .end_marker = (char *)"__end",
                                       .spool_dir = s->folder,
                                       .spool_max = 1 << 28,
                                       .spool_sync = 1};
    struct err e;
    uv_loop_init(&loop);
    uv_async_init(&loop, &s->stop, on_stop);
    uv_timer_init(&loop, &s->feed);
    s->stop.data = s->feed.data = s;
    s->bridge = bridge_open(&loop, &settings, NULL, &e);
    CHECK(s->bridge);
    uv_timer_start(&s->feed, on_feed, 1, 1);
    atomic_store(&s->port, bridge_port(s->bridge));
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    return NULL;
}

struct talk {
    struct bridge_client *client;
    _Atomic uint64_t read;
    atomic_bool done;
};

static void *acknowledge(void *user)
{
    struct talk *t = user;
    uint64_t told = 0;
    struct err e;
    while (!atomic_load(&t->done)) {
        uint64_t now = atomic_load(&t->read);
        if (now > told && bridge_client_acknowledge(t->client, now, &e) == 0) {
            told = now;
        }
        usleep(200);
    }
    return NULL;
}

static void *interrupt(void *user)
{
    struct talk *t = user;
    while (atomic_load(&t->read) < FRAMES) {
        usleep(1000);
    }
    bridge_client_interrupt(t->client);
    return NULL;
}

static char *read_token(const char *folder)
{
    char path[128];
    struct buffer token = BUFFER(200);
    struct err e;
    snprintf(path, sizeof path, "%s/token", folder);
    CHECK(file_read(path, &token, &e) == 0);
    char *copy = view_copy(view_trim(buffer_view(&token)));
    buffer_free(&token);
    return copy;
}

/* Reads everything, through a few reconnections, while the other thread acknowledges. */
static void read_all(struct talk *t)
{
    struct bridge_welcome welcome;
    struct bridge_frame frame;
    struct err e;
    uint64_t next = 1;
    while (next <= FRAMES) {
        CHECK(bridge_client_connect(t->client, 10000, &welcome, &e) == 0 || e.kind == ERR_RETRY);
        if (bridge_client_start(t->client, next, &e)) {
            usleep(1000); /* the bridge has not noticed yet that the last connection ended */
            continue;
        }
        for (int i = 0; i < FRAMES / 4 && next <= FRAMES; i++) {
            CHECK(bridge_client_read(t->client, 10000, &frame, &e) == 1);
            CHECK(frame.sequence == next);
            atomic_store(&t->read, next++);
        }
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

int main(void)
{
    struct service s = {.folder = "/tmp/roost-threads-XXXXXX"};
    pthread_t server, acknowledger, interrupter;
    struct talk t = {0};
    struct err e;
    struct bridge_frame frame;
    char address[32];
    CHECK(mkdtemp(s.folder));
    pthread_create(&server, NULL, serve, &s);
    while (!atomic_load(&s.port)) {
        usleep(1000);
    }
    snprintf(address, sizeof address, "127.0.0.1:%d", atomic_load(&s.port));
    char *token = read_token(s.folder);
    struct bridge_client_settings settings = {address, "etl", token};
    t.client = bridge_client_new(&settings, &e);
    CHECK(t.client);
    pthread_create(&acknowledger, NULL, acknowledge, &t);
    pthread_create(&interrupter, NULL, interrupt, &t);
    read_all(&t);
    CHECK(bridge_client_read(t.client, 60000, &frame, &e) ==
          0); /* ended by the interruption, not by the minute */
    atomic_store(&t.done, true);
    pthread_join(acknowledger, NULL);
    pthread_join(interrupter, NULL);
    bridge_client_free(t.client);
    uv_async_send(&s.stop);
    pthread_join(server, NULL);
    free(token);
    nftw(s.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
