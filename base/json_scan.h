/* base/json_scan.h - JSON text looked at where it stands, without a tree.
 *
 * cJSON gives values, not places, and takes more than JSON (01, 1., raw control characters in strings), which
 * PostgreSQL's jsonb then refuses. What is kept as JSON text is checked here before it is kept; a value is
 * cut out of its text here when its exact bytes matter (digits of an id, a message inside a record). Nothing
 * allocates, nothing recurses.
 */
#ifndef ROOST_BASE_JSON_SCAN_H
#define ROOST_BASE_JSON_SCAN_H

#include "base/view.h"

enum {
    JSON_SCAN_DEPTH = 500, /* half of cJSON's 1000: what is kept is put into other objects and read again */
    JSON_SCAN_EXPONENT_DIGITS = 3, /* a number may say 1e999; PostgreSQL's numeric overflows at 1e131072 */
    JSON_SCAN_NUMBER_BYTES = 1000  /* likewise */
};

/* The whole text is one JSON value as RFC 8259 says, with the limits above; that it is UTF-8 is not checked
 * here. 0, or -1: *at (may be NULL) gets the byte where it stops being one. */
int json_scan_check(struct view text, size_t *at);

/* The value of member `key` of the object that `text` is: its bytes, without white space around; the first
 * one when the key stands there twice. Absent when text is no object or has no such member. Text that is no
 * JSON gives some part of itself or the absent view, never bytes beyond it. A key that is written with
 * escapes is not found. */
struct view json_scan_member(struct view text, const char *key);

/* The next element of an array: *at is 0 before the first call and moves on. Returns 1 with its bytes, 0 at
 * the end. */
int json_scan_element(struct view array, size_t *at, struct view *value);

/* The next member of an object: *at is 0 before the first call and moves on. Returns 1 with key (as it
 * stands, without its quotes) and value, 0 at the end. */
int json_scan_next(struct view object, size_t *at, struct view *key, struct view *value);

#endif
