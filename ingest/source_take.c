/* From a stream's bytes to the caller: messages are read and offered, and what is refused is kept, in order.
 */
#include "base/clock.h"
#include "ingest/source_parts.h"

#include <stdio.h>

enum { QUIET_MS = 60 * 1000 /* lines about unreadable messages and warnings are that far apart */ };

/* --- handing over --- */

bool source_is_full(const struct source *s)
{
    return !s->last && (s->paused || s->refused);
}

void source_set_aside(struct source *s, const char *why, struct view message)
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
    s->refused = true; /* of no effect when this is the last offer */
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
        source_set_aside(s, "nobody took it and there is no memory to keep it", message);
    }
}

/* Refused, and there is no later. */
static void lose(struct source *s, struct view message, int64_t received_at, const char *why)
{
    if (!s->lost++) {
        s->lost_since = received_at;
        snprintf(s->lost_why, sizeof s->lost_why, "%s", why);
    }
    s->lost_bytes += message.length;
}

void source_say_lost(struct source *s)
{
    if (s->lost) {
        log_error(&s->log, "%llu messages (%llu bytes) that had been received are lost at the stop: %s",
                  (unsigned long long)s->lost, (unsigned long long)s->lost_bytes, s->lost_why);
        history_dropped(&s->history, s->lost_since, s->lost, s->lost_bytes);
    }
}

static void offer_message(struct source *s, const struct post *post, struct view message, int64_t received_at)
{
    struct err e = {ERR_RETRY, ""};
    int outcome = offer(s, post, &e);
    if (outcome < 0 && s->last) {
        lose(s, message, received_at, e.text);
    } else if (outcome < 0) {
        hold(s, message, received_at);
    } else if (outcome > 0) {
        source_set_aside(s, e.text, message);
    } else if (post->kind == POST_POST) {
        s->counts.posts++;
    } else {
        s->counts.events++;
    }
}

bool source_offer_own(void *user, enum post_kind kind, struct buffer *body)
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
    int outcome = source_is_full(s) || s->stopping ? -1 : buffer_failed(body) ? 1 : offer(s, &p, &e);
    buffer_free(body);
    return outcome >= 0;
}

void source_offer_count(struct source *s)
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

/* What it says about the stream. Servers that refuse may do so in a body of status 200, in the words of a
 * disconnect: that is no proof of good credentials. */
static void judge_message(struct source *s, const struct post *post)
{
    bool known = !post || post->kind != POST_UNKNOWN;
    s->sound |= known;
    s->strange |= !known;
    if (known && !(post && post->kind == POST_DISCONNECT)) {
        source_prove(s);
    }
}

/* Documents have empty lines, too, but they come all at once, and among others. */
static void judge_keep_alive(struct source *s)
{
    bool lives = clock_steady_ms() - s->established_steady >= s->timing->backoff->calm;
    s->counts.keep_alives++;
    s->kept_alive = true;
    s->sound |= lives;
    if (lives && !s->strange) {
        source_prove(s);
    }
}

static void read_message(struct source *s, struct view message, int64_t received_at, bool again)
{
    const struct post *post = NULL;
    struct source_remark remark = {0};
    struct err e;
    if (s->protocol->read(s->protocol_state, message, received_at, &post, &remark, &e)) {
        s->strange = true;
        source_set_aside(s, e.text, message);
        return;
    }
    judge_message(s, post);
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
    if (!s->held.length || source_is_full(s)) {
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
    while (more && !source_is_full(s)) {
        char why[80];
        switch (ingest_lines_next(s->lines, &bytes, &item)) {
        case LINES_MORE:
            more = false;
            break;
        case LINES_MESSAGE:
            take_message(s, item.message);
            break;
        case LINES_KEEP_ALIVE:
            judge_keep_alive(s);
            break;
        case LINES_TOO_LONG:
            s->counts.received++;
            snprintf(why, sizeof why, "a message of %llu bytes is over the limit of %d",
                     (unsigned long long)item.length, LINES_MESSAGE_LIMIT);
            source_set_aside(s, why, view_none());
            break;
        }
    }
    s->feeding = false;
    return bytes;
}

void source_take_bytes(struct source *s, struct view bytes)
{
    struct view rest = s->backlog.length ? bytes : feed(s, bytes);
    buffer_add_view(&s->backlog, rest);
    if (buffer_failed(&s->backlog)) {
        s->backlog.failed = false; /* what it holds is still whole */
        source_set_aside(s, "nobody took what came and there is no memory to keep it", view_none());
    }
}

void source_take_waiting(struct source *s)
{
    offer_held(s);
    if (!source_is_full(s) && s->backlog.length) {
        struct view rest = feed(s, buffer_view(&s->backlog));
        buffer_drop(&s->backlog, s->backlog.length - rest.length);
    }
}

void source_discard_fragment(struct source *s)
{
    if (!s->stream_over || s->backlog.length || source_is_full(s)) {
        return;
    }
    s->stream_over = false;
    uint64_t lost = ingest_lines_end(s->lines);
    if (lost) {
        char why[100];
        s->counts.received++;
        snprintf(why, sizeof why, "the stream ended in the middle of a message, after %llu bytes of it",
                 (unsigned long long)lost);
        source_set_aside(s, why, view_none());
    }
}
