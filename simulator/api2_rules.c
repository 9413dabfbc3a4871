#include "simulator/api2.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBLEM_TYPE "https://api.twitter.com/2/problems/"

enum { ANSWER_MAX = 512 << 20, LIST_MAX = 1000 };

/* One request to change rules, and what became of it. */
struct change {
    struct connection *c;
    struct app *app;
    bool dry_run;
    struct buffer data, errors;
    size_t created, refused, invalid, duplicates;
    const cJSON *seen; /* of a dry run: rules before this one count, too */
};

static void add_sent(struct buffer *into)
{
    char time[CLOCK_TEXT_SIZE];
    buffer_print(into, "\"sent\":\"%s\"", clock_format(clock_wall_ms(), time));
}

static void add_rule(struct buffer *into, struct view id, struct view value, struct view tag)
{
    buffer_add_text(into, into->length ? ",{\"id\":" : "{\"id\":");
    json_add_string(into, id);
    buffer_add_text(into, ",\"value\":");
    json_add_string(into, value);
    if (tag.at) {
        buffer_add_text(into, ",\"tag\":");
        json_add_string(into, tag);
    }
    buffer_add_byte(into, '}');
}

static void add_item(struct buffer *into, const struct rule_store_item *item)
{
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)item->id);
    add_rule(into, view_of(id), view_of(item->value), view_of(item->tag));
}

/* ---- add ---- */

static void begin_error(struct change *ch, struct view value)
{
    buffer_add_text(&ch->errors, ch->errors.length ? ",{\"value\":" : "{\"value\":");
    json_add_string(&ch->errors, value);
    ch->refused++;
}

static void refuse_duplicate(struct change *ch, struct view value, uint64_t id)
{
    begin_error(ch, value);
    buffer_print(&ch->errors,
                 ",\"id\":\"%llu\",\"title\":\"DuplicateRule\",\"type\":\"" PROBLEM_TYPE "duplicate-rules\"}",
                 (unsigned long long)id);
    ch->duplicates++;
    ch->invalid++; /* as the recorded answer counts them */
}

static void refuse_rule(struct change *ch, struct view value, const struct rule_problems *problems)
{
    begin_error(ch, value);
    buffer_add_text(&ch->errors, ",\"details\":[");
    for (size_t i = 0; i < problems->count; i++) {
        buffer_add_text(&ch->errors, i ? "," : "");
        json_add_string(&ch->errors, view_of(problems->details[i]));
    }
    buffer_print(&ch->errors, "],\"title\":\"UnprocessableEntity\",\"type\":\"" PROBLEM_TYPE "%s\"}",
                 problems->length ? "rule-length" : "invalid-rules");
    ch->invalid++;
}

static void refuse_number(struct change *ch, struct view value, size_t most)
{
    begin_error(ch, value);
    buffer_print(
        &ch->errors,
        ",\"details\":[\"Rules have reached the limit of %zu per app.\"],\"title\":\"RulesCapExceeded\","
        "\"type\":\"" PROBLEM_TYPE "rule-cap\"}",
        most);
}

/* In a dry run a value that stands twice in the request is a duplicate, too. */
static bool seen_before(const struct change *ch, const cJSON *rule, struct view value)
{
    for (const cJSON *r = ch->seen; ch->dry_run && r && r != rule; r = r->next) {
        if (view_equal(view_trim(json_text(r, "value")), value)) {
            return true;
        }
    }
    return false;
}

static void add_one(struct change *ch, const cJSON *json)
{
    const struct simulator_options *o = &ch->c->sim->options;
    struct view value = view_trim(json_text(json, "value")), tag = json_text(json, "tag");
    const cJSON *tag_member = json_member(json, "tag");
    struct rule_problems problems = {.count = 0};
    if (!value.at || !value.length || (tag_member && !tag.at)) {
        problems.count = 1;
        snprintf(problems.details[0], RULE_PROBLEM_SIZE,
                 "A rule needs a `value` that is a text, and so is its `tag`.");
        refuse_rule(ch, value.at ? value : VIEW(""), &problems);
        return;
    }
    struct rule *rule = rule_parse(value, o->rule_length, o->enterprise, &problems);
    const struct rule_store_item *same = rule_store_with_value(ch->app->rules, value);
    if (!rule) {
        refuse_rule(ch, value, &problems);
        return;
    }
    if (same || seen_before(ch, json, value)) {
        refuse_duplicate(ch, value, same ? same->id : 0);
        rule_free(rule);
        return;
    }
    if (rule_store_count(ch->app->rules) + (ch->dry_run ? ch->created : 0) >= o->rules_maximum) {
        refuse_number(ch, value, o->rules_maximum);
        rule_free(rule);
        return;
    }
    ch->created++;
    if (ch->dry_run) {
        char id[24];
        snprintf(id, sizeof id, "%zu", ch->created);
        add_rule(&ch->data, view_of(id), value, tag);
        rule_free(rule);
        return;
    }
    const struct rule_store_item *item =
        rule_store_add(ch->app->rules, rule, value, tag, clock_wall_ms(), ch->c->sim->now_ms);
    if (item) {
        add_item(&ch->data, item);
    }
}

