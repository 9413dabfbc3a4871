#include "simulator/simulator.h"

#include "base/clock.h"
#include "base/number.h"
#include "simulator/api2.h"
#include "simulator/fault_run.h"
#include "simulator/pace.h"
#include "simulator/sample.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, STOP_MS = 1000, TURN_MAX_MS = 60000 };

static const struct oauth_account PUBLISHED = {SIMULATOR_API_KEY, SIMULATOR_API_SECRET,
                                               SIMULATOR_ACCESS_TOKEN, SIMULATOR_ACCESS_SECRET};

/* ---- opening ---- */

static int check_options(const struct simulator_options *o, struct err *e)
{
    if (!(o->rate >= 0 && o->rate <= 1e6)) {
        return err_set(e, ERR_FATAL, "the rate must be above 0 and at most 1000000 messages a second");
    }
    if (!(o->speed >= 0 && o->speed <= 1e6) || (o->speed > 0 && o->rate > 0)) {
        return err_set(e, ERR_FATAL,
                       "the speed must be above 0 and at most 1000000, and there is no rate beside it");
    }
    bool live = o->rate > 0 || o->speed > 0;
    if (o->limit_rate != 0 && !(o->limit_rate >= 1 && live)) {
        return err_set(e, ERR_FATAL, "a limit rate must be at least 1 and needs a rate or speed");
    }
    if (o->rules_maximum < 1 || o->rules_maximum > RULE_STORE_MOST || o->rule_length < 1 ||
        o->rule_length > RULE_STORE_LENGTH_MOST || !o->connections || o->keep_alive_v2_ms < 1) {
        return err_set(e, ERR_FATAL, "rules are 1 to %d of 1 to %d characters, connections at least 1",
                       RULE_STORE_MOST, RULE_STORE_LENGTH_MOST);
    }
    if (o->connections > 1 && !live) {
        return err_set(e, ERR_FATAL, "several connections of an app need a rate or speed");
    }
    if (o->keep_alive_ms < 1 || (o->chunks == WIRE_FIXED && !o->chunk_size) || o->queue < 1024) {
        return err_set(e, ERR_FATAL,
                       "keep-alive must be at least 1 ms, a chunk at least 1 byte, the queue at least 1 KiB");
    }
    if (o->repeat > SIMULATOR_REPEAT_MAX) {
        return err_set(e, ERR_FATAL, "at most the last %d messages are repeated", SIMULATOR_REPEAT_MAX);
    }
    if (o->answer_status && (o->answer_status < 400 || o->answer_status > 599)) {
        return err_set(e, ERR_FATAL, "the status to answer must be 400 to 599");
    }
    if (o->max_connects > 100000 || (o->max_connects && !o->connect_minutes)) {
        return err_set(e, ERR_FATAL, "connection attempts are limited as 1 to 100000 in 1 minute or more");
    }
    if (o->account_count > SIMULATOR_ACCOUNTS_MAX) {
        return err_set(e, ERR_FATAL, "at most %d accounts", SIMULATOR_ACCOUNTS_MAX);
    }
    if (!o->file && (o->sample_count < 1 || o->sample_count > SAMPLE_COUNT_MAX)) {
        return err_set(e, ERR_FATAL, "a sample has 1 to %d messages", SAMPLE_COUNT_MAX);
    }
    return 0;
}

/* Splits ADDRESS:PORT; both are numbers, no name is looked up. */
static int resolve(const char *listen_at, struct sockaddr_storage *address, socklen_t *length, struct err *e)
{
    const char *colon = strrchr(listen_at, ':');
    int64_t port;
    char host[64];
    size_t n = colon ? (size_t)(colon - listen_at) : 0;
    if (!colon || !n || n >= sizeof host || number_parse(view_of(colon + 1), 0, 65535, &port) < 0) {
        return err_set(e, ERR_FATAL,
                       "%.100s: an address to listen at is written 127.0.0.1:8080 or [::1]:8080", listen_at);
    }
    bool bracket = listen_at[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracket ? n - 2 : n), listen_at + bracket);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, colon + 1, &hints, &found);
    if (code) {
        return err_set(e, ERR_FATAL, "%.100s: no numeric address: %s", listen_at, gai_strerror(code));
    }
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int bind_socket(struct simulator *s, const char *listen_at, struct err *e)
{
    struct sockaddr_storage address = {0};
    socklen_t length = 0;
    if (resolve(listen_at, &address, &length, e) < 0) {
        return -1;
    }
    s->listen_fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (s->listen_fd < 0 || setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(s->listen_fd, (struct sockaddr *)&address, length) < 0 || listen(s->listen_fd, 128) < 0) {
        return err_set(e, ERR_RETRY, "listening at %.100s: %s", listen_at, strerror(errno));
    }
    return 0;
}

