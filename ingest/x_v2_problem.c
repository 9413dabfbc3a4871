#include "ingest/x_v2_problem.h"

#include "base/clock.h"
#include "base/json.h"
#include "ingest/x_part.h"
#include "ingest/x_v2_post.h"

#include <stdio.h>

enum {
    WORDS_MOST = 2048,         /* looked at of a problem's words */
    ERRORS_MOST = 100,         /* looked at of one message */
    AFTER_MIDNIGHT_MS = 10000, /* a period's turn is asked for a little late, since clocks differ */
    DAY_MS = 24 * 3600 * 1000
};

static const struct {
    const char *name; /* of `type`, connection_issue or disconnect_type */
    enum x_v2_problem_kind kind;
} kinds[] = {
    {"OperationalDisconnect", X_V2_PROBLEM_DISCONNECT},
    {"UpstreamOperationalDisconnect", X_V2_PROBLEM_DISCONNECT},
    {"UpstreamUncleanDisconnect", X_V2_PROBLEM_DISCONNECT},
    {"SlowReader", X_V2_PROBLEM_DISCONNECT},
    {"ForceDisconnect", X_V2_PROBLEM_FORCED},
    {"InternalError", X_V2_PROBLEM_ILL},
    {"ClientApplicationStateDegraded", X_V2_PROBLEM_ILL},
    {"ProvisioningSubscription", X_V2_PROBLEM_ILL},
    {"InvalidRules", X_V2_PROBLEM_RULES},
    {"RulesInvalidIssue", X_V2_PROBLEM_RULES},
    {"RuleConfigurationIssue", X_V2_PROBLEM_RULES},
    {"TooManyConnections", X_V2_PROBLEM_CONNECTIONS},
    {"operational-disconnect", X_V2_PROBLEM_DISCONNECT},
    {"client-disconnected", X_V2_PROBLEM_DISCONNECT},
    {"streaming-connection", X_V2_PROBLEM_ILL},
    {"usage-capped", X_V2_PROBLEM_SPENT},
    {"credits", X_V2_PROBLEM_SPENT},
    {"rate-limit-exceeded", X_V2_PROBLEM_RATE},
    {"client-forbidden", X_V2_PROBLEM_FORBIDDEN},
    {"unsupported-authentication", X_V2_PROBLEM_FORBIDDEN},
    {"invalid-request", X_V2_PROBLEM_REQUEST},
};

static enum x_v2_problem_kind kind_of(struct view name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (view_is(name, kinds[i].name)) {
            return kinds[i].kind;
        }
    }
    return X_V2_PROBLEM_OTHER;
}

static struct view last_part(struct view path)
{
    while (path.length && path.at[path.length - 1] == '/') {
        path.length--;
    }
    const char *slash = path.length ? memrchr(path.at, '/', path.length) : NULL;
    return slash ? view_from(path, (size_t)(slash - path.at) + 1) : path;
}

static bool read_problem(const cJSON *object, struct x_v2_problem *p)
{
    *p = (struct x_v2_problem){.type = last_part(x_part_text(object, "type")),
                               .issue = x_part_text(object, "connection_issue"),
                               .title = x_part_text(object, "title"),
                               .detail = x_part_text(object, "detail"),
                               .reason = x_part_text(object, "reason"),
                               .period = x_part_text(object, "period")};
    if (!p->issue.at) {
        p->issue = x_part_text(object, "disconnect_type");
    }
    if (!p->detail.at) {
        p->detail = x_part_text(object, "message"); /* as v1.1 has it, which some answers still do */
    }
    p->kind = kind_of(p->issue);
    if (p->kind == X_V2_PROBLEM_OTHER) {
        p->kind = kind_of(p->type.at ? p->type : p->title);
    }
    return p->type.at || p->title.at || p->issue.at || p->detail.at;
}

bool x_v2_problem_find(const cJSON *tree, struct x_v2_problem *p)
{
    const cJSON *errors = json_member(tree, "errors");
    const cJSON *item = cJSON_IsArray(errors) ? errors->child : NULL;
    bool found = false;
    for (size_t n = 0; item && n < ERRORS_MOST; item = item->next, n++) {
        struct x_v2_problem one;
        if (read_problem(item, &one) && (!found || one.kind != X_V2_PROBLEM_OTHER)) {
            *p = one;
            found = true;
        }
        if (found && p->kind != X_V2_PROBLEM_OTHER) {
            return true;
        }
    }
    struct x_v2_problem whole;
    if (read_problem(tree, &whole) && (!found || whole.kind != X_V2_PROBLEM_OTHER)) {
        *p = whole;
        found = true;
    }
    return found;
}

