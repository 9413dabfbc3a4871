#include "base/clock.h"
#include "base/wipe.h"
#include "ingest/source_answer.h"
#include "ingest/source_keys.h"
#include "ingest/source_parts.h"
#include "ingest/x_v1.h"
#include "ingest/x_v2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BACKLOG = 1024 * 1024 /* libcurl hands over at most 16 KiB at once; the rest is safety */ };

static const struct source_protocol *const protocols[] = {&x_v1_protocol, &x_v2_protocol, NULL};

static void connect_now(struct source *s);

const char *source_state_name(enum source_state state)
{
    static const char *const names[] = {"idle", "connecting", "streaming", "waiting", "down", "stopped"};
    return names[state];
}

/* --- credentials that have streamed --- */

void source_prove(struct source *s)
{
    struct err e;
    s->final_answers = 0;
    if (!s->streamed_before &&
        source_keys_remember(s->protocol, s->protocol_state, s->options.streamed_path, &e)) {
        log_warning(&s->log, "that these keys have streamed could not be remembered: %s", e.text);
    }
    s->streamed_before = true;
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
    if (source_is_full(s)) {
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
    source_note_error(s, why);
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
    uv_update_time(s->loop); /* the loop's own time is that of its last turn: a wait would end too early */
    uv_timer_start(&s->wait_timer, on_wait_over, (uint64_t)clock_timer_ms(f->wait), 0);
    source_ladder_keep(s, f->wait);
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
    source_note_error(s, why->text);
    http_stream_cancel(s->http);
    uv_timer_stop(&s->wait_timer);
    source_offer_count(s);
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
    if (r.fatal) {
        err_set(&e, ERR_FATAL, "%s", v->why);
        stop_for_good(s, &e);
    } else if (!r.final) {
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
    char why[400];
    if (source_answer_is_no_stream(r, s->place, why, sizeof why)) {
        http_stream_cancel(s->http);
        fail(s, BACKOFF_HTTP, "http", r->retry_after_ms, why);
        return;
    }
    s->state = SOURCE_STREAMING;
    s->counts.streaming_since = clock_wall_ms();
    s->established_steady = clock_steady_ms();
    s->last_byte_steady = s->established_steady;
    s->messages = s->stream_bytes = 0;
    s->sound = s->kept_alive = s->strange = false;
    s->before_stream = s->backoff;
    s->evicted_now = false;
    s->told = (struct source_reaction){0};
    if (!s->evicted) {
        backoff_established(&s->backoff);
    }
    end_outage(s);
    source_ladder_keep(s, 0);
    history_streams(&s->history);
    if (s->protocol->streams) {
        s->protocol->streams(s->protocol_state);
    }
    s->counts.connects++;
    history_offer(&s->history, &s->counts);
    if (source_is_full(s)) {
        http_stream_pause(s->http);
    }
}

static void on_body(void *user, struct view bytes)
{
    struct source *s = user;
    s->counts.bytes += bytes.length;
    s->stream_bytes += bytes.length;
    s->counts.last_byte_at = clock_wall_ms();
    s->last_byte_steady = clock_steady_ms();
    source_take_bytes(s, bytes);
    if (source_is_full(s) && !s->stopping) {
        http_stream_pause(s->http);
    }
}

/* What was answered had an end, and nothing in it was of a stream: nothing that this network sends, and no
 * keep-alive, as which an empty line among others does not count. */
static bool was_no_stream(const struct source *s, const struct http_result *result)
{
    bool quiet = s->kept_alive && !s->strange;
    return result->end == HTTP_END_CLEAN && s->stream_bytes && !s->sound && !quiet && !s->told.cause &&
           !s->held.length && !s->backlog.length;
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
    source_discard_fragment(s);
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
    if (was_no_stream(s, result)) {
        char why[400];
        s->backoff = s->before_stream;
        snprintf(why, sizeof why,
                 "%s answered 200 with something else than a stream: check url, and whether a "
                 "proxy is in between",
                 s->place);
        fail(s, BACKOFF_HTTP, "http", 0, why);
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
    wipe_string(attempt->authorization);
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
    log_debug(&s->log, "attempt %llu: %s", (unsigned long long)s->counts.attempts, s->place);
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
    } else if (source_is_full(s)) {
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

static void on_count_timer(uv_timer_t *timer)
{
    source_offer_count(timer->data);
}

void source_start(struct source *s)
{
    if (s->state != SOURCE_IDLE) {
        return;
    }
    source_answer_warn(&s->log, s->settings);
    uint64_t count_ms = (uint64_t)clock_timer_ms(s->timing->count_interval);
    uv_timer_start(&s->count_timer, on_count_timer, count_ms, count_ms);
    int64_t left = source_ladder_take_up(s);
    uv_update_time(s->loop); /* the loop's own time is that of its last turn: a wait would end too early */
    s->state = left ? SOURCE_WAITING : SOURCE_CONNECTING;
    uv_timer_start(&s->wait_timer, on_wait_over, (uint64_t)clock_timer_ms(left), 0);
    history_offer(&s->history, &s->counts);
}

bool source_change(struct source *s, const struct source_settings *next)
{
    return s->state == SOURCE_STREAMING && !s->stopping && !strcmp(s->settings->type, next->type) &&
           s->protocol->change && s->protocol->change(s->protocol_state, next);
}

bool source_uses(const struct source *s, const struct source_settings *settings)
{
    return settings == s->settings || (s->protocol->uses && s->protocol->uses(s->protocol_state, settings));
}

void source_pause(struct source *s)
{
    s->paused = true;
    if (s->state == SOURCE_STREAMING) {
        http_stream_pause(s->http);
    }
}

/* Offers all that waits, in order, also what libcurl keeps: resumed, it hands that over before it returns.
 * True: nothing waits any more. */
static bool take_all(struct source *s)
{
    history_offer(&s->history, &s->counts);
    source_take_waiting(s);
    source_discard_fragment(s);
    if (!source_is_full(s) && s->state == SOURCE_STREAMING) {
        http_stream_resume(s->http);
    }
    return !source_is_full(s);
}

bool source_drain(struct source *s)
{
    s->paused = false;
    if (s->feeding || s->stopping) {
        return false;
    }
    s->refused = false;
    return take_all(s);
}

void source_resume(struct source *s)
{
    if (source_drain(s) && !s->stopping && s->connect_due) {
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

static void on_in_force(void *user, const struct version *version)
{
    struct source *s = user;
    if (s->events.in_force && !s->stopping) {
        s->events.in_force(s->events.user, s, version);
    }
}

static int open_parts(struct source *s, struct err *e)
{
    s->protocol_state = s->protocol->open(s->settings, e);
    if (!s->protocol_state) {
        return -1;
    }
    if (s->protocol->watch) {
        s->protocol->watch(s->protocol_state, on_in_force, s);
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
    s->error_at = CLOCK_NONE;
    s->opened_at = clock_wall_ms();
    if (open_parts(s, e)) {
        err_wrap(e, "source %s", settings->name);
        source_free(s);
        return NULL;
    }
    s->history.log = &s->log;
    s->history.offer = source_offer_own;
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
    s->last = true;
    if (!s->feeding) {
        take_all(s);
    }
    source_offer_count(s);
    source_say_lost(s);
    source_ladder_leave(s);
    history_close(&s->history, cause, s->state == SOURCE_STREAMING);
    s->stopping = true;
    s->state = SOURCE_STOPPED;
    s->done = done;
    s->done_user = user;
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
