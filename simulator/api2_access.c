/* What an account may have: posts a month, the stream at all, and posts that it has missed. */
#include "simulator/api2.h"

#include "base/clock.h"
#include "simulator/pace.h"

#include <stdio.h>

#define PROBLEM_TYPE "https://api.twitter.com/2/problems/"

enum { RECOVERY_JOBS = 2, DAY_MS = 24 * 3600 * 1000, RECOVERY_DRAIN_MS = 600 * 1000 };

/* ---- posts a month ---- */

bool api2_spent(struct simulator *s, struct app *app)
{
    int64_t wall = clock_wall_ms(), day = wall / DAY_MS;
    char text[CLOCK_TEXT_SIZE];
    if (day != app->day) {
        app->day = day;
        clock_format(wall, text);
        if (strncmp(text, app->month, sizeof app->month - 1) != 0) {
            snprintf(app->month, sizeof app->month, "%.7s", text);
            app->posts = 0;
        }
    }
    return s->options.usage_cap && app->posts >= s->options.usage_cap;
}

/* The members of the problem are those of the documents; title and detail are not documented. */
void api2_add_usage_capped(const char *period, struct buffer *into)
{
    buffer_print(into,
                 "{\"title\":\"UsageCapExceeded\",\"detail\":\"Usage cap exceeded: %s product "
                 "cap\",\"period\":\"%s\",\"scope\":\"Product\",\"type\":\"" PROBLEM_TYPE "usage-capped\"}",
                 period, period);
}

/* How an open stream ends then is not documented: with the problem as its last line. */
void api2_end_spent(struct connection *c)
{
    struct buffer line = BUFFER(1000);
    buffer_add_text(&line, "{\"errors\":[");
    api2_add_usage_capped("Monthly", &line);
    buffer_add_text(&line, "]}");
    stream_end_with(c, buffer_string(&line), "the posts of this month are used up");
    buffer_free(&line);
}

/* ---- access ---- */

void api2_add_forbidden(struct buffer *into)
{
    buffer_add_text(into,
                    "{\"client_id\":\"1\",\"detail\":\"When authenticating requests to the Twitter API v2 "
                    "endpoints, you must use keys and tokens from a Twitter developer App that is attached "
                    "to a Project.\",\"registration_url\":\"https://developer.twitter.com/en/docs/projects/"
                    "overview\",\"title\":\"Client Forbidden\",\"required_enrollment\":\"Appropriate Level "
                    "of API Access\",\"reason\":\"client-not-enrolled\",\"type\":\"" PROBLEM_TYPE
                    "client-forbidden\"}");
}

bool api2_may_use(struct connection *c, struct app *app, enum api2_limit limit)
{
    struct buffer body = BUFFER(4096);
    if (!c->sim->options.not_enrolled) {
        return true;
    }
    api2_add_forbidden(&body);
    api2_answer(c, app, limit, 403, buffer_view(&body), "client-not-enrolled");
    buffer_free(&body);
    return false;
}

/* ---- recovery ---- */

void api2_check_recovery(struct connection *c, struct fields *f, struct buffer *errors)
{
    int64_t now = clock_wall_ms();
    const char *wrong = NULL;
    if (!c->sim->options.enterprise) {
        wrong = "The `start_time` query parameter is not available at your access level";
    } else if (!f->start_ms) {
        wrong = "The `end_time` query parameter needs a `start_time`";
    } else if (f->start_ms > now || f->start_ms < now - DAY_MS) {
        wrong = "The `start_time` query parameter value must be within the last 24 hours";
    } else if (f->end_ms && (f->end_ms <= f->start_ms || f->end_ms > now)) {
        wrong = "The `end_time` query parameter value must be behind `start_time` and not in the future";
    }
    if (wrong) {
        fields_add_error(errors, f->start_ms ? "start_time" : "end_time", "", wrong);
    }
    f->end_ms = f->end_ms ? f->end_ms : now;
}

bool api2_may_recover(const struct connection *c, const struct app *app)
{
    size_t jobs = 0;
    for (const struct connection *o = c->sim->connections; o; o = o->next) {
        jobs += o->stream && o->stream->app == app && o->stream->recovers;
    }
    return jobs < RECOVERY_JOBS;
}

/* Adds what was due from the first time on and before the second, in microseconds after the stream's start.
 * Ids are known of one round of the list only. */
static void add_past(struct connection *c, int64_t from_us, int64_t to_us)
{
    struct simulator *s = c->sim;
    struct feed past = s->live;
    uint64_t position = s->live.position, known = playlist_count(s->list);
    for (past.position = position > known ? position - known : 0; past.position < position; past.position++) {
        int64_t at = pace_at_us(s->pace, past.position);
        size_t index;
        feed_next(&past, &index);
        if (at >= from_us && at < to_us && api2_match(c, index).at) {
            wire_add_message(c->wire, view_none(), api2_render(c, &past, index), position);
        }
    }
}

void api2_backfill(struct connection *c)
{
    int64_t now_us = clock_steady_us() - c->sim->live_start_us;
    add_past(c, now_us - (int64_t)c->stream->fields.backfill_minutes * 60000000, INT64_MAX);
}

void api2_recover(struct connection *c)
{
    struct simulator *s = c->sim;
    const struct fields *f = &c->stream->fields;
    int64_t now_us = clock_steady_us() - s->live_start_us, wall = clock_wall_ms();
    if (simulator_is_live(s)) {
        add_past(c, now_us - (wall - f->start_ms) * 1000, now_us - (wall - f->end_ms) * 1000);
    }
    stream_end_with(c, NULL, "everything between start_time and end_time is sent");
    if (c->state == CONNECTION_DRAINING) {
        c->deadline_ms = s->now_ms + RECOVERY_DRAIN_MS;
    }
}
