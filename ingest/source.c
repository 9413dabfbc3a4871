#include "base/clock.h"
#include "base/wipe.h"
#include "ingest/source_answer.h"
#include "ingest/source_keys.h"
#include "ingest/source_parts.h"
#include "ingest/source_seen.h"
#include "ingest/x_v1.h"
#include "ingest/x_v2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct source_protocol *const protocols[] = {&x_v1_protocol, &x_v2_protocol, NULL};

const char *source_state_name(enum source_state state)
{
    static const char *const names[] = {"idle", "connecting", "streaming", "waiting", "down", "stopped"};
    return names[state];
}

/* --- credentials that have streamed --- */

void source_prove(struct source_side *side)
{
    struct source *s = side->source;
    struct err e;
    side->final_answers = 0;
    if (!side->streamed_before &&
        source_keys_remember(s->protocol, side->protocol_state, s->options.streamed_path, &e)) {
        log_warning(&s->log, "that these keys have streamed could not be remembered: %s", e.text);
    }
    side->streamed_before = true;
}

/* --- outages and waits --- */

static void end_outage(struct source *s)
{
    struct outage *o = &s->outage;
    int64_t lasted;
    if (!o->open) {
        log_notice(&s->log, "streaming from %s", s->now->place);
        return;
    }
    if (outage_over(o, &lasted)) {
        log_notice(&s->log, "streaming %sfrom %s after %.1f s, at attempt %llu", o->first ? "" : "again ",
                   s->now->place, (double)lasted / 1000.0,
                   (unsigned long long)(o->attempts + (o->first ? 2 : 1)));
    }
}

static void on_wait_over(uv_timer_t *timer)
{
    struct source *s = timer->data;
    if (source_is_full(s)) {
        s->connect_due = true;
    } else {
        source_connect(s);
    }
}

void source_wait(struct source *s, int64_t wait)
{
    uv_update_time(s->loop); /* the loop's own time is that of its last turn: a wait would end too early */
    uv_timer_start(&s->wait_timer, on_wait_over, (uint64_t)clock_timer_ms(wait), 0);
}

void source_wait_after(struct source *s, const struct source_failure *f, const char *why)
{
    int64_t held_up = s->hold_until_steady - clock_steady_ms();
    int64_t wait = f->wait > held_up ? f->wait : held_up;
    source_note_error(s, why);
    bool print = outage_failed(&s->outage, f->cause, f->silence, why, s->counts.connects == 0);
    history_lost(&s->history, s->state == SOURCE_STREAMING, f->silence, f->cause, why);
    bool top = f->wait && backoff_at_top(&s->backoff, s->timing->backoff, f->ladder) && !s->outage.top_logged;
    s->outage.top_logged |= top;
    if (wait == 0 && print) {
        log_warning(&s->log, "%s; connecting again at once", why);
    } else if (print || top) {
        log_warning(&s->log, "%s; next attempt in %.1f s%s", why, (double)wait / 1000.0,
                    top ? ", the longest wait for this kind of failure" : "");
    }
    s->state = f->down ? SOURCE_DOWN : SOURCE_WAITING;
    source_wait(s, wait);
    source_ladder_keep(s, s->now, wait);
    history_offer(&s->history, &s->counts);
    source_change_plan(s);
}

static void fail_by(struct source *s, const struct source_reaction *r, const char *why)
{
    struct source_failure f = {
        .ladder = r->ladder, .cause = r->cause, .down = source_answer_is_down(r->ladder)};
    f.wait = source_answer_wait(&s->backoff, s->timing->backoff, r);
    source_wait_after(s, &f, why);
}

static void fail(struct source *s, struct source_side *side, const struct source_reaction *r, const char *why)
{
    if (side == s->next) {
        source_change_failed(s, r, false, why);
    } else {
        fail_by(s, r, why);
    }
}

