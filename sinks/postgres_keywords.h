/* sinks/postgres_keywords.h - keywords events (ingest/version.h) as rows of roost.keyword_versions.
 *
 * A telling that repeats an earlier one adds nothing: to two consumers of one database, from a listener that
 * was killed before it had noted that it told, or with a new spool. For that, a row is left out where one
 * with the same contents was in force at that time already, and a version that comes late ends where the next
 * one begins.
 */
#ifndef ROOST_SINKS_POSTGRES_KEYWORDS_H
#define ROOST_SINKS_POSTGRES_KEYWORDS_H

#include "bridge/post.h"
#include "sinks/postgres_link.h"

/* Writes what a keywords event says, inside the transaction of its batch, whose row of roost.events is
 * written already (so the body is JSON that the database takes). A body that lacks what the table needs stays
 * an event only. */
int postgres_keywords_write(struct postgres_link *link, const struct post *event, struct err *e);

#endif
