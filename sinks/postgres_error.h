/* sinks/postgres_error.h - what an error of PostgreSQL means for a load: its SQLSTATE sorted into the three
 * kinds of err.
 *
 * Codes: PostgreSQL documentation, appendix A. Away, busy, full, shutting down, lost a race: ERR_RETRY. The
 * values themselves cannot be stored: ERR_REJECT. Tables, rights or credentials are wrong: ERR_FATAL. What is
 * not known is ERR_RETRY, since giving up loses more than trying again.
 */
#ifndef ROOST_SINKS_POSTGRES_ERROR_H
#define ROOST_SINKS_POSTGRES_ERROR_H

#include "base/err.h"

#include <stdbool.h>

enum { POSTGRES_STATE_SIZE = 6 }; /* an SQLSTATE: five characters and NUL; "": the error has none */

/* The kind of an error with this SQLSTATE. */
enum err_kind postgres_error_kind(const char *sqlstate);

/* What to do about it, as a clause to stand behind the message; "" when the message says enough. */
const char *postgres_error_advice(const char *sqlstate);

bool postgres_error_is_collision(const char *sqlstate); /* a key that is there already */
bool postgres_error_is_lock(const char *sqlstate);      /* lock_timeout was over */
bool postgres_error_is_rights(const char *sqlstate);

#endif
