#include "ingest/x_v2_runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wipe.h"
#include "ingest/rules_judge.h"
#include "ingest/source_answer.h"
#include "ingest/x_v2.h"
#include "ingest/x_v2_raw_lines.h"
#include "ingest/x_v2_verdict.h"
#include "ingest/x_v2_version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_FIRST_MS = 60 * 1000,
    RETRY_MOST_MS = 16 * 60 * 1000,
    RETRY_STEPS = 4,
    LET_WORK_MS = 30 * 1000, /* X says that a new rule takes about 20 s to work */
    LOOK_MS = 15 * 60 * 1000 /* between two looks at the account's rules: one request of 450 in that time */
};

/* One attempt each: when to try again is the source's to say. */
static const struct x_v2_patience once = {.total_ms = 30 * 1000, .attempts = 1};

struct runner {
    const struct source_x_v2_settings *settings;
    struct log_context log;
    struct rules *rules; /* in force, or to be brought into force */
    struct rules *next;  /* proposed and not adopted yet; NULL: none */
    void (*decided)(void *user, bool adopted);
    void *decided_user;
    struct x_v2_raw_lines *raw_lines;
    source_in_force *tell; /* NULL: nobody wants to know */
    void *tell_user;

    struct x_v2_api *api; /* with the timer, from the first errand on */
    uv_timer_t timer;     /* to the next try beside the stream */
    struct x_v2_rules *job;
    bool settled;      /* the rules are ours, or are being made ours beside the stream */
    bool demanded;     /* the server has none that work */
    bool ours_there;   /* the list has shown rules of this source */
    bool streams;      /* the source's stream is open */
    bool looking;      /* timer or job are a look at rules that are ours, or the wait for one */
    size_t refused;    /* rules, by this job */
    unsigned failures; /* beside the stream, in a row */

    /* the errand under way */
    char *token;                                                       /* that x_v2 has; NULL: none */
    void (*done)(void *user, const struct x_v2_errand_result *result); /* NULL: none is */
    void *user;

    unsigned closing; /* handles */
    void (*closed)(void *user);
    void *closed_user;
};

/* --- opening --- */

static void drop_token(struct runner *r)
{
    wipe_string(r->token);
    r->token = NULL;
}

static void runner_close(void *self)
{
    struct runner *r = self;
    drop_token(r);
    x_v2_raw_lines_free(r->raw_lines);
    rules_free(r->rules);
    rules_free(r->next);
    free(r);
}

static void *runner_open(const struct source_x_v2_settings *settings, struct err *e)
{
    struct runner *r = calloc(1, sizeof *r);
    if (!r) {
        err_set(e, ERR_RETRY, "memory is out");
        return NULL;
    }
    r->settings = settings;
    r->log = (struct log_context){"ingest", settings->common.name};
    r->raw_lines = x_v2_raw_lines_new();
    if (!r->raw_lines) {
        err_set(e, ERR_RETRY, "memory is out");
    }
    r->rules = r->raw_lines ? rules_of_source(settings, e) : NULL;
    if (!r->rules) {
        runner_close(r);
        return NULL;
    }
    x_v2_raw_lines_learn(r->raw_lines, r->rules, NULL);
    return r;
}

static int open_api(struct runner *r, uv_loop_t *loop, struct err *e)
{
    const struct x_v2_account account = x_v2_account_of(r->settings);
    if (r->api) {
        return 0;
    }
    r->api = x_v2_api_new(loop, &account, &once, NULL, NULL, e);
    if (!r->api) {
        return -1;
    }
    uv_timer_init(loop, &r->timer);
    r->timer.data = r;
    return 0;
}

/* --- what a failure means --- */

/* Answers are judged as the stream's are, but that each is said in the API's own words. */
static void judge_answer(void *state, const struct http_result *result, struct source_verdict *v)
{
    struct runner *r = state;
    x_v2_verdict_judge(result, x_v2_api_token(r->api), v);
}

