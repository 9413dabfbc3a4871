#include "simulator/fault_run.h"

#include "base/clock.h"
#include "base/random.h"
#include "simulator/answers.h"
#include "simulator/api2.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { SLOW_STEP_MS = 50 };

/* A fault that waits for requests to come. */
struct waiting {
    const struct fault *fault;
    int64_t left; /* requests */
};

struct faults {
    struct fault_script script;
    bool *done;
    size_t left;              /* faults not carried out yet */
    int64_t start_ms;         /* steady, of the first request for a stream; -1: none yet */
    uint64_t messages;        /* added to streams */
    uint64_t attempts;        /* requests for a stream */
    struct waiting *waiting;  /* in the order in which they were carried out */
    size_t first, count;      /* of waiting: the one whose turn it is, and how many were ever there */
    int64_t refuse_until_ms;  /* 0: the socket listens */
    int64_t limited_until_ms; /* 0: no rate limit */
    struct random random;
};

struct faults *faults_new(struct fault_script *script)
{
    struct faults *f = calloc(1, sizeof *f);
    if (!f) {
        return NULL;
    }
    f->done = calloc(script->count + 1, sizeof *f->done);
    f->waiting = calloc(script->count + 1, sizeof *f->waiting);
    if (!f->done || !f->waiting) {
        faults_free(f);
        return NULL;
    }
    f->start_ms = -1;
    f->script = *script;
    f->left = script->count;
    f->random.state = 1;
    *script = (struct fault_script){0};
    return f;
}

void faults_free(struct faults *faults)
{
    if (faults) {
        fault_script_free(&faults->script);
        free(faults->done);
        free(faults->waiting);
        free(faults);
    }
}

static void log_fault(const struct fault *fault, const char *what)
{
    struct buffer text = BUFFER(4096);
    fault_print(fault, &text);
    const char *line = buffer_string(&text);
    log_info(&SIMULATOR_LOG, "fault line %u: %s%s; wall_ms=%lld", fault->line, line ? line : "", what,
             (long long)clock_wall_ms());
    buffer_free(&text);
}

/* ---- open streams ---- */

/* Half of the message that would come next, or one that breaks off inside of a character. */
static void add_fragment(struct connection *c, enum fault_how how)
{
    static const char character[] = "{\"created_at\":\"\",\"text\":\"caf\xC3";
    struct simulator *s = c->sim;
    const struct feed *feed = simulator_is_live(s) ? &s->live : &c->stream->account->feed;
    size_t index;
    struct view text = VIEW("{\"data\":{\"id\":\"1784600000000000001\",\"te");
    if (how == FAULT_MID_CHARACTER) {
        text = view_of(character);
    } else if (!feed_at_end(feed)) {
        const struct playlist_message *m = feed_next(feed, &index);
        const struct posts_item *post = c->stream->app ? posts_at(s->posts, index) : NULL;
        struct view whole = post && post->payload.at ? post->payload : m->text;
        text = view_make(whole.at, whole.length / 2);
    }
    wire_add_notice(c->wire, text);
}

static void end_stream(struct connection *c, enum fault_how how)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    struct stream_faults *f = &c->stream->faults;
    /* What slowed it down is over: the end shall be now. */
    f->silent_until_ms = f->slow_until_ms = 0;
    stream_release(c);
    switch (how) {
    case FAULT_KEEP:
    case FAULT_TRUNCATED:
    case FAULT_CORRUPT:
        return;
    case FAULT_CLEAN:
        stream_end_with(c, NULL, "a fault: ended in order");
        return;
    case FAULT_RESET_TCP:
        c->stream->ended = "a fault: reset";
        setsockopt(c->transport.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        connection_close(c);
        return;
    case FAULT_MID_MESSAGE:
    case FAULT_MID_CHARACTER:
        add_fragment(c, how);
        break;
    case FAULT_NO_LAST_CHUNK:
        break;
    }
    c->stream->ended = how == FAULT_NO_LAST_CHUNK ? "a fault: closed without the last chunk"
                                                  : "a fault: broken off in the middle of a message";
    wire_flush(c->wire);
    connection_drain(c, STREAM_DRAIN_MS);
}