static int start_listening(struct simulator *s, struct err *e)
{
    struct sockaddr_storage address = {0};
    socklen_t length = 0;
    if (bind_socket(s, s->options.listen, e) < 0) {
        return -1;
    }
    length = sizeof address;
    if (getsockname(s->listen_fd, (struct sockaddr *)&address, &length) < 0) {
        return err_set(e, ERR_RETRY, "listening at %.100s: %s", s->options.listen, strerror(errno));
    }
    char port[8] = "";
    int64_t number;
    int code = getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof port, NI_NUMERICSERV);
    if (code || number_parse(view_of(port), 1, 65535, &number) < 0) {
        return err_set(e, ERR_RETRY, "listening at %.100s: the port is not known", s->options.listen);
    }
    s->port = (int)number;
    const char *colon = strrchr(s->options.listen, ':');
    int host = colon ? (int)(colon - s->options.listen) : 0; /* resolve() saw to it that there is one */
    snprintf(s->address, sizeof s->address, "%.*s:%d", host, s->options.listen, s->port);
    return 0;
}

static struct playlist *load(const struct simulator_options *o, struct err *e)
{
    if (o->file) {
        return playlist_load(o->file, o->control, e);
    }
    struct buffer lines = BUFFER(PLAYLIST_BYTES_MAX);
    struct playlist *list = NULL;
    if (sample_write(o->sample_count, o->seed, SAMPLE_START_MS, &lines, e) == 0) {
        list = playlist_from(&lines, o->control, e);
    }
    buffer_free(&lines);
    return list;
}

/* The three descriptors that are no connection are told apart by the address of where they are kept. */
static int watch_fd(struct simulator *s, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    return *fd < 0 ? 0 : epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, *fd, &event);
}

static int open_descriptors(struct simulator *s, struct err *e)
{
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll_fd < 0 || s->stop_fd < 0 || watch_fd(s, &s->listen_fd) < 0 || watch_fd(s, &s->stop_fd) < 0 ||
        watch_fd(s, &s->options.stop_fd) < 0) {
        return err_set(e, ERR_RETRY, "the event loop of the simulator: %s", strerror(errno));
    }
    return 0;
}

static int open_faults(struct simulator *s, struct err *e)
{
    struct fault_script script;
    if (!s->options.faults) {
        return 0;
    }
    const char *name = s->options.faults_name ? s->options.faults_name : "the faults";
    if (fault_script_read(view_of(s->options.faults), name, &script, e) == 0) {
        s->faults = faults_new(&script);
        if (!s->faults) {
            err_set(e, ERR_RETRY, "memory is out");
        }
    }
    fault_script_free(&script);
    return s->faults ? 0 : -1;
}

static int open_tls(struct simulator *s, struct err *e)
{
    const struct simulator_options *o = &s->options;
    char host[80];
    const char *colon = strrchr(o->listen, ':');
    snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - o->listen) : 0, o->listen);
    if (!o->tls_certificate != !o->tls_key) {
        return err_set(e, ERR_FATAL, "a TLS certificate and its key belong together");
    }
    s->tls = tls_new(o->tls_certificate, o->tls_key, host, o->tls_write, e);
    return s->tls ? 0 : -1;
}