static void judge(struct runner *r, const struct err *e, struct source_verdict *v)
{
    static const struct source_protocol protocol = {.is_final = x_v2_verdict_is_final,
                                                    .advice = x_v2_verdict_advice,
                                                    .judge = judge_answer,
                                                    .skew_harm = ""};
    const struct http_result *last = x_v2_api_answer(r->api);
    bool refused = r->refused || (last->response && last->response->status < 400);
    *v = (struct source_verdict){.advice = "", .reaction = {.ladder = BACKOFF_NETWORK, .cause = "network"}};
    if (e->kind == ERR_FATAL && refused) {
        v->reaction = (struct source_reaction){.fatal = true, .cause = "http"};
    } else if (last->response) {
        source_answer_judge(&protocol, r, x_v2_protocol.timing, "", last, v);
    }
    snprintf(v->why, sizeof v->why, "%s", e->text);
}

/* --- the end of an errand --- */

static void finish(struct runner *r, const struct source_verdict *failed)
{
    const char *token = x_v2_api_token(r->api);
    bool same = token && r->token && !strcmp(token, r->token);
    const struct x_v2_errand_result result = {.token = same ? NULL : token, .failed = failed};
    void (*done)(void *user, const struct x_v2_errand_result *result) = r->done;
    r->done = NULL;
    drop_token(r);
    done(r->user, &result);
}

static void finish_with(struct runner *r, const struct err *e)
{
    struct source_verdict verdict;
    judge(r, e, &verdict);
    finish(r, &verdict);
}

/* --- rules --- */

static int start_rules(struct runner *r, struct err *e);

static void on_retry(uv_timer_t *timer)
{
    struct runner *r = timer->data;
    struct err e;
    if (start_rules(r, &e)) {
        log_warning(&r->log, "%s", e.text);
        uv_timer_start(&r->timer, on_retry, (uint64_t)clock_timer_ms(RETRY_FIRST_MS), 0);
    }
}

static void retry_later(struct runner *r, const struct source_verdict *v, const char *meanwhile)
{
    unsigned steps = r->failures < RETRY_STEPS ? r->failures : RETRY_STEPS;
    int64_t wait = (int64_t)RETRY_FIRST_MS << steps;
    wait = wait < RETRY_MOST_MS ? wait : RETRY_MOST_MS;
    wait = v->reaction.at_least > wait ? v->reaction.at_least : wait;
    wait = wait < BACKOFF_LONGEST_REQUEST_MS ? wait : BACKOFF_LONGEST_REQUEST_MS;
    r->failures++;
    log_warning(&r->log, "%s; %s, and they are changed in %.0f s at the earliest", v->why, meanwhile,
                (double)wait / 1000.0);
    uv_timer_start(&r->timer, on_retry, (uint64_t)clock_timer_ms(wait), 0);
}

static const struct rules *wanted_rules(const struct runner *r)
{
    return r->next ? r->next : r->rules;
}

/* --- a look whether the rules are still ours --- */

static void look_later(struct runner *r);

static void on_looked(void *user, const struct x_v2_rules_result *result)
{
    struct runner *r = user;
    struct err e;
    size_t gone = result->result ? 0 : result->state->change.add_count;
    size_t strange = result->result ? 0 : result->state->change.remove_count;
    x_v2_rules_free(r->job);
    r->job = NULL;
    if (strange) {
        log_warning(
            &r->log,
            "rules: the account has %zu of this source's name that are not in force here, and %zu are "
            "gone: "
            "another program or another roost listen makes them; give it another name, then SIGHUP or "
            "a restart puts these rules right",
            strange, gone);
    } else if (gone) {
        log_warning(
            &r->log,
            "rules: %zu are gone from the account, another program deleted them; they are added again", gone);
        if (start_rules(r, &e) == 0) {
            return;
        }
        log_warning(&r->log, "%s", e.text);
    }
    look_later(r);
}

static void on_look(uv_timer_t *timer)
{
    struct runner *r = timer->data;
    const struct x_v2_rules_events events = {.end = on_looked, .user = r};
    struct err e;
    r->job = r->streams ? x_v2_rules_start(r->api, r->rules, X_V2_RULES_PLAN, &events, &e) : NULL;
    if (!r->job) {
        look_later(r);
    }
}

static void look_later(struct runner *r)
{
    r->looking = true;
    uv_timer_start(&r->timer, on_look, (uint64_t)clock_timer_ms(LOOK_MS), 0);
}

/* A look that is under way when the stream ends gives way. */
static void runner_streams(void *self, bool open)
{
    struct runner *r = self;
    r->streams = open;
    if (!open && r->looking && r->job) {
        x_v2_rules_free(r->job);
        r->job = NULL;
        look_later(r);
    }
}

