/* The ladders of a source over the lives of the listener: a crash loop climbs them as one long life would. */
#include "base/clock.h"
#include "ingest/source_keys.h"
#include "ingest/source_parts.h"

#include <string.h>

static struct ledger_moment moment(const struct source *s)
{
    return ledger_now(s->options.ledger ? ledger_boot(s->options.ledger) : "");
}

struct backoff *source_ladder_of(struct source *s, struct source_side *side)
{
    return side->other ? &side->backoff : &s->backoff;
}

void source_ladder_keep(struct source *s, struct source_side *side, int64_t wait)
{
    struct ledger_ladder *kept = &s->history.ledger->ladder;
    if (!s->options.ledger) {
        return;
    }
    const char *url = side->settings->url ? side->settings->url : "";
    if (!side->keys[0] && source_keys_mark(s->protocol, side->protocol_state, url, side->keys)) {
        return; /* memory is out: what was kept before is better than nothing */
    }
    *kept = (struct ledger_ladder){
        .kept = true, .climbed = *source_ladder_of(s, side), .from = moment(s), .wait = wait};
    memcpy(kept->keys, side->keys, sizeof kept->keys);
    ledger_changed(s->options.ledger);
}

/* A stream that a kill ended is as one that was lost: once it is opened again at once, but a listener that is
 * killed again and again as soon as it streams climbs. What the stream brought is not known; the benefit of
 * the doubt is that it did. */
static void count_cut_off(struct source *s, const struct ledger_moment *now)
{
    const struct ledger_ladder *kept = &s->history.ledger->ladder;
    const struct ledger_moment *end = &s->history.cut_off_at;
    int64_t lived = ledger_wall(end, now) - ledger_wall(&kept->from, now);
    source_ladder_keep(s, s->now, backoff_dropped(&s->backoff, s->timing->backoff, lived, 1));
    s->history.ledger->ladder.from = *end;
}

int64_t source_ladder_take_up(struct source *s)
{
    struct ledger_ladder *kept = &s->history.ledger->ladder;
    if (!kept->kept || !s->options.ledger) {
        return 0;
    }
    struct source_side *side = s->now;
    if (!source_keys_are(s->protocol, side->protocol_state, side->settings->url ? side->settings->url : "",
                         kept->keys)) {
        *kept = (struct ledger_ladder){0};
        return 0;
    }
    memcpy(side->keys, kept->keys, sizeof side->keys);
    s->backoff = kept->climbed;
    struct ledger_moment now = moment(s);
    if (s->history.cut_off) {
        count_cut_off(s, &now);
    }
    int64_t left = ledger_wait_left(kept, &now);
    if (left) {
        log_notice(
            &s->log,
            "next attempt in %.1f s: that is left of the wait after an earlier failure, before this start",
            (double)left / 1000.0);
    }
    return left;
}

void source_ladder_leave(struct source *s)
{
    if (s->state == SOURCE_DOWN || (s->wanted && s->wanted->down)) {
        s->history.ledger->ladder.wait = 0;
    }
}
