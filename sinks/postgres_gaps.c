#include "sinks/postgres_gaps.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 24, DETAIL_EXTRA = 100 };

/* Of frames $3 to $4 of spool $2: how many lie before the first that consumer $1 was given. Whatever is
 * missing behind that, the consumer counts itself, where it passes over it (`spool`). */
static const char untold_sql[] =
    "SELECT greatest(least($4::bigint, coalesce(min(first_sequence), 1) - 1) - $3::bigint + 1, 0) FROM "
    "(SELECT "
    "first_sequence FROM roost.batches WHERE consumer = $1 AND spool = $2 UNION ALL SELECT (body ->> "
    "'first')::bigint FROM roost.events JOIN roost.batches ON batches.id = batch_id WHERE kind = 'gap' AND "
    "source "
    "= '' AND consumer = $1 AND spool = $2 AND body ->> 'cause' = 'spool' AND body ? 'first') AS given "
    "(first_sequence)";

static const char row_sql[] =
    "INSERT INTO roost.gaps (source, started_at, ended_at, cause, detail, undelivered)"
    " SELECT $1, $2::timestamptz, $3::timestamptz, $4, $5 || $7, $6::bigint WHERE NOT EXISTS (SELECT FROM "
    "roost.gaps AS g WHERE g.source = $1 AND g.started_at = $2::timestamptz AND g.cause = $4 AND "
    "g.ended_at IS NOT DISTINCT FROM $3::timestamptz AND (g.detail IS NOT DISTINCT FROM $5 OR "
    "starts_with(g.detail, $5)))";

/* A gap as its event's body has it; strings live as long as that. */
struct gap {
    const char *cause, *detail;
    char source[256], from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
    bool ended;
    int64_t undelivered, first, last;
};

/* False: the body lacks a column. */
static bool read_gap(const struct post *event, const cJSON *body, struct gap *gap)
{
    struct view ended = json_text(body, "ended_at");
    int64_t from = CLOCK_NONE, to = CLOCK_NONE;
    if (clock_parse(json_text(body, "started_at"), &from) || view_absent(json_text(body, "cause")) ||
        view_absent(event->source) || event->source.length >= sizeof gap->source ||
        (!view_absent(ended) && clock_parse(ended, &to))) {
        return false;
    }
    *gap = (struct gap){.cause = json_text(body, "cause").at,
                        .detail = json_text(body, "detail").at,
                        .ended = !view_absent(ended),
                        .undelivered = json_number(body, "undelivered", -1),
                        .first = json_number(body, "first", 0),
                        .last = json_number(body, "last", 0)};
    snprintf(gap->source, sizeof gap->source, "%.*s", VIEW_PRINT(event->source));
    clock_format(from, gap->from);
    if (gap->ended) {
        clock_format(to, gap->to);
    }
    return true;
}

/* Told by somebody else than the consumer itself, and with its frames. */
static bool is_about_frames(const struct gap *gap)
{
    return gap->undelivered > 0 && gap->first > 0 && gap->last >= gap->first &&
           strcmp(gap->cause, "spool") != 0;
}

static int count_untold(struct postgres_link *link, const char *consumer, const char *spool,
                        const struct gap *gap, int64_t *untold, struct err *e)
{
    char first[NUMBER_SIZE], last[NUMBER_SIZE];
    PGresult *result;
    snprintf(first, sizeof first, "%" PRId64, gap->first);
    snprintf(last, sizeof last, "%" PRId64, gap->last);
    const char *values[] = {consumer, spool, first, last};
    if (postgres_link_ask(link, untold_sql, 4, values, &result, e)) {
        return -1;
    }
    int bad = PQntuples(result) != 1 || number_parse(view_of(PQgetvalue(result, 0, 0)), 0, INT64_MAX, untold);
    PQclear(result);
    return bad ? err_set(e, ERR_RETRY, "PostgreSQL: no count of the frames that a gap names") : 0;
}

static int write_row(struct postgres_link *link, const struct gap *gap, int64_t undelivered,
                     const char *extra, struct err *e)
{
    char number[NUMBER_SIZE];
    snprintf(number, sizeof number, "%" PRId64, undelivered);
    const char *values[] = {gap->source, gap->from,   gap->ended ? gap->to : NULL,
                            gap->cause,  gap->detail, undelivered < 0 ? NULL : number,
                            extra};
    return postgres_link_ask(link, row_sql, 7, values, NULL, e);
}

int postgres_gaps_write(struct postgres_link *link, const char *consumer, const char *spool,
                        const struct post *event, struct err *e)
{
    cJSON *body = cJSON_ParseWithLength(event->body.at, event->body.length);
    struct gap gap;
    char extra[DETAIL_EXTRA] = "";
    int rc = 0;
    if (read_gap(event, body, &gap)) {
        int64_t count = gap.undelivered;
        if (is_about_frames(&gap)) {
            rc = count_untold(link, consumer, spool, &gap, &count, e);
        }
        if (count != gap.undelivered) {
            snprintf(extra, sizeof extra, " (%.40s had the others, or a row of cause spool counts them)",
                     consumer);
        }
        rc = rc ? rc : write_row(link, &gap, count, extra, e);
    }
    cJSON_Delete(body);
    return rc;
}
