/* text/json_digits.h - an id that comes only as a JSON number, read from its digits.
 *
 * cJSON turns numbers into doubles, which are exact up to 2^53 only; ids are longer. So they are taken from
 * the line.
 */
#ifndef ROOST_TEXT_JSON_DIGITS_H
#define ROOST_TEXT_JSON_DIGITS_H

#include "base/view.h"

/* An id has 64 bits: 20 digits and a sign. */
enum { TEXT_JSON_DIGITS_MOST = 21 };

/* *digits becomes the digits of the integer (with its '-' if any) that stands at path[0] / path[1] / ... of
 * the object `json`, keys of nested objects; depth >= 1. Where a key stands twice in an object the first
 * counts, as for cJSON. 0, or -1 and the absent view: no such member, or it is no integer of at most 21
 * bytes. Any thread; `json` may be anything. */
int text_json_digits(struct view json, const char *const *path, size_t depth, struct view *digits);

#endif
