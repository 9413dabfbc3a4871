/* sinks/postgres_schema.h - is the schema in the database the one this binary knows?
 *
 * Asked on each new connection. Besides the version, the columns that COPY writes are compared by name and
 * type: with a column of another type every row would be refused one by one.
 */
#ifndef ROOST_SINKS_POSTGRES_SCHEMA_H
#define ROOST_SINKS_POSTGRES_SCHEMA_H

#include "sinks/postgres_link.h"

/* The newest version in roost.schema_version, 0: no such table. */
int postgres_schema_version(struct postgres_link *link, int *version, struct err *e);

/* 0: as it should be. ERR_FATAL: it is not, and the message says what to do. ERR_RETRY: the question failed.
 */
int postgres_schema_check(struct postgres_link *link, struct err *e);

#endif
