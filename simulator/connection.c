#include "base/clock.h"
#include "simulator/answers.h"
#include "simulator/api2.h"
#include "simulator/fault_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <oauth.h>

enum { REQUEST_MS = 30000, LINGER_MS = 2000, ANSWER_MS = 10000 };

void connection_accept(struct simulator *s, int fd, const char *peer)
{
    struct connection *c = s->connection_count < SIMULATOR_CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    c->sim = s;
    c->transport.fd = fd;
    c->number = ++s->connections_made;
    c->in = BUFFER(HTTP_HEAD_MAX + HTTP_BODY_MAX);
    c->events = EPOLLIN | EPOLLRDHUP;
    c->deadline_ms = s->now_ms + REQUEST_MS;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    struct epoll_event event = {.events = c->events, .data.ptr = c};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        free(c);
        return;
    }
    c->next = s->connections;
    if (c->next) {
        c->next->previous = c;
    }
    s->connections = c;
    s->connection_count++;
    if (s->tls) {
        c->transport.tls = tls_session_new(s->tls, fd);
        if (!c->transport.tls) {
            connection_close(c);
            return;
        }
    }
    if (s->faults) {
        faults_take_connection(s, c);
    }
}

void connection_watch(struct connection *c, uint32_t events)
{
    if (c->state == CONNECTION_CLOSED || c->events == events) {
        return;
    }
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(c->sim->epoll_fd, EPOLL_CTL_MOD, c->transport.fd, &event) < 0) {
        connection_close(c);
        return;
    }
    c->events = events;
}

void connection_close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    c->state = CONNECTION_CLOSED;
    if (c->stream) {
        stream_forget(c);
    }
    /* A process that was just forked may hold the socket open for a moment: its events must not come here. */
    epoll_ctl(c->sim->epoll_fd, EPOLL_CTL_DEL, c->transport.fd, NULL);
    tls_session_free(c->transport.tls);
    c->transport.tls = NULL;
    close(c->transport.fd);
}

void connection_free(struct connection *c)
{
    struct simulator *s = c->sim;
    if (c->previous) {
        c->previous->next = c->next;
    } else {
        s->connections = c->next;
    }
    if (c->next) {
        c->next->previous = c->previous;
    }
    s->connection_count--;
    buffer_free(&c->in);
    wire_free(c->wire);
    free(c);
}

void connection_sent(struct connection *c)
{
    if (wire_failed(c->wire) || wire_send(c->wire, &c->transport, SIZE_MAX) < 0) {
        connection_close(c);
    } else if (wire_waiting(c->wire)) {
        connection_watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
    } else {
        /* A close with unread bytes in our queue would be a reset, and could take the answer with it. */
        if (c->stream) {
            stream_forget(c);
        }
        if (c->transport.tls) {
            tls_end(c->transport.tls);
        }
        shutdown(c->transport.fd, SHUT_WR);
        c->state = CONNECTION_LINGERING;
        c->deadline_ms = c->sim->now_ms + LINGER_MS;
        connection_watch(c, EPOLLIN | EPOLLRDHUP);
    }
}

void connection_drain(struct connection *c, int64_t milliseconds)
{
    c->state = CONNECTION_DRAINING;
    c->deadline_ms = c->sim->now_ms + milliseconds;
    connection_sent(c);
}

/* ---- the answer ---- */

static const char *reason_for_log(const struct err *why)
{
    return why && *why->text ? why->text : "";
}

void connection_answer(struct connection *c, int status, struct view bytes, const char *note)
{
    struct simulator *s = c->sim;
    struct view path = c->request.path.at ? c->request.path : VIEW("/");
    log_info(&SIMULATOR_LOG, "%s %.*s %.*s -> %d %s wall_ms=%lld connection=%llu", c->peer,
             VIEW_PRINT(c->request.method), (int)(path.length < 100 ? path.length : 100), path.at, status,
             note, (long long)clock_wall_ms(), (unsigned long long)c->number);
    atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->refused, status >= 300, memory_order_relaxed);
    c->wire = wire_new(&(struct wire_options){.chunked = false});
    if (!c->wire) {
        connection_close(c);
        return;
    }
    wire_add_head(c->wire, bytes);
    connection_drain(c, ANSWER_MS);
}

