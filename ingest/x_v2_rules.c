#include "ingest/x_v2_rules.h"

#include "base/clock.h"
#include "base/json.h"
#include "ingest/rules_blame.h"

#include <stdio.h>
#include <stdlib.h>

#define RULES_PATH "/2/tweets/search/stream/rules"

enum {
    PAGE_RULES = 1000,
    PAGE_TOKEN_MOST = 512,
    LISTS_AFTER = 4,          /* of the list after a change, since a server may lag behind its own answers */
    LISTS_APART_MS = 300,     /* then doubling */
    PAGES_MOST = 1000,        /* an account of a million rules; a server that never ends its list */
    BATCH_RULES = 100,        /* of one addition or deletion */
    BATCH_BYTES = 256 * 1024, /* likewise */
    MEMORY_MAXIMUM = 2048u * 1024 * 1024 - 1,
    BODY_MOST = 4 * 1024 * 1024
};

enum phase { LISTING, DRY_RUN, ADDING, REMOVING, LISTING_AGAIN };

struct x_v2_rules {
    struct x_v2_api *api;
    struct x_v2_rules_events events;
    enum x_v2_rules_what what;
    enum phase phase;
    struct x_v2_rules_state state;
    struct arena *arena; /* of the list and the change */

    struct rules_held *held; /* being listed; on the heap, its texts in the arena */
    size_t held_room, pages;
    unsigned lists_after;
    char page_token[PAGE_TOKEN_MOST + 1]; /* of the last page but the first */

    size_t batch_most;     /* halved when the server finds a request too large */
    size_t batch;          /* rules in the request under way */
    size_t tried;          /* additions that the dry run has seen */
    size_t added, removed; /* additions and removals done, over all steps */
    size_t step;           /* being done */
    size_t step_added, step_removed;
    size_t refused;
    bool begun, changed;
    int64_t begun_at;
    int64_t let_work_ms;
    size_t let_work; /* of the rules added, those that had this time */
    struct buffer body;
};

static void ask_next(struct x_v2_rules *job);

/* --- the end --- */

static void end(struct x_v2_rules *job, int result, const struct err *e)
{
    struct x_v2_rules_result r = {.result = result,
                                  .changed = job->changed,
                                  .begun_at = job->begun ? job->begun_at : clock_wall_ms(),
                                  .added = job->added,
                                  .removed = job->removed,
                                  .state = result == 0 ? &job->state : NULL};
    if (result) {
        r.e = *e;
    }
    job->events.end(job->events.user, &r);
}

static void fail(struct x_v2_rules *job, enum err_kind kind, const char *text)
{
    struct err e;
    err_set(&e, kind, "%s", text);
    end(job, -1, &e);
}

/* --- listing --- */

static void begin_list(struct x_v2_rules *job, enum phase phase)
{
    job->phase = phase;
    job->state.held_count = 0;
    job->pages = 0;
    job->page_token[0] = '\0';
    arena_reset(job->arena);
}

static int keep_page(struct x_v2_rules *job, const struct x_v2_answer *answer)
{
    size_t wanted = job->state.held_count + answer->rule_count;
    if (wanted > job->held_room) {
        size_t room = wanted + wanted / 2;
        struct rules_held *more = reallocarray(job->held, room, sizeof *more);
        if (!more) {
            return -1;
        }
        job->held = more;
        job->held_room = room;
    }
    for (size_t i = 0; i < answer->rule_count; i++) {
        const struct rules_held *r = &answer->rules[i];
        job->held[job->state.held_count++] = (struct rules_held){
            arena_view(job->arena, r->id), arena_view(job->arena, r->value), arena_view(job->arena, r->tag)};
    }
    job->state.held = job->held;
    return arena_failed(job->arena) ? -1 : 0;
}