/* Until a moment after the period is over, by the calendar of UTC. A month may be the account's own and end
 * on another day: then the ladder finds out. */
static int64_t until_turn(struct view period, int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    int year, month;
    int64_t turn = (wall_ms / DAY_MS + 1) * DAY_MS;
    if (view_is(period, "Monthly") && sscanf(clock_format(wall_ms, text), "%d-%d", &year, &month) == 2) {
        turn = clock_from_date(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1, 0, 0, 0, 0);
    }
    return turn - wall_ms + AFTER_MIDNIGHT_MS;
}

void x_v2_problem_react(const struct x_v2_problem *p, int64_t wall_ms, struct source_reaction *reaction)
{
    *reaction = (struct source_reaction){0};
    switch (p->kind) {
    case X_V2_PROBLEM_DISCONNECT:
        *reaction = (struct source_reaction){.ladder = BACKOFF_NETWORK, .cause = "server"};
        break;
    case X_V2_PROBLEM_FORCED:
    case X_V2_PROBLEM_ILL:
    case X_V2_PROBLEM_RULES:
        *reaction = (struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "server"};
        break;
    case X_V2_PROBLEM_CONNECTIONS:
    case X_V2_PROBLEM_RATE:
        *reaction = (struct source_reaction){.ladder = BACKOFF_RATE_LIMIT, .cause = "rate_limit"};
        break;
    case X_V2_PROBLEM_SPENT:
        *reaction = (struct source_reaction){
            .ladder = BACKOFF_SPEND, .cause = "spend", .at_most = until_turn(p->period, wall_ms)};
        break;
    case X_V2_PROBLEM_FORBIDDEN:
    case X_V2_PROBLEM_REQUEST:
        *reaction = (struct source_reaction){.final = true, .ladder = BACKOFF_HTTP, .cause = "credentials"};
        break;
    case X_V2_PROBLEM_OTHER:
        break;
    }
}

const char *x_v2_problem_advice(const struct x_v2_problem *p)
{
    switch (p->kind) {
    case X_V2_PROBLEM_RULES:
        return "the account has no rules that work: the stream needs at least one";
    case X_V2_PROBLEM_CONNECTIONS:
        return "the account has as many connections as it may: another client is connected, or the server "
               "still "
               "counts one that is gone";
    case X_V2_PROBLEM_SPENT:
        return "the account has no posts left to read until its next period or until somebody pays: it is "
               "asked "
               "again by itself";
    case X_V2_PROBLEM_FORBIDDEN:
        return view_is(p->reason, "client-not-enrolled")
                   ? "this app's project has no access to the filtered stream: it needs a paid plan, and the "
                     "app must "
                     "belong to a project of it"
                   : "this app may not use the filtered stream: see its access in the developer console";
    case X_V2_PROBLEM_REQUEST:
        return "the server does not take the request: is url the base of a v2 API, and backfill_minutes part "
               "of this "
               "account's access?";
    default:
        return NULL;
    }
}

void x_v2_problem_words(const struct x_v2_problem *p, const char *secret, char *out, size_t size)
{
    struct view parts[] = {p->title, p->detail, p->issue.at ? p->issue : p->reason, p->period};
    char text[WORDS_MOST];
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct view part = parts[i];
        if (!part.length || (i && view_equal(part, parts[0]))) {
            continue;
        }
        for (size_t k = 0; used && k < 2 && used + 1 < sizeof text; k++) {
            text[used++] = ": "[k];
        }
        for (size_t k = 0; k < part.length && used + 1 < sizeof text; k++) {
            char c = part.at[k];
            text[used] = '"' == c ? '\'' : c;
            used += c >= ' ' && c <= '~';
        }
    }
    text[used] = '\0';
    /* Looked for before the text is cut to fit, or the beginning of a secret could stay. */
    bool repeats = secret && secret[0] && strstr(text, secret);
    snprintf(out, size, "%s", repeats ? "" : text);
}

static bool ends_stream(const struct x_v2_problem *p)
{
    return p->kind != X_V2_PROBLEM_OTHER || p->issue.at;
}

static bool read_event(const cJSON *message, struct view line, struct arena *a, struct message *m)
{
    struct x_v2_problem p;
    (void)line, (void)a;
    if (x_part_object(message, "data") || !x_v2_problem_find(message, &p) || !ends_stream(&p)) {
        return false;
    }
    message_begin_event(m, POST_DISCONNECT);
    m->disconnect_why = p.issue.at ? p.issue : p.type;
    return true;
}

const struct message_form message_form_x_v2 = {
    .is_post = x_v2_post_is_one, .to_post = x_v2_post_read, .to_event = read_event};
