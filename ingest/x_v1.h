/* ingest/x_v1.h - the v1.1 API's statuses/filter as a source: what the request is, what its messages and
 * statuses mean.
 *
 * One POST, signed anew for each attempt, with `track`, `language` and `stall_warnings` in the signed form
 * body. `delimited=length` is sent only when the address asks for it (`?delimited=length`); either form is
 * read. X closed its own endpoint on 14 March 2023; compatible servers, archives behind a server and the
 * simulator still speak it.
 */
#ifndef ROOST_INGEST_X_V1_H
#define ROOST_INGEST_X_V1_H

#include "ingest/source.h"

extern const struct source_protocol x_v1_protocol;

#endif
