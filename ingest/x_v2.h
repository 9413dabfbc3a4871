/* ingest/x_v2.h - the filtered stream of X's v2 API as a source: what the request is, what its messages and
 * statuses mean.
 *
 * One GET with a bearer token; what is delivered is decided by rules that the server keeps (ingest/rules.h).
 * All fields and expansions that the columns of roost.posts need are asked for. `backfill_minutes` is sent
 * when the configuration has it (enterprise access alone may) and only when the stream is opened again, in
 * this life of the listener or after an earlier one: at a source's first stream there is no outage that it
 * could fill, and each post sent again counts as read.
 */
#ifndef ROOST_INGEST_X_V2_H
#define ROOST_INGEST_X_V2_H

#include "ingest/source.h"
#include "ingest/x_v2_errands.h"

extern const struct source_protocol x_v2_protocol;

/* The protocol's `open` with somebody who does its errands; NULL: nobody, then bearer_token must be given. */
void *x_v2_open_with(const struct x_v2_errands *errands, const struct source_settings *settings,
                     struct err *e);

#endif