static void add_garbage(struct connection *c, int64_t count)
{
    struct random *r = &c->sim->faults->random;
    char block[512];
    while (count > 0) {
        size_t n = (size_t)count < sizeof block ? (size_t)count : sizeof block;
        for (size_t i = 0; i < n; i++) {
            /* A line end now and then, so that it is several broken messages. */
            block[i] = random_below(r, 100) ? (char)random_below(r, 256) : '\n';
        }
        wire_add_notice(c->wire, view_make(block, n));
        count -= (int64_t)n;
    }
    wire_add_notice(c->wire, VIEW("\r\n"));
}

static void break_gzip(struct connection *c, enum fault_how how)
{
    if (how == FAULT_CORRUPT) {
        wire_corrupt(c->wire);
        return;
    }
    c->stream->faults.silent_until_ms = 0;
    c->stream->ended = "a fault: the compressed data break off";
    wire_end_truncated(c->wire);
    connection_drain(c, STREAM_DRAIN_MS);
}

static void disconnect(struct connection *c, const struct fault *f)
{
    char json[400];
    const char *type = fault_types[f->values[FAULT_TYPE]];
    if (c->stream->app) {
        api2_disconnect_line(type, json, sizeof json);
    } else {
        snprintf(json, sizeof json,
                 "{\"disconnect\":{\"code\":%d,\"stream_name\":\"\",\"reason\":\"a fault\"}}",
                 (int)f->values[FAULT_CODE]);
    }
    c->stream->faults.silent_until_ms = c->stream->faults.slow_until_ms = 0;
    stream_release(c);
    stream_end_with(c, json, "a fault: a disconnect message");
}

static void begin_slow(struct connection *c, const struct fault *f)
{
    struct stream_faults *sf = &c->stream->faults;
    sf->slow_until_ms = c->sim->now_ms + f->values[FAULT_MS];
    sf->slow_since_ms = c->sim->now_ms;
    sf->slow_bytes = f->values[FAULT_BYTES];
    sf->slow_from = wire_bytes_sent(c->wire);
}

static void act_on_stream(struct connection *c, const struct fault *f)
{
    struct stream_faults *sf = &c->stream->faults;
    int64_t until = c->sim->now_ms + f->values[FAULT_MS];
    switch (f->kind) {
    case FAULT_CUT:
        end_stream(c, (enum fault_how)f->values[FAULT_HOW]);
        break;
    case FAULT_STALL:
        stream_send(c); /* what came before it is with the client */
        if (c->state == CONNECTION_STREAMING) {
            sf->silent_until_ms = until;
        }
        break;
    case FAULT_QUIET:
        sf->quiet_until_ms = until;
        break;
    case FAULT_SLOW:
        begin_slow(c, f);
        break;
    case FAULT_GARBAGE:
        add_garbage(c, f->values[FAULT_BYTES]);
        break;
    case FAULT_GZIP:
        break_gzip(c, (enum fault_how)f->values[FAULT_HOW]);
        break;
    case FAULT_DISCONNECT:
        disconnect(c, f);
        break;
    case FAULT_EVICTION:
        sf->silent_until_ms = sf->slow_until_ms = 0;
        stream_release(c);
        stream_end(c, 7, "a fault: evicted");
        break;
    case FAULT_DUPLICATE:
        stream_repeat(c, (size_t)f->values[FAULT_COUNT]);
        break;
    case FAULT_REORDER:
        stream_hold(c, (size_t)f->values[FAULT_COUNT]);
        break;
    case FAULT_LATE_FLUSH:
        sf->late_flush_ms = f->values[FAULT_MS];
        break;
    case FAULT_PARTIAL_ERRORS:
        sf->partial_left = (uint64_t)f->values[FAULT_COUNT];
        break;
    default: /* the others are about requests to come */
        end_stream(c, (enum fault_how)f->values[FAULT_OPEN]);
    }
}

/* ---- carried out ---- */

static void wait_for_requests(struct faults *all, const struct fault *f)
{
    all->waiting[all->count++] = (struct waiting){f, f->values[FAULT_TIMES]};
}

