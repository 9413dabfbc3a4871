#include "ingest/source.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/history.h"
#include "ingest/http_stream.h"
#include "ingest/lines.h"
#include "ingest/outage.h"
#include "ingest/source_answer.h"
#include "ingest/source_keys.h"
#include "ingest/x_v1.h"
#include "ingest/x_v2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_BACKLOG = 1024 * 1024, /* libcurl hands over at most 16 KiB at once; the rest is safety */
    QUIET_MS = 60 * 1000        /* lines about unreadable messages and warnings are that far apart */
};

struct source {
    uv_loop_t *loop;
    const struct source_settings *settings;
    struct source_options options;
    struct source_events events;
    const struct source_protocol *protocol;
    const struct source_timing *timing;
    void *protocol_state;
    struct log_context log;
    char place[200]; /* the address without its query, for messages */

    struct http_stream *http;
    struct ingest_lines *lines;
    uv_timer_t wait_timer, count_timer;
    enum source_state state;
    struct backoff backoff;
    struct source_counts counts;
    struct history history; /* what it tells about itself */

    bool paused;           /* by the caller */
    bool refused;          /* the caller did not take something; cleared by source_resume */
    bool feeding;          /* inside feed(): a callback may be further up */
    bool connect_due;      /* the wait is over, but there is no room yet */
    bool stream_over;      /* the stream that the backlog belongs to has ended */
    struct buffer held;    /* the message that was refused, read again when there is room; empty: none was */
    int64_t held_at;       /* when it was received */
    struct buffer backlog; /* bytes behind it */

    int64_t established_steady, last_byte_steady;
    uint64_t messages;           /* of this stream */
    bool evicted;                /* the last streams ended because another client of the account came */
    bool evicted_now;            /* this one did */
    struct source_reaction told; /* the server's last words: why it ends this stream */
    bool streamed_before;        /* with these credentials, now or in an earlier life */
    unsigned final_answers;
    struct outage outage;
    struct log_repeat unreadable_log, remark_log;

    bool stopping;
    unsigned handles;
    void (*done)(void *user);
    void *done_user;
};

static const struct source_protocol *const protocols[] = {&x_v1_protocol, &x_v2_protocol, NULL};

static void connect_now(struct source *s);

const char *source_state_name(enum source_state state)
{
    static const char *const names[] = {"idle", "connecting", "streaming", "waiting", "down", "stopped"};
    return names[state];
}

/* --- credentials that have streamed --- */

static void remember_streamed(struct source *s)
{
    struct err e;
    if (!s->streamed_before &&
        source_keys_remember(s->protocol, s->protocol_state, s->options.streamed_path, &e)) {
        log_warning(&s->log, "that these keys have streamed could not be remembered: %s", e.text);
    }
    s->streamed_before = true;
}

/* --- handing over --- */

static bool is_full(const struct source *s)
{
    return s->paused || s->refused;
}

static void set_aside(struct source *s, const char *why, struct view message)
{
    uint64_t held;
    s->counts.unreadable++;
    if (s->options.set_aside) {
        set_aside_put(s->options.set_aside, source_name(s), clock_wall_ms(), why, message);
    }
    if (!log_every(&s->unreadable_log, QUIET_MS, &held)) {
        return;
    }
    if (held) {
        log_warning(&s->log, "unreadable: %s (and %llu more messages before it)", why,
                    (unsigned long long)held);
    } else {
        log_warning(&s->log, "unreadable: %s", why);
    }
}

/* 0: the caller has it. -1: refused, offer it again after source_resume. 1: it can never be taken. */
static int offer(struct source *s, const struct post *post, struct err *e)
{
    if (!s->events.post || s->events.post(s->events.user, s, post, e) == 0) {
        return 0;
    }
    if (e->kind == ERR_REJECT) {
        return 1;
    }
    s->refused = true;
    return -1;
}

/* Refused messages are kept as they came: a post points into its message, which belongs to libcurl. */
static void hold(struct source *s, struct view message, int64_t received_at)
{
    buffer_reset(&s->held);
    buffer_add_view(&s->held, message);
    s->held_at = received_at;
    if (buffer_failed(&s->held)) {
        buffer_reset(&s->held);
        set_aside(s, "nobody took it and there is no memory to keep it", message);
    }
}

