#include "ingest/source_answer.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void judge_status(const struct source_protocol *protocol, void *state,
                         const struct http_result *result, struct source_verdict *v)
{
    const struct http_response *r = result->response;
    *v = (struct source_verdict){.advice = protocol->advice(state, r->status)};
    http_quote_body(result->body, v->words, sizeof v->words);
    v->reaction =
        (struct source_reaction){.ladder = BACKOFF_HTTP, .cause = "http", .at_least = r->retry_after_ms};
    if (protocol->is_final(r->status)) {
        v->reaction.final = true;
        v->reaction.cause = "credentials";
    } else if (r->status == 420 || r->status == 429) {
        v->reaction.ladder = BACKOFF_RATE_LIMIT;
        v->reaction.cause = "rate_limit";
        v->reaction.at_least = longer(r->retry_after_ms, r->rate_reset_ms);
    }
}

/* How far this machine's clock is ahead of the server's, when that is too far for a 401 to be believed; else
 * 0.
 */
static int64_t skew_of(const struct http_response *r, const struct source_timing *timing)
{
    int64_t off = r->date_ms == CLOCK_NONE ? 0 : clock_wall_ms() - r->date_ms;
    return r->status == 401 && llabs(off) > timing->clock_skew ? off : 0;
}

void source_answer_judge(const struct source_protocol *protocol, void *state,
                         const struct source_timing *timing, const char *place,
                         const struct http_result *result, struct source_verdict *v)
{
    int status = result->response->status;
    judge_status(protocol, state, result, v);
    if (protocol->judge) {
        protocol->judge(state, result, v);
    }
    int64_t off = skew_of(result->response, timing);
    if (!off) {
        snprintf(v->why, sizeof v->why, "%s answered %d%s: %s", place, status, v->words, v->advice);
        return;
    }
    v->reaction = (struct source_reaction){
        .ladder = BACKOFF_HTTP, .cause = "http", .at_least = result->response->retry_after_ms};
    snprintf(v->why, sizeof v->why,
             "%s answered 401%s: this machine's clock is %lld s %s the server's%s: set the clock", place,
             v->words, (long long)(llabs(off) / 1000), off > 0 ? "ahead of" : "behind", protocol->skew_harm);
}

bool source_answer_is_no_stream(const struct http_response *r, const char *place, char *why, size_t size)
{
    if (strncasecmp(r->content_type, "text/html", strlen("text/html")) == 0) {
        snprintf(why, size, "%s answered 200 with a web page instead of a stream: is a proxy in between?",
                 place);
        return true;
    }
    if (r->content_length >= 0) {
        snprintf(why, size,
                 "%s answered 200 with a document of %lld bytes (%.60s) instead of a stream: check url, and "
                 "whether a proxy is in between",
                 place, (long long)r->content_length, r->content_type[0] ? r->content_type : "of no type");
        return true;
    }
    return false;
}

int64_t source_answer_wait(struct backoff *b, const struct backoff_timing *timing,
                           const struct source_reaction *r)
{
    int64_t wait = backoff_failed(b, timing, r->ladder, r->at_least);
    return r->at_most > 0 && wait > r->at_most ? longer(r->at_most, r->at_least) : wait;
}

bool source_answer_is_down(enum backoff_ladder ladder)
{
    return ladder == BACKOFF_FINAL || ladder == BACKOFF_SPEND;
}

void source_answer_warn(const struct log_context *log, const struct source_settings *settings)
{
    if (settings->tls_insecure_accept_any_certificate) {
        log_warning(log,
                    "tls_insecure_accept_any_certificate = yes: whoever answers at its address is believed, "
                    "and is sent the keys");
    }
}