struct simulator *simulator_open(const struct simulator_options *options, struct err *e)
{
    struct simulator *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    s->listen_fd = s->epoll_fd = s->stop_fd = -1;
    s->options = *options;
    s->scratch = BUFFER((size_t)PLAYLIST_MESSAGE_MAX * 2);
    s->now_ms = clock_steady_ms();
    if (!s->options.account_count) {
        s->options.accounts = &PUBLISHED;
        s->options.account_count = 1;
    }
    if (check_options(&s->options, e) < 0) {
        goto fail;
    }
    s->check = oauth_check_new(s->options.accounts, s->options.account_count);
    s->accounts_given = calloc(s->options.account_count, sizeof *s->accounts_given);
    if (!s->check || !s->accounts_given) {
        err_set(e, ERR_RETRY, "memory is out");
        goto fail;
    }
    memcpy(s->accounts_given, s->options.accounts, s->options.account_count * sizeof *s->accounts_given);
    s->options.accounts = s->accounts_given;
    if (open_faults(s, e) < 0 || (s->options.tls && open_tls(s, e) < 0)) {
        goto fail;
    }
    s->list = load(&s->options, e);
    if (!s->list) {
        goto fail;
    }
    if (simulator_is_live(s)) {
        s->pace = pace_new(s->list, s->options.rate, s->options.speed, e);
        if (!s->pace) {
            goto fail;
        }
    }
    if (feed_init(&s->live, s->list, s->options.loop, s->options.total, s->options.fresh_ids) < 0 ||
        repeats_init(&s->live_repeats, simulator_is_live(s) ? s->options.repeat : 0) < 0) {
        err_set(e, ERR_RETRY, "memory is out");
        goto fail;
    }
    if (s->options.api_2) {
        s->posts = posts_make(s->list, !s->options.file, e);
        if (!s->posts || api2_open(s, e) < 0) {
            goto fail;
        }
    }
    if (start_listening(s, e) < 0 || open_descriptors(s, e) < 0) {
        goto fail;
    }
    if (playlist_broken(s->list)) {
        log_warning(&SIMULATOR_LOG, "%zu lines are no JSON; they are sent as they are, whatever is filtered",
                    playlist_broken(s->list));
    }
    return s;
fail:
    simulator_close(s);
    return NULL;
}

int simulator_port(const struct simulator *s)
{
    return s->port;
}

const char *simulator_address(const struct simulator *s)
{
    return s->address;
}

size_t simulator_messages(const struct simulator *s)
{
    return playlist_count(s->list);
}

size_t simulator_tweets(const struct simulator *s)
{
    return s->posts ? posts_count(s->posts) : playlist_tweets(s->list);
}

void simulator_counts(const struct simulator *s, struct simulator_counts *counts)
{
    *counts = (struct simulator_counts){.requests = atomic_load_explicit(&s->requests, memory_order_relaxed),
                                        .refused = atomic_load_explicit(&s->refused, memory_order_relaxed),
                                        .messages = atomic_load_explicit(&s->messages, memory_order_relaxed),
                                        .bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed),
                                        .slow = atomic_load_explicit(&s->slow, memory_order_relaxed)};
}

/* ---- the loop ---- */

static void accept_all(struct simulator *s)
{
    for (;;) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd = accept4(s->listen_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        char host[48] = "?", port[8] = "?", peer[64];
        getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
        snprintf(peer, sizeof peer, "%s:%s", host, port);
        connection_accept(s, fd, peer);
    }
}

void simulator_stop_listening(struct simulator *s)
{
    if (s->listen_fd >= 0) {
        epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->listen_fd, NULL);
        close(s->listen_fd);
        s->listen_fd = -1;
    }
}

int simulator_listen_again(struct simulator *s)
{
    struct err e;
    char first[sizeof s->address];
    /* At the port that it had, also if it was any free one. */
    snprintf(first, sizeof first, "%s", s->address);
    if (!s->stopping && (bind_socket(s, first, &e) < 0 || watch_fd(s, &s->listen_fd) < 0)) {
        if (s->listen_fd >= 0) {
            close(s->listen_fd);
            s->listen_fd = -1;
        }
        return -1;
    }
    return 0;
}

static void begin_stopping(struct simulator *s)
{
    if (s->stopping) {
        return;
    }
    s->stopping = true;
    simulator_stop_listening(s);
    epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->stop_fd, NULL);
    if (s->options.stop_fd >= 0) {
        epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->options.stop_fd, NULL);
    }
    for (struct connection *c = s->connections; c; c = c->next) {
        if (c->state == CONNECTION_STREAMING) {
            stream_end(c, 0, "the simulator stops");
        } else if (c->state == CONNECTION_READING || c->state == CONNECTION_LINGERING) {
            connection_close(c);
        }
        if (c->deadline_ms > s->now_ms + STOP_MS) {
            c->deadline_ms = s->now_ms + STOP_MS;
        }
    }
}