static void adopt_next(struct runner *r)
{
    if (r->next) {
        rules_free(r->rules);
        r->rules = r->next;
        r->next = NULL;
        r->decided(r->decided_user, true);
    }
}

static void give_up_next(struct runner *r)
{
    rules_free(r->next);
    r->next = NULL;
    r->decided(r->decided_user, false);
}

static void on_planned(void *user, const struct x_v2_rules_state *state)
{
    struct runner *r = user;
    const struct rules_change *change = &state->change;
    r->ours_there = change->keep_count + change->remove_count + change->foreign_count > 0;
    if (!r->next) {
        x_v2_raw_lines_learn(r->raw_lines, r->rules, state);
    }
}

static void on_begins(void *user, const struct x_v2_rules_state *state)
{
    struct runner *r = user;
    adopt_next(r);
    x_v2_raw_lines_learn(r->raw_lines, r->rules, state);
}

static void on_may_stream(uv_timer_t *timer)
{
    struct runner *r = timer->data;
    r->settled = true;
    finish(r, NULL);
}

/* What is wanted is there: the stream need not wait for what is not wanted any more to go. */
static void on_waits(void *user, size_t added)
{
    struct runner *r = user;
    log_notice(&r->log, "rules: %zu added; those that are not wanted any more are deleted in %d s", added,
               LET_WORK_MS / 1000);
    if (r->done) {
        uv_timer_start(&r->timer, on_may_stream, 0, 0); /* not from inside the job, which somebody may end */
    }
}

static void on_refused(void *user, const struct x_v2_rules_refusal *refusal)
{
    struct runner *r = user;
    r->refused++;
    x_v2_rules_log_refusal(&r->log, wanted_rules(r), refusal);
}

static void on_rules_made(struct runner *r, const struct x_v2_rules_result *result)
{
    adopt_next(r);
    x_v2_raw_lines_learn(r->raw_lines, r->rules, result->state);
    r->settled = true;
    r->failures = 0;
    if (result->changed) {
        log_notice(&r->log, "rules: %zu added, %zu deleted, %zu in force (version %s)", result->added,
                   result->removed, r->rules->count, r->rules->version);
    } else {
        log_info(&r->log, "rules: the server has them already, %zu (version %s)", r->rules->count,
                 r->rules->version);
    }
    if (r->tell) {
        x_v2_version_tell(result, r->tell, r->tell_user);
    }
    look_later(r);
}

/* What was proposed is a mistake. When it was tried in an errand, that goes on with the old rules. */
static void keep_old_rules(struct runner *r, const struct source_verdict *v)
{
    struct err e;
    log_error(&r->log, "%s; the old keywords and their rules stay in force", v->why);
    give_up_next(r);
    r->settled = !r->done;
    if (!r->done) {
        look_later(r);
    } else if (start_rules(r, &e)) {
        finish_with(r, &e);
    }
}

static void on_rules_failed(struct runner *r, const struct err *e, bool added)
{
    struct source_verdict verdict;
    judge(r, e, &verdict);
    bool passes = !verdict.reaction.fatal && !verdict.reaction.final;
    if (r->next && !passes) {
        keep_old_rules(r, &verdict);
    } else if (!r->done && passes) {
        retry_later(r, &verdict, "the rules that are there stay in force");
    } else if (!r->done) {
        log_error(&r->log, "%s; the rules that are there stay in force", verdict.why);
        look_later(r);
    } else if (passes && !r->demanded && (r->ours_there || added)) {
        r->settled = true;
        retry_later(r, &verdict, "the stream is opened with the rules that are there");
        finish(r, NULL);
    } else {
        finish(r, &verdict);
    }
}

static void on_rules_end(void *user, const struct x_v2_rules_result *result)
{
    struct runner *r = user;
    const struct err e = result->e;
    bool failed = result->result != 0, added = result->added > 0;
    if (!failed) {
        on_rules_made(r, result);
    }
    x_v2_rules_free(r->job);
    r->job = NULL;
    if (failed) {
        on_rules_failed(r, &e, added);
    } else if (r->done) {
        finish(r, NULL);
    }
}