static void offer_message(struct source *s, const struct post *post, struct view message, int64_t received_at)
{
    struct err e = {ERR_RETRY, ""};
    int outcome = offer(s, post, &e);
    if (outcome < 0) {
        hold(s, message, received_at);
    } else if (outcome > 0) {
        set_aside(s, e.text, message);
    } else if (post->kind == POST_POST) {
        s->counts.posts++;
    } else {
        s->counts.events++;
    }
}

/* An event made here, of this kind with this body. True when the caller has it. */
static bool offer_own(void *user, enum post_kind kind, struct buffer *body)
{
    struct source *s = user;
    struct post p;
    struct err e = {ERR_RETRY, ""};
    post_init(&p);
    p.kind = kind;
    p.network = view_of(s->protocol->network);
    p.source = view_of(source_name(s));
    p.received_at = clock_wall_ms();
    p.body = buffer_view(body);
    int outcome = is_full(s) || s->stopping ? -1 : buffer_failed(body) ? 1 : offer(s, &p, &e);
    buffer_free(body);
    return outcome >= 0;
}

/* Counts are told between messages. */
static void offer_count(struct source *s)
{
    if (s->feeding || s->stopping) {
        return;
    }
    if (s->state == SOURCE_STREAMING) {
        history_offer_stream(&s->history, &s->counts);
    } else {
        history_offer(&s->history, &s->counts);
    }
}

static void on_count_timer(uv_timer_t *timer)
{
    offer_count(timer->data);
}

/* --- from bytes to posts --- */

static void note_remark(struct source *s, const struct source_remark *remark)
{
    uint64_t held;
    bool print = remark->evicted || remark->ends.cause
                     ? !s->evicted_now && !s->told.cause
                     : remark->text[0] && log_every(&s->remark_log, QUIET_MS, &held);
    if (print) {
        log_notice(&s->log, "%s", remark->text);
    }
    s->evicted_now |= remark->evicted;
    s->told = remark->ends;
    s->counts.undelivered += history_undelivered(&s->history, remark->undelivered);
}

static void read_message(struct source *s, struct view message, int64_t received_at, bool again)
{
    const struct post *post = NULL;
    struct source_remark remark = {0};
    struct err e;
    if (s->protocol->read(s->protocol_state, message, received_at, &post, &remark, &e)) {
        set_aside(s, e.text, message);
        return;
    }
    if (post) {
        offer_message(s, post, message, received_at);
    } else {
        s->counts.filtered++;
    }
    if (!again && !s->stopping) {
        note_remark(s, &remark);
    }
}

static void take_message(struct source *s, struct view message)
{
    s->counts.received++;
    s->messages++;
    read_message(s, message, clock_wall_ms(), false);
}

/* Offers the refused message once more. */
static void offer_held(struct source *s)
{
    if (!s->held.length || is_full(s)) {
        return;
    }
    struct buffer held = s->held;
    s->held = BUFFER(held.maximum);
    s->feeding = true;
    read_message(s, buffer_view(&held), s->held_at, true);
    s->feeding = false;
    buffer_free(&held);
}

/* Reads messages until the bytes are used up or the caller has no room; returns the rest. */
static struct view feed(struct source *s, struct view bytes)
{
    struct ingest_lines_item item;
    bool more = true;
    s->feeding = true;
    while (more && !is_full(s) && !s->stopping) {
        char why[80];
        switch (ingest_lines_next(s->lines, &bytes, &item)) {
        case LINES_MORE:
            more = false;
            break;
        case LINES_MESSAGE:
            take_message(s, item.message);
            break;
        case LINES_KEEP_ALIVE:
            s->counts.keep_alives++;
            break;
        case LINES_TOO_LONG:
            s->counts.received++;
            snprintf(why, sizeof why, "a message of %llu bytes is over the limit of %d",
                     (unsigned long long)item.length, LINES_MESSAGE_LIMIT);
            set_aside(s, why, view_none());
            break;
        }
    }
    s->feeding = false;
    return bytes;
}