static void stop_for_good(struct source *s, const struct err *why)
{
    s->state = SOURCE_STOPPED;
    source_note_error(s, why->text);
    http_stream_cancel(s->now->http);
    uv_timer_stop(&s->wait_timer);
    uv_timer_stop(&s->change_timer);
    source_offer_count(s);
    uv_timer_stop(&s->count_timer);
    log_error(&s->log, "stopped: %s", why->text);
    if (s->events.final) {
        s->events.final(s->events.user, s, why);
    }
}

/* --- answers --- */

bool source_gives_up(const struct source *s, struct source_side *side, const struct source_verdict *v,
                     struct source_reaction *r)
{
    *r = v->reaction;
    if (r->fatal || !r->final) {
        return r->fatal;
    }
    r->ladder = side->streamed_before ? BACKOFF_FINAL : BACKOFF_HTTP;
    return !side->streamed_before && ++side->final_answers >= s->timing->final_attempts;
}

/* An attempt that failed for a reason that is not the network's. */
static void take_verdict(struct source *s, struct source_side *side, const struct source_verdict *v)
{
    struct source_reaction r;
    struct err e;
    bool for_good = source_gives_up(s, side, v, &r);
    if (side == s->next) {
        source_change_failed(s, &r, for_good, v->why);
    } else if (!for_good) {
        fail_by(s, &r, v->why);
    } else if (r.fatal) {
        err_set(&e, ERR_FATAL, "%s", v->why);
        stop_for_good(s, &e);
    } else {
        err_set(&e, ERR_FATAL, "%s (asked %u times)", v->why, side->final_answers);
        stop_for_good(s, &e);
    }
}

static void answer_status(struct source_side *side, const struct http_result *result)
{
    struct source *s = side->source;
    struct source_verdict verdict;
    source_answer_judge(s->protocol, side->protocol_state, s->timing, side->place, result, &verdict);
    take_verdict(s, side, &verdict);
}

void source_begin_stream(struct source *s, bool beside)
{
    struct source_side *now = s->now;
    s->state = SOURCE_STREAMING;
    s->counts.streaming_since = clock_wall_ms();
    s->before_stream = s->backoff;
    if (!s->evicted) {
        backoff_established(&s->backoff);
    }
    source_ladder_keep(s, now, 0); /* first: what follows may write the ledger */
    if (beside) {
        log_notice(&s->log, "streaming from %s, opened beside the stream before it", now->place);
        history_switched(&s->history);
    } else {
        end_outage(s);
        history_streams(&s->history);
    }
    if (s->protocol->streams) {
        s->protocol->streams(now->protocol_state);
    }
    s->counts.connects++;
    history_offer(&s->history, &s->counts);
    source_change_over(s);
}

static void on_response(void *user, const struct http_response *r)
{
    struct source_side *side = user;
    struct source *s = side->source;
    char why[400];
    if (source_answer_is_no_stream(r, side->place, why, sizeof why)) {
        http_stream_cancel(side->http);
        side->open = false;
        fail(
            s, side,
            &(struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "http", .at_least = r->retry_after_ms},
            why);
        return;
    }
    side->answered = true;
    side->established_steady = clock_steady_ms();
    side->last_byte_steady = side->established_steady;
    side->messages = side->stream_bytes = 0;
    side->sound = side->kept_alive = side->strange = side->evicted = false;
    side->told = (struct source_reaction){0};
    if (side == s->now) {
        source_begin_stream(s, false);
    } else if (s->state != SOURCE_STREAMING) {
        source_change_switch(s);
    }
    if (source_is_full(s)) {
        http_stream_pause(side->http);
    }
}

static void on_body(void *user, struct view bytes)
{
    struct source_side *side = user;
    struct source *s = side->source;
    s->counts.bytes += bytes.length;
    side->stream_bytes += bytes.length;
    s->counts.last_byte_at = clock_wall_ms();
    side->last_byte_steady = clock_steady_ms();
    source_take_bytes(side, bytes);
    if (source_is_full(s) && !s->stopping) {
        http_stream_pause(side->http);
    }
}

