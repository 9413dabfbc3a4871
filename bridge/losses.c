/* bridge/losses.c - what the spool lost becomes `gap` events in the spool itself.
 *
 * The spool reports in the middle of its own work, where nothing can be appended; so reports wait here until
 * the next post, or until the bridge is open. Which source the frames were of is not known any more, nor from
 * when they were: the event has the empty source, and the time at which the loss was noticed.
 */
#include "base/clock.h"
#include "bridge/bridge_parts.h"
#include "bridge/gap.h"

#include <stdio.h>
#include <string.h>

static const char *cause_of(const struct spool_report *report)
{
    switch (report->what) {
    case SPOOL_CUT:
        return report->first <= report->last ? "corrupt" : NULL; /* half a frame was never promised */
    case SPOOL_CORRUPT:
        return "corrupt";
    case SPOOL_DROPPED:
        return "spool_full";
    case SPOOL_NEW_IDENTITY:
        return "spool";
    case SPOOL_SYNC_FAILED:
        break;
    }
    return NULL;
}

/* Segments that are dropped one after another are one loss. */
static bool lengthens(const struct bridge_loss *last, const char *cause, const struct spool_report *report)
{
    return strcmp(last->cause, cause) == 0 && report->what == SPOOL_DROPPED &&
           report->first == last->last + 1;
}

void bridge_note_loss(struct bridge *b, const struct spool_report *report)
{
    const char *cause = cause_of(report);
    if (!cause) {
        return;
    }
    struct bridge_loss *last = b->loss_count ? &b->losses[b->loss_count - 1] : NULL;
    if (last && lengthens(last, cause, report)) {
        last->last = report->last;
        last->noticed = clock_wall_ms();
        snprintf(last->text, sizeof last->text,
                 "the spool reached spool_max: frames %llu to %llu were dropped",
                 (unsigned long long)last->first, (unsigned long long)last->last);
        return;
    }
    if (b->loss_count == BRIDGE_LOSSES_MAXIMUM) {
        log_error(&bridge_log, "so many losses at once that this one does not become a gap: %s",
                  report->text);
        return;
    }
    struct bridge_loss *loss = &b->losses[b->loss_count++];
    *loss = (struct bridge_loss){
        .cause = cause, .first = report->first, .last = report->last, .noticed = clock_wall_ms()};
    loss->counted = report->what != SPOOL_NEW_IDENTITY;
    snprintf(loss->text, sizeof loss->text, "%s", report->text);
}

void bridge_note_gone(struct bridge *b, const struct bridge_gone *gone, const char *text)
{
    if (bridge_told(b, gone)) {
        return;
    }
    size_t before = b->loss_count;
    log_error(&bridge_log, "%s", text);
    bridge_note_loss(b, &(struct spool_report){.what = SPOOL_NEW_IDENTITY, .text = text});
    if (b->loss_count > before) {
        b->losses[before].gone = *gone;
    }
    bridge_publish_losses(b);
}

/* Which spool the event tells of, if one. That of a new identity is known only here: the spool may report it
 * while it is opened. */
static struct bridge_gone gone_of(const struct bridge *b, const struct bridge_loss *loss)
{
    struct bridge_gone gone = loss->gone;
    const char *before = spool_identity_before(b->spool);
    if (!gone.spool[0] && strcmp(loss->cause, "spool") == 0 && before[0] && strstr(loss->text, before)) {
        snprintf(gone.consumer, sizeof gone.consumer, "%s", BRIDGE_ITSELF);
        snprintf(gone.spool, sizeof gone.spool, "%s", before);
    }
    return gone;
}

static int publish(struct bridge *b, const struct bridge_loss *loss, struct err *e)
{
    const struct bridge_gone gone = gone_of(b, loss);
    struct buffer body = BUFFER(GAP_BODY_MAXIMUM);
    struct post event;
    struct gap gap = {.from = loss->noticed,
                      .to = loss->noticed,
                      .cause = loss->cause,
                      .detail = loss->text,
                      .undelivered = -1};
    if (loss->counted) {
        gap.first = loss->first;
        gap.last = loss->last;
        gap.undelivered = (int64_t)(loss->last - loss->first + 1);
    }
    gap_write(&body, &gap);
    gap_event(&event, "", &body);
    if (gone.spool[0] && !b->closing) {
        bridge_note_told(b, &gone, spool_last(b->spool) + 1);
    }
    int status = buffer_failed(&body) ? err_set(e, ERR_RETRY, "out of memory") : bridge_publish(b, &event, e);
    buffer_free(&body);
    return status;
}

void bridge_publish_losses(struct bridge *b)
{
    struct err e;
    if (b->telling_losses) {
        return;
    }
    b->telling_losses = true;
    /* Telling may itself drop a segment; that loss is told with the next post, or this would not end. */
    for (size_t known = b->loss_count; known; known--) {
        const struct bridge_loss loss = b->losses[0];
        b->loss_count--;
        memmove(&b->losses[0], &b->losses[1], b->loss_count * sizeof b->losses[0]);
        if (publish(b, &loss, &e) && e.kind == ERR_RETRY && b->loss_count < BRIDGE_LOSSES_MAXIMUM) {
            memmove(&b->losses[1], &b->losses[0], b->loss_count * sizeof b->losses[0]);
            b->losses[0] = loss;
            b->loss_count++;
            break;
        }
    }
    b->telling_losses = false;
}