/* Not documented: the status when nothing was created (200 for duplicates, 400 for invalid rules). */
static int status_of(const struct change *ch)
{
    return ch->created ? 201 : ch->duplicates && ch->duplicates == ch->refused ? 200 : 400;
}

static void answer_change(struct change *ch, int status, const char *summary)
{
    struct buffer body = BUFFER(ANSWER_MAX);
    buffer_add_byte(&body, '{');
    if (ch->data.length) {
        buffer_add_text(&body, "\"data\":[");
        buffer_add_view(&body, buffer_view(&ch->data));
        buffer_add_text(&body, "],");
    }
    buffer_add_text(&body, "\"meta\":{");
    add_sent(&body);
    buffer_print(&body, ",\"summary\":{%s}}", summary);
    if (ch->errors.length) {
        buffer_add_text(&body, ",\"errors\":[");
        buffer_add_view(&body, buffer_view(&ch->errors));
        buffer_add_byte(&body, ']');
    }
    buffer_add_byte(&body, '}');
    api2_answer(ch->c, ch->app, API2_RULES_POST, status, buffer_view(&body), summary);
    buffer_free(&body);
}

static void add_all(struct change *ch, const cJSON *list)
{
    const cJSON *item;
    char summary[200];
    ch->seen = list->child;
    cJSON_ArrayForEach(item, list)
    {
        add_one(ch, item);
    }
    snprintf(summary, sizeof summary, "\"created\":%zu,\"not_created\":%zu,\"valid\":%zu,\"invalid\":%zu",
             ch->created, ch->refused, ch->created, ch->invalid);
    answer_change(ch, status_of(ch), summary);
}

/* ---- delete ---- */

static void refuse_missing(struct change *ch, const char *kind, struct view what)
{
    buffer_add_text(&ch->errors,
                    ch->errors.length ? ",{\"errors\":[{\"message\":" : "{\"errors\":[{\"message\":");
    buffer_add_text(&ch->errors, "\"Rule does not exist\",\"parameters\":{\"");
    buffer_print(&ch->errors, "%s\":[", kind);
    json_add_string(&ch->errors, what.at ? what : VIEW(""));
    buffer_add_text(&ch->errors,
                    "]}}],\"title\":\"Invalid Request\",\"detail\":\"One or more parameters to your "
                    "request was invalid.\",\"type\":\"" PROBLEM_TYPE "invalid-request\"}");
    ch->refused++;
}

static void delete_listed(struct change *ch, const cJSON *list, bool by_id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        struct view text = cJSON_IsString(item) ? view_of(item->valuestring) : view_none();
        const struct rule_store_item *rule = !text.at ? NULL
                                             : by_id  ? rule_store_with_id(ch->app->rules, text)
                                                     : rule_store_with_value(ch->app->rules, view_trim(text));
        if (!rule) {
            refuse_missing(ch, by_id ? "ids" : "values", text);
            continue;
        }
        ch->created++;
        if (!ch->dry_run) {
            rule_store_delete(ch->app->rules, rule->id);
        }
    }
}

static void delete_all(struct change *ch)
{
    ch->created = rule_store_count(ch->app->rules);
    while (!ch->dry_run && rule_store_count(ch->app->rules)) {
        rule_store_delete(ch->app->rules,
                          rule_store_at(ch->app->rules, rule_store_count(ch->app->rules) - 1)->id);
    }
}

static void answer_deleted(struct change *ch)
{
    char summary[200];
    snprintf(summary, sizeof summary, "\"deleted\":%zu,\"not_deleted\":%zu", ch->created, ch->refused);
    answer_change(ch, 200, summary);
}

/* ---- the requests ---- */

static void answer_wrong(struct change *ch, const char *name, const char *value, const char *message)
{
    struct buffer errors = BUFFER(4096);
    fields_add_error(&errors, name, value, message);
    api2_answer_invalid(ch->c, ch->app, API2_RULES_POST, buffer_view(&errors));
    buffer_free(&errors);
}

static bool is_true(const char *value)
{
    return value && strcmp(value, "true") == 0;
}

static void change_rules(struct change *ch, const struct parameters *p)
{
    cJSON *body = cJSON_ParseWithLength(ch->c->request.body.at, ch->c->request.body.length);
    const cJSON *add = json_member(body, "add"), *delete = json_member(body, "delete");
    const cJSON *ids = json_member(delete, "ids"), *values = json_member(delete, "values");
    bool all = is_true(parameters_find(p, "delete_all"));
    ch->dry_run = is_true(parameters_find(p, "dry_run"));
    if ((add != NULL) + (delete != NULL) + all != 1) {
        answer_wrong(ch, "add", "", "Exactly one of `add`, `delete` and `delete_all` is needed");
    } else if (add && (!cJSON_IsArray(add) || !add->child)) {
        answer_wrong(ch, "add", "", "`add` must be a list of rules");
    } else if (delete &&((ids != NULL) + (values != NULL) != 1 || !cJSON_IsArray(ids ? ids : values))) {
        answer_wrong(ch, "delete", "", "`delete` must hold a list of either `ids` or `values`");
    } else if (add) {
        add_all(ch, add);
    } else {
        all ? delete_all(ch) : delete_listed(ch, ids ? ids : values, ids != NULL);
        answer_deleted(ch);
    }
    cJSON_Delete(body);
}

