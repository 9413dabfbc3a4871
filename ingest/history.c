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
        int64_t from = ledger_wall(&h->ledger->counted, &now), to = ledger_wall(&h->ledger->alive, &now);
        h->heard_before = (struct history_heard){from < to, from, to};
        h->ledger->alive = now;
    }
    return 0;
}

/* --- offering --- */

static void offer_heard(struct history *h, struct history_heard *heard, const struct source_counts *then,
                        const struct source_counts *now)
{
    struct buffer body = BUFFER(MOST_BODY);
    report_count(&body, heard->from, heard->to, then, now);
    heard->due = !h->offer(h->user, POST_COUNT, &body);
}

static void offer_rows(struct history *h)
{
    while (h->row_count) {
        struct buffer body = BUFFER(MOST_BODY);
        report_gap(&body, &h->rows[0]);
        if (!h->offer(h->user, POST_GAP, &body)) {
            return;
        }
        h->row_count--;
        memmove(&h->rows[0], &h->rows[1], h->row_count * sizeof h->rows[0]);
    }
}

void history_offer(struct history *h, const struct source_counts *counts)
{
    if (h->heard_before.due) {
        offer_heard(h, &h->heard_before, NULL, NULL);
    }
    if (h->heard.due) {
        struct source_counts now = *counts;
        offer_heard(h, &h->heard, &h->counted, &now);
        if (!h->heard.due) {
            h->counted = now;
        }
    }
    offer_rows(h);
}

void history_offer_stream(struct history *h, const struct source_counts *counts)
{
    history_offer(h, counts);
    if (h->heard.due) {
        return;
    }
    struct source_counts now = *counts;
    struct ledger_moment at = moment(h);
    struct history_heard heard = {true, ledger_wall(&h->ledger->counted, &at), at.wall};
    offer_heard(h, &heard, &h->counted, &now);
    if (!heard.due) {
        h->counted = now;
        h->ledger->counted = at;
    }
}

static void add_rows(struct history *h, const struct ledger_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (h->row_count == HISTORY_ROWS) {
            log_error(h->log, "a gap (%s) is not written down: nobody takes events", rows[i].cause);
        } else {
            h->rows[h->row_count++] = rows[i];
        }
    }
}

/* --- what happens --- */

void history_streams(struct history *h)
{
    struct ledger_row rows[LEDGER_LEGS];
    struct ledger_moment now = moment(h);
    add_rows(h, rows, ledger_streams(h->ledger, &now, rows));
    h->undelivered = 0;
    h->undelivered_steady = now.steady;
    keep(h);
}

void history_lost(struct history *h, bool streamed, int64_t silence, const char *cause, const char *detail)
{
    struct ledger_moment from = moment(h);
    from.wall -= silence;
    from.steady -= silence;
    if (streamed) {
        int64_t counted = ledger_wall(&h->ledger->counted, &from);
        h->heard = (struct history_heard){true, counted < from.wall ? counted : from.wall, from.wall};
    }
    if (ledger_lost(h->ledger, &from, cause, detail)) {
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
    return more;
}

void history_close(struct history *h, const char *cause)
{
    bool reload = strcmp(cause, "reload") == 0;
    struct ledger_moment now = moment(h);
    ledger_stop(h->ledger, &now, cause,
                reload ? "the configuration was read again" : "roost listen was stopped");
    if (h->file) {
        ledger_give_back(h->file, h->ledger);
    }
}
