#include "simulator/api2.h"

#include "simulator/answers.h"
#include "simulator/fault_run.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBLEM_TYPE "https://api.twitter.com/2/problems/"

struct view api2_match(struct connection *c, size_t index)
{
    const struct posts_item *post = posts_at(c->sim->posts, index);
    if (!post->payload.at) {
        return view_none();
    }
    struct view rules = rule_store_match(c->stream->app->rules, index, &post->facts, c->sim->now_ms);
    return rules.at || !c->sim->options.no_filter ? rules : VIEW("[]");
}

struct view api2_render(struct connection *c, const struct feed *feed, size_t index)
{
    struct simulator *s = c->sim;
    const struct posts_item *post = posts_at(s->posts, index);
    struct view payload = feed_render_payload(feed, index, post, &s->scratch);
    buffer_reset(&s->projected);
    static const char missing[] = "{\"resource_type\":\"user\",\"resource_id\":\"1\",\"parameter\":\"author_"
                                  "id\",\"value\":\"1\",\"title\":\"Not "
                                  "Found Error\",\"detail\":\"Could not find user with author_id: "
                                  "[1].\",\"type\":\"" PROBLEM_TYPE "resource-not-found\"}";
    bool partial = c->stream->faults.partial_left > 0;
    c->stream->faults.partial_left -= partial;
    fields_project(&c->stream->fields, payload, api2_match(c, index),
                   partial ? view_of(missing) : view_none(), &s->projected);
    c->stream->app->posts++;
    return buffer_view(&s->projected);
}

void api2_disconnect_line(const char *type, char *json, size_t size)
{
    snprintf(json, size,
             "{\"errors\":[{\"title\":\"operational-disconnect\",\"disconnect_type\":\"%s\",\"detail\":"
             "\"This stream has "
             "been disconnected%s.\",\"type\":\"" PROBLEM_TYPE "operational-disconnect\"}]}",
             type,
             strcmp(type, "UpstreamOperationalDisconnect") == 0 ? " upstream for operational reasons" : "");
}

/* ---- connecting ---- */

static void answer_connection_issue(struct connection *c, struct app *app, int status, const char *issue,
                                    const char *detail)
{
    char body[500];
    snprintf(body, sizeof body,
             "{\"title\":\"ConnectionException\",\"detail\":\"%s\",\"connection_issue\":\"%s\",\"type\":"
             "\"" PROBLEM_TYPE "streaming-connection\"}",
             detail, issue);
    api2_answer_text(c, app, API2_STREAM, status, body, issue);
}

/* Ends the oldest stream of the app. */
static void replace_oldest(struct connection *c, const struct app *app)
{
    struct connection *oldest = NULL;
    for (struct connection *o = c->sim->connections; o; o = o->next) {
        if (o->state == CONNECTION_STREAMING && o->stream->app == app &&
            (!oldest || o->number < oldest->number)) {
            oldest = o;
        }
    }
    if (oldest) {
        char json[400];
        api2_disconnect_line("ForceDisconnect", json, sizeof json);
        stream_end_with(oldest, json, "the app connected again");
    }
}

static bool may_connect(struct connection *c, struct app *app, const struct fields *fields)
{
    const struct simulator_options *o = &c->sim->options;
    if (api2_spent(c->sim, app)) {
        struct buffer body = BUFFER(1000);
        api2_add_usage_capped("Monthly", &body);
        api2_answer(c, app, API2_STREAM, 429, buffer_view(&body), "usage-capped");
        buffer_free(&body);
        return false;
    }
    if (!rule_store_count(app->rules) && !o->no_filter) {
        answer_connection_issue(
            c, app, 409, "RuleConfigurationIssue",
            "You must define rules using the POST /2/tweets/search/stream/rules endpoint before "
            "connecting to filtered stream.");
        return false;
    }
    if (fields->start_ms ? api2_may_recover(c, app) : api2_streams(c->sim, app) < o->connections) {
        return true;
    }
    if (o->second_replaces && !fields->start_ms) {
        replace_oldest(c, app);
        return true;
    }
    answer_connection_issue(c, app, 429, "TooManyConnections",
                            "This stream is currently at the maximum allowed connection limit.");
    return false;
}

/* -1: it is answered. */
static int read_fields(struct connection *c, struct app *app, struct fields *fields)
{
    struct simulator *s = c->sim;
    struct parameters p = {0};
    struct err e;
    struct buffer errors = BUFFER(64 << 10);
    *fields = (struct fields){.newer_names = s->options.newer_names};
    if (parameters_add_form(&p, c->request.query, &e) < 0) {
        fields_add_error(&errors, "query", "", "The query cannot be read");
    } else {
        fields_read(&p, fields, &errors);
    }
    if (fields->backfill_minutes && !s->options.enterprise) {
        fields_add_error(&errors, "backfill_minutes", parameters_find(&p, "backfill_minutes"),
                         "The `backfill_minutes` query parameter is not available at your access level");
    }
    if (fields->start_ms || fields->end_ms) {
        api2_check_recovery(c, fields, &errors);
    }
    int result = errors.length ? -1 : 0;
    if (result < 0) {
        api2_answer_invalid(c, app, API2_STREAM, buffer_view(&errors));
    }
    buffer_free(&errors);
    parameters_free(&p);
    return result;
}

void api2_stream(struct connection *c)
{
    struct fields fields;
    if (c->sim->faults && faults_answer(c)) {
        return;
    }
    int status = connection_answers_by_option(c->sim);
    if (status) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"title\":\"%s\",\"type\":\"about:blank\",\"status\":%d,\"detail\":\"%s\"}",
                 answers_phrase(status), status, answers_phrase(status));
        api2_answer_text(c, NULL, API2_LIMITS, status, body, "");
        return;
    }
    struct app *app = api2_authenticate(c, API2_STREAM);
    if (!app || !api2_may_use(c, app, API2_STREAM) || read_fields(c, app, &fields) < 0 ||
        !may_connect(c, app, &fields)) {
        return;
    }
    struct buffer headers = BUFFER(4096);
    api2_add_limit_headers(c->sim, app, API2_STREAM, &headers);
    connection_begin_stream(c, app->account, NULL, buffer_view(&headers));
    buffer_free(&headers);
    if (!c->stream) {
        return;
    }
    c->stream->app = app;
    c->stream->fields = fields;
    c->stream->keep_alive_ms = c->sim->options.keep_alive_v2_ms;
    c->stream->recovers = fields.start_ms > 0;
    if (c->stream->recovers) {
        api2_recover(c);
    } else if (fields.backfill_minutes && simulator_is_live(c->sim)) {
        api2_backfill(c);
    }
}