static void act(struct simulator *s, const struct fault *f)
{
    struct faults *all = s->faults;
    log_fault(f, "");
    for (struct connection *c = s->connections; c; c = c->next) {
        if (c->state == CONNECTION_STREAMING) {
            act_on_stream(c, f);
        }
        if (c->state == CONNECTION_STREAMING) {
            connection_watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT); /* what was added goes out */
        }
    }
    switch (f->kind) {
    case FAULT_REFUSE:
        all->refuse_until_ms = s->now_ms + f->values[FAULT_MS];
        simulator_stop_listening(s);
        break;
    case FAULT_RATE_LIMIT:
        all->limited_until_ms = s->now_ms + f->values[FAULT_MS];
        break;
    case FAULT_EXPIRED_TOKEN:
        for (size_t i = 0; i < s->app_count; i++) {
            s->apps[i].token_valid = false;
        }
        if (s->options.api_1) {
            wait_for_requests(all, f);
        }
        break;
    case FAULT_STATUS:
    case FAULT_PAGE:
    case FAULT_REDIRECT:
    case FAULT_JSON:
    case FAULT_SLOW_HEAD:
    case FAULT_HANDSHAKE:
    case FAULT_EVICTION:
    case FAULT_USAGE_CAPPED:
    case FAULT_CLIENT_FORBIDDEN:
        wait_for_requests(all, f);
        break;
    default:
        break;
    }
}

static void run_due(struct simulator *s, enum fault_when when, uint64_t now)
{
    struct faults *all = s->faults;
    for (size_t i = 0; all->left && i < all->script.count; i++) {
        const struct fault *f = &all->script.items[i];
        if (!all->done[i] && f->when == when && f->at <= now) {
            all->done[i] = true;
            all->left--;
            act(s, f);
        }
    }
}

bool faults_before_message(struct connection *c)
{
    struct simulator *s = c->sim;
    run_due(s, FAULT_AT_MESSAGE, s->faults->messages);
    if (c->state != CONNECTION_STREAMING) {
        return true;
    }
    const struct stream_faults *sf = &c->stream->faults;
    bool silent =
        s->now_ms < sf->silent_until_ms && !simulator_is_live(s); /* a live one waits in its queue */
    if (silent || s->now_ms < sf->quiet_until_ms) {
        return true;
    }
    s->faults->messages++;
    return false;
}