/* When a stream is over and all before its end is read: what is left is half a message. */
static void discard_fragment(struct source *s)
{
    if (!s->stream_over || s->backlog.length || is_full(s)) {
        return;
    }
    s->stream_over = false;
    uint64_t lost = ingest_lines_end(s->lines);
    if (lost) {
        char why[100];
        s->counts.received++;
        snprintf(why, sizeof why, "the stream ended in the middle of a message, after %llu bytes of it",
                 (unsigned long long)lost);
        set_aside(s, why, view_none());
    }
}

/* --- outages and waits --- */

static void end_outage(struct source *s)
{
    struct outage *o = &s->outage;
    int64_t lasted;
    if (!o->open) {
        log_notice(&s->log, "streaming from %s", s->place);
        return;
    }
    if (outage_over(o, &lasted)) {
        log_notice(&s->log, "streaming %sfrom %s after %.1f s, at attempt %llu", o->first ? "" : "again ",
                   s->place, (double)lasted / 1000.0, (unsigned long long)(o->attempts + (o->first ? 2 : 1)));
    }
}

static void on_wait_over(uv_timer_t *timer)
{
    struct source *s = timer->data;
    if (is_full(s)) {
        s->connect_due = true;
    } else {
        connect_now(s);
    }
}

struct failure {
    enum backoff_ladder ladder;
    const char *cause; /* of roost.gaps */
    int64_t wait;
    int64_t silence; /* how long ago the last byte of a stalled stream came */
    bool down;
};

/* Logs why, once, and waits. */
static void wait_after(struct source *s, const struct failure *f, const char *why)
{
    bool print = outage_failed(&s->outage, f->cause, f->silence, why, s->counts.connects == 0);
    history_lost(&s->history, s->state == SOURCE_STREAMING, f->silence, f->cause, why);
    bool top = f->wait && backoff_at_top(&s->backoff, s->timing->backoff, f->ladder) && !s->outage.top_logged;
    s->outage.top_logged |= top;
    if (f->wait == 0 && print) {
        log_warning(&s->log, "%s; connecting again at once", why);
    } else if (print || top) {
        log_warning(&s->log, "%s; next attempt in %.1f s%s", why, (double)f->wait / 1000.0,
                    top ? ", the longest wait for this kind of failure" : "");
    }
    s->state = f->down ? SOURCE_DOWN : SOURCE_WAITING;
    uv_timer_start(&s->wait_timer, on_wait_over, (uint64_t)f->wait, 0);
    history_offer(&s->history, &s->counts);
}

static void fail_by(struct source *s, const struct source_reaction *r, const char *why)
{
    struct failure f = {.ladder = r->ladder, .cause = r->cause, .down = source_answer_is_down(r->ladder)};
    f.wait = source_answer_wait(&s->backoff, s->timing->backoff, r);
    wait_after(s, &f, why);
}

static void fail(struct source *s, enum backoff_ladder ladder, const char *cause, int64_t at_least,
                 const char *why)
{
    fail_by(s, &(struct source_reaction){.ladder = ladder, .cause = cause, .at_least = at_least}, why);
}

static void stop_for_good(struct source *s, const struct err *why)
{
    s->state = SOURCE_STOPPED;
    http_stream_cancel(s->http);
    uv_timer_stop(&s->wait_timer);
    offer_count(s);
    uv_timer_stop(&s->count_timer);
    log_error(&s->log, "stopped: %s", why->text);
    if (s->events.final) {
        s->events.final(s->events.user, s, why);
    }
}

/* --- answers --- */

/* An attempt that failed for a reason that is not the network's. */
static void take_verdict(struct source *s, const struct source_verdict *v)
{
    struct source_reaction r = v->reaction;
    struct err e;
    if (!r.final) {
        fail_by(s, &r, v->why);
    } else if (s->streamed_before) {
        r.ladder = BACKOFF_FINAL;
        fail_by(s, &r, v->why);
    } else if (++s->final_answers < s->timing->final_attempts) {
        r.ladder = BACKOFF_HTTP;
        fail_by(s, &r, v->why);
    } else {
        err_set(&e, ERR_FATAL, "%s (asked %u times)", v->why, s->final_answers);
        stop_for_good(s, &e);
    }
}