static void answer(struct connection *c, int status, const char *text, const struct err *why)
{
    struct buffer bytes = BUFFER(64 << 10);
    answers_add(&bytes, status, text, c->request.path.at ? c->request.path : VIEW("/"));
    connection_answer(c, status, buffer_view(&bytes), reason_for_log(why));
    buffer_free(&bytes);
}

/* ---- accounts ---- */

static bool is_form(const struct http_request *r)
{
    static const char form[] = "application/x-www-form-urlencoded";
    struct view type = http_request_header(r, "Content-Type");
    return type.length >= sizeof form - 1 && strncasecmp(type.at, form, sizeof form - 1) == 0;
}

static struct account *new_account(struct simulator *s, const char *name)
{
    if (s->account_count == SIMULATOR_ACCOUNTS_MAX) {
        return NULL;
    }
    const struct simulator_options *o = &s->options;
    struct account *a = calloc(1, sizeof *a);
    if (!a) {
        return NULL;
    }
    a->name = strdup(name);
    a->attempts = o->max_connects ? calloc(o->max_connects, sizeof *a->attempts) : NULL;
    bool pulls = !simulator_is_live(s);
    if (!a->name || (o->max_connects && !a->attempts) ||
        feed_init(&a->feed, s->list, o->loop, o->total, o->fresh_ids && pulls) < 0 ||
        repeats_init(&a->repeats, pulls ? o->repeat : 0) < 0) {
        feed_free(&a->feed);
        free(a->name);
        free(a->attempts);
        free(a);
        return NULL;
    }
    s->accounts[s->account_count++] = a;
    return a;
}

struct account *account_named(struct simulator *s, const char *name)
{
    for (size_t i = 0; i < s->account_count; i++) {
        if (strcmp(s->accounts[i]->name, name) == 0) {
            return s->accounts[i];
        }
    }
    return new_account(s, name);
}

/* Without authentication: the user name of Basic, the token of OAuth, else all are one. */
static void open_name(struct view authorization, char name[100])
{
    snprintf(name, 100, "anonymous");
    if (authorization.length > 6 && authorization.length < 500 &&
        strncasecmp(authorization.at, "Basic ", 6) == 0) {
        char *encoded = view_copy(view_trim(view_from(authorization, 6)));
        unsigned char decoded[512];
        int n = encoded ? oauth_decode_base64(decoded, encoded) : -1;
        const char *colon = n > 0 ? memchr(decoded, ':', (size_t)n) : NULL;
        if (colon && colon != (const char *)decoded) {
            snprintf(name, 100, "%.*s", (int)(colon - (const char *)decoded), (const char *)decoded);
        }
        free(encoded);
        return;
    }
    static const char key[] = "oauth_token=\"";
    const char *token =
        authorization.length ? memmem(authorization.at, authorization.length, key, sizeof key - 1) : NULL;
    if (token) {
        struct view rest = view_from(authorization, (size_t)(token - authorization.at) + sizeof key - 1);
        const char *quote = memchr(rest.at, '"', rest.length);
        if (quote && quote != rest.at) {
            snprintf(name, 100, "%.*s", (int)(quote - rest.at), rest.at);
        }
    }
}

/* Whose request it is. NULL: the refusal is in *why. */
static struct account *authenticate(struct connection *c, struct err *why)
{
    struct simulator *s = c->sim;
    const struct http_request *r = &c->request;
    struct view authorization = http_request_header(r, "Authorization");
    char name[100];
    if (s->options.no_auth) {
        open_name(authorization, name);
    } else {
        struct oauth_request signed_request = {.method = r->method,
                                               .scheme = s->tls ? VIEW("https") : VIEW("http"),
                                               .host = http_request_header(r, "Host"),
                                               .path = r->path,
                                               .query = r->query,
                                               .form = is_form(r) ? r->body : view_none(),
                                               .authorization = authorization};
        size_t index;
        if (oauth_check_request(s->check, &signed_request, clock_wall_ms() / 1000, &index, why) < 0) {
            return NULL;
        }
        snprintf(name, sizeof name, "%.80s#%zu", s->options.accounts[index].api_key, index + 1);
    }
    struct account *a = account_named(s, name);
    if (!a) {
        err_set(why, ERR_RETRY, "more than %d accounts, or memory is out", SIMULATOR_ACCOUNTS_MAX);
    }
    return a;
}

