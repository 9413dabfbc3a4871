#include "ingest/history.h"

#include "base/clock.h"
#include "ingest/report.h"

#include <stdio.h>
#include <string.h>

enum { MOST_BODY = 4096 };

static struct ledger_moment moment(const struct history *h)
{
    return ledger_now(h->file ? ledger_boot(h->file) : "");
}

static void keep(struct history *h)
{
    if (h->file) {
        ledger_changed(h->file);
    }
}

/* After a kill: what was heard up to then and not told, and from when on it was not. */
int history_open(struct history *h, struct ledger *file, const char *name, struct err *e)
{
    h->file = file;
    h->ledger = file ? ledger_take(file, name) : &h->own;
    if (!h->ledger) {
        return err_set(e, ERR_RETRY, "memory is out");
    }
    struct ledger_moment now = moment(h);
    if (ledger_resume(h->ledger, &now)) {
        h->cut_off = true;
        h->cut_off_at = h->ledger->alive;
        ledger_heard(h->ledger, ledger_wall(&h->ledger->counted, &now), ledger_wall(&h->ledger->alive, &now));
        h->ledger->alive = now;
    }
    keep(h); /* that this life has begun */
    return 0;
}

/* --- offering --- */

/* True: taken. `then` and `now` NULL: without figures. */
static bool offer_heard(struct history *h, int64_t from, int64_t to, const struct source_counts *then,
                        const struct source_counts *now)
{
    struct buffer body = BUFFER(MOST_BODY);
    report_count(&body, from, to, then, now);
    return h->offer(h->user, POST_COUNT, &body);
}

static void offer_rows(struct history *h)
{
    struct ledger_entry *entry = h->ledger;
    size_t before = entry->row_count;
    while (entry->row_count) {
        struct buffer body = BUFFER(MOST_BODY);
        report_gap(&body, &entry->rows[0]);
        if (!h->offer(h->user, POST_GAP, &body)) {
            break;
        }
        entry->row_count--;
        memmove(&entry->rows[0], &entry->rows[1], entry->row_count * sizeof entry->rows[0]);
    }
    if (entry->row_count < before) {
        keep(h);
    }
}

void history_offer(struct history *h, const struct source_counts *counts)
{
    struct ledger_heard *heard = &h->ledger->heard;
    if (heard->due) {
        struct source_counts now = *counts;
        bool here = h->heard_here;
        if (offer_heard(h, heard->from, heard->to, here ? &h->counted : NULL, here ? &now : NULL)) {
            h->counted = here ? now : h->counted;
            h->heard_here = false;
            *heard = (struct ledger_heard){0};
            keep(h);
        }
    }
    offer_rows(h);
}

void history_offer_stream(struct history *h, const struct source_counts *counts)
{
    history_offer(h, counts);
    h->stream_told = false;
    if (h->ledger->heard.due) {
        return;
    }
    struct source_counts now = *counts;
    struct ledger_moment at = moment(h);
    if (offer_heard(h, ledger_wall(&h->ledger->counted, &at), at.wall, &h->counted, &now)) {
        h->counted = now;
        h->ledger->counted = at;
        h->stream_told = true;
    }
}

static void add_rows(struct history *h, const struct ledger_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (h->ledger->row_count == LEDGER_ROWS) {
            log_error(h->log, "a gap (%s) is not written down: nobody takes events", rows[i].cause);
        } else {
            h->ledger->rows[h->ledger->row_count++] = rows[i];
        }
    }
}

/* --- what happens --- */

void history_streams(struct history *h)
{
    struct ledger_row rows[LEDGER_LEGS];
    struct ledger_moment now = moment(h);
    bool first = !h->ledger->begun;
    add_rows(h, rows, ledger_streams(h->ledger, &now, rows));
    h->undelivered = 0;
    h->undelivered_steady = now.steady;
    if (first && h->file) {
        ledger_write_now(h->file); /* or a kill just now would leave posts with no gap behind them */
    } else {
        keep(h);
    }
}

void history_switched(struct history *h)
{
    struct ledger_row row = {.to = clock_wall_ms(), .cause = "reload", .undelivered = -1};
    row.from = row.to;
    snprintf(row.detail, sizeof row.detail,
             "the configuration was read again: the new stream was opened before the old one was closed");
    add_rows(h, &row, 1);
    h->undelivered = 0;
    h->undelivered_steady = clock_steady_ms();
    keep(h);
}

void history_lost(struct history *h, bool streamed, int64_t silence, const char *cause, const char *detail)
{
    struct ledger_moment from = moment(h);
    from.wall -= silence;
    from.steady -= silence;
    if (streamed) {
        int64_t counted = ledger_wall(&h->ledger->counted, &from);
        ledger_heard(h->ledger, counted < from.wall ? counted : from.wall, from.wall);
        h->heard_here = true;
    }
    if (ledger_lost(h->ledger, &from, cause, detail) || streamed) {
        keep(h);
    }
}

uint64_t history_undelivered(struct history *h, uint64_t total)
{
    if (total <= h->undelivered) {
        return 0;
    }
    uint64_t more = total - h->undelivered;
    int64_t steady = clock_steady_ms();
    struct ledger_row row = {.to = clock_wall_ms(), .cause = "limit", .undelivered = (int64_t)more};
    row.from = row.to - (steady - h->undelivered_steady);
    snprintf(row.detail, sizeof row.detail,
             "the filter matches more posts than the server delivers; of this stream it has left out %llu",
             (unsigned long long)total);
    add_rows(h, &row, 1);
    h->undelivered = total;
    h->undelivered_steady = steady;
    offer_rows(h);
    if (h->ledger->row_count) {
        keep(h);
    }
    return more;
}

void history_dropped(struct history *h, int64_t since, uint64_t messages, uint64_t bytes)
{
    struct ledger_row row = {.to = clock_wall_ms(), .cause = "spool_full", .undelivered = (int64_t)messages};
    row.from = since < row.to ? since : row.to;
    snprintf(row.detail, sizeof row.detail,
             "%llu messages (%llu bytes) had been received and the spool had no room for them at a stop",
             (unsigned long long)messages, (unsigned long long)bytes);
    add_rows(h, &row, 1);
    offer_rows(h);
}

void history_close(struct history *h, const char *cause, bool streams)
{
    bool reload = strcmp(cause, "reload") == 0;
    struct ledger_moment now = moment(h);
    if (streams && !h->stream_told) {
        ledger_heard(h->ledger, ledger_wall(&h->ledger->counted, &now), now.wall);
    }
    ledger_stop(h->ledger, &now, cause,
                reload ? "the configuration was read again" : "roost listen was stopped");
    if (h->file) {
        ledger_give_back(h->file, h->ledger);
    }
}