struct listing {
    size_t from, most;
    const char *ids;
};

/* Names that are not known, numbers out of range. */
static bool read_listing(const struct parameters *p, struct listing *l, struct buffer *errors)
{
    *l = (struct listing){0, LIST_MAX, NULL};
    for (size_t i = 0; i < p->count; i++) {
        const struct parameter *one = &p->items[i];
        int64_t number;
        if (strcmp(one->name, "ids") == 0) {
            l->ids = one->value;
        } else if (strcmp(one->name, "max_results") == 0 &&
                   number_parse(view_of(one->value), 1, LIST_MAX, &number) == 0) {
            l->most = (size_t)number;
        } else if (strcmp(one->name, "pagination_token") == 0 && strncmp(one->value, "roost", 5) == 0 &&
                   number_parse(view_of(one->value + 5), 1, INT64_MAX, &number) == 0) {
            l->from = (size_t)number;
        } else {
            fields_add_error(
                errors, one->name, one->value,
                "The query parameter is not one of [ids,max_results,pagination_token], or its value is "
                "not valid");
        }
    }
    return errors->length == 0;
}

static bool in_list(const char *ids, uint64_t id)
{
    char text[24];
    size_t length = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    for (const char *at = ids; *at;) {
        size_t next = strcspn(at, ",");
        if (next == length && memcmp(at, text, length) == 0) {
            return true;
        }
        at += next + (at[next] == ',');
    }
    return false;
}

static void list_rules(struct connection *c, struct app *app, const struct listing *l)
{
    struct buffer data = BUFFER(ANSWER_MAX), body = BUFFER(ANSWER_MAX);
    size_t at = l->from, found = 0;
    for (; at < rule_store_count(app->rules) && found < l->most; at++) {
        const struct rule_store_item *item = rule_store_at(app->rules, at);
        if (!l->ids || in_list(l->ids, item->id)) {
            add_item(&data, item);
            found++;
        }
    }
    buffer_add_byte(&body, '{');
    if (found) {
        buffer_add_text(&body, "\"data\":[");
        buffer_add_view(&body, buffer_view(&data));
        buffer_add_text(&body, "],");
    }
    buffer_add_text(&body, "\"meta\":{");
    add_sent(&body);
    buffer_print(&body, ",\"result_count\":%zu", found);
    if (at < rule_store_count(app->rules)) {
        buffer_print(&body, ",\"next_token\":\"roost%zu\"", at);
    }
    buffer_add_text(&body, "}}");
    api2_answer(c, app, API2_RULES_GET, 200, buffer_view(&body), "");
    buffer_free(&data);
    buffer_free(&body);
}

void api2_rules(struct connection *c, struct app *app)
{
    struct parameters p = {0};
    struct err e;
    struct buffer errors = BUFFER(64 << 10);
    struct listing listing;
    if (parameters_add_form(&p, c->request.query, &e) < 0) {
        fields_add_error(&errors, "query", "", "The query cannot be read");
        api2_answer_invalid(c, app, API2_RULES_GET, buffer_view(&errors));
    } else if (view_is(c->request.method, "POST")) {
        struct change ch = {.c = c, .app = app, .data = BUFFER(ANSWER_MAX), .errors = BUFFER(ANSWER_MAX)};
        change_rules(&ch, &p);
        buffer_free(&ch.data);
        buffer_free(&ch.errors);
    } else if (read_listing(&p, &listing, &errors)) {
        list_rules(c, app, &listing);
    } else {
        api2_answer_invalid(c, app, API2_RULES_GET, buffer_view(&errors));
    }
    buffer_free(&errors);
    parameters_free(&p);
}

void api2_rules_counts(struct connection *c, struct app *app)
{
    struct buffer body = BUFFER(4096);
    size_t count = rule_store_count(app->rules), most = c->sim->options.rules_maximum;
    buffer_print(&body,
                 "{\"data\":{\"all_project_client_apps\":[{\"client_app_id\":\"1\",\"rule_count\":%zu}],"
                 "\"cap_per_client_app\":%zu,\"cap_per_project\":%zu,"
                 "\"client_app_rules_count\":{\"client_app_id\":\"1\",\"rule_count\":%zu},"
                 "\"project_rules_count\":%zu},\"meta\":{",
                 count, most, most, count, count);
    add_sent(&body);
    buffer_add_text(&body, "}}");
    api2_answer(c, app, API2_RULES_COUNTS, 200, buffer_view(&body), "");
    buffer_free(&body);
}
