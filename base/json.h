/* base/json.h - JSON written by hand, and read through cJSON.
 *
 * Reading: cJSON turns every number into a double, so ids are taken from their string twins or their digits,
 * never from a number; keys are compared with case. Writing: straight into a buffer, since a cJSON tree per
 * post would cost more than the rest of the work.
 */
#ifndef ROOST_BASE_JSON_H
#define ROOST_BASE_JSON_H

#include "base/buffer.h"
#include "base/view.h"

#include <cjson/cJSON.h>

/* Adds v as a JSON string with its quotes. v must be UTF-8 without NUL; control characters, quote and
 * backslash are escaped, everything else stands as it is, so the result is on one line. The absent view gives
 * null. */
void json_add_string(struct buffer *b, struct view v);

/* Member `key` of an object, or NULL when it is absent or null, or `object` is NULL or no object. */
const cJSON *json_member(const cJSON *object, const char *key);

/* A string member as a view into the tree; absent when it is no string. */
struct view json_text(const cJSON *object, const char *key);

/* An integral number member in [-2^53, 2^53], else `fallback`. Never for ids. */
int64_t json_number(const cJSON *object, const char *key, int64_t fallback);

/* A boolean member: 1 or 0; -1 when absent or no boolean. */
int json_flag(const cJSON *object, const char *key);

#endif