static void answer_status(struct source *s, const struct http_result *result)
{
    struct source_verdict verdict;
    source_answer_judge(s->protocol, s->protocol_state, s->timing, s->place, result, &verdict);
    take_verdict(s, &verdict);
}

static void on_response(void *user, const struct http_response *r)
{
    struct source *s = user;
    if (strncasecmp(r->content_type, "text/html", strlen("text/html")) == 0) {
        char why[300];
        http_stream_cancel(s->http);
        snprintf(why, sizeof why,
                 "%s answered 200 with a web page instead of a stream: is a proxy in between?", s->place);
        fail(s, BACKOFF_HTTP, "http", r->retry_after_ms, why);
        return;
    }
    s->state = SOURCE_STREAMING;
    s->counts.streaming_since = clock_wall_ms();
    s->established_steady = clock_steady_ms();
    s->last_byte_steady = s->established_steady;
    s->messages = 0;
    s->final_answers = 0;
    s->evicted_now = false;
    s->told = (struct source_reaction){0};
    if (!s->evicted) {
        backoff_established(&s->backoff);
    }
    end_outage(s);
    history_streams(&s->history);
    s->counts.connects++;
    remember_streamed(s);
    history_offer(&s->history, &s->counts);
    if (is_full(s)) {
        http_stream_pause(s->http);
    }
}

static void on_body(void *user, struct view bytes)
{
    struct source *s = user;
    s->counts.bytes += bytes.length;
    s->counts.last_byte_at = clock_wall_ms();
    s->last_byte_steady = clock_steady_ms();
    struct view rest = s->backlog.length ? bytes : feed(s, bytes);
    buffer_add_view(&s->backlog, rest);
    if (buffer_failed(&s->backlog)) {
        s->backlog.failed = false; /* what it holds is still whole */
        set_aside(s, "nobody took what came and there is no memory to keep it", view_none());
    }
    if (is_full(s) && !s->stopping) {
        http_stream_pause(s->http);
    }
}

/* The wait after a stream that was established, by what it brought and how it ended. */
static int64_t wait_after_stream(struct source *s, enum backoff_ladder *ladder)
{
    const struct backoff_timing *timing = s->timing->backoff;
    int64_t lived = clock_steady_ms() - s->established_steady;
    *ladder = BACKOFF_NETWORK;
    if (s->evicted && lived >= timing->ladders[BACKOFF_HTTP].most) {
        backoff_established(&s->backoff); /* the account is ours again */
        s->evicted = false;
    }
    s->evicted |= s->evicted_now;
    if (s->evicted_now) {
        *ladder = BACKOFF_HTTP;
        return backoff_failed(&s->backoff, timing, BACKOFF_HTTP, 0);
    }
    if (s->told.cause && s->told.ladder != BACKOFF_NETWORK) {
        *ladder = s->told.ladder;
        return source_answer_wait(&s->backoff, timing, &s->told);
    }
    return backoff_dropped(&s->backoff, timing, lived, s->messages);
}

static void on_end(void *user, const struct http_result *result)
{
    struct source *s = user;
    bool streamed = s->state == SOURCE_STREAMING;
    bool stalled = result->end == HTTP_END_STALL;
    s->counts.streaming_since = CLOCK_NONE;
    s->stream_over = true;
    discard_fragment(s);
    if (result->end == HTTP_END_STATUS) {
        answer_status(s, result);
        return;
    }
    if (!streamed) {
        char why[600];
        snprintf(why, sizeof why, "%s: %s", s->place, result->text);
        fail(s, BACKOFF_NETWORK, stalled ? "stall" : "network", 0, why);
        return;
    }
    struct failure f = {.silence = stalled ? clock_steady_ms() - s->last_byte_steady : 0};
    f.cause = s->told.cause                                     ? s->told.cause
              : stalled                                         ? "stall"
              : result->end == HTTP_END_CLEAN || s->evicted_now ? "server"
                                                                : "network";
    f.wait = wait_after_stream(s, &f.ladder);
    f.down = source_answer_is_down(f.ladder);
    const char *how = s->evicted_now  ? "another client uses this account, the server ended the stream"
                      : s->told.cause ? "the server ended the stream, as it had said"
                      : result->end == HTTP_END_CLEAN ? "the server ended the stream"
                                                      : result->text;
    char why[600];
    snprintf(why, sizeof why, "stream from %s lost: %s", s->place, how);
    wait_after(s, &f, why);
}

