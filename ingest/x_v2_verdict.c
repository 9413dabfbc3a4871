#include "ingest/x_v2_verdict.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

bool x_v2_verdict_is_final(int status)
{
    static const int final[] = {400, 401, 403, 404, 406, 410, 413, 416};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        if (final[i] == status) {
            return true;
        }
    }
    return false;
}

const char *x_v2_verdict_advice(void *state, int status)
{
    (void)state;
    switch (status) {
    case 400:
    case 406:
    case 413:
    case 416:
        return "the server does not take the request: is url the base of a v2 API?";
    case 401:
        return "the credentials are wrong or were revoked: check bearer_token, or api_key and api_secret";
    case 402:
        return "the account has no credits left: it is asked again by itself";
    case 403:
        return "this app may not use the filtered stream: see its access in the developer console";
    case 404:
        return "there is no v2 stream at this address: check url, the API's base";
    case 409:
        return "the account has no rules that work: the stream needs at least one";
    case 410:
        return "this stream was closed for good: another url is needed";
    case 420:
    case 429:
        return "too many attempts or connections with these keys";
    default:
        break;
    }
    if (status >= 500) {
        return "the server is overloaded or ill";
    }
    return status < 400 ? "redirects are not followed: if the API moved, set url to its new base"
                        : "the server does not take the request";
}

/* The problem in an answer's body. *tree is the caller's to delete. */
static bool find_problem(struct view body, cJSON **tree, struct x_v2_problem *problem)
{
    body = view_trim(body);
    char last = body.length ? body.at[body.length - 1] : 0;
    *tree = last == '}' ? cJSON_ParseWithLength(body.at, body.length) : NULL;
    return *tree && x_v2_problem_find(*tree, problem);
}

/* A 429 for the number of connections says nothing of the number of attempts, so the reset of the window,
 * which stands in every answer, counts only when the attempts are used up too. */
static int64_t asked_wait(const struct http_response *r, enum x_v2_problem_kind kind)
{
    bool reset = kind == X_V2_PROBLEM_RATE || r->rate_remaining == 0;
    return reset && r->rate_reset_ms > r->retry_after_ms ? r->rate_reset_ms : r->retry_after_ms;
}

static void react_to_problem(const struct http_response *r, const struct x_v2_problem *problem,
                             struct source_verdict *v)
{
    struct source_reaction reaction;
    x_v2_problem_react(problem, r->date_ms == CLOCK_NONE ? clock_wall_ms() : r->date_ms, &reaction);
    const char *advice = x_v2_problem_advice(problem);
    switch (problem->kind) {
    case X_V2_PROBLEM_SPENT:
        v->reaction = reaction;
        v->reaction.at_least = r->retry_after_ms;
        break;
    case X_V2_PROBLEM_CONNECTIONS:
    case X_V2_PROBLEM_RATE:
        v->reaction = reaction;
        v->reaction.at_least = asked_wait(r, problem->kind);
        break;
    case X_V2_PROBLEM_RULES:
        v->reaction =
            (struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "http", .at_least = r->retry_after_ms};
        break;
    case X_V2_PROBLEM_FORBIDDEN:
    case X_V2_PROBLEM_REQUEST:
        advice = r->status == 401 || r->status >= 500 ? NULL : advice;
        break;
    default:
        break;
    }
    v->advice = advice ? advice : v->advice;
}

enum x_v2_problem_kind x_v2_verdict_judge(const struct http_result *result, const char *secret,
                                          struct source_verdict *v)
{
    const struct http_response *r = result->response;
    struct x_v2_problem problem = {.kind = X_V2_PROBLEM_OTHER};
    cJSON *tree = NULL;
    if (secret && memmem(result->body.at, result->body.length, secret, strlen(secret))) {
        v->words[0] = '\0';
    } else if (find_problem(result->body, &tree, &problem)) {
        char words[sizeof v->words - 4];
        x_v2_problem_words(&problem, secret, words, sizeof words);
        snprintf(v->words, sizeof v->words, words[0] ? " \"%s\"" : "%s", words);
    }
    if (problem.kind == X_V2_PROBLEM_OTHER) {
        problem.kind = r->status == 402   ? X_V2_PROBLEM_SPENT
                       : r->status == 409 ? X_V2_PROBLEM_RULES
                                          : X_V2_PROBLEM_OTHER;
    }
    react_to_problem(r, &problem, v);
    cJSON_Delete(tree);
    return problem.kind;
}
