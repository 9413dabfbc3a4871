/* From one configuration to another: when, beside which stream, and what when it is refused. The rules and
 * their reasons are in DESIGN.md, "Another configuration".
 */
#include "base/clock.h"
#include "ingest/settings_same.h"
#include "ingest/source_answer.h"
#include "ingest/source_keys.h"
#include "ingest/source_parts.h"
#include "ingest/source_seen.h"

#include <string.h>

enum {
    QUIET_MS = 60 * 1000 /* lines about the same attempts are that far apart */
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t apart(const struct source *s)
{
    int64_t configured = s->now->settings->change_interval;
    return configured ? configured : s->timing->change_apart;
}

/* --- when --- */

static void on_change_due(uv_timer_t *timer)
{
    source_change_begin(timer->data);
}

void source_change_plan(struct source *s)
{
    struct source_side *side = s->wanted;
    uv_timer_stop(&s->change_timer);
    if (!side || s->next || s->stopping || s->state != SOURCE_STREAMING) {
        return; /* a source that is not heard has its own time for the next attempt, which takes it along */
    }
    int64_t due = side->due_steady, now = clock_steady_ms();
    if (!side->other) {
        due = later(due, later(s->asked_steady + apart(s), s->hold_until_steady));
    }
    uv_update_time(s->loop);
    uv_timer_start(&s->change_timer, on_change_due, (uint64_t)clock_timer_ms(later(due - now, 0)), 0);
}

/* Waiting: others' ladders do not hold for other credentials, and who is down is waited for by somebody who
 * has just mended it. */
static void hurry(struct source *s)
{
    bool other = s->wanted && s->wanted->other;
    if (s->state != SOURCE_DOWN && !(s->state == SOURCE_WAITING && other)) {
        return;
    }
    int64_t now = clock_steady_ms(), wait = s->timing->change_settle;
    if (!other) {
        wait = later(wait, later(s->asked_steady + apart(s), s->hold_until_steady) - now);
    }
    if ((int64_t)uv_timer_get_due_in(&s->wait_timer) > clock_timer_ms(wait)) {
        source_wait(s, wait);
    }
}

/* --- what SIGHUP says --- */

static void drop_wanted(struct source *s)
{
    source_side_close(s->wanted);
    s->wanted = NULL;
}

/* Somebody says so of what was refused, without changing it: its wait of minutes to hours is over. */
static void mended(struct source *s)
{
    struct source_side *side = s->wanted;
    if (side && side->down) {
        int64_t now = clock_steady_ms();
        side->due_steady = later(now + s->timing->change_settle, side->asked_steady + apart(s));
        source_change_plan(s);
    }
}

static bool is_other(const struct source *s, const struct source_side *side)
{
    const struct source_side *now = s->now;
    return !source_keys_same(s->protocol, now->protocol_state, now->settings->url ? now->settings->url : "",
                             side->protocol_state, side->settings->url ? side->settings->url : "");
}

/* The settings that this source goes by once all that was begun is through. */
static const struct source_settings *heading_for(const struct source *s)
{
    return s->wanted ? s->wanted->settings : source_side_settings(s->next ? s->next : s->now);
}

static void want(struct source *s, struct source_side *side)
{
    side->other = is_other(s, side);
    side->due_steady = clock_steady_ms() + s->timing->change_settle;
    drop_wanted(s);
    s->wanted = side;
    source_change_plan(s);
    hurry(s);
    if (s->state == SOURCE_STREAMING && uv_is_active((uv_handle_t *)&s->change_timer)) {
        log_notice(&s->log, "the configuration read now is asked for in %.1f s",
                   (double)uv_timer_get_due_in(&s->change_timer) / 1000.0);
    } else {
        log_notice(&s->log, "the configuration read now is asked for with the next attempt");
    }
}

bool source_change(struct source *s, const struct source_settings *next)
{
    struct err e;
    if (s->stopping || s->state == SOURCE_IDLE || s->state == SOURCE_STOPPED ||
        strcmp(s->now->settings->type, next->type) != 0) {
        return false;
    }
    if (settings_same(heading_for(s), next)) {
        mended(s);
        hurry(s);
        return true;
    }
    if (!s->next && settings_same(source_side_settings(s->now), next)) {
        log_notice(&s->log, "the configuration read now is the one in force");
        drop_wanted(s);
        source_change_plan(s);
        return true;
    }
    if (s->state == SOURCE_STREAMING && s->protocol->change &&
        s->protocol->change(s->now->protocol_state, next)) {
        drop_wanted(s);
        source_change_plan(s);
        return true;
    }
    struct source_side *side = source_side_open(s, next, &e);
    if (side) {
        want(s, side);
    } else {
        log_error(&s->log, "%s; what was asked for before stays in force", e.text);
    }
    return true;
}

/* --- taking the place --- */

/* s->now is another one now. */
static void take_place(struct source *s, struct source_side *side)
{
    if (side->other) {
        s->backoff = side->backoff;
        s->evicted = false;
        s->asked_steady = side->asked_steady;
        s->hold_until_steady = INT64_MIN / 2;
    }
    side->other = side->failed = side->down = side->fallback = false;
    s->now = side;
    s->log.instance = side->settings->name;
    source_answer_warn(&s->log, side->settings);
}

static void leave(struct source_side *side, int64_t milliseconds)
{
    side->leaving = true;
    side->leave_steady = clock_steady_ms() + milliseconds;
}

static void on_leave_due(uv_timer_t *timer)
{
    source_change_leave(timer->data);
}

void source_change_leave(struct source *s)
{
    int64_t now = clock_steady_ms(), first = s->seen_until_steady > now ? s->seen_until_steady : INT64_MAX;
    bool any = first != INT64_MAX || s->next;
    for (struct source_side *side = s->sides; side; side = side->following) {
        if (!side->leaving || side->closing) {
            continue;
        }
        bool over = side->leave_steady <= now;
        if (over && source_side_is_empty(side) && !source_is_full(s)) {
            source_side_close(side);
            continue;
        }
        any = true;
        first = !over && side->leave_steady < first ? side->leave_steady : first;
    }
    if (first != INT64_MAX && !s->stopping) { /* what waits for room alone is looked at when there is some */
        uv_update_time(s->loop);
        uv_timer_start(&s->leave_timer, on_leave_due, (uint64_t)clock_timer_ms(first - now), 0);
    }
    if (!any && source_side_is_empty(s->now) && !source_is_full(s)) {
        source_seen_free(s->seen);
        s->seen = NULL;
    }
}

void source_change_switch(struct source *s)
{
    struct source_side *old = s->now, *side = s->next;
    bool heard = s->state == SOURCE_STREAMING;
    s->next = NULL;
    leave(old, old->open ? s->timing->change_under_way : 0);
    s->seen_until_steady = clock_steady_ms() + s->timing->change_under_way;
    take_place(s, side);
    source_begin_stream(s, heard);
    source_change_leave(s);
}

void source_change_over(struct source *s)
{
    if (s->wanted && s->wanted->fallback) {
        drop_wanted(s);
    }
    source_change_plan(s);
}

/* The one that was in force is kept, and tried when this one fails. */
static void take_turns(struct source *s)
{
    struct source_side *old = s->now, *side = s->wanted;
    bool fallback = !side->fallback, other = side->other;
    struct backoff climbed = s->backoff;
    int64_t asked = s->asked_steady;
    take_place(s, side);
    s->wanted = old;
    old->failed = true;
    old->fallback = fallback;
    old->other = other;
    old->backoff = climbed;
    old->asked_steady = asked;
    old->due_steady = clock_steady_ms();
}

void source_change_adopt(struct source *s)
{
    struct source_side *side = s->wanted;
    if (!side || s->next) {
        return;
    }
    if (!side->failed) {
        struct source_side *old = s->now;
        s->wanted = NULL;
        leave(old, 0);
        take_place(s, side);
        source_change_leave(s);
    } else if (s->outage.attempts && side->due_steady <= clock_steady_ms()) {
        take_turns(s);
    }
}

/* The network allows no second stream: this one ends, and the next attempt takes the other configuration. */
static void close_and_open(struct source *s)
{
    static const char why[] = "the configuration was read again";
    http_stream_cancel(s->now->http);
    s->now->open = false;
    source_end_stream(s);
    s->now->stream_over = true;
    source_discard_fragment(s->now);
    history_lost(&s->history, true, 0, "reload", why);
    s->state = SOURCE_WAITING;
    history_offer(&s->history, &s->counts);
    log_notice(&s->log, "%s: the stream is closed, and opened with it", why);
    source_wait(s, 0);
}

void source_change_begin(struct source *s)
{
    struct source_side *side = s->wanted;
    s->change_due = false;
    if (!side || s->next || s->state != SOURCE_STREAMING) {
        return;
    }
    if (source_is_full(s)) {
        s->change_due = true;
        return;
    }
    if (s->protocol->change && s->protocol->change(s->now->protocol_state, side->settings)) {
        drop_wanted(s);
    } else if (s->protocol->beside) {
        s->wanted = NULL;
        s->next = side;
        s->seen = s->seen ? s->seen : source_seen_new();
        source_ask(s, side);
    } else {
        close_and_open(s);
    }
}

/* --- what may happen meanwhile --- */

void source_change_lost(struct source *s, int64_t silence)
{
    s->state = SOURCE_CONNECTING;
    history_lost(&s->history, true, silence, "reload",
                 "the configuration was read again, and the server ended the old stream before it answered");
    history_offer(&s->history, &s->counts);
}

/* With the same server and credentials, what refused the one holds up the other, too. A final answer was
 * about the parameters, so that not its ladder of hours holds, but a wait after any answer above 200. */
static int64_t hold_up(struct source *s, const struct source_side *side, const struct source_reaction *r,
                       int64_t wait)
{
    int64_t hold = side->other            ? 0
                   : r->final || r->fatal ? s->timing->backoff->ladders[BACKOFF_HTTP].first
                                          : wait;
    if (!side->other) {
        s->hold_until_steady = clock_steady_ms() + hold;
    }
    return hold;
}

/* What is the next step of this side. */
static void try_again(struct source *s, struct source_side *side, const struct source_reaction *r,
                      int64_t wait)
{
    source_ladder_keep(s, side, wait);
    side->failed = true;
    side->down = source_answer_is_down(r->ladder);
    side->due_steady = clock_steady_ms() + wait;
    s->wanted = side;
}

void source_change_failed(struct source *s, const struct source_reaction *r, bool for_good, const char *why)
{
    struct source_side *side = s->next;
    bool newer = s->wanted != NULL, heard = s->state == SOURCE_STREAMING;
    int64_t wait = for_good ? 0 : source_answer_wait(source_ladder_of(s, side), s->timing->backoff, r);
    int64_t hold = hold_up(s, side, r, wait);
    const char *stays = heard ? "the old stream, and what it asks for, stay in force"
                              : "what was asked for before is asked for again";
    s->next = NULL;
    if (for_good || newer) {
        log_error(&s->log, "%s; %s%s", why, stays,
                  newer ? ", until what was read last is asked for"
                        : "; mend the configuration and send SIGHUP again");
        source_side_close(side);
    } else {
        uint64_t untold;
        if (log_every(&s->change_log, QUIET_MS, &untold) || !side->failed) {
            log_error(&s->log, "%s; %s; the new configuration is tried again in %.1f s", why, stays,
                      (double)wait / 1000.0);
        }
        try_again(s, side, r, wait);
    }
    source_change_leave(s);
    if (heard) {
        source_change_plan(s);
    } else {
        const struct source_failure f = {.ladder = r->ladder, .cause = r->cause, .wait = hold};
        source_wait_after(s, &f, why);
    }
}
