/* From a stream's bytes to the caller: messages are read and offered, and what is refused is kept, in order.
 */
#include "base/clock.h"
#include "ingest/source_parts.h"
#include "ingest/source_seen.h"

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
static void hold(struct source_side *side, struct view message, int64_t received_at)
{
    buffer_reset(&side->held);
    buffer_add_view(&side->held, message);
    side->held_at = received_at;
    if (buffer_failed(&side->held)) {
        buffer_reset(&side->held);
        source_set_aside(side->source, "nobody took it and there is no memory to keep it", message);
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

/* While two streams are open: what the other one has brought already. */
static bool is_repeated(const struct source *s, const struct post *post)
{
    return s->seen && post->kind == POST_POST && source_seen_has(s->seen, post->id);
}

static void count_taken(struct source *s, const struct post *post)
{
    if (post->kind != POST_POST) {
        s->counts.events++;
        return;
    }
    s->counts.posts++;
    if (s->seen) {
        source_seen_add(s->seen, post->id);
    }
}

static void offer_message(struct source_side *side, const struct post *post, struct view message,
                          int64_t received_at)
{
    struct source *s = side->source;
    struct err e = {ERR_RETRY, ""};
    if (is_repeated(s, post)) {
        s->counts.repeated++;
        return;
    }
    int outcome = offer(s, post, &e);
    if (outcome < 0 && s->last) {
        lose(s, message, received_at, e.text);
    } else if (outcome < 0) {
        hold(side, message, received_at);
    } else if (outcome > 0) {
        source_set_aside(s, e.text, message);
    } else {
        count_taken(s, post);
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

/* Of a side that leaves, everything is known already. That the server ends `now` for another client is what
 * a switch makes it do. */
static void note_remark(struct source_side *side, const struct source_remark *remark)
{
    struct source *s = side->source;
    uint64_t held;
    if (side->leaving) {
        return;
    }
    bool switched = remark->evicted && s->next && side == s->now;
    bool print = remark->evicted || remark->ends.cause
                     ? !side->evicted && !side->told.cause && !switched
                     : remark->text[0] && log_every(&s->remark_log, QUIET_MS, &held);
    if (print) {
        log_notice(&s->log, "%s", remark->text);
    }
    side->evicted |= remark->evicted;
    side->told = remark->ends;
    s->counts.undelivered += history_undelivered(&s->history, remark->undelivered);
}

/* It has brought what streams bring, so another configuration's stream takes its place. A server that takes
 * its leave has not shown that it streams: servers that refuse may do so in a body of status 200, in the
 * words of a disconnect, which is no proof of good credentials either. */
static void is_sound(struct source_side *side, bool ends)
{
    side->sound = true;
    if (ends) {
        return;
    }
    source_prove(side);
    if (side == side->source->next) {
        source_change_switch(side->source);
    }
}

/* Documents have empty lines, too, but they come all at once, and among others. */
static void judge_keep_alive(struct source_side *side)
{
    struct source *s = side->source;
    bool lives = clock_steady_ms() - side->established_steady >= s->timing->backoff->calm;
    s->counts.keep_alives++;
    side->kept_alive = true;
    if (lives && !side->strange) {
        is_sound(side, false);
    } else {
        side->sound |= lives;
    }
}

static void read_message(struct source_side *side, struct view message, int64_t received_at, bool again)
{
    struct source *s = side->source;
    const struct post *post = NULL;
    struct source_remark remark = {0};
    struct err e;
    if (s->protocol->read(side->protocol_state, message, received_at, &post, &remark, &e)) {
        side->strange = true;
        source_set_aside(s, e.text, message);
        return;
    }
    if (!post || post->kind != POST_UNKNOWN) {
        is_sound(side, post && post->kind == POST_DISCONNECT);
    } else {
        side->strange = true;
    }
    if (post) {
        offer_message(side, post, message, received_at);
    } else {
        s->counts.filtered++;
    }
    if (!again && !s->stopping) {
        note_remark(side, &remark);
    }
}

static void take_message(struct source_side *side, struct view message)
{
    side->source->counts.received++;
    side->messages++;
    read_message(side, message, clock_wall_ms(), false);
}

/* Offers the refused message once more. */
static void offer_held(struct source_side *side)
{
    struct source *s = side->source;
    if (!side->held.length || source_is_full(s)) {
        return;
    }
    struct buffer held = side->held;
    side->held = BUFFER(held.maximum);
    s->feeding = true;
    read_message(side, buffer_view(&held), side->held_at, true);
    s->feeding = false;
    buffer_free(&held);
}

/* Reads messages until the bytes are used up or the caller has no room; returns the rest. */
static struct view feed(struct source_side *side, struct view bytes)
{
    struct source *s = side->source;
    struct ingest_lines_item item;
    bool more = true;
    s->feeding = true;
    while (more && !source_is_full(s)) {
        char why[80];
        switch (ingest_lines_next(side->lines, &bytes, &item)) {
        case LINES_MORE:
            more = false;
            break;
        case LINES_MESSAGE:
            take_message(side, item.message);
            break;
        case LINES_KEEP_ALIVE:
            judge_keep_alive(side);
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

void source_take_bytes(struct source_side *side, struct view bytes)
{
    struct view rest = side->backlog.length ? bytes : feed(side, bytes);
    buffer_add_view(&side->backlog, rest);
    if (buffer_failed(&side->backlog)) {
        side->backlog.failed = false; /* what it holds is still whole */
        source_set_aside(side->source, "nobody took what came and there is no memory to keep it",
                         view_none());
    }
}

void source_take_waiting(struct source_side *side)
{
    offer_held(side);
    if (!source_is_full(side->source) && side->backlog.length) {
        struct view rest = feed(side, buffer_view(&side->backlog));
        buffer_drop(&side->backlog, side->backlog.length - rest.length);
    }
}

void source_discard_fragment(struct source_side *side)
{
    struct source *s = side->source;
    if (!side->stream_over || side->backlog.length || source_is_full(s)) {
        return;
    }
    side->stream_over = false;
    uint64_t lost = ingest_lines_end(side->lines);
    if (lost) {
        char why[100];
        s->counts.received++;
        snprintf(why, sizeof why, "the stream ended in the middle of a message, after %llu bytes of it",
                 (unsigned long long)lost);
        source_set_aside(s, why, view_none());
    }
}