/* What was answered had an end, and nothing in it was of a stream: nothing that this network sends, and no
 * keep-alive, as which an empty line among others does not count. */
static bool was_no_stream(const struct source_side *side, const struct http_result *result)
{
    bool quiet = side->kept_alive && !side->strange;
    return result->end == HTTP_END_CLEAN && side->stream_bytes && !side->sound && !quiet &&
           !side->told.cause && source_side_is_empty(side);
}

static void fail_as_no_stream(struct source_side *side)
{
    char why[400];
    snprintf(why, sizeof why,
             "%s answered 200 with something else than a stream: check url, and whether a "
             "proxy is in between",
             side->place);
    fail(side->source, side, &(struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "http"}, why);
}

/* The wait after a stream that was established, by what it brought and how it ended. */
static int64_t wait_after_stream(struct source *s, enum backoff_ladder *ladder)
{
    const struct backoff_timing *timing = s->timing->backoff;
    const struct source_side *now = s->now;
    int64_t lived = clock_steady_ms() - now->established_steady;
    *ladder = BACKOFF_NETWORK;
    if (s->evicted && lived >= timing->ladders[BACKOFF_HTTP].most) {
        backoff_established(&s->backoff); /* the account is ours again */
        s->evicted = false;
    }
    s->evicted |= now->evicted;
    if (now->evicted) {
        *ladder = BACKOFF_HTTP;
        return backoff_failed(&s->backoff, timing, BACKOFF_HTTP, 0);
    }
    if (now->told.cause && now->told.ladder != BACKOFF_NETWORK) {
        *ladder = now->told.ladder;
        return source_answer_wait(&s->backoff, timing, &now->told);
    }
    return backoff_dropped(&s->backoff, timing, lived, now->messages);
}

/* The stream that is in force has ended, and nothing else is open or being asked for. */
static void stream_lost(struct source *s, const struct http_result *result)
{
    struct source_side *now = s->now;
    bool stalled = result->end == HTTP_END_STALL;
    struct source_failure f = {.silence = stalled ? clock_steady_ms() - now->last_byte_steady : 0};
    f.cause = now->told.cause                                 ? now->told.cause
              : stalled                                       ? "stall"
              : result->end == HTTP_END_CLEAN || now->evicted ? "server"
                                                              : "network";
    f.wait = wait_after_stream(s, &f.ladder);
    f.down = source_answer_is_down(f.ladder);
    const char *how = now->evicted      ? "another client uses this account, the server ended the stream"
                      : now->told.cause ? "the server ended the stream, as it had said"
                      : result->end == HTTP_END_CLEAN ? "the server ended the stream"
                                                      : result->text;
    char why[600];
    snprintf(why, sizeof why, "stream from %s lost: %s", now->place, how);
    source_wait_after(s, &f, why);
}

void source_end_stream(struct source *s)
{
    s->counts.streaming_since = CLOCK_NONE;
    if (s->protocol->ended) {
        s->protocol->ended(s->now->protocol_state);
    }
}

static void now_ends(struct source *s, const struct http_result *result)
{
    struct source_side *now = s->now;
    source_end_stream(s);
    if (was_no_stream(now, result)) {
        s->backoff = s->before_stream;
        fail_as_no_stream(now);
    } else if (s->next && s->next->answered) {
        source_change_switch(s);
    } else if (s->next) {
        source_change_lost(s, clock_steady_ms() - now->last_byte_steady);
    } else {
        stream_lost(s, result);
    }
}

static void attempt_ends(struct source_side *side, const struct http_result *result)
{
    bool stalled = result->end == HTTP_END_STALL;
    char why[600];
    if (side->answered && was_no_stream(side, result)) {
        fail_as_no_stream(side);
        return;
    }
    snprintf(why, sizeof why, "%s: %s", side->place,
             result->end == HTTP_END_CLEAN ? "the server ended the stream" : result->text);
    struct source_reaction r = {.ladder = BACKOFF_NETWORK, .cause = stalled ? "stall" : "network"};
    if (side->answered && side->evicted) {
        r = (struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "server"};
    } else if (side->answered && side->told.cause) {
        r = side->told;
    }
    fail(side->source, side, &r, why);
}

