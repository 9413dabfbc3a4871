#include "cli/listen_status.h"

#include "base/clock.h"
#include "base/rate.h"
#include "cli/ages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a source beyond what it says itself; lives over reloads, by its name. */
struct known {
    struct known *next;
    char *name;
    struct rate posts;
    int64_t last_post; /* wall time; CLOCK_NONE: none yet */
    char version[VERSION_NAME_SIZE];
};

struct listen_status {
    struct service *service;
    void (*look)(void *user, struct listen_view *view);
    void *user;
    uv_timer_t timer;
    uv_poll_t poll;
    bool polling, closed;
    int descriptor; /* that is polled */
    struct known *known;
    struct ages ages;
    struct rate posts; /* of all sources */
    struct known lost; /* of a source for which there was no memory */
};

static struct known *find(struct listen_status *t, const char *source)
{
    struct known *k = t->known;
    while (k && strcmp(k->name, source) != 0) {
        k = k->next;
    }
    if (k) {
        return k;
    }
    k = calloc(1, sizeof *k);
    char *name = k ? strdup(source) : NULL;
    if (!name) {
        free(k);
        return &t->lost;
    }
    k->name = name;
    k->last_post = CLOCK_NONE;
    k->next = t->known;
    t->known = k;
    return k;
}

void listen_status_post(struct listen_status *t, const char *source, const struct bridge *bridge)
{
    struct known *k = find(t, source);
    struct bridge_numbers n;
    int64_t now = clock_steady_ms();
    bridge_count(bridge, &n);
    k->last_post = clock_wall_ms();
    rate_add(&k->posts, now, 1);
    rate_add(&t->posts, now, 1);
    ages_note(&t->ages, now, n.appended);
}

void listen_status_version(struct listen_status *t, const char *source, const char *name)
{
    struct known *k = find(t, source);
    snprintf(k->version, sizeof k->version, "%s", name);
}

struct service *listen_status_service(struct listen_status *t)
{
    return t->service;
}

/* ---- JSON ---- */

static void tell_source(struct listen_status *t, const struct source *s, struct buffer *json)
{
    struct known *k = find(t, source_name(s));
    struct source_condition c = source_condition(s);
    struct source_counts n = source_count(s);
    int64_t now = clock_steady_ms();
    buffer_add_text(json, "{");
    service_add_text(json, "name", source_name(s));
    service_add_text(json, "state", source_state_name(c.state));
    service_add_time(json, "since", c.since);
    service_add_time(json, "next_attempt", c.next_attempt);
    buffer_print(json, ",\"posts_per_second\":%.2f", rate_per_second(&k->posts, now));
    service_add_number(json, "posts_last_hour", (int64_t)rate_last_hour(&k->posts, now));
    service_add_time(json, "last_post", k->last_post);
    service_add_time(json, "last_byte", n.last_byte_at);
    service_add_text(json, "keyword_version", k->version[0] ? k->version : NULL);
    service_add_text(json, "last_error", c.error[0] ? c.error : NULL);
    service_add_time(json, "last_error_at", c.error_at);
    service_add_number(json, "received", (int64_t)n.received);
    service_add_number(json, "posts", (int64_t)n.posts);
    service_add_number(json, "events", (int64_t)n.events);
    service_add_number(json, "filtered", (int64_t)n.filtered);
    service_add_number(json, "unreadable", (int64_t)n.unreadable);
    service_add_number(json, "undelivered", (int64_t)n.undelivered);
    service_add_number(json, "attempts", (int64_t)n.attempts);
    buffer_add_text(json, "}");
}

struct consumers { /* told one by one */
    struct listen_status *t;
    struct buffer *json; /* NULL: only the worst lag is wanted */
    struct bridge_numbers n;
    uint64_t most_behind;
    bool any;
};

