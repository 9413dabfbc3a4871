/* ingest/x_v2_runner.h - does the errands of x_v2 at the API: fetches the token, makes the rules ours.
 *
 * Before the first stream of a start, and when the server says that it has no rules that work, the account's
 * rules are made those of the source's keywords (ingest/x_v2_rules.h), and only then the stream is asked for.
 * Each call is tried once; the source's own ladder says when the next attempt comes. When the list shows that
 * rules of this source are in force already and a change fails in a way that may pass, the stream is opened
 * all the same, and the change is tried again beside it, after 1 min doubling to 16 min or when the server
 * says. When the list itself cannot be had, the stream waits: it might bring nothing but what other programs
 * of the account pay for. A rule that X refuses is a mistake of the configuration, named with file and line:
 * at a start the source stops, beside a stream the rules that are there stay.
 * Each 15 minutes the list is looked at: what somebody else has deleted is added again, and what somebody
 * else has made in this source's name is told and left alone.
 */
#ifndef ROOST_INGEST_X_V2_RUNNER_H
#define ROOST_INGEST_X_V2_RUNNER_H

#include "ingest/x_v2_errands.h"

extern const struct x_v2_errands x_v2_runner;

#endif
