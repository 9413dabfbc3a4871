#include "base/clock.h"
#include "simulator/api2.h"
#include "simulator/fault_run.h"
#include "simulator/pace.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    BLOCK = 256 << 10, /* bytes made before they are sent: one system call per block, not per message */
    TURN_BLOCKS = 4,   /* per turn of the loop, so that one fast client does not keep the others waiting */
    TURN_POSITIONS = 50000, /* looked at per turn when few match */
    WARNING_STEP = 10       /* percent between two warnings of one rise */
};

int stream_begin(struct connection *c, struct account *account, struct selection *filter)
{
    struct stream *stream = calloc(1, sizeof *stream);
    uint8_t *verdicts = calloc(playlist_count(c->sim->list), 1);
    if (!stream || !verdicts) {
        free(stream);
        free(verdicts);
        selection_free(filter);
        return -1;
    }
    if (c->sim->options.no_filter) {
        selection_free(filter);
        filter = NULL;
    }
    *stream = (struct stream){.account = account,
                              .filter = filter,
                              .verdicts = verdicts,
                              .keep_alive_ms = c->sim->options.keep_alive_ms,
                              .began_wall_ms = clock_wall_ms(),
                              .start = account->feed.position,
                              .last_data_ms = c->sim->now_ms};
    c->stream = stream;
    c->state = CONNECTION_STREAMING;
    c->deadline_ms = INT64_MAX;
    account->streaming = c;
    if (simulator_is_live(c->sim)) {
        /* Little in the kernel: who reads slowly shall be noticed by the queue here. */
        int bytes = 128 << 10;
        setsockopt(c->transport.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        if (!c->sim->live_start_us) {
            c->sim->live_start_us = clock_steady_us();
        }
    }
    return 0;
}

static struct view length_line(const struct stream *stream, size_t length, char text[32])
{
    if (!stream->delimited) {
        return view_make(text, 0);
    }
    return view_make(text, (size_t)snprintf(text, 32, "%zu\r\n", length + 2));
}

static void add_now(struct connection *c, struct view message, uint64_t position)
{
    char text[32];
    wire_add_message(c->wire, length_line(c->stream, message.length, text), message, position);
    c->stream->added++;
    c->stream->last_data_ms = c->sim->now_ms;
}

/* Copies of messages that go out in reverse; the last one that goes out counts for all. */
void stream_release(struct connection *c)
{
    struct stream_faults *f = &c->stream->faults;
    for (size_t left = f->held_count; left; left--) {
        struct view message = f->held[left - 1];
        add_now(c, message, left > 1 ? f->held_from : f->held_behind);
        free((char *)message.at);
    }
    free(f->held);
    f->held = NULL;
    f->held_count = f->hold_wanted = 0;
}

static void hold_message(struct connection *c, struct view message, uint64_t position)
{
    struct stream_faults *f = &c->stream->faults;
    char *copy = view_copy(message);
    if (!copy) {
        stream_release(c);
        add_now(c, message, position);
        return;
    }
    if (!f->held_count) {
        f->held_from = position - 1;
    }
    f->held_behind = position;
    f->held[f->held_count++] = view_make(copy, message.length);
    if (f->held_count == f->hold_wanted) {
        stream_release(c);
    }
}

void stream_hold(struct connection *c, size_t count)
{
    struct stream_faults *f = &c->stream->faults;
    stream_release(c);
    f->held = calloc(count, sizeof *f->held);
    f->hold_wanted = f->held ? count : 0;
}

static void add_message(struct connection *c, struct view message, uint64_t position)
{
    if (c->stream->faults.hold_wanted) {
        hold_message(c, message, position);
    } else {
        add_now(c, message, position);
    }
}

static void add_notice(struct connection *c, const char *json)
{
    char line[600], text[32];
    struct view length = length_line(c->stream, strlen(json), text);
    int n = snprintf(line, sizeof line, "%.*s%s\r\n", VIEW_PRINT(length), json);
    wire_add_notice(c->wire, view_make(line, (size_t)n));
    c->stream->last_data_ms = c->sim->now_ms;
}

static bool matches(struct connection *c, const struct playlist_message *m, size_t index)
{
    struct stream *stream = c->stream;
    if (stream->app) {
        return api2_match(c, index).at != NULL;
    }
    if (!m->tweet || !stream->filter) {
        return !m->payload;
    }
    uint8_t *verdict = &stream->verdicts[index];
    if (!*verdict) {
        *verdict = selection_match(stream->filter, &m->facts) ? 2 : 1;
    }
    return *verdict == 2;
}

/* With a rate the queue is bounded, so older ones are left out. */
void stream_add_repeats(struct connection *c)
{
    struct stream *stream = c->stream;
    bool live = simulator_is_live(c->sim);
    const struct repeats *repeats = live ? &c->sim->live_repeats : &stream->account->repeats;
    size_t i = repeats->count, bytes = 0, most = live ? c->sim->options.queue / 2 : SIZE_MAX;
    while (i > 0 && bytes + repeats_at(repeats, i - 1)->bytes.length <= most) {
        i--;
        bytes += repeats_at(repeats, i)->bytes.length;
    }
    for (; i < repeats->count; i++) {
        const struct repeat *repeat = repeats_at(repeats, i);
        if (matches(c, playlist_at(c->sim->list, repeat->index), repeat->index)) {
            char text[32];
            wire_add_message(c->wire, length_line(stream, repeat->bytes.length, text), repeat->bytes,
                             stream->start);
        }
    }
}

/* True when the stream breaks off here: half of the message goes out, and the connection closes behind it
 * without the last chunk, as when a server or the network in between fails. */
static bool cut_here(struct connection *c, struct view message)
{
    uint64_t after = c->sim->options.cut_after;
    if (!after || c->stream->added < after) {
        return false;
    }
    wire_add_notice(c->wire, view_make(message.at, message.length / 2));
    c->stream->cut = true;
    return true;
}

/* Adds to the simulator's counts what this stream has sent since the last time. */
static void count_sent(struct connection *c)
{
    struct stream *stream = c->stream;
    uint64_t messages = wire_messages_sent(c->wire), bytes = wire_bytes_sent(c->wire);
    atomic_fetch_add_explicit(&c->sim->messages, messages - stream->counted_messages, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->sim->bytes, bytes - stream->counted_bytes, memory_order_relaxed);
    stream->counted_messages = messages;
    stream->counted_bytes = bytes;
}

size_t stream_allowance(struct connection *c)
{
    struct stream_faults *f = &c->stream->faults;
    int64_t now = c->sim->now_ms;
    size_t waiting = wire_waiting(c->wire);
    if (now < f->silent_until_ms) {
        return 0;
    }
    if (f->late_flush_ms && waiting > 1) {
        f->silent_until_ms = now + f->late_flush_ms;
        f->late_flush_ms = 0;
        return waiting / 2;
    }
    if (now < f->slow_until_ms) {
        int64_t may = f->slow_bytes * (now - f->slow_since_ms) / 1000;
        int64_t sent = (int64_t)(wire_bytes_sent(c->wire) - f->slow_from);
        return may > sent ? (size_t)(may - sent) : 0;
    }
    return SIZE_MAX;
}

/* Held back by a fault: an event that the socket has room would come at once, and again and again. */
static bool held_back(const struct connection *c)
{
    const struct stream_faults *f = &c->stream->faults;
    return c->sim->now_ms < f->silent_until_ms || c->sim->now_ms < f->slow_until_ms;
}

static void watch(struct connection *c, bool more)
{
    connection_watch(c, EPOLLIN | EPOLLRDHUP | (more && !held_back(c) ? EPOLLOUT : 0u));
}

static int send_ready(struct connection *c)
{
    wire_flush(c->wire);
    if (wire_failed(c->wire) || wire_send(c->wire, &c->transport, stream_allowance(c)) < 0) {
        connection_close(c);
        return -1;
    }
    count_sent(c);
    if (c->stream->cut && wire_waiting(c->wire) == 0) {
        c->stream->ended = "cut off in the middle of a message";
        connection_close(c);
        return -1;
    }
    return 0;
}

void stream_send(struct connection *c)
{
    if (send_ready(c) == 0) {
        watch(c, wire_waiting(c->wire) > 0);
    }
}

/* ---- without a rate ---- */

enum filled { FILLED_BLOCK, FILLED_SOME, FILLED_ALL };

static enum filled fill(struct connection *c)
{
    struct simulator *s = c->sim;
    struct stream *stream = c->stream;
    struct feed *feed = &stream->account->feed;
    int64_t wall = s->options.fresh_ids ? clock_wall_ms() : 0;
    for (size_t looked = 0; wire_unflushed(c->wire) + wire_waiting(c->wire) < BLOCK; looked++) {
        if (stream->cut || feed_at_end(feed) || stream->unmatched >= playlist_count(s->list)) {
            return FILLED_ALL;
        }
        if (looked == TURN_POSITIONS) {
            return FILLED_SOME;
        }
        size_t index;
        const struct playlist_message *m = feed_next(feed, &index);
        bool wanted = matches(c, m, index);
        if (wanted && stream->app && api2_spent(s, stream->app)) {
            api2_end_spent(c);
            return FILLED_ALL;
        }
        struct view bytes = feed_render(feed, index, wall, &s->last_id, &s->scratch, wanted && !stream->app);
        if (wanted && stream->app) {
            bytes = api2_render(c, feed, index);
        }
        if (wanted && (cut_here(c, bytes) || (s->faults && faults_before_message(c)))) {
            return FILLED_ALL;
        }
        feed->position++;
        stream->unmatched++;
        if (wanted) {
            add_message(c, bytes, feed->position);
            if (!stream->app) {
                repeats_add(&stream->account->repeats, index, feed->position, bytes, s->options.fresh_ids);
            }
            stream->unmatched = 0;
        }
    }
    return FILLED_BLOCK;
}

void stream_pull(struct connection *c)
{
    enum filled filled = FILLED_BLOCK;
    for (size_t block = 0; block < TURN_BLOCKS && filled == FILLED_BLOCK; block++) {
        if (wire_waiting(c->wire) == 0) {
            filled = fill(c);
        }
        if (c->state != CONNECTION_STREAMING) {
            return; /* a fault ended it */
        }
        if (send_ready(c) < 0) {
            return;
        }
        if (wire_waiting(c->wire)) {
            break;
        }
    }
    bool over = feed_at_end(&c->stream->account->feed);
    if (over && c->sim->options.at_end != SIMULATOR_HOLD && !held_back(c)) {
        c->sim->played_out = true;
        stream_end(c, 0, "everything is played");
        return;
    }
    bool more = wire_waiting(c->wire) || filled != FILLED_ALL;
    watch(c, more);
}

/* ---- with a rate ---- */

/* True when the message may go out under limit_rate; else it is counted. */
static bool within_limit(struct connection *c)
{
    struct stream *stream = c->stream;
    if (c->sim->options.limit_rate <= 0) {
        return true;
    }
    int64_t second = c->sim->now_ms / 1000;
    if (second != stream->second) {
        stream->second = second;
        stream->in_second = 0;
    }
    if ((double)stream->in_second < c->sim->options.limit_rate) {
        stream->in_second++;
        return true;
    }
    stream->undelivered++;
    return false;
}

/* The total since the connection was opened, at most once a second. */
static void tell_limit(struct connection *c)
{
    struct stream *stream = c->stream;
    if (stream->app || stream->undelivered == stream->undelivered_told ||
        c->sim->now_ms - stream->limit_told_ms < 1000) {
        return;
    }
    char json[120];
    snprintf(json, sizeof json, "{\"limit\":{\"track\":%llu,\"timestamp_ms\":\"%lld\"}}",
             (unsigned long long)stream->undelivered, (long long)clock_wall_ms());
    add_notice(c, json);
    stream->undelivered_told = stream->undelivered;
    stream->limit_told_ms = c->sim->now_ms;
}

/* Warns at 60 % and each further 10 %; again only after the queue was below 60 %. */
static void tell_stall(struct connection *c, size_t waiting)
{
    struct stream *stream = c->stream;
    unsigned percent = (unsigned)(waiting * 100 / c->sim->options.queue);
    if (percent < 60) {
        stream->warned = 0;
        return;
    }
    unsigned step = percent - percent % WARNING_STEP;
    if (step <= stream->warned || !stream->stall_warnings) {
        return;
    }
    stream->warned = step;
    char json[320];
    snprintf(json, sizeof json,
             "{\"warning\":{\"code\":\"FALLING_BEHIND\",\"message\":\"Your connection is falling behind and "
             "messages are "
             "being queued for delivery to you. Your queue is now over %u%% full. You will be disconnected "
             "when the "
             "queue is full.\",\"percent_full\":%u}}",
             step, percent);
    add_notice(c, json);
}

/* One message of the live stream to one connection. */
static void deliver(struct connection *c, struct view bytes)
{
    if (c->sim->faults && faults_before_message(c)) {
        return;
    }
    size_t waiting = wire_waiting(c->wire) + wire_unflushed(c->wire);
    if (c->stream->cut || !within_limit(c) || cut_here(c, bytes)) {
        return;
    }
    if (waiting + bytes.length > c->sim->options.queue) {
        atomic_fetch_add_explicit(&c->sim->slow, 1, memory_order_relaxed);
        stream_end(c, 4, "it read too slowly");
        return;
    }
    tell_stall(c, waiting);
    add_message(c, bytes, c->sim->live.position);
}

static uint64_t live_due(const struct simulator *s)
{
    if (!s->live_start_us) {
        return 0;
    }
    return pace_due(s->pace, clock_steady_us() - s->live_start_us);
}

static void broadcast(struct simulator *s, int64_t wall)
{
    size_t index;
    const struct playlist_message *m = feed_next(&s->live, &index);
    bool wanted = s->live_repeats.capacity > 0;
    for (struct connection *c = s->connections; c; c = c->next) {
        wanted = wanted || (c->state == CONNECTION_STREAMING && !c->stream->app && matches(c, m, index));
    }
    struct view bytes = feed_render(&s->live, index, wall, &s->last_id, &s->scratch, wanted);
    s->live.position++;
    repeats_add(&s->live_repeats, index, s->live.position, bytes, s->options.fresh_ids);
    for (struct connection *c = s->connections; wanted && c; c = c->next) {
        if (c->state == CONNECTION_STREAMING && !c->stream->app && matches(c, m, index)) {
            deliver(c, bytes);
        }
    }
    for (struct connection *c = s->connections; s->apps && c; c = c->next) {
        if (c->state != CONNECTION_STREAMING || !c->stream->app || !matches(c, m, index)) {
            continue;
        }
        if (api2_spent(s, c->stream->app)) {
            api2_end_spent(c);
        } else {
            deliver(c, api2_render(c, &s->live, index));
        }
    }
}

void stream_live(struct simulator *s)
{
    uint64_t due = live_due(s);
    int64_t wall = clock_wall_ms();
    while (s->live.position < due && !feed_at_end(&s->live)) {
        broadcast(s, wall);
    }
    bool over = s->live_start_us && feed_at_end(&s->live) && s->options.at_end != SIMULATOR_HOLD;
    s->played_out = s->played_out || over;
    for (struct connection *c = s->connections; c; c = c->next) {
        if (c->state != CONNECTION_STREAMING) {
            continue;
        }
        tell_limit(c);
        if (send_ready(c) < 0) {
            continue;
        }
        if (over && !held_back(c)) {
            stream_end(c, 0, "everything is played");
        } else {
            watch(c, wire_waiting(c->wire) > 0);
        }
    }
}

int64_t stream_live_next_ms(struct simulator *s)
{
    if (!s->live_start_us || feed_at_end(&s->live)) {
        return INT64_MAX;
    }
    int64_t due_us = s->live_start_us + pace_at_us(s->pace, s->live.position);
    double left_ms = ceil((double)(due_us - clock_steady_us()) / 1000);
    return left_ms < 0 ? 0 : (int64_t)left_ms;
}

/* ---- both ---- */

void stream_keep_alive(struct connection *c)
{
    struct stream *stream = c->stream;
    if (c->sim->now_ms < stream->faults.silent_until_ms) {
        return;
    }
    /* While data waits to be read, an empty line behind it tells nobody anything. */
    if (c->sim->now_ms - stream->last_data_ms < stream->keep_alive_ms || wire_waiting(c->wire)) {
        return;
    }
    wire_add_notice(c->wire, VIEW("\r\n"));
    stream->last_data_ms = c->sim->now_ms;
    send_ready(c);
}

void stream_repeat(struct connection *c, size_t count)
{
    struct simulator *s = c->sim;
    struct feed past = simulator_is_live(s) ? s->live : c->stream->account->feed;
    uint64_t now = past.position, known = playlist_count(s->list);
    uint64_t first = now > known ? now - known : 0; /* ids are known of one round of the list only */
    size_t index;
    stream_release(c);
    for (past.position = now; past.position > first && count;) {
        past.position--;
        const struct playlist_message *m = feed_next(&past, &index);
        count -= matches(c, m, index);
    }
    for (; past.position < now; past.position++) {
        const struct playlist_message *m = feed_next(&past, &index);
        if (matches(c, m, index)) {
            add_now(c,
                    c->stream->app ? api2_render(c, &past, index)
                                   : feed_render_again(&past, index, &s->scratch),
                    now);
        }
    }
}

static const char *reason_of(int code)
{
    return code == 4 ? "stall: the client read too slowly"
                     : "admin logout: the same credentials connected again";
}

void stream_end_with(struct connection *c, const char *json, const char *why)
{
    if (json) {
        add_notice(c, json);
    }
    c->stream->ended = why;
    wire_end(c->wire);
    connection_drain(c, STREAM_DRAIN_MS);
}

void stream_end(struct connection *c, int disconnect_code, const char *why)
{
    char json[400];
    if (c->stream->app) {
        api2_disconnect_line(disconnect_code == 4 ? "SlowReader" : "ForceDisconnect", json, sizeof json);
    } else {
        snprintf(json, sizeof json, "{\"disconnect\":{\"code\":%d,\"stream_name\":\"\",\"reason\":\"%s\"}}",
                 disconnect_code, reason_of(disconnect_code));
    }
    stream_end_with(c, disconnect_code ? json : NULL, why);
}

void stream_forget(struct connection *c)
{
    struct stream *stream = c->stream;
    struct account *account = stream->account;
    count_sent(c);
    if (account->streaming == c) {
        account->streaming = NULL;
        /* The next connection goes on behind what the kernel took; a stream that moved on already is left
         * alone. */
        if (!simulator_is_live(c->sim) && wire_waiting(c->wire)) {
            account->feed.position = wire_position(c->wire, stream->start);
            repeats_drop_behind(&account->repeats, account->feed.position);
        } else if (!simulator_is_live(c->sim) && stream->faults.held_count) {
            account->feed.position = stream->faults.held_from;
            repeats_drop_behind(&account->repeats, account->feed.position);
        }
    }
    log_info(&SIMULATOR_LOG,
             "%s account %s: stream over: %s; %llu messages, %llu bytes; wall_ms=%lld connection=%llu",
             c->peer, account->name, stream->ended ? stream->ended : "the client closed it",
             (unsigned long long)stream->counted_messages, (unsigned long long)stream->counted_bytes,
             (long long)clock_wall_ms(), (unsigned long long)c->number);
    for (size_t i = 0; i < stream->faults.held_count; i++) {
        free((char *)stream->faults.held[i].at);
    }
    free(stream->faults.held);
    selection_free(stream->filter);
    free(stream->verdicts);
    free(stream);
    c->stream = NULL;
}