static void tell_consumer(void *user, const struct bridge_consumer *consumer)
{
    struct consumers *c = user;
    uint64_t behind = consumer->position < c->n.held ? c->n.held - consumer->position : 0;
    int64_t lag = behind ? ages_of(&c->t->ages, clock_steady_ms(), consumer->position + 1) : 0;
    c->most_behind = behind > c->most_behind ? behind : c->most_behind;
    if (c->json) {
        buffer_add_text(c->json, c->any ? ",{" : "{");
        service_add_text(c->json, "name", consumer->name);
        service_add_flag(c->json, "connected", consumer->connected);
        service_add_number(c->json, "position", (int64_t)consumer->position);
        service_add_number(c->json, "lag_frames", (int64_t)behind);
        buffer_print(c->json, ",\"lag_seconds\":%.1f", (double)lag / 1000.0);
        buffer_add_text(c->json, "}");
    }
    c->any = true;
}

static void tell_spool(const struct listen_view *v, const struct bridge_numbers *n, struct buffer *json)
{
    static const char *const policies[] = {"stop", "drop_oldest"};
    buffer_add_text(json, ",\"spool\":{");
    service_add_text(json, "folder", v->settings->spool_dir);
    service_add_text(json, "identity", bridge_spool_identity(v->bridge));
    service_add_number(json, "first", (int64_t)n->first);
    service_add_number(json, "last", (int64_t)n->appended);
    service_add_number(json, "held", (int64_t)n->held);
    service_add_number(json, "bytes", (int64_t)n->spool_bytes);
    service_add_number(json, "max_bytes", v->settings->spool_max);
    service_add_text(json, "when_full", policies[v->settings->when_full]);
    service_add_flag(json, "full", n->full);
    buffer_add_text(json, "}");
}

static void tell(void *user, struct buffer *json)
{
    struct listen_status *t = user;
    struct listen_view v = {0};
    bool any = false;
    t->look(t->user, &v);
    service_add_flag(json, "started", v.started);
    buffer_add_text(json, ",\"sources\":[");
    for (size_t i = 0; i < v.count; i++) {
        if (v.sources[i]) {
            buffer_add_text(json, any ? "," : "");
            tell_source(t, v.sources[i], json);
            any = true;
        }
    }
    buffer_add_text(json, "]");
    if (!v.bridge) {
        return;
    }
    struct consumers c = {.t = t, .json = json};
    bridge_count(v.bridge, &c.n);
    tell_spool(&v, &c.n, json);
    buffer_add_text(json, ",\"consumers\":[");
    bridge_each_consumer(v.bridge, tell_consumer, &c);
    buffer_print(json, "],\"clients\":{\"plain\":%zu,\"numbered\":%zu}", c.n.plain_clients,
                 c.n.numbered_clients);
}

/* ---- the manager's line ---- */

static void connection_words(const struct listen_view *v, char *text, size_t size)
{
    char length[SERVICE_LENGTH_SIZE], until[CLOCK_TEXT_SIZE];
    size_t streaming = 0, all = 0;
    int64_t shortest = INT64_MAX, now = clock_wall_ms();
    struct source_condition other = {0};
    for (size_t i = 0; i < v->count; i++) {
        if (!v->sources[i]) {
            continue;
        }
        struct source_condition c = source_condition(v->sources[i]);
        all++;
        if (c.state != SOURCE_STREAMING) {
            other = c;
            continue;
        }
        streaming++;
        shortest = now - c.since < shortest ? now - c.since : shortest;
    }
    if (!v->started) {
        snprintf(text, size, "waiting for the first client");
    } else if (all && streaming == all) {
        snprintf(text, size, "connected %s", service_length(shortest, length));
    } else if (streaming) {
        snprintf(text, size, "%zu of %zu sources connected", streaming, all);
    } else if (all && other.next_attempt != CLOCK_NONE) {
        clock_format(other.next_attempt, until);
        snprintf(text, size, "%s, next attempt at %.8s UTC", source_state_name(other.state), until + 11);
    } else {
        snprintf(text, size, "%s", all ? source_state_name(other.state) : "no source");
    }
}