/* Refused attempts count too: who goes on trying stays refused longer. */
static bool connects_too_often(struct simulator *s, struct account *a)
{
    if (!a->attempts) {
        return false;
    }
    int64_t *oldest = &a->attempts[a->attempt_next];
    int64_t window = (int64_t)s->options.connect_minutes * 60000;
    bool refused = *oldest && s->now_ms - *oldest < window;
    *oldest = s->now_ms ? s->now_ms : 1;
    a->attempt_next = (a->attempt_next + 1) % s->options.max_connects;
    return refused;
}

/* ---- the stream ---- */

/* The newest connection of an account wins. One whose client is gone already is no stream any more. */
static void replace_stream(struct account *a)
{
    struct connection *old = a->streaming;
    if (!old) {
        return;
    }
    char byte;
    ssize_t n = recv(old->transport.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        connection_close(old);
    } else if (old->state == CONNECTION_STREAMING) {
        a->streaming = NULL;
        stream_end(old, 7, "the account connected again");
    } else {
        a->streaming = NULL;
    }
}

static struct wire *stream_wire(const struct connection *c, struct view headers)
{
    const struct simulator_options *o = &c->sim->options;
    struct view accepted = http_request_header(&c->request, "Accept-Encoding");
    struct wire_options w = {
        .chunks = o->chunks, .chunk_size = o->chunk_size, .seed = o->seed, .chunked = !c->request.http_1_0};
    w.coding = http_request_accepts(accepted, "gzip")      ? WIRE_GZIP
               : http_request_accepts(accepted, "deflate") ? WIRE_DEFLATE
                                                           : WIRE_PLAIN;
    static const char *const names[] = {NULL, "gzip", "deflate"};
    struct wire *wire = wire_new(&w);
    if (wire) {
        struct buffer head = BUFFER(4096);
        answers_add_stream_head(&head, w.chunked, names[w.coding], headers);
        wire_add_head(wire, buffer_view(&head));
        buffer_free(&head);
    }
    return wire;
}

void connection_begin_stream(struct connection *c, struct account *a, struct selection *filter,
                             struct view headers)
{
    c->wire = stream_wire(c, headers);
    if (!c->wire) {
        selection_free(filter);
        connection_close(c);
        return;
    }
    if (stream_begin(c, a, filter) < 0) {
        connection_close(c);
        return;
    }
    atomic_fetch_add_explicit(&c->sim->requests, 1, memory_order_relaxed);
    log_info(&SIMULATOR_LOG, "%s %.*s %.*s -> 200 account %s wall_ms=%lld connection=%llu", c->peer,
             VIEW_PRINT(c->request.method), VIEW_PRINT(c->request.path), a->name,
             (long long)c->stream->began_wall_ms, (unsigned long long)c->number);
    connection_watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
}

static void begin_stream(struct connection *c, struct account *a, const struct parameters *p,
                         struct selection *filter)
{
    const char *delimited = parameters_find(p, "delimited"), *warnings = parameters_find(p, "stall_warnings");
    replace_stream(a);
    connection_begin_stream(c, a, filter, VIEW(""));
    if (c->stream) {
        c->stream->delimited = delimited && strcmp(delimited, "length") == 0;
        c->stream->stall_warnings = warnings && strcmp(warnings, "true") == 0;
        stream_add_repeats(c);
    }
}

int connection_answers_by_option(struct simulator *s)
{
    const struct simulator_options *o = &s->options;
    bool now = o->answer_status && (!o->answer_count || s->answers_given++ < o->answer_count);
    return now ? o->answer_status : 0;
}