/* --- connecting --- */

static void attempt_free(struct source_attempt *attempt)
{
    if (attempt->authorization) {
        explicit_bzero(attempt->authorization, strlen(attempt->authorization));
    }
    free(attempt->authorization);
    free(attempt->url);
    free(attempt->form);
}

static void give_up_attempt(struct source *s, const struct err *e)
{
    if (e->kind == ERR_FATAL) {
        stop_for_good(s, e);
    } else {
        fail(s, BACKOFF_NETWORK, "network", 0, e->text);
    }
}

static void ask_for_stream(struct source *s)
{
    struct source_attempt attempt = {.again = s->history.ledger->begun};
    struct err e;
    if (s->protocol->prepare(s->protocol_state, &attempt, &e)) {
        give_up_attempt(s, &e);
        return;
    }
    snprintf(s->place, sizeof s->place, "%.*s", (int)strcspn(attempt.url, "?"), attempt.url);
    const char *const headers[] = {attempt.authorization, NULL};
    struct http_stream_request request = {
        .method = attempt.method,
        .url = attempt.url,
        .headers = headers,
        .form = attempt.form,
        .connect_ms = s->timing->connect,
        .stall_ms = s->settings->stall_timeout ? s->settings->stall_timeout : s->timing->stall,
        .accept_any_certificate = s->settings->tls_insecure_accept_any_certificate};
    s->counts.attempts++;
    s->state = SOURCE_CONNECTING;
    if (http_stream_start(s->http, &request, &e)) {
        fail(s, BACKOFF_NETWORK, "network", 0, e.text);
    }
    attempt_free(&attempt);
}

static void on_prepared(void *user, const struct source_verdict *failed)
{
    struct source *s = user;
    if (s->stopping) {
        return;
    }
    if (failed) {
        take_verdict(s, failed);
    } else if (is_full(s)) {
        s->connect_due = true;
    } else {
        ask_for_stream(s);
    }
}

static void connect_now(struct source *s)
{
    struct err e;
    s->connect_due = false;
    int begun = !s->protocol->start_preparing
                    ? 0
                    : s->protocol->start_preparing(s->protocol_state, s->loop, on_prepared, s, &e);
    if (begun < 0) {
        give_up_attempt(s, &e);
    } else if (begun) {
        s->state = SOURCE_CONNECTING;
    } else {
        ask_for_stream(s);
    }
}

void source_start(struct source *s)
{
    if (s->state != SOURCE_IDLE) {
        return;
    }
    s->state = SOURCE_CONNECTING;
    source_answer_warn(&s->log, s->settings);
    uv_timer_start(&s->count_timer, on_count_timer, (uint64_t)s->timing->count_interval,
                   (uint64_t)s->timing->count_interval);
    uv_timer_start(&s->wait_timer, on_wait_over, 0, 0);
    history_offer(&s->history, &s->counts);
}

void source_pause(struct source *s)
{
    s->paused = true;
    if (s->state == SOURCE_STREAMING) {
        http_stream_pause(s->http);
    }
}

void source_resume(struct source *s)
{
    s->paused = false;
    if (s->feeding || s->stopping) {
        return;
    }
    s->refused = false;
    history_offer(&s->history, &s->counts);
    offer_held(s);
    if (!is_full(s) && s->backlog.length) {
        struct view rest = feed(s, buffer_view(&s->backlog));
        buffer_drop(&s->backlog, s->backlog.length - rest.length);
    }
    discard_fragment(s);
    if (is_full(s) || s->stopping) {
        return;
    }
    if (s->state == SOURCE_STREAMING) {
        http_stream_resume(s->http);
    } else if (s->connect_due) {
        connect_now(s);
    }
}