static void line(void *user, char *text, size_t size)
{
    struct listen_status *t = user;
    struct listen_view v = {0};
    char connection[120], rate[32];
    t->look(t->user, &v);
    if (!v.bridge) {
        snprintf(text, size, "opening or closing the spool");
        return;
    }
    struct consumers c = {.t = t};
    bridge_count(v.bridge, &c.n);
    bridge_each_consumer(v.bridge, tell_consumer, &c);
    connection_words(&v, connection, sizeof connection);
    double posts = rate_per_second(&t->posts, clock_steady_ms());
    snprintf(rate, sizeof rate, posts < 10 && posts > 0 ? "%.1f" : "%.0f", posts);
    int n = snprintf(text, size, "%s, %s posts/s, ", connection, rate);
    size_t used = n < 0 || (size_t)n >= size ? size : (size_t)n;
    if (c.n.full) {
        snprintf(text + used, size - used, "the spool is full, %" PRIu64 " behind", c.most_behind);
    } else if (c.any) {
        snprintf(text + used, size - used, "%" PRIu64 " behind", c.most_behind);
    } else {
        snprintf(text + used, size - used, "no consumer yet");
    }
}

/* ---- on the loop ---- */

static void on_asked(uv_poll_t *poll, int status, int events)
{
    struct listen_status *t = poll->data;
    (void)status;
    (void)events;
    service_answer(t->service);
}

static void on_poll_closed(uv_handle_t *handle);

/* Takes the socket of now onto the loop, and an earlier one off it. */
static void poll_socket(struct listen_status *t)
{
    int descriptor = service_descriptor(t->service);
    if (t->polling && descriptor != t->descriptor) {
        uv_close((uv_handle_t *)&t->poll, on_poll_closed);
        return;
    }
    if (!t->polling && descriptor >= 0) {
        t->polling = uv_poll_init(t->timer.loop, &t->poll, descriptor) == 0;
        t->descriptor = descriptor;
        t->poll.data = t;
    }
    if (t->polling) {
        uv_poll_start(&t->poll, UV_READABLE, on_asked);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct listen_status *t = handle->data;
    t->polling = false;
    if (!t->closed) {
        poll_socket(t);
    }
}

/* The socket may be replaced while nothing polls it, and may have the same number then. */
static void on_timer(uv_timer_t *timer)
{
    struct listen_status *t = timer->data;
    bool closing = t->polling && uv_is_closing((uv_handle_t *)&t->poll);
    if (t->polling && !closing) {
        uv_poll_stop(&t->poll);
    }
    service_look(t->service);
    if (!closing) {
        poll_socket(t);
    }
    uv_timer_start(timer, on_timer, (uint64_t)service_look_ms(t->service), 0);
}

struct listen_status *listen_status_open(uv_loop_t *loop, const struct config *config,
                                         void (*look)(void *user, struct listen_view *view), void *user)
{
    struct listen_status *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    const struct service_offer offer = {"listen", tell, line, t};
    t->look = look;
    t->user = user;
    t->lost.last_post = CLOCK_NONE;
    t->service = service_open(config, &offer);
    if (!t->service) {
        free(t);
        return NULL;
    }
    uv_timer_init(loop, &t->timer);
    t->timer.data = t;
    uv_timer_start(&t->timer, on_timer, 0, 0);
    return t;
}

void listen_status_close(struct listen_status *t)
{
    if (t && !t->closed) {
        t->closed = true;
        uv_close((uv_handle_t *)&t->timer, NULL);
        if (t->polling && !uv_is_closing((uv_handle_t *)&t->poll)) {
            uv_close((uv_handle_t *)&t->poll, on_poll_closed);
        }
    }
}

void listen_status_free(struct listen_status *t)
{
    if (!t) {
        return;
    }
    service_close(t->service);
    while (t->known) {
        struct known *k = t->known;
        t->known = k->next;
        free(k->name);
        free(k);
    }
    free(t);
}