static void handle_stream_request(struct connection *c, bool needs_predicate)
{
    struct simulator *s = c->sim;
    struct err why = {.text = ""};
    if (s->faults && faults_answer(c)) {
        return;
    }
    if (connection_answers_by_option(s)) {
        answer(c, s->options.answer_status,
               s->options.answer_status == 420 ? "Exceeded connection limit for user" : NULL, NULL);
        return;
    }
    struct account *a = authenticate(c, &why);
    if (!a) {
        answer(c, why.kind == ERR_RETRY ? 503 : 401, NULL, &why);
        return;
    }
    if (connects_too_often(s, a)) {
        answer(c, 420, "Exceeded connection limit for user", NULL);
        return;
    }
    struct parameters p = {0};
    int status = 0;
    const char *body = NULL;
    struct selection *filter = NULL;
    if (parameters_add_form(&p, c->request.query, &why) < 0 ||
        (is_form(&c->request) && parameters_add_form(&p, c->request.body, &why) < 0)) {
        status = 406;
    } else {
        filter = selection_compile(&p, needs_predicate, &status, &body);
    }
    if (filter) {
        begin_stream(c, a, &p, filter);
    } else {
        answer(c, status, status == 406 ? body : NULL, &why);
    }
    parameters_free(&p);
}

void connection_handle(struct connection *c)
{
    bool get = view_is(c->request.method, "GET"), post = view_is(c->request.method, "POST");
    bool filter = view_is(c->request.path, "/1.1/statuses/filter.json");
    bool sample = view_is(c->request.path, "/1.1/statuses/sample.json");
    if (c->sim->apps && api2_handle(c)) {
        return;
    }
    if (!c->sim->options.api_1 || (!filter && !sample)) {
        answer(c, 404, NULL, NULL);
    } else if (!get && !post) {
        answer(c, 405, NULL, NULL);
    } else {
        handle_stream_request(c, filter);
    }
}

/* ---- events ---- */

static void read_request(struct connection *c)
{
    bool head_done;
    int status = 400;
    switch (http_request_read(buffer_view(&c->in), &c->request, &head_done, &status)) {
    case HTTP_BAD:
        answer(c, status, NULL, NULL);
        return;
    case HTTP_DONE:
        connection_handle(c);
        return;
    case HTTP_MORE:
        if (head_done && c->request.expects_continue && !c->continued) {
            static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
            c->continued = true;
            if (transport_send(&c->transport, go_on, sizeof go_on - 1) != (ssize_t)sizeof go_on - 1) {
                connection_close(c);
            }
        }
    }
}

/* Once, or with TLS until all is read: what is decrypted already makes no event. */
static void receive(struct connection *c)
{
    char bytes[16 << 10];
    do {
        ssize_t n = transport_receive(&c->transport, bytes, sizeof bytes);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            if (n < 0 && errno == EPROTO && c->state == CONNECTION_READING) {
                log_info(&SIMULATOR_LOG, "%s -> the TLS handshake failed wall_ms=%lld connection=%llu",
                         c->peer, (long long)clock_wall_ms(), (unsigned long long)c->number);
            }
            connection_close(c);
            return;
        }
        if (c->state != CONNECTION_READING || c->delayed) {
            continue; /* nothing that a client sends after its request matters */
        }
        buffer_append(&c->in, bytes, (size_t)n);
        if (buffer_failed(&c->in)) {
            answer(c, 413, NULL, NULL);
            return;
        }
        read_request(c);
    } while (c->transport.tls && c->state != CONNECTION_CLOSED);
}

void connection_event(struct connection *c, uint32_t events)
{
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    if (events & (EPOLLERR | EPOLLHUP)) {
        connection_close(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP)) {
        receive(c);
    }
    if (!(events & EPOLLOUT)) {
        return;
    }
    if (c->state == CONNECTION_DRAINING) {
        connection_sent(c);
    } else if (c->state == CONNECTION_STREAMING && !simulator_is_live(c->sim)) {
        stream_pull(c);
    } else if (c->state == CONNECTION_STREAMING) {
        stream_send(c);
    }
}
