/* sinks/postgres_link.h - one connection to PostgreSQL that never blocks where it cannot be interrupted.
 *
 * libpq runs non-blocking; every wait is a poll on its socket and on an interrupt, so postgres_link_stop
 * (from any thread) ends a call within moments: it then fails with ERR_RETRY, and so does every later one.
 * One thing stays out of reach: libpq looks up host names itself, for as long as the system's resolver takes
 * (resolv.conf(5), `timeout`).
 *
 * A failed call leaves the link open or closed: closed when the connection is gone or its state unknown.
 * Error texts carry PostgreSQL's primary message and SQLSTATE, never its detail or context, which quote
 * values.
 */
#ifndef ROOST_SINKS_POSTGRES_LINK_H
#define ROOST_SINKS_POSTGRES_LINK_H

#include "base/err.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct postgres_link;

/* A link that is not connected yet. `conninfo` as libpq takes it (keywords or URI); what it leaves out comes
 * from libpq's environment. NULL with ERR_FATAL: libpq cannot parse it (the message does not show it), or
 * memory is out. */
struct postgres_link *postgres_link_new(const char *conninfo, struct err *e);

/* What pg_stat_activity calls its sessions, unless the conninfo says otherwise: "roost" if nothing is set. A
 * constant; before connecting. */
void postgres_link_set_name(struct postgres_link *link, const char *name);

/* Connects if needed, within 30 s or the conninfo's connect_timeout, and sets the session up: UTF-8, READ
 * COMMITTED, search_path pg_catalog alone (all SQL here names schemas), no time-outs, commits that wait for
 * the server's disk. *fresh (may be NULL) gets true when it was a new connection. */
int postgres_link_connect(struct postgres_link *link, bool *fresh, struct err *e);

bool postgres_link_is_open(const struct postgres_link *link);

/* Runs any number of statements without parameters; their results are dropped. */
int postgres_link_run(struct postgres_link *link, const char *sql, struct err *e);

/* Runs one statement with parameters $1 ... $count as text (NULL: null). *result (may be NULL) gets the rows
 * as text, which the caller gives to PQclear; NULL on failure. */
int postgres_link_ask(struct postgres_link *link, const char *sql, int count, const char *const *values,
                      PGresult **result, struct err *e);

/* COPY ... FROM STDIN: start, any number of bytes, end. *rows gets how many went in. What the server has
 * against the rows is reported by the end at the latest; after a failure the COPY is over. */
int postgres_link_copy_start(struct postgres_link *link, const char *sql, struct err *e);
int postgres_link_copy_bytes(struct postgres_link *link, const char *bytes, size_t n, struct err *e);
int postgres_link_copy_end(struct postgres_link *link, uint64_t *rows, struct err *e);

/* SQLSTATE of the last failure, "" when it had none (connection lost, interrupted). */
const char *postgres_link_state(const struct postgres_link *link);

/* From any thread, while the link lives. */
void postgres_link_stop(struct postgres_link *link);

/* Closes the connection; whatever was not committed is gone. */
void postgres_link_drop(struct postgres_link *link);

/* NULL does nothing. */
void postgres_link_free(struct postgres_link *link);

/* What PQconninfoParse says to a conninfo: 0 and *secret (may be NULL): whether it holds a password; -1 with
 * a message that does not show it. */
int postgres_link_check(const char *conninfo, bool *secret, struct err *e);

#endif
