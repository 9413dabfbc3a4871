/* ingest/x_v2_verdict.h - what an answer of the v2 API means, of the stream or beside it.
 *
 * The three are of the form that struct source_protocol wants; pure functions, any thread.
 */
#ifndef ROOST_INGEST_X_V2_VERDICT_H
#define ROOST_INGEST_X_V2_VERDICT_H

#include "ingest/http_stream.h"
#include "ingest/x_v2_problem.h"

/* Trying again does not change it. */
bool x_v2_verdict_is_final(int status);

/* What a status means and what to do; never NULL. `state` is not looked at. */
const char *x_v2_verdict_advice(void *state, int status);

/* Changes *v, which says what the status alone means, by what the body says. Nothing that repeats `secret`
 * (may be NULL) is quoted. Returns which problem it is. */
enum x_v2_problem_kind x_v2_verdict_judge(const struct http_result *result, const char *secret,
                                          struct source_verdict *v);

#endif