/* A token of the list's next page: it goes into an address as it is. */
static bool is_page_token(struct view token)
{
    for (size_t i = 0; i < token.length; i++) {
        char c = token.at[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return token.length > 0 && token.length <= PAGE_TOKEN_MOST;
}

static void on_done(void *user, const struct x_v2_outcome *outcome);

static void call(struct x_v2_rules *job, const char *path, bool post, int64_t delay_ms)
{
    struct err e = {.kind = ERR_RETRY, .text = "no memory for a request"};
    const struct x_v2_call c = {post ? "POST" : "GET", path, post ? buffer_view(&job->body) : view_none(),
                                delay_ms};
    if (buffer_failed(&job->body) || x_v2_api_call(job->api, &c, on_done, job, &e)) {
        end(job, -1, &e);
    }
}

static void ask_page(struct x_v2_rules *job, struct view token, int64_t delay_ms)
{
    char path[PAGE_TOKEN_MOST + 100];
    snprintf(job->page_token, sizeof job->page_token, "%.*s", VIEW_PRINT(token));
    snprintf(path, sizeof path, RULES_PATH "?max_results=%d%s%.*s", PAGE_RULES,
             token.length ? "&pagination_token=" : "", VIEW_PRINT(token));
    buffer_reset(&job->body);
    call(job, path, false, delay_ms);
}

static void on_list_after(struct x_v2_rules *job)
{
    const struct rules_change *change = &job->state.change;
    if (!change->add_count && !change->remove_count) {
        end(job, 0, NULL);
    } else if (++job->lists_after < LISTS_AFTER) {
        begin_list(job, LISTING_AGAIN);
        ask_page(job, view_none(), LISTS_APART_MS << job->lists_after);
    } else {
        fail(job, ERR_RETRY,
             "the server's list still differs after the change: another program changes this source's rules, "
             "or the "
             "server is behind; try again");
    }
}

static void on_whole_list(struct x_v2_rules *job)
{
    struct x_v2_rules_state *s = &job->state;
    struct err e;
    if (rules_change_find(s->rules, s->held, s->held_count, job->arena, &s->change, &e)) {
        end(job, -1, &e);
        return;
    }
    if (job->phase == LISTING_AGAIN) {
        on_list_after(job);
        return;
    }
    if (job->events.planned) {
        job->events.planned(job->events.user, s);
    }
    if (job->what == X_V2_RULES_PLAN || (!s->change.add_count && !s->change.remove_count)) {
        end(job, 0, NULL);
        return;
    }
    job->phase = s->change.add_count ? DRY_RUN : ADDING;
    ask_next(job);
}

static void on_page(struct x_v2_rules *job, const struct x_v2_outcome *outcome)
{
    struct view token = outcome->answer->next_token;
    if (outcome->answer->rules_unreadable) {
        fail(job, ERR_RETRY, "the server's list has rules without id or value: it cannot be compared");
    } else if (keep_page(job, outcome->answer)) {
        fail(job, ERR_RETRY, "no memory for the server's list of rules");
    } else if (!token.length) {
        on_whole_list(job);
    } else if (++job->pages >= PAGES_MOST || !is_page_token(token) || view_is(token, job->page_token)) {
        fail(job, ERR_RETRY, "the server's list of rules does not end, or its next page has no usable name");
    } else {
        ask_page(job, token, 0);
    }
}

/* --- requests that change --- */

static const struct rules_step *step_of(const struct x_v2_rules *job)
{
    return &job->state.change.steps[job->step];
}

static void write_additions(struct x_v2_rules *job, size_t first, size_t most)
{
    const struct x_v2_rules_state *s = &job->state;
    buffer_reset(&job->body);
    buffer_add_text(&job->body, "{\"add\":[");
    job->batch = 0;
    while (job->batch < most && job->batch < job->batch_most && job->body.length < BATCH_BYTES) {
        const struct rule *rule = &s->rules->items[s->change.add[first + job->batch]];
        buffer_add_text(&job->body, job->batch++ ? ",{\"value\":" : "{\"value\":");
        json_add_string(&job->body, rule->value);
        buffer_add_text(&job->body, ",\"tag\":");
        json_add_string(&job->body, rule->tag);
        buffer_add_byte(&job->body, '}');
    }
    buffer_add_text(&job->body, "]}");
}

static void write_removals(struct x_v2_rules *job, size_t first, size_t most)
{
    const struct x_v2_rules_state *s = &job->state;
    buffer_reset(&job->body);
    buffer_add_text(&job->body, "{\"delete\":{\"ids\":[");
    for (job->batch = 0; job->batch < most && job->batch < job->batch_most; job->batch++) {
        buffer_add_text(&job->body, job->batch ? "," : "");
        json_add_string(&job->body, s->held[s->change.remove[first + job->batch]].id);
    }
    buffer_add_text(&job->body, "]}}");
}

/* What was added must work before what it replaces goes. */
static int64_t time_to_work(struct x_v2_rules *job)
{
    bool wait = job->let_work_ms > 0 && job->let_work < job->added;
    job->let_work = job->added;
    if (wait && job->events.waits) {
        job->events.waits(job->events.user, job->added);
    }
    return wait ? job->let_work_ms : 0;
}

/* The next request of the step, or false: the step is done. */
static bool ask_in_step(struct x_v2_rules *job)
{
    const struct rules_step *step = step_of(job);
    size_t add = step->add - job->step_added, remove = step->remove - job->step_removed;
    if (!add && !remove) {
        return false;
    }
    if (add && (!step->gap || !remove)) {
        job->phase = ADDING;
        write_additions(job, job->added, add);
    } else {
        job->phase = REMOVING;
        write_removals(job, job->removed, remove);
    }
    int64_t wait = job->phase == REMOVING ? time_to_work(job) : 0;
    call(job, RULES_PATH, true, wait);
    return true;
}

static void ask_next(struct x_v2_rules *job)
{
    const struct rules_change *change = &job->state.change;
    if (job->phase == DRY_RUN) {
        if (job->tried < change->add_count) {
            write_additions(job, job->tried, change->add_count - job->tried);
            call(job, RULES_PATH "?dry_run=true", true, 0);
            return;
        }
        if (job->refused) {
            fail(job, ERR_FATAL, "X refuses rules, see above; nothing was changed");
            return;
        }
        job->phase = ADDING;
    }
    if (!job->begun && job->events.begins) {
        job->events.begins(job->events.user, &job->state);
    }
    job->begun_at = job->begun ? job->begun_at : clock_wall_ms();
    job->begun = true;
    for (; job->step < change->step_count; job->step++) {
        if (ask_in_step(job)) {
            return;
        }
        job->step_added = 0;
        job->step_removed = 0;
    }
    begin_list(job, LISTING_AGAIN);
    ask_page(job, view_none(), 0);
}

/* --- what the server says to them --- */

static void refuse(struct x_v2_rules *job, const struct x_v2_complaint *p)
{
    static const struct view unknown = {"the server gives no reason",
                                        sizeof "the server gives no reason" - 1};
    struct x_v2_rules_refusal refusal = {
        .rule = view_absent(p->value) ? NULL : rules_with_value(job->state.rules, p->value),
        .why = p->detail.length  ? p->detail
               : p->title.length ? p->title
                                 : unknown};
    job->refused++;
    if (job->events.refused) {
        job->events.refused(job->events.user, &refusal);
    }
}

/* The account's own limit is met in a dry run when the old rules are still there: that is not yet an error.
 */
static void read_refusals(struct x_v2_rules *job, const struct x_v2_answer *answer)
{
    for (size_t i = 0; i < answer->problem_count; i++) {
        const struct x_v2_complaint *p = &answer->problems[i];
        bool passes = x_v2_complaint_is_duplicate(p) || (job->phase == DRY_RUN && x_v2_complaint_is_cap(p));
        if (!passes) {
            refuse(job, p);
        }
    }
}

static void fail_with_status(struct x_v2_rules *job, const struct x_v2_outcome *outcome)
{
    char text[500], quote[300];
    x_v2_answer_quote(outcome->answer, quote, sizeof quote);
    snprintf(text, sizeof text, "status %d to a change of rules%s", outcome->status, quote);
    fail(job, ERR_RETRY, text);
}

/* What it says is about the server or the account, not about rules; or it says nothing. */
static bool may_pass(const struct x_v2_outcome *outcome)
{
    const struct x_v2_answer *answer = outcome->answer;
    for (size_t i = 0; i < answer->problem_count; i++) {
        if (x_v2_complaint_may_pass(&answer->problems[i])) {
            return true;
        }
    }
    return outcome->status >= 300 && !answer->problem_count;
}

static void on_additions(struct x_v2_rules *job, const struct x_v2_outcome *outcome)
{
    bool dry = job->phase == DRY_RUN;
    if (may_pass(outcome)) {
        job->changed |= !dry; /* some may have been taken */
        fail_with_status(job, outcome);
        return;
    }
    read_refusals(job, outcome->answer);
    if (dry) {
        job->tried += job->batch;
    } else {
        job->changed = true;
        job->added += job->batch;
        job->step_added += job->batch;
    }
    if (!dry && job->refused) {
        fail(job, ERR_FATAL,
             "X refuses rules that it took in the dry run, see above; what was added stays, and no old rule "
             "of this step was "
             "deleted");
        return;
    }
    ask_next(job);
}

/* What could not be deleted is told by the list that follows. */
static void on_removals(struct x_v2_rules *job, const struct x_v2_outcome *outcome)
{
    if (may_pass(outcome)) {
        job->changed = true;
        fail_with_status(job, outcome);
        return;
    }
    job->changed = true;
    job->removed += job->batch;
    job->step_removed += job->batch;
    ask_next(job);
}

static void on_done(void *user, const struct x_v2_outcome *outcome)
{
    struct x_v2_rules *job = user;
    bool listing = job->phase == LISTING || job->phase == LISTING_AGAIN;
    if (outcome->result) {
        end(job, -1, &outcome->e);
    } else if (listing && outcome->status == 200) {
        on_page(job, outcome);
    } else if (listing) {
        char text[500], quote[300];
        x_v2_answer_quote(outcome->answer, quote, sizeof quote);
        snprintf(text, sizeof text, "status %d to the list of rules%s", outcome->status, quote);
        fail(job, ERR_RETRY, text);
    } else if (outcome->status == 413 && job->batch > 1) {
        job->batch_most = job->batch / 2;
        ask_next(job);
    } else if (job->phase == REMOVING) {
        on_removals(job, outcome);
    } else {
        on_additions(job, outcome);
    }
}

/* --- a refusal in the words of the configuration --- */

struct blaming {
    const struct log_context *log;
    const struct rules *rules;
    struct view why;
};

static void blame_line(void *user, uint32_t line)
{
    const struct blaming *b = user;
    const struct filter_keyword *k = &b->rules->filter->keywords[line];
    struct view words = k->keyword.line;
    words.length = words.length < 200 ? words.length : 200;
    log_error(b->log, "%s:%u: %.*s: X refuses the rule with it: %.*s", k->place.file, k->place.line,
              VIEW_PRINT(words), VIEW_PRINT(b->why));
}

void x_v2_rules_log_refusal(const struct log_context *log, const struct rules *rules,
                            const struct x_v2_rules_refusal *refusal)
{
    struct blaming b = {log, rules, refusal->why};
    b.why.length = b.why.length < 400 ? b.why.length : 400;
    if (refusal->rule) {
        rules_blame(rules, refusal->rule, refusal->why, blame_line, &b);
    } else {
        log_error(log, "X refuses a rule and does not say which: %.*s", VIEW_PRINT(b.why));
    }
}

/* --- life --- */

struct x_v2_rules *x_v2_rules_start(struct x_v2_api *api, const struct rules *rules,
                                    enum x_v2_rules_what what, const struct x_v2_rules_events *events,
                                    struct err *e)
{
    struct x_v2_rules *job = calloc(1, sizeof *job);
    struct arena *arena = arena_new(MEMORY_MAXIMUM);
    if (!job || !arena) {
        err_set(e, ERR_RETRY, "memory is out");
        goto fail;
    }
    job->api = api;
    job->events = *events;
    job->what = what;
    job->arena = arena;
    job->state.rules = rules;
    job->batch_most = BATCH_RULES;
    job->body = BUFFER(BODY_MOST);
    begin_list(job, LISTING);
    const struct x_v2_call first = {"GET", RULES_PATH "?max_results=1000", view_none(), 0};
    if (x_v2_api_call(api, &first, on_done, job, e)) {
        goto fail;
    }
    return job;
fail:
    arena_free(arena);
    free(job);
    return NULL;
}

void x_v2_rules_let_work(struct x_v2_rules *job, int64_t wait_ms)
{
    job->let_work_ms = wait_ms;
}

void x_v2_rules_free(struct x_v2_rules *job)
{
    if (!job) {
        return;
    }
    x_v2_api_cancel(job->api);
    arena_free(job->arena);
    buffer_free(&job->body);
    free(job->held);
    free(job);
}
