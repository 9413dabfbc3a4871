/* ingest/source_answer.h - what a server's answer means: which ladder, how long, in which words.
 *
 * Part of struct source, without its state. The status decides first (final, rate limit, anything else), the
 * network's protocol may know more from the body, and a 401 from a server whose clock is far from ours is
 * blamed on the clock. On the loop's thread.
 */
#ifndef ROOST_INGEST_SOURCE_ANSWER_H
#define ROOST_INGEST_SOURCE_ANSWER_H

#include "base/log.h"
#include "ingest/http_stream.h"
#include "ingest/source.h"

/* Fills *v from an answer with another status than 200. `place`: the address without its query. */
void source_answer_judge(const struct source_protocol *protocol, void *state,
                         const struct source_timing *timing, const char *place,
                         const struct http_result *result, struct source_verdict *v);

/* An answer 200 that cannot be a stream: a web page, or a document whose length is known. The message for the
 * log into `why`; false: it may be a stream. */
bool source_answer_is_no_stream(const struct http_response *r, const char *place, char *why, size_t size);

/* The wait in milliseconds before the next attempt: the ladder's next step within the reaction's bounds. */
int64_t source_answer_wait(struct backoff *b, const struct backoff_timing *timing,
                           const struct source_reaction *r);

/* After such a wait the source is down rather than about to connect: minutes to an hour. */
bool source_answer_is_down(enum backoff_ladder ladder);

/* The warning that belongs to each start of a source whose settings switch a protection off. */
void source_answer_warn(const struct log_context *log, const struct source_settings *settings);

#endif