static void end_periods(struct simulator *s)
{
    struct faults *all = s->faults;
    if (all->refuse_until_ms && s->now_ms >= all->refuse_until_ms) {
        if (simulator_listen_again(s) == 0) {
            all->refuse_until_ms = 0;
            log_info(&SIMULATOR_LOG, "fault: listening again; wall_ms=%lld", (long long)clock_wall_ms());
        } else {
            all->refuse_until_ms = s->now_ms + SLOW_STEP_MS; /* the port is not free yet */
        }
    }
    for (struct connection *c = s->connections; c; c = c->next) {
        struct stream_faults *sf = c->state == CONNECTION_STREAMING ? &c->stream->faults : NULL;
        if (!sf) {
            continue;
        }
        bool over = (sf->silent_until_ms && s->now_ms >= sf->silent_until_ms) ||
                    (sf->quiet_until_ms && s->now_ms >= sf->quiet_until_ms);
        if (over) {
            sf->silent_until_ms = s->now_ms >= sf->silent_until_ms ? 0 : sf->silent_until_ms;
            sf->quiet_until_ms = s->now_ms >= sf->quiet_until_ms ? 0 : sf->quiet_until_ms;
        }
        if (over || (sf->slow_until_ms && s->now_ms >= sf->slow_next_ms)) {
            sf->slow_next_ms = s->now_ms + SLOW_STEP_MS;
            sf->slow_until_ms = s->now_ms >= sf->slow_until_ms ? 0 : sf->slow_until_ms;
            connection_watch(c, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
        }
    }
}

void faults_tick(struct simulator *s)
{
    struct faults *all = s->faults;
    run_due(s, FAULT_AT_SECOND, all->start_ms < 0 ? 0 : (uint64_t)(s->now_ms - all->start_ms));
    end_periods(s);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t faults_next_ms(const struct simulator *s)
{
    const struct faults *all = s->faults;
    int64_t next = INT64_MAX;
    for (size_t i = 0; all->left && all->start_ms >= 0 && i < all->script.count; i++) {
        const struct fault *f = &all->script.items[i];
        if (!all->done[i] && f->when == FAULT_AT_SECOND) {
            next = sooner(next, all->start_ms + (int64_t)f->at - s->now_ms);
        }
    }
    if (all->refuse_until_ms) {
        next = sooner(next, all->refuse_until_ms - s->now_ms);
    }
    for (const struct connection *c = s->connections; c; c = c->next) {
        const struct stream_faults *sf = c->state == CONNECTION_STREAMING ? &c->stream->faults : NULL;
        next = sf && sf->silent_until_ms ? sooner(next, sf->silent_until_ms - s->now_ms) : next;
        next = sf && sf->quiet_until_ms ? sooner(next, sf->quiet_until_ms - s->now_ms) : next;
        next = sf && sf->slow_until_ms ? sooner(next, sf->slow_next_ms - s->now_ms) : next;
    }
    return next;
}

/* ---- requests ---- */

/* The fault whose turn it is, once less to come. */
static const struct fault *take(struct faults *all)
{
    struct waiting *w = &all->waiting[all->first];
    if (all->first == all->count) {
        return NULL;
    }
    if (--w->left == 0) {
        all->first++;
    }
    return w->fault;
}

bool faults_take_connection(struct simulator *s, struct connection *c)
{
    /* A fatal alert, handshake_failure (RFC 8446, section 6), in a record of its own. */
    static const char alert[] = "\x15\x03\x03\x00\x02\x02\x28";
    struct faults *all = s->faults;
    if (all->first == all->count || all->waiting[all->first].fault->kind != FAULT_HANDSHAKE) {
        return true;
    }
    const struct fault *f = take(all);
    log_info(&SIMULATOR_LOG, "%s -> no handshake: fault line %u wall_ms=%lld connection=%llu", c->peer,
             f->line, (long long)clock_wall_ms(), (unsigned long long)c->number);
    if (c->transport.tls && send(c->transport.fd, alert, sizeof alert - 1, MSG_NOSIGNAL) < 0) {
        log_debug(&SIMULATOR_LOG, "%s was gone already", c->peer);
    }
    connection_close(c);
    return false;
}

static bool is_v2(const struct connection *c)
{
    return view_starts(c->request.path, VIEW("/2/"));
}

static void answer_status(struct connection *c, const struct fault *f, struct answers_parts *parts,
                          struct buffer *headers, struct buffer *body)
{
    int status = (int)f->values[FAULT_CODE];
    parts->status = status;
    parts->date_skew_s = f->values[FAULT_SKEW];
    if (f->values[FAULT_RETRY_AFTER] >= 0) {
        buffer_print(headers, "Retry-After: %lld\r\n", (long long)f->values[FAULT_RETRY_AFTER]);
    }
    if (f->values[FAULT_RESET] >= 0) {
        int64_t reset = clock_wall_ms() / 1000 + f->values[FAULT_RESET];
        buffer_print(headers,
                     "x-rate-limit-limit: 50\r\nx-rate-limit-remaining: 0\r\nx-rate-limit-reset: %lld\r\n",
                     (long long)reset);
    }
    if (f->values[FAULT_BODY] == FAULT_BODY_JSON && is_v2(c)) {
        buffer_print(body, "{\"title\":\"%s\",\"type\":\"about:blank\",\"status\":%d,\"detail\":\"%s\"}",
                     answers_phrase(status), status, answers_phrase(status));
    } else if (f->values[FAULT_BODY] != FAULT_BODY_EMPTY) {
        answers_add_page(body, status, c->request.path);
        parts->type = "text/html; charset=utf-8";
    }
}

static void answer_limit(struct connection *c, struct answers_parts *parts, struct buffer *headers,
                         struct buffer *body)
{
    int64_t left = c->sim->faults->limited_until_ms - c->sim->now_ms;
    int64_t reset = (clock_wall_ms() + left + 999) / 1000;
    parts->status = is_v2(c) ? 429 : 420;
    if (is_v2(c)) {
        buffer_print(headers,
                     "x-rate-limit-limit: 50\r\nx-rate-limit-remaining: 0\r\nx-rate-limit-reset: %lld\r\n",
                     (long long)reset);
        buffer_add_text(body, "{\"title\":\"Too Many Requests\",\"detail\":\"Too Many "
                              "Requests\",\"type\":\"about:blank\",\"status\":429}");
    } else {
        parts->type = "text/plain; charset=utf-8";
        buffer_add_text(body, "Exceeded connection limit for user");
    }
}

static void fill_answer(struct connection *c, const struct fault *f, struct answers_parts *parts,
                        struct buffer *headers, struct buffer *body)
{
    parts->status = 200;
    parts->type = "application/json; charset=utf-8";
    if (!f) {
        answer_limit(c, parts, headers, body);
        return;
    }
    switch (f->kind) {
    case FAULT_PAGE:
        parts->type = "text/html; charset=utf-8";
        buffer_add_text(
            body, "<!DOCTYPE html>\n<html><head><title>Log in to this network</title></head>\n<body><p>You "
                  "are not connected.</p></body></html>\n");
        break;
    case FAULT_REDIRECT:
        parts->status = 302;
        buffer_print(headers, "Location: %.*s\r\n", VIEW_PRINT(c->request.target));
        break;
    case FAULT_JSON:
        buffer_add_text(body, "{\"status\":\"ok\",\"items\":[1,2,3]}");
        break;
    case FAULT_EXPIRED_TOKEN:
        parts->status = 401;
        parts->type = "text/html; charset=utf-8";
        answers_add_page(body, 401, c->request.path);
        break;
    case FAULT_EVICTION:
        parts->status = 429;
        buffer_add_text(
            body, "{\"title\":\"ConnectionException\",\"detail\":\"This stream is currently at the maximum "
                  "allowed connection limit.\",\"connection_issue\":\"TooManyConnections\",\"type\":"
                  "\"https://api.twitter.com/2/problems/streaming-connection\"}");
        break;
    case FAULT_USAGE_CAPPED:
        parts->status = 429;
        api2_add_usage_capped(fault_periods[f->values[FAULT_PERIOD]], body);
        break;
    case FAULT_CLIENT_FORBIDDEN:
        parts->status = 403;
        if (is_v2(c)) {
            api2_add_forbidden(body);
        } else {
            parts->type = "text/html; charset=utf-8";
            answers_add_page(body, 403, c->request.path);
        }
        break;
    default:
        answer_status(c, f, parts, headers, body);
    }
}

static void answer(struct connection *c, const struct fault *f)
{
    struct buffer headers = BUFFER(HTTP_TARGET_MAX * 2), body = BUFFER(64 << 10), bytes = BUFFER(256 << 10);
    struct answers_parts parts = {0};
    char note[60] = "fault: rate limit";
    if (f) {
        snprintf(note, sizeof note, "fault line %u", f->line);
    }
    fill_answer(c, f, &parts, &headers, &body);
    parts.headers = buffer_view(&headers);
    parts.body = buffer_view(&body);
    answers_add_parts(&bytes, &parts);
    connection_answer(c, parts.status, buffer_view(&bytes), note);
    buffer_free(&headers);
    buffer_free(&body);
    buffer_free(&bytes);
}

static void delay(struct connection *c, const struct fault *f)
{
    c->delayed = true;
    c->deadline_ms = c->sim->now_ms + f->values[FAULT_MS];
    log_info(&SIMULATOR_LOG, "%s waits for its head: fault line %u wall_ms=%lld connection=%llu", c->peer,
             f->line, (long long)clock_wall_ms(), (unsigned long long)c->number);
}

bool faults_answer(struct connection *c)
{
    struct simulator *s = c->sim;
    struct faults *all = s->faults;
    if (c->delayed) {
        c->delayed = false;
        return false;
    }
    all->attempts++;
    if (all->start_ms < 0) {
        all->start_ms = s->now_ms;
    }
    run_due(s, FAULT_AT_CONNECTION, all->attempts);
    if (s->now_ms < all->limited_until_ms) {
        answer(c, NULL);
        return true;
    }
    /* On v1.1 nobody is refused because an older stream is counted still, or posts are. */
    const struct fault *f = take(all);
    while (f && (f->kind == FAULT_EVICTION || f->kind == FAULT_USAGE_CAPPED) && !is_v2(c)) {
        f = take(all);
    }
    if (!f || f->kind == FAULT_HANDSHAKE) {
        return false;
    }
    f->kind == FAULT_SLOW_HEAD ? delay(c, f) : answer(c, f);
    return true;
}
