#include "bridge_thread.h"
#include "base/clock.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static void publish(struct bridge_thread *b, const struct post *post)
{
    struct err e;
    cr_assert_eq(bridge_publish(b->bridge, post, &e), 0, "%s", e.text);
}

static void publish_all(struct bridge_thread *b)
{
    struct post post;
    for (int i = 1; i <= b->posts; i++) {
        char number[16], text[64];
        snprintf(number, sizeof number, "%d", i);
        snprintf(text, sizeof text, "Post %d of #Many", i);
        post_init(&post);
        post.network = VIEW("x");
        post.source = VIEW("test");
        post.id = view_of(number);
        post.text = view_of(text);
        post.text_source = VIEW("text");
        post.created_at = post.received_at = clock_wall_ms();
        publish(b, &post);
    }
    post_init(&post);
    post.kind = POST_COUNT;
    post.network = VIEW("x");
    post.source = VIEW("test");
    post.received_at = clock_wall_ms();
    post.body = VIEW("{\"filtered\":3}");
    publish(b, &post);
}

static void closed(void *user)
{
    struct bridge_thread *b = user;
    b->bridge = NULL;
    uv_close((uv_handle_t *)&b->end, NULL);
}

static void end_now(uv_async_t *end)
{
    struct bridge_thread *b = end->data;
    bridge_close(b->bridge, 0, closed, b);
}

static void *bridge_main(void *argument)
{
    struct bridge_thread *b = argument;
    struct err e;
    uv_loop_init(&b->loop);
    uv_async_init(&b->loop, &b->end, end_now);
    b->end.data = b;
    b->bridge = bridge_open(&b->loop, &b->settings, NULL, &e);
    cr_assert_not_null(b->bridge, "%s", e.text);
    snprintf(b->address, sizeof b->address, "127.0.0.1:%d", bridge_port(b->bridge));
    publish_all(b);
    pthread_barrier_wait(&b->ready);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
    return NULL;
}

void bridge_thread_open(struct bridge_thread *b, int posts)
{
    *b = (struct bridge_thread){.posts = posts};
    snprintf(b->folder, sizeof b->folder, "/tmp/roost-etl-XXXXXX");
    cr_assert_not_null(mkdtemp(b->folder));
    snprintf(b->token_file, sizeof b->token_file, "%s/token", b->folder);
    b->settings = (struct bridge_settings){.listen = "127.0.0.1:0",
                                           .end_marker = "__end",
                                           .plain = BRIDGE_PLAIN_TEXT,
                                           .spool_dir = b->folder,
                                           .spool_max = (int64_t)1 << 32};
    pthread_barrier_init(&b->ready, NULL, 2);
    pthread_create(&b->thread, NULL, bridge_main, b);
    pthread_barrier_wait(&b->ready);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void bridge_thread_close(struct bridge_thread *b)
{
    uv_async_send(&b->end);
    pthread_join(b->thread, NULL);
    pthread_barrier_destroy(&b->ready);
    nftw(b->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