static void on_end(void *user, const struct http_result *result)
{
    struct source_side *side = user;
    struct source *s = side->source;
    side->open = false;
    side->stream_over = true;
    source_discard_fragment(side);
    if (side->leaving) {
        side->leave_steady = INT64_MIN; /* there is nothing more to wait for */
        source_change_leave(s);
    } else if (result->end == HTTP_END_STATUS) {
        answer_status(side, result);
    } else if (side == s->now && s->state == SOURCE_STREAMING) {
        now_ends(s, result);
    } else {
        attempt_ends(side, result);
    }
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
        fail_by(s, &(struct source_reaction){.ladder = BACKOFF_NETWORK, .cause = "network"}, e->text);
    }
}

static int send_request(struct source *s, struct source_side *side, struct err *e)
{
    struct source_attempt attempt = {.again = s->history.ledger->begun};
    if (s->protocol->prepare(side->protocol_state, &attempt, e)) {
        return -1;
    }
    snprintf(side->place, sizeof side->place, "%.*s", (int)strcspn(attempt.url, "?"), attempt.url);
    const char *const headers[] = {attempt.authorization, NULL};
    const struct source_settings *settings = side->settings;
    struct http_stream_request request = {
        .method = attempt.method,
        .url = attempt.url,
        .headers = headers,
        .form = attempt.form,
        .connect_ms = s->timing->connect,
        .stall_ms = settings->stall_timeout ? settings->stall_timeout : s->timing->stall,
        .accept_any_certificate = settings->tls_insecure_accept_any_certificate};
    s->counts.attempts++;
    log_debug(&s->log, "attempt %llu: %s", (unsigned long long)s->counts.attempts, side->place);
    side->answered = false;
    side->asked_steady = clock_steady_ms();
    if (!side->other) {
        s->asked_steady = side->asked_steady;
    }
    int status = http_stream_start(side->http, &request, e);
    side->open = status == 0;
    attempt_free(&attempt);
    return status;
}

void source_ask(struct source *s, struct source_side *side)
{
    struct err e;
    if (side == s->now) {
        s->state = SOURCE_CONNECTING;
    }
    if (send_request(s, side, &e) == 0) {
        return;
    }
    if (side == s->now) {
        give_up_attempt(s, &e);
    } else {
        source_change_failed(s, &(struct source_reaction){.ladder = BACKOFF_NETWORK, .cause = "network"},
                             e.kind == ERR_FATAL, e.text);
    }
}

static void on_prepared(void *user, const struct source_verdict *failed)
{
    struct source_side *side = user;
    struct source *s = side->source;
    if (s->stopping || side->closing) {
        return;
    }
    if (failed) {
        take_verdict(s, side, failed);
    } else if (source_is_full(s)) {
        s->connect_due = true;
    } else {
        source_ask(s, side);
    }
}