static void keep_times(struct simulator *s)
{
    for (struct connection *c = s->connections; c; c = c->next) {
        if (c->state == CONNECTION_STREAMING) {
            stream_keep_alive(c);
        } else if (c->state == CONNECTION_READING && c->delayed && s->now_ms >= c->deadline_ms) {
            connection_handle(c);
        } else if (c->state != CONNECTION_CLOSED && s->now_ms >= c->deadline_ms) {
            connection_close(c);
        }
    }
}

static void free_closed(struct simulator *s)
{
    for (struct connection *c = s->connections, *next; c; c = next) {
        next = c->next;
        if (c->state == CONNECTION_CLOSED) {
            connection_free(c);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the loop may sleep, in real time. */
static int timeout_ms(struct simulator *s)
{
    int64_t left = TURN_MAX_MS;
    if (simulator_is_live(s)) {
        left = earlier(left, stream_live_next_ms(s));
    }
    if (s->faults) {
        left = earlier(left, faults_next_ms(s));
    }
    for (const struct connection *c = s->connections; c; c = c->next) {
        if (c->state == CONNECTION_STREAMING && !wire_waiting(c->wire)) {
            int64_t due = c->stream->last_data_ms + c->stream->keep_alive_ms;
            int64_t silent = c->stream->faults.silent_until_ms;
            left = earlier(left, (due > silent ? due : silent) - s->now_ms);
        } else if (c->deadline_ms != INT64_MAX) {
            left = earlier(left, c->deadline_ms - s->now_ms);
        }
    }
    return (int)clock_timer_ms(left < 1 ? 1 : left);
}

static bool is_over(const struct simulator *s)
{
    return (s->stopping || (s->options.at_end == SIMULATOR_EXIT && s->played_out)) && !s->connections;
}

int simulator_run(struct simulator *s, struct err *e)
{
    if (simulator_is_live(s) && !s->options.wait_for_client && !s->live_start_us) {
        s->live_start_us = clock_steady_us();
    }
    if (s->faults) {
        faults_tick(s); /* those of second 0 */
    }
    while (!is_over(s)) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(s->epoll_fd, events, EVENTS, timeout_ms(s));
        if (n < 0 && errno != EINTR) {
            return err_set(e, ERR_RETRY, "epoll_wait: %s", strerror(errno));
        }
        s->now_ms = clock_steady_ms();
        for (int i = 0; i < n; i++) {
            const void *of = events[i].data.ptr;
            if (of == &s->listen_fd) {
                accept_all(s);
            } else if (of == &s->stop_fd || of == &s->options.stop_fd) {
                begin_stopping(s);
            } else {
                connection_event(events[i].data.ptr, events[i].events);
            }
        }
        if (simulator_is_live(s) && !s->stopping) {
            stream_live(s);
        }
        if (s->faults && !s->stopping) {
            faults_tick(s);
        }
        keep_times(s);
        free_closed(s);
    }
    return 0;
}

void simulator_stop(struct simulator *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->stop_fd, &one, sizeof one);
    (void)n; /* it can only fail when it is full of ones already */
}

void simulator_close(struct simulator *s)
{
    if (!s) {
        return;
    }
    for (struct connection *c = s->connections; c; c = c->next) {
        connection_close(c);
    }
    free_closed(s);
    for (size_t i = 0; i < s->account_count; i++) {
        feed_free(&s->accounts[i]->feed);
        repeats_free(&s->accounts[i]->repeats);
        free(s->accounts[i]->attempts);
        free(s->accounts[i]->name);
        free(s->accounts[i]);
    }
    api2_close(s);
    faults_free(s->faults);
    pace_free(s->pace);
    tls_free(s->tls);
    posts_free(s->posts);
    feed_free(&s->live);
    repeats_free(&s->live_repeats);
    playlist_free(s->list);
    oauth_check_free(s->check);
    buffer_free(&s->scratch);
    free(s->accounts_given);
    int *fds[] = {&s->listen_fd, &s->epoll_fd, &s->stop_fd};
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
    }
    free(s);
}
