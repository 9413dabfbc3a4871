#include "tests/ingest/support/life.h"

#include "base/clock.h"
#include "base/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const words[CONFIGURATIONS] = {"tea", "coffee", "milk", "water"};

static void take_event(struct life *f, const struct post *post)
{
    cJSON *body = cJSON_ParseWithLength(post->body.at, post->body.length);
    int64_t from = 0, to = 0;
    if (post->kind == POST_GAP) {
        clock_parse(json_text(body, "started_at"), &from);
        clock_parse(json_text(body, "ended_at"), &to);
        buffer_print(&f->gaps, "%.*s%s ", VIEW_PRINT(json_text(body, "cause")), from == to ? ":0" : "");
    } else if (post->kind == POST_COUNT) {
        clock_parse(json_text(body, "from"), &from);
        clock_parse(json_text(body, "to"), &to);
        f->counted += to - from;
    }
    cJSON_Delete(body);
}

static int on_post(void *user, struct source *s, const struct post *post, struct err *e)
{
    struct life *f = user;
    (void)s;
    if (f->refuse) {
        f->refuse--;
        return err_set(e, ERR_RETRY, "full");
    }
    if (post->kind != POST_POST) {
        take_event(f, post);
        return 0;
    }
    int number = 0;
    char text[40];
    snprintf(text, sizeof text, "%.*s", VIEW_PRINT(post->text));
    cr_assert(eq(int, sscanf(text, "tea %d", &number), 1));
    cr_assert(number >= 0 && number < MOST_NUMBER);
    f->seen[number]++;
    f->posts++;
    return 0;
}

static void on_final(void *user, struct source *s, const struct err *why)
{
    (void)s, (void)why;
    ((struct life *)user)->finals++;
}

static void on_in_force(void *user, struct source *s, const struct version *version)
{
    struct life *f = user;
    (void)s;
    buffer_print(&f->versions, "%.*s ", VIEW_PRINT(version->rules[0].value));
}

static void on_done(void *user)
{
    ((struct life *)user)->closed = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void prepare_settings(struct life *f, int i)
{
    struct err e;
    cr_assert(eq(int, keyword_parse(view_of(words[i]), f->arena, &f->keywords[i].keyword, &e), 1));
    f->settings[i] = (struct source_x_v1_settings){.common = {.name = "test", .type = "x-v1", .url = f->url},
                                                   .api_key = "key",
                                                   .api_secret = "key secret",
                                                   .access_token = "token",
                                                   .access_secret = "token secret"};
    f->settings[i].common.filter = (struct filter_settings){.keywords = &f->keywords[i],
                                                            .keyword_count = 1,
                                                            .retweets = true,
                                                            .replies = true,
                                                            .quotes = true,
                                                            .local_filter = FILTER_LOCAL_NO};
}

/* Ladders of an hour; a change is asked for at once. */
void life_prepare(struct life *f)
{
    *f = (struct life){.gaps = BUFFER(1 << 20), .versions = BUFFER(1 << 20)};
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    uv_timer_start(&f->tick, on_tick, 1, 1);
    f->server = server_new(&f->loop);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/1.1/statuses/filter.json", server_port(f->server));
    snprintf(f->folder, sizeof f->folder, "/tmp/roost-test-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(f->folder), NULL));
    snprintf(f->path, sizeof f->path, "%s/sources", f->folder);
    snprintf(f->streamed, sizeof f->streamed, "%s/streamed", f->folder);
    f->arena = arena_new(1 << 20);
    for (int i = 0; i < CONFIGURATIONS; i++) {
        prepare_settings(f, i);
    }
    for (int i = 0; i < BACKOFF_LADDERS; i++) {
        f->backoff.ladders[i].first = f->backoff.ladders[i].most = HOUR;
    }
    f->backoff.calm = HOUR;
    f->timing = *x_v1_protocol.timing;
    f->timing.backoff = &f->backoff;
    f->timing.change_settle = f->timing.change_apart = 0;
    f->options = (struct source_options){.timing = &f->timing, .streamed_path = f->streamed};
}

/* A life of the listener with configuration number `which`. */
void life_begin(struct life *f, int which)
{
    struct err e;
    f->ledger = ledger_open(&f->loop, f->path, &e);
    f->options.ledger = f->ledger;
    const struct source_events events = {
        .post = on_post, .final = on_final, .in_force = on_in_force, .user = f};
    f->source = source_open(&f->loop, &f->settings[which].common, &f->options, &events, &e);
    cr_assert(ne(ptr, f->source, NULL), "%s", e.text);
    source_start(f->source);
}

void life_rest(struct life *f, int64_t milliseconds)
{
    int64_t until = clock_steady_ms() + milliseconds;
    RUN_UNTIL(f, clock_steady_ms() >= until);
}

void life_change(struct life *f, int which)
{
    cr_assert(source_change(f->source, &f->settings[which].common));
}

size_t life_requests(const struct life *f)
{
    return server_request_count(f->server);
}

/* The request number `index` has asked for this configuration's keyword. */
bool life_asked_for(const struct life *f, size_t index, int which)
{
    return strstr(server_request(f->server, index)->body, words[which]) != NULL;
}

int64_t life_wait_before(const struct life *f, size_t index)
{
    return server_request(f->server, index)->at_ms - server_request(f->server, index - 1)->at_ms;
}

char *life_gaps(struct life *f)
{
    return (char *)buffer_string(&f->gaps);
}

char *life_versions(struct life *f)
{
    return (char *)buffer_string(&f->versions);
}

void life_end(struct life *f)
{
    f->closed = false;
    source_stop(f->source, "stopped", on_done, f);
    RUN_UNTIL(f, f->closed);
    f->closed = false;
    ledger_close(f->ledger, on_done, f);
    RUN_UNTIL(f, f->closed);
}

void life_finish(struct life *f)
{
    server_close(f->server);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&f->loop), 0));
    server_free(f->server);
    unlink(f->path);
    unlink(f->streamed);
    cr_expect(eq(int, rmdir(f->folder), 0));
    arena_free(f->arena);
    buffer_free(&f->gaps);
    buffer_free(&f->versions);
}