void source_connect(struct source *s)
{
    struct err e;
    s->connect_due = false;
    source_change_adopt(s);
    int begun = !s->protocol->start_preparing
                    ? 0
                    : s->protocol->start_preparing(s->now->protocol_state, s->loop, on_prepared, s->now, &e);
    if (begun < 0) {
        give_up_attempt(s, &e);
    } else if (begun) {
        s->state = SOURCE_CONNECTING;
    } else {
        source_ask(s, s->now);
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
    source_answer_warn(&s->log, s->now->settings);
    uint64_t count_ms = (uint64_t)clock_timer_ms(s->timing->count_interval);
    uv_timer_start(&s->count_timer, on_count_timer, count_ms, count_ms);
    int64_t left = source_ladder_take_up(s);
    s->state = left ? SOURCE_WAITING : SOURCE_CONNECTING;
    source_wait(s, left);
    history_offer(&s->history, &s->counts);
}

bool source_uses(const struct source *s, const struct source_settings *settings)
{
    for (const struct source_side *side = s->sides; side; side = side->following) {
        if (settings == side->settings ||
            (s->protocol->uses && s->protocol->uses(side->protocol_state, settings))) {
            return true;
        }
    }
    return false;
}

void source_pause(struct source *s)
{
    s->paused = true;
    for (struct source_side *side = s->sides; side; side = side->following) {
        if (side->answered && !side->closing) {
            http_stream_pause(side->http);
        }
    }
}

/* Offers all that waits, in order, also what libcurl keeps: resumed, it hands that over before it returns. */
static void take_all_of(struct source_side *side)
{
    source_take_waiting(side);
    source_discard_fragment(side);
    if (!source_is_full(side->source) && side->answered) {
        http_stream_resume(side->http);
    }
}

/* Of all sides, those that leave first. True: nothing waits any more. */
static bool take_all(struct source *s)
{
    history_offer(&s->history, &s->counts);
    for (struct source_side *side = s->sides; side; side = side->following) {
        if (side->leaving && !side->closing) {
            take_all_of(side);
        }
    }
    take_all_of(s->now);
    if (s->next) {
        take_all_of(s->next);
    }
    source_change_leave(s);
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
    if (!source_drain(s) || s->stopping) {
        return;
    }
    if (s->connect_due) {
        source_connect(s);
    }
    if (s->change_due) {
        source_change_begin(s);
    }
}

/* --- opening and stopping --- */

void source_part_closed(struct source *s)
{
    if (--s->handles) {
        return;
    }
    void (*done)(void *user) = s->done;
    void *user = s->done_user;
    source_seen_free(s->seen);
    free(s);
    if (done) {
        done(user);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    source_part_closed(handle->data);
}

struct http_stream *source_side_stream(struct source_side *side, struct err *e)
{
    const struct http_stream_events events = {on_response, on_body, on_end, side};
    return http_stream_new(side->source->loop, &events, e);
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

static void open_timers(struct source *s)
{
    uv_timer_t *const timers[] = {&s->wait_timer, &s->count_timer, &s->change_timer, &s->leave_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_timer_init(s->loop, timers[i]);
        timers[i]->data = s;
        s->handles++;
    }
}

/* One that could not be opened. What its side has on the loop needs the loop's next turn. */
static void abandon(struct source *s)
{
    s->stopping = true;
    if (s->now) {
        source_side_close(s->now);
    } else {
        free(s);
    }
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
    s->options = *options;
    s->events = *events;
    s->protocol = protocol;
    s->timing = options->timing ? options->timing : protocol->timing;
    s->log = (struct log_context){"ingest", settings->name};
    s->asked_steady = INT64_MIN / 2;
    s->counts.last_byte_at = CLOCK_NONE;
    s->counts.streaming_since = CLOCK_NONE;
    s->error_at = CLOCK_NONE;
    s->opened_at = clock_wall_ms();
    s->history.log = &s->log;
    s->history.offer = source_offer_own;
    s->history.user = s;
    s->now = source_side_open(s, settings, e);
    if (!s->now || history_open(&s->history, options->ledger, settings->name, e)) {
        err_wrap(e, "source %s", settings->name);
        abandon(s);
        return NULL;
    }
    open_timers(s);
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
    uv_timer_t *const timers[] = {&s->wait_timer, &s->count_timer, &s->change_timer, &s->leave_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_close((uv_handle_t *)timers[i], on_timer_closed);
    }
    for (struct source_side *side = s->sides, *following; side; side = following) {
        following = side->following;
        source_side_close(side);
    }
}

const char *source_name(const struct source *s)
{
    return s->now->settings->name;
}

enum source_state source_state(const struct source *s)
{
    return s->state;
}

struct source_counts source_count(const struct source *s)
{
    return s->counts;
}