/* --- opening and stopping --- */

static void source_free(struct source *s)
{
    if (s->protocol_state) {
        s->protocol->close(s->protocol_state);
    }
    ingest_lines_free(s->lines);
    buffer_free(&s->held);
    buffer_free(&s->backlog);
    free(s);
}

static void on_part_closed(struct source *s)
{
    if (--s->handles) {
        return;
    }
    void (*done)(void *user) = s->done;
    void *user = s->done_user;
    source_free(s);
    if (done) {
        done(user);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void on_user_closed(void *user)
{
    on_part_closed(user);
}

static const struct source_protocol *find_protocol(const char *type)
{
    for (size_t i = 0; protocols[i]; i++) {
        if (strcmp(protocols[i]->type, type) == 0) {
            return protocols[i];
        }
    }
    return NULL;
}

static int open_parts(struct source *s, struct err *e)
{
    s->protocol_state = s->protocol->open(s->settings, e);
    if (!s->protocol_state) {
        return -1;
    }
    s->lines = ingest_lines_new(LINES_MESSAGE_LIMIT);
    if (!s->lines) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    const struct http_stream_events events = {on_response, on_body, on_end, s};
    s->http = http_stream_new(s->loop, &events, e);
    return s->http ? 0 : -1;
}

struct source *source_open(uv_loop_t *loop, const struct source_settings *settings,
                           const struct source_options *options, const struct source_events *events,
                           struct err *e)
{
    const struct source_protocol *protocol =
        options->protocol ? options->protocol : find_protocol(settings->type);
    if (!protocol) {
        err_set(e, ERR_FATAL, "source %s: this version has no sources of type %s", settings->name,
                settings->type);
        return NULL;
    }
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_RETRY, "source %s: memory is out", settings->name);
        return NULL;
    }
    s->loop = loop;
    s->settings = settings;
    s->options = *options;
    s->events = *events;
    s->protocol = protocol;
    s->timing = options->timing ? options->timing : protocol->timing;
    s->log = (struct log_context){"ingest", settings->name};
    s->held = BUFFER(LINES_MESSAGE_LIMIT + 2);
    s->backlog = BUFFER(MOST_BACKLOG);
    s->counts.last_byte_at = CLOCK_NONE;
    s->counts.streaming_since = CLOCK_NONE;
    if (open_parts(s, e)) {
        err_wrap(e, "source %s", settings->name);
        source_free(s);
        return NULL;
    }
    s->history.log = &s->log;
    s->history.offer = offer_own;
    s->history.user = s;
    if (history_open(&s->history, options->ledger, settings->name, e)) {
        source_free(s);
        return NULL;
    }
    s->streamed_before = source_keys_known(protocol, s->protocol_state, options->streamed_path);
    uv_timer_init(loop, &s->wait_timer);
    uv_timer_init(loop, &s->count_timer);
    s->wait_timer.data = s;
    s->count_timer.data = s;
    s->handles = protocol->quit ? 4 : 3;
    return s;
}

void source_stop(struct source *s, const char *cause, void (*done)(void *user), void *user)
{
    if (s->stopping) {
        return;
    }
    offer_count(s);
    history_close(&s->history, cause);
    s->stopping = true;
    s->state = SOURCE_STOPPED;
    s->done = done;
    s->done_user = user;
    if (s->held.length || s->backlog.length) {
        log_warning(&s->log,
                    "stopped while nobody took its posts: %d message and %zu bytes behind it are dropped",
                    s->held.length > 0, s->backlog.length);
    }
    uv_close((uv_handle_t *)&s->wait_timer, on_timer_closed);
    uv_close((uv_handle_t *)&s->count_timer, on_timer_closed);
    if (s->protocol->quit) {
        s->protocol->quit(s->protocol_state, on_user_closed, s);
    }
    http_stream_free(s->http, on_user_closed, s);
}

const char *source_name(const struct source *s)
{
    return s->settings->name;
}

enum source_state source_state(const struct source *s)
{
    return s->state;
}

struct source_counts source_count(const struct source *s)
{
    return s->counts;
}