static int start_rules(struct runner *r, struct err *e)
{
    const struct x_v2_rules_events events = {.planned = on_planned,
                                             .begins = on_begins,
                                             .waits = on_waits,
                                             .refused = on_refused,
                                             .end = on_rules_end,
                                             .user = r};
    r->refused = 0;
    r->ours_there = r->looking = false;
    r->job = x_v2_rules_start(r->api, wanted_rules(r), X_V2_RULES_APPLY, &events, e);
    if (!r->job) {
        return -1;
    }
    x_v2_rules_let_work(r->job, LET_WORK_MS);
    return 0;
}

/* --- an errand --- */

static void runner_watch(void *self, source_in_force *tell, void *user)
{
    struct runner *r = self;
    r->tell = tell;
    r->tell_user = user;
}

static bool runner_due(void *self)
{
    return !((struct runner *)self)->settled;
}

static void on_token(void *user, const struct x_v2_outcome *outcome)
{
    struct runner *r = user;
    struct err e;
    if (outcome->result) {
        finish_with(r, &outcome->e);
    } else if (r->settled && !r->demanded) {
        look_later(r);
        finish(r, NULL);
    } else if (start_rules(r, &e)) {
        finish_with(r, &e);
    }
}

/* A change of rules beside the stream, which has ended, gives way. */
static void stop_work(struct runner *r)
{
    if (r->api) {
        bool idle = !r->job && !uv_is_active((uv_handle_t *)&r->timer);
        r->settled = r->settled && (idle || r->looking);
        r->looking = false;
        x_v2_rules_free(r->job);
        r->job = NULL;
        x_v2_api_cancel(r->api);
        uv_timer_stop(&r->timer);
    }
}

static int runner_start(void *self, uv_loop_t *loop, const struct x_v2_errand *errand,
                        void (*done)(void *user, const struct x_v2_errand_result *result), void *user,
                        struct err *e)
{
    struct runner *r = self;
    stop_work(r);
    drop_token(r);
    r->demanded = errand->rules;
    r->token = errand->token ? strdup(errand->token) : NULL;
    if (open_api(r, loop, e) || (errand->token && !r->token)) {
        return errand->token && !r->token ? err_set(e, ERR_RETRY, "memory is out") : -1;
    }
    int started = errand->token ? start_rules(r, e) : x_v2_api_fetch_token(r->api, on_token, r, e);
    if (started == 0) {
        r->done = done;
        r->user = user;
    }
    return started;
}

/* --- a change beside the stream --- */

static bool runner_propose(void *self, const struct source_x_v2_settings *next)
{
    struct runner *r = self;
    struct err e;
    struct rules *rules = r->api && !r->done ? rules_of_source(next, &e) : NULL;
    if (!rules) {
        return false;
    }
    x_v2_rules_free(r->job);
    r->job = NULL;
    uv_timer_stop(&r->timer);
    rules_free(r->next);
    r->next = rules;
    return true;
}

static bool runner_change(void *self, void (*decided)(void *user, bool adopted), void *user)
{
    struct runner *r = self;
    struct err e;
    r->decided = decided;
    r->decided_user = user;
    r->failures = 0;
    return start_rules(r, &e) == 0;
}

static bool runner_leaves_exclusions(void *self)
{
    return wanted_rules(self)->exclusions_left_out > 0;
}

static size_t runner_lines(void *self, struct view rule, const size_t **lines)
{
    return x_v2_raw_lines_find(((struct runner *)self)->raw_lines, rule, lines);
}

/* --- leaving the loop --- */

static void on_part_closed(void *user)
{
    struct runner *r = user;
    if (--r->closing == 0) {
        r->closed(r->closed_user);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void runner_quit(void *self, void (*closed)(void *user), void *user)
{
    struct runner *r = self;
    if (!r->api) {
        closed(user);
        return;
    }
    stop_work(r);
    r->done = NULL;
    r->closed = closed;
    r->closed_user = user;
    r->closing = 2;
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    x_v2_api_free(r->api, on_part_closed, r);
    r->api = NULL;
}

const struct x_v2_errands x_v2_runner = {.open = runner_open,
                                         .watch = runner_watch,
                                         .streams = runner_streams,
                                         .due = runner_due,
                                         .start = runner_start,
                                         .propose = runner_propose,
                                         .change = runner_change,
                                         .leaves_exclusions = runner_leaves_exclusions,
                                         .lines = runner_lines,
                                         .quit = runner_quit,
                                         .close = runner_close};
